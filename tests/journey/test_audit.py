"""Each line of the audit turned red by the real handlers, with one piece of them broken on purpose.

The audit is believed only because of these: a line that has never been red may be blind.
"""

from dataclasses import replace
from types import SimpleNamespace

import boto3
import pytest

from local.audit import LINES, Settings, audit
from local.cli_audit import Reader, with_follow_ups
from local.stack import LocalStack
from local.webhooks import build
from relance import pair, rules, zones
from relance import sweep as sweeping
from relance.bot import Bot
from relance.interaction import PAYLOAD_STOP
from relance.pair import FOREVER
from relance.send import Sender
from relance.store import pairs as pair_store
from relance.store.bots import BotStore
from relance.store.pairs import PairStore
from tests.cinema import CINEMA, DAY, HOUR, MOMENT, NOON, WORDS, talk

BOT = replace(CINEMA, audience_zones=("Europe/Paris",), languages=("en", "fr"), ai_is_incidental=True)


@pytest.fixture(scope="module")
def running():
    """One stack for the module; it sweeps every ten minutes, which is half the work of five."""
    with LocalStack(start=NOON, parameters={"SweepMinutes": "10"}) as stack:
        yield stack


@pytest.fixture
def stack(running):
    """A fresh deployment at noon with one live bot."""
    running.reset(NOON)
    running.publish(BOT, enabled_at=NOON - 30 * DAY)
    return running


def say(stack, kind, at=None, user="2002", **more):
    """One more event of that conversation."""
    at = stack.now if at is None else at
    body = build("messenger", kind, bot=BOT.id, user=user, at=at, id=f"e-{at}-{kind}", **more)
    assert 200 == stack.post("messenger", body).status


def come(stack, until=MOMENT + HOUR, messages=1):
    """Time passes; so many messages reach the platform in all."""
    stack.run_until(until)
    assert messages == len(stack.graph.accepted)


def red(stack):
    """The lines that the audit says are broken, of what the tables really hold."""
    reader = Reader(boto3.client("dynamodb"), rate=10**9)
    bots = list(reader.scan(stack.template.name("Bots"), "bots"))
    rows = with_follow_ups(
        reader.scan(stack.template.name("Pairs"), "rows"), reader, stack.template.name("Interactions")
    )
    findings = audit(rows, bots, Settings.of(stack.template.parameters), stack.now)
    assert list(LINES) == [finding.line for finding in findings]
    return [finding.line for finding in findings if not finding.ok]


def plant(stack, user, bot, **values):
    """Break a row by hand."""
    boto3.client("dynamodb").update_item(
        TableName=stack.template.name("Pairs"),
        Key={"user": {"S": user}, "bot": {"S": bot}},
        UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
        ExpressionAttributeValues={f":{name}": {"N": str(value)} for name, value in values.items()},
    )


def sees(monkeypatch, **person):
    """Break the sender's and the sweeper's eyes: of every person they read this instead of what is stored."""
    read = PairStore.read

    def forgetful(self, *given, **named):
        pairs, persons = read(self, *given, **named)
        return pairs, {user: replace(each, **person) for user, each in persons.items()}

    monkeypatch.setattr(PairStore, "read", forgetful)


def test_unbroken_everything_is_clean(stack):
    """Else the tests below would prove nothing: at every hour of a conversation, its follow-up and an answer to it."""
    talk(stack)
    for hour in (1, 8, 9, 22, 24, 30):
        stack.run_until(NOON + hour * HOUR)
        assert [] == red(stack), hour
    talk(stack, last=stack.now)
    stack.run_until(stack.now + 2 * DAY)
    assert [] == red(stack)
    assert 1 == len(stack.graph.accepted)


# --- never two ----------------------------------------------------------------------------------------------------


def test_a_platform_that_got_the_message_twice(stack, monkeypatch):
    """One reservation, one record, two messages: the receipts name both."""
    accept = stack.graph._accept

    def twice(now, request):
        accept(now, request)
        return accept(now, request)

    monkeypatch.setattr(stack.graph, "_accept", twice)
    talk(stack)
    come(stack, messages=2)

    assert ["double"] == red(stack)


def test_a_sender_that_delivers_again_what_it_has_recorded(stack, monkeypatch):
    """The platform tells nothing of it here, and the conversation keeps both."""
    monkeypatch.setattr(PairStore, "settle", lambda *_, **__: None)
    record = Sender._record

    def again(self, case, message, outcome):
        record(self, case, message, outcome)
        second = self.graph.deliver(message, token=f"token-of-{BOT.id}", app_secret="", now=case.now)
        return record(self, case, message, second)

    monkeypatch.setattr(Sender, "_record", again)
    talk(stack)
    come(stack, messages=2)

    assert ["double"] == red(stack)


