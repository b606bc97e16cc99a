import os
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.histories.machine import Histories, chapters
from tests.histories.town import Town

LONG = os.environ.get("RELANCE_LONG", "") not in ("", "0")
SEED = int(os.environ.get("RELANCE_SEED", "20260115"))
EXAMPLES = 4_000 if LONG else int(os.environ.get("EX", 60))


@pytest.fixture(scope="module")
def town():
    with Town() as running:
        yield running


@pytest.fixture(scope="module")
def starts(town):
    return town.do(chapters, town)


def lived(town, starts, *, examples=EXAMPLES, shrink=True):
    counts = Counter()
    machine = seed(SEED)(type("Histories", (Histories,), {"town": town, "starts": starts, "counts": counts}))
    since = time.perf_counter()
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=20,
                derandomize=False,
                database=None,
                deadline=None,
                phases=phases,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        print(f"\n{dict(counts)} in {time.perf_counter() - since:.1f} s (seed {SEED})")
    return counts


def test_histories_break_no_promise(town, starts):
    counts = lived(town, starts)
