"""What goes over the wire to each channel: one request, in the words that its documentation asks for."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relance.bot import Template
from relance.channels.graph import GraphClient, Outbound, appsecret_proof, flattened, request_body
from relance.outcome import OutcomeClass

FOLLOW_UP = Outbound("whatsapp", "106540352242922", "12015550123", "free_form", "How was the exam?", "f-1")
TO_MESSENGER = replace(FOLLOW_UP, channel="messenger", bot_id="104560000000001", to="6400000000000001")
TO_INSTAGRAM = replace(TO_MESSENGER, channel="instagram", bot_id="17841400000000001")
STOP = ("No more messages", "RELANCE_STOP")
TEMPLATE = replace(FOLLOW_UP, kind="template", template=Template("come_back", "en_US"), parameters=("the exam",))


def test_whatsapp_text_names_the_number_with_its_plus_and_carries_the_follow_up_id():
    """Without `+` Meta would prefix the business's own country code; the id returns in every status."""
    path, body = request_body(FOLLOW_UP)

    assert path == "106540352242922/messages"
    assert body == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+12015550123",
        "type": "text",
        "text": {"body": "How was the exam?", "preview_url": False},
        "biz_opaque_callback_data": "f-1",
    }


@pytest.mark.parametrize("address", ["US.13491208655302741918", "US.ENT.506847293015824", "GB.1"])
def test_a_business_scoped_id_travels_as_recipient_and_never_as_to(address):
    """If `to` is there too, the number wins."""
    _, body = request_body(replace(FOLLOW_UP, to=address))

    assert (body.get("recipient"), "to" in body) == (address, False)


@pytest.mark.parametrize("address", ["", "+", "abc", "us.1349", "1201555x", "١٢٠١٥٥٥٠١٢٣", "1" * 16, "120155\n"])
def test_what_is_no_whatsapp_address_is_not_sent(address):
    """A malformed address is a fault of ours, and must not become somebody else's number."""
    with pytest.raises(ValueError, match=r"recipient|WhatsApp"):
        request_body(replace(FOLLOW_UP, to=address))


def test_quick_replies_become_whatsapp_buttons():
    """Up to three reply buttons, whose payload comes back as the button's id."""
    _, body = request_body(replace(FOLLOW_UP, quick_replies=(("Yes", "RELANCE_YES"), STOP)))

    assert body["type"] == "interactive"
    assert body["interactive"] == {
        "type": "button",
        "body": {"text": "How was the exam?"},
        "action": {
            "buttons": [
                {"type": "reply", "reply": {"id": "RELANCE_YES", "title": "Yes"}},
                {"type": "reply", "reply": {"id": "RELANCE_STOP", "title": "No more messages"}},
            ]
        },
    }


@pytest.mark.parametrize(
    ("replies", "text", "kind"),
    [
        ((("x" * 20, "A"),), "Hello", "interactive"),
        ((("x" * 21, "A"),), "Hello", "text"),
        ((("", "A"),), "Hello", "text"),
        ((STOP,), "x" * 1_024, "interactive"),
        ((STOP,), "x" * 1_025, "text"),
        (tuple((str(n), str(n)) for n in range(3)), "Hello", "interactive"),
        (tuple((str(n), str(n)) for n in range(4)), "Hello", "text"),
        ((("Same", "A"), ("Same", "B")), "Hello", "text"),
        ((("One", "A"), ("Two", "A")), "Hello", "text"),
        ((("One", "A" * 257),), "Hello", "text"),
    ],
)
def test_buttons_that_whatsapp_would_refuse_leave_the_plain_text(replies, text, kind):
    """A refused button would cost the whole message."""
    assert request_body(replace(FOLLOW_UP, quick_replies=replies, text=text))[1]["type"] == kind


def test_a_template_is_named_and_filled_and_not_accompanied_by_text():
    """The approved template speaks; only its parameters are ours."""
    _, body = request_body(TEMPLATE)

    assert body["type"] == "template"
    assert body["template"] == {
        "name": "come_back",
        "language": {"code": "en_US"},
        "components": [{"type": "body", "parameters": [{"type": "text", "text": "the exam"}]}],
    }
    assert "text" not in body


def test_a_template_without_parameters_has_no_components():
    """An empty list would be a parameter count that does not match."""
    assert "components" not in request_body(replace(TEMPLATE, parameters=()))[1]["template"]


def test_a_templates_buttons_carry_our_payloads():
    """So that a STOP on the template's own button is read as relance's button."""
    components = request_body(replace(TEMPLATE, quick_replies=(STOP,)))[1]["template"]["components"]

    assert components[1] == {
        "type": "button",
        "sub_type": "quick_reply",
        "index": "0",
        "parameters": [{"type": "payload", "payload": "RELANCE_STOP"}],
    }


@given(st.text())
def test_a_flattened_parameter_has_no_break_no_tab_and_no_run_of_spaces(value):
    """WhatsApp refuses each of them in a parameter."""
    flat = flattened(value)

    assert not any(bad in flat for bad in ("\n", "\r", "\t", "  "))
    assert flat.split() == value.split()


@pytest.mark.parametrize(
    "message",
    [
        replace(TEMPLATE, template=None),
        replace(TEMPLATE, parameters=(" \n ",)),
        replace(TEMPLATE, parameters=("x" * 1_025,)),
        replace(TEMPLATE, channel="messenger"),
        replace(TEMPLATE, channel="instagram"),
    ],
)
def test_a_template_that_cannot_be_filled_is_not_sent(message):
    """Better no message than an error that counts against the account."""
    with pytest.raises(ValueError, match="template"):
        request_body(message)


