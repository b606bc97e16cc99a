"""`relance preview`: what a bot would write to a conversation, what each gate says to it, and the message as sent."""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn
from unicodedata import category

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, NoRegionError

from local import evaluation
from local.botfile import BOTS, BotFileError, load
from local.preview import Attempt, Preview, preview
from relance.bot import Bot
from relance.errors import ConfigurationError, TemporaryFailure
from relance.guard import conversation
from relance.interaction import Turn
from relance.persona import Draft
from relance.writers import Writer
from relance.writers.embedded import EmbeddedWriter

SILENCE, BAD_USE = 1, 2
# As the deployed sender waits for a model.
_MODEL_SECONDS = 10

app = typer.Typer(name="preview", add_completion=False)


class _WriterName(StrEnum):
    EMBEDDED = "embedded"
    BEDROCK = "bedrock"


def _fail(message: str, code: int = BAD_USE) -> NoReturn:
    typer.echo(f"relance preview: {_printable(message)}", err=True)
    raise typer.Exit(code)


@app.command(
    "preview", epilog="Exit codes: 0 something would be sent, 1 silence (the reason is said), 2 bad use or bad input."
)
def preview_command(
    bot: Annotated[str, typer.Argument(help="A bot file; or the id or name of a bot in ./bots.")],
    conversation_file: Annotated[
        str,
        typer.Option(
            "--conversation",
            metavar="FILE",
            help="A JSON object {turns: [{role: user|bot|agent, text}], lang?}, a JSONL of such rows, or - for stdin.",
        ),
    ],
    id: Annotated[str, typer.Option("--id", help="The row of a JSONL, else its first.")] = "",
    writer: Annotated[
        _WriterName, typer.Option(help="The writer without a model, or a model on Amazon Bedrock (which costs).")
    ] = _WriterName.EMBEDDED,
    model: Annotated[str, typer.Option(help="bedrock: the id of the model or inference profile.")] = "",
    region: Annotated[str | None, typer.Option(help="bedrock: the AWS region, else the configured one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Show the follow-up that a bot would write to a conversation, and each gate's verdict. Nothing is sent.

    The conversation's gate, then the drafts (a refused one is tried once more, with the gate's reason), each gate
    behind the writer in its order, and the message with its disclosure exactly as it would go out.

    Consent, windows, hours and counts are taken as satisfied, and no second line is asked. The embedded writer
    chooses its sentence for each pair, so another person may get another one of the same kind.
    """
    chosen = _bot(bot)
    turns, declared = _conversation(conversation_file, id)
    writes = _writer(writer, model, region)
    try:
        shown = preview(chosen, turns, writes, now=evaluation.NOW)
    except ConfigurationError as error:
        _fail(f"{error}: check the model id, its region, and that your account may use it")
    except TemporaryFailure as error:
        _fail(f"silence for now: the model gave no answer ({error}); a sender would try again later", SILENCE)
    if as_json:
        about = {"bot": chosen.id, "channel": chosen.channel, "writer": writer.value}
        typer.echo(json.dumps(about | shown.as_json(), indent=2))
    else:
        typer.echo(_printable("\n".join(_lines(chosen, shown, writer, declared))))
    if not shown.text:
        raise typer.Exit(SILENCE)


# --- The bot -----------------------------------------------------------------------------------------------------


def _bot(named: str) -> Bot:
    """The bot of a file, or the one in the bots folder with this id or name."""
    path = Path(named)
    if path.is_file():
        return _loaded(path)
    if path.is_dir():
        _fail(f"{named} is a folder: name one of its files")
    if path.suffix in (".yaml", ".yml"):
        _fail(f"{named} does not exist")
    folder = Path("bots") if Path("bots").is_dir() else BOTS
    known: list[str] = []
    for file in sorted(each for each in folder.iterdir() if each.suffix in (".yaml", ".yml")):
        try:
            bot = load(file)
        except BotFileError:
            if file.stem == named:
                _loaded(file)
            continue
        if named in (bot.id, file.stem) or named.casefold() == bot.name.casefold():
            return bot
        known.append(f"{bot.name} ({bot.id})")
    _fail(f"no bot file {named}, and no such bot in {folder}: it has {', '.join(known) or 'none'}")


def _loaded(path: Path) -> Bot:
    try:
        return load(path)
    except BotFileError as error:
        _fail(f"the bot file has problems, `relance bots validate` shows them all:\n{error}")


# --- The conversation --------------------------------------------------------------------------------------------


def _conversation(file: str, id: str) -> tuple[tuple[Turn, ...], str]:
    """The turns of a file, and the language that it names."""
    name = "stdin" if file == "-" else file
    try:
        text = evaluation.as_text(sys.stdin.buffer.read(), name) if file == "-" else evaluation.text_of(Path(file))
    except evaluation.BadCases as bad:
        _fail(str(bad))
    return _read(_row(text, name, id), name)


def _row(text: str, name: str, id: str) -> Mapping[str, Any]:
    """The one object of a JSON file, or a row of a JSONL."""
    rows = list(evaluation.rows_of(text))
    if not rows:
        _fail(f"{name}: is empty: write one conversation, {{turns: [{{role, text}}]}}")
    try:
        whole = evaluation.object_of(text)
    except ValueError as error:
        if len(rows) == 1 or not _is_object(rows[0][1]):
            _fail(f"{name}: {error}")
    else:
        if id and whole.get("id") != id:
            _fail(f"{name}: its only row does not have the id {id}")
        return whole
    for number, line in rows:
        try:
            row = evaluation.object_of(line)
        except ValueError as error:
            _fail(f"{name}:{number}: {error}")
        if not id or row.get("id") == id:
            return row
    _fail(f"{name}: no row has the id {id}")


def _is_object(line: str) -> bool:
    try:
        evaluation.object_of(line)
    except ValueError:
        return False
    return True


def _read(row: Mapping[str, Any], name: str) -> tuple[tuple[Turn, ...], str]:
    if "turns" not in row:
        _fail(f"{name}: has no `turns`" + (": it is a message; choose a conversation with --id" * ("text" in row)))
    try:
        declared = "" if row.get("lang") is None else evaluation.language_of(row["lang"])
        return evaluation.turns_of(row["turns"]), declared
    except ValueError as error:
        _fail(f"{name}: {error}")


# --- The writer --------------------------------------------------------------------------------------------------


def _writer(name: _WriterName, model: str, region: str | None) -> Writer:
    if name is _WriterName.EMBEDDED:
        if model or region:
            _fail("--model and --region are for --writer bedrock")
        return EmbeddedWriter()
    if not model:
        _fail("--writer bedrock needs --model: the id of a model or inference profile that your account may use")
    from relance.writers.bedrock import BedrockWriter

    try:
        session = boto3.Session(region_name=region)
        if session.get_credentials() is None:
            _fail("no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        # One try, as in the deployment: a late answer is none.
        config = Config(
            connect_timeout=3,
            read_timeout=_MODEL_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
        return BedrockWriter(session.client("bedrock-runtime", config=config), model)
    except NoRegionError:
        _fail("no AWS region: give --region, or set AWS_REGION")
    except (BotoCoreError, ValueError) as error:
        _fail(f"the AWS configuration cannot be used: {error}")


# --- Showing -----------------------------------------------------------------------------------------------------


def _lines(bot: Bot, shown: Preview, writer: _WriterName, declared: str) -> list[str]:
    lines = [f"bot           {bot.name} ({bot.channel} {bot.id}), writer {writer.value}"]
    if isinstance(shown.judged, conversation.Refused):
        lines.append(f"conversation  skip: {shown.judged.reason.value} (gate {shown.judged.gate})")
        return [*lines, "", f"Nothing would be sent: {shown.judged.reason.value}"]
    differs = f"; the file says {declared}" if declared not in ("", shown.judged.language) else ""
    lines.append(f"conversation  follow up, in {shown.judged.language}{differs}")
    for number, attempt in enumerate(shown.attempts, start=1):
        lines += ["", *_attempt(number, attempt)]
    if shown.spent.calls:
        calls = f"{shown.spent.calls} call{'' if shown.spent.calls == 1 else 's'}"
        lines += ["", f"cost          {calls}, {shown.spent.input_tokens} + {shown.spent.output_tokens} tokens"]
    if not shown.text:
        return [*lines, "", f"Nothing would be sent: {shown.reason.value if shown.reason else ''}"]
    lines += ["", f"Would be sent, {len(shown.text)} characters:", ""]
    lines += [f"  {line}".rstrip() for line in shown.text.split("\n")]
    return [*lines, "", f"quick replies {' | '.join(shown.quick_replies) or 'none'}"]


def _attempt(number: int, attempt: Attempt) -> Sequence[str]:
    told = f"  (told of the one before: {attempt.feedback})" if attempt.feedback else ""
    if not isinstance(attempt.written, Draft):
        why = f": {attempt.written.why}" if attempt.written.why else ""
        return [f"attempt {number}     the writer is silent{why}{told}"]
    gates = [f"  {gate:<18} {verdict}" for gate, verdict in attempt.verdicts()]
    return [
        f"attempt {number}{told}",
        f"  draft              {attempt.written.message}",
        f"  quote              {attempt.written.topic_quote}",
        f"  language           {attempt.written.language}",
        *gates,
    ]


def _printable(text: str) -> str:
    """Without what could steer a terminal: a model and a stranger may have written it."""
    return "".join("\ufffd" if category(letter) in ("Cc", "Cs") and letter != "\n" else letter for letter in text)
