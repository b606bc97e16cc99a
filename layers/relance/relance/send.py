"""The sender's verb: judge the pair again, write one message, reserve, deliver once, record what became of it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from relance import disclosure, rules, zones
from relance.answer import buttons
from relance.bot import Bot
from relance.channels.graph import GraphClient, Outbound, flattened, login_of, request_body
from relance.errors import ConfigurationError, TemporaryFailure
from relance.events import Bus, Happened
from relance.guard import conversation
from relance.guard import draft as draft_guard
from relance.interaction import DAY, Side, Turn
from relance.outcome import ACCOUNT_LIMITS, UNDELIVERABLE, Outcome, OutcomeClass
from relance.pair import Pair, Person
from relance.parameters import Rules
from relance.persona import Brief, Draft, Nothing, Spent
from relance.reason import Reason
from relance.rules import TEMPLATE, Drop, Send, Wait
from relance.second_line import SecondLine
from relance.secrets import Secrets, bot_credentials
from relance.store.bots import BotStore
from relance.store.interactions import InteractionStore, TooMuch
from relance.store.pairs import Due, PairStore
from relance.writers import Writer

# The writer gets the guard's reason and one more chance; then silence.
ATTEMPTS = 2
# Writing and delivering must fit in what is left of the function's time: two model calls of at most 11 s, each read by
# the second line in at most 2 s, then the delivery.
NEEDED_MS = 42_000
# Reserve (two tries of a transaction), deliver (3 s to connect, 8 s to read), record.
DELIVERY_MS = 15_000
# A reservation whose sender has not recorded anything for so long: it has died.
DIED_AFTER = 120
# Clean refusals of one silence before it is given up, and the longest wait between two of them (seconds).
MOST_TRIES = 8
LONGEST_WAIT = 7_200
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
    paused: bool = False


@dataclass(slots=True)
class _Case:
    """One pair on its way through the sender. `now` is the invocation's; `present` adds what has passed since."""

    pair: Pair
    person: Person
    bot: Bot
    route: str
    now: int
    remaining_ms: Callable[[], int]
    _at_first: int = field(init=False)

    def __post_init__(self) -> None:
        self._at_first = self.remaining_ms()

    @property
    def present(self) -> int:
        return self.now + (self._at_first - self.remaining_ms()) // 1000

    def needs(self, milliseconds: int) -> None:
        """Raises TemporaryFailure when the invocation ends too soon: nothing is begun that cannot be finished."""
        if self.remaining_ms() < milliseconds:
            raise TemporaryFailure("too little time is left of this invocation")


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
    second_line: SecondLine | None = None
    new_id: Callable[[], str] = lambda: f"relance:{uuid.uuid4().hex}"

    def send(self, due: Due, *, now: int, remaining_ms: Callable[[], int]) -> Result:
        """Write to one pair, at most once. Raises TemporaryFailure when the queue should bring it again.

        The order is the promise: cheap rules, then text, then the model, then the reservation, then one delivery.
        """
        found, persons = self.pairs.read([due], consistent=True)
        pair, person = found.get(due), persons[due.user]
        if pair is None or pair.due_at is None or _has_died(pair, now):
            return self._nothing_to_do(pair, now)
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
                return self._write(_Case(pair, person, bot, route, now, remaining_ms))
        return self._drop(pair, Reason.UNKNOWN_BOT, now)

    def _nothing_to_do(self, pair: Pair | None, now: int) -> Result:
        """Erased, or answered already: a second copy of the queue's message. Or a sender that died on the way."""
        if pair is not None and _has_died(pair, now):
            # Whether it had delivered, nobody knows: it counts as delivered, and the ledger says so.
            self.pairs.record(
                pair, follow_up_id=pair.follow_up_id, outcome="unknown", code=None, message_id="", now=now
            )
            self.bus.tell([Happened("FollowUpUnknown", pair.bot, pair.user, now, reason=Reason.UNKNOWN_OUTCOME.value)])
            return Result(Sent.UNKNOWN, Reason.UNKNOWN_OUTCOME.value)
        return Result(Sent.NOTHING_TO_DO)

    # ── the conversation, read only now ─────────────────────────────────────────────────────────────────────

    def _write(self, case: _Case) -> Result:
        pair, bot, now = case.pair, case.bot, case.now
        case.needs(NEEDED_MS)
        try:
            credentials = bot_credentials(self.secrets, self.secrets_path, bot)
        except ConfigurationError as missing:
            # Found out before a model is paid; without a pause every lease would end here again.
            self._pause(bot, str(missing), now)
            return replace(self._drop(pair, Reason.PAUSED, now), paused=True)
        try:
            if self._is_heavy_use(pair, case.person, bot, now):
                return self._drop(pair, Reason.HEAVY_USE, now)
            turns = self._turns(pair, now)
        except TooMuch:
            return self._drop(pair, Reason.HEAVY_USE, now)
        judged = conversation.judge(turns, bot.languages, now)
        if isinstance(judged, conversation.Refused):
            return self._drop(pair, judged.reason, now)
        draft, spent = self._draft(bot, judged.language, turns, pair)
        if isinstance(draft, Reason):
            return self._drop(pair, draft, now, spent)
        try:
            text = disclosure.compose(draft.message, bot=bot, language=judged.language)
            message = self._message(case, text, judged.language, credentials[0])
            request_body(message)
        except ValueError:
            # Found out before the reservation: a message that can never be sent must not spend it.
            return self._drop(pair, Reason.DRAFT_REFUSED, now, spent)
        return self._deliver(case, message, credentials, spent)

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

    def _draft(self, bot: Bot, language: str, turns: list[Turn], pair: Pair) -> tuple[Draft | Reason, Spent]:
        """A draft that every gate lets pass, or why there is none; and what asking for it has cost."""
        feedback, spent = "", Spent()
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
            spent += written.spent
            if isinstance(written, Nothing):
                return Reason.WRITER_SILENT, spent
            refused_by = draft_guard.judge(written, turns, language=language, bot=bot, previous=_said_by_bot(turns))
            if refused_by is None and self.second_line is not None and self.second_line.objects(written.message):
                refused_by = "second_line"
            if refused_by is None:
                return written, spent
            feedback = refused_by
        return Reason.DRAFT_REFUSED, spent

    # ── reserve → deliver → record ──────────────────────────────────────────────────────────────────────────

    def _message(self, case: _Case, text: str, language: str, token: str) -> Outbound:
        bot, by_template = case.bot, case.route == TEMPLATE
        return Outbound(
            channel=bot.channel,
            bot_id=bot.id,
            to=case.pair.to,
            kind=case.route,
            text=text,
            follow_up_id=self.new_id(),
            login=login_of(bot, token),
            template=bot.template if by_template else None,
            language=language,
            parameters=(flattened(text),) if by_template else (),
            # A template has the buttons it was approved with.
            quick_replies=() if by_template else buttons(bot, language, again=self.rules.follow_ups != "once"),
        )

    def _deliver(self, case: _Case, message: Outbound, credentials: tuple[str, str], spent: Spent) -> Result:
        pair, now = case.pair, case.now
        case.needs(DELIVERY_MS)
        if rules.route_now(pair, case.person, case.bot, case.present + DELIVERY_MS // 1000, self.rules) != case.route:
            # Writing took so long that the hour or the window is over: the next ring judges anew.
            return Result(Sent.OVERTAKEN, "time")
        refused = self.pairs.reserve(
            pair,
            case.person,
            bot_unchanged=self.bots.unchanged(case.bot),
            follow_up_id=message.follow_up_id,
            route=case.route,
            language=message.language,
            now=now,
            cooldown=self.rules.cooldown,
            template=message.template.name if message.template else "",
            spent=spent,
        )
        if refused:
            # Something changed since it was judged. The timer still runs and the next ring judges anew.
            return Result(Sent.OVERTAKEN, refused[0])
        outcome = self.graph.deliver(message, token=credentials[0], app_secret=credentials[1], now=now)
        if not outcome.counts_as_used and not _tried_enough(pair, outcome):
            return self._release(case, message, outcome, credentials)
        return self._record(case, message, outcome)

    def _release(self, case: _Case, message: Outbound, outcome: Outcome, credentials: tuple[str, str]) -> Result:
        """Nobody was reached: the reservation is given back, and the timer rings again after a while."""
        pair, bot, now = case.pair, case.bot, case.now
        stopped = outcome.kind is OutcomeClass.STOP and not self._has_rotated(bot, credentials)
        if stopped:
            if outcome.stops == "template" and bot.template is not None:
                self.pairs.pause_account(bot.channel, bot.id, outcome.detail, template=bot.template.name)
            else:
                code = "" if outcome.code is None else f"{outcome.code} "
                self._pause(bot, f"{code}{outcome.detail}", now, outcome.code)
        # Twice as long after each refusal: an hour of the platform's trouble must not use up all tries.
        wait = max(outcome.retry_after or 0, self.rules.sweep) * 2 ** min(pair.attempts, 5)
        if outcome.code in ACCOUNT_LIMITS:
            self.pairs.busy(bot.channel, bot.id, now + min(wait, LONGEST_WAIT))
        self.pairs.release(
            pair,
            case.person,
            follow_up_id=message.follow_up_id,
            due_at=now + min(wait, LONGEST_WAIT),
            reason=outcome.detail,
            now=now,
            expires_at=now + self.rules.text_ttl,
        )
        return Result(Sent.RELEASED, str(outcome.code or outcome.kind.value), paused=stopped)

    def _has_rotated(self, bot: Bot, credentials: tuple[str, str]) -> bool:
        """The refused token came from the cache and has been replaced since: no reason to stop the bot."""
        self.secrets.forget()
        try:
            return bot_credentials(self.secrets, self.secrets_path, bot) != credentials
        except (ConfigurationError, TemporaryFailure):
            return False

    def _pause(self, bot: Bot, why: str, now: int, code: int | None = None) -> None:
        self.bots.pause(bot.id, why)
        self.bus.tell([Happened("BotPaused", bot.id, at=now, reason=why, code=code)])

    def _record(self, case: _Case, message: Outbound, outcome: Outcome) -> Result:
        pair, now = case.pair, case.now
        happened = Happened(
            "FollowUpSent",
            pair.bot,
            pair.user,
            now,
            route=message.kind,
            follow_up_id=message.follow_up_id,
            code=outcome.code,
        )
        self.pairs.record(
            pair,
            follow_up_id=message.follow_up_id,
            outcome=_LEDGER.get(outcome.kind, "refused"),
            code=outcome.code,
            message_id=outcome.message_id,
            now=now,
        )
        gone = outcome.code == UNDELIVERABLE and self.pairs.undeliverable(pair.user, message.follow_up_id) > 1
        if outcome.suppress or gone:
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
            self.bus.tell([replace(happened, name="FollowUpUnknown", reason=Reason.UNKNOWN_OUTCOME.value)])
            return Result(Sent.UNKNOWN, Reason.UNKNOWN_OUTCOME.value)
        self.bus.tell([replace(happened, name="FollowUpRefused", reason=Reason.REFUSED_BY_PLATFORM.value)])
        return Result(Sent.REFUSED, Reason.REFUSED_BY_PLATFORM.value)

    def _drop(self, pair: Pair, reason: Reason, now: int, spent: Spent | None = None) -> Result:
        if not self.pairs.drop(pair, reason, now, spent or Spent()):
            return Result(Sent.OVERTAKEN, "pair")
        self.bus.tell([Happened("FollowUpDropped", pair.bot, pair.user, now, reason=reason.value)])
        return Result(Sent.DROPPED, reason.value)


_LEDGER = {OutcomeClass.ACCEPTED: "accepted", OutcomeClass.UNKNOWN: "unknown"}


def _has_died(pair: Pair, now: int) -> bool:
    """Whether a sender reserved this pair and never recorded what became of it, even if a newer timer runs by now."""
    return pair.outcome == "reserved" and now - (pair.outcome_at or now) > DIED_AFTER


def _tried_enough(pair: Pair, outcome: Outcome) -> bool:
    """Some refusals deserve one more try and no third (platforms.md 9.2); no refusal deserves endless ones."""
    return outcome.kind is OutcomeClass.RETRY and pair.attempts + 1 >= (outcome.tries or MOST_TRIES)


def _said_by_bot(turns: list[Turn]) -> list[str]:
    return [turn.text for turn in turns if turn.side is not Side.USER and turn.text][-10:]
