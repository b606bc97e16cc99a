"""`relance people`: what an operator does for one person: stop, erase, record a yes, show the marks. Never a text."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from relance.clock import utc_now
from relance.erasures import Erasures
from relance.errors import RelanceError
from relance.interaction import CHANNELS
from relance.pair import EVERY_BOT, FOREVER, user_key
from relance.store.pairs import PairStore
from relance.store.people import PeopleStore
from relance.store.tables import Database, Item, text

OK, PROBLEM, BAD_USE = 0, 1, 2

# What `show` tells: marks and the ledger. The address, the register's entries and links to other keys stay out.
_MARKS = (
    "opted_out_at",
    "consent_at",
    "minor",
    "hold_until",
    "last_follow_up_at",
    "human_until",
    "echo_at",
    "erased_at",
)
_LEDGER = ("used_at", "outcome", "outcome_at", "outcome_code", "route", "verdict", "reason", "verdict_at", "due_at")
_LEDGER += ("erased_at", "expires_at")

app = typer.Typer(
    name="people",
    help="Stop, erase, or record a yes for one person; show what is known of them (marks, never words).",
    epilog="Exit codes: 0 done, 1 not done, 2 bad use. Credentials and region are found as boto3 finds them.",
    no_args_is_help=True,
)
_out = Console(highlight=False, soft_wrap=True)


class Deployment:
    """The tables, the queue and the pepper of one deployed stack, found through its outputs."""

    def __init__(self, outputs: Mapping[str, str]) -> None:
        self.outputs = outputs
        database = Database()
        # Only the sweeper and the webhooks ever start timers, so the number of shards does not matter here.
        self.pairs = PairStore(database, outputs["PairsTable"], shards=1)
        self.people = PeopleStore(
            database,
            pairs_table=outputs["PairsTable"],
            interactions_table=outputs["InteractionsTable"],
            bots_table=outputs["BotsTable"],
        )

    @property
    def erasures(self) -> Erasures:
        """The eraser's queue: the eraser is the only one that may erase."""
        return Erasures(boto3.client("sqs"), self.outputs["ErasuresQueueUrl"])

    def key(self, channel: str, address: str) -> str:
        """The person's key, by the deployment's pepper, which stays in memory."""
        name = f"{self.outputs['SecretsPath'].rstrip('/')}/pepper"
        answer = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)
        return user_key(channel, address, answer["Parameter"]["Value"].encode())


_NEEDED = ("PairsTable", "InteractionsTable", "BotsTable", "SecretsPath", "ErasuresQueueUrl")


@dataclass(frozen=True, slots=True)
class _Person:
    """Whom a command is about."""

    deployment: Deployment
    key: str

    def keys(self) -> list[str]:
        """This key and the other keys of the same person."""
        return list(self.deployment.people.rows_of(self.key))


def _fail(message: str, code: int = BAD_USE) -> NoReturn:
    _out.print(f"[bold red]{escape(message)}[/]")
    raise typer.Exit(code)


def _canonical(channel: str, address: str) -> str:
    """The address as the channel writes it: a number is digits alone."""
    address = address.strip()
    if channel == "whatsapp" and re.fullmatch(r"\+?[\d\s().-]+", address):
        return re.sub(r"\D", "", address)
    return address


@contextmanager
def _person(channel: str, address: str, stack_name: str, region: str | None) -> Iterator[_Person]:
    """Find the person, and say in one sentence what went wrong, if something does."""
    if channel not in CHANNELS:
        _fail(f"{channel!r} is not one of {', '.join(CHANNELS)}")
    canonical = _canonical(channel, address)
    if not canonical:
        _fail("the address is empty")
    if region:
        os.environ["AWS_DEFAULT_REGION"] = os.environ["AWS_REGION"] = region
    try:
        stack = boto3.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
        missing = [name for name in _NEEDED if name not in outputs]
        if missing:
            _fail(f"the stack {stack_name} has no output {missing[0]}: is it a relance deployment, and ready?")
        deployment = Deployment(outputs)
        yield _Person(deployment, deployment.key(channel, canonical))
    except (ClientError, BotoCoreError) as error:
        _fail(str(error), BAD_USE)
    except RelanceError as error:
        _fail(f"it could not be done: {error}", PROBLEM)


