"""No cost attack: what one request can make relance do, ask of AWS and store has an end, and the end is known."""

import json
import time
from collections import Counter
from dataclasses import replace

import boto3
import pytest
from botocore.client import BaseClient

from local.webhooks import WHATSAPP_BUSINESS, build, encode, merge
from relance import observability
from relance.channels import payload, whatsapp
from relance.interaction import PAYLOAD_FORGET, PAYLOAD_WHY, Address
from relance.persona import Persona
from relance.remember import MOST_EVENTS
from relance.store.interactions import MOST_ROWS, TooMuch, pair_key
from tests.cinema import CINEMA, DAY, MOMENT, NOON

CHANNELS = ("whatsapp", "messenger", "instagram")
BOTS = {"whatsapp": "106500000000001", "messenger": "1001", "instagram": "17840000000000001"}
USERS = {"whatsapp": "12015550123", "messenger": "2002", "instagram": "3003"}
BOT = replace(CINEMA, persona=Persona(voice="A film guide who is brief and precise."))
# The two writes of a counted message, the timer once, the merge of one that shares its second with another.
A_MESSAGE = 3


@pytest.fixture
def stack(stack):
    """A fresh deployment with one live bot, at noon."""
    stack.publish(BOT, enabled_at=NOON - 30 * DAY)
    return stack


