"""Every error code of Meta's pages, through the real sender and over real HTTP: what becomes of message, user and bot.

The tables below are written down from Meta's documentation and know nothing of relance's own table of codes.
"""

import copy
from dataclasses import dataclass, replace
from itertools import pairwise

import boto3
import pytest
from moto.dynamodb.models import dynamodb_backends

from local.stack import ACCOUNT, REGION, LocalStack
from local.webhooks import build, merge
from relance.bot import Template
from relance.outcome import MESSENGER, WHATSAPP
from relance.pair import EVERY_BOT
from relance.persona import Persona
from tests.cinema import CINEMA, DAY, HOUR, MINUTE, MOMENT, NOON, WORDS

TEMPLATE_MOMENT = NOON + 30 * HOUR  # the window is closed, and in Paris it is 19:00
BOT = replace(
    CINEMA,
    audience_zones=("Europe/Paris",),
    ai_is_incidental=True,
    persona=Persona(voice="A film guide who is brief and precise."),
)
TEMPLATE = Template(name="come_back", language="en_US", category="MARKETING", ttl=12 * HOUR)
USERS = {"whatsapp": ("33639980001", "33639980002")}
OTHERS = ("2002", "2003")


@dataclass(frozen=True)
class Effect:
    """What a refusal does. `tries`: how often the platform is asked in all. `wait`: seconds before the second try."""

    outcome: str
    tries: int = 1
    opted_out: bool = False
    bot_paused: bool = False
    template_paused: bool = False
    wait: int = 0

    @property
    def used(self) -> bool:
        return self.outcome != "released"


NEVER = Effect("refused")
LATER = NEVER  # "not before tomorrow": a product that writes once has no tomorrow
SUPPRESS = OPTOUT = Effect("refused", opted_out=True)
STOP = Effect("released", bot_paused=True)
STOP_TEMPLATE = Effect("released", template_paused=True)
UNKNOWN = Effect("unknown")
ONE_RETRY = Effect("refused", tries=2, wait=1)


def retry(wait=1):
    """Released; a second try after `wait` seconds reaches the person."""
    return Effect("accepted", tries=2, wait=wait)


# (effect, HTTP statuses, codes)
ON_WHATSAPP = [
    (STOP, (401,), (0, 190)),
    (STOP, (500, 400), (3,)),
    (STOP, (403,), (10, 200, 219, 299, 131005, 368, 131031)),
    (STOP, (400, 500), (131042, 131045, 133010, 33, 131037)),
    (STOP, (400,), (131048, 131064)),
    (NEVER, (403,), (130497,)),
    (retry(MINUTE), (400,), (4, 80007)),
    (retry(), (400,), (130429, 131056, 133016)),
    (ONE_RETRY, (400,), (1, 131000, 135000)),
    (UNKNOWN, (500,), (1, 131000, 135000)),
    (retry(), (503, 500, 400), (2, 131016, 133004)),
    (retry(MINUTE), (500,), (131057,)),
    (NEVER, (400,), (100, 131008, 131009, 131021, 131051, 131055)),
    (NEVER, (400,), (131026, 131047, 130472, 131030, 131062, 131052, 131053, 134100, 137000)),
    (LATER, (400,), (131049,)),
    (OPTOUT, (400,), (131050,)),
    (retry(10 * MINUTE), (500,), (134101,)),
]
BY_TEMPLATE = [
    (NEVER, (400,), (132000, 132005, 132012, 132018, 132007)),
    (NEVER, (404,), (132001,)),
    (NEVER, (400,), (131026, 131047, 134100)),
    (LATER, (400,), (131049,)),
    (OPTOUT, (400,), (131050,)),
    (STOP_TEMPLATE, (400,), (132015, 132016, 131063, 134102)),
    (STOP, (403,), (368,)),
]
# (effect, codes as "code" or "code/subcode")
ON_MESSENGER = [
    (NEVER, "1/99 4/2018354 9/2018352 613/1893016 10/2018278 10/2534022 10/2018065 10/2018108 10/1545041"),
    (UNKNOWN, "1/1357046"),
    (ONE_RETRY, "2 2/1545133"),
    (retry(MINUTE), "4 17 32 613 613/2534040"),
    (STOP, "613/2018338 10/1893063 10/1404170 10/2534077 10 10/7 100/33 100/2534013 100/2534029"),
    (STOP, "190 190/460 200 200/2018028 200/2018027 200/2534041 368 2022"),
    (OPTOUT, "10/1893015"),
    (NEVER, "100 100/2534015 100/2534037 2018300 100/2018300 230 9010 9000001"),
    (SUPPRESS, "100/2018001 100/2534014 200/1545041 551 551/1545041"),
    (LATER, "2018321 100/2018321"),
]
# (effect on user and bot, codes): those that come hours later, as a status `failed`
AFTER_ACCEPTANCE = [
    (NEVER, (131026, 131047, 131049, 130472, 131000, 131008, 131009, 131051, 131052, 131053, 131062, 130497)),
    (NEVER, (1, 2, 130429, 131016, 131056, 135000, 134100, 137000, 132000, 132001, 132007, 132018)),
    (OPTOUT, (131050,)),
    (STOP, (131031, 368, 131042, 131045, 131048, 131064, 133010, 131037, 10, 190, 131005, 33)),
]