def _confirm(question: str, yes: bool) -> None:
    if not yes and not typer.confirm(question):
        _out.print("nothing was done")
        raise typer.Exit(PROBLEM)


Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="whatsapp, messenger or instagram.")]
Address = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        help="The person as the channel names them: a WhatsApp number with its country code or a business-scoped id, "
        "a page-scoped id (Messenger), an Instagram-scoped id.",
    ),
]
Stack = Annotated[str, typer.Option("--stack-name", help="The CloudFormation stack of the deployment.")]
Region = Annotated[str | None, typer.Option(help="The AWS region, else the one of your AWS configuration.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("opt-out")
def opt_out(channel: Channel, address: Address, stack_name: Stack, yes: Yes = False, region: Region = None) -> None:
    """Never write first to this person again, also what is queued. Only their own fresh yes undoes it."""
    _confirm("Never write first to this person again?", yes)
    with _person(channel, address, stack_name, region) as person:
        keys = person.keys()
        for key in keys:
            person.deployment.pairs.opt_out(key, utc_now())
        _out.print(f"stopped: {escape(', '.join(keys))}")


@app.command()
def erase(channel: Channel, address: Address, stack_name: Stack, yes: Yes = False, region: Region = None) -> None:
    """Erase the words, the address and the times of this person, and never write first to them again.

    Carried out by the eraser within a minute or so. What stays is a keyed mark that keeps anybody from writing to them.
    It is not undone by anything.
    """
    _confirm("Erase everything about this person? It cannot be undone.", yes)
    with _person(channel, address, stack_name, region) as person:
        now = utc_now()
        for key in person.keys():  # noqa: SIM118 - a method, not a mapping
            person.deployment.pairs.opt_out(key, now)
        person.deployment.erasures.forget(person.key, now)
        _out.print(f"stopped, and queued for erasure: {escape(person.key)}")


@app.command()
def consent(
    channel: Channel,
    address: Address,
    stack_name: Stack,
    at: Annotated[
        str, typer.Option(metavar="TIME", help="When the person said yes, like 2026-01-15T12:00:00Z. Keep the proof.")
    ],
    yes: Yes = False,
    region: Region = None,
) -> None:
    """Record a yes that the person gave elsewhere. It counts against a stop only if it is younger than that."""
    moment = _moment(at)
    _confirm("Did this person agree themselves, and do you hold the proof?", yes)
    with _person(channel, address, stack_name, region) as person:
        person.deployment.pairs.opt_in(person.key, moment)
        rows = person.deployment.people.rows_of(person.key)
        stops = [at for found in rows.values() for row in found if (at := _whole(row, "opted_out_at")) is not None]
        if stops and max(stops) >= moment:
            _fail(f"recorded, but it does not count: they said stop after it, on {_time(max(stops))}", PROBLEM)
        _out.print(f"recorded: {escape(person.key)} agreed on {_time(moment)}")


@app.command()
def show(
    channel: Channel,
    address: Address,
    stack_name: Stack,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    region: Region = None,
) -> None:
    """Show what is known of a person: keys, marks, and the ledger of each bot. Exits with 1 if nothing is."""
    with _person(channel, address, stack_name, region) as person:
        rows = person.deployment.people.rows_of(person.key)
        told = {key: [_told(row) for row in found] for key, found in rows.items() if found}
        if as_json:
            typer.echo(json.dumps(told, ensure_ascii=False))
        elif told:
            _show(told)
        if not told:
            _fail(f"nothing is known of {person.key}", PROBLEM)


def _told(row: Item) -> dict[str, Any]:
    """One row without the address: `messages` says how many the register holds."""
    bot = text(row, "bot")
    told: dict[str, Any] = {"bot": bot}
    if bot != EVERY_BOT:
        told["messages"] = sum(bool(text(row, f"s{n}")) for n in range(1, 6))
        told["moved"] = bool(text(row, "alias"))
    for name in _MARKS if bot == EVERY_BOT else _LEDGER:
        if name in row:
            told[name] = next(iter(row[name].values())) if "N" not in row[name] else _whole(row, name)
    return told


def _show(told: Mapping[str, list[dict[str, Any]]]) -> None:
    for key, rows in told.items():
        table = Table("bot", "what", "value", title=key, title_justify="left")
        for row in rows:
            for name, value in row.items():
                if name != "bot":
                    shown = _time(value) if name.endswith(("_at", "_until")) else str(value)
                    table.add_row(escape("all bots" if row["bot"] == EVERY_BOT else row["bot"]), name, escape(shown))
            table.add_section()
        Console(highlight=False).print(table)


def _whole(row: Item, name: str) -> int | None:
    value = row.get(name, {}).get("N")
    return None if value is None else int(float(value))


def _time(at: int) -> str:
    return "for good" if at >= FOREVER else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _moment(written: str) -> int:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        _fail(f"{written!r} is no time: write it like 2026-01-15T12:00:00Z")
    if moment.tzinfo is None:
        _fail(f"{written!r} names no zone: add Z for UTC, or +01:00")
    at = int(moment.timestamp())
    if at > utc_now():
        _fail(f"{written} is in the future")
    return at
