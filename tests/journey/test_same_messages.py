"""Whatever the plumbing does, people receive the same messages, once."""

import contextlib

import pytest

from local.stack import LocalStack
from relance.outbox import Outbox
from relance.store.pairs import PairStore
from tests.journey.scene import a_stack, broken, excerpt, lived, messages, outcomes, thrice_in_disorder

# Written to, twice in a row, held, minor, stopped, back again, and two bots of one person.
PEOPLE = (
    "Amélie Fournier",
    "Imogen Hartley",
    "Teo Cárdenas",
    "Marisol Iturbe",
    "Noé Castel",
    "Jonas Wetterau",
    "Bastien Oriol",
    "Priya Nair",
)


@pytest.fixture(scope="module")
def fortnight():
    return excerpt(PEOPLE, days=4)


@pytest.fixture(scope="module")
def usual(fortnight):
    """The lines of an ordinary run."""
    return lived(fortnight)


def test_the_ordinary_run_writes_to_some_and_not_to_others(usual):
    """Else comparing with it would prove little."""
    assert broken(usual) == []
    assert len(messages(usual)) == 5
    assert len(outcomes(usual)) == len(PEOPLE)


def test_webhooks_delivered_three_times_in_random_order_change_nothing(fortnight, usual):
    lines = lived(thrice_in_disorder(fortnight, 1))
    assert (messages(lines), outcomes(lines), broken(lines)) == (messages(usual), outcomes(usual), [])


def test_two_sweepers_at_once_change_nothing(fortnight, usual, monkeypatch):
    """The second sweeps in the middle of the first: after it has read the pairs, before it writes its verdicts."""
    stack = a_stack(fortnight.start)
    read, sweeping = PairStore.read, []

    def interrupted(self, due, *, consistent):
        found = read(self, due, consistent=consistent)
        if not consistent and not sweeping:
            sweeping.append(True)
            with contextlib.ExitStack() as done:
                done.callback(sweeping.clear)
                stack.sweep()
        return found

    monkeypatch.setattr(PairStore, "read", interrupted)
    lines = lived(fortnight, stack)
    assert (messages(lines), outcomes(lines), broken(lines)) == (messages(usual), outcomes(usual), [])
    assert stack.failures == []


def test_queue_messages_delivered_twice_change_nothing(fortnight, usual, monkeypatch):
    """SQS promises at least once."""
    put = Outbox.put
    monkeypatch.setattr(Outbox, "put", lambda self, pairs: max(put(self, pairs), put(self, pairs)))
    lines = lived(fortnight)
    assert (messages(lines), outcomes(lines), broken(lines)) == (messages(usual), outcomes(usual), [])


def test_all_of_it_at_once_changes_nothing(fortnight, usual, monkeypatch):
    """Three deliveries in disorder, two sweepers, and a queue that repeats itself."""
    put, fire = Outbox.put, LocalStack._fire

    def twice(self, schedule):
        fire(self, schedule)
        fire(self, schedule)

    monkeypatch.setattr(Outbox, "put", lambda self, pairs: max(put(self, pairs), put(self, pairs)))
    monkeypatch.setattr(LocalStack, "_fire", twice)
    lines = lived(thrice_in_disorder(fortnight, 3))
    assert (messages(lines), broken(lines)) == (messages(usual), [])


def test_a_webhook_that_fails_is_delivered_again_and_changes_nothing(usual, fortnight, monkeypatch):
    """Three writes fail on the first day: the webhook answers with an error, and Meta comes again."""
    count, calls = PairStore.count, []

    def shaky(self, *given, **named):
        calls.append(1)
        if len(calls) in (3, 9, 10):
            raise RuntimeError("broken on purpose")
        return count(self, *given, **named)

    monkeypatch.setattr(PairStore, "count", shaky)
    stack = a_stack(fortnight.start)
    lines = lived(fortnight, stack)
    assert len(stack.failures) == 3
    assert (messages(lines), outcomes(lines), broken(lines)) == (messages(usual), outcomes(usual), [])