def whatsapp_cases(table):
    return [
        pytest.param(code, status, effect, id=f"{code}-{status}")
        for effect, statuses, codes in table
        for status in statuses
        for code in codes
    ]


def messenger_cases():
    pairs = ((effect, *each.partition("/")[::2]) for effect, codes in ON_MESSENGER for each in codes.split())
    return [
        pytest.param(int(code), int(sub) if sub else None, effect, id=f"{code}-{sub}") for effect, code, sub in pairs
    ]


class Scenes:
    """Plays each scene once, up to the sweep that queues the pairs, and begins every case of it there.

    A fresh deployment, its webhooks and its sweep would take four times as long as the case itself.
    """

    def __init__(self, stack):
        self.stack = stack
        self.kept = {(): self.rows()}
        self.queued = {}
        self.sqs = boto3.client("sqs", region_name=REGION)

    def begin(self, moment, play, *name):
        stack, graph = self.stack, self.stack.graph
        (queue,) = [each.queue for each in stack.template.sources if each.function == "Sender"]
        if name not in self.kept:
            self.clear(())
            stack.travel(NOON)
            play()
            stack.travel(moment)
            stack.sweep()
            self.kept[name] = self.rows()
            self.queued[name] = [message.body for message in stack._messages(queue)]
        self.clear(name)
        stack.travel(moment)
        for body in self.queued[name]:
            self.sqs.send_message(QueueUrl=stack.template.resolve({"Ref": queue}), MessageBody=body)
        graph.accepted, graph.requests, graph._faults, graph._steps, graph._due = [], [], [], {}, []
        stack._heard, stack.failures = [], []

    def tables(self):
        return dynamodb_backends[ACCOUNT][REGION].tables.values()

    def rows(self):
        return {table.name: copy.deepcopy(table.items) for table in self.tables()}

    def clear(self, name):
        for table in self.tables():
            table.items = copy.deepcopy(self.kept[name][table.name])
        for source in self.stack.template.sources:
            self.stack._messages(source.queue).clear()


@pytest.fixture(scope="module")
def scenes():
    """One stack for the module."""
    with LocalStack(start=NOON) as stack:
        yield Scenes(stack)


@pytest.fixture
def stack(scenes):
    """The module's stack; `ready` says what is in it."""
    scenes.stack.scenes = scenes
    return scenes.stack


# ─── A case: people who have earned a follow-up, and what is left of them afterwards ─────────────────────────────────


def users(channel):
    return USERS.get(channel, OTHERS)


def ready(stack, channel, *, people=1, template=False, bots=1):
    """Conversations whose moment has come, queued; with `template` their windows are closed, and they said yes."""
    moment = TEMPLATE_MOMENT if template else MOMENT
    stack.scenes.begin(moment, lambda: _talk(stack, channel, people, template, bots), channel, people, template, bots)
    assert people * bots == stack.queue_depth()


def _talk(stack, channel, people, template, bots):
    # An account is of one channel, here as everywhere.
    first = {"whatsapp": 1001, "messenger": 2001, "instagram": 3001}[channel] + 10 * template
    for id_ in map(str, range(first, first + bots)):
        bot = replace(BOT, id=id_, channel=channel)
        if template:
            bot = replace(bot, template=TEMPLATE, min_silence=30 * HOUR)
        stack.publish(bot, enabled_at=NOON - 30 * DAY)
        for user in users(channel)[:people]:
            bodies = []
            if template:
                consent = {"id": f"yes-{id_}-{user}", "text": "Yes", "payload": "RELANCE_YES"}
                bodies.append(build(channel, "button", bot=id_, user=user, at=NOON - HOUR, **consent))
            for i, text in enumerate(WORDS):
                at = NOON - (len(WORDS) - 1 - i) * 120
                bodies.append(build(channel, "text", bot=id_, user=user, at=at, id=f"m-{id_}-{user}-{i}", text=text))
            assert 200 == stack.post(channel, merge(bodies)).status


