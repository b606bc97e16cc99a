"""Follow-up senders broken on purpose, one mistake each: whoever tests the promises must see them.

Each takes pytest's `monkeypatch` and breaks relance until the test ends.
"""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from relance import rules
from relance.outcome import Outcome, OutcomeClass
from relance.pair import Pair
from relance.send import Result, Sender, Sent
from relance.store import pairs as store
from relance.store.pairs import Due, PairStore

type Patch = pytest.MonkeyPatch

HOUR = 3_600
FOR_EVER = 1 << 33


def reserves_after_it_delivers(patch: Patch) -> None:
    """A sender that dies in between has written, and nobody knows it."""
    reserve, deliver = PairStore.reserve, Sender._deliver
    asked: list[tuple[Any, ...]] = []

    def later(pairs: PairStore, *given: Any, **named: Any) -> tuple[str, ...]:
        asked.append((pairs, given, named))
        return ()

    def reserved_last(sender: Sender, *given: Any) -> Result:
        record = Sender._record

        def now(sender: Sender, *recorded: Any) -> Result:
            pairs, judged, named = asked.pop()
            reserve(pairs, *judged, **named)
            return record(sender, *recorded)

        with patch.context() as inner:
            inner.setattr(Sender, "_record", now)
            return deliver(sender, *given)

    patch.setattr(PairStore, "reserve", later)
    patch.setattr(Sender, "_deliver", reserved_last)


def repeats_an_unknown_outcome(patch: Patch) -> None:
    """The connection was reset after the platform had taken the message: it looks as if nothing had happened.

    Receipts are deaf here: one that comes before the timer rings again would take the mark back and make it harmless.
    """
    patch.setattr(PairStore, "settle", lambda *_, **__: None)
    record = Sender._record

    def again(sender: Sender, case: Any, message: Any, outcome: Outcome) -> Result:
        if outcome.kind is OutcomeClass.UNKNOWN:
            return sender._release(case, message, outcome, ("", ""))
        return record(sender, case, message, outcome)

    patch.setattr(Sender, "_record", again)


def repeats_what_a_dead_one_had_reserved(patch: Patch) -> None:
    """The same mistake after a crash, when no receipt tells what became of it: nobody was reached, it says."""

    def given_back(sender: Sender, pair: Pair | None, now: int) -> Result:
        if pair is not None and pair.outcome == "reserved":
            (person,) = sender.pairs.read([Due(pair.user, pair.bot)], consistent=True)[1].values()
            sender.pairs.release(
                replace(pair, used_at=None),
                replace(person, last_follow_up_at=None),
                follow_up_id=pair.follow_up_id,
                due_at=now,
                reason="",
                now=now,
                expires_at=now + HOUR,
            )
        return Result(Sent.NOTHING_TO_DO)

    patch.setattr(Sender, "_nothing_to_do", given_back)


def stops_the_timer_where_it_should_lease_it(patch: Patch) -> None:
    """A sweeper that dies before the queue has the pair leaves no timer that could ring again."""
    lease = PairStore.lease
    patch.setattr(PairStore, "lease", lambda pairs, pair, until: lease(pairs, pair, until + 365 * 24 * HOUR))


def takes_no_lease(patch: Patch) -> None:
    """Nobody is written to twice, for the reservation holds; but each sweep queues again what is still in flight."""
    patch.setattr(PairStore, "lease", lambda *_: True)


def reserves_whatever_has_changed(patch: Patch) -> None:
    """It reads everything anew and takes it as it is: a stop between judging and reserving changes nothing for it."""
    reserve = PairStore.reserve

    def careless(pairs: PairStore, pair: Pair, person: Any, **named: Any) -> tuple[str, ...]:
        due = Due(pair.user, pair.bot)
        found, persons = pairs.read([due], consistent=True)
        return reserve(pairs, found[due], replace(persons[due.user], consent_at=FOR_EVER), **named)

    patch.setattr(PairStore, "reserve", careless)


def counts_a_message_each_time_it_comes(patch: Patch) -> None:
    """Meta delivers again what was not answered in time."""
    entry, again = store.entry, itertools.count()
    patch.setattr(store, "entry", lambda at, message_id: entry(at, f"{message_id}/{next(again)}"))


def knows_no_cooldown(patch: Patch) -> None:
    """Each bot for itself: two of them write to one person in a fortnight."""
    reserve = PairStore.reserve
    patch.setattr(rules, "DATA_GATES", tuple(gate for gate in rules.DATA_GATES if gate[0] != "cap"))
    patch.setattr(PairStore, "reserve", lambda *given, **named: reserve(*given, **{**named, "cooldown": -FOR_EVER}))


def leaves_no_margin(patch: Patch) -> None:
    """The window is used to its last second, though queue and model take time."""
    routes = rules.routes

    def to_the_end(pair: Pair, person: Any, bot: Any, given: Any) -> list[rules.Route]:
        return routes(pair, person, bot, replace(given, margin=0))

    patch.setattr(rules, "routes", to_the_end)


def forgets_who_changed_their_id(patch: Patch) -> None:
    """The conversation under the new id begins from nothing, without the mark that the follow-up was used."""
    patch.setattr(PairStore, "move", lambda *_, **__: [])
