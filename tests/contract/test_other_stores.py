"""The exact requests of the other three stores: interactions, bots, and the eraser's."""

import inspect

import pytest

from relance.bot import Bot
from relance.interaction import Effect, Event, Side
from relance.pair import EVERY_BOT, FOREVER
from relance.persona import Spent
from relance.reason import Reason
from relance.store import bots as bot_store
from relance.store import interactions as interaction_store
from relance.store import pairs as pair_store
from relance.store import people as people_store
from relance.store.pairs import Due
from relance.store.people import REDELIVERY
from relance.store.tables import RequestRefused
from tests.contract.engines import NOW

USER, OTHER, BOT = "whatsapp#" + "a" * 32, "whatsapp#" + "b" * 32, "1001"
DAY = 86_400
LIVE = Bot(id=BOT, channel="whatsapp", mode="live", notice=True, zone="Europe/Paris", languages=("en",))


@pytest.fixture
def interactions(engine, database):
    """The store of what was said."""
    return engine.interactions(database)


@pytest.fixture
def bots(engine, database):
    """The store of bots, with one bot."""
    engine.publish(LIVE, enabled_at=0)
    return engine.bots(database)


@pytest.fixture
def people(engine, database, pairs):
    """The eraser's store."""
    return engine.people(database)


def keep(interactions, at, id_, text="hello", side=Side.USER, expires_at=NOW + DAY):
    """Remember one message."""
    interactions.keep(USER, BOT, at=at, message_id=id_, side=side, kind="text", text=text, expires_at=expires_at)


def wish(interactions, kind, id_, at, text=""):
    """Somebody edits or takes back a message."""
    effect = Effect.ERASE if kind == "deletion" else Effect.EDIT
    event = Event(channel="whatsapp", bot=BOT, kind=kind, message_id=id_, at=at, text=text, effect=effect)
    interactions.wish(USER, BOT, event, expires_at=NOW + DAY)


def said(interactions):
    """What a sender reads of the conversation."""
    return [turn.text for turn in interactions.turns(USER, BOT, since=0, now=NOW)]


# ── interactions ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_is_remembered_once_and_as_it_came_first(engine, interactions):
    """A redelivery, or a second message under its id, changes nothing."""
    keep(interactions, NOW - 5, "m1", "first")
    keep(interactions, NOW - 5, "m1", "second")

    assert ["first"] == said(interactions)
    assert 1 == len(engine.rows("Interactions"))


def test_what_a_time_to_live_has_not_deleted_yet_is_over_all_the_same(engine, interactions):
    """DynamoDB takes days to delete; the row is there and nobody reads it."""
    keep(interactions, NOW - 5, "over", expires_at=NOW)
    keep(interactions, NOW - 4, "not over", "still here", expires_at=NOW + 1)

    assert ["still here"] == said(interactions)
    assert 2 == len(engine.rows("Interactions"))


def test_of_two_edits_the_newer_holds_and_a_deletion_holds_against_both(interactions):
    """In whatever order they arrive."""
    keep(interactions, NOW - 50, "m1", "as written")
    wish(interactions, "edit", "m1", NOW - 20, "newer")
    wish(interactions, "edit", "m1", NOW - 30, "older")
    assert ["newer"] == said(interactions)

    wish(interactions, "deletion", "m1", NOW - 10)
    wish(interactions, "edit", "m1", NOW, "after the deletion")
    assert [] == said(interactions)


def test_times_are_the_persons_own_since_a_moment_without_a_word(interactions):
    """A range of the key, and two attributes of each row."""
    keep(interactions, NOW - 50, "before")
    keep(interactions, NOW - 40, "since")
    keep(interactions, NOW - 30, "bot", side=Side.BOT)
    wish(interactions, "deletion", "since", NOW)

    assert [NOW - 40] == interactions.times(USER, BOT, since=NOW - 40)


def test_a_conversation_longer_than_a_page_is_read_to_its_end(interactions):
    """DynamoDB cuts a page at 1 MB."""
    for i in range(12):
        keep(interactions, NOW - 100 + i, f"m{i}", f"{i:02d}" + "x" * 100_000)

    assert [f"{i:02d}" for i in range(12)] == [text[:2] for text in said(interactions)]


