"""What relance asks of DynamoDB, act by act: requests, and units by AWS's documented rounding; held to the figure."""

from collections.abc import Callable, Iterator

import pytest

from relance.bot import Bot
from relance.interaction import Side
from relance.pair import Pair, Person
from relance.reason import Reason
from relance.store.bots import BotStore
from relance.store.interactions import InteractionStore
from relance.store.pairs import Due, PairStore
from relance.store.tables import Database
from tests.contract.engines import NOW, Engine, Remote, ministack
from tests.contract.units import WRITE_BYTES, metered, size, written

DAY = 86_400
BOT = "106540352242922"
USER = "whatsapp#" + "a" * 32
LIVE = Bot(id=BOT, channel="whatsapp", mode="live", notice=True, zone="America/Mexico_City", languages=("es",))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """One emulator for the module."""
    with ministack(tmp_path_factory.mktemp("capacity")) as one:
        yield one


@pytest.fixture
def engine(running: Remote) -> Iterator[Engine]:
    """Empty tables."""
    with running.tables() as tables:
        yield tables


class Desk:
    """The stores of one function, and a person who has written four times; addresses as long as they get."""

    def __init__(self, engine: Engine) -> None:
        engine.publish(LIVE, enabled_at=0)
        self.engine = engine
        self.database: Database = engine.database()
        self.pairs: PairStore = engine.pairs(self.database)
        self.bots: BotStore = engine.bots(self.database)
        self.interactions: InteractionStore = engine.interactions(self.database)
        for i in range(4):
            self.hear(i)

    def hear(self, number: int, at: int | None = None) -> Pair:
        """One message of the person, as `remember` writes it."""
        id_ = f"wamid.{number:058d}"
        when = NOW - 900 + number * 60 if at is None else at
        pair = self.pairs.count(
            USER, BOT, at=when, message_id=id_, to="MX." + "9" * 20, expires_at=when + 30 * DAY, account="1" * 15
        )
        self.interactions.keep(
            USER, BOT, at=when, message_id=id_, side=Side.USER, kind="text", text="x" * 280, expires_at=when + 30 * DAY
        )
        return pair

    def earned(self) -> Pair:
        """The fifth message, and the timer."""
        pair = self.hear(4)
        assert self.pairs.start_timer(pair, NOW)
        return self.judged()[0]

    def judged(self) -> tuple[Pair, Person, Bot]:
        """What a sender reads before it writes."""
        due = Due(USER, BOT)
        found, persons = self.pairs.read([due], consistent=True)
        return found[due], persons[USER], self.bots.read([BOT], consistent=True)[0][BOT]

    def reserve(self) -> tuple[Pair, Person]:
        """The reservation of a pair that earned it."""
        pair, person, bot = self.judged()
        refused = self.pairs.reserve(
            pair,
            person,
            bot_unchanged=self.bots.unchanged(bot),
            follow_up_id="relance:" + "0" * 32,
            route="template",
            template="come_back_to_the_cinema",
            language="es",
            now=NOW,
            cooldown=14 * DAY,
        )
        assert refused == ()
        return pair, person


def record(desk: Desk) -> None:
    """What became of the attempt."""
    desk.pairs.record(
        desk.judged()[0],
        follow_up_id="relance:" + "0" * 32,
        outcome="accepted",
        code=None,
        message_id="wamid." + "0" * 58,
        now=NOW,
    )


def nothing(desk: Desk) -> None:
    """No preparation."""


def release(desk: Desk, seen: tuple[Pair, Person]) -> None:
    """Give a reservation back."""
    assert desk.pairs.release(
        *seen, follow_up_id="relance:" + "0" * 32, due_at=NOW + 300, reason="busy", now=NOW, expires_at=NOW + DAY
    )