def test_a_used_mark_that_nobody_heeds(stack, monkeypatch):
    """Written to again three weeks later: the table itself has noted what it overwrote."""
    read = PairStore.read

    def forgetful(self, *given, **named):
        pairs, persons = read(self, *given, **named)
        return {due: replace(each, used_at=None) for due, each in pairs.items()}, persons

    monkeypatch.setattr(PairStore, "read", forgetful)
    monkeypatch.setattr(pair_store, "_unchanged", pair_store._as_judged)
    talk(stack)
    come(stack)
    later = NOON + 21 * DAY
    stack.travel(later)
    stack.sweep()
    talk(stack, last=later)
    come(stack, later + DAY, messages=2)

    assert ["double"] == red(stack)


# --- when ---------------------------------------------------------------------------------------------------------


def test_a_window_that_never_closes(stack, monkeypatch):
    """A day without sweeps, and then the channel's 24 hours are over."""
    monkeypatch.setattr(rules, "PLATFORM_WINDOW", 10 * DAY)
    talk(stack)
    stack.travel(NOON + 26 * HOUR)
    come(stack, NOON + 29 * HOUR, messages=0)  # the stand-in knows its own window, and refuses

    assert ["window"] == red(stack)


def test_five_messages_of_three_weeks(stack, monkeypatch):
    """They were within two weeks of each other when the silence began, and are no more at the instant of sending."""
    first = NOON - 14 * DAY + HOUR
    stack.reset(first)
    stack.publish(BOT, enabled_at=first - DAY)
    talk(stack, last=first, words=WORDS[:1])
    stack.travel(NOON)
    stack.sweep()
    plan = rules.plan
    monkeypatch.setattr(rules, "is_earned", lambda *_: True)
    monkeypatch.setattr(rules, "plan", lambda judged, *more, **named: plan(_newest_only(judged), *more, **named))
    talk(stack, last=NOON, words=WORDS[1:])
    come(stack)

    assert ["window"] == red(stack)


def _newest_only(judged):
    """A pair that has said everything at once."""
    return replace(judged, register=(judged.s1,) * 5)


def test_a_bots_patience_that_is_overruled(stack, monkeypatch):
    """Its file says twenty hours; the rules take the deployment's eight."""
    stack.publish(replace(BOT, min_silence=20 * HOUR), enabled_at=NOON - 30 * DAY)
    monkeypatch.setattr(rules, "silences", lambda *_: (8 * HOUR, 8 * HOUR))
    talk(stack, last=NOON - 8 * HOUR)
    come(stack, NOON + HOUR)

    assert ["too_soon"] == red(stack)


def test_quiet_hours_that_are_ignored(stack, monkeypatch):
    """Written at eleven in the evening, answered at ten: the hours end at half past seven."""
    careless = SimpleNamespace(
        possible_zones=zones.possible_zones,
        countries_of_address=zones.countries_of_address,
        is_allowed=lambda *_, **__: True,
        allowed_intervals=lambda start, end, **_: [(start, end)],
    )
    monkeypatch.setattr(rules, "zones", careless)
    stack.travel(NOON + 10 * HOUR)
    stack.sweep()
    talk(stack, last=stack.now)
    come(stack, stack.now + 25 * HOUR)

    assert ["quiet_hours"] == red(stack)


# --- whether ------------------------------------------------------------------------------------------------------


def test_a_stop_that_nobody_heeds(stack, monkeypatch):
    """It was heard and kept; the rules and the reservation believe in a younger yes."""
    talk(stack)
    say(stack, "quick_reply", text="", payload=PAYLOAD_STOP)
    sees(monkeypatch, opted_out_at=None, consent_at=FOREVER)
    come(stack, messages=2)  # the stop was confirmed

    assert ["opt_out"] == red(stack)


def test_a_hold_that_nobody_heeds(stack):
    """Planted: a hold of ninety days that had begun when the follow-up went out."""
    talk(stack)
    come(stack)
    (person,) = [row for row in stack.pairs() if row["bot"] == "*"]
    plant(stack, person["user"], "*", hold_until=MOMENT - HOUR + 90 * DAY, keep_until=FOREVER, expires_at=FOREVER)

    assert ["hold"] == red(stack)


def test_a_consent_that_nobody_asks_for(stack, monkeypatch):
    """A bot in France, and code that takes every consent for soft."""
    stack.publish(replace(BOT, country="FR"), enabled_at=NOON - 30 * DAY)
    monkeypatch.setattr(Bot, "needs_opt_in", False)
    talk(stack)
    come(stack)

    assert ["consent"] == red(stack)


def test_a_cooldown_that_is_forgotten(stack, monkeypatch):
    """One person on WhatsApp, two bots of the house, two days."""
    reserve = PairStore.reserve
    bots = [replace(BOT, id=id_, channel="whatsapp") for id_ in ("106", "107")]
    sees(monkeypatch, last_follow_up_at=None)
    monkeypatch.setattr(PairStore, "reserve", lambda *given, **named: reserve(*given, **named | {"cooldown": 0}))
    for n, bot in enumerate(bots):
        stack.publish(bot, enabled_at=NOON - 30 * DAY)
        talk(stack, user="33639980001", last=NOON + n * DAY, bot=bot)
        come(stack, NOON + n * DAY + 24 * HOUR, messages=n + 1)

    assert ["crowded"] == red(stack)