@pytest.mark.parametrize("words", ["😀 \u202eabc\u202c e\u0301 \x00 ", "ß" * 4_096, "a\nb\tc"])
def test_any_text_comes_back_as_it_was(interactions, words):
    """Emoji, right-to-left marks, combining marks, NUL."""
    keep(interactions, NOW, "m", words)

    assert [words] == said(interactions)


def test_a_row_that_is_too_large_is_refused_for_good_and_not_tried_again(engine, interactions):
    """400 KB is DynamoDB's limit. No message is so long; should one be, it must not come back for days."""
    with pytest.raises(RequestRefused):
        keep(interactions, NOW, "m", "x" * 420_000)

    assert [] == engine.rows("Interactions")


# ── bots ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_bots_are_read_together_with_the_deployments_row(engine, bots):
    """One request; unknown ids are simply not there."""
    bots.beat(NOW, stale_after=900, catch_up=3600)

    found, deployment = bots.read([BOT, "9"], consistent=True)

    assert [BOT] == [*found]
    assert (LIVE.zone, NOW) == (found[BOT].zone, deployment.heartbeat_at)


def test_more_bots_than_a_request_takes_are_read_all(engine, bots):
    """BatchGetItem takes a hundred keys."""
    ids = [f"b{i:03d}" for i in range(130)]
    for id_ in ids:
        engine.client.put_item(
            TableName=engine.tables["Bots"],
            Item={"id": {"S": id_}, "version": {"N": "1"}, "settings": {"M": {"channel": {"S": "messenger"}}}},
        )

    found, _ = bots.read(ids, consistent=False)

    assert {*ids} == {*found}
    assert {*ids, BOT} == {bot.id for bot in bots.all()}


def test_a_catch_up_is_never_brought_forward(bots):
    """Two alarms: the later end holds."""
    bots.catch_up(NOW + 100)
    bots.catch_up(NOW + 50)

    assert NOW + 100 == bots.read([], consistent=True)[1].catch_up_until


def test_only_a_bot_that_exists_can_be_paused(engine, bots):
    """A refusal that names a removed bot must not bring back half a row of it."""
    assert (True, False) == (bots.pause(BOT, "190"), bots.pause("removed", "190"))
    assert ([BOT], "190") == ([row["id"] for row in engine.rows("Bots")], engine.rows("Bots")[0]["paused"])


# ── the eraser ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_left_of_a_person_are_marks_and_a_stop(engine, pairs, people):
    """Neither zone nor consent nor echoes; the marks grow, so that a reservation in progress fails."""
    pairs.opt_in(USER, NOW - 50)
    pairs.echo(USER, "77", NOW - 40)
    pairs.mark_minor(USER)

    people.strip_person(USER, NOW)
    people.finish(USER, NOW)

    (row,) = engine.rows("Pairs")
    assert {"user", "bot", "opted_out_at", "minor", "marks", "keep_until", "expires_at", "erased_at"} == row.keys()
    assert (NOW, 4, FOREVER) == (row["opted_out_at"], row["marks"], row["expires_at"])


def test_a_yes_given_after_the_wish_outlives_it(engine, pairs, people):
    """The queue may carry out an erasure days later."""
    pairs.opt_in(USER, NOW + 5)

    people.strip_person(USER, NOW)

    assert NOW + 5 == engine.rows("Pairs")[0]["consent_at"]


def test_an_erased_pair_leaves_the_index_and_makes_no_ghost(engine, pairs, people):
    """Register, address and timer go; a row that is gone already does not come back."""
    for i in range(5):
        pair = pairs.count(USER, BOT, at=NOW - 50 + i, message_id=f"m{i}", to="2002", expires_at=NOW + DAY)
    pairs.start_timer(pair, NOW)
    (row,) = people.rows_of(USER)[USER]

    people.strip_pair(row, NOW, NOW)

    (left,) = engine.rows("Pairs")
    assert {"user", "bot", "erased_at", "expires_at"} == left.keys()
    assert NOW + REDELIVERY == left["expires_at"]
    assert [] == [due for shard in ("00", "01") for page in pairs.ringing(shard, NOW) for due in page]
    engine.client.delete_item(TableName=engine.tables["Pairs"], Key={"user": {"S": USER}, "bot": {"S": BOT}})
    people.strip_pair(row, NOW, NOW)
    assert [] == engine.rows("Pairs")


