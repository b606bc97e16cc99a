"""A webhook's body, from the Lambda event to plain values: decoded, bounded, and safe to pass on.

Everything here holds for all three channels. What comes in was written by strangers, so each reader of a single value
(`ident`, `words`, `seconds`, `word`) answers with something empty rather than raise.
"""

import base64
import hashlib
import json
import re
from array import array
from datetime import UTC, datetime
from itertools import accumulate

from relance.errors import BodyRefused, UnreadablePayload
from relance.interaction import OWN_PAYLOAD_PREFIX, PAYLOAD_STOP, PAYLOAD_YES, Effect, Event

# Meta's WhatsApp payloads reach 3 MB (webhook overview page); nothing larger is read, or even hashed.
MAX_BODY = 3 * 1024 * 1024

# Real payloads nest about ten deep. Far deeper ones would exhaust the stack of whoever walks them.
MAX_DEPTH = 64

# WhatsApp's own limit for a text; also as much of one message as is ever remembered.
MAX_TEXT = 4_096

# An id becomes part of a DynamoDB range key (1,024 bytes), together with a time.
MAX_ID = 900

_YEAR_2100 = 4_102_444_800
_MILLISECONDS_FROM = 1_000_000_000_000  # as seconds this would be the year 33658


# ---------------------------------------------------------------------------------------------------- the request


def header(event: dict, name: str) -> str | None:
    """The value of a request header of a Function URL event, whatever the case of its name.

    None if it is absent, and also if it is there twice with different values: then nobody can say which one holds.
    """
    headers = event.get("headers")
    if not isinstance(headers, dict):
        return None
    wanted = name.lower()
    values = {value for key, value in headers.items() if key.lower() == wanted and isinstance(value, str)}
    return values.pop() if len(values) == 1 else None