def work(stack):
    """One sweep and the queue behind it, now."""
    stack.sweep()
    stack.drain()


def later(stack, seconds=0, until=None):
    """Time passes without an outage: sweeps go on."""
    until = stack.now + seconds if until is None else until
    while stack.now < until:
        stack.travel(min(stack.now + 10 * MINUTE, until))
        work(stack)


def pairs(stack):
    return [row for row in stack.pairs() if row["bot"] != EVERY_BOT and "s1" in row]


def pair(stack):
    (row,) = pairs(stack)
    return row


def marks(stack, name):
    """The values of an attribute in the rows that are true for all bots: of a person, or of an account."""
    return [row[name] for row in stack.pairs() if row["bot"] == EVERY_BOT and name in row]


def is_paused(stack):
    return bool(any("paused" in row for row in stack.bots()) or marks(stack, "paused"))


def is_template_paused(stack):
    return bool(marks(stack, f"template_{TEMPLATE.name}"))


def assert_effect(stack, effect, *, code):
    """The whole life of one refusal: this message, this user, this bot, and how often the platform was asked."""
    stack.drain()
    assert 1 == len(stack.graph.requests)
    if effect.wait:
        row = pair(stack)
        assert ("released", False) == (row["outcome"], "used_at" in row)
        assert effect.wait <= row["due_at"] - stack.now <= 40 * MINUTE
        due_at = row["due_at"]
        later(stack, until=due_at - 1)
        assert 1 == len(stack.graph.requests)
        later(stack, until=due_at)
    if "due_at" in pair(stack):
        later(stack, 10 * MINUTE)

    row = pair(stack)
    assert "due_at" not in row  # no timer: nothing will ever ring again in this silence
    assert effect.tries == len(stack.graph.requests)
    assert effect.outcome in ("accepted", row["outcome"])
    assert (1 if effect.outcome == "accepted" else 0) == len(stack.graph.accepted)
    assert effect.used == ("used_at" in row)
    assert effect.opted_out == bool(marks(stack, "opted_out_at"))
    assert (effect.bot_paused, effect.template_paused) == (is_paused(stack), is_template_paused(stack))
    if effect.bot_paused:
        assert ("drop", "paused") == (row["verdict"], row["reason"])
        assert [code] == [event["detail"]["code"] for event in stack.events() if event["detail-type"] == "BotPaused"]
    if effect.outcome == "refused":
        assert code == row["outcome_code"]
        assert "FollowUpRefused" in {event["detail-type"] for event in stack.events()}
    assert [] == stack.failures
    assert 0 == stack.queue_depth()


# ─── WhatsApp ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("code", "status", "effect"), whatsapp_cases(ON_WHATSAPP))
def test_what_a_code_of_whatsapp_does(stack, code, status, effect):
    """Refused at once, inside the window."""
    ready(stack, "whatsapp")
    stack.graph.fault(1 if effect.outcome == "accepted" else 9, code=code, status=status)

    assert_effect(stack, effect, code=code)


@pytest.mark.parametrize(("code", "status", "effect"), whatsapp_cases(BY_TEMPLATE))
def test_what_a_code_of_whatsapp_does_to_a_template(stack, code, status, effect):
    """Refused at once, beyond the window: a template at fault does not silence the bot inside its windows."""
    ready(stack, "whatsapp", template=True)
    stack.graph.fault(9, code=code, status=status)

    assert_effect(stack, effect, code=code)
    if effect.template_paused:
        assert "drop" == pair(stack)["verdict"]


@pytest.mark.parametrize(
    ("code", "effect"),
    [pytest.param(code, effect, id=str(code)) for effect, codes in AFTER_ACCEPTANCE for code in codes],
)
def test_what_a_code_does_that_whatsapp_reports_later(stack, code, effect):
    """Accepted, then a status `failed`: used all the same, never again, and what it says of user and bot holds."""
    ready(stack, "whatsapp")
    stack.graph.script([("sent", 1), ("failed", 2, code)])
    stack.drain()
    assert "accepted" == pair(stack)["outcome"]
    stack.run_until(stack.now + 3)

    row = pair(stack)
    assert "due_at" not in row
    assert ("failed", code) == (row["outcome"], row["outcome_code"])
    assert row["used_at"]
    assert 1 == len(stack.graph.requests)
    assert effect.opted_out == bool(marks(stack, "opted_out_at"))
    assert effect.bot_paused == is_paused(stack)
    assert [] == stack.failures