def test_every_key_of_a_person_is_found_from_any_of_them(engine, pairs, people):
    """Through the set of keys on either row `*`."""
    engine.needs("transactions")
    pairs.count(USER, BOT, at=NOW, message_id="m", to="2002", expires_at=NOW + DAY, also=OTHER)

    assert {USER, OTHER} == {*people.rows_of(USER)} == {*people.rows_of(OTHER)}


def test_a_conversation_is_emptied_and_its_rows_stay_for_redeliveries(engine, interactions, people):
    """A filter says which rows still hold something; a second run finds none."""
    for i in range(3):
        keep(interactions, NOW - i, f"m{i}", expires_at=NOW + 99 * DAY)
    wish(interactions, "edit", "m0", NOW, "edited")

    assert 4 == people.empty((USER, BOT), NOW)
    assert 0 == people.empty((USER, BOT), NOW)
    rows = engine.rows("Interactions")
    assert ({"erased", "deletion"}, []) == ({row["kind"] for row in rows}, [row for row in rows if "text" in row])
    assert {NOW + REDELIVERY, NOW + DAY} == {row["expires_at"] for row in rows}
    keep(interactions, NOW, "m0", "delivered again")
    assert [] == said(interactions)


def test_a_wish_is_carried_out_on_the_message_it_names(engine, interactions, people):
    """An edit replaces, a deletion empties; a repeat changes nothing."""
    for i in range(3):
        keep(interactions, NOW - i, f"m{i}", f"words {i}")
    wish(interactions, "edit", "m0", NOW, "other words")
    wish(interactions, "deletion", "m1", NOW)

    assert 2 == people.carry_out_wishes([(USER, BOT)])
    assert 0 == people.carry_out_wishes([(USER, BOT)])
    texts = {row["at_id"].partition("#")[2]: row.get("text") for row in engine.rows("Interactions")}
    assert ("other words", None, "words 2") == (texts["m0"], texts["m1"], texts["m2"])


def test_the_eraser_knows_every_published_bot(bots, people):
    """Ids alone."""
    bots.beat(NOW, stale_after=900, catch_up=3600)

    assert {BOT, "*"} >= people.bots() >= {BOT}


# ── the index, and what comes back with a refusal ───────────────────────────────────────────────────────────────


def ringing(pairs, limit):
    """Pages of all timers that ring."""
    return [page for shard in ("00", "01") for page in pairs.ringing(shard, NOW, limit=limit)]


@pytest.mark.parametrize("limit", [1, 2, 3, 33])
def test_timers_of_one_second_are_paged_each_once(pairs, limit):
    """A crowd fell silent in the same second: ties in the index's range key."""
    users = [f"messenger#{i:032x}" for i in range(13)]
    for user in users:
        pair = pairs.count(user, BOT, at=NOW - 50, message_id=user, to="x", expires_at=NOW + DAY)
        pairs.start_timer(pair, NOW)

    pages = ringing(pairs, limit)

    assert sorted(users) == sorted(due.user for page in pages for due in page)
    assert max(map(len, pages)) <= limit


def test_paging_goes_on_when_the_row_it_stands_on_has_left_the_index(pairs):
    """The sweeper answers each page before it asks for the next."""
    users = [f"messenger#{i:032x}" for i in range(13)]
    by_user = {}
    for user in users:
        by_user[user] = pairs.count(user, BOT, at=NOW - 50, message_id=user, to="x", expires_at=NOW + DAY)
        pairs.start_timer(by_user[user], NOW)
    seen = []

    for shard in ("00", "01"):
        for page in pairs.ringing(shard, NOW, limit=2):
            seen += [due.user for due in page]
            found, _ = pairs.read(page, consistent=True)
            for pair in found.values():
                assert pairs.drop(pair, Reason.OPTED_OUT, NOW, Spent())

    assert sorted(users) == sorted(seen)
    assert [] == ringing(pairs, 33)


def test_the_index_holds_keys_and_nothing_that_was_said(engine, pairs):
    """Neither register nor address: the sweeper reads those from the table."""
    pair = pairs.count(USER, BOT, at=NOW - 50, message_id="m", to="2002", expires_at=NOW + DAY)
    pairs.start_timer(pair, NOW)

    items = engine.client.scan(TableName=engine.tables["Pairs"], IndexName="due")["Items"]

    assert [{"user", "bot", "due_shard", "due_at"}] == [item.keys() for item in items]


