"""The pairs table's exact requests, with the tables of template.yaml: register, timer, reservation."""

from dataclasses import replace
from itertools import pairwise

import pytest
from botocore.awsrequest import AWSResponse
from botocore.endpoint import Endpoint

from relance.bot import Bot
from relance.erase import erase
from relance.erasures import Forget
from relance.pair import EVERY_BOT, Person, entry
from relance.reason import Reason
from relance.store.pairs import Due
from tests.contract.engines import NOW

USER, BOT_ID = "messenger#0123456789abcdef0123456789abcdef", "1001"
COOLDOWN = 14 * 86_400


@pytest.fixture
def bots(engine, database):
    """The bots table with one live bot in it."""
    engine.publish(LIVE, enabled_at=0)
    return engine.bots(database)


LIVE = Bot(id=BOT_ID, channel="messenger", mode="live", notice=True, zone="Europe/Paris", languages=("en",))


def count(pairs, at, message_id, user=USER):
    """Count a message written at `at`."""
    return pairs.count(user, BOT_ID, at=at, message_id=message_id, to="2002", expires_at=at + 86_400)


def five(pairs):
    """A pair with five messages and a running timer."""
    for i in range(5):
        pair = count(pairs, NOW - 500 + i * 100, f"m{i}")
    pairs.start_timer(pair, NOW)
    return read(pairs)


def read(pairs):
    """The pair as stored."""
    found, _ = pairs.read([Due(USER, BOT_ID)], consistent=True)
    return found[Due(USER, BOT_ID)]


def person(pairs):
    """The user's row as stored."""
    _, persons = pairs.read([Due(USER, BOT_ID)], consistent=True)
    return persons[USER]


def requests(database):
    """Every DynamoDB operation from now on, as botocore sends them."""
    sent = []
    database.connection.client.meta.events.register(
        "before-send.dynamodb.*",
        lambda request, **_: sent.append(request.headers["X-Amz-Target"].split(b".")[1].decode()),
    )
    return sent


# ── the register ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_shifts_the_register_with_one_write_and_no_read(database, pairs):
    """One UpdateItem per message in order."""
    sent = requests(database)

    pair = [count(pairs, NOW + i, f"m{i}") for i in range(6)][-1]

    assert ["UpdateItem"] * 6 == sent
    assert tuple(entry(NOW + i, f"m{i}") for i in (5, 4, 3, 2, 1)) == pair.register


def test_the_same_message_counts_once_however_often(pairs):
    """Redelivered at once, after others, and after it has left the register."""
    for i in range(7):
        count(pairs, NOW + i, f"m{i}")
    before = read(pairs)

    for i in (6, 6, 3, 0):
        count(pairs, NOW + i, f"m{i}")

    assert before == read(pairs)


def test_two_messages_of_one_second_both_count(engine, database, pairs):
    """The register's entries differ by message; not one read is needed to tell which comes first."""
    engine.needs("item in a refusal")
    sent = requests(database)
    count(pairs, NOW, "a")
    pair = count(pairs, NOW, "b")

    assert tuple(sorted({entry(NOW, "a"), entry(NOW, "b")}, reverse=True)) == pair.register
    assert {"UpdateItem"} == set(sent)


def test_a_message_that_its_own_second_pushed_out_does_not_come_back(pairs):
    """Six messages of one second, one of them redelivered: the same register."""
    for i in range(6):
        before = count(pairs, NOW, f"m{i}")

    for i in range(6):
        assert before.register == count(pairs, NOW, f"m{i}").register


def test_an_overtaken_message_takes_its_place(pairs):
    """WhatsApp redelivers for days: an old message never moves the newest back."""
    count(pairs, NOW, "new")
    pair = count(pairs, NOW - 100, "old")

    assert (entry(NOW, "new"), entry(NOW - 100, "old")) == pair.register


def test_a_merge_that_lost_a_race_merges_again(database, pairs):
    """Another writer comes between the read and the write: nothing of either is lost."""
    count(pairs, NOW, "new")
    raced = []

    def race(request, **_):
        if b"UpdateItem" in request.headers["X-Amz-Target"] and b"s1 = " not in request.body and not raced:
            raced.append(True)
        if len(raced) == 1 and b"attribute_exists" in request.body:
            raced.append(True)
            count(pairs, NOW + 5, "between")

    database.connection.client.meta.events.register("before-send.dynamodb.UpdateItem", race)
    count(pairs, NOW - 100, "old")

    assert ("between", "new", "old") == tuple(
        {entry(NOW + 5, "between"): "between", entry(NOW, "new"): "new", entry(NOW - 100, "old"): "old"}[value]
        for value in read(pairs).register
    )