# Act: preparation, the act, then its operations, write units of tables, write units of the index, and read units
# (eventually consistent; consistent ones cost twice that).
ACTS: dict[str, tuple[Callable[[Desk], object], Callable[..., object], tuple[str, float, float, float]]] = {
    "a message is counted": (nothing, lambda desk, _: desk.hear(4), ("UpdateItem PutItem", 2, 0, 0)),
    "a message while the timer runs": (
        Desk.earned,
        lambda desk, _: desk.hear(5),
        ("UpdateItem PutItem", 2, 0, 0),
    ),
    "a message comes twice": (nothing, lambda desk, _: desk.hear(3), ("UpdateItem PutItem", 2, 0, 0)),
    "a message was overtaken": (
        nothing,
        lambda desk, _: desk.hear(9, at=NOW - 5_000),
        ("UpdateItem UpdateItem PutItem", 3, 0, 0),
    ),
    "the timer starts": (
        lambda desk: desk.hear(4),
        lambda desk, pair: desk.pairs.start_timer(pair, NOW),
        ("UpdateItem", 1, 1, 0),
    ),
    "a stop": (nothing, lambda desk, _: desk.pairs.opt_out(USER, NOW), ("UpdateItem", 1, 0, 0)),
    "the timer is moved": (
        Desk.earned,
        lambda desk, pair: desk.pairs.wait(pair, NOW + 60, Reason.TOO_SOON, NOW),
        ("UpdateItem", 1, 2, 0),
    ),
    "the timer is leased": (Desk.earned, lambda desk, pair: desk.pairs.lease(pair, NOW + 600), ("UpdateItem", 1, 2, 0)),
    "a drop": (
        Desk.earned,
        lambda desk, pair: desk.pairs.drop(pair, Reason.OPTED_OUT, NOW),
        ("UpdateItem", 1, 1, 0),
    ),
    "who rings": (Desk.earned, lambda desk, _: [*desk.pairs.ringing("00", NOW)], ("Query", 0, 0, 0.5)),
    "the sweeper reads a pair": (
        Desk.earned,
        lambda desk, _: desk.pairs.read([Due(USER, BOT)], consistent=False),
        ("BatchGetItem BatchGetItem", 0, 0, 2),
    ),
    "a conversation is read": (
        Desk.earned,
        lambda desk, _: desk.interactions.turns(USER, BOT, since=0, now=NOW),
        ("Query", 0, 0, 0.5),
    ),
    "a reservation": (
        Desk.earned,
        lambda desk, _: desk.reserve(),
        ("BatchGetItem BatchGetItem BatchGetItem TransactWriteItems", 10, 1, 3),
    ),
    "a reservation is given back": (
        lambda desk: (desk.earned(), desk.reserve())[1],
        release,
        ("TransactWriteItems", 4, 1, 0),
    ),
    "the outcome is recorded": (
        lambda desk: (desk.earned(), desk.reserve()),
        lambda desk, _: record(desk),
        ("BatchGetItem BatchGetItem BatchGetItem UpdateItem", 1, 0, 3),
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_an_act_costs_what_the_page_says(engine: Engine, act: str) -> None:
    """Requests and units, counted at botocore and told by the engine."""
    prepare, do, expected = ACTS[act]
    desk = Desk(engine)
    seen = prepare(desk)

    with metered(desk.database) as bill:
        do(desk, seen)

    assert bill.figures == expected


def test_a_row_at_the_end_of_its_life_is_one_unit(engine: Engine) -> None:
    """Every attribute that a pair collects, with addresses and ids as long as they get, stays below 1 KB."""
    desk = Desk(engine)
    desk.earned()
    desk.pairs.wait(desk.judged()[0], NOW, Reason.NO_ALLOWED_MOMENT, NOW)
    desk.pairs.open_window(USER, BOT, NOW)
    desk.pairs.change(USER, BOT)
    desk.reserve()
    record(desk)
    desk.pairs.answer_once(desk.judged()[0], "why", "m")

    items = desk.engine.client.scan(TableName=engine.tables["Pairs"])["Items"]

    sizes = {item["bot"]["S"]: size(item) for item in items}
    print(f"\nbytes of the row of a pair: {sizes[BOT]}, of a person: {sizes['*']}")  # noqa: T201
    assert {written(0, each) for each in sizes.values()} == {1}
    assert max(sizes.values()) <= WRITE_BYTES


def test_a_whole_follow_up_from_the_first_message_to_the_record(engine: Engine) -> None:
    """Five messages, timer, plan, lease, reservation, record: the units of one conversation that earns its message."""
    desk = Desk(engine)
    with metered(desk.database) as bill:
        pair = desk.hear(4)
        desk.pairs.start_timer(pair, NOW)
        desk.pairs.wait(desk.judged()[0], NOW + 60, Reason.TOO_SOON, NOW)
        desk.pairs.lease(desk.judged()[0], NOW + 600)
        desk.reserve()
        record(desk)

    bill_of_four = 4 * 2
    print(f"\nwrite units of a follow-up: {bill.table + bill_of_four} of tables, {bill.index} of the index")  # noqa: T201
    assert (bill.table + bill_of_four, bill.index) == (24, 6)
