"""The reservation in real concurrency, on an engine whose transactions isolate: what says no, wins."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.template import TABLE, Template
from relance.bot import Bot
from relance.errors import TemporaryFailure
from relance.pair import EVERY_BOT, Pair, Person, entry
from relance.store.bots import BotStore
from relance.store.pairs import Due, PairStore
from relance.store.tables import Database
from tests.emulator import Emulator, emulator

NOW = 1_768_478_400
COOLDOWN = 14 * 86_400
SENDERS = 8
CROWD = 32
BOTS = ("1001", "1002")


@dataclass(frozen=True)
class Tables:
    """The tables of template.yaml on the emulator; each thread has stores of its own, as each function does."""

    aws: Emulator
    pairs: str
    bots: str

    def stores(self) -> tuple[PairStore, BotStore]:
        database = Database(read_timeout=20, attempts=1)
        return PairStore(database, self.pairs, shards=2), BotStore(database, self.bots)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    """One emulator for the module, with two live bots."""
    log: Path = tmp_path_factory.mktemp("races") / "ministack.log"
    with pytest.MonkeyPatch.context() as patch, emulator(log) as aws:
        for name, value in aws.environment.items():
            patch.setenv(name, value)
        client = aws.client("dynamodb")
        wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
        for id_, properties in Template().of_type(TABLE).items():
            client.create_table(TableName=id_, **{key: properties[key] for key in wanted if key in properties})
        for bot in BOTS:
            row = {"id": {"S": bot}, "version": {"N": "1"}, "mode": {"S": "live"}, "enabled_at": {"N": "0"}}
            client.put_item(TableName="Bots", Item=row)
        yield Tables(aws, "Pairs", "Bots")


numbers = itertools.count(1)


@pytest.fixture
def user(tables: Tables) -> str:
    """Somebody with five messages to both bots and two running timers."""
    key = f"whatsapp#{next(numbers):032x}"
    pairs, _ = tables.stores()
    for bot in BOTS:
        for i in range(5):
            pair = pairs.count(key, bot, at=NOW - 50 + i, message_id=f"{bot}-{i}", to="x", expires_at=NOW + 86_400)
        assert pairs.start_timer(pair, NOW)
    return key


def judged(pairs: PairStore, bots: BotStore, user: str, bot: str) -> tuple[Pair, Person, Bot]:
    """What a sender has read before it writes."""
    due = Due(user, bot)
    found, persons = pairs.read([due], consistent=True)
    return found[due], persons[user], bots.read([bot], consistent=True)[0][bot]


def reserve(pairs: PairStore, bots: BotStore, seen: tuple[Pair, Person, Bot], id_: str) -> bool:
    """True if the reservation is ours; a conflict is tried again, as the queue would."""
    pair, person, bot = seen
    for _ in range(20):
        try:
            refused = pairs.reserve(
                pair,
                person,
                bot_unchanged=bots.unchanged(bot),
                follow_up_id=id_,
                route="free_form",
                language="en",
                now=NOW,
                cooldown=COOLDOWN,
            )
        except TemporaryFailure:
            continue
        return refused == ()
    return False


def together(acts: list[Callable[[], Any]]) -> list[Any]:
    """Run all acts at the same moment, each in a thread of its own."""
    gate = threading.Barrier(len(acts))

    def act(each: Callable[[], Any]) -> Any:
        gate.wait(timeout=30)
        return each()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(act, acts))


def prepared(tables: Tables, user: str, bot: str, id_: str) -> Callable[[], bool]:
    """A sender that has read and judged, about to reserve."""
    pairs, bots = tables.stores()
    seen = judged(pairs, bots, user, bot)
    return lambda: reserve(pairs, bots, seen, id_)


@pytest.mark.parametrize("attempt", range(5))
def test_of_many_senders_one_reserves(tables: Tables, user: str, attempt: int) -> None:
    """The queue delivered the same pair to eight senders at once."""
    won = together([prepared(tables, user, BOTS[0], f"relance:{attempt}-{i}") for i in range(SENDERS)])

    assert 1 == won.count(True)


def test_of_a_crowd_of_thirty_two_senders_one_reserves(tables: Tables, user: str) -> None:
    """More than the queue ever starts at once."""
    won = together([prepared(tables, user, BOTS[0], f"relance:crowd-{i}") for i in range(CROWD)])

    assert 1 == won.count(True)


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_bots_one_writes_to_the_same_person(tables: Tables, user: str, attempt: int) -> None:
    """The cooldown is on the person: both bots had judged that nobody wrote yet."""
    won = together(
        [prepared(tables, user, BOTS[i % 2], f"relance:{attempt}-{i}") for i in range(SENDERS)],
    )

    assert 1 == won.count(True)


NOES: dict[str, Callable[[PairStore, BotStore, str], Any]] = {
    "a stop": lambda pairs, bots, user: pairs.opt_out(user, NOW),
    "another bot's follow-up": lambda pairs, bots, user: reserve(
        pairs, bots, judged(pairs, bots, user, BOTS[1]), "relance:other"
    ),
    "a hold": lambda pairs, bots, user: pairs.hold(user, NOW + 9),
    "a hand-over": lambda pairs, bots, user: pairs.human_took_over(user, NOW, until=NOW + 9),
    "a new message": lambda pairs, bots, user: pairs.count(
        user, BOTS[0], at=NOW, message_id="new", to="x", expires_at=NOW + 86_400
    ),
}


@pytest.mark.parametrize("no", NOES)
def test_what_was_written_between_read_and_reserve_wins(tables: Tables, user: str, no: str) -> None:
    """Eight senders have read; then the person says no; then all eight reserve at once: none succeeds."""
    senders = [prepared(tables, user, BOTS[0], f"relance:{i}") for i in range(SENDERS)]
    pairs, bots = tables.stores()
    NOES[no](pairs, bots, user)

    assert [False] * SENDERS == together(senders)
    found, _ = pairs.read([Due(user, BOTS[0])], consistent=True)
    assert None is found[Due(user, BOTS[0])].used_at


@pytest.mark.parametrize("no", NOES)
def test_a_no_in_the_same_instant_is_either_before_or_after_never_half(tables: Tables, user: str, no: str) -> None:
    """Race both: if the reservation came first, exactly one has it; if the no came first, nobody."""
    pairs, bots = tables.stores()
    senders = [prepared(tables, user, BOTS[0], f"relance:{i}") for i in range(SENDERS)]

    *won, _ = together([*senders, lambda: NOES[no](pairs, bots, user)])

    found, persons = pairs.read([Due(user, BOTS[0])], consistent=True)
    assert won.count(True) <= 1
    assert (won.count(True) == 1) is (found[Due(user, BOTS[0])].used_at is not None)
    assert persons[user].last_follow_up_at == (NOW if any(won) or no == "another bot's follow-up" else None)


def test_thirty_two_webhooks_count_one_message_once(tables: Tables) -> None:
    """Meta delivers the same message to many functions at once, and others beside it."""
    key = f"whatsapp#{next(numbers):032x}"
    stores = [tables.stores()[0] for _ in range(SENDERS)]

    def deliver(pairs: PairStore, id_: int) -> None:
        for i in range(4):
            at = NOW + (i * 7 + id_) % 4
            pairs.count(key, BOTS[0], at=at, message_id=f"m{at}", to="x", expires_at=NOW + 86_400)

    together([lambda pairs=pairs, i=i: deliver(pairs, i) for i, pairs in enumerate(stores)])

    found, _ = stores[0].read([Due(key, BOTS[0])], consistent=True)
    assert (NOW + 3, NOW + 2, NOW + 1, NOW) == found[Due(key, BOTS[0])].times


def test_a_register_under_thirty_two_webhooks_holds_the_newest_five(tables: Tables) -> None:
    """Thirty-two functions take sixty messages of one person, each message twice and each function in its own order.

    Every one is answered 200 or raises, and what raises comes again, as Meta would bring it.
    """
    key = f"whatsapp#{next(numbers):032x}"
    messages = [(NOW + i // 2, f"m{i}") for i in range(60)]
    twice = messages * 2
    random.Random(7).shuffle(twice)
    again: list[tuple[int, str]] = []

    def deliver(pairs: PairStore, share: list[tuple[int, str]]) -> None:
        for at, id_ in share:
            try:
                pairs.count(key, BOTS[0], at=at, message_id=id_, to="x", expires_at=NOW + 86_400)
            except TemporaryFailure:
                again.append((at, id_))

    shares = [(tables.stores()[0], twice[i::CROWD]) for i in range(CROWD)]
    together([lambda pairs=pairs, share=share: deliver(pairs, share) for pairs, share in shares])
    deliver(shares[0][0], [*again])

    found, _ = shares[0][0].read([Due(key, BOTS[0])], consistent=True)
    newest = sorted((entry(at, id_) for at, id_ in messages), reverse=True)[:5]
    assert tuple(newest) == found[Due(key, BOTS[0])].register


def test_the_rows_of_one_person_stay_two(tables: Tables, user: str) -> None:
    """A pair per bot and the person's own row: no engine adds a ghost."""
    client = tables.aws.client("dynamodb")
    items = client.query(
        TableName=tables.pairs,
        KeyConditionExpression="#u = :u",
        ExpressionAttributeNames={"#u": "user"},
        ExpressionAttributeValues={":u": {"S": user}},
    )["Items"]

    assert {*BOTS} == {item["bot"]["S"] for item in items} - {EVERY_BOT}