def test_messenger_gets_a_silent_update_with_the_follow_up_id_as_metadata():
    """A self-initiated message inside the window is an UPDATE; the echo returns its metadata."""
    path, body = request_body(replace(TO_MESSENGER, quick_replies=(STOP,)))

    assert path == "104560000000001/messages"
    assert body == {
        "recipient": {"id": "6400000000000001"},
        "messaging_type": "UPDATE",
        "notification_type": "SILENT_PUSH",
        "message": {
            "text": "How was the exam?",
            "metadata": "f-1",
            "quick_replies": [{"content_type": "text", "title": "No more messages", "payload": "RELANCE_STOP"}],
        },
    }


def test_a_messenger_answer_is_a_response():
    """What answers the person's own message is no UPDATE, and may ring."""
    _, body = request_body(replace(TO_MESSENGER, kind="answer", follow_up_id=""))

    assert body == {
        "recipient": {"id": "6400000000000001"},
        "messaging_type": "RESPONSE",
        "message": {"text": "How was the exam?"},
    }


def test_instagram_with_facebooks_login_is_the_pages_endpoint():
    """The Page's token names the Page, so the account's id is not needed."""
    path, body = request_body(TO_INSTAGRAM)

    assert path == "me/messages"
    assert body == {
        "recipient": {"id": "6400000000000001"},
        "messaging_type": "UPDATE",
        "message": {"text": "How was the exam?", "metadata": "f-1"},
    }


def test_instagram_with_its_own_login_gets_only_what_is_documented_there():
    """Neither messaging_type nor metadata, and the account's own path."""
    path, body = request_body(replace(TO_INSTAGRAM, login="instagram"))

    assert path == "17841400000000001/messages"
    assert body == {"recipient": {"id": "6400000000000001"}, "message": {"text": "How was the exam?"}}


@pytest.mark.parametrize(
    ("message", "longest"),
    [
        (FOLLOW_UP, "é" * 4_096),
        (TO_MESSENGER, "é" * 1_999),
        (TO_INSTAGRAM, "é" * 500),
        (replace(TO_INSTAGRAM, login="instagram"), "x" * 1_000),
    ],
)
def test_the_longest_text_goes_and_one_more_character_does_not(message, longest):
    """Characters on WhatsApp and Messenger, bytes on Instagram."""
    assert request_body(replace(message, text=longest))

    with pytest.raises(ValueError, match="longer"):
        request_body(replace(message, text=longest + "x"))


@pytest.mark.parametrize("message", [FOLLOW_UP, TO_MESSENGER, TO_INSTAGRAM])
@pytest.mark.parametrize("text", ["", " \n", "half \ud83d"])
def test_what_is_no_text_is_not_sent(message, text):
    """Empty texts and halves of characters are refused before anything leaves."""
    with pytest.raises(ValueError, match="the text"):
        request_body(replace(message, text=text))


@pytest.mark.parametrize(
    "change", [{"channel": "sms"}, {"kind": "broadcast"}, {"login": "meta"}, {"to": ""}, {"follow_up_id": "x" * 513}]
)
def test_what_nobody_can_send_is_a_value_error_without_content(change):
    """The error says what is wrong and quotes neither text nor person."""
    with pytest.raises(ValueError, match=r".") as raised:
        request_body(replace(FOLLOW_UP, **change))

    assert not any(word in str(raised.value) for word in ("exam", "12015550123"))


def test_a_bot_id_cannot_leave_its_place_in_the_path():
    """Ids are opaque, so they are quoted."""
    assert request_body(replace(FOLLOW_UP, bot_id="../me?x=1"))[0] == "..%2Fme%3Fx%3D1/messages"


def test_no_request_ever_uses_the_human_agent_tag():
    """The tag is for people; relance is not one."""
    for message in (FOLLOW_UP, TEMPLATE, TO_MESSENGER, TO_INSTAGRAM, replace(TO_MESSENGER, kind="answer")):
        assert "tag" not in request_body(message)[1]


def test_the_proof_of_the_app_secret_is_metas():
    """The vector of the secure-requests page's algorithm, plain and bound to a time."""
    token, secret = "EAAtest", "app-secret-for-tests"

    assert appsecret_proof(token, secret) == "88d61bfd8c7567b086ff3623fd9b47bab11606a5058493f9f8f748b2df8ef294"
    assert (
        appsecret_proof(token, secret, at=1763900000)
        == "ee7d8881f6f17a56fc40de33214a9b1a1fd7b23c3ad3f1a5c42c18d06b3674ef"
    )


@pytest.mark.parametrize("token", ["", " ", "two words", "EAA\r\nHost: x", "EAAé"])
def test_a_token_that_cannot_be_a_header_stops_the_bot_and_is_not_quoted(token):
    """A broken secret is the same as a refused one, and no exception may carry it into a log."""
    outcome = GraphClient().deliver(FOLLOW_UP, token=token, now=0)

    assert (outcome.kind, outcome.counts_as_used) == (OutcomeClass.STOP, False)
    assert not token.strip() or token not in repr(outcome)


def test_a_message_does_not_show_its_person_or_its_text():
    """Reprs end in logs and tracebacks."""
    shown = repr(replace(TEMPLATE, text="How was the exam?"))

    assert not any(word in shown for word in ("12015550123", "exam"))
