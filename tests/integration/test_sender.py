"""The real sender on the local stack and over real HTTP: one message, once, and every outcome class of the platform."""

import itertools
import json
import sys
from dataclasses import replace

import boto3
import pytest
from botocore.endpoint import Endpoint

from local.webhooks import OTHER_APP, OWN_APP, build
from relance.pair import EVERY_BOT
from relance.persona import Draft, Nothing, Persona
from tests.cinema import CINEMA, DAY, HOUR, MOMENT, NOON, WORDS, talk

BOT = replace(CINEMA, languages=("en", "fr"), persona=Persona(voice="A film guide who is brief and precise."))


@pytest.fixture
def stack(stack):
    """A fresh deployment with one live bot, at noon."""
    stack.publish(BOT, enabled_at=NOON - 30 * DAY)
    return stack


def come(stack, until=MOMENT + 30 * 60):
    """The moment comes, and half an hour more passes."""
    stack.travel(MOMENT - 300)
    stack.run_until(until)


def say(stack, kind, text="", user="2002", **more):
    """One more event of that conversation, now."""
    body = build("messenger", kind, bot=BOT.id, user=user, at=stack.now, id=f"e-{stack.now}-{kind}", text=text, **more)
    assert 200 == stack.post("messenger", body).status


def pair(stack, bot="1001"):
    """The only pair's row."""
    (row,) = [row for row in stack.pairs() if row["bot"] == bot]
    return row


def queued(stack):
    """A conversation, its moment come, the pair in the queue."""
    talk(stack)
    stack.travel(MOMENT)
    stack.sweep()
    assert 1 == stack.queue_depth()


# ── the whole way ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("channel", ["messenger", "instagram", "whatsapp"])
def test_five_messages_and_a_silence_earn_one_follow_up(stack, channel):
    """At the planned moment, once, disclosed, with the way to stop it."""
    bot = replace(BOT, id="1717", channel=channel, ai_is_incidental=True, audience_zones=("Europe/Paris",))
    stack.publish(bot, enabled_at=NOON - DAY)
    user = {"whatsapp": "33639980001"}.get(channel, "2002")
    talk(stack, user=user, bot=bot)

    stack.run_until(NOON + 2 * DAY)

    (said,) = stack.graph.accepted
    assert (MOMENT, "1717") == (said.at, said.bot)
    assert "free_form" == pair(stack, "1717")["route"]
    assert "Lumen, an AI of Cinema Lumen. Reply STOP to opt out." in said.text
    assert pair(stack, "1717")["outcome"] in ("accepted", "delivered", "read")
    assert 0 == stack.queue_depth() == len(stack.dead_letters())


def test_never_a_second_one(stack):
    """Not for the same silence, not after fifty more messages."""
    talk(stack)
    come(stack)
    assert 1 == len(stack.graph.accepted)
    stack.run_until(MOMENT + HOUR)
    talk(stack, last=stack.now)
    stack.run_until(stack.now + 9 * HOUR)

    assert 1 == len(stack.graph.accepted)
    assert ("drop", "already_used") == (pair(stack)["verdict"], pair(stack)["reason"])


def test_a_message_that_the_queue_delivers_twice_is_sent_once(stack):
    """Standard queues are at-least-once."""
    queued(stack)
    stack.travel(MOMENT + 600)
    stack.sweep()
    assert 2 == stack.queue_depth()
    stack.drain()

    assert 1 == len(stack.graph.accepted)