def test_an_answer_lost_after_the_write_does_not_shift_twice(engine, database, pairs):
    """botocore sends again when the answer is lost, and meets its own entry in the condition."""
    engine.needs("item in a refusal")
    count(pairs, NOW, "m0")
    sent = requests(database)
    database.connection.client.meta.events.register_first(
        "needs-retry.dynamodb.UpdateItem", lambda attempts, **_: 0 if attempts == 1 else None
    )

    pair = count(pairs, NOW + 1, "m1")

    assert ["UpdateItem", "UpdateItem"] == sent
    assert (entry(NOW + 1, "m1"), entry(NOW, "m0")) == pair.register


# ── the timer ────────────────────────────────────────────────────────────────────────────────────────────────


def ringing(pairs, now):
    """Keys that ring, over all shards."""
    return [due for shard in ("00", "01") for page in pairs.ringing(shard, now, limit=1) for due in page]


def test_a_timer_rings_when_its_moment_has_come_and_not_before(pairs):
    """The sparse index holds exactly the running timers."""
    five(pairs)

    assert [] == ringing(pairs, NOW - 1)
    assert [Due(USER, BOT_ID)] == ringing(pairs, NOW)


def test_a_running_timer_is_left_alone(pairs):
    """Lazy: a second start changes nothing."""
    pair = five(pairs)

    assert False is pairs.start_timer(pair, NOW + 999)
    assert NOW == read(pairs).due_at


@pytest.mark.parametrize("answer", ["wait", "drop", "lease"])
def test_an_answer_needs_the_silence_and_the_timer_that_were_judged(pairs, answer):
    """Else a new silence would lose its timer (simulated: 2,165 of 20,000 histories)."""
    judged = five(pairs)
    count(pairs, NOW + 10, "another")
    acts = {
        "wait": lambda pair: pairs.wait(pair, NOW + 60, Reason.TOO_SOON, NOW),
        "drop": lambda pair: pairs.drop(pair, Reason.OPTED_OUT, NOW),
        "lease": lambda pair: pairs.lease(pair, NOW + 600),
    }

    assert False is acts[answer](judged)
    assert NOW == read(pairs).due_at
    assert True is acts[answer](read(pairs))


def test_a_drop_stops_the_timer_and_leaves_the_index(pairs):
    """And the ledger says why, for which silence."""
    pair = five(pairs)
    pairs.drop(pair, Reason.OPTED_OUT, NOW)

    after = read(pairs)
    assert [] == ringing(pairs, NOW + 10**6)
    assert (None, "opted_out", pair.s1) == (after.due_at, after.reason, after.closed_s1)


def test_no_update_makes_a_ghost(engine, pairs):
    """An update after a TTL deletion must not create a row that holds only a timer."""
    pair = five(pairs)
    engine.travel(NOW + 10 * 86_400)
    engine.expire()

    pairs.start_timer(pair, NOW)
    pairs.open_window(USER, BOT_ID, NOW)
    pairs.drop(pair, Reason.TOO_LATE, NOW)

    assert [] == engine.rows("Pairs")


def test_the_first_lease_that_nobody_answered_is_remembered_until_an_answer(engine, pairs):
    """A pair that rings, is queued and fails for ever looks busy: only this tells how long it has been so."""
    for n in range(3):
        pairs.lease(read(pairs) if n else five(pairs), NOW + 600 * (n + 1))
    leased = ledger(engine)["leased_until"]
    pairs.drop(read(pairs), Reason.UNREACHABLE, NOW + 3_000)
    dropped = ledger(engine)["leased_until"]
    pairs.start_timer(read(pairs), NOW + 9_000)

    assert NOW + 600 == leased == dropped
    assert "leased_until" not in ledger(engine)


def test_a_wait_answers_a_lease(engine, pairs):
    """The pair is planned anew: nobody was forgotten."""
    pairs.lease(five(pairs), NOW + 600)
    pairs.wait(read(pairs), NOW + 9_000, Reason.QUIET_HOURS, NOW)

    assert "leased_until" not in ledger(engine)


# ── marks of a person ────────────────────────────────────────────────────────────────────────────────────────


