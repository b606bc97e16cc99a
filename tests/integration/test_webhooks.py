"""The three real webhook handlers: what is answered, what is stored, and what it costs."""

import json
import os
import subprocess
import sys

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.endpoint import Endpoint

from local import cli_bots
from local.stack import LocalStack
from local.webhooks import APP_SECRET, OWN_APP, WHATSAPP_BUSINESS, build, encode, merge, sign
from relance.bot import Bot
from relance.interaction import Address

NOW = 1_768_478_400  # 2026-01-15T12:00:00Z
HOUR = 3600
CHANNELS = ("whatsapp", "messenger", "instagram")
BOTS = {"whatsapp": "106500000000001", "messenger": "1001", "instagram": "17840000000000001"}
USERS = {"whatsapp": "12015550123", "messenger": "2002", "instagram": "3003"}


@pytest.fixture(scope="module")
def running():
    """One stack for the module; each test gets it fresh."""
    with LocalStack(start=NOW) as stack:
        yield stack


@pytest.fixture
def stack(running):
    """A fresh deployment."""
    running.reset(NOW)
    return running


@pytest.fixture(params=CHANNELS)
def channel(request):
    """Each channel in turn."""
    return request.param


def message(channel, at=NOW - 60, id="m1", text="hello there", kind="text", **more):
    """One event of the channel's user."""
    return build(channel, kind, bot=BOTS[channel], user=USERS[channel], at=at, id=id, text=text, **more)


def the_pair(stack):
    """The only pair's row, aliases left out."""
    (row,) = [row for row in stack.pairs() if row["bot"] != "*" and "alias" not in row]
    return row


def the_person(stack):
    """The only person's row."""
    (row,) = [row for row in stack.pairs() if row["bot"] == "*"]
    return row


class Requests:
    """DynamoDB requests as botocore makes them, each attempt of its own; `throttle` names an operation to refuse."""

    def __init__(self):
        self.sent = []
        self.throttle = ""

    @property
    def names(self):
        return [name for name, _ in self.sent]


@pytest.fixture
def requests(stack, monkeypatch):
    """Count from here on; a first POST has warmed the functions up."""
    for each in CHANNELS:
        stack.post(each, message(each, id="warm", text="warm up"))
    stack.reset(NOW)
    seen = Requests()
    attempt = Endpoint._get_response

    def counted(self, request, operation, context):
        if operation.service_model.service_name != "dynamodb":
            return attempt(self, request, operation, context)
        seen.sent.append((operation.name, json.loads(request.body)))
        if operation.name == seen.throttle:
            error = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            return (AWSResponse(request.url, 400, {}, None), error), None
        return attempt(self, request, operation, context)

    monkeypatch.setattr(Endpoint, "_get_response", counted)
    return seen


# ── the door ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_handshake_answers_the_challenge_alone(stack, channel):
    """Meta checks the callback with a GET: the challenge, unquoted; a wrong token is refused."""
    good = stack.handshake(channel, "verify-token-for-tests", "1158201444")
    bad = stack.handshake(channel, "guess", "1158201444")

    assert (200, "1158201444") == (good.status, good.body)
    assert 403 == bad.status


@pytest.mark.parametrize("signature", ["bad", None])
def test_a_body_nobody_signed_is_401_and_nothing_is_stored(stack, channel, signature):
    """No request reaches the tables."""
    assert 401 == stack.post(channel, message(channel), signature=signature).status
    assert [] == stack.pairs()
    assert [] == stack.interactions()


def test_a_base64_body_is_decoded_before_it_is_verified(stack, channel):
    """Function URLs encode bodies they take for binary."""
    assert 200 == stack.post(channel, message(channel), base64=True).status
    assert 1 == len(stack.interactions())


