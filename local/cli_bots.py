"""`relance bots`: check the bot files, publish them to a deployment, pause and resume a bot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local import cards
from local.botfile import BOTS, Problem, as_row, hours_of, read_all
from relance.bot import Bot
from relance.clock import utc_now
from relance.interaction import DAY, HOUR, MINUTE
from relance.pair import EVERY_BOT, account_key
from relance.parameters import Rules
from relance.persona import LANGUAGES

OK, PROBLEMS, BAD_USE = 0, 1, 2

# The CloudFormation output that names the bots table, and the parameters that a bot may not soften.
TABLE_OUTPUT = "BotsTable"
PAIRS_OUTPUT = "PairsTable"
_PARAMETERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "MinSilenceHours": lambda value: {"min_silence": int(value) * HOUR},
    "PreferredSilenceHours": lambda value: {"preferred_silence": int(value) * HOUR},
    "AllowedHours": lambda value: {"hours": hours_of(value)},
    "WindowDays": lambda value: {"window": int(value) * DAY},
    "MarginMinutes": lambda value: {"margin": int(value) * MINUTE},
    "LeadMinutes": lambda value: {"lead": int(value) * MINUTE},
}

app = typer.Typer(name="bots", help="Check, publish, pause and resume bots.", no_args_is_help=True)
_out = Console(highlight=False, soft_wrap=True)


class Conflict(Exception):
    """The row changed between reading and writing: somebody else published, paused or resumed just now."""


class NoSuchBot(Exception):
    """No bot with that account id was ever published."""


# --- what is done to the table -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing one bot did: `what` is new, changed or unchanged; `changes` names the settings."""

    bot: Bot
    what: str
    version: int
    changes: tuple[str, ...] = ()
    enabled: bool = False


def _row(table: Any, id: str) -> dict[str, Any]:
    item: dict[str, Any] = table.get_item(Key={"id": id}, ConsistentRead=True).get("Item", {})
    return item