def test_a_stop_is_stored_whether_or_not_the_user_is_known(pairs):
    """An opt-out may be the first thing ever heard of a user; it never expires and an old one changes nothing."""
    pairs.opt_out(USER, NOW)
    pairs.opt_out(USER, NOW - 100)

    assert NOW == person(pairs).opted_out_at


def test_a_mark_outlives_the_conversation(engine, pairs):
    """No later message of the user brings the TTL back."""
    pairs.opt_out(USER, NOW)
    pairs.hold(USER, NOW + 50)
    pairs.echo(USER, "", NOW + 60)
    engine.travel(NOW + 400 * 86_400)
    engine.expire()

    assert NOW == person(pairs).opted_out_at


def test_a_hold_is_never_shortened(pairs):
    """Two crises: the later end holds."""
    pairs.hold(USER, NOW + 100)
    pairs.hold(USER, NOW + 50)

    assert NOW + 100 == person(pairs).hold_until


def test_control_comes_back_and_an_older_take_over_cannot_undo_that(pairs):
    """Events may arrive in any order."""
    pairs.human_took_over(USER, NOW, until=NOW + 999)
    pairs.human_took_over(USER, NOW + 10, until=NOW + 10)
    pairs.human_took_over(USER, NOW + 5, until=NOW + 9999)

    assert NOW + 10 == person(pairs).human_until


def test_echoes_are_kept_per_app_whatever_their_order(pairs):
    """Who wrote last, and when each app did: the bot's file says later whose they are."""
    pairs.echo(USER, "77", NOW)
    pairs.echo(USER, "", NOW - 50)
    pairs.echo(USER, "77", NOW - 99)

    assert ({"77": NOW, "none": NOW - 50}, NOW) == (person(pairs).echoes, person(pairs).echo_at)


# ── the reservation ──────────────────────────────────────────────────────────────────────────────────────────


def reserve(pairs, bots, pair, someone, bot, follow_up_id="relance:1", now=NOW):
    """Reserve with what was judged."""
    return pairs.reserve(
        pair,
        someone,
        bot_unchanged=bots.unchanged(bot),
        follow_up_id=follow_up_id,
        route="free_form",
        language="en",
        now=now,
        cooldown=COOLDOWN,
    )


def published(bots):
    """The bot as stored."""
    return bots.read([BOT_ID], consistent=True)[0][BOT_ID]


def test_a_reservation_can_be_had_once(pairs, bots):
    """Two senders judged the same pair: one of them reserves."""
    pair, someone, bot = five(pairs), person(pairs), published(bots)

    assert () == reserve(pairs, bots, pair, someone, bot)
    assert ("pair", "person") == reserve(pairs, bots, pair, someone, bot, "relance:2")
    assert (NOW, "relance:1", None) == (read(pairs).used_at, read(pairs).follow_up_id, read(pairs).due_at)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (lambda pairs, engine: pairs.opt_out(USER, NOW), ("person",)),
        (lambda pairs, engine: pairs.mark_minor(USER), ("person",)),
        (lambda pairs, engine: pairs.hold(USER, NOW + 1), ("person",)),
        (lambda pairs, engine: pairs.human_took_over(USER, NOW, until=NOW + 1), ("person",)),
        (lambda pairs, engine: pairs.echo(USER, "", NOW), ("person",)),
        (lambda pairs, engine: count(pairs, NOW, "a new message"), ("pair",)),
        (lambda pairs, engine: engine.pause(BOT_ID), ("bot",)),
        (lambda pairs, engine: pairs.pause_account("messenger", BOT_ID, "blocked"), ("bot",)),
        (lambda pairs, engine: engine.publish(replace(LIVE, name="renamed"), enabled_at=0), ("bot",)),
    ],
)
def test_whatever_happens_between_read_and_reserve_wins(engine, pairs, bots, change, refused):
    """Never after no: stop, minor, hold, hand-over, an echo, a new message, a pause, a changed bot."""
    pair, someone, bot = five(pairs), person(pairs), published(bots)

    change(pairs, engine)

    assert refused == reserve(pairs, bots, pair, someone, bot)
    assert None is read(pairs).used_at


def test_another_bots_follow_up_within_the_cooldown_wins(pairs, bots):
    """Not crowded: the mark is on the person, not on the pair."""
    pair, bot = five(pairs), published(bots)
    stale = Person(USER, seen=((USER, None),))
    pairs._db.update(
        pairs._table, USER, EVERY_BOT, actions=[_set("last_follow_up_at", NOW - COOLDOWN + 1)], condition=None
    )

    assert ("person",) == reserve(pairs, bots, pair, stale, bot)


