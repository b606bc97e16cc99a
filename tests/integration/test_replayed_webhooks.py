"""Replays: whoever posts the whole log of signed webhooks again, once more and in another order, changes nothing.

Meta signs no time, so an old request cannot be told from a redelivery. What protects is that each write names its
message and is done once.
"""

import itertools
import random

import pytest

from local.stack import LocalStack
from local.webhooks import KINDS, build, encode, sign
from relance.interaction import PAYLOAD_FORGET, PAYLOAD_STOP, PAYLOAD_WHY, PAYLOAD_YES, Address

NOON = 1_768_478_400  # 2026-01-15T12:00:00Z, a Thursday
BOTS = {"whatsapp": "106500000000001", "messenger": "1001", "instagram": "17840000000000001"}
PEOPLE = {
    "whatsapp": (Address("12015550123"), Address("US.1349120865530274", "12015550124"), Address("12015550125")),
    "messenger": (Address("2002"), Address("2003"), Address("2004")),
    "instagram": (Address("3002"), Address("3003"), Address("3004")),
}
TEXTS = ("hello", "STOP", "I'm 13", "I want to die", "forget me", "why did you write to me?", "and then?")
TAPS = (PAYLOAD_YES, PAYLOAD_STOP, PAYLOAD_WHY, PAYLOAD_FORGET, "MENU_1")


def log():
    """Every kind of event of three people on every channel: what the door of a deployment sees, signed."""
    moment = itertools.count(NOON - 5_000)
    for channel, people in PEOPLE.items():
        for number, user in enumerate(people):
            events = [("text", {"text": text}) for text in (*TEXTS[: 1 + 6 * number], "one", "two", "three", "four")]
            events += [(kind, {"text": "hello", "target": "m1"}) for kind in KINDS]
            events += [("quick_reply", {"text": "tap", "payload": payload}) for payload in TAPS[: 5 * (number % 2)]]
            for kind, more in events:
                at = next(moment)
                new = Address("12015550199") if channel == "whatsapp" else None
                try:
                    body = build(channel, kind, bot=BOTS[channel], user=user, at=at, id=f"m{at}", new=new, **more)
                except ValueError:  # the channel has no such kind
                    continue
                yield channel, encode(body)


def state(stack):
    """Everything that is stored. Aside: how often a person's marks were written, and by which of two requests last (it
    sets the row's end, a year on). A deletion that comes again under an id that has changed is noted under the new one,
    too: a row without a text, about a message that is not there.
    """
    aside = ("marks", "changes")
    pairs = [
        {name: value for name, value in row.items() if name not in aside and (name, row["bot"]) != ("expires_at", "*")}
        for row in stack.pairs()
    ]
    return pairs, [row for row in stack.interactions() if not (row["kind"] == "deletion" and "text" not in row)]


def post(stack, requests):
    """Each request with the signature it had."""
    for channel, raw in requests:
        assert stack.post(channel, raw, signature=None, headers={"x-hub-signature-256": sign(raw)}).status == 200


@pytest.fixture(scope="module")
def running():
    """One stack for the module."""
    with LocalStack(start=NOON) as stack:
        yield stack


def test_the_whole_log_posted_twice_more_leaves_everything_as_it_was(running):
    """Each request again as it was, then all of them again in another order."""
    requests = list(log())
    post(running, requests)
    before = state(running)
    assert len(before[1]) > 100

    post(running, requests)
    assert state(running) == before

    again = requests[:]
    random.Random(7).shuffle(again)
    post(running, again)
    assert state(running) == before


def test_a_captured_request_for_one_channel_opens_no_other(running):
    """The channels may share an app and its secret: a body for one is nothing to the others."""
    running.reset(NOON)
    requests = list(log())

    for channel, raw in requests:
        for other in BOTS.keys() - {channel}:
            assert running.post(other, raw).status == 200

    assert running.pairs() == running.interactions() == []


def test_a_message_that_was_taken_back_does_not_come_again_under_a_changed_id(running):
    """Written, taken back, erased; the number changes; then Meta delivers the message once more, as it was."""
    running.reset(NOON)
    user, new = PEOPLE["whatsapp"][0], Address("12015550199")

    def told(kind, at, **more):
        body = build("whatsapp", kind, bot=BOTS["whatsapp"], user=user, at=at, id=f"wamid.{at}", **more)
        post(running, [("whatsapp", encode(body))])

    told("text", NOON - 900, text="my secret")
    told("deletion", NOON - 800, target=f"wamid.{NOON - 900}")
    running.drain()
    told("id_change", NOON - 700, new=new)
    told("text", NOON - 900, text="my secret")

    assert "my secret" not in str(running.interactions())
    assert len([row for row in running.interactions() if "side" in row]) == 1