def test_a_refusal_brings_the_row_as_it_stands(engine, database, pairs):
    """ReturnValuesOnConditionCheckFailure: a duplicate needs no read to be known for one."""
    engine.needs("item in a refusal")
    first = pairs.count(USER, BOT, at=NOW, message_id="m", to="2002", expires_at=NOW + DAY)
    sent = []
    database.connection.client.meta.events.register(
        "before-send.dynamodb.*", lambda request, **_: sent.append(request.headers["X-Amz-Target"])
    )

    again = pairs.count(USER, BOT, at=NOW, message_id="m", to="2002", expires_at=NOW + DAY)

    assert (first, 1) == (again, len(sent))


def test_the_tables_expire_by_the_attribute_that_the_code_writes(engine):
    """Time to live is on, under the name that every row carries."""
    engine.needs("time to live")
    for id_ in ("Pairs", "Interactions"):
        told = engine.client.describe_time_to_live(TableName=engine.tables[id_])["TimeToLiveDescription"]
        assert ("ENABLED", "expires_at") == (told["TimeToLiveStatus"], told["AttributeName"])


def test_a_refused_transaction_leaves_no_trace(engine, pairs):
    """All or nothing: the second row is not written when the first one's condition fails."""
    engine.needs("transactions")
    pair = pairs.count(USER, BOT, at=NOW, message_id="m", to="2002", expires_at=NOW + DAY)
    bots = engine.bots(pairs._db)
    engine.publish(LIVE, enabled_at=0)
    _, persons = pairs.read([Due(USER, BOT)], consistent=True)
    before = engine.rows("Pairs")
    pairs.change(USER, BOT)
    changed = engine.rows("Pairs")

    refused = pairs.reserve(
        pair,
        persons[USER],
        bot_unchanged=bots.unchanged(bots.read([BOT], consistent=True)[0][BOT]),
        follow_up_id="relance:1",
        route="free_form",
        language="en",
        now=NOW,
        cooldown=DAY,
    )

    assert ("pair",) == refused
    assert before != changed == engine.rows("Pairs")
    assert [] == [row for row in engine.rows("Pairs") if row["bot"] == EVERY_BOT]


# ── small marks ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_question_is_answered_once_and_a_stop_once_ever(pairs):
    """The queue may bring a question twice; an answer that was refused gives it back."""
    pair = pairs.count(USER, BOT, at=NOW, message_id="m", to="2002", expires_at=NOW + DAY)

    assert [True, False, True] == [pairs.answer_once(pair, "why", question) for question in ("q1", "q1", "q2")]
    assert [True, False] == [pairs.answer_once(pair, "stop", question) for question in ("q1", "q2")]
    pairs.unanswer(pair, "stop")
    assert pairs.answer_once(pair, "stop", "q1")


def test_a_rate_limit_of_a_bot_is_never_shortened_and_is_read_with_each_pair(pairs):
    """One refusal tells it for all of a bot's pairs."""
    pairs.count(USER, BOT, at=NOW, message_id="m", to="2002", expires_at=NOW + DAY)
    pairs.busy("whatsapp", BOT, NOW + 60)
    pairs.busy("whatsapp", BOT, NOW + 30)

    found, _ = pairs.read([Due(USER, BOT)], consistent=True)

    assert NOW + 60 == found[Due(USER, BOT)].busy_until


def test_what_could_not_be_delivered_is_counted_by_message(pairs):
    """A set: the same failure reported twice is one."""
    assert [1, 1, 2] == [pairs.undeliverable(USER, id_) for id_ in ("m1", "m1", "m2")]


# ── nothing is left out ─────────────────────────────────────────────────────────────────────────────────────────


def test_every_method_of_every_store_is_in_the_contract():
    """A new request must be held on every engine before it is trusted on one."""
    stores = (
        pair_store.PairStore,
        bot_store.BotStore,
        interaction_store.InteractionStore,
        people_store.PeopleStore,
    )
    tests = "".join(
        inspect.getsource(__import__(f"tests.contract.{name}", fromlist=[name]))
        for name in ("test_pair_store", "test_other_stores")
    )
    missing = [
        f"{store.__name__}.{name}"
        for store in stores
        for name, _ in inspect.getmembers(store, inspect.isfunction)
        if not name.startswith("_") and f".{name}(" not in tests
    ]

    assert missing == []