def _set(name, value):
    from relance.store.tables import PairRow

    return getattr(PairRow, name).set(value)


def test_a_fresh_yes_after_a_stop_can_be_reserved(pairs, bots):
    """The user's own younger opt-in undoes the stop."""
    pair, bot = five(pairs), published(bots)
    pairs.opt_out(USER, NOW - 10)
    pairs.opt_in(USER, NOW - 5)

    assert () == reserve(pairs, bots, pair, person(pairs), bot)


def test_a_released_reservation_is_as_if_it_had_never_been(pairs, bots):
    """A refusal known to have sent nothing: the timer runs again and the person is free."""
    pair, someone, bot = five(pairs), person(pairs), published(bots)
    reserve(pairs, bots, pair, someone, bot)

    released = pairs.release(
        pair, someone, follow_up_id="relance:1", due_at=NOW + 300, reason="throttled", now=NOW, expires_at=NOW + 9
    )

    after = read(pairs)
    assert True is released
    assert (None, NOW + 300, "") == (after.used_at, after.due_at, after.closed_s1)
    assert None is person(pairs).last_follow_up_at
    assert () == reserve(pairs, bots, after, person(pairs), bot, "relance:2", NOW + 300)


def ledger(engine, user=USER):
    """The pair's row with all it holds."""
    (row,) = (row for row in engine.rows("Pairs") if (row["user"], row["bot"]) == (user, BOT_ID))
    return row


def test_the_ledger_keeps_what_a_reservation_was_judged_on(engine, pairs, bots):
    """The five messages move out of the register as soon as the person writes back."""
    pair = five(pairs)
    pairs.open_window(USER, BOT_ID, NOW - 40)
    pairs.reserve(read(pairs), person(pairs), **asked(bots))
    for n in range(5):
        count(pairs, NOW + 60 + n, f"later{n}")
    pairs.open_window(USER, BOT_ID, NOW + 100)

    kept = ledger(engine)
    assert list(pair.times) == kept["used_times"]
    assert (NOW - 40, 0) == (kept["used_opened_at"], kept["used_before"])


def test_an_earlier_use_is_told_by_the_table_and_not_by_the_sender(engine, pairs, bots):
    """A sender that forgot it could not hide it."""
    five(pairs)
    pairs.reserve(read(pairs), person(pairs), **asked(bots))
    again = asked(bots) | {"now": NOW + COOLDOWN, "follow_up_id": "relance:2"}
    assert () == pairs.reserve(read(pairs), person(pairs), **again)

    assert (NOW, NOW + COOLDOWN) == (ledger(engine)["used_before"], ledger(engine)["used_at"])


def test_a_used_row_is_still_one_write_unit(engine, pairs, bots):
    """AWS bills a write by started kilobytes (names and values): what the ledger keeps must not begin a second one."""
    user, account, name = "whatsapp#0123456789abcdef0123456789abcdef", "1" * 17, f"relance:{'f' * 32}"
    for i in range(5):
        to = "DE.13491208655302741918"
        pairs.count(user, BOT_ID, at=NOW - 500 + i, message_id=f"m{i}", to=to, expires_at=NOW, account=account)
    found, persons = pairs.read([Due(user, BOT_ID)], consistent=True)
    pair, wamid = found[Due(user, BOT_ID)], "wamid." + "x" * 60
    pairs.reserve(pair, persons[user], **asked(bots) | {"template": "a_template_with_a_name", "follow_up_id": name})
    pairs.record(pair, follow_up_id=name, outcome="accepted", code=131049, message_id=wamid, now=NOW)
    pairs.settle(user, BOT_ID, follow_up_id=name, outcome="delivered", code=None, at=NOW, message_ids=[wamid])
    size = sum(len(name) + len(str(value)) for name, value in ledger(engine, user).items())

    assert size < 900


def asked(bots):
    """What a sender says when it reserves."""
    bot = bots.read([BOT_ID], consistent=True)[0][BOT_ID]
    said = {"route": "free_form", "language": "en", "now": NOW, "cooldown": COOLDOWN}
    return said | {"bot_unchanged": bots.unchanged(bot), "follow_up_id": "relance:1"}


