"""The stories under events/ are what Meta would send: each signature holds, and each is read as its name says."""

import json
from pathlib import Path

import pytest

from relance.channels import parser, payload, signature
from relance.interaction import Effect

SECRET = "app-secret-for-tests"
VERIFY_TOKEN = "verify-token-for-tests"
STORIES = Path(__file__).parents[2] / "events"

# story → (kind, effect, counts)
TOLD = {
    "webhook-whatsapp-text": ("text", None, True),
    "webhook-whatsapp-stop": ("button", Effect.OPT_OUT, False),
    "webhook-whatsapp-status": ("delivered", Effect.RECEIPT, False),
    "webhook-messenger-text": ("text", None, True),
    "webhook-messenger-postback": ("postback", None, True),
    "webhook-messenger-echo": ("echo", Effect.ECHO_BOT, False),
    "webhook-instagram-text": ("text", None, True),
    "webhook-instagram-reaction": ("reaction", Effect.WINDOW_OPENED, False),
}


def story(name: str) -> dict:
    return json.loads((STORIES / f"{name}.json").read_text(encoding="utf-8"))


def test_every_webhook_story_is_told_here():
    """A story without a line above would be a file that nobody reads."""
    assert {path.stem for path in STORIES.glob("webhook-*.json")} == {*TOLD, "webhook-handshake"}


@pytest.mark.parametrize("name", TOLD)
def test_the_signature_of_a_story_holds_and_of_no_other_body(name):
    """The header signs exactly the bytes of the body."""
    event = story(name)
    body = payload.read_body(event)
    header = payload.header(event, signature.HEADER)

    assert signature.verify(body, header, [SECRET])
    assert not signature.verify(body + b" ", header, [SECRET])


@pytest.mark.parametrize("name", TOLD)
def test_a_story_says_what_its_name_says(name):
    """Each story is one event of the channel in its name."""
    read = parser(name.split("-")[1])(payload.load(payload.read_body(story(name))))

    assert [(event.kind, event.effect, event.counts) for event in read] == [TOLD[name]]


def test_the_handshake_story_is_answered_with_its_challenge():
    """The GET that Meta sends when a callback URL is entered."""
    event = story("webhook-handshake")

    answer = signature.challenge(event["queryStringParameters"], VERIFY_TOKEN)

    assert answer == event["queryStringParameters"]["hub.challenge"]
