"""Histories: whatever people, the operator and bad luck do, in whatever order, the promises of the follow-up hold.

Hypothesis makes up histories (`tests.histories.machine`) and lives them in a town of the real handlers on the local
stack; a judge that shares nothing with relance reads the journal of each.

RELANCE_LONG=1 lives thousands instead of a sample. RELANCE_SEED=n repeats a run, or makes another one; each test
prints its seed and its figures (`pytest -s` shows them), and a failure prints the shortest history that fails.
"""

import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests import mutants
from tests.histories.machine import LUCKS, Histories, chapters
from tests.histories.town import Town

LONG = os.environ.get("RELANCE_LONG", "") not in ("", "0")
SEED = int(os.environ.get("RELANCE_SEED", "20260115"))
# After each kind of bad luck: the plainest history, and so many more.
HISTORIES = 60 if LONG else 2
STEPS = 20 if LONG else 8

type Starts = Mapping[str, Callable[[], None]]


@pytest.fixture(scope="module", autouse=True)
def _no_logs() -> Iterator[None]:
    """Nobody reads them here, and pytest keeps every line of thousands of invocations."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """One town for the module: each history begins at a chapter of its story."""
    with Town() as running:
        yield running


@pytest.fixture(scope="module")
def starts(town: Town) -> Starts:
    """Where histories begin."""
    return town.do(chapters, town)


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


def test_histories_break_no_promise(town, starts):
    """Never two, never outside the rules, never after no, never lost."""
    counts = live(town, starts, Phase.generate, Phase.shrink)
    # Else there was nothing to judge.
    assert counts["requests"] > counts["histories"]
    assert counts["due silences"] > counts["histories"] / 2


@pytest.mark.parametrize(
    ("mutant", "promises"),
    [
        (mutants.reserves_after_it_delivers, ("never two",)),
        (mutants.repeats_an_unknown_outcome, ("never two",)),
        (mutants.takes_no_lease, ("one copy a lease",)),
        (mutants.repeats_what_a_dead_one_had_reserved, ("never two",)),
        (mutants.stops_the_timer_where_it_should_lease_it, ("never lost", "one copy a lease")),
        (mutants.reserves_whatever_has_changed, ("never after no",)),
        (mutants.counts_a_message_each_time_it_comes, ("earned",)),
        (mutants.knows_no_cooldown, ("not crowded",)),
        (mutants.leaves_no_margin, ("inside the window less its margin",)),
        (mutants.forgets_who_changed_their_id, ("never two",)),
    ],
    ids=lambda given: given.__name__ if callable(given) else "",
)
def test_a_mutant_is_caught_that(town, starts, monkeypatch, mutant, promises):
    """Within the budget of the test above: a sender broken on purpose, as `tests.mutants` says."""
    mutant(monkeypatch)
    with pytest.raises(AssertionError) as found:
        live(town, starts, Phase.generate)
    assert any(promise in str(found.value) for promise in promises)
