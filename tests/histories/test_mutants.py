"""Senders broken on purpose, each caught by the histories within their default budget; `tests.mutants` says how."""

import pytest
from hypothesis import Phase

from tests import mutants
from tests.histories.living import LONG, live

NEVER_MEANWHILE = ("never after no", "never while a human has it", "quiet long enough", "off means off")
CAUGHT = [
    (mutants.reserves_after_it_delivers, ("never two",)),
    (mutants.repeats_an_unknown_outcome, ("never two",)),
    (mutants.takes_no_lease, ("one copy a lease",)),
    (mutants.stops_the_timer_where_it_should_lease_it, ("never lost", "one copy a lease")),
    (mutants.reserves_whatever_has_changed, NEVER_MEANWHILE),
    (mutants.knows_no_cooldown, ("not crowded",)),
    (mutants.leaves_no_margin, ("inside the window less its margin",)),
    (mutants.forgets_who_changed_their_id, ("never two", "never after no", "not crowded")),
]
# Found within the default budget as well, but it takes them a quarter of a minute each.
CAUGHT_SLOWLY = [
    (mutants.repeats_what_a_dead_one_had_reserved, ("never two",)),
    (mutants.counts_a_message_each_time_it_comes, ("earned", "off means off", "in time", "quiet long enough")),
]


@pytest.mark.parametrize(
    ("mutant", "promises"),
    [*CAUGHT, *(CAUGHT_SLOWLY if LONG else [])],
    ids=lambda given: given.__name__ if callable(given) else "",
)
def test_a_mutant_is_caught_that(town, starts, monkeypatch, mutant, promises):
    """The first history that breaks a promise breaks one of those that the mistake is about."""
    mutant(monkeypatch)
    with pytest.raises(AssertionError) as found:
        live(town, starts, Phase.generate)
    assert any(promise in str(found.value) for promise in promises)
