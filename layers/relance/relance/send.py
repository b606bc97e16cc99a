"""The sender's verb: judge the pair again, write one message, reserve, deliver once, record what became of it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from relance import disclosure, rules, zones
from relance.answer import buttons
from relance.bot import Bot
from relance.channels.graph import GraphClient, Outbound, flattened, request_body
from relance.errors import TemporaryFailure
from relance.events import Bus, Happened
from relance.guard import conversation
from relance.guard import draft as draft_guard
from relance.interaction import DAY, Side, Turn
from relance.outcome import Outcome, OutcomeClass
from relance.pair import Pair, Person
from relance.persona import Brief, Draft, Nothing
from relance.reason import Reason
from relance.parameters import Deployment, Rules
from relance.rules import TEMPLATE, Drop, Send, Wait
from relance.secrets import Secrets, bot_credentials
from relance.store.bots import BotStore
from relance.store.interactions import InteractionStore
from relance.store.pairs import Due, PairStore
from relance.writers import Writer

# The writer gets the guard's reason and one more chance; then silence.
ATTEMPTS = 2
# Writing and delivering must fit in what is left of the function's time: two model calls and one Graph call.
NEEDED_MS = 25_000
MEMORY_DAYS = 30


class Sent(StrEnum):
    """What became of one queue message. Silence is a result, not an exception."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    RELEASED = "released"
    DROPPED = "dropped"
    WAITING = "waiting"
    OVERTAKEN = "overtaken"
    NOTHING_TO_DO = "nothing_to_do"


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome and, for silences, the reason."""

    sent: Sent
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """Everything one follow-up needs; built once per environment by `wiring`."""

    pairs: PairStore
    bots: BotStore
    interactions: InteractionStore
    writer: Writer
    graph: GraphClient
    secrets: Secrets
    secrets_path: str
    bus: Bus
    rules: Rules
    new_id: Callable[[], str] = lambda: f"relance:{uuid.uuid4().hex}"

    def send(self, due: Due, *, now: int, remaining_ms: Callable[[], int]) -> Result:
        """Write to one pair, at most once. Raises TemporaryFailure when the queue should bring it again.

        The order is the promise: cheap rules, then text, then the model, then the reservation, then one delivery.
        """
        found, persons = self.pairs.read([due], consistent=True)
        pair, person = found.get(due), persons[due.user]
        if pair is None or pair.due_at is None:
            return Result(Sent.NOTHING_TO_DO)  # erased, or answered already: a second copy of the queue's message
        bots, deployment = self.bots.read([due.bot], consistent=True)
        bot = bots.get(due.bot)
        said = rules.verdict(pair, person, bot, deployment, now, rules=self.rules)
        match said:
            case Wait(until, reason):
                self.pairs.wait(pair, until, reason, now)
                return Result(Sent.WAITING, reason.value)
            case Drop(reason):
                return self._drop(pair, reason, now)
            case Send(route) if bot is not None:
                if remaining_ms() < NEEDED_MS:
                    raise TemporaryFailure("too little time is left of this invocation")
                return self._write(pair, person, bot, route, deployment, now)
        return self._drop(pair, Reason.UNKNOWN_BOT, now)

    # ── the conversation, read only now ─────────────────────────────────────────────────────────────────────

    def _write(self, pair: Pair, person: Person, bot: Bot, route: str, deployment: Deployment, now: int) -> Result:
        if self._is_heavy_use(pair, person, bot, now):
            return self._drop(pair, Reason.HEAVY_USE, now)
        turns = self._turns(pair, now)
        judged = conversation.judge(turns, bot.languages, now)
        if isinstance(judged, conversation.Refused):
            return self._drop(pair, judged.reason, now)
        draft = self._draft(bot, judged.language, turns, pair)
        if isinstance(draft, Reason):
            return self._drop(pair, draft, now)
        try:
            text = disclosure.compose(draft.message, bot=bot, language=judged.language)
        except ValueError:
            return self._drop(pair, Reason.DRAFT_REFUSED, now)
        return self._deliver(pair, person, bot, route, text, judged.language, now)

    def _is_heavy_use(self, pair: Pair, person: Person, bot: Bot, now: int) -> bool:
        """From keys alone: no text is read to find out that somebody should be left alone."""
        times = self.interactions.times(pair.user, pair.bot, since=now - 14 * DAY)
        possible = rules.possible_zones(pair, person, bot)
        zone = bot.zone if bot.zone in possible or not possible else possible[0]
        return rules.is_heavy_use(times, now, {at: zones.offset_at(zone, at) for at in times})

    def _turns(self, pair: Pair, now: int) -> list[Turn]:
        turns = self.interactions.turns(pair.user, pair.bot, since=now - MEMORY_DAYS * DAY, now=now)
        if pair.former:
            earlier = self.interactions.turns(pair.former, pair.bot, since=now - MEMORY_DAYS * DAY, now=now)
            turns = sorted([*earlier, *turns], key=lambda turn: turn.at)
        return turns

    def _draft(self, bot: Bot, language: str, turns: list[Turn], pair: Pair) -> Draft | Reason:
        feedback = ""
        for _ in range(ATTEMPTS):
            brief = Brief(
                bot_name=bot.name,
                operator=bot.operator,
                persona=bot.persona,
                language=language,
                turns=tuple(turns),
                feedback=feedback,
                seed=pair.s1,
            )
            written = self.writer.write(brief)
            if isinstance(written, Nothing):
                return Reason.WRITER_SILENT
            refused_by = draft_guard.judge(written, turns, language=language, bot=bot, previous=_said_by_bot(turns))
            if refused_by is None:
                return written
            feedback = refused_by
        return Reason.DRAFT_REFUSED

    # ── reserve → deliver → record ──────────────────────────────────────────────────────────────────────────

    def _deliver(
        self, pair: Pair, person: Person, bot: Bot, route: str, text: str, language: str, now: int
    ) -> Result:
        token, app_secret = bot_credentials(self.secrets, self.secrets_path, bot)
        follow_up_id = self.new_id()
        message = Outbound(
            channel=bot.channel,
            bot_id=bot.id,
            to=pair.to,
            kind=route,
            text=text,
            follow_up_id=follow_up_id,
            login="instagram" if bot.channel == "instagram" and not token.startswith("EAA") else "facebook",
            template=bot.template if route == TEMPLATE else None,
            language=language,
            parameters=(flattened(text),) if route == TEMPLATE else (),
            # A template has the buttons it was approved with.
            quick_replies=() if route == TEMPLATE else buttons(bot, language, again=self.rules.follow_ups != "once"),
        )
        try:
            request_body(message)
        except ValueError:
            # Found out before the reservation: a message that can never be sent must not spend it.
            return self._drop(pair, Reason.DRAFT_REFUSED, now)
        refused = self.pairs.reserve(
            pair,
            person,
            bot_unchanged=self.bots.unchanged(bot),
            follow_up_id=follow_up_id,
            route=route,
            language=language,
            now=now,
            cooldown=self.rules.cooldown,
        )
        if refused:
            # Something changed since it was judged. The timer still runs and the next ring judges anew.
            return Result(Sent.OVERTAKEN, refused[0])
        outcome = self.graph.deliver(message, token=token, app_secret=app_secret, now=now)
        return self._record(pair, person, bot, message, outcome, now)

    def _record(
        self, pair: Pair, person: Person, bot: Bot, message: Outbound, outcome: Outcome, now: int
    ) -> Result:
        happened = Happened(
            "FollowUpSent",
            pair.bot,
            pair.user,
            now,
            route=message.kind,
            follow_up_id=message.follow_up_id,
            code=outcome.code,
        )
        if not outcome.counts_as_used and not self._tried_enough(pair, outcome):
            if outcome.kind is OutcomeClass.STOP:
                self.bots.pause(bot.id, f"{outcome.code or ''} {outcome.detail}".strip())
                self.bus.tell([Happened("BotPaused", bot.id, at=now, reason=outcome.detail, code=outcome.code)])
            self.pairs.release(
                pair,
                person,
                follow_up_id=message.follow_up_id,
                due_at=now + max(outcome.retry_after or 0, self.rules.sweep),
                reason=outcome.detail,
                now=now,
            )
            return Result(Sent.RELEASED, str(outcome.code or outcome.kind.value))
        word = _LEDGER[outcome.kind]
        self.pairs.record(
            pair,
            follow_up_id=message.follow_up_id,
            outcome=word,
            code=outcome.code,
            message_id=outcome.message_id,
            now=now,
        )
        if outcome.kind is OutcomeClass.OPT_OUT or outcome.suppress:
            self.pairs.opt_out(pair.user, now)
        if outcome.kind is OutcomeClass.ACCEPTED:
            self.interactions.keep(
                pair.user,
                pair.bot,
                at=now,
                message_id=outcome.message_id,
                side=Side.BOT,
                kind="follow_up",
                text=message.text,
                expires_at=now + self.rules.text_ttl,
            )
            self.bus.tell([happened])
            return Result(Sent.ACCEPTED)
        if outcome.kind is OutcomeClass.UNKNOWN:
            self.bus.tell([_renamed(happened, "FollowUpUnknown", Reason.UNKNOWN_OUTCOME)])
            return Result(Sent.UNKNOWN, Reason.UNKNOWN_OUTCOME.value)
        self.bus.tell([_renamed(happened, "FollowUpRefused", Reason.REFUSED_BY_PLATFORM)])
        return Result(Sent.REFUSED, Reason.REFUSED_BY_PLATFORM.value)

    @staticmethod
    def _tried_enough(pair: Pair, outcome: Outcome) -> bool:
        """Some refusals deserve one more try and no third (platforms.md 9.2)."""
        return outcome.tries is not None and pair.attempts + 1 >= outcome.tries

    def _drop(self, pair: Pair, reason: Reason, now: int) -> Result:
        if not self.pairs.drop(pair, reason, now):
            return Result(Sent.OVERTAKEN, "pair")
        self.bus.tell([Happened("FollowUpDropped", pair.bot, pair.user, now, reason=reason.value)])
        return Result(Sent.DROPPED, reason.value)


_LEDGER = {
    OutcomeClass.ACCEPTED: "accepted",
    OutcomeClass.UNKNOWN: "unknown",
    OutcomeClass.LATER: "refused",
    OutcomeClass.NEVER: "refused",
    OutcomeClass.OPT_OUT: "refused",
    OutcomeClass.RETRY: "refused",
    OutcomeClass.STOP: "refused",
}


def _renamed(happened: Happened, name: str, reason: Reason) -> Happened:
    return Happened(
        name,
        happened.bot,
        happened.user,
        happened.at,
        happened.route,
        reason.value,
        happened.follow_up_id,
        happened.code,
    )


def _said_by_bot(turns: list[Turn]) -> list[str]:
    return [turn.text for turn in turns if turn.side is not Side.USER and turn.text][-10:]