@pytest.mark.parametrize("receipt", ["accepted", "delivered", "read"])
def test_a_receipt_after_a_release_spends_the_follow_up_after_all(pairs, bots, receipt):
    """The platform refused and sent all the same: the timer that runs again must not make a second message of it."""
    pair, someone = five(pairs), person(pairs)
    pairs.reserve(pair, someone, **asked(bots))
    pairs.release(pair, someone, follow_up_id="relance:1", due_at=NOW, reason="x", now=NOW, expires_at=NOW + 9)
    retry = read(pairs)

    pairs.settle(USER, BOT_ID, follow_up_id="relance:1", outcome=receipt, code=None, at=NOW + 1)

    assert ("pair",) == pairs.reserve(retry, person(pairs), **asked(bots) | {"follow_up_id": "relance:2"})
    assert (NOW + 1, receipt) == (read(pairs).used_at, read(pairs).outcome)


def test_the_ledger_counts_the_messages_that_the_platform_knows_of_one_follow_up(engine, pairs, bots):
    """Receipts of one message are one, however many; a second message is a second id."""
    pair = five(pairs)
    pairs.reserve(pair, person(pairs), **asked(bots))
    for message_id in ("mid.1", "mid.1", "mid.2"):
        pairs.settle(
            USER, BOT_ID, follow_up_id="relance:1", outcome="delivered", code=None, at=NOW, message_ids=[message_id]
        )

    assert 2 == len(ledger(engine)["receipts"])


def test_only_the_attempt_that_reserved_can_release_or_record(pairs, bots):
    """A late sender must not give away what another one has spent."""
    pair, someone, bot = five(pairs), person(pairs), published(bots)
    reserve(pairs, bots, pair, someone, bot)

    released = pairs.release(
        pair, someone, follow_up_id="relance:9", due_at=NOW, reason="", now=NOW, expires_at=NOW + 9
    )
    recorded = pairs.record(pair, follow_up_id="relance:9", outcome="accepted", code=None, message_id="", now=NOW)

    assert (False, False) == (released, recorded)
    assert NOW == read(pairs).used_at


@pytest.mark.parametrize(
    ("receipts", "outcome"),
    [
        (["accepted"], "accepted"),
        (["delivered", "accepted"], "delivered"),
        (["read", "delivered"], "read"),
        (["failed", "delivered"], "failed"),
    ],
)
def test_receipts_settle_an_unknown_outcome_in_any_order(pairs, bots, receipts, outcome):
    """A later receipt, tied by our own id, turns an unknown outcome into a fact."""
    pair = five(pairs)
    reserve(pairs, bots, pair, person(pairs), published(bots))
    pairs.record(pair, follow_up_id="relance:1", outcome="unknown", code=None, message_id="", now=NOW)

    for each in receipts:
        pairs.settle(USER, BOT_ID, follow_up_id="relance:1", outcome=each, code=None, at=NOW)

    assert outcome == read(pairs).outcome


# ── the deployment's row ─────────────────────────────────────────────────────────────────────────────────────


def test_a_stale_heartbeat_starts_the_catch_up_in_the_same_write(bots):
    """Two sweepers at once must agree that there was an outage."""
    bots.beat(NOW, stale_after=900, catch_up=3600)
    on_time = bots.beat(NOW + 900, stale_after=900, catch_up=3600)
    late = bots.beat(NOW + 1801, stale_after=900, catch_up=3600)
    second = bots.beat(NOW + 1801, stale_after=900, catch_up=3600)

    assert None is on_time.catch_up_until
    assert NOW + 1801 + 3600 == late.catch_up_until == second.catch_up_until


# ── changed ids ──────────────────────────────────────────────────────────────────────────────────────────────

OLD, NEW = "whatsapp#" + "0" * 32, "whatsapp#" + "1" * 32


def whatsapp(pairs, user, at, id, also=""):
    """Count a WhatsApp message."""
    return pairs.count(user, BOT_ID, at=at, message_id=id, to=user[-3:], expires_at=at + 86_400, also=also)


def stored(pairs, user):
    """The pair of this key."""
    found, _ = pairs.read([Due(user, BOT_ID)], consistent=True)
    return found[Due(user, BOT_ID)]