def _update(
    table: Any, id: str, *, version: int | None, sets: Mapping[str, Any], removes: tuple[str, ...] = ()
) -> None:
    """One conditional update: the row has this version (None: it does not exist). Raises Conflict if not."""
    names = {f"#{name}": name for name in (*sets, *removes, "version")}
    values = {f":{name}": value for name, value in sets.items()}
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
    if removes:
        expression += " REMOVE " + ", ".join(f"#{name}" for name in removes)
    condition = "attribute_not_exists(#version)"
    if version is not None:
        condition, values = "#version = :expected", values | {":expected": version}
    try:
        table.update_item(
            Key={"id": id},
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            raise Conflict(id) from None
        raise


def publish_bot(table: Any, bot: Bot, *, now: int) -> Published:
    """Write one bot's row, unless it says the same already.

    `version` grows by one whenever the settings change, so that a follow-up reserved under the old ones fails.
    `enabled_at` is set when the bot goes live and kept otherwise: only silences that begin later count (design.md
    rule 9). A pause stays. Raises Conflict if somebody else wrote the row in between.
    """
    row, wanted = _row(table, bot.id), as_row(bot)
    settings, old = wanted["settings"], row.get("settings", {})
    changes = tuple(sorted(name for name in settings.keys() | old.keys() if settings.get(name) != old.get(name)))
    published = int(row["version"]) if "version" in row else None
    if published is not None and not changes and row.get("mode") == bot.mode:
        return Published(bot, "unchanged", published)
    version = (published or 0) + 1
    enabled = bot.mode == "live" and row.get("mode") != "live"
    sets = {"settings": settings, "mode": bot.mode, "version": version, "updated_at": now}
    _update(table, bot.id, version=published, sets=sets | ({"enabled_at": now} if enabled else {}))
    return Published(bot, "new" if published is None else "changed", version, changes if old else (), enabled)


def pause_bot(table: Any, id: str, *, reason: str, now: int) -> bool:
    """Stop a bot from writing, at once; False if it was paused already. Raises NoSuchBot, Conflict."""
    row = _row(table, id)
    if "version" not in row:
        raise NoSuchBot(id)
    if row.get("paused"):
        return False
    version = int(row["version"])
    _update(table, id, version=version, sets={"paused": reason, "version": version + 1, "updated_at": now})
    return True


def lift(pairs: Any, channel: str, ids: Sequence[str]) -> bool:
    """Forget what the platform stopped for these accounts (and their templates); False if nothing was stopped."""
    found = False
    for id_ in ids:
        key = {"user": account_key(channel, id_), "bot": EVERY_BOT}
        found |= "Attributes" in pairs.delete_item(Key=key, ReturnValues="ALL_OLD")
    return found


def resume_bot(table: Any, id: str, *, now: int, lifted: bool = False) -> bool:
    """Let a bot write again; False if it was not paused. Raises NoSuchBot, Conflict.

    `lifted` says that a pause of the platform's has just been forgotten. Silences that began before this moment stay
    silent: enabling never writes to the backlog (design.md rule 9).
    """
    row = _row(table, id)
    if "version" not in row:
        raise NoSuchBot(id)
    if "paused" not in row and not lifted:
        return False
    version = int(row["version"])
    sets = {"enabled_at": now, "version": version + 1, "updated_at": now}
    _update(table, id, version=version, sets=sets, removes=("paused",))
    return True


def all_bots(table: Any) -> list[dict[str, Any]]:
    """The rows of every published bot, by account id. Rows that are no bots have no settings."""
    rows: list[dict[str, Any]] = []
    page: dict[str, Any] = {}
    while True:
        answer = table.scan(ConsistentRead=True, **page)
        rows += [row for row in answer["Items"] if "settings" in row]
        if "LastEvaluatedKey" not in answer:
            return sorted(rows, key=lambda row: row["id"])
        page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


# --- where the table is ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deployment:
    """The bots table of a deployment, and the parameters its bots have to keep to."""

    table: Any
    rules: Rules
    pairs: Any = None


def _fail(message: str, code: int = BAD_USE) -> NoReturn:
    _out.print(f"[bold red]{escape(message)}[/]")
    raise typer.Exit(code)


def _deployment(stack_name: str, table: str, region: str | None, endpoint_url: str | None) -> Deployment:
    if bool(stack_name) == bool(table):
        _fail("name the deployment: either --stack-name or --table")
    where = {"region_name": region, "endpoint_url": endpoint_url}
    rules, pairs = Rules(), ""
    try:
        if stack_name:
            stack = boto3.client("cloudformation", **where).describe_stacks(StackName=stack_name)["Stacks"][0]
            outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
            if TABLE_OUTPUT not in outputs:
                _fail(f"the stack {stack_name} has no output {TABLE_OUTPUT}: is it a relance deployment, and ready?")
            table, pairs = outputs[TABLE_OUTPUT], outputs.get(PAIRS_OUTPUT, "")
            for parameter in stack.get("Parameters", ()):
                if read := _PARAMETERS.get(parameter["ParameterKey"]):
                    rules = replace(rules, **read(parameter["ParameterValue"]))
        tables = boto3.resource("dynamodb", **where)
        return Deployment(tables.Table(table), rules, tables.Table(pairs) if pairs else None)
    except (ClientError, BotoCoreError) as error:
        _fail(str(error))


Stack = Annotated[str, typer.Option("--stack-name", help="The CloudFormation stack of the deployment.")]
TableName = Annotated[str, typer.Option("--table", help="The bots table, if you know its name.")]
Region = Annotated[str | None, typer.Option(help="The AWS region, else the one of your AWS configuration.")]
Endpoint = Annotated[str | None, typer.Option(help="Another endpoint, for a deployment on this machine.")]
Paths = Annotated[list[Path] | None, typer.Argument(help="Bot files or folders of them.", show_default="bots/*.yaml")]
Account = Annotated[str, typer.Argument(help="The bot's account id, as in its file.")]


# --- the commands ------------------------------------------------------------------------------------------------


def _files(paths: list[Path] | None) -> list[Path]:
    found: list[Path] = []
    for path in paths or [Path("bots") if Path("bots").is_dir() else BOTS]:
        if not path.exists():
            _fail(f"{path} does not exist")
        inside = (
            sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml")) if path.is_dir() else [path]
        )
        if not inside:
            _fail(f"{path} holds no .yaml files")
        found += inside
    return found


def _show(problems: list[Problem]) -> NoReturn:
    table = Table("file", "field", "what is wrong", "what to do", show_lines=True)
    for problem in problems:
        where = f"{problem.file}:{problem.line}" if problem.line else problem.file
        table.add_row(*map(escape, (where, problem.field, problem.problem, problem.remedy)), end_section=True)
    Console(highlight=False).print(table)
    files = len({problem.file for problem in problems})
    _fail(f"{_count(len(problems), 'problem')} in {_count(files, 'file')}", PROBLEMS)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@app.command()
def validate(paths: Paths = None) -> None:
    """Say what is wrong with the bot files, and what to write instead. Exits with 0, 1 for problems, 2 for bad use."""
    bots, problems = read_all(_files(paths))
    if problems:
        _show(problems)
    for bot in bots:
        _out.print(f"[green]ok[/] {escape(bot.name)} ({bot.channel} {escape(bot.id)}), {bot.mode}")


@app.command()
def publish(
    paths: Paths = None,
    stack_name: Stack = "",
    table: TableName = "",
    region: Region = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Write the bot files into the deployment's bots table: all of them, or none if any has a problem."""
    files = _files(paths)
    deployment = _deployment(stack_name, table, region, endpoint_url)
    bots, problems = read_all(files, rules=deployment.rules)
    if problems:
        _show(problems)
    conflicts = 0
    for bot in bots:
        label = f"{escape(bot.name)} ({bot.channel} {escape(bot.id)})"
        try:
            done = publish_bot(deployment.table, bot, now=utc_now())
        except Conflict:
            conflicts += 1
            _out.print(f"[bold red]conflict[/] {label}: somebody else changed it just now; look, and publish again")
            continue
        except (ClientError, BotoCoreError) as error:
            _fail(str(error), PROBLEMS)
        details = f": {', '.join(done.changes)}" if done.changes else ""
        live = "; live from now on, for silences that begin from now on" if done.enabled else f"; {bot.mode}"
        _out.print(f"[green]{done.what}[/] {label}, version {done.version}{details}{live}")
    raise typer.Exit(PROBLEMS if conflicts else OK)


def _change(change: Callable[[], bool], bot: str, done: str, already: str) -> None:
    try:
        _out.print(f"{escape(bot)}: {done if change() else already}")
    except NoSuchBot:
        _fail(f"{bot} was never published: `relance bots list` shows what was", PROBLEMS)
    except Conflict:
        _fail(f"{bot} was changed by somebody else just now: look, and try again", PROBLEMS)
    except (ClientError, BotoCoreError) as error:
        _fail(str(error), PROBLEMS)


@app.command("import")
def import_card(
    card: Annotated[Path, typer.Argument(metavar="CARD.json", help="A character card, version 2 or 3, as JSON.")],
    language: Annotated[
        str, typer.Option("--language", "-l", help=f"The card's language: {', '.join(LANGUAGES)}.")
    ] = "en",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the bot file here instead of to standard output.")
    ] = None,
) -> None:
    """Make a bot file of a character card: its name, its voice, a few sample lines; what it refuses, it says.

    The file is off and incomplete on purpose: whose bot it is, and where, only you know. Notes go to standard error.
    """
    if language not in LANGUAGES:
        _fail(f"--language {language}: choose one of {', '.join(LANGUAGES)}", BAD_USE)
    if out is not None and out.exists():
        _fail(f"{out} exists already: choose another name, or move it away", BAD_USE)
    try:
        imported = cards.persona_of(cards.read_card(card.read_bytes()), language)
    except OSError as error:
        _fail(f"{card}: cannot be read: {error.strerror}", BAD_USE)
    except cards.CardError as error:
        _fail(f"{card}: {error}", BAD_USE)
    text = cards.as_yaml(imported, language)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
    typer.echo(cards.summary(imported.notes), err=True)
    if not imported.voice:
        typer.echo("Nothing of the card could be used for the voice: write two or three sentences yourself.", err=True)


@app.command()
def pause(
    bot: Account,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks next.")] = "paused by hand",
    stack_name: Stack = "",
    table: TableName = "",
    region: Region = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Stop a bot from writing first, at once: also what is queued. It stays paused when its file is published."""
    bots = _deployment(stack_name, table, region, endpoint_url).table
    _change(
        lambda: pause_bot(bots, bot, reason=reason or "paused by hand", now=utc_now()),
        bot,
        "paused: it writes to nobody until you resume it",
        "it was paused already",
    )


@app.command()
def resume(
    bot: Account,
    stack_name: Stack = "",
    table: TableName = "",
    region: Region = None,
    endpoint_url: Endpoint = None,
    account: Annotated[
        str, typer.Option(help="The WhatsApp business account, if the platform had stopped all of it.")
    ] = "",
) -> None:
    """Let a paused bot write again: to silences that begin from now on, never to the backlog.

    With --stack-name this also lifts what the platform had stopped (a page, a number, a template). Ask it first.
    """
    deployment = _deployment(stack_name, table, region, endpoint_url)
    bots = deployment.table

    def resumed() -> bool:
        settings = bots.get_item(Key={"id": bot}).get("Item", {}).get("settings", {})
        lifted = bool(deployment.pairs) and lift(
            deployment.pairs, settings.get("channel", ""), [id_ for id_ in (bot, account) if id_]
        )
        return resume_bot(bots, bot, now=utc_now(), lifted=lifted)

    _change(
        resumed,
        bot,
        "resumed, for silences that begin from now on",
        "it was not paused",
    )


def _moment(at: Any) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%d %H:%M UTC") if at is not None else ""


@app.command("list")
def list_bots(
    stack_name: Stack = "", table: TableName = "", region: Region = None, endpoint_url: Endpoint = None
) -> None:
    """Show the bots of a deployment: mode, version, since when it may write, and whether it is paused."""
    bots = _deployment(stack_name, table, region, endpoint_url).table
    try:
        rows = all_bots(bots)
    except (ClientError, BotoCoreError) as error:
        _fail(str(error), PROBLEMS)
    shown = Table("bot", "name", "channel", "mode", "version", "enabled at", "paused", "updated at")
    for row in rows:
        settings = row["settings"]
        cells = (row["id"], settings.get("name", ""), settings.get("channel", ""), row.get("mode", ""))
        times = (str(row["version"]), _moment(row.get("enabled_at")), row.get("paused", ""), _moment(row["updated_at"]))
        shown.add_row(*(escape(str(cell)) for cell in (*cells, *times)))
    Console(highlight=False).print(shown)
