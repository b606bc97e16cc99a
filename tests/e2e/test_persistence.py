"""What was reserved stays reserved: on an engine that keeps its data, over a clean stop and a restart."""

from pathlib import Path

from relance.bot import Bot
from relance.store.pairs import Due
from tests.contract.engines import NOW, Engine, ministack

USER, LATER, BOT = "messenger#" + "a" * 32, "messenger#" + "b" * 32, "1001"
DAY = 86_400
LIVE = Bot(id=BOT, channel="messenger", mode="live", notice=True, zone="Europe/Paris", languages=("en",))


def state(engine: Engine) -> dict[str, list[dict]]:
    """Everything there is, but what the engine writes of its own accord."""
    return {id_: engine.rows(id_) for id_ in engine.tables}


def converse(engine: Engine, user: str) -> None:
    """Five messages and a running timer."""
    pairs = engine.pairs(engine.database())
    for i in range(5):
        pair = pairs.count(user, BOT, at=NOW - 50 + i, message_id=f"m{i}", to="2002", expires_at=NOW + DAY)
    assert pairs.start_timer(pair, NOW)


def reserves(engine: Engine, user: str, id_: str) -> tuple[str, ...]:
    """A sender reads, judges that it may send, and reserves; () if it could."""
    database = engine.database()
    pairs, bots = engine.pairs(database), engine.bots(database)
    found, persons = pairs.read([Due(user, BOT)], consistent=True)
    return pairs.reserve(
        found[Due(user, BOT)],
        persons[user],
        bot_unchanged=bots.unchanged(bots.read([BOT], consistent=True)[0][BOT]),
        follow_up_id=id_,
        route="free_form",
        language="en",
        now=NOW,
        cooldown=14 * DAY,
    )


def rings(engine: Engine) -> list[str]:
    """Whose timers ring, by the index."""
    pairs = engine.pairs(engine.database())
    return [due.user for shard in ("00", "01") for page in pairs.ringing(shard, NOW) for due in page]


def test_register_timer_reservation_and_stop_survive_a_restart(tmp_path: Path) -> None:
    """Three engines one after the other over one folder: what one wrote the next one finds, and it still says no."""
    with ministack(tmp_path, keeps=True) as running, running.tables() as first:
        first.publish(LIVE, enabled_at=0)
        converse(first, USER)
        converse(first, LATER)
        assert reserves(first, USER, "relance:1") == ()
        engine, before = first, state(first)

    with ministack(tmp_path, keeps=True) as running:
        second = Engine("ministack", engine.tables, running.client, running.environment)
        assert state(second) == before
        assert rings(second) == [LATER]
        for id_ in ("Pairs", "Interactions"):
            told = second.client.describe_time_to_live(TableName=second.tables[id_])["TimeToLiveDescription"]
            assert told["TimeToLiveStatus"] == "ENABLED"
        # A copy of the queue's message that outlived the stop as well: the mark is still there.
        assert reserves(second, USER, "relance:2") == ("person",)
        # A redelivery is still known for one, and whoever was not written to yet still can be, once.
        pair = second.pairs(second.database()).count(
            LATER, BOT, at=NOW - 46, message_id="m4", to="2002", expires_at=NOW + DAY
        )
        assert len(pair.register) == 5
        second.pairs(second.database()).opt_out(USER, NOW)
        assert reserves(second, LATER, "relance:3") == ()
        before = state(second)

    with ministack(tmp_path, keeps=True) as running:
        third = Engine("ministack", engine.tables, running.client, running.environment)
        assert state(third) == before
        assert rings(third) == []
        assert "person" in reserves(third, LATER, "relance:4")


def test_without_a_folder_to_keep_it_in_nothing_is_left(tmp_path: Path) -> None:
    """Else the test above would prove nothing about the restart."""
    with ministack(tmp_path) as running, running.tables() as first:
        converse(first, USER)
        name = first.tables["Pairs"]

    with ministack(tmp_path) as running:
        tables = running.client.list_tables()["TableNames"]
        assert name not in tables