def test_a_number_alone_follows_to_the_pair_of_the_scoped_id(pairs):
    """Once a message has named both, later messages with the number alone count for the same pair."""
    whatsapp(pairs, NEW, NOW, "both", also=OLD)
    pair = whatsapp(pairs, OLD, NOW + 1, "number alone")

    assert (NEW, 2) == (pair.user, len(pair.register))
    assert NEW[-3:] == pair.to


def test_linking_costs_one_request_once(database, pairs):
    """A new pair pays it; no later message does."""
    sent = requests(database)
    whatsapp(pairs, NEW, NOW, "m1", also=OLD)
    whatsapp(pairs, NEW, NOW + 1, "m2", also=OLD)

    assert ["UpdateItem", "TransactWriteItems", "UpdateItem"] == sent


def test_a_conversation_under_the_number_becomes_one_with_the_scoped_id(pairs):
    """Registers merge, and the used mark comes along."""
    for i in range(4):
        whatsapp(pairs, OLD, NOW - 100 + i, f"old{i}")
    pair = whatsapp(pairs, NEW, NOW, "both", also=OLD)

    assert (NEW, 5, OLD) == (pair.user, len(pair.register), pair.former)


def test_a_changed_id_keeps_the_used_mark_and_every_mark_of_the_person(engine, pairs, bots):
    """Design: opt-outs and the used mark must follow the person."""
    for i in range(5):
        pair = whatsapp(pairs, OLD, NOW - 500 + i, f"m{i}")
    pairs.start_timer(pair, NOW)
    pair, (someone) = stored(pairs, OLD), pairs.read([Due(OLD, BOT_ID)], consistent=True)[1][OLD]
    assert () == reserve(pairs, bots, pair, someone, published(bots))
    pairs.opt_out(OLD, NOW)

    pairs.move(OLD, NEW, to="new", at=NOW)
    pairs.move(OLD, NEW, to="new", at=NOW)

    moved = stored(pairs, NEW)
    someone = pairs.read([Due(NEW, BOT_ID)], consistent=True)[1][NEW]
    assert (NOW, "reserved", "relance:1") == (moved.outcome_at, moved.outcome, moved.follow_up_id)
    assert list(pair.times) == ledger(engine, NEW)["used_times"]
    assert (NOW, 5, "new") == (moved.used_at, len(moved.register), moved.to)
    assert (NOW, NOW) == (someone.opted_out_at, someone.last_follow_up_at)
    assert NEW == stored(pairs, OLD).alias


def test_a_receipt_under_the_old_key_settles_the_pair_where_it_lives_now(pairs, bots):
    """WhatsApp still names the number for a while; the old row is an alias and keeps no ledger of its own."""
    for i in range(5):
        pair = whatsapp(pairs, OLD, NOW - 500 + i, f"m{i}")
    someone = pairs.read([Due(OLD, BOT_ID)], consistent=True)[1][OLD]
    assert () == reserve(pairs, bots, pair, someone, published(bots))
    pairs.move(OLD, NEW, to="new", at=NOW)

    pairs.settle(OLD, BOT_ID, follow_up_id="relance:1", outcome="delivered", code=None, at=NOW + 9)

    assert ("delivered", NOW + 9) == (stored(pairs, NEW).outcome, stored(pairs, NEW).outcome_at)


def test_a_moved_pair_keeps_its_timer_under_the_new_key(pairs):
    """And the old key leaves the index: one person, one timer."""
    for i in range(5):
        pair = whatsapp(pairs, OLD, NOW - 500 + i, f"m{i}")
    pairs.start_timer(pair, NOW)

    pairs.move(OLD, NEW, to="new", at=NOW)

    assert [Due(NEW, BOT_ID)] == ringing(pairs, NOW)


def test_a_stop_under_the_old_key_still_refuses_the_reservation(pairs, bots):
    """A late event with the old id, after the move and between read and reserve."""
    for i in range(5):
        pair = whatsapp(pairs, OLD, NOW - 500 + i, f"m{i}")
    pairs.start_timer(pair, NOW)
    pairs.move(OLD, NEW, to="new", at=NOW)
    pair, someone = stored(pairs, NEW), pairs.read([Due(NEW, BOT_ID)], consistent=True)[1][NEW]

    pairs.opt_out(OLD, NOW)

    assert ("person",) == reserve(pairs, bots, pair, someone, published(bots))