HOSTILE = {
    "lone surrogate": (
        b'{"object":"page","entry":[{"id":"1001","time":1,"messaging":[{"sender":{"id":"2002"},"recipient":'
        b'{"id":"1001"},"timestamp":1768478340000,"message":{"mid":"m_1","text":"\\ud800"}}]}]}'
    ),
    "NaN": b'{"object":"page","entry":[{"id":"1001","time":NaN}]}',
    "duplicate keys": b'{"object":"page","object":"page","entry":[]}',
    "UTF-16": '{"object":"page","entry":[]}'.encode("utf-16"),
    "100,000 brackets": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a huge number": b'{"object":"page","entry":[{"id":' + b"9" * 6_000 + b"}]}",
    "1e999": b'{"object":"page","entry":[{"id":"1001","time":1e999}]}',
    "not JSON": b"hello",
    "empty": b"",
    "null": b"null",
    "not UTF-8": b'{"object":"\xff\xfe"}',
    "an unknown object": b'{"object":"permissions","entry":[{"id":"1"}]}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_signed_body_always_gets_its_200(stack, channel, name):
    """An exception would have Meta redeliver it for days and then unsubscribe the page."""
    assert 200 == stack.post(channel, HOSTILE[name]).status


def test_a_non_ascii_signature_is_refused_without_an_exception(stack, channel):
    """compare_digest raises on such strings: a 500, and a redelivery."""
    answer = stack.post(
        channel, message(channel), signature=None, headers={"x-hub-signature-256": "sha256=é" + "0" * 63}
    )

    assert 401 == answer.status


def test_an_oversized_or_compressed_body_is_refused_unread(stack, channel):
    """3 MB is the most WhatsApp sends; a compressed body could be a bomb."""
    assert 413 == stack.post(channel, b"x" * (3 * 1024 * 1024 + 1)).status
    assert 415 == stack.post(channel, message(channel), headers={"content-encoding": "gzip"}).status


def test_one_broken_event_does_not_cost_the_others(stack):
    """A batch of three with a poison one in the middle: two are counted."""
    bodies = [message("messenger", id=f"m{i}", at=NOW - 60 + i) for i in range(3)]
    bodies[1]["entry"][0]["messaging"] = [None, 7, {"sender": []}]

    assert 200 == stack.post("messenger", merge(bodies)).status
    assert 2 == len(stack.interactions())


# ── the register ─────────────────────────────────────────────────────────────────────────────────────────────


def test_five_messages_start_a_timer_eight_hours_after_the_last(stack, channel):
    """Four do not."""
    for i in range(4):
        stack.post(channel, message(channel, at=NOW - 600 + i * 60, id=f"m{i}"))
    assert "due_at" not in the_pair(stack)

    stack.post(channel, message(channel, at=NOW - 60, id="m4"))

    assert NOW - 60 + 8 * HOUR == the_pair(stack)["due_at"]


def test_the_same_webhook_twice_counts_once(stack, channel):
    """Also two copies in one batch, and after other messages."""
    body = message(channel)
    stack.post(channel, merge([body, body]))
    stack.post(channel, message(channel, id="m2", at=NOW - 30))
    stack.post(channel, body)

    pair = the_pair(stack)
    assert ["", "", ""] == [pair.get(f"s{i}", "") for i in (3, 4, 5)]
    assert 2 == len(stack.interactions())


def test_a_counted_message_costs_two_plain_writes_and_no_read(stack, channel, requests):
    """Not one read, not one transaction; the third write only where a timer starts."""
    written = []
    for i in range(8):
        stack.post(channel, message(channel, at=NOW - 600 + i * 60, id=f"m{i}"))
        written.append(list(requests.names))
        requests.sent.clear()

    plain = ["UpdateItem", "PutItem"]
    assert [plain] * 4 + [[*plain, "UpdateItem"]] + [plain] * 3 == written


def test_a_message_while_the_timer_runs_does_not_touch_the_index(stack, requests):
    """The lazy timer: the index is written per silence, not per message."""
    for i in range(5):
        stack.post("messenger", message("messenger", at=NOW - 600 + i * 60, id=f"m{i}"))
    requests.sent.clear()

    stack.post("messenger", message("messenger", at=NOW - 10, id="m9"))

    touched = {name for _, body in requests.sent for name in body.get("ExpressionAttributeNames", {}).values()}
    assert not touched & {"due_at", "due_shard"}


