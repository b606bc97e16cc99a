"""How long the guards take, on one core and with everything loaded: `make bench`.

What is timed are the functions that the handlers call, on the judging sets under `tests/cases`: each text once a round,
in another order each round, and each text's median of all rounds. The bars are those the project has set itself: 2 ms
for a draft and 150 µs for signals, both at the median. Exit code 1 above a bar.
"""

import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from local import evaluation
from local.evaluation import Case
from relance.guard import signals
from relance.interaction import Side

CASES = Path(__file__).parent.parent / "tests/cases"
ROUNDS = 9
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
    talks = [case for case in cases if case.kind == evaluation.CONVERSATION]
    turns = [turn.text for case in talks for turn in case.turns if turn.side is Side.USER]
    return {
        "signals of a user's turn": timed([lambda text=text: signals.read(text) for text in turns]),
        "gates of a draft": timed([lambda case=case: evaluation.refused_by(case) for case in messages]),
        "gates of a conversation": timed([lambda case=case: evaluation.refused_by(case) for case in talks]),
    }


def main() -> int:
    """Print median, 95th percentile and maximum of each; 1 if a median is above its bar."""
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
    if above:
        sys.stderr.write(f"above the bar: {', '.join(above)}\n")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