@pytest.fixture
def asked(stack, monkeypatch):
    """What is asked of AWS from here on, by operation; SSM aside, which is asked once in five minutes."""
    seen = Counter()
    ask = BaseClient._make_api_call

    def counted(client, operation, request):
        if operation not in ("GetParameters", "ReceiveMessage", "DeleteMessageBatch"):
            seen[operation] += 1
            seen["bytes"] += len(json.dumps(request, ensure_ascii=False).encode())
        return ask(client, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", counted)
    return seen


def told(channel, kind="text", *, at=NOON - 60, id="m1", user="", **more):
    """One event."""
    return build(channel, kind, bot=BOTS[channel], user=user or USERS[channel], at=at, id=id, **more)


def requests(asked):
    """How many requests there were."""
    return sum(times for operation, times in asked.items() if operation != "bytes")


@pytest.mark.parametrize("channel", CHANNELS)
def test_long_messages_of_one_person_cost_three_requests_each_and_no_more_bytes_than_came(stack, asked, channel):
    """As many of the longest as fit into a body. Nothing that one message costs grows with those before it."""
    text = "\U0001f9ca" * 5_000
    many = [told(channel, at=NOON - 60 - n, id=f"m{n}", text=text) for n in range(50)]
    came = len(encode(merge(many)))

    assert stack.post(channel, merge(many)).status == 200

    assert payload.MAX_BODY * 0.9 < came
    assert requests(asked) <= A_MESSAGE * 50
    assert asked["bytes"] < came
    assert len(stack.interactions()) == 50
    assert {len(row["text"]) for row in stack.interactions()} == {payload.MAX_TEXT}
    assert max(len(str(row)) for row in stack.pairs()) < 2_000


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_same_event_a_thousand_times_in_one_post_is_one_event(stack, asked, channel):
    """Copies in a batch cost no request."""
    assert stack.post(channel, merge([told(channel, text="hello")] * 1_000)).status == 200
    assert requests(asked) == 2


def test_a_thousand_receipts_cost_nothing(stack, asked):
    """They are most of the traffic."""
    many = [told("whatsapp", "delivered", id=f"wamid.{n}", user=f"12015550{n % 100 + 100}") for n in range(1_000)]

    assert stack.post("whatsapp", merge(many)).status == 200
    assert requests(asked) == 0


def test_a_thousand_receipts_that_fail_for_the_account_stop_it_once(stack, asked):
    """190: whoever's messages they were, the account is stopped with one write."""
    many = [told("whatsapp", "status_failed", id=f"wamid.{n}", code=190) for n in range(1_000)]

    assert stack.post("whatsapp", merge(many)).status == 200
    assert requests(asked) == 1


def test_somebody_undeliverable_again_and_again_has_a_row_that_a_stop_still_fits_into(stack, asked):
    """Eight failures are told apart; a row that grew to DynamoDB's 400 KB would take no mark any more."""
    many = [told("whatsapp", "status_failed", id=f"wamid.{n}", code=131026) for n in range(150)]

    assert stack.post("whatsapp", merge(many)).status == 200

    (person,) = [row for row in stack.pairs() if row["bot"] == "*"]
    assert len(person["undeliverable"]) == 8
    assert person["opted_out_at"]
    assert requests(asked) <= 151


@pytest.mark.parametrize(
    ("event", "queue"),
    [
        ({"kind": "quick_reply", "text": "Why?", "payload": PAYLOAD_WHY}, 1),
        ({"kind": "quick_reply", "text": "Forget me", "payload": PAYLOAD_FORGET}, 2),
        ({"kind": "text", "text": "forget me"}, 2),
        ({"kind": "edit", "text": "hello", "target": "m7"}, 1),
        ({"kind": "deletion", "target": "m7"}, 1),
    ],
    ids=["why", "forget by button", "forget in words", "edits", "deletions"],
)
def test_whoever_asks_a_hundred_times_in_one_post_is_queued_once(stack, asked, event, queue):
    """One answer to one question, one erasure of one person: a forget has both."""
    many = [told("messenger", at=NOON - 300 + n, id=f"m{n}", **event) for n in range(100)]

    assert stack.post("messenger", merge(many)).status == 200
    assert asked["SendMessage"] == queue


def test_signals_shouted_a_hundred_times_are_marked_once(stack, asked):
    """The newest stop, one hold, one mark of a minor: the person's row is written three times, not three hundred."""
    text = "STOP. I'm 13 and I want to kill myself"
    many = [told("messenger", at=NOON - 300, id=f"m{n}", text=text) for n in range(100)]

    assert stack.post("messenger", merge(many)).status == 200
    assert asked["UpdateItem"] <= A_MESSAGE * 100 + 3
    assert asked["PutItem"] == 100


def test_more_events_than_meta_ever_sends_are_left_out_and_counted(stack, asked):
    """Meta puts at most 1,000 updates into one POST: twice that is worked, and a metric tells of the rest."""
    many = [told("messenger", "reaction", id=f"m{n}", user=f"20{n:05}") for n in range(MOST_EVENTS + 500)]

    assert stack.post("messenger", merge(many)).status == 200

    assert requests(asked) == MOST_EVENTS
    assert '"EventsLeftOut":[500.0]' in stack.logs.replace(" ", "")


def test_a_post_full_of_contacts_and_messages_is_read_in_one_pass():
    """Twenty thousand of each within a body's three megabytes: looking each one up in all would take minutes."""
    contacts = [{"wa_id": f"1201{n:07}", "user_id": f"US.{n}"} for n in range(20_000)]
    messages = [{"from": f"1201{n:07}", "id": f"w{n}", "timestamp": "1", "type": "x"} for n in range(20_000)]
    value = {"metadata": {"phone_number_id": "1"}, "contacts": contacts, "messages": messages}
    entry = {"id": WHATSAPP_BUSINESS, "changes": [{"field": "messages", "value": value}]}
    began = time.monotonic()

    found = whatsapp.events({"object": "whatsapp_business_account", "entry": [entry]})

    assert time.monotonic() - began < 5
    assert Address("US.19999", "12010019999") in {event.user for event in found}


def test_a_body_of_three_megabytes_that_nobody_signed_costs_nothing_and_milliseconds(stack, asked):
    """One HMAC; no request to AWS, however often it comes."""
    body = encode(merge([told("messenger", text="x" * 4_000, id=f"m{n}") for n in range(600)]))
    began = time.monotonic()

    for _ in range(20):
        assert stack.post("messenger", body, signature="bad").status == 401

    assert requests(asked) == 0
    assert time.monotonic() - began < 10


def test_a_thousand_kinds_nobody_knows_are_twenty_metrics(capsys):
    """CloudWatch bills every value of a dimension for a month."""
    observability.count_by("UnknownKind", "kind", {f"kind_{n}": 1 for n in range(1_000)} | {"often": 7})

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == observability.MOST_VALUES
    values = {line["kind"]: line["UnknownKind"][0] for line in lines}
    assert values["often"] == 7
    assert sum(values.values()) == 1_007


# ── what somebody may have stored before the sender comes ────────────────────────────────────────────────────


def test_a_conversation_of_thousands_of_messages_is_not_read_to_its_end(stack, asked):
    """At two thousand rows sender and answerer stop: no follow-up, a plain answer, and no error with a word in it."""
    for n in range(5):
        body = told("messenger", at=NOON - (4 - n) * 120, id=f"m{n}", text="Tell me more about the lighthouse film")
        assert stack.post("messenger", body).status == 200
    (pair,) = [row for row in stack.pairs() if row["bot"] == "1001"]
    fill(stack, pair_key(pair["user"], "1001"), MOST_ROWS + 500)

    # Whoever asks is answered all the same; only the language is then the bot's first.
    stack.post("messenger", told("messenger", "quick_reply", at=NOON - 1, id="q", text="Why?", payload=PAYLOAD_WHY))
    stack.drain()
    (said,) = stack.graph.accepted
    assert "It has not written to you unasked" in said.text

    asked.clear()
    stack.travel(MOMENT)
    stack.sweep()
    stack.drain()
    (pair,) = [row for row in stack.pairs() if row["bot"] == "1001"]
    assert len(stack.graph.accepted) == 1
    assert ("drop", "heavy_use") == (pair["verdict"], pair["reason"])
    # One for each shard of the sweep, and two pages of two thousand rows.
    assert asked["Query"] <= 2 + 2

    store = stack._container(stack.functions["Sender"]).module.sender.interactions
    with (
        stack._as_function(stack.functions["Sender"]),
        pytest.raises(TooMuch, match=r"^more than 2000 rows in one conversation$"),
    ):
        store.turns(pair["user"], "1001", since=0, now=NOON)


def fill(stack, key, rows):
    """Put rows into a conversation, as the webhook would have over a day."""
    client = boto3.client("dynamodb", region_name="us-east-1")
    for start in range(0, rows, 25):
        puts = [
            {
                "PutRequest": {
                    "Item": {
                        "pair": {"S": key},
                        "at_id": {"S": f"{NOON - DAY + n:010d}#f{n}"},
                        "side": {"S": "user"},
                        "kind": {"S": "text"},
                        "text": {"S": "and then?"},
                        "expires_at": {"N": str(NOON + 30 * DAY)},
                    }
                }
            }
            for n in range(start, start + 25)
        ]
        client.batch_write_item(RequestItems={stack.template.name("Interactions"): puts})
