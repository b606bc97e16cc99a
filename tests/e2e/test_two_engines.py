"""The same random acts on two engines written by different people leave the same rows and give the same answers.

moto carries every other test of this repository; where it and ministack agree on everything that relance does, those
tests say something about more than moto.
"""

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relance.bot import Bot
from relance.interaction import Effect, Event, Side
from relance.reason import Reason
from relance.store.pairs import Due
from tests.contract.engines import NOW, Engine, start

SEED = int(os.environ.get("RELANCE_SEED", "20260115"))
LONG = os.environ.get("RELANCE_LONG", "") not in ("", "0")
HISTORIES, ACTS = (60, 120) if LONG else (4, 50)
DAY = 86_400
USERS = tuple(f"whatsapp#{name * 32}" for name in "abc")
BOTS = ("1001", "1002")
LIVE = Bot(id=BOTS[0], channel="whatsapp", mode="live", notice=True, zone="Europe/Paris", languages=("en",))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    """Both, running at once."""
    with start("ministack", tmp_path_factory.mktemp("two")) as ministack, start("moto") as moto:
        yield [moto, ministack]


class Hands:
    """All four stores on one engine, driven by a source of luck that both engines have a copy of."""

    def __init__(self, engine: Engine, luck: random.Random) -> None:
        engine.publish(LIVE, enabled_at=0)
        self.engine, self.luck = engine, luck
        database = engine.database()
        self.pairs, self.bots = engine.pairs(database), engine.bots(database)
        self.interactions, self.people = engine.interactions(database), engine.people(database)
        self.acts: list[Callable[[], Any]] = [
            *[self.message] * 8, *[self.start] * 3, self.wait, self.drop, self.lease, *[self.reserve] * 2, self.release,
            self.record, self.settle, self.stop, self.yes, self.hold, self.echo, self.hand_over, self.move, self.change,
            self.wish, self.beat, self.pause, self.erase, self.ring, self.answer, self.busy, self.undeliverable,
        ]  # fmt: skip

    def act(self) -> tuple[str, Any]:
        """One act; its name and whatever it answered or raised."""
        act = self.luck.choice(self.acts)
        self.user, self.bot, self.at = self.luck.choice(USERS), self.luck.choice(BOTS), NOW + self.luck.randrange(30)
        self.id = f"m{self.luck.randrange(40)}"
        try:
            return act.__name__, act()
        except Exception as error:  # both engines must fail alike
            return act.__name__, type(error).__name__

    def pair(self) -> Any:
        return self.pairs.read([Due(self.user, self.bot)], consistent=True)[0].get(Due(self.user, self.bot))

    def message(self) -> Any:
        also = self.luck.choice((*USERS, "", "", ""))
        pair = self.pairs.count(
            self.user, self.bot, at=self.at, message_id=self.id, to="x", expires_at=self.at + DAY,
            also="" if also == self.user else also,
        )  # fmt: skip
        self.interactions.keep(
            pair.user, self.bot, at=self.at, message_id=self.id, side=Side.USER, kind="text", text="words",
            expires_at=self.at + DAY,
        )  # fmt: skip
        return pair

    def with_pair(self, then: Callable[[Any], Any]) -> Any:
        pair = self.pair()
        return None if pair is None else then(pair)

    def start(self) -> Any:
        return self.with_pair(lambda pair: self.pairs.start_timer(pair, self.at))

    def wait(self) -> Any:
        return self.with_pair(lambda pair: self.pairs.wait(pair, self.at + 60, Reason.TOO_SOON, self.at))

    def drop(self) -> Any:
        return self.with_pair(lambda pair: self.pairs.drop(pair, Reason.OPTED_OUT, self.at))

    def lease(self) -> Any:
        return self.with_pair(lambda pair: self.pairs.lease(pair, self.at + 600))

    def reserve(self) -> Any:
        pair = self.pair()
        if pair is None:
            return None
        _, persons = self.pairs.read([Due(self.user, self.bot)], consistent=True)
        return self.pairs.reserve(
            pair, persons[self.user], bot_unchanged=self.bots.unchanged(LIVE_1), follow_up_id=self.id,
            route="free_form", language="en", now=self.at, cooldown=20,
        )  # fmt: skip

    def release(self) -> Any:
        pair = self.pair()
        if pair is None:
            return None
        _, persons = self.pairs.read([Due(self.user, self.bot)], consistent=True)
        return self.pairs.release(
            pair, persons[self.user], follow_up_id=pair.follow_up_id, due_at=self.at, reason="r", now=self.at,
            expires_at=self.at + DAY,
        )  # fmt: skip

    def record(self) -> Any:
        return self.with_pair(
            lambda pair: self.pairs.record(
                pair, follow_up_id=pair.follow_up_id, outcome="accepted", code=self.luck.choice((None, 1)),
                message_id=self.id, now=self.at,
            )
        )  # fmt: skip

    def settle(self) -> Any:
        outcome = self.luck.choice(("accepted", "delivered", "read", "failed"))
        return self.with_pair(
            lambda pair: self.pairs.settle(
                self.user, self.bot, follow_up_id=pair.follow_up_id, outcome=outcome, code=None, at=self.at
            )
        )

    def stop(self) -> Any:
        return self.pairs.opt_out(self.user, self.at)

    def yes(self) -> Any:
        return self.pairs.opt_in(self.user, self.at)

    def hold(self) -> Any:
        return self.pairs.hold(self.user, self.at)

    def echo(self) -> Any:
        return self.pairs.echo(self.user, self.luck.choice(("", "77", "88")), self.at)

    def hand_over(self) -> Any:
        return self.pairs.human_took_over(self.user, self.at, until=self.at + self.luck.choice((0, 5)))

    def move(self) -> Any:
        return self.pairs.move(self.user, self.luck.choice(USERS), to="y", at=self.at)

    def change(self) -> Any:
        return self.pairs.change(self.user, self.bot)

    def wish(self) -> Any:
        kind = self.luck.choice(("edit", "deletion"))
        event = Event(
            channel="whatsapp", bot=self.bot, kind=kind, message_id=self.id, at=self.at,
            text="" if kind == "deletion" else "new words", effect=Effect.EDIT,
        )  # fmt: skip
        self.interactions.wish(self.user, self.bot, event, expires_at=self.at + DAY)
        changed = self.people.carry_out_wishes([(self.user, self.bot)])
        return changed, self.interactions.turns(self.user, self.bot, since=NOW + 10, now=self.at)

    def beat(self) -> Any:
        return self.bots.beat(self.at, stale_after=5, catch_up=60)

    def pause(self) -> Any:
        self.pairs.pause_account("whatsapp", self.bot, "why", template=self.luck.choice(("", "t")))
        return self.bots.pause(self.bot, "why") if self.luck.random() < 0.2 else None

    def erase(self) -> Any:
        found = self.people.rows_of(self.user)
        for rows in found.values():
            for row in rows:
                if row["bot"]["S"] != "*":
                    self.people.strip_pair(row, self.at, self.at)
        self.people.strip_person(self.user, self.at)
        self.people.finish(self.user, self.at)
        return self.people.empty((self.user, self.bot), self.at), sorted(found)

    def ring(self) -> Any:
        return [[*self.pairs.ringing(shard, self.at, limit=2)] for shard in ("00", "01")]

    def answer(self) -> Any:
        about = self.luck.choice(("stop", "why"))
        return self.with_pair(lambda pair: self.pairs.answer_once(pair, about, self.id))

    def busy(self) -> Any:
        return self.pairs.busy("whatsapp", self.bot, self.at)

    def undeliverable(self) -> Any:
        return self.pairs.undeliverable(self.user, self.id)


LIVE_1 = Bot(
    id=BOTS[0], channel="whatsapp", mode="live", notice=True, zone="Europe/Paris", languages=("en",), version=1
)


@pytest.mark.parametrize("number", range(HISTORIES))
def test_a_random_history_leaves_the_same_rows_on_both(engines: list[Any], number: int) -> None:
    """After each act: the same answer; after ten: all rows of all tables, attribute by attribute."""
    with engines[0].tables() as moto, engines[1].tables() as ministack:
        both = [Hands(engine, random.Random(SEED + number)) for engine in (moto, ministack)]
        told: list[tuple[str, Any]] = []
        for step in range(ACTS):
            first, second = (hands.act() for hands in both)
            told.append(first)
            assert first == second, f"seed {SEED + number}, act {step}, after {[name for name, _ in told]}"
            if step % 10 == 9:
                for id_ in moto.tables:
                    assert moto.rows(id_) == ministack.rows(id_), f"seed {SEED + number}, act {step}, {first[0]}"
        raised = [said for _, said in told if isinstance(said, str) and said.endswith(("Failure", "Refused", "Error"))]
        assert len(raised) <= ACTS // 10