def test_receipts_cost_no_request(stack, channel, requests):
    """They are three of four webhooks."""
    kind = "read" if channel != "whatsapp" else "delivered"
    stack.post(channel, message(channel, kind=kind, text="", target="m0"))

    assert [] == requests.sent


def test_a_lost_timer_write_is_repeated_by_the_redelivery(stack, monkeypatch):
    """A crash between the two writes must not lose the timer."""
    from relance.store.pairs import PairStore

    bodies = [message("messenger", at=NOW - 600 + i * 60, id=f"m{i}") for i in range(5)]
    for body in bodies[:4]:
        stack.post("messenger", body)
    with monkeypatch.context() as patch:
        patch.setattr(PairStore, "start_timer", lambda *_: (_ for _ in ()).throw(RuntimeError("crash")))
        assert 502 == stack.post("messenger", bodies[4]).status
    assert "due_at" not in the_pair(stack)

    assert 200 == stack.post("messenger", bodies[4]).status
    assert NOW - 360 + 8 * HOUR == the_pair(stack)["due_at"]


@pytest.mark.parametrize(
    ("ahead", "counts"), [(300, True), (301, False), (-14 * 24 * HOUR, True), (-14 * 24 * HOUR - 1, False)]
)
def test_a_time_too_far_off_is_kept_and_not_counted(stack, ahead, counts):
    """As the platform says it was written, never clamped: a clamped time would differ at each redelivery."""
    stack.post("messenger", message("messenger", at=NOW + ahead))

    assert counts is bool([row for row in stack.pairs() if row["bot"] != "*"])
    assert 1 == len(stack.interactions())


# ── signals ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "mark"),
    [("STOP", "opted_out_at"), ("I'm 13 and I love this film", "minor"), ("I want to kill myself", "hold_until")],
)
def test_a_signal_takes_effect_when_the_message_arrives(stack, channel, text, mark):
    """One write more, to the user's row; neither the phrase nor a label of it."""
    stack.post(channel, message(channel, text=text))

    assert the_person(stack)[mark]
    assert text not in json.dumps([row for row in stack.pairs()])


def test_a_stop_from_somebody_never_heard_of_is_kept(stack):
    """In a thread that another app owns, before any message that counts."""
    stack.post("messenger", message("messenger", kind="standby", text="stop"))

    assert the_person(stack)["opted_out_at"]
    assert [] == stack.interactions()


def test_a_stop_is_not_undone_by_writing_again_but_by_a_fresh_yes(stack):
    """Only the user's own opt-in, younger than the stop."""
    stack.post("messenger", message("messenger", text="STOP", at=NOW - 100))
    stack.post("messenger", message("messenger", text="hello again", id="m2", at=NOW - 90))
    assert "consent_at" not in the_person(stack)

    stack.post(
        "messenger", message("messenger", kind="quick_reply", text="Yes", payload="RELANCE_YES", id="m3", at=NOW - 80)
    )

    assert NOW - 80 == the_person(stack)["consent_at"]
    assert NOW - 100 == the_person(stack)["opted_out_at"]


def test_a_stop_taken_by_a_clock_that_is_behind_is_still_younger_than_the_yes_before_it(stack, channel):
    """Two Lambdas, two clocks: dated by its own, the stop would lose against the yes."""
    yes = "button" if channel == "whatsapp" else "quick_reply"
    stack.post(channel, message(channel, kind=yes, text="Yes", payload="RELANCE_YES", at=NOW - 60))
    stack.travel(NOW - 180)

    stack.post(channel, message(channel, text="STOP", id="m2", at=NOW - 10))

    assert the_person(stack)["opted_out_at"] > the_person(stack)["consent_at"]


def test_relances_own_buttons_never_count(stack, channel):
    """They open the window."""
    kind = "button" if channel == "whatsapp" else "quick_reply"
    stack.post(channel, message(channel, kind=kind, text="Yes", payload="RELANCE_YES"))

    assert [] == [row for row in stack.pairs() if row["bot"] != "*"]


# ── the others on the line ───────────────────────────────────────────────────────────────────────────────────


