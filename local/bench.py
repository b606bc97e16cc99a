"""How long the guards take, on one core and with everything loaded: `make bench`.

What is timed are the functions that the handlers call, on the judging sets under `tests/cases`, of conversations one in
ten: each text once a round, in another order each round, and each text's median of all rounds. The bars are those the
project has set itself: 2 ms for a draft and 150 µs for signals, both at the median. Exit code 1 above a bar.

Behind the table: what the first judgement of a process costs, which reads weights and phrases, each in a process anew.
"""

import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from local import evaluation
from local.evaluation import Case
from relance.guard import signals
from relance.interaction import Side, Turn
from relance.persona import LANGUAGES

CASES = Path(__file__).parent.parent / "tests/cases"
ROUNDS = 9
# Every tenth conversation: there are thousands, and each takes milliseconds.
ONE_IN = 10
# In microseconds, at the median of all texts; None: only shown.
BARS = {"signals of a user's turn": 150, "gates of a draft": 2_000, "gates of a conversation": None}


def timed(calls: Sequence[Callable[[], object]]) -> list[float]:
    """Each call's median time in microseconds of CPU, so that a neighbour's load does not count."""
    taken: list[list[float]] = [[] for _ in calls]
    chance = random.Random(0)
    for _ in range(ROUNDS + 1):  # the first round compiles patterns
        for number in chance.sample(range(len(calls)), len(calls)):
            begin = time.process_time_ns()
            calls[number]()
            taken[number].append((time.process_time_ns() - begin) / 1_000)
    return [statistics.median(each[1:]) for each in taken]


def measured(cases: Sequence[Case]) -> dict[str, list[float]]:
    """Times by what is timed."""
    messages = [case for case in cases if case.kind == evaluation.MESSAGE]
    talks = [case for case in cases if case.kind == evaluation.CONVERSATION][::ONE_IN]
    turns = [turn.text for case in talks for turn in case.turns if turn.side is Side.USER]
    return {
        "signals of a user's turn": timed([lambda text=text: signals.read(text) for text in turns]),
        "gates of a draft": timed([lambda case=case: evaluation.refused_by(case) for case in messages]),
        "gates of a conversation": timed([lambda case=case: evaluation.refused_by(case) for case in talks]),
    }


def first_judgement(languages: Sequence[str]) -> tuple[float, float]:
    """Milliseconds of CPU and megabytes that judging a first conversation and draft in each language takes."""
    child = subprocess.run(
        [sys.executable, "-m", "local.bench", *languages], capture_output=True, text=True, check=True
    )
    milliseconds, megabytes = child.stdout.split()
    return float(milliseconds), float(megabytes)


_FIRST_WORDS = {
    "en": "Tell me more about the lighthouse, I would like that",
    "fr": "Parle-moi encore du phare, cela me plairait bien",
    "es": "Cuéntame más sobre el faro, me gustaría mucho",
    "pt": "Me fala mais sobre o farol, eu gostaria muito",
    "de": "Erzähl mir noch mehr über den Leuchtturm, das wäre schön",
}


def _judge_first(languages: Sequence[str]) -> None:
    begin, before = time.process_time(), _resident()
    for language in languages:
        text = _FIRST_WORDS[language]
        turns = (Turn(Side.USER, evaluation.NOW - evaluation.SILENCE, text),)
        evaluation.refused_by(Case("", evaluation.CONVERSATION, language, blocked=False, label="", turns=turns))
        evaluation.refused_by(Case("", evaluation.MESSAGE, language, blocked=False, label="", text=text))
    grown = _resident() - before
    sys.stdout.write(f"{(time.process_time() - begin) * 1_000:.0f} {grown / 1e6:.0f}\n")


def _resident() -> int:
    """Bytes of memory that the process holds now; 0 where the system does not tell it this way."""
    told = Path("/proc/self/statm")
    return int(told.read_text(encoding="ascii").split()[1]) * resource.getpagesize() if told.exists() else 0


def main() -> int:
    """Print median, 95th percentile and maximum of each; 1 if a median is above its bar."""
    if sys.argv[1:]:
        _judge_first(sys.argv[1:])
        return 0
    cases = evaluation.read(sorted(CASES.glob("*.jsonl")))
    above = []
    sys.stdout.write(f"{'µs of CPU':28}{'texts':>7}{'median':>9}{'95 %':>9}{'most':>9}{'bar':>9}\n")
    for name, times in measured(cases).items():
        median = statistics.median(times)
        last = statistics.quantiles(times, n=20)[-1]
        bar = BARS[name]
        sys.stdout.write(f"{name:28}{len(times):7}{median:9.0f}{last:9.0f}{max(times):9.0f}{bar or '-':>9}\n")
        if bar is not None and median > bar:
            above.append(name)
    for languages in (LANGUAGES[:1], LANGUAGES):
        milliseconds, megabytes = first_judgement(languages)
        named = ", ".join(languages)
        sys.stdout.write(f"first judgement in {named}: {milliseconds:.0f} ms of CPU, {megabytes:.0f} MB of memory\n")
    if above:
        sys.stderr.write(f"above the bar: {', '.join(above)}\n")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
