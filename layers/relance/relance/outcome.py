"""What became of one attempt to write to somebody: the Graph API's answers, as one table of codes.

Seven kinds, because the sender does seven different things:

ACCEPTED   the platform took the message                         → used; receipts follow
RETRY      a clean refusal: nobody was reached, later may work   → the reservation is released, it comes again
LATER      the platform says "not before tomorrow"               → terminal here: a one-shot has no tomorrow
NEVER      this message will never reach this person             → terminal
OPT_OUT    the person said no to the platform                    → terminal, and the person is suppressed
STOP       the account, its token or its template is at fault    → released; the bot pauses and somebody is alerted
UNKNOWN    the message may have reached the person               → used, never retried; a receipt may settle it

Where a code is silent or new, the more careful reading wins: losing a message is better than sending two.
The codes are those of Meta's error pages for the WhatsApp Cloud API and the Messenger Platform (2026).
Nothing here repeats the platform's own words, which can hold a number or a name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from relance.interaction import DAY, MINUTE


class OutcomeClass(StrEnum):
    """What the sender has to do next. `LATER` is as terminal as `NEVER` for a product that writes once."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    LATER = "later"
    NEVER = "never"
    OPT_OUT = "opt_out"
    STOP = "stop"
    UNKNOWN = "unknown"


