"""The `relance` command: replay webhooks, live through a fortnight, publish bots; all of it on this machine.

Exit codes: 0 all went well, 1 it ran and found something wrong, 2 it was not used as it wants to be.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from relance.interaction import CHANNELS

FOUND_WRONG, BAD_USE = 1, 2

# Commands with a module of their own: name → (module, its Typer application, one line of help).
_ELSEWHERE = {
    "audit": ("local.cli_audit", "app", "The ledger of a live deployment, checked against every promise."),
    "bots": ("local.cli_bots", "app", "Check, publish, pause and resume bots."),
    "evaluate": ("local.cli_evaluate", "app", "What the guard catches, misses and wrongly refuses, on labelled cases."),
    "preview": ("local.cli_preview", "app", "What a bot would write to a conversation, and each gate's verdict."),
    "people": ("local.cli_people", "app", "What an operator does for one person: stop, erase, record a yes, show."),
}


class _Lazy(TyperGroup):
    """A group that imports a command's module when somebody runs that command: `replay` waits for no other."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands in the order of `--help`."""
        return [*super().list_commands(ctx), *_ELSEWHERE]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """What `--help` needs to know of a command; None if there is none of that name."""
        if cmd_name in _ELSEWHERE:
            return TyperCommand(cmd_name, help=_ELSEWHERE[cmd_name][2])
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command to run, imported now."""
        name, rest = args[0], args[1:]
        if name not in _ELSEWHERE:
            return super().resolve_command(ctx, args)
        module, application, _ = _ELSEWHERE[name]
        command = typer.main.get_command(getattr(import_module(module), application))
        command.name = name
        return name, command, rest


app = typer.Typer(
    cls=_Lazy,
    name="relance",
    help="relance on one machine: no account, no key, no network.",
    epilog="Exit codes: 0 all well, 1 something was found wrong, 2 bad use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def relance() -> None:
    """Chosen by its subcommands; this only makes Typer treat the application as a group."""


def _known_channel(value: str) -> str:
    if value not in CHANNELS:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(CHANNELS)}")
    return value


@app.command()
def replay(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Payload files, or folders of them (*.json at any depth, sorted)."),
    ],
    channel: Annotated[
        str,
        typer.Option(
            "--channel", "-c", callback=_known_channel, metavar="CHANNEL", help="whatsapp, messenger or instagram."
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per file: file, status, counted, kept, effects.")
    ] = False,
) -> None:
    """Sign and post webhook payloads to the local stack, each on a fresh one, and say what became of them.

    The clock stands one second after the latest time in the file, or at 2026-01-15T12:00Z if it names none.

    Exits 1 if a file was not answered with 200, and 2 if there is nothing to replay.
    """
    # Here, not above: the stack takes half a second to import, and `--help` should not wait for it.
    from local.replay import NothingToReplay, Replayed, files_of
    from local.replay import replay as replay_files

    try:
        files = files_of(paths)
    except NothingToReplay as error:
        typer.echo(f"relance replay: {error}", err=True)
        raise typer.Exit(BAD_USE) from None
    show: Callable[[Replayed], str] = Replayed.as_json if as_json else _aligned(max(len(str(each)) for each in files))
    seen: list[Replayed] = []
    for result in replay_files(files, channel):
        seen.append(result)
        sys.stdout.write(show(result) + "\n")
        sys.stdout.flush()
    refused = sum(result.status != 200 for result in seen)
    if not as_json:
        counted, kept = sum(result.counted for result in seen), sum(result.kept for result in seen)
        typer.echo(f"\n{_many(len(seen), 'file')}: {counted} counted, {kept} kept, {refused} not answered with 200")
    if refused:
        raise typer.Exit(FOUND_WRONG)


@app.command()
def demo(
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Random people instead of the hand-made ones; the same for the same N."),
    ] = None,
    people: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How many random people; thousands take minutes.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line, in time order, as outside observers saw it.")
    ] = False,
) -> None:
    """Live through a fortnight of conversations in virtual time, and check the promises.

    Signed webhooks go in, follow-ups come out: who was written to, when on their own clock, by which route, with what
    text; who was not, and why. Then the promises are checked against what the platforms really received.

    Exits 0 if all promises were kept, 1 if one was broken, 2 on bad use.
    """
    from local.demo import run

    raise typer.Exit(run(seed=seed, people=people, json_lines=as_json))


def _aligned(width: int) -> Callable[[Any], str]:
    def line(result: Any) -> str:
        effects = " ".join(result.effects) or "-"
        return f"{result.file:<{width}}  {result.status}  {result.counted} counted  {result.kept} kept  {effects}"

    return line


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def main() -> None:
    """The entry point of the command."""
    app()


if __name__ == "__main__":
    main()
