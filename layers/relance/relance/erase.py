"""The eraser's verb: carry out wishes of one message, and forget a person but for the marks that protect them."""

from collections.abc import Mapping
from dataclasses import dataclass

from relance.erasures import Erasure, Forget, Wish
from relance.errors import TemporaryFailure
from relance.interaction import MINUTE
from relance.pair import EVERY_BOT
from relance.store.people import PeopleStore
from relance.store.tables import Item, number, text

# A sender that reserved so recently may still be about to keep what it sent (its function runs for a minute at most).
_IN_FLIGHT = 2 * MINUTE


@dataclass(frozen=True, slots=True)
class Erased:
    """What one erasure did: rows of conversations that were changed, people forgotten (0: it was a repeat)."""

    texts: int = 0
    people: int = 0


def erase(erasure: Erasure, *, people: PeopleStore, now: int) -> Erased:
    """Carry out one erasure. Safe to repeat; raises TemporaryFailure when it must be tried again."""
    match erasure:
        case Wish(user, bot):
            return Erased(texts=people.carry_out_wishes([(key, bot) for key in people.rows_of(user)]))
        case Forget(user, at):
            return _forget(user, now if at is None else min(at, now), people, now)


def _forget(user: str, at: int, people: PeopleStore, now: int) -> Erased:
    """Forget a person under all their keys.

    What stays: the key (a keyed hash), the stop that this request sets, the mark of a minor, and that and when a
    follow-up was spent. Neither address nor text. The order is the promise: first the person can no longer be written
    to (the marks), then nothing queued finds its pair (register and timer), then the words go.
    """
    rows = people.rows_of(user)
    if _was_done(rows[user], at):
        return Erased()
    for key in rows:
        people.strip_person(key, at)
    pairs = [row for found in rows.values() for row in found if text(row, "bot") != EVERY_BOT]
    for row in pairs:
        people.strip_pair(row, at, now)
    bots = {text(row, "bot") for row in pairs} | people.bots() - {EVERY_BOT}
    texts = sum(people.empty((key, bot), now) for key in rows for bot in sorted(bots))
    if any(_is_in_flight(row, now) for row in pairs):
        raise TemporaryFailure("a follow-up was being delivered: what it said is erased at the next attempt")
    for key in rows:
        people.finish(key, at)
    return Erased(texts, people=1)


def _was_done(rows: list[Item], at: int) -> bool:
    return any(text(row, "bot") == EVERY_BOT and (number(row, "erased_at") or -1) >= at for row in rows)


def _is_in_flight(row: Mapping[str, Mapping[str, str]], now: int) -> bool:
    return text(row, "outcome") == "reserved" and now - (number(row, "used_at") or 0) < _IN_FLIGHT