def test_an_echo_is_remembered_with_its_app(stack):
    """Whose app it is, the bot's file says later."""
    stack.post("messenger", message("messenger", kind="echo_bot", text="our answer", app_id=OWN_APP))

    assert NOW - 60 == the_person(stack)[f"echo_{OWN_APP}"]
    assert ["bot"] == [row["side"] for row in stack.interactions()]


def test_a_reaction_opens_the_window_and_does_not_count(stack):
    """Two clocks."""
    stack.post("messenger", message("messenger", at=NOW - 600))
    stack.post("messenger", message("messenger", kind="reaction", text="", target="m1", id="r1"))

    pair = the_pair(stack)
    assert NOW - 60 == pair["opened_at"]
    assert not pair.get("s2")


def test_a_deletion_leaves_a_wish_and_the_message_still_counts_as_written(stack):
    """Its text goes: every reader applies the wish."""
    stack.post("messenger", message("messenger"))
    stack.post("messenger", message("messenger", kind="deletion", text="", target="m1", id="d1"))

    assert 1 == len([row for row in stack.interactions() if row["at_id"].startswith("wish#")])
    assert the_pair(stack)["s1"]


def test_a_scoped_id_is_the_key_and_the_number_is_not_stored_in_it(stack):
    """The canonical id on WhatsApp is the business-scoped one."""
    user = Address("US.1349000000000001", "12015550123")
    stack.post("whatsapp", build("whatsapp", "text", bot=BOTS["whatsapp"], user=user, at=NOW - 60, id="w1", text="hi"))

    assert "US.1349000000000001" == the_pair(stack)["to"]


def test_an_edit_redelivered_after_the_deletion_does_not_bring_the_text_back(stack):
    """A deletion is final; of two edits the newer one holds."""
    stack.post("messenger", message("messenger", at=NOW - 60))
    edits = [
        message("messenger", kind="edit", text=f"edit {i}", target="m1", id=f"x{i}", at=NOW - 40 + i) for i in (0, 1)
    ]
    for body in (edits[1], edits[0]):
        stack.post("messenger", body)
    (wish,) = [row for row in stack.interactions() if row["at_id"].startswith("wish#")]
    assert "edit 1" == wish["text"]

    stack.post("messenger", message("messenger", kind="deletion", text="", target="m1", id="d", at=NOW - 20))
    stack.post("messenger", edits[1])

    (wish,) = [row for row in stack.interactions() if row["at_id"].startswith("wish#")]
    assert ("deletion", None) == (wish["kind"], wish.get("text"))


def test_a_platforms_resume_is_not_the_yes_that_the_law_asks_for(stack):
    """Rule 10: only relance's own question, answered, or the operator's record."""
    stack.post("whatsapp", message("whatsapp", kind="opt_in", text=""))

    assert not [row for row in stack.pairs() if "consent_at" in row]


def test_an_event_that_fails_does_not_keep_the_stop_behind_it_waiting(stack, monkeypatch):
    """The POST comes again as a whole, and the stop holds already."""
    from relance.store.pairs import PairStore

    bodies = [message("messenger", kind="reaction", text="", target="m0", id="r"), message("messenger", text="STOP")]
    with monkeypatch.context() as patch:
        patch.setattr(PairStore, "open_window", lambda *_: (_ for _ in ()).throw(RuntimeError("a bug")))
        status = stack.post("messenger", merge(bodies)).status

    assert 502 == status
    assert the_person(stack)["opted_out_at"]


# ── what the platform stops ──────────────────────────────────────────────────────────────────────────────────


def account_event(field, value):
    """A WhatsApp event about the business account, not about anybody's message."""
    change = {"field": field, "value": value}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": WHATSAPP_BUSINESS, "time": NOW, "changes": [change]}],
    }


@pytest.mark.parametrize(
    ("body", "attribute"),
    [
        (account_event("account_update", {"event": "ACCOUNT_DELETED"}), "paused"),
        (
            account_event("message_template_status_update", {"event": "PAUSED", "message_template_name": "come_back"}),
            "template_come_back",
        ),
    ],
)
def test_a_stopped_account_or_template_is_kept_in_a_row_of_its_own(stack, body, attribute):
    """The pair knows its account from its messages; sweeper and sender read that row, the reservation names it."""
    stack.post("whatsapp", message("whatsapp"))
    stack.post("whatsapp", body)

    account = the_pair(stack)["account"]
    row = next(row for row in stack.pairs() if row["user"] == f"account#whatsapp#{account}")
    assert WHATSAPP_BUSINESS == account
    assert row[attribute]