# ── no wins ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("no", "reason"),
    [
        (lambda stack: say(stack, "text", "STOP"), None),
        (lambda stack: say(stack, "standby", "please stop writing to me"), "opted_out"),
        (
            lambda stack: say(stack, "echo_human", "I'm Sam from the cinema, I'll take it from here", app_id=""),
            "human_owns",
        ),
        (lambda stack: say(stack, "echo_bot", "anything else?", app_id=OTHER_APP), "human_owns"),
        (lambda stack: say(stack, "echo_bot", "by the way", app_id=OWN_APP), "already_written"),
        (lambda stack: say(stack, "handover"), "human_owns"),
        (lambda stack: stack.pause("1001"), "paused"),
    ],
)
def test_a_no_wins_over_a_follow_up_that_is_already_queued(stack, no, reason):
    """Stop, hand-over, an echo, a pause: whatever came after the sweep."""
    queued(stack)
    no(stack)
    stack.drain()

    assert [] == stack.graph.accepted
    assert "used_at" not in pair(stack)
    if reason:
        assert ("drop", reason) == (pair(stack)["verdict"], pair(stack)["reason"])


def test_somebody_who_wrote_again_is_not_written_to(stack):
    """The silence is over; the timer waits for the next one."""
    queued(stack)
    say(stack, "text", "hello again")
    stack.drain()

    assert [] == stack.graph.accepted
    assert MOMENT + 8 * HOUR <= pair(stack)["due_at"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("I feel so alone, I don't want to live any more", "safety_hold"),
        ("I'm 13 and in 7th grade", "minor"),
    ],
)
def test_a_crisis_or_a_minor_is_never_written_to(stack, words, reason):
    """Decided when the message arrives."""
    talk(stack, words=(*WORDS[:4], words))
    come(stack)

    assert [] == stack.graph.accepted
    assert ("drop", reason) == (pair(stack)["verdict"], pair(stack)["reason"])


# ── what is read, and when ───────────────────────────────────────────────────────────────────────────────────


def test_no_word_is_read_before_the_cheap_rules_have_passed(stack, monkeypatch):
    """Data minimisation is a property of the order: a table that must not be touched proves it."""
    queued(stack)
    stack.pause("1001")
    read = []
    attempt = Endpoint._get_response

    def watched(self, request, operation, context):
        if operation.name == "Query":
            read.append(json.loads(request.body)["TableName"])
        return attempt(self, request, operation, context)

    monkeypatch.setattr(Endpoint, "_get_response", watched)
    stack.drain()

    assert stack.template.name("Interactions") not in read


def test_a_deleted_message_is_not_remembered(stack):
    """A deletion wish is applied by every reader."""
    talk(stack)
    for i in range(5):
        body = build(
            "messenger", "deletion", bot=BOT.id, user="2002", at=NOON + 1, id=f"d{i}", target=f"m-2002-{NOON - i * 120}"
        )
        stack.post("messenger", body)
    come(stack)

    assert [] == stack.graph.accepted
    assert pair(stack)["reason"] in ("no_open_thread", "language")


def test_heavy_use_is_seen_from_times_alone(stack):
    """Sixty-one messages on one day."""
    talk(stack, words=(*["which one next?"] * 57, *WORDS), step=700, last=NOON)
    come(stack)

    assert [] == stack.graph.accepted
    assert "heavy_use" == pair(stack)["reason"]


# ── the writer and the guard ─────────────────────────────────────────────────────────────────────────────────


class Scripted:
    """A writer that says what the test gives it, draft by draft."""

    def __init__(self, *drafts):
        self.drafts = list(drafts)
        self.feedback = []

    def write(self, brief):
        self.feedback.append(brief.feedback)
        return self.drafts.pop(0) if self.drafts else Nothing("no more")


def _warm(stack):
    """A first invocation, so that the function's module is there."""
    body = {"messageId": "1", "body": "{}", "attributes": {}, "eventSource": "aws:sqs"}
    stack.invoke("Sender", {"Records": [body]})


def _forget_secrets():
    """As if the five minutes of the cache were over."""
    sys.modules["relance_function_Sender"].sender.secrets.forget()


@pytest.fixture
def writer(stack, monkeypatch):
    """Put a scripted writer into the real sender."""

    def install(*drafts):
        _warm(stack)
        module = sys.modules["relance_function_Sender"]
        scripted = Scripted(*drafts)
        monkeypatch.setattr(module, "sender", replace(module.sender, writer=scripted))
        return scripted

    return install


