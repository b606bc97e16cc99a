"""`relance audit`: read the ledger of a live deployment, and say whether every promise was kept. It writes nothing."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, NoReturn

import boto3
import typer
from boto3.dynamodb.types import TypeDeserializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from local.audit import LINES, Finding, Row, Settings, audit
from relance.clock import utc_now
from relance.store.interactions import pair_key

CLEAN, OFFENDERS, BAD_USE = 0, 1, 2

# A read unit is 8 KB here (a scan that may lag behind by a second costs half): some ten rows. At a hundred a second a
# million rows take a quarter of an hour and cost about two cents; an on-demand table serves thousands.
RATE = 100
_ROWS_A_UNIT = 10
# DynamoDB answers at most 1 MB a page, which is 128 units.
_MOST_ROWS = 1_000
# Throttled so often in a row, with longer and longer waits (at most half a minute), the reader gives up.
_TRIES = 8
_LONGEST_WAIT = 30.0
_TOLD_EVERY = 5.0
_BUSY = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "ThrottledException",
        "RequestLimitExceeded",
        "InternalServerError",
        "ServiceUnavailable",
    }
)
# The sender's kind of row for what it wrote first.
_FOLLOW_UP = "follow_up"

app = typer.Typer(
    name="audit",
    help="Check the ledger of a deployment against every promise.",
    add_completion=False,
)
_out = Console(highlight=False, soft_wrap=True)


@dataclass(slots=True)
class Reader:
    """Reads tables page by page, never faster than `rate` read units a second, and outlasts throttling.

    `tell` hears how many rows were read, and of waits. `sleep` and `clock` (seconds) are those of the machine.
    """

    client: Any
    rate: float = RATE
    tell: Callable[[str], None] = lambda words: None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    units: float = 0.0
    rows: Counter[str] = field(default_factory=Counter)
    _free_at: float = 0.0

    def scan(self, table: str, what: str) -> Iterator[Row]:
        """Every row of a table as plain values. Raises ClientError or BotoCoreError when it cannot be read."""
        request: dict[str, Any] = {"TableName": table, "Limit": max(1, min(_MOST_ROWS, int(self.rate * _ROWS_A_UNIT)))}
        for page in self._pages("scan", request):
            for item in page["Items"]:
                self.rows[what] += 1
                yield _plain(item)
            self.tell(f"{self.rows[what]:,} {what} read, {self.units:,.0f} read units")

    def kept_follow_ups(self, table: str, pair: str, since: int) -> int:
        """How many follow-ups a conversation keeps from `since` on. Keys and kinds are asked for, and no text."""
        found: set[str] = set()
        request = {
            "TableName": table,
            "KeyConditionExpression": "#pair = :pair AND #at BETWEEN :since AND :end",
            "FilterExpression": "#kind = :kind",
            "ProjectionExpression": "#at",
            "ExpressionAttributeNames": {"#pair": "pair", "#at": "at_id", "#kind": "kind"},
            "ExpressionAttributeValues": {
                ":pair": {"S": pair},
                ":since": {"S": f"{since:010d}"},
                ":end": {"S": "9999999999#"},
                ":kind": {"S": _FOLLOW_UP},
            },
        }
        for page in self._pages("query", request):
            found |= {item["at_id"]["S"].partition("#")[2] for item in page["Items"]}
        return len(found)

    def _pages(self, operation: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        request = request | {"ReturnConsumedCapacity": "TOTAL"}
        while True:
            answer = self._ask(operation, request)
            yield answer
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _ask(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """One page, when the units of the one before are paid for."""
        self._wait(self._free_at - self.clock())
        for tried in range(1, _TRIES + 1):
            began = self.clock()
            try:
                answer: dict[str, Any] = getattr(self.client, operation)(**request)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _BUSY or tried == _TRIES:
                    raise
                wait = min(2.0**tried / 2, _LONGEST_WAIT)
                self.tell(f"the table is busy: again in {wait:.0f} s, and slower from now on")
                self.rate = max(self.rate / 2, 1.0)
                self._wait(wait)
                continue
            units = float((answer.get("ConsumedCapacity") or {}).get("CapacityUnits", 0.0))
            self.units += units
            self._free_at = began + units / self.rate
            return answer
        raise AssertionError("the last try either answers or raises")

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self.sleep(seconds)


_deserialize = TypeDeserializer().deserialize


def _plain(item: Mapping[str, Any]) -> Row:
    return {name: _deserialize(value) for name, value in item.items()}


def with_follow_ups(rows: Iterator[Row], reader: Reader, table: str) -> Iterator[Row]:
    """Each row that had a follow-up together with the number that its conversation keeps of this silence."""
    for row in rows:
        if not row.get("used_times") or row.get("alias"):
            yield row
            continue
        since = int(row["used_times"][0])
        keys = [str(row[name]) for name in ("user", "former") if row.get(name)]
        kept = sum(reader.kept_follow_ups(table, pair_key(key, str(row["bot"])), since) for key in keys)
        yield {**row, "kept_follow_ups": kept}


# --- where the tables are ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deployment:
    """The names of a deployment's tables and its parameters, from the outputs and parameters of its stack."""

    pairs: str
    bots: str
    interactions: str
    settings: Settings


def _fail(message: str) -> NoReturn:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]{escape(message)}[/]")
    raise typer.Exit(BAD_USE)


