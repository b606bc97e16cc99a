"""Where the tries begin: honest documents of our own making, and the words that lead into every branch."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local.webhooks import KINDS, build, encode
from relance import erasures, outbox
from relance.interaction import Address
from relance.store.pairs import Due

ROOT = Path(__file__).parents[2]
AT = 1_768_478_340
BOTS = {"whatsapp": "106500000000001", "messenger": "1001", "instagram": "17840000000000001"}
USERS: dict[str, Address] = {
    "whatsapp": Address("US.13491208655302741918", "12015550123"),
    "messenger": Address("2002"),
    "instagram": Address("3003"),
}

HOSTILE = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    '{"object":"page","entry":[]}'.encode("utf-16"),
    b'{"object":"page","object":"page"}',
    b'{"object":"page","entry":[{"id":"1","time":NaN}]}',
    b'{"object":"page","entry":[{"id":"1","time":-Infinity}]}',
    b'{"object":"page","entry":[{"id":"1","time":1e999}]}',
    b'{"object":"instagram","entry":[{"id":' + b"9" * 5_000 + b"}]}",
    b'{"object":"page","entry":[{"id":"1","messaging":[{"sender":{"id":"\\ud800"},"message":{"text":"\\udfff\\ud83d"}}]}]}',
    b"[" * 5_000,
    b'{"a":' * 5_000,
    b'{"a":"' + b"[" * 5_000 + b'"}',
    b'{"a":' * 200 + b"1" + b"}" * 200,
    b'{"a":' + b"[" * 200 + b"]" * 200 + b"}",
    b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"Quenby 555","value":{"metadata":'
    b'{"phone_number_id":"1"}}},{"field":"messages","value":{"metadata":{"phone_number_id":"1"},"messages":[{"type":'
    b'"Quenby 555","from":"2","id":"m"},{"type":"unsupported","unsupported":{"type":"Quenby 555"},"from":"2"}]}}]}]}',
    b'{"object":"page","entry":[{"id":"1","messaging":[{"sender":{"id":"2"},"recipient":{"id":"1"},"Quenby 555":1}]}]}',
    b'{"object":"Quenby 555","entry":[]}',
    b"aGk= aGk=!",
    b"\\" * 5_000,
    b'"' * 5_000,
    b"\x00" * 5_000,
    b"\x1f\x8b\x08\x00" + b"\x00" * 60,
    b"text\r\nX-Injected: 1\r\n\r\n\x1b[2J\x1b]0;title\x07",
)
# Nine values, nine times themselves, and so on: half a million from six lines.
BOMB = b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9)
)
YAML = (
    BOMB,
    b"a: &a [*a]",
    b"? [complex, key]\n: 1\n? {a: b}\n: 2",
    b'bot: "\\UFFFFFFFF"',
    b'bot: "\\ud800"\nname: "\\e[31mred\\a"',
    b"bot: " + b"9" * 5_000,
    b"persona: " + b"[" * 2_000,
    b"!!python/object/apply:os.system [true]",
    b"%YAML 1.1\n---\na: 1\n---\nb: 2",
    b"<<: {a: 1}\nbot: !!binary aGk=\nhours: 10:00",
    b"persona.voice: x\n\"\": y\n'[0]': z\nhours: [1]\npersona: 1\ntemplate: x\nlanguages: {en: 1}",
)
CARD = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "data": {
        "name": "Marlow \\g<1>\n\x1b[31m",
        "description": "{{char}} is calm. Speaks in short sentences. " * 3,
        "personality": "Curious and precise.",
        "mes_example": "<START>\n{{user}}: hi\n{{char}}: You wanted to hear more about the lighthouse film.",
        "first_mes": "*waves*",
        "system_prompt": "Never say that you are an AI.",
        "creator": "somebody\u2028\u0085",
        "tags": ["a"],
        "\x1b]0;x\x07": 1,
    },
}
CASES = (
    {"id": "1", "text": "You wanted to hear more?", "lang": "en", "verdict": "allow", "category": "plain"},
    {
        "id": "2",
        "turns": [{"role": "user", "text": "Which films are on?"}],
        "lang": "fr",
        "verdict": "skip",
        "reason": "no_open_thread",
    },
    {"id": "\ud800\x1b", "turns": [], "lang": ["en"], "verdict": "allow"},
)


def webhooks(channel: str) -> Iterator[bytes]:
    """One body of every kind that the channel has."""
    for kind in KINDS:
        try:
            told = build(
                channel,
                kind,
                bot=BOTS[channel],
                user=USERS[channel],
                at=AT,
                id=f"m-{kind}",
                text="STOP, forget me: I am 13 and I want to die",
                new=Address("12015550199") if channel == "whatsapp" else None,
            )
        except ValueError:
            continue
        yield encode(told)


def of(target: str) -> list[bytes]:
    """The seeds of one target."""
    found = [*HOSTILE]
    if target in BOTS:
        found += webhooks(target)
    elif target in ("document", "body", "webhook", "signatures"):
        found += [raw for channel in BOTS for raw in webhooks(channel)]
    elif target == "signed_request":
        told = {"algorithm": "HMAC-SHA256", "issued_at": AT, "expires": AT + 60, "user_id": "218471"}
        found += [json.dumps(told).encode(), base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=")]
    elif target == "queue_message":
        found += [outbox.body(Due("messenger#0", "1001")).encode()]
        found += [outbox.body(outbox.Ask("messenger#0", "1001", "why", "0#a")).encode()]
        found += [erasures.body(each).encode() for each in (erasures.Wish("messenger#0", "1"), erasures.Forget("x#0"))]
    elif target == "settings":
        found += [
            json.dumps(each).encode() for each in ({"hours": {"opens": "x"}, "persona": []}, {"template": {"ttl": []}})
        ]
        found += ["\n".join(["10:00-19:30", "1", "bedrock", "checks", "two words"]).encode()]
    elif target == "answers":
        refused = (
            {"error": {"code": 131047, "message": "12015550123"}},
            {"error": {"code": 10, "error_subcode": 2018278}},
        )
        accepted = (
            {"messages": [{"id": "wamid.1"}]},
            {"message_id": "m1", "recipient_id": "2002"},
            {"access_token": "a", "expires_in": 5_184_000},
            {"message": "You wanted more?", "topic_quote": "more", "language": "en"},
        )
        # The first byte is the status: see the target.
        found += [b"\x96" + json.dumps(each).encode() for each in refused]
        found += [b"\x32" + json.dumps(each).encode() for each in accepted]
    elif target == "bot_file":
        found += [*YAML, *(path.read_bytes() for path in sorted((ROOT / "bots").glob("*.yaml")))]
    elif target == "card":
        found += [json.dumps(CARD).encode(), json.dumps(_long_card()).encode()]
    elif target == "cases":
        found += [
            b"\n".join(json.dumps(each).encode() for each in CASES),
            *(json.dumps(each).encode() for each in CASES),
        ]
    return found


def _long_card() -> dict[str, Any]:
    """Texts in which a careless pattern would walk in squares."""
    data = {
        "name": "M",
        "description": "(" * 20_000,
        "personality": "a. " * 20_000,
        "mes_example": "\n" * 20_000 + "*" * 9_999,
    }
    return {"spec": "chara_card_v3", "data": {**data, **{f"field {n}": n + 1 for n in range(200)}}}


TOKENS = """object entry id time changes field value metadata phone_number_id contacts wa_id user_id messages statuses
errors from from_user_id timestamp type text body interactive button_reply system edit revoke original_message_id
message group_id status recipient_id message_echoes to user_preferences user_id_update previous current event
messaging standby sender recipient mid attachments payload template_type quick_reply is_echo is_deleted app_id
postback title referral
reaction action optin delivery mids read watermark message_edit num_edit pass_thread_control policy_enforcement
messaging_handovers whatsapp_business_account page instagram failed delivered template: NaN null true 1e999 -1 \\\\ud800
RELANCE_STOP RELANCE_FORGET STOP spec chara_card_v2 data name description mes_example {{char}} turns role user lang
verdict allow skip persona voice frames samples {topic} languages hours 10:00-19:30 quiet_days &a *a !!python \\e[31m
signed_request= HMAC-SHA256 algorithm issued_at user about kind wish forget v""".split()