def test_a_message_that_came_hours_late(stack):
    """The person had written again, and whoever should have told relance did not."""
    talk(stack)
    come(stack)
    say(stack, "text", at=MOMENT - 3 * HOUR, text="are you still there?")

    assert ["newer"] == red(stack)


def test_a_person_of_the_business_whom_nobody_heeds(stack, monkeypatch):
    """The conversation was handed over to them within the hour."""
    monkeypatch.setattr(rules, "human_owns", lambda *_: False)
    talk(stack)
    stack.run_until(NOON + HOUR // 2)
    say(stack, "handover")
    come(stack)

    assert ["taken"] == red(stack)


def test_a_backlog_that_is_written_to(stack, monkeypatch):
    """The bot was enabled after the silence had begun, and the sender sees another day."""
    read = BotStore.read

    def yesterday(self, *given, **named):
        bots, deployment = read(self, *given, **named)
        return {id_: replace(bot, enabled_at=0) for id_, bot in bots.items()}, deployment

    stack.publish(BOT, enabled_at=NOON + HOUR)
    monkeypatch.setattr(BotStore, "read", yesterday)
    talk(stack)
    come(stack)

    assert ["off"] == red(stack)


# --- timers -------------------------------------------------------------------------------------------------------


def test_a_sweeper_that_looks_at_nobody(stack, monkeypatch):
    """It is alive, and timers ring in vain."""
    monkeypatch.setattr(sweeping._Round, "judge", lambda *_: [])
    talk(stack)
    come(stack, NOON + 9 * HOUR, messages=0)

    assert ["stuck"] == red(stack)


def test_a_timer_that_never_starts(stack, monkeypatch):
    """Five messages, a silence, and nothing that will ever ring."""
    monkeypatch.setattr(PairStore, "start_timer", lambda *_: True)
    talk(stack)
    come(stack, NOON + HOUR, messages=0)

    assert ["stuck"] == red(stack)


def test_a_sender_that_fails_on_a_pair_for_ever(stack, monkeypatch):
    """The timer is young, because the sweeper leases it again and again."""

    def poison(*_, **__):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(Sender, "send", poison)
    talk(stack)
    come(stack, MOMENT + 41 * 60, messages=0)
    assert ["stuck"] == red(stack)
    come(stack, MOMENT + 9 * HOUR, messages=0)
    assert ["stuck"] == red(stack), "given up at last, and the ledger still tells it"


def test_a_schedule_that_is_off(stack):
    """No timer has rung yet, and none ever will."""
    talk(stack)
    stack.sweep()
    stack.travel(NOON + HOUR)

    assert ["stuck"] == red(stack)


def test_a_shard_that_no_sweep_looks_at(stack, monkeypatch):
    """DueShards was lowered while timers ran."""
    monkeypatch.setattr(pair_store, "shard_of", lambda user, shards: pair.shard_of(user, shards)[0] + "9")
    talk(stack)
    come(stack, NOON + HOUR, messages=0)

    assert ["index"] == red(stack)


# --- the ledger itself --------------------------------------------------------------------------------------------


def test_an_outcome_that_nobody_writes_down(stack, monkeypatch):
    """The sender died between delivery and record, and no receipt was heard."""
    for name in ("record", "settle"):
        monkeypatch.setattr(PairStore, name, lambda *_, **__: None)
    talk(stack)
    come(stack)

    assert ["unrecorded"] == red(stack)


def test_a_reservation_that_forgets_the_person(stack, monkeypatch):
    """The pair is used, and any other bot may write to them tomorrow."""
    reserve = PairStore.reserve
    monkeypatch.setattr(
        PairStore,
        "reserve",
        lambda self, judged, person, **named: reserve(self, judged, replace(person, seen=()), **named),
    )
    talk(stack)
    come(stack)

    assert ["half"] == red(stack)


def test_a_mark_that_goes_with_its_conversation(stack, monkeypatch):
    """In a month nobody would know that they had been written to."""
    monkeypatch.setattr(pair_store, "_forever", list)
    talk(stack)
    come(stack)

    assert ["expiring"] == red(stack)


def test_an_update_that_does_not_ask_whether_the_row_is_there(stack, monkeypatch):
    """A reaction after the conversation has expired leaves a row with nothing in it."""

    def careless(self, user, bot, *, actions, condition):
        self._db.update(self._table, user, bot, actions=actions)
        return True

    monkeypatch.setattr(PairStore, "_conditionally", careless)
    say(stack, "reaction")
    come(stack, NOON + HOUR, messages=0)

    assert ["ghost"] == red(stack)


def test_a_time_to_live_that_is_switched_off(stack):
    """Forty days after a chat of two messages its address is still there."""
    talk(stack, words=WORDS[:2])
    stack.travel(NOON + 40 * DAY)
    stack.sweep()
    assert ["overdue"] == red(stack)
    stack.expire()
    assert [] == red(stack)
