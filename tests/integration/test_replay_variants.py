"""Variants of real-shaped webhooks through the real handlers: always answered, never mis-counted."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.stack import LocalStack
from local.webhooks import build

NOW = 1_768_478_400
BOTS = {"whatsapp": "106500000000001", "messenger": "1001", "instagram": "17840000000000001"}
USERS = {"whatsapp": "33639980001", "messenger": "2002", "instagram": "3003"}
KINDS = {
    "whatsapp": ("text", "image", "sticker", "location", "button", "list", "audio", "order"),
    "messenger": ("text", "image", "sticker", "location", "quick_reply", "postback"),
    "instagram": ("text", "image", "quick_reply", "postback"),
}
OTHERS = {
    "whatsapp": ("reaction", "delivered", "read", "unsupported", "status_failed"),
    "messenger": ("reaction", "read", "delivered", "referral", "echo_bot", "standby", "handover"),
    "instagram": ("reaction", "read", "echo_human", "standby"),
}


@pytest.fixture(scope="module")
def stack():
    """One stack; each example resets it."""
    with LocalStack(start=NOW) as running:
        yield running


@st.composite
def posts(draw):
    """A channel, one POST, and how many distinct messages of the user's own are in it."""
    channel = draw(st.sampled_from(sorted(BOTS)))
    ids = draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    bodies = []
    for id_ in ids:
        kind = KINDS[channel][id_ % len(KINDS[channel])]
        bodies.append(event(channel, kind, f"m{id_}", NOW - 60 - id_))
    for i in range(draw(st.integers(0, 3))):
        bodies.append(event(channel, draw(st.sampled_from(OTHERS[channel])), f"o{i}", NOW - 30))
    entries = [mutated(draw, entry) for body in draw(st.permutations(bodies)) for entry in body["entry"]]
    return channel, {"object": bodies[0]["object"], "entry": entries}, len(set(ids))


def event(channel, kind, id_, at):
    """One event of the channel."""
    given_ = {"text": "hello", "payload": "MORE", "target": "m0"}
    return build(channel, kind, bot=BOTS[channel], user=USERS[channel], at=at, id=id_, **given_)


def mutated(draw, entry):
    """What Meta may add, leave out or write otherwise without changing what was said."""
    entry = copy.deepcopy(entry)
    if draw(st.booleans()):
        entry["new_field"] = draw(st.sampled_from([None, [], {"a": {}}, "x", 7]))
    if draw(st.booleans()) and entry["id"].isdigit() and "messaging" in entry:
        entry["id"] = int(entry["id"])
    for each in entry.get("messaging", ()):
        if draw(st.booleans()):
            each["sender"]["name"] = "x"
        if draw(st.booleans()) and isinstance(each.get("timestamp"), int):
            each["timestamp"] = str(each["timestamp"])
        if draw(st.booleans()):
            each["recipient"]["id"] = str(each["recipient"]["id"])
    for change in entry.get("changes", ()):
        value = change["value"]
        if draw(st.booleans()):
            value.pop("contacts", None)
        for message in value.get("messages", ()):
            if draw(st.booleans()):
                message["timestamp"] = int(message["timestamp"])
            message |= {"new_field": {}} if draw(st.booleans()) else {}
    if draw(st.booleans()):
        entry = dict(reversed(entry.items()))
    return entry


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(posts())
def test_every_variant_is_answered_and_counts_exactly_the_users_own_messages(stack, post):
    """Missing and extra fields, numbers for strings, reordered, doubled, several entries in one POST, posted twice."""
    channel, body, distinct = post
    stack.reset(NOW)

    answers = [stack.post(channel, json.dumps(body).encode()).status for _ in range(2)]

    registered = {row[f"s{i}"] for row in stack.pairs() for i in range(1, 6) if row.get(f"s{i}")}
    assert [200, 200] == answers
    assert distinct == len(registered)