def test_what_the_platform_stopped_is_read_with_the_pair(pairs):
    """The bot's own row, its business account's, and a template's pause."""
    pairs.count(OLD, BOT_ID, at=NOW, message_id="m", to="x", expires_at=NOW + 9, account="700")
    pairs.pause_account("whatsapp", "700", "paused", template="come_back")
    assert ("", ("come_back",)) == (stored(pairs, OLD).paused, stored(pairs, OLD).paused_templates)

    pairs.pause_account("whatsapp", "700", "account_deleted")
    assert "account_deleted" == stored(pairs, OLD).paused


def test_an_id_that_changes_there_and_back_still_counts(pairs):
    """A new SIM and the old one again: neither row may point at the other for ever."""
    whatsapp(pairs, OLD, NOW, "first")
    pairs.move(OLD, NEW, to="new", at=NOW)
    pairs.move(NEW, OLD, to="old", at=NOW + 1)

    pair = whatsapp(pairs, OLD, NOW + 2, "second")

    assert (OLD, 2, "") == (pair.user, len(pair.register), pair.alias)


def test_messages_follow_several_changes_of_id(pairs):
    """A number alone, two ids later."""
    third = "whatsapp#" + "2" * 32
    whatsapp(pairs, NEW, NOW, "both", also=OLD)
    pairs.move(NEW, third, to="third", at=NOW)

    pair = whatsapp(pairs, OLD, NOW + 1, "number alone")

    assert (third, 2) == (pair.user, len(pair.register))


def test_the_used_mark_follows_a_change_that_is_told_by_a_key_of_long_ago(pairs, bots):
    """The number changes last, and leads to the conversation over two ids; what comes again moves nothing back."""
    third, fourth = "whatsapp#" + "2" * 32, "whatsapp#" + "3" * 32
    whatsapp(pairs, NEW, NOW - 600, "both", also=OLD)
    pairs.move(NEW, third, to="third", at=NOW - 600)
    for i in range(5):
        pair = whatsapp(pairs, third, NOW - 500 + i, f"m{i}")
    pairs.start_timer(pair, NOW)
    pair, someone = stored(pairs, third), pairs.read([Due(third, BOT_ID)], consistent=True)[1][third]
    assert () == reserve(pairs, bots, pair, someone, published(bots))

    pairs.move(OLD, fourth, to="fourth", at=NOW)
    pairs.move(NEW, third, to="third", at=NOW - 600)
    pairs.move(OLD, fourth, to="fourth", at=NOW)

    assert (NOW, 5) == (stored(pairs, fourth).used_at, len(stored(pairs, fourth).register))
    assert (fourth, "") == (stored(pairs, third).alias, stored(pairs, fourth).alias)


def test_whoever_has_changed_ids_often_can_still_be_written_to(pairs, bots):
    """Each change leaves a key behind; one that was not read would refuse every reservation."""
    keys = [OLD, NEW, *(f"whatsapp#{n}" + "0" * 31 for n in range(2, 9))]
    for i in range(5):
        pair = whatsapp(pairs, OLD, NOW - 500 + i, f"m{i}")
    pairs.start_timer(pair, NOW)
    for before, after in pairwise(keys):
        pairs.move(before, after, to="now", at=NOW - 300)

    pair, someone = stored(pairs, keys[-1]), pairs.read([Due(keys[-1], BOT_ID)], consistent=True)[1][keys[-1]]

    assert () == reserve(pairs, bots, pair, someone, published(bots))


def test_a_stop_under_any_key_of_a_person_holds_under_all(pairs):
    """Whatever id a stop comes with, and whatever pairs exist."""
    third = "whatsapp#" + "2" * 32
    whatsapp(pairs, NEW, NOW, "both", also=OLD)
    pairs.move(NEW, third, to="third", at=NOW)

    for said_as in (OLD, NEW, third):
        pairs.opt_out(said_as, NOW)
        for key in (OLD, NEW, third):
            assert pairs.read([Due(key, BOT_ID)], consistent=True)[1][key].opted_out


def test_a_stop_given_by_number_holds_when_the_scoped_id_appears(pairs):
    """The number had a conversation of its own, and its owner had said stop there."""
    whatsapp(pairs, OLD, NOW - 10, "by number")
    pairs.opt_out(OLD, NOW - 9)

    whatsapp(pairs, NEW, NOW, "both", also=OLD)

    assert pairs.read([Due(NEW, BOT_ID)], consistent=True)[1][NEW].opted_out


