"""A day of load and faults on the local stack: nothing that was answered 200 is lost, nobody is written to twice.

`make load` lives a long day and prints its figures; here, within half a minute, a short one. RELANCE_SEED=n repeats a
day. What the figures are not: a speed. moto and virtual time say nothing of Lambda's.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import pytest

from relance.errors import TemporaryFailure
from relance.outcome import OutcomeClass
from relance.receive import Webhook
from relance.send import Sender
from relance.store.interactions import InteractionStore
from relance.store.pairs import PairStore
from tests.load.storm import (
    AMBIGUOUS,
    CHANNELS,
    FOUL,
    POISON,
    POISON_MESSAGES,
    Day,
    Message,
    Storm,
    judge,
    live,
    plan,
)

LONG = os.environ.get("RELANCE_LONG", "") not in ("", "0")
SEED = int(os.environ.get("RELANCE_SEED", "20260115"))
PEOPLE, HOT = (300, 400) if LONG else (30, 70)
SMALL, SMALL_HOT = 30, 61


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """One day, lived once for all tests of this module: the world at its end, the plan, and what was found."""
    since = time.perf_counter()

    def progress(words: str) -> None:
        sys.stderr.write(f"{time.perf_counter() - since:7.1f} s  {words}\n")

    with Storm(SEED) as storm:
        day = plan(storm, people=PEOPLE, hot=HOT)
        found = live(storm, day, progress)
        yield {"storm": storm, "day": day, "found": found}


def test_nothing_is_lost_and_nobody_is_written_to_twice(told) -> None:
    """Webhooks, sweeps and sends under faults, the dead-letter queue redriven twice: the judge finds nothing."""
    show(told["storm"], told["day"])

    assert told["found"] == []
    assert told["storm"].ledger.unknown <= 2 + len(told["day"].people) // 50


def test_every_fault_really_happened(told) -> None:
    """Else the day would prove nothing: each kind of refusal, lost answers, parts of batches, dead letters."""
    ledger, day = told["storm"].ledger, told["day"]

    assert ledger.statuses["502"] > 0
    assert ledger.statuses.keys() == {"200", "502"}
    for fault in ("dynamodb: ThrottlingException", "dynamodb: ProvisionedThroughputExceededException",
                  "dynamodb: UnprocessedKeys", "dynamodb: answer lost", "sqs: Failed", "bedrock-runtime: timeout",
                  "bedrock-runtime: ThrottlingException"):  # fmt: skip
        assert ledger.faults[fault] > 0, fault
    assert ledger.dead > len(POISON_MESSAGES) and ledger.redriven > ledger.dead
    assert {post.poison for post in day.posts} >= POISON.keys()
    assert {someone.kind for someone in day.people} == {"earns", "four", "stops", "hot"}
    assert {someone.channel for someone in day.people} == {*CHANNELS}
    assert set(day.troubles.values()) & set(AMBIGUOUS) and set(day.troubles.values()) - set(AMBIGUOUS)


def test_the_judge_notices_what_is_wrong(told) -> None:
    """One message that nobody posted, one person written to once more, a follow-up that never came."""
    storm, day = told["storm"], told["day"]
    someone = next(one for one in day.people if one.kind == "earns" and one.user not in day.troubles)

    def with_(other) -> Day:
        return Day(tuple(other if one is someone else one for one in day.people), day.posts, day.troubles)

    more = type(someone)(
        someone.channel, someone.user, someone.kind, (*someone.messages, Message("m_lost", storm.now, "hello?"))
    )
    four = type(someone)(someone.channel, someone.user, "four", someone.messages)
    stranger = type(someone)(someone.channel, "9999999999999999", "earns", someone.messages)
    assert {"never lost", "counted once"} <= promises(judge(storm, with_(more)))
    assert "never unearned, never after no" in promises(judge(storm, with_(four)))
    assert {"never lost", "never forgotten", "never unearned"} <= promises(judge(storm, with_(stranger)))
    storm.graph.accepted.append(storm.graph.accepted[0])
    try:
        assert "never two" in promises(judge(storm, day))
    finally:
        storm.graph.accepted.pop()


def kinds(found) -> Counter[str]:
    """How often each promise was found broken."""
    return Counter(each.partition(":")[0] for each in found)


def promises(found) -> set[str]:
    """Which promises were found broken."""
    return {*kinds(found)}


@pytest.mark.skipif(not LONG, reason="a second day, lived in `make load`")
def test_while_receipts_fail_all_day_some_are_not_written_to_and_nobody_twice() -> None:
    """A webhook that fails holds everything for an hour (decision 0008). That is all that may come of it: silence."""
    with Storm(SEED) as storm:
        day = plan(storm, people=150, hot=SMALL_HOT)
        found = live(storm, day, daytime=FOUL)

    earned = sum(someone.kind == "earns" for someone in day.people)
    print(f"\nreceipts fail all day: {len(storm.graph.accepted)} of {earned} written to; {kinds(found)}")  # noqa: T201
    assert promises(found) <= {
        "never forgotten",
        "unknown is never sent again",
        "never stuck",
        "one answer per silence",
    }
    assert {said.to for said in storm.graph.accepted} <= {one.user for one in day.people if one.kind == "earns"}
    assert max(Counter(said.to for said in storm.graph.accepted).values()) == 1


# ── the code, broken ────────────────────────────────────────────────────────────────────────────────────────────


def answers_200_whatever_happens() -> AbstractContextManager[Any]:
    receive = Webhook.receive

    def hasty(webhook: Webhook, event: dict[str, Any]) -> dict[str, Any]:
        try:
            return receive(webhook, event)
        except TemporaryFailure:
            return {"statusCode": 200, "body": ""}

    return mock.patch.object(Webhook, "receive", hasty)


def sends_what_may_have_arrived_again() -> AbstractContextManager[Any]:
    record = Sender._record

    def eager(sender: Sender, case: Any, message: Any, outcome: Any) -> Any:
        if outcome.kind is OutcomeClass.UNKNOWN:
            return sender._release(case, message, outcome, ("", ""))
        return record(sender, case, message, outcome)

    return mock.patch.object(Sender, "_record", eager)


def stops_the_timer_before_the_queue_has_it() -> AbstractContextManager[Any]:
    lease = PairStore.lease
    return mock.patch.object(PairStore, "lease", lambda store, pair, until: lease(store, pair, until + 365 * 86_400))


def forgets_the_rest_of_a_batch() -> AbstractContextManager[Any]:
    def hasty(store: PairStore, keys: Any, *, consistent: bool) -> Any:
        wanted = [{"user": {"S": user}, "bot": {"S": bot}} for user, bot in keys]
        answer = store._db.call(
            "BatchGetItem", {"RequestItems": {store._table: {"Keys": wanted, "ConsistentRead": consistent}}}
        )
        return answer["Responses"].get(store._table, [])

    return mock.patch.object(PairStore, "_batch_get", hasty)


def keeps_a_message_under_the_time_of_its_arrival() -> AbstractContextManager[Any]:
    keep, arrivals = InteractionStore.keep, iter(range(10**9))

    def late(store: InteractionStore, *where: str, at: int, **what: Any) -> None:
        keep(store, *where, at=at + next(arrivals), **what)

    return mock.patch.object(InteractionStore, "keep", late)


MUTANTS: tuple[Callable[[], AbstractContextManager[Any]], ...] = (
    answers_200_whatever_happens,
    sends_what_may_have_arrived_again,
    stops_the_timer_before_the_queue_has_it,
    forgets_the_rest_of_a_batch,
    keeps_a_message_under_the_time_of_its_arrival,
)


@pytest.mark.skipif(not LONG, reason="the broken code lives its days in `make load`")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_broken_code_is_found_out(mutant) -> None:
    """Each of these has been somebody's honest mistake somewhere; a day in bad weather shows it."""

    with mutant(), Storm(SEED) as storm:
        found = live(storm, plan(storm, people=SMALL, hot=SMALL_HOT, trouble=0.5))

    print(f"\n{mutant.__name__}: {kinds(found)}")  # noqa: T201
    assert found != []


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────


def show(storm: Storm, day: Day) -> None:
    """The figures of the day, for whoever runs with `-s`."""
    ledger = storm.ledger
    messages = sum(len(someone.messages) for someone in day.people)
    figures = {
        "people": len(day.people),
        "messages, and of the hot pair": (messages, max(len(someone.messages) for someone in day.people)),
        "POSTs, with duplicates": (len(day.posts), sum(post.copies for post in day.posts)),
        "poison bodies": sum(bool(post.poison) for post in day.posts),
        "answers to POSTs, receipts among them": dict(ledger.statuses),
        "written to": len(storm.graph.accepted),
        "requests that the Graph API saw": len(storm.graph.requests),
        "tried, and what became of it could not be written": ledger.unknown,
        "trouble with the Graph API": dict(Counter(day.troubles.values())),
        "invocations that failed": dict(Counter(failure.function for failure in storm.failures)),
        "dead letters before noon, redriven in all": (ledger.dead, ledger.redriven),
        "faults injected": dict(sorted(ledger.faults.items())),
        "seed": SEED,
    }
    for name, figure in figures.items():
        sys.stdout.write(f"{name}: {figure}\n")