def test_a_failure_that_comes_later_stops_the_bots_other_follow_ups(stack):
    """STOP by status: the next person's timer rings, and nobody is written to."""
    ready(stack, "whatsapp", people=2)
    stack.graph.script([("failed", 2, 131031)], user=users("whatsapp")[0])
    first, second = users("whatsapp")
    body = build("whatsapp", "text", bot="1001", user=second, at=NOON + 300, id="once-more", text="And the lighthouse?")
    stack.post("whatsapp", body)
    stack.drain()
    assert [first] == [said.to for said in stack.graph.accepted]
    stack.run_until(stack.now + 3)
    later(stack, 20 * MINUTE)

    assert 1 == len(stack.graph.requests)
    assert {"accepted"} == {said.outcome for said in stack.graph.requests}
    assert ["paused"] == [row["reason"] for row in pairs(stack) if "used_at" not in row]


@pytest.mark.parametrize("code", [132015, 132016])
def test_a_template_that_whatsapp_drops_later_is_used_no_more(stack, code):
    """Accepted, held for quality, then dropped as paused: the template stops, the bot does not."""
    ready(stack, "whatsapp", template=True)
    stack.graph.script([("failed", 2, code)])
    stack.drain()
    stack.run_until(stack.now + 3)

    assert ("failed", code) == (pair(stack)["outcome"], pair(stack)["outcome_code"])
    assert (False, True) == (is_paused(stack), is_template_paused(stack))


def test_somebody_who_is_undeliverable_twice_is_suppressed(stack):
    """131026 once may be an old app; twice, and by another bot, it is a person who is gone or who blocked us."""
    ready(stack, "whatsapp", bots=2)
    stack.graph.fault(9, code=131026)
    stack.drain()
    assert 1 == len(stack.graph.requests)
    assert [] == marks(stack, "opted_out_at")

    (other,) = {"1001", "1002"} - {said.bot for said in stack.graph.requests}
    failed = {"at": stack.now, "id": "wamid.other", "code": 131026}
    stack.post("whatsapp", build("whatsapp", "status_failed", bot=other, user=users("whatsapp")[0], **failed))

    assert marks(stack, "opted_out_at")


# ─── Messenger and Instagram ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("channel", ["messenger", "instagram"])
@pytest.mark.parametrize(("code", "subcode", "effect"), messenger_cases())
def test_what_a_code_of_messenger_or_instagram_does(stack, channel, code, subcode, effect):
    """One table for both channels; the subcode decides where there is one."""
    ready(stack, channel)
    times = 1 if effect.outcome == "accepted" else 9
    stack.graph.fault(times, code=code, subcode=subcode, status=401 if code == 190 else 400)

    assert_effect(stack, effect, code=code)


def test_messages_that_went_out_although_an_error_came_back_are_not_sent_again(stack):
    """1/1357046: the reply was broken, the person has the message, and the echo says so."""
    ready(stack, "messenger")
    stack.graph.fault(1, code=1, subcode=1357046, status=500, accepts=True)
    stack.drain()
    assert "unknown" == pair(stack)["outcome"]
    stack.run_until(stack.now + 3)
    later(stack, 20 * MINUTE)

    assert 1 == len(stack.graph.requests) == len(stack.graph.accepted)
    assert pair(stack)["outcome"] in ("accepted", "delivered", "read")