GOOD = Draft("You asked about the lighthouse film. I can tell you when the matinee is.", "the lighthouse film", "en")
NEEDY = Draft(
    "I missed you so much! Why did you leave me, the lighthouse film is waiting?", "the lighthouse film", "en"
)


def test_a_refused_draft_gets_one_more_chance(stack, writer):
    """The guard's reason is fed back; the second draft is sent."""
    scripted = writer(NEEDY, GOOD)
    talk(stack)
    come(stack)

    assert 2 == len(scripted.feedback)
    assert scripted.feedback[1]
    assert stack.graph.accepted[0].text.startswith(GOOD.message)


@pytest.mark.parametrize(("drafts", "reason"), [((NEEDY, NEEDY), "draft_refused"), ((Nothing("no"),), "writer_silent")])
def test_two_bad_drafts_or_nothing_to_say_is_silence(stack, writer, drafts, reason):
    """Default is silence."""
    writer(*drafts)
    talk(stack)
    come(stack)

    assert [] == stack.graph.accepted
    assert reason == pair(stack)["reason"]


# ── outcomes ─────────────────────────────────────────────────────────────────────────────────────────────────


def settled(stack, **fault):
    """Let the platform answer so, and the days go by."""
    talk(stack)
    stack.graph.fault(**fault)
    come(stack)
    return pair(stack)


def person(stack):
    """The user's row."""
    return pair(stack, EVERY_BOT)


@pytest.mark.parametrize(
    "fault",
    [{"code": 613, "status": 400}, {"code": 4, "status": 400}, {"drop": "before_read"}, {"status": 429}],
)
def test_a_clean_refusal_is_tried_again_and_reaches_once(stack, fault):
    """RETRY: the reservation is given back, the timer rings again, the person gets one message."""
    row = settled(stack, times=1, **fault)

    if fault.get("drop"):
        # Whether the request had left cannot be known for sure: at most one, and nobody is written to twice.
        assert len(stack.graph.accepted) <= 1
    else:
        assert 1 == len(stack.graph.accepted)
        assert row["used_at"] > MOMENT


@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"drop": "after_read", "accepts": True}, {"status": 200, "body": "<html>", "accepts": True}],
)
def test_an_unknown_outcome_counts_as_delivered_and_is_never_repeated(stack, fault):
    """UNKNOWN: it may have reached the person."""
    row = settled(stack, times=1, **fault)

    assert len(stack.graph.accepted) <= 1
    assert 1 == len(stack.graph.requests)
    assert row["outcome"] in ("unknown", "delivered", "read", "accepted")
    assert row["used_at"]


@pytest.mark.parametrize("code", [(10, 2018278), (551, None), (100, 2018001)])
def test_a_final_refusal_is_final(stack, code):
    """NEVER: the follow-up is used, nobody tries again."""
    row = settled(stack, times=9, status=400, code=code[0], subcode=code[1])

    assert 1 == len(stack.graph.requests)
    assert "refused" == row["outcome"]


def test_a_person_who_stopped_the_topic_on_the_platform_is_opted_out(stack):
    """OPTOUT: terminal, and the person is suppressed."""
    settled(stack, times=1, status=400, code=10, subcode=1893015)

    assert person(stack)["opted_out_at"]


def test_a_revoked_token_pauses_the_bot_and_spends_nobody(stack):
    """STOP: one try for the whole bot, the others wait with a reason."""
    talk(stack, user="2003", last=NOON)
    talk(stack)
    stack.graph.fault(times=9, status=401, code=190)
    come(stack)

    pairs = [row for row in stack.pairs() if row["bot"] == "1001"]
    assert 1 == len(stack.graph.requests)
    assert [] == stack.graph.accepted
    assert "190" in next(each for each in stack.bots() if each["id"] == "1001")["paused"]
    assert [("drop", "paused")] * 2 == [(row["verdict"], row["reason"]) for row in pairs]
    assert not any("used_at" in row for row in pairs)
    assert '"BotPaused"' in stack.logs  # the alarm's metric