def _deployment(stack_name: str, where: Mapping[str, Any]) -> Deployment:
    stack = boto3.client("cloudformation", **where).describe_stacks(StackName=stack_name)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", ())}
    try:
        return Deployment(
            pairs=outputs["PairsTable"],
            bots=outputs["BotsTable"],
            interactions=outputs["InteractionsTable"],
            settings=Settings.of(parameters),
        )
    except KeyError as missing:
        _fail(f"the stack {stack_name} has no {missing.args[0]}: is it a relance deployment, and ready?")
    except ValueError as error:
        _fail(f"the stack {stack_name} has a parameter that cannot be read: {error}")


class _Progress:
    """Tells on standard error how far the reading is: over one line of a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._told_at = time.monotonic()
        self._width = 0

    def __call__(self, words: str) -> None:
        if self._terminal:
            sys.stderr.write(f"\r{words:<{self._width}}")
            self._width = len(words)
        elif time.monotonic() - self._told_at >= _TOLD_EVERY:
            self._told_at = time.monotonic()
            sys.stderr.write(words + "\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Clear the line for what is printed next."""
        if self._terminal and self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()


def _moment(written: str) -> int:
    if not written:
        return 0
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        _fail(f"--since {written}: that is no time; write it like 2026-01-15T12:00:00Z")
    if moment.tzinfo is None:
        _fail(f"--since {written} names no zone: add Z for UTC, or +01:00")
    return int(moment.timestamp())


# --- the command ---------------------------------------------------------------------------------------------------


@app.command()
def run(
    stack_name: Annotated[str, typer.Option("--stack-name", help="The CloudFormation stack of the deployment.")],
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Judge only follow-ups from this time on, like 2026-01-15T12:00:00Z: after settings became stricter, "
            "or after you have dealt with what was found.",
        ),
    ] = "",
    rate: Annotated[
        float, typer.Option(min=1, help="Read units a second at most. It halves itself when the table is busy.")
    ] = RATE,
    conversations: Annotated[
        bool,
        typer.Option(
            help="Also count the follow-ups that each conversation keeps: one query for each person who was written to."
        ),
    ] = True,
    show: Annotated[int, typer.Option(min=0, help="How many offenders of a line to list.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, with all offenders.")] = False,
    pairs_table: Annotated[
        str, typer.Option(metavar="TABLE", help="Another pairs table, like one just restored from a backup.")
    ] = "",
    region: Annotated[str | None, typer.Option(help="The AWS region, else the one of your AWS configuration.")] = None,
    endpoint_url: Annotated[
        str | None, typer.Option(help="Another endpoint, for a deployment on this machine.")
    ] = None,
) -> None:
    """Read the whole ledger of a live deployment and say, line by line, whether each promise was kept.

    It writes nothing, asks for no text, and prints keyed hashes and times, never an address. Each line counts the rows
    that were judged, those that break it, and those of which the ledger cannot tell any more: it keeps the last
    follow-up of a pair and the last of each mark. The deployment's parameters are those of now: after you tighten one,
    name the day with --since. What a bot's file says counts from its last publication on.

    Needs cloudformation:DescribeStacks, dynamodb:Scan on the pairs and bots tables, and dynamodb:Query on the
    interactions (or --no-conversations).

    Exits 0 if all lines are clean, 1 if one is not, 2 on bad use or if a table could not be read.
    """
    began, now, start = time.monotonic(), utc_now(), _moment(since)
    where = {"region_name": region, "endpoint_url": endpoint_url}
    progress = _Progress()
    try:
        deployment = _deployment(stack_name, where)
        # What the reader waits out, botocore need not try again; what fails on the way it may, once.
        config = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=5, read_timeout=20)
        reader = Reader(boto3.client("dynamodb", config=config, **where), rate, progress)
        bots = list(reader.scan(deployment.bots, "bots"))
        rows = reader.scan(pairs_table or deployment.pairs, "rows")
        if conversations:
            rows = with_follow_ups(rows, reader, deployment.interactions)
        findings = audit(rows, bots, deployment.settings, now, since=start)
    except (ClientError, BotoCoreError) as error:
        progress.end()
        _fail(f"{error}: nothing was judged")
    progress.end()
    read = {"rows": reader.rows["rows"], "read_units": reader.units, "seconds": round(time.monotonic() - began, 1)}
    if as_json:
        typer.echo(json.dumps({"at": now, **read, "lines": [_as_json(finding) for finding in findings]}))
    else:
        _print(findings, show)
        _out.print(f"\n{read['rows']:,} rows, {reader.units:,.0f} read units, {read['seconds']:.0f} s")
    raise typer.Exit(CLEAN if all(finding.ok for finding in findings) else OFFENDERS)


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "line": finding.line,
        "means": LINES[finding.line],
        "checked": finding.checked,
        "cannot_tell": finding.untold,
        "offenders": [{"user": each.user, "bot": each.bot, "detail": each.detail} for each in finding.offenders],
    }


def _print(findings: list[Finding], show: int) -> None:
    for finding in findings:
        count = len(finding.offenders)
        mark = f"[bold red]✗ {count:>5,}[/]" if count else f"[green]✓[/] {count:>5,}"
        untold = f", {finding.untold:,} the ledger cannot tell" if finding.untold else ""
        _out.print(f"{mark}  {LINES[finding.line]} [dim](of {finding.checked:,}{untold})[/]")
        for each in finding.offenders[:show]:
            _out.print(f"           {escape(each.user)} {escape(each.bot)}: {escape(each.detail)}")
        if count > show:
            _out.print(f"           and {count - show:,} more: --show, or --json for all")
