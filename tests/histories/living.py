"""So many histories, from a seed that is always told.

RELANCE_LONG=1 lives thousands instead of a sample. RELANCE_SEED=n repeats a run, or makes another one; each test prints
its seed and its figures (`pytest -s` shows them).
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.histories.machine import LUCKS, Histories
from tests.histories.town import Town

LONG = os.environ.get("RELANCE_LONG", "") not in ("", "0")
SEED = int(os.environ.get("RELANCE_SEED", "20260115"))
# After each kind of bad luck: the plainest history, and so many more.
HISTORIES = 60 if LONG else 2
STEPS = 20 if LONG else 8

type Starts = Mapping[str, Callable[[], None]]


def live(town: Town, starts: Starts, *phases: Phase) -> Counter[str]:
    """Live some histories after each kind of bad luck; what was counted. AssertionError: what one of them broke."""
    counts: Counter[str] = Counter()
    lucks = list(LUCKS)
    random.Random(SEED).shuffle(lucks)
    how = settings(
        max_examples=HISTORIES,
        stateful_step_count=STEPS,
        derandomize=False,  # the seed decides
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    since = time.perf_counter()
    try:
        for number, luck in enumerate(lucks):
            its = {"town": town, "starts": starts, "counts": counts, "first_luck": luck}
            run_state_machine_as_test(seed(SEED + number)(type("Histories", (Histories,), its)), settings=how)
    finally:
        figures = ", ".join(f"{number} {what}" for what, number in counts.items())
        again = f'RELANCE_SEED={SEED}{" RELANCE_LONG=1" if LONG else ""} make test TESTS="tests/histories"'
        print(f"\n{figures} in {time.perf_counter() - since:.1f} s; to repeat: {again}")  # noqa: T201
    return counts