def test_a_missing_token_pauses_the_bot_before_a_model_is_paid(stack, writer):
    """Else every lease would end in the same place, for days."""
    scripted = writer(GOOD)
    talk(stack)
    boto3.client("ssm").delete_parameter(Name="/relance/bots/1001/token")
    _forget_secrets()
    come(stack)

    assert [] == scripted.feedback
    assert ("drop", "paused") == (pair(stack)["verdict"], pair(stack)["reason"])
    assert 0 == stack.queue_depth() == len(stack.dead_letters())


def test_a_token_that_was_just_replaced_is_no_reason_to_pause(stack):
    """The cached one is refused; the new one is read and used."""
    talk(stack)
    queued_at = MOMENT
    stack.travel(queued_at)
    stack.sweep()
    _warm(stack)
    module = sys.modules["relance_function_Sender"]
    module.sender.secrets.read(("/relance/bots/1001/token", "/relance/bots/1001/app-secret"))
    boto3.client("ssm").put_parameter(
        Name="/relance/bots/1001/token", Value="EAA-new", Type="SecureString", Overwrite=True
    )
    stack.graph.fault(times=1, status=401, code=190)
    stack.graph.register_token("EAA-new", "1001", channel="messenger")
    stack.run_until(queued_at + HOUR)

    assert 1 == len(stack.graph.accepted)
    assert "paused" not in next(each for each in stack.bots() if each["id"] == "1001")


def test_clean_refusals_end_and_leave_more_room_each_time(stack):
    """A platform in trouble is asked eight times at most, twice as seldom after each refusal."""
    talk(stack)
    stack.graph.fault(times=1000, status=400, code=4)
    stack.travel(MOMENT - 300)
    stack.run_until(MOMENT + HOUR)
    waits = [b.at - a.at for a, b in itertools.pairwise(stack.graph.requests)]

    assert 1 < len(stack.graph.requests) <= 8
    assert all(later >= earlier for earlier, later in itertools.pairwise(waits))


def test_a_sender_that_died_after_the_reservation_is_settled_as_unknown(stack, monkeypatch):
    """Whether it had delivered, nobody knows: it counts, and the ledger says so."""
    from relance.channels.graph import GraphClient

    class Died(BaseException):
        """The function is gone: no handler of ours sees it."""

    queued(stack)
    with monkeypatch.context() as patch:
        patch.setattr(GraphClient, "deliver", lambda *_, **__: (_ for _ in ()).throw(Died()))
        with pytest.raises(Died):
            stack.drain()
    assert "reserved" == pair(stack)["outcome"]
    stack.run_until(MOMENT + HOUR)

    assert [] == stack.graph.accepted
    assert "unknown" == pair(stack)["outcome"]


def test_a_poison_message_harms_no_other_and_ends_in_the_dead_letter_queue(stack):
    """After five tries, with its alarm."""
    talk(stack)
    stack.travel(MOMENT - 60)
    url = boto3.client("sqs").get_queue_url(QueueName=stack.template.name("FollowUpsQueue"))["QueueUrl"]
    boto3.client("sqs").send_message(QueueUrl=url, MessageBody="not a pair")
    stack.run_until(MOMENT + HOUR)

    assert 1 == len(stack.graph.accepted)
    assert 1 == len(stack.dead_letters())


# ── privacy ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_personal_in_logs_queue_events_or_ledger(stack):
    """Canaries in the conversation; the token is the stand-in's."""
    talk(stack, words=(*WORDS[:4], "Tell me more about the kanarienvogel film some time"))
    come(stack)

    assert 1 == len(stack.graph.accepted)
    seen = stack.logs + json.dumps(stack.events(), default=str) + json.dumps(stack.pairs(), default=str)
    assert "kanarienvogel" not in seen
    assert "lighthouse" not in seen
    assert "2002" not in stack.logs + json.dumps(stack.events(), default=str)
    assert "Bearer" not in stack.logs