@pytest.mark.parametrize("erased", [False, True])
def test_a_used_mark_under_the_number_follows_to_the_scoped_id(engine, pairs, bots, erased):
    """Also when nothing but the mark has outlived an erasure."""
    for i in range(5):
        pair = whatsapp(pairs, OLD, NOW - 500 + i, f"m{i}")
    pairs.start_timer(pair, NOW)
    pair, someone = stored(pairs, OLD), pairs.read([Due(OLD, BOT_ID)], consistent=True)[1][OLD]
    assert () == reserve(pairs, bots, pair, someone, published(bots))
    if erased:
        erase(Forget(OLD, NOW), people=engine.people(pairs._db), now=NOW + 600)

    whatsapp(pairs, NEW, NOW + 5, "both", also=OLD)

    assert NOW == stored(pairs, NEW).used_at


def test_a_wish_by_number_reaches_the_conversation_of_the_scoped_id(pairs):
    """The message to edit or to take back lies there."""
    whatsapp(pairs, NEW, NOW, "both", also=OLD)

    assert NEW == pairs.change(OLD, BOT_ID)
    assert 1 == stored(pairs, NEW).changes


def test_a_follow_up_under_one_key_is_the_cooldown_of_all(pairs, bots):
    """Two bots know the same person by different ids."""
    for user in (OLD, NEW):
        for i in range(5):
            pair = whatsapp(pairs, user, NOW - 500 + i, f"{user}{i}")
        pairs.start_timer(pair, NOW)
    pairs._db.call(
        "TransactWriteItems",
        {"TransactItems": [{"Update": each} for each in pairs._one_person(OLD, NEW, expires_at=NOW + 10**6)]},
    )
    seen = {key: pairs.read([Due(key, BOT_ID)], consistent=True) for key in (OLD, NEW)}
    bot = published(bots)

    first = reserve(pairs, bots, seen[OLD][0][Due(OLD, BOT_ID)], seen[OLD][1][OLD], bot)
    second = reserve(pairs, bots, seen[NEW][0][Due(NEW, BOT_ID)], seen[NEW][1][NEW], bot, "relance:2")

    assert ((), ("person",)) == (first, second)


def test_a_message_taken_back_between_read_and_reserve_wins(pairs, bots):
    """The draft may quote it."""
    pair, someone, bot = five(pairs), person(pairs), published(bots)

    pairs.change(USER, BOT_ID)

    assert ("pair",) == reserve(pairs, bots, pair, someone, bot)


def test_a_hold_outlives_the_echo_that_follows_it(engine, pairs):
    """A bot nearly always answers a crisis text."""
    pairs.hold(USER, NOW + 90 * 86_400)
    pairs.echo(USER, "77", NOW + 10)
    engine.travel(NOW + 89 * 86_400)
    engine.expire()

    assert NOW + 90 * 86_400 == person(pairs).hold_until


def test_a_conflict_with_another_transaction_is_over_in_milliseconds(database, pairs, monkeypatch):
    """botocore does not retry it, and a 502 would hold the whole deployment for an hour."""
    failures = [2]
    attempt = Endpoint._get_response

    def conflicting(self, request, operation, context):
        if failures[0]:
            failures[0] -= 1
            error = {"Error": {"Code": "TransactionConflictException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            return (AWSResponse(request.url, 400, {}, None), error), None
        return attempt(self, request, operation, context)

    monkeypatch.setattr(Endpoint, "_get_response", conflicting)

    assert 1 == len(count(pairs, NOW, "m").register)


def test_a_follow_up_that_nobody_answered_is_remembered_across_bots(engine, pairs, bots):
    """Gate B8 counts it for the operator's other bots, until the person writes to that bot again."""
    pair, someone, bot = five(pairs), person(pairs), published(bots)
    assert () == reserve(pairs, bots, pair, someone, bot)
    other = Due(USER, "another bot")

    _, before = pairs.read([other], consistent=True)
    count(pairs, NOW + 60, "came back")
    _, after = pairs.read([other], consistent=True)

    assert ((NOW,), ()) == (before[USER].ignored, after[USER].ignored)


def test_a_released_follow_up_was_never_ignored(engine, pairs, bots):
    """What reached nobody cannot have been left unanswered."""
    pair, someone, bot = five(pairs), person(pairs), published(bots)
    reserve(pairs, bots, pair, someone, bot)
    pairs.release(pair, someone, follow_up_id="relance:1", due_at=NOW + 9, reason="x", now=NOW, expires_at=NOW + 9)

    assert {} == person(pairs).followed
