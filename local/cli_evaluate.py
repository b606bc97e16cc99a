"""`relance evaluate`: how much the guard catches, misses and wrongly refuses, on labelled cases of your own."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from local import evaluation
from local.evaluation import Case

FOUND_WRONG, BAD_USE = 1, 2
# From so many cases on it takes long enough to wonder; and so many wrong lines are enough to go and look.
LONG_WORK = 2_000
MOST_PROBLEMS = 20

app = typer.Typer(name="evaluate", add_completion=False)


def _share(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= 1:  # also what is no number
        raise typer.BadParameter(f"{value} is not between 0 and 1")
    return value


@app.command(epilog="Exit codes: 0 all well or no bars given, 1 below a bar, 2 bad use or a bad line.")
def evaluate(
    paths: Annotated[list[Path], typer.Argument(metavar="CASES.jsonl", help="Labelled cases, one JSON object a line.")],
    min_caught: Annotated[
        float | None,
        typer.Option(callback=_share, metavar="RATE", help="Least share of what must be refused, such as 0.97."),
    ] = None,
    max_refused: Annotated[
        float | None,
        typer.Option(callback=_share, metavar="RATE", help="Most of what must pass, such as 0.15."),
    ] = None,
    show_ids: Annotated[
        bool, typer.Option("--show-ids", help="Name the cases missed and wrongly refused, and the gate that refused.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of the tables.")] = False,
) -> None:
    """Run the real gates on labelled messages and conversations, and say what they catch, miss and wrongly refuse.

    A message is {id, text, lang, verdict: allow|block, category, context?}: the body of a follow-up. A conversation is
    {id, turns: [{role: user|bot|agent, text}], lang, verdict: follow_up|skip, reason}. Both may stand in one file.

    Every rate has its Wilson interval; the bars hold for messages and conversations together. No network, no model.
    """
    try:
        cases = evaluation.read(paths)
    except evaluation.BadCases as bad:
        for problem in bad.problems[:MOST_PROBLEMS]:
            _say(problem)
        if len(bad.problems) > MOST_PROBLEMS:
            _say(f"and {len(bad.problems) - MOST_PROBLEMS} more")
        _say("relance evaluate: nothing was judged; `relance evaluate --help` shows the shapes")
        raise typer.Exit(BAD_USE) from None
    report = evaluation.evaluate(cases, _watched(len(cases)))
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        typer.echo(_printable(evaluation.as_text_table(report)))
        if show_ids:
            typer.echo("\n" + _printable(evaluation.as_id_list(report)))
    if report.failures:
        _say(f"relance evaluate: a gate failed on {report.failures} of them, which counts as refused: a fault to mend")
    below = evaluation.below_bars(report, min_caught=min_caught, max_refused=max_refused)
    for bar in below:
        _say(f"below the bar: {bar}")
    if below:
        raise typer.Exit(FOUND_WRONG)


def _watched(total: int) -> Callable[[Case], str | None]:
    """The real gates; with a line on a terminal's standard error that counts, when there is a lot to judge."""
    if total <= LONG_WORK or not sys.stderr.isatty():
        return evaluation.refused_by
    done = 0

    def judged(case: Case) -> str | None:
        nonlocal done
        done += 1
        if done % 100 == 0 or done == total:
            sys.stderr.write(f"\r{done} of {total}" + ("\n" if done == total else ""))
            sys.stderr.flush()
        return evaluation.refused_by(case)

    return judged


def _say(problem: str) -> None:
    typer.echo(_printable(problem), err=True)


def _printable(text: str) -> str:
    """Half a surrogate pair in an id can be read from JSON, and written nowhere."""
    return text.encode("utf-8", "replace").decode()
