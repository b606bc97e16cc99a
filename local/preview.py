"""Shows what a bot would write to a conversation: each gate's verdict, each draft, and the text as it would be sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from relance import disclosure
from relance.answer import buttons
from relance.bot import Bot
from relance.channels.graph import Outbound, request_body
from relance.guard import conversation
from relance.guard import draft as draft_guard
from relance.interaction import Side, Turn
from relance.persona import Brief, Draft, Nothing, Spent
from relance.reason import Reason
from relance.rules import FREE_FORM
from relance.send import ATTEMPTS
from relance.writers import Writer

PASSED, REFUSED, NOT_RUN, UNKNOWN = "passed", "refused", "not run", "unknown"
# The gate behind the written ones: composed with its disclosure, the message must be one that the channel takes.
COMPOSED = "disclosure"
# The sender compares a draft with so many of the bot's last messages.
_RECENT = 10
# Nobody: numbers and ids reserved for fiction. What is previewed is sent to no one.
_TO = {"whatsapp": "12015550123", "messenger": "1", "instagram": "1"}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One answer of the writer. `feedback` is what it was told of the attempt before.

    `refused_by` names the gate that refused the draft; None: all let it pass. `written` may be Nothing.
    """

    written: Draft | Nothing
    feedback: str = ""
    refused_by: str | None = None

    def verdicts(self) -> tuple[tuple[str, str], ...]:
        """Each gate in its order, and what it said: the first refusal wins, the gates behind it are not asked."""
        if isinstance(self.written, Nothing):
            return ()
        names = (*(name for name, _ in draft_guard.GATES), COMPOSED)
        if self.refused_by is None:
            return tuple((name, PASSED) for name in names)
        if self.refused_by not in names:  # a gate failed: which one, nobody says
            return tuple((name, UNKNOWN) for name in names)
        at = names.index(self.refused_by)
        return (
            *((name, PASSED) for name in names[:at]),
            (names[at], REFUSED),
            *((name, NOT_RUN) for name in names[at + 1 :]),
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen. `text` is empty for silence; then `reason` says why. `spent` is what the writer has cost."""

    judged: conversation.Allowed | conversation.Refused
    attempts: tuple[Attempt, ...] = ()
    reason: Reason | None = None
    text: str = ""
    quick_replies: tuple[str, ...] = ()
    spent: Spent = field(default_factory=Spent)

    def as_json(self) -> dict[str, Any]:
        """The same as one object."""
        gate = (
            {"verdict": "skip", "reason": self.judged.reason.value, "gate": self.judged.gate}
            if isinstance(self.judged, conversation.Refused)
            else {"verdict": "follow_up", "language": self.judged.language}
        )
        sent = {"text": self.text, "characters": len(self.text), "quick_replies": list(self.quick_replies)}
        return {
            "conversation": gate,
            "attempts": [_attempt_as_json(attempt) for attempt in self.attempts],
            "sent": sent if self.text else None,
            "reason": None if self.reason is None else self.reason.value,
            "spent": {
                "calls": self.spent.calls,
                "input_tokens": self.spent.input_tokens,
                "output_tokens": self.spent.output_tokens,
            },
        }


def _attempt_as_json(attempt: Attempt) -> dict[str, Any]:
    if isinstance(attempt.written, Nothing):
        return {"message": None, "silent_because": attempt.written.why, "fed_back": attempt.feedback or None}
    return {
        "message": attempt.written.message,
        "topic_quote": attempt.written.topic_quote,
        "language": attempt.written.language,
        "fed_back": attempt.feedback or None,
        "refused_by": attempt.refused_by,
        "gates": [{"gate": gate, "verdict": verdict} for gate, verdict in attempt.verdicts()],
    }


def preview(bot: Bot, turns: Sequence[Turn], writer: Writer, *, now: int, seed: str = "") -> Preview:
    """Do as the sender does with a conversation whose hour has come, up to the sending (`send.Sender`).

    Consent, windows, hours and counts are taken as satisfied, and so is the second line. The message is the one inside
    the platform's window; beyond it, on WhatsApp, the same text fills the bot's template and has the template's own
    buttons. Raises what the writer raises: TemporaryFailure, ConfigurationError.
    """
    judged = conversation.judge(turns, bot.languages, now)
    if isinstance(judged, conversation.Refused):
        return Preview(judged, reason=judged.reason)
    said_before = [turn.text for turn in turns if turn.side is not Side.USER and turn.text][-_RECENT:]
    attempts: list[Attempt] = []
    feedback, spent = "", Spent()
    for _ in range(ATTEMPTS):
        written = writer.write(
            Brief(
                bot_name=bot.name,
                operator=bot.operator,
                persona=bot.persona,
                language=judged.language,
                turns=tuple(turns),
                feedback=feedback,
                seed=seed,
            )
        )
        spent += written.spent
        attempt = Attempt(written, feedback)
        if isinstance(written, Nothing):
            return Preview(judged, (*attempts, attempt), Reason.WRITER_SILENT, spent=spent)
        refused_by = draft_guard.judge(written, turns, language=judged.language, bot=bot, previous=said_before)
        if refused_by is None:
            return _composed(bot, judged, written, (*attempts, attempt), spent)
        attempts.append(replace(attempt, refused_by=refused_by))
        feedback = refused_by
    return Preview(judged, tuple(attempts), Reason.DRAFT_REFUSED, spent=spent)


def _composed(
    bot: Bot, judged: conversation.Allowed, draft: Draft, attempts: tuple[Attempt, ...], spent: Spent
) -> Preview:
    """The whole message, or silence where the channel would not take it."""
    replies = buttons(bot, judged.language, again=False)
    try:
        text = disclosure.compose(draft.message, bot=bot, language=judged.language)
        request_body(
            Outbound(
                channel=bot.channel,
                bot_id=bot.id,
                to=_TO[bot.channel],
                kind=FREE_FORM,
                text=text,
                follow_up_id="",
                language=judged.language,
                quick_replies=replies,
            )
        )
    except ValueError:
        attempts = (*attempts[:-1], replace(attempts[-1], refused_by=COMPOSED))
        return Preview(judged, attempts, Reason.DRAFT_REFUSED, spent=spent)
    return Preview(judged, attempts, text=text, quick_replies=tuple(title for title, _ in replies), spent=spent)