# ─── Rate limits and what has no code ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("channel", ["whatsapp", "messenger", "instagram"])
@pytest.mark.parametrize(
    ("fault", "effect"),
    [
        ({"status": 429, "body": ""}, retry()),
        ({"status": 429, "body": '{"error":{"message":"x"}}'}, retry()),
        ({"status": 401, "body": ""}, Effect("released", bot_paused=True)),
        ({"status": 500, "body": ""}, UNKNOWN),
        ({"status": 502, "body": "<html>Bad gateway</html>"}, UNKNOWN),
        ({"status": 503, "body": "{"}, UNKNOWN),
        ({"status": 200, "body": "{}", "accepts": False}, UNKNOWN),
        ({"drop": "after_read", "accepts": False}, UNKNOWN),
        ({"status": 400, "body": ""}, NEVER),
    ],
)
def test_an_answer_without_a_code_is_read_with_care(stack, channel, fault, effect):
    """A throttle is tried again, a 4xx is a refusal; whatever may have arrived is never repeated."""
    ready(stack, channel)
    stack.graph.fault(1 if effect.outcome == "accepted" else 9, **fault)
    stack.drain()
    while "due_at" in pair(stack):
        later(stack, 5 * MINUTE)

    row = pair(stack)
    assert effect.tries == len(stack.graph.requests)
    assert effect.used == ("used_at" in row)
    assert effect.bot_paused == is_paused(stack)
    assert effect.outcome in (row["outcome"], "accepted")


@pytest.mark.parametrize("channel", ["whatsapp", "messenger", "instagram"])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "700"}, 700),
        ({"X-Business-Use-Case-Usage": '{"1":[{"estimated_time_to_regain_access":12}]}'}, 720),
    ],
)
def test_the_platforms_own_wait_is_waited(stack, channel, headers, seconds):
    """Never sooner than it asks."""
    ready(stack, channel)
    stack.graph.fault(1, code=4, headers=headers)
    stack.drain()
    later(stack, seconds - 1)
    assert 1 == len(stack.graph.requests)
    later(stack, 1)

    assert 2 == len(stack.graph.requests)
    assert 1 == len(stack.graph.accepted)


@pytest.mark.parametrize("channel", ["messenger", "instagram"])
def test_a_wait_that_outlasts_the_window_is_silence(stack, channel):
    """No second try once the window has closed: the platform would only say no again."""
    ready(stack, channel)
    stack.graph.fault(1, code=613, headers={"Retry-After": "3600"})
    stack.drain()
    later(stack, 2 * HOUR)

    assert (1, 0) == (len(stack.graph.requests), len(stack.graph.accepted))
    assert ("drop", "unreachable") == (pair(stack)["verdict"], pair(stack)["reason"])


@pytest.mark.parametrize(
    ("channel", "code"), [("whatsapp", 131056), ("whatsapp", 130429), ("messenger", 613), ("instagram", 4)]
)
def test_a_limit_that_does_not_end_ends_in_silence(stack, channel, code):
    """A few tries, further and further apart, and at last a verdict; the follow-up is never doubled or kept ringing."""
    ready(stack, channel)
    stack.graph.fault(99, code=code)
    stack.drain()
    asked = [stack.now]
    while stack.now < NOON + 26 * HOUR:
        before = len(stack.graph.requests)
        later(stack, 5 * MINUTE)
        asked += [stack.now] * (len(stack.graph.requests) - before)

    waits = [after - before for before, after in pairwise(asked)]
    assert waits == sorted(waits)
    assert len(asked) <= 5
    assert "due_at" not in pair(stack)
    assert [] == stack.graph.accepted


@pytest.mark.parametrize(
    ("channel", "code"), [("whatsapp", 4), ("whatsapp", 80007), ("messenger", 613), ("instagram", 4)]
)
def test_a_limit_of_the_account_holds_its_other_follow_ups_back(stack, channel, code):
    """One refusal tells it for all: the next person's is not sent into the same wall."""
    ready(stack, channel, people=2)
    stack.graph.fault(1, code=code)
    stack.drain()

    assert 1 == len(stack.graph.requests)


def test_a_limit_of_one_pair_holds_nobody_else_back(stack):
    """131056 is about one person: everybody else is written to."""
    ready(stack, "whatsapp", people=2)
    stack.graph.fault(1, code=131056)
    stack.drain()

    assert (2, 1) == (len(stack.graph.requests), len(stack.graph.accepted))


# ─── Nothing is left out ──────────────────────────────────────────────────────────────────────────────────────────────


def test_every_code_that_relance_knows_is_walked_here():
    """Nobody adds a code without showing what it does."""
    walked = {code for table in (ON_WHATSAPP, BY_TEMPLATE) for _, _, codes in table for code in codes}
    assert {code for code in WHATSAPP if not 200 <= code < 300} <= walked
    shown = {(case.values[0], case.values[1]) for case in messenger_cases()}
    known = {(code, sub) for code, sub in MESSENGER if code is not None}
    assert known - {(1, None)} <= shown
