"""No webhook breaks a parser, and no variant of an honest one is counted wrongly."""

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from relance.channels import instagram, messenger, payload, whatsapp
from relance.interaction import Event

PARSERS = {"whatsapp_business_account": whatsapp, "page": messenger, "instagram": instagram}
BOT, USER, AT = "100000000000001", "100000000000601", 1_768_502_640

# Words that lead a random document into every branch of the parsers.
KEYS = """object entry id time changes field value metadata phone_number_id display_phone_number contacts wa_id user_id
messages statuses errors from from_user_id timestamp type text body image interactive button_reply list_reply system
edit revoke original_message_id message group_id status recipient_id message_echoes to user_preferences user_id_update
previous current event messaging standby sender recipient mid attachments payload template_type quick_reply is_echo
is_deleted app_id postback title referral reaction action optin delivery mids read watermark message_edit num_edit
pass_thread_control take_thread_control policy_enforcement messaging_handovers ban_info code""".split()
VALUES = """messages smb_message_echoes message_echoes user_preferences user_id_update account_update calls
messaging_handovers message_template_status_update text image interactive system edit revoke reaction button stop
failed delivered react template comments standby relance:1 RELANCE_STOP user_changed_number 0 1 1768502640""".split()

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([*VALUES, BOT, USER])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=40,
)


def envelope(kind_of_object: str, content: object) -> dict:
    return {"object": kind_of_object, "entry": content}


@settings(max_examples=300)
@given(document=JSON)
def test_any_json_value_is_answered_with_events(document):
    """Bare, as the entries, as one change and as one item: never an error, never nothing."""
    for kind_of_object, parser in PARSERS.items():
        change = {"id": BOT, "changes": [{"field": "messages", "value": document}]}
        item = {"id": BOT, "messaging": [document], "standby": document, "field": "messages", "value": document}
        for told in (document, envelope(kind_of_object, document), envelope(kind_of_object, [change, item])):
            found = parser.events(told)

            assert found
            assert all(isinstance(event, Event) for event in found)
            for event in found:
                if event.counts:
                    assert event.user
                    assert event.bot
                    assert event.message_id
                    assert event.at is not None
                    assert event.effect is None


# -------------------------------------------------------------------------------------------- variants of honest ones


def whatsapp_entry(told: list[dict]) -> dict:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "12015550100", "phone_number_id": BOT},
        "contacts": [{"profile": {"name": "Robin"}, "wa_id": "12015550123"}],
        "messages": told,
    }
    return {"id": "100000000000801", "changes": [{"field": "messages", "value": value}]}


def whatsapp_item(number: int, counts: bool) -> dict:
    content = {"text": {"body": "Hi"}} if counts else {"reaction": {"message_id": "wamid.0", "emoji": "👍"}}
    return {
        "from": "12015550123",
        "id": f"wamid.{number}",
        "timestamp": str(AT),
        "type": next(iter(content)),
        **content,
    }


def messaging_entry(told: list[dict]) -> dict:
    return {"id": BOT, "time": AT * 1000, "messaging": told}


def messaging_item(number: int, counts: bool) -> dict:
    ends = (USER, BOT) if counts else (BOT, USER)
    message = {"mid": f"m_{number}", "text": "Hi", "seq": number, **({} if counts else {"is_echo": True})}
    return {"sender": {"id": ends[0]}, "recipient": {"id": ends[1]}, "timestamp": AT * 1000, "message": message}


SHAPES = {
    "whatsapp_business_account": (whatsapp_entry, whatsapp_item),
    "page": (messaging_entry, messaging_item),
    "instagram": (messaging_entry, messaging_item),
}
OPTIONAL = {"messaging_product", "profile", "contacts", "display_phone_number", "seq", "time"}
NUMERIC = {"id", "timestamp", "phone_number_id", "from", "wa_id", "time"}


def vary(value: object, chance: random.Random, key: str = "") -> object:
    """The same document as another sender might write it: keys shuffled, added or left out, digits as numbers."""
    if isinstance(value, dict):
        pairs = [(name, inner) for name, inner in value.items() if name not in OPTIONAL or chance.random() < 0.5]
        pairs.append((f"new_{chance.randrange(9)}", chance.choice([None, 1, "text", [], {"text": "x"}])))
        chance.shuffle(pairs)
        return {name: vary(inner, chance, name) for name, inner in pairs}
    if isinstance(value, list):
        return [vary(inner, chance, key) for inner in value]
    if key in NUMERIC and str(value).isdigit() and chance.random() < 0.5:
        return int(value) if isinstance(value, str) else str(value)
    return value


@settings(max_examples=150)
@given(
    kind_of_object=st.sampled_from(sorted(PARSERS)),
    batches=st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=1, max_size=3),
    doubled=st.booleans(),
    broken=st.lists(st.none() | st.booleans() | st.integers() | st.text(max_size=8), max_size=2),
    chance=st.randoms(use_true_random=False),
)
def test_a_variant_of_an_honest_webhook_counts_the_same_messages(kind_of_object, batches, doubled, broken, chance):
    """Shuffled, doubled, with fields more or less and broken neighbours: each message counts under its own id."""
    wrap, make = SHAPES[kind_of_object]
    entries, expected, number = [], set(), 0
    for batch in batches:
        told = []
        for counts in batch:
            number += 1
            told.append(vary(make(number, counts), chance))
            if counts:
                expected.add(str(number))
        told = told * 2 if doubled else told
        entries.append(vary(wrap([]), chance))
        for junk in broken:
            told.insert(chance.randrange(len(told) + 1), chance.choice([junk, [junk], {"type": junk, "message": junk}]))
        _fill(entries[-1], told)
    chance.shuffle(entries)

    body = json.dumps(envelope(kind_of_object, entries), ensure_ascii=chance.random() < 0.5)
    found = PARSERS[kind_of_object].events(payload.load(body.encode()))

    counted = [event.message_id.split(".")[-1].split("_")[-1] for event in found if event.counts]
    assert set(counted) == expected
    assert len(counted) == len(expected) * (2 if doubled else 1)


def _fill(entry: dict, told: list) -> None:
    if "messaging" in entry:
        entry["messaging"] = told
    else:
        entry["changes"][0]["value"]["messages"] = told