def read_body(event: dict) -> bytes:
    """The raw body of a Function URL event: the very bytes that were signed.

    Raises BodyRefused: 415 if it is compressed (ten megabytes of zeros fit into ten kilobytes), 413 if it is larger
    than `MAX_BODY`, 400 if it is not a body at all.
    """
    encoding = header(event, "content-encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        raise BodyRefused("compressed bodies are not read", status=415)
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise BodyRefused("the body is not text", status=400)
    if event.get("isBase64Encoded"):
        if len(body) > MAX_BODY * 4 // 3 + 4:
            raise BodyRefused("the body is too large", status=413)
        try:
            raw = base64.b64decode(body, validate=True)
        except ValueError as error:
            raise BodyRefused("the body is not base64", status=400) from error
    elif len(body) > MAX_BODY:
        raise BodyRefused("the body is too large", status=413)
    else:
        # A lone surrogate cannot have been signed, but it must not crash us either.
        raw = body.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_BODY:
        raise BodyRefused("the body is too large", status=413)
    return raw


# ------------------------------------------------------------------------------------------------------- the JSON


def load(body: bytes) -> dict:
    """The envelope in `body`. Raises UnreadablePayload, and nothing else, for whatever is not one.

    Stricter than `json.loads`, which takes UTF-16, NaN, the last of two equal keys, and dies of deep nesting. Half of
    a surrogate pair becomes U+FFFD: DynamoDB's client cannot encode it, and the webhook would fail for a week. Meta's
    documentation wraps some samples in an array: its envelopes are joined into one.
    """
    try:
        text = body.decode("utf-8")
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _refuse_deep_nesting(body)
        if "\\ud" in text or "\\uD" in text:
            text = _ESCAPES.sub(_keep_pairs, text)
        envelope = _DECODER.decode(text)
    except ValueError as error:
        # No `from error`: a JSON error quotes the document, and nothing of it may reach a log.
        raise UnreadablePayload(f"not a readable JSON document: {type(error).__name__}") from None
    if isinstance(envelope, list):
        envelope = _joined(envelope)
    if not isinstance(envelope, dict):
        raise UnreadablePayload("not a JSON object")
    return envelope


def _object(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


def _integer(digits: str) -> int | str:
    # Python refuses to convert more than 4,300 digits; no id or time of ours has more than 40, and one absurd number
    # must not cost the rest of the batch.
    return int(digits) if len(digits) <= 40 else digits


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant, parse_int=_integer)

# An escaped backslash and a whole surrogate pair are matched first, so that only half pairs are left for the last part.
_ESCAPES = re.compile(
    r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STEPS = bytes(1 if byte in b"[{" else 255 if byte in b"]}" else 0 for byte in range(256))  # 255 is -1 as a signed byte


def _keep_pairs(escape: re.Match[str]) -> str:
    return escape[1] or "\\ufffd"


def _refuse_deep_nesting(body: bytes) -> None:
    brackets = _STRINGS.sub(b"", body).translate(_STEPS).replace(b"\0", b"")
    if max(accumulate(array("b", brackets)), default=0) > MAX_DEPTH:
        raise ValueError("nested too deeply")


def _joined(envelopes: list) -> dict:
    kinds = [envelope.get("object") if isinstance(envelope, dict) else None for envelope in envelopes]
    if not envelopes or any(kind is None or kind != kinds[0] for kind in kinds):
        raise UnreadablePayload("an array that is not of envelopes of one kind")
    return {"object": kinds[0], "entry": [entry for envelope in envelopes for entry in items(envelope.get("entry"))]}


# ------------------------------------------------------------------------------------------------ its single values


def items(value: object) -> list:
    """The members of a JSON array; anything else but null counts as an array of one."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def part(record: dict, key: str) -> dict:
    """The object under `key`, or an empty one."""
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def flag(value: object) -> bool:
    """A JSON boolean, also where a test tool wrote it as text."""
    return bool(value) and value not in ("false", "False", "0")


def ident(value: object) -> str:
    """An id as an opaque string; empty if there is none. Test data has ids as numbers."""
    if isinstance(value, str):
        size = len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
        return value if size <= MAX_ID else ""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 128:
        return str(value)
    return ""


def made_id(bot: str, user: str, at: object, content: object) -> str:
    """An id for a message that came without one: the same for every redelivery of it.

    `at` is the event's own timestamp as it stands, never the envelope's, which differs at each delivery.
    """
    told = json.dumps([bot, user, at, content], sort_keys=True)
    return "made." + hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def words(value: object) -> str:
    """A text of at most `MAX_TEXT` characters; empty if there is none."""
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else _cut(value)
    return ident(value)


def _cut(text: str) -> str:
    # Step back from the middle of a composed character (a skin tone, a joined emoji, an accent): at most 16 steps.
    end = MAX_TEXT
    while end > MAX_TEXT - 16 and (_CLINGS.match(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return text[:end]


_CLINGS = re.compile("[\u0300-\u036f\u200d\u20e3\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")


def seconds(value: object) -> int | None:
    """A timestamp as epoch seconds, None if it cannot be one.

    WhatsApp sends seconds as text, Messenger and Instagram milliseconds as numbers, test tools ISO 8601; whatever is
    at least 10^12 is milliseconds. The time is never bent into a plausible one: a clamped time would differ at
    each redelivery, and one message would then fill all five slots (design.md section 4).
    """
    if isinstance(value, str):
        value = _written_time(value)
    if isinstance(value, float):
        value = int(value) if 0 < value < 1e15 else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    if value >= _MILLISECONDS_FROM:
        value //= 1000
    return value if 0 < value < _YEAR_2100 else None


def _written_time(value: str) -> int | None:
    if not value.isascii() or len(value) > 40:
        return None
    try:
        if value.isdigit():
            return int(value)
        moment = datetime.fromisoformat(value)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,39}")


def word(value: object) -> str:
    """A platform's own name for a kind, fit for a metric; empty for whatever is not one (it might be a name)."""
    if not isinstance(value, str):
        return ""
    lowered = value[:41].lower()
    return lowered if _WORD.fullmatch(lowered) else ""


def own_button(button_payload: str) -> Effect | None:
    """What a press of one of relance's own buttons does; None if the button is somebody else's.

    Such a press opens the window but never counts, else a follow-up could earn the next one.
    """
    if not button_payload.startswith(OWN_PAYLOAD_PREFIX):
        return None
    return {PAYLOAD_YES: Effect.OPT_IN, PAYLOAD_STOP: Effect.OPT_OUT}.get(button_payload, Effect.WINDOW_OPENED)


def sound(event: Event) -> Event:
    """`event`, or an unreadable one if it is about a person and does not say who, or to which bot."""
    if event.user is not None and event.bot:
        return event
    if event.effect in (Effect.IGNORED, Effect.UNKNOWN, Effect.BOT_PAUSED):
        return event
    return Event(
        event.channel, event.bot, "unreadable", event.at, user=event.user, effect=Effect.UNKNOWN, detail=event.kind
    )