# Kinds after which nobody was reached and the follow-up may still be spent: the reservation is released.
RELEASED = frozenset({OutcomeClass.RETRY, OutcomeClass.STOP})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one attempt.

    `code` and `subcode` are the platform's numbers, `detail` our own words for them (safe to log).
    `retry_after` is in seconds and only set on `RETRY`; `tries` the most attempts this refusal deserves in all
    (None: the sender's own limit). `suppress` asks to write to this person never again. `stops` says what a
    `STOP` should halt: `bot`, or only its `template`. `alert` marks a refusal that points at a bug or a wrong
    setting. `counts_as_used` is False only when it is certain that nobody was reached and trying again is right.
    """

    kind: OutcomeClass
    message_id: str = ""
    code: int | None = None
    subcode: int | None = None
    detail: str = ""
    retry_after: int | None = None
    suppress: bool = False
    counts_as_used: bool = True
    tries: int | None = None
    stops: str = ""
    alert: bool = False


def _retry(detail: str, after: int = MINUTE, tries: int | None = None) -> Outcome:
    return Outcome(OutcomeClass.RETRY, detail=detail, retry_after=after, tries=tries, counts_as_used=False)


def _later(detail: str) -> Outcome:
    return Outcome(OutcomeClass.LATER, detail=detail)


def _never(detail: str, *, suppress: bool = False, alert: bool = False) -> Outcome:
    return Outcome(OutcomeClass.NEVER, detail=detail, suppress=suppress, alert=alert)


def _opt_out(detail: str) -> Outcome:
    return Outcome(OutcomeClass.OPT_OUT, detail=detail, suppress=True)


def _stop(detail: str, what: str = "bot") -> Outcome:
    return Outcome(OutcomeClass.STOP, detail=detail, stops=what, alert=True, counts_as_used=False)


def _unknown(detail: str) -> Outcome:
    return Outcome(OutcomeClass.UNKNOWN, detail=detail)


# WhatsApp: not on WhatsApp, an old app, or they blocked the business. Twice, it is a person who is gone.
UNDELIVERABLE = 131026
# Rate limits of the app, the account or the number: one refusal tells it for all of a bot's pairs.
ACCOUNT_LIMITS = frozenset({4, 17, 32, 613, 80006, 80007, 130429})

_VAGUE = "the platform does not know what went wrong"
# With a 4xx it was refused, and may be tried once more; with a 5xx it may be on its way (see _SILENT_ON_DELIVERY).
_ONCE_MORE = _retry(_VAGUE, tries=2)

# Meta advises to build on the code alone on WhatsApp: subcodes are gone since v16.
WHATSAPP: Mapping[int, Outcome] = {
    0: _stop("the token cannot be read"),
    1: _ONCE_MORE,
    2: _retry("the service is down for a moment"),
    3: _stop("the app lacks the capability or permission"),
    4: _retry("the app's call limit is reached", 5 * MINUTE),
    10: _stop("permission missing or removed"),
    33: _stop("the business number was deleted"),
    100: _never("a field of the request is wrong", alert=True),
    190: _stop("the token is invalid or has expired"),
    **dict.fromkeys(range(200, 300), _stop("permission missing or removed")),
    368: _stop("the account is restricted for a policy breach"),
    80007: _retry("the account's call limit is reached", 15 * MINUTE),
    130429: _retry("the number sends too fast", 4),
    130472: _never("the person is in an experiment of the platform"),
    130497: _never("the account may not write to this country"),
    131000: _ONCE_MORE,
    131005: _stop("permission missing or removed"),
    131008: _never("a required field is missing", alert=True),
    131009: _never("a field's value is wrong", alert=True),
    131016: _retry("the service is overloaded"),
    131021: _never("sender and recipient are the same number", alert=True),
    131026: _never("undeliverable: not on WhatsApp, an old app, or blocked"),
    131030: _never("the number is not on the test list"),
    131031: _stop("the account is locked"),
    131037: _stop("the display name is not approved"),
    131042: _stop("the account has a payment problem"),
    131045: _stop("the number is not registered"),
    131047: _never("the 24-hour window is closed"),
    131048: _stop("the number is limited for spam"),
    131049: _later("held back to keep the person's inbox healthy"),
    131050: _opt_out("the person stopped marketing messages from this business"),
    131051: _never("the message type is not supported", alert=True),
    131052: _never("media could not be downloaded", alert=True),
    131053: _never("media could not be uploaded", alert=True),
    131055: _never("the method is not allowed", alert=True),
    131056: _retry("too many messages to this person", 6, tries=5),
    131057: _retry("the account is in maintenance", 3 * MINUTE),
    131062: _never("this message cannot be sent to a business-scoped id", alert=True),
    131063: _stop("marketing templates are switched off on this API", "template"),
    131064: _stop("limited for filing templates in the wrong category"),
    132000: _never("the number of template parameters is wrong", alert=True),
    132001: _never("the template does not exist in this language", alert=True),
    132005: _never("the filled template is too long", alert=True),
    132007: _never("the template breaks a policy", alert=True),
    132012: _never("a template parameter has the wrong form", alert=True),
    132015: _stop("the template is paused", "template"),
    132016: _stop("the template is disabled", "template"),
    132018: _never("a template parameter is not acceptable", alert=True),
    133004: _retry("the server is unavailable"),
    133010: _stop("the number is not registered"),
    133016: _retry("registered too often", 15 * MINUTE),
    134100: _never("only marketing templates may go this way", alert=True),
    134101: _retry("the template is still being synchronised", 10 * MINUTE),
    134102: _stop("the account is not eligible for marketing messages", "template"),
    135000: _ONCE_MORE,
    137000: _never("the person's identity key has changed"),
}

_UNAVAILABLE = "the person is unavailable: blocked, left or deactivated"
_ANY = None

# Messenger and Instagram share one table. The key is (code, subcode); a subcode of _ANY is the code's default,
# a code of _ANY a subcode that means the same under every code. The exact pair wins, then the code: Meta's
# pages disagree about 1545041, and the code decides (551 or 200: the person; 10: the window).
MESSENGER: Mapping[tuple[int | None, int | None], Outcome] = {
    (1, _ANY): _never(_VAGUE, alert=True),
    (1, 99): _never("unknown error, most often a permission", alert=True),
    (1, 1357046): _unknown("the reply was broken although the message went out"),
    (2, _ANY): _retry("a moment's failure, or the person blocked the Page", tries=2),
    (2, 1545133): _retry("a moment's failure, or the person blocked the Page", tries=2),
    (4, _ANY): _retry("the app's call limit is reached", 5 * MINUTE),
    (4, 2018354): _never("the person had as many marketing messages as allowed"),
    (9, 2018352): _never("the person had as many marketing messages as allowed"),
    (10, _ANY): _stop("permission missing or removed"),
    (10, 1545041): _never("the 24-hour window is closed"),
    (10, 1404170): _stop("the Page may not ask for opt-ins"),
    (10, 1893015): _opt_out("the person stopped these notifications"),
    (10, 1893063): _stop("the Page is restricted for a time"),
    (10, 2018065): _never("the window is closed and the news permission missing"),
    (10, 2018108): _never("the person cannot receive messages now"),
    (10, 2018278): _never("the 24-hour window is closed"),
    (10, 2534022): _never("the 24-hour window is closed"),
    (10, 2534077): _stop("the Instagram account's link or second factor is missing"),
    (17, _ANY): _retry("the account's call limit is reached", 5 * MINUTE),
    (32, _ANY): _retry("the Page's call limit is reached", 5 * MINUTE),
    (100, _ANY): _never("a wrong id or field, or a tag that no longer exists", alert=True),
    (100, 33): _stop("the account is missing or the permission for it"),
    (100, 2018001): _never("no such person", suppress=True),
    (100, 2534013): _stop("the Instagram account is not linked to the Page"),
    (100, 2534014): _never("no such person", suppress=True),
    (100, 2534015): _never("the message is not valid", alert=True),
    (100, 2534029): _stop("the business is blocked from Instagram messaging"),
    (100, 2534037): _never("another app owns the thread"),
    (190, _ANY): _stop("the token is invalid or has expired"),
    (200, _ANY): _stop("the app is not reviewed for this"),
    (200, 1545041): _never(_UNAVAILABLE, suppress=True),
    (200, 2018027): _stop("the app is not reviewed for this"),
    (200, 2018028): _stop("the app is not reviewed and the person has no role in it"),
    (200, 2534041): _stop("the owner switched off access to Instagram messages"),
    (230, _ANY): _never("a profile look-up needs consent"),
    (368, _ANY): _stop("the account is blocked for a policy breach"),
    (551, _ANY): _never(_UNAVAILABLE, suppress=True),
    (551, 1545041): _never(_UNAVAILABLE, suppress=True),
    (613, _ANY): _retry("too many calls", 5 * MINUTE),
    (613, 1893016): _never("the person was asked or written to too often"),
    (613, 2018338): _stop("warned for an abusive rate of tags"),
    (613, 2534040): _retry("too many calls", 5 * MINUTE),
    (2022, _ANY): _stop("commerce messages are disabled"),
    (9010, _ANY): _never("a profile look-up found nobody"),
    (2018300, _ANY): _never("another app owns the thread"),
    (2018321, _ANY): _later("Meta's own automatic answers hold the chat"),
    (9000001, _ANY): _never("the message was deleted"),
    (_ANY, 2018300): _never("another app owns the thread"),
    (_ANY, 2018321): _later("Meta's own automatic answers hold the chat"),
}

# Codes that do not say what happened: with a 4xx the message was refused, with a 5xx it may be on its way.
_SILENT_ON_DELIVERY = {
    "whatsapp": frozenset({1, 131000, 135000}),
    "messenger": frozenset({1}),
    "instagram": frozenset({1}),
}

_STATES = frozenset({"accepted", "held_for_quality_assessment", "paused"})


def classify(channel: str, status: int, body: bytes | None, headers: Mapping[str, str]) -> Outcome:
    """Say what an HTTP answer of the Graph API means for the follow-up.

    `body` is the raw answer, None if none came. Never raises on anything a server can send.
    A status of 200 means accepted, not delivered: most refusals on WhatsApp come later, as a failed status.
    """
    answer = _json_object(body)
    if 200 <= status < 300:
        return _accepted(channel, answer)
    error = answer.get("error") if answer is not None else None
    if not isinstance(error, dict):
        return _without_error_body(status, headers)
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    known = _look_up(channel, code, subcode)
    if status >= 500 and (known is None or code in _SILENT_ON_DELIVERY[channel]):
        known = _unknown(known.detail if known else "a server error with a code that is not in the table")
    if known is None and status == 429:
        known = _retry("throttled")
    if known is None and status < 400:
        known = _unknown("neither an answer nor a refusal")
    if known is None:
        known = _never("refused with a code that is not in the table", alert=True)
    if known.kind is OutcomeClass.RETRY:
        known = replace(known, retry_after=max(known.retry_after or 0, _asked_to_wait(headers)))
    return replace(known, code=code, subcode=subcode)


def classify_status(channel: str, code: int | None) -> Outcome:
    """Say what a failure means that is reported later, for a message that the platform had accepted.

    The follow-up is used whatever the code (never a second attempt after an acceptance), so a RETRY of the
    table is a NEVER here; what the code says about the person or the account still holds.
    """
    known = _look_up(channel, code, None) or _never("failed with a code that is not in the table", alert=True)
    if known.kind in (OutcomeClass.RETRY, OutcomeClass.UNKNOWN):
        known = _never(known.detail)
    return replace(known, code=code, counts_as_used=True)


def never_left(detail: str) -> Outcome:
    """The request did not leave this machine (refused, no DNS, no TLS): a clean refusal."""
    return _retry(detail, MINUTE // 2)


def may_have_arrived(detail: str) -> Outcome:
    """The request left and no readable answer came: it counts as delivered and is never repeated."""
    return _unknown(detail)


def token_unusable() -> Outcome:
    """There is no token to send with: the same as a token that the platform refuses."""
    return _stop("there is no usable access token")


def _look_up(channel: str, code: int | None, subcode: int | None) -> Outcome | None:
    if code is None:
        return None
    if channel == "whatsapp":
        return WHATSAPP.get(code)
    keys = [(code, subcode), (_ANY, subcode), (code, _ANY)] if subcode is not None else [(code, _ANY)]
    return next((MESSENGER[key] for key in keys if key in MESSENGER), None)


def _accepted(channel: str, answer: dict | None) -> Outcome:
    message_id, state = _message_id(channel, answer)
    if not message_id:
        return _unknown("accepted, but the answer names no message")
    return Outcome(OutcomeClass.ACCEPTED, message_id=message_id, detail=state)


def _message_id(channel: str, answer: dict | None) -> tuple[str, str]:
    """The platform's id of the message and, for a WhatsApp template, its state; empty where unreadable."""
    if answer is None:
        return "", ""
    if channel != "whatsapp":
        return _text(answer.get("message_id")), ""
    messages = answer.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    if not isinstance(first, dict):
        return "", ""
    state = first.get("message_status")
    return _text(first.get("id")), state if state in _STATES else ""


def _without_error_body(status: int, headers: Mapping[str, str]) -> Outcome:
    """What the status alone can say: a 4xx was refused, anything else may have gone through."""
    if status == 429:
        return _retry("throttled", max(MINUTE, _asked_to_wait(headers)))
    if status == 401:
        return _stop("the token is invalid or has expired")
    if 400 <= status < 500 and status != 408:
        return _never("refused without a reason", alert=True)
    return _unknown("no readable answer")


def _asked_to_wait(headers: Mapping[str, str]) -> int:
    """Seconds the platform asks to wait; 0 where it says nothing readable.

    `Retry-After` counts seconds, `X-Business-Use-Case-Usage` minutes until access is regained.
    """
    named = {name.lower(): value for name, value in headers.items()}
    waits = [_number(named.get("retry-after")) or 0]
    usage = _json_object(named.get("x-business-use-case-usage", "").encode())
    for entries in (usage or {}).values():
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict):
                waits.append((_number(entry.get("estimated_time_to_regain_access")) or 0) * MINUTE)
    return min(max(0, *waits), DAY)


def _json_object(body: bytes | None) -> dict | None:
    try:
        answer = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _number(value: object) -> int | None:
    """A code as an integer; Graph has been seen to send them as strings."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and len(value) < 12 and value.isascii() and value.strip().isdigit():
        return int(value)
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) and value.strip() else ""
