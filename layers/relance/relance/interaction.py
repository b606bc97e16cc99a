"""What a webhook can tell us: messages of a conversation, and everything else that arrives on the same line."""

from dataclasses import dataclass
from enum import StrEnum

DAY = 86_400
HOUR = 3_600
MINUTE = 60

CHANNELS = ("whatsapp", "messenger", "instagram")

# A message written more than this in the future is kept and never counted (design.md section 4).
FUTURE_TOLERANCE = 5 * MINUTE

# Payloads of relance's own buttons and quick replies: they open the window and never count.
OWN_PAYLOAD_PREFIX = "RELANCE_"
PAYLOAD_YES = "RELANCE_YES"
PAYLOAD_STOP = "RELANCE_STOP"
PAYLOAD_WHY = "RELANCE_WHY"
PAYLOAD_PERSON = "RELANCE_PERSON"
PAYLOAD_FORGET = "RELANCE_FORGET"
PAYLOAD_NOT_NOW = "RELANCE_NOT_NOW"


class Side(StrEnum):
    """Who wrote a message. `AGENT` is a person of the business."""

    USER = "user"
    BOT = "bot"
    AGENT = "agent"


class Effect(StrEnum):
    """What an event does beyond being counted or kept. An event has at most one of its own;
    signals in a user's text (`guard.signals`) may add `OPT_OUT` or `OPT_IN`."""

    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    RECEIPT = "receipt"
    STATUS_FAILED = "status_failed"
    ECHO_BOT = "echo_bot"
    ECHO_HUMAN = "echo_human"
    HUMAN_OWNS = "human_owns"
    CONTROL_RETURNED = "control_returned"
    ERASE = "erase"
    EDIT = "edit"
    REKEY = "rekey"
    WINDOW_OPENED = "window_opened"
    BOT_PAUSED = "bot_paused"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Address:
    """A person as one channel names them.

    `id` is the canonical id (WhatsApp: the business-scoped id, else the number; PSID; IGSID), `number` the
    WhatsApp number when the payload names it beside a business-scoped id. Opaque strings, never logged.
    """

    id: str
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a webhook said, translated by a channel's parser.

    `at` is when it happened, epoch seconds, as the platform says (None: unreadable). `counts` is the parser's
    word on the *shape* (a user's own message in a one-to-one chat); whether the time lets it count is decided
    with the clock in `remember`. `user` is None for events about the account.
    """

    channel: str
    bot: str
    kind: str
    at: int | None
    user: Address | None = None
    message_id: str = ""
    side: Side = Side.USER
    text: str = ""
    payload: str = ""
    counts: bool = False
    effect: Effect | None = None
    app_id: str = ""  # echoes: the app that wrote; thread control: the new owner
    follow_up_id: str = ""  # receipts and echoes: the id relance put into its own message
    message_ids: tuple[str, ...] = ()  # receipts: the messages meant
    code: int | None = None  # a failed status: the platform's error code
    new_address: Address | None = None  # id changes: who the user is from now on
    detail: str = ""  # the platform's own word for the kind (metrics); never free text
    account: str = ""  # WhatsApp: the business account that the number belongs to


@dataclass(frozen=True, slots=True)
class Turn:
    """One remembered message, oldest first in any sequence of turns."""

    side: Side
    at: int
    text: str
    kind: str = "text"
    message_id: str = ""