def test_the_operator_lifts_what_the_platform_stopped(stack):
    """`relance bots resume` forgets the bot's own row and the account's; the bot starts anew, without its backlog."""
    stack.publish(Bot(id=BOTS["whatsapp"], channel="whatsapp", mode="live"), enabled_at=0)
    stack.post("whatsapp", account_event("account_update", {"event": "ACCOUNT_DELETED"}))
    tables = boto3.resource("dynamodb")
    pairs, bots = (tables.Table(stack.template.name(name)) for name in ("Pairs", "Bots"))

    lifted = cli_bots.lift(pairs, "whatsapp", [BOTS["whatsapp"], WHATSAPP_BUSINESS])
    resumed = cli_bots.resume_bot(bots, BOTS["whatsapp"], now=NOW, lifted=lifted)

    assert (True, True) == (lifted, resumed)
    assert [] == [row for row in stack.pairs() if row["user"].startswith("account#")]
    assert NOW == stack.bots()[0]["enabled_at"]


def test_a_page_that_the_platform_blocked_is_paused(stack):
    """Policy enforcement names the page."""
    event = {"recipient": {"id": "1001"}, "timestamp": NOW * 1000, "policy_enforcement": {"action": "block"}}
    stack.post("messenger", {"object": "page", "entry": [{"id": "1001", "time": NOW * 1000, "messaging": [event]}]})

    assert ["account#messenger#1001"] == [row["user"] for row in stack.pairs()]


# ── durability and privacy ───────────────────────────────────────────────────────────────────────────────────


def test_200_only_when_the_writes_are_durable(stack, channel, requests):
    """DynamoDB throttles: 502, and Meta's redelivery finds the message uncounted."""
    stack.post(channel, message(channel))
    requests.throttle = "PutItem"
    status = stack.post(channel, message(channel, id="m2", at=NOW - 5)).status
    requests.throttle = ""

    assert 502 == status
    assert 200 == stack.post(channel, message(channel, id="m2", at=NOW - 5)).status
    assert 2 == len(stack.interactions())


def test_no_word_number_or_name_reaches_the_logs(stack, channel):
    """Canaries in text, name, payload and address; good posts, bad ones and a crash."""
    canary = "kanarienvogel"
    stack.post(channel, message(channel, text=f"{canary} STOP", name=canary))
    stack.post(channel, message(channel, text=canary, name=canary), signature="bad")
    stack.post(channel, f'{{"object":"{canary}"'.encode())

    logs = stack.logs
    assert canary not in logs
    assert USERS[channel] not in logs
    assert APP_SECRET not in logs


def test_the_webhook_loads_nothing_it_does_not_need():
    """Cold start: no validation, HTTP or tracing library on the webhook's path."""
    code = (
        "import sys; import relance.wiring, relance.receive, relance.channels.whatsapp, relance.channels.messenger,"
        "relance.channels.instagram, relance.store.pairs, relance.store.interactions, relance.observability;"
        "print([m for m in ('pydantic','requests','httpx','aws_xray_sdk','boto3','asyncio','relance.send',"
        "'relance.sweep','zoneinfo','jsonschema') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_clean_path())  # noqa: S603

    assert "[]" == out.stdout.strip()


def _clean_path():
    return {**os.environ, "PYTHONPATH": os.pathsep.join([".", "layers/relance"])}


def test_sign_and_encode_agree_with_the_handler(stack):
    """The tests' own signer is Meta's: over the escaped bytes."""
    raw = encode(message("messenger", text="äöå 😀"))

    assert 200 == stack.post("messenger", raw, signature=None, headers={"x-hub-signature-256": sign(raw)}).status
    assert "äöå 😀" == stack.interactions()[0]["text"]
