"""The webhook's verb: keep what was said, count what counts, and let a signal take effect at once."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from relance.erasures import Erasures
from relance.guard import signals
from relance.interaction import (
    DAY,
    FUTURE_TOLERANCE,
    PAYLOAD_FORGET,
    PAYLOAD_NOT_NOW,
    PAYLOAD_PERSON,
    PAYLOAD_STOP,
    PAYLOAD_WHY,
    PAYLOAD_YES,
    Effect,
    Event,
    Side,
)
from relance.outbox import Ask, Outbox, question_of
from relance.outcome import UNDELIVERABLE, OutcomeClass, classify_status
from relance.pair import Identity, Pair, identify
from relance.parameters import HUMAN_OWNS_FOR
from relance.store.interactions import InteractionStore
from relance.store.pairs import PairStore
from relance.store.tables import RequestRefused

# A POST gives up after so many failed events: the table is down, and Meta waits five seconds.
MOST_FAILURES = 2
# Meta puts at most 1,000 updates into one POST (webhook references); a copy for standby is two events. What is beyond
# this is not Meta's, and is left out: the work of one request has an end.
MOST_EVENTS = 2_000
# "Not now": no follow-up from any bot for 90 days.
NOT_NOW_FOR = 90 * DAY


@dataclass(frozen=True, slots=True)
class Memory:
    """How long things are kept and what earns a timer; seconds (design.md section 3)."""

    min_interactions: int
    window: int
    min_silence: int
    text_ttl: int
    crisis_hold: int


@dataclass(slots=True)
class Report:
    """What one POST contained: counted, kept, effects by name, kinds nobody knows, questions that relance answers."""

    counted: int = 0
    kept: int = 0
    refused: int = 0
    left_out: int = 0
    effects: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    asked: list[Ask] = field(default_factory=list)


def remember(
    events: Iterable[Event],
    *,
    pairs: PairStore,
    interactions: InteractionStore,
    pepper: bytes,
    memory: Memory,
    now: int,
    outbox: Outbox,
    erasures: Erasures,
    in_front: bool = False,
) -> Report:
    """Make durable what a webhook said. Raises TemporaryFailure when a write failed: Meta must deliver again.

    Everything is idempotent, so a redelivery repeats harmlessly what had already been written. An event that
    DynamoDB will never take (RequestRefused) is counted and passed over, else it would block its whole POST for days.
    `in_front` says that Meta calls relance first (`forward`): then plain stop words are answered here, too, and not
    only the taps on relance's own buttons.

    The work is bounded: an event that is there twice is one, `MOST_EVENTS` are worked at most, and whatever would be
    said to a queue or marked on a person's row again and again is said and marked once.
    """
    distinct = list(dict.fromkeys(events))
    report = Report(left_out=max(0, len(distinct) - MOST_EVENTS))
    desk = _Desk(pairs, interactions, pepper, memory, now, outbox, erasures, in_front, report)
    failures: list[Exception] = []
    for event in distinct[:MOST_EVENTS]:
        try:
            desk.take(event)
        except RequestRefused:
            report.refused += 1
        except Exception as error:  # one event must not keep the STOP behind it from being written
            failures.append(error)
            if len(failures) == MOST_FAILURES:
                break
    # Also after a failure: what was written must be carried out, and a repeat of it does no harm.
    desk.pass_on()
    if failures:
        raise failures[0]
    return report


@dataclass(slots=True)
class _Desk:
    """One POST being worked through."""

    pairs: PairStore
    interactions: InteractionStore
    pepper: bytes
    memory: Memory
    now: int
    outbox: Outbox
    erasures: Erasures
    in_front: bool
    report: Report
    # What has been written for this POST, with the latest time, so that nobody makes us write it a thousand times.
    _marked: dict[tuple[str, str], int] = field(default_factory=dict)
    _wishes: dict[tuple[str, str], None] = field(default_factory=dict)
    _forgets: dict[str, int] = field(default_factory=dict)

    def pass_on(self) -> None:
        """Tell the queues what this POST asks for: each question about one thing, and each erasure, once.

        Of a person's forgets the latest holds: it covers what was written before.
        """
        for user, at in self._forgets.items():
            self.erasures.forget(user, at)
        for user, bot in self._wishes:
            self.erasures.wish(user, bot)
        self.report.asked[:] = {(ask.user, ask.bot, ask.about): ask for ask in self.report.asked}.values()
        for ask in self.report.asked:
            self.outbox.ask(ask)

    def _mark(self, name: str, user: str, at: int, write: Callable[[str, int], object]) -> None:
        """Write a mark of which the latest counts, unless this POST has written one that is as late."""
        if at > self._marked.get((name, user), at - 1):
            write(user, at)
            self._marked[name, user] = at

    def _forget(self, user: str, at: int) -> None:
        self._forgets[user] = max(at, self._forgets.get(user, at))

    def take(self, event: Event) -> None:
        if event.effect is not None:
            self.report.effects[event.effect.value] += 1
        if event.effect is Effect.UNKNOWN:
            self.report.unknown[event.detail or event.kind] += 1
        if event.effect is Effect.BOT_PAUSED:
            self._pause(event)
        if event.user is None or not event.bot:
            return
        who = identify(event.channel, event.user, self.pepper)
        self._read_signals(event, who)
        self._heed_button(event, who)
        act = _ACTS.get(event.effect) if event.effect is not None else None
        if act is not None:
            act(self, event, who)
        elif event.counts:
            self._count(event, who)

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────────

    def _count(self, event: Event, who: Identity) -> None:
        """Two plain writes; a third only when a timer starts."""
        if event.at is None or event.user is None:
            return
        if not self.now - self.memory.window <= event.at <= self.now + FUTURE_TOLERANCE:
            self._keep(event, who.user)
            self.report.kept += 1
            return
        pair = self.pairs.count(
            who.user,
            event.bot,
            at=event.at,
            message_id=event.message_id,
            to=event.user.id,
            # The register must outlive the window whatever the texts' own time is.
            expires_at=event.at + max(self.memory.text_ttl, self.memory.window + DAY),
            also=who.number_user,
            account=event.account,
            now=self.now,
        )
        if pair.erased_at is not None and event.at <= pair.erased_at:
            return  # delivered after the person asked to be forgotten: neither counted nor kept
        # What was written before we knew of a changed id lies under the old one, where the reader looks, too. A repeat
        # of it must not lie there twice: a text that was taken back would be there again.
        moved = pair.user != who.user and pair.moved_at is not None and event.at <= pair.moved_at
        self._keep(event, who.user if moved else pair.user)
        self.report.counted += 1
        self._start_timer(pair)

    def _start_timer(self, pair: Pair) -> None:
        """Also after a duplicate or an out-of-order message: a crash between the two writes must not lose the timer."""
        if pair.due_at is not None or pair.s1 == pair.closed_s1:
            return
        times = pair.times
        needed = self.memory.min_interactions
        if len(times) >= needed and times[0] - times[needed - 1] <= self.memory.window:
            self.pairs.start_timer(pair, times[0] + self.memory.min_silence)

    def _keep(self, event: Event, user: str) -> None:
        at = event.at if event.at is not None else self.now
        self.interactions.keep(
            user,
            event.bot,
            at=at,
            message_id=event.message_id,
            side=event.side,
            kind=event.kind,
            text=event.text,
            expires_at=min(at, self.now) + self.memory.text_ttl,
        )

    # ── signals ─────────────────────────────────────────────────────────────────────────────────────────────

    def _read_signals(self, event: Event, who: Identity) -> None:
        """A stop, a minor, a crisis: one write to the user's row, and never a word of the text."""
        if event.side is not Side.USER or not (event.text or event.payload):
            return
        found = signals.read(event.text, event.payload)
        if not found:
            return
        at = self._when(event)
        for user in self._keys(who):
            if signals.Signal.OPT_OUT in found:
                self._mark("opt_out", user, at, self.pairs.opt_out)
            if signals.Signal.MINOR in found:
                self._mark("minor", user, 0, lambda user, _: self.pairs.mark_minor(user))
            if signals.Signal.CRISIS in found:
                self._mark("hold", user, max(at, self.now) + self.memory.crisis_hold, self.pairs.hold)
        if signals.Signal.FORGET in found:
            for user in self._keys(who):
                self._forget(user, at)
            # The bot beside us keeps texts of its own: only relance can say what relance has erased.
            self._ask(event, who, "forget")
        elif signals.Signal.OPT_OUT in found and self.in_front and event.kind != "standby":
            self._ask(event, who, "stop")
        elif event.counts and event.payload not in _QUESTIONS:
            for asked in sorted(found & {signals.Signal.WHY, signals.Signal.PERSON}):
                self._ask(event, who, asked.value, typed=True)
        for signal in found:
            self.report.effects[f"signal_{signal.value}"] += 1

    def _when(self, event: Event) -> int:
        """The platform's time, never far in the future: a mark from there could not be answered for years.

        As far as this Lambda's own clock may be behind it is believed: else a stop could be dated before an older yes.
        """
        return self.now if event.at is None else min(event.at, self.now + FUTURE_TOLERANCE)

    @staticmethod
    def _keys(who: Identity) -> tuple[str, ...]:
        return (who.user, who.number_user) if who.number_user else (who.user,)

    def _heed_button(self, event: Event, who: Identity) -> None:
        """A tap on one of relance's own buttons: what it asks for, and an answer."""
        if event.side is not Side.USER:
            return
        if event.payload == PAYLOAD_NOT_NOW:
            self._mark("hold", who.user, self.now + NOT_NOW_FOR, self.pairs.hold)
        elif event.payload == PAYLOAD_FORGET:
            for user in self._keys(who):
                self._mark("opt_out", user, self._when(event), self.pairs.opt_out)
                self._forget(user, self._when(event))
        if event.payload in _QUESTIONS:
            self._ask(event, who, _QUESTIONS[event.payload])

    def _ask(self, event: Event, who: Identity, about: str, *, typed: bool = False) -> None:
        self.report.asked.append(Ask(who.user, event.bot, about, question_of(event.message_id), typed))

    # ── everything else ─────────────────────────────────────────────────────────────────────────────────────

    def _opt_out(self, event: Event, who: Identity) -> None:
        for user in self._keys(who):
            self._mark("opt_out", user, self._when(event), self.pairs.opt_out)
        self._open_window(event, who)

    def _opt_in(self, event: Event, who: Identity) -> None:
        """Only relance's own question, answered, is a yes (rule 10): a platform's "resume" of marketing is not."""
        if event.payload == PAYLOAD_YES:
            self._mark("opt_in", who.user, self._when(event), self.pairs.opt_in)
        self._open_window(event, who)

    def _open_window(self, event: Event, who: Identity) -> None:
        """Acts that open the platform's window and do not count: reactions, referrals, relance's own buttons."""
        if event.at is not None and event.at <= self.now + FUTURE_TOLERANCE and event.kind not in _WITHOUT_WINDOW:
            self.pairs.open_window(who.user, event.bot, event.at)

    def _echo(self, event: Event, who: Identity) -> None:
        """The business's side wrote. Whose app it was is judged later, with the bot's file."""
        self.pairs.echo(who.user, event.app_id, self._when(event))
        if event.text:
            self._keep(event, who.user)
            self.report.kept += 1

    def _human_owns(self, event: Event, who: Identity) -> None:
        at = self._when(event)
        self.pairs.human_took_over(who.user, at, until=at + HUMAN_OWNS_FOR, app_id=event.app_id)

    def _control_returned(self, event: Event, who: Identity) -> None:
        at = self._when(event)
        self.pairs.human_took_over(who.user, at, until=at)

    def _wish(self, event: Event, who: Identity) -> None:
        user = self.pairs.change(who.user, event.bot)
        self.interactions.wish(user, event.bot, event, expires_at=self.now + self.memory.text_ttl)
        self._wishes[user, event.bot] = None

    def _rekey(self, event: Event, who: Identity) -> None:
        """The same person under another id: the pair moves with its register, its marks and its used mark."""
        if event.new_address is None:
            return
        new = identify(event.channel, event.new_address, self.pepper)
        for old in self._keys(who):
            for pair in self.pairs.move(old, new.user, to=event.new_address.id, at=self._when(event), now=self.now):
                self._start_timer(pair)

    def _settle(self, event: Event, who: Identity) -> None:
        """Only receipts of relance's own message are of interest: all others cost no request."""
        outcome = _SETTLED.get(event.kind)
        template = None
        if outcome and event.follow_up_id:
            template = self.pairs.settle(
                who.user,
                event.bot,
                follow_up_id=event.follow_up_id,
                outcome=outcome,
                code=event.code,
                at=self._when(event),
                message_ids=event.message_ids,
            )
        if event.effect is Effect.STATUS_FAILED:
            self._heed(event, who, template)

    def _heed(self, event: Event, who: Identity, template: str | None) -> None:
        """What a late failure says of the person or the account holds for relance, whoever had sent the message."""
        outcome = classify_status(event.channel, event.code)
        gone = event.code == UNDELIVERABLE and self._gone(event, who)
        if outcome.suppress or gone:
            for user in self._keys(who):
                self._mark("opt_out", user, self._when(event), self.pairs.opt_out)
        if outcome.kind is OutcomeClass.STOP and (outcome.stops == "bot" or template):
            self.report.effects[Effect.BOT_PAUSED.value] += 1
        if outcome.kind is OutcomeClass.STOP and outcome.stops == "bot":
            self._stop_account(event.channel, event.bot, f"{event.code} {outcome.detail}")
        elif outcome.kind is OutcomeClass.STOP and template:
            self._stop_account(event.channel, event.bot, outcome.detail, template=template)

    def _gone(self, event: Event, who: Identity) -> bool:
        """WhatsApp could not deliver a second message to this person: gone, or they blocked the business."""
        message_id = event.message_ids[0] if event.message_ids else event.message_id
        return self.pairs.undeliverable(who.user, message_id) > 1

    def _pause(self, event: Event) -> None:
        """The platform stopped a bot, an account or a template."""
        id_ = event.account or event.bot
        if id_:
            _, _, template = event.detail.partition("template:")
            self._stop_account(event.channel, id_, event.detail or event.kind, template=template)

    def _stop_account(self, channel: str, id_: str, why: str, *, template: str = "") -> None:
        """A thousand receipts may fail for the one reason that the account is stopped: it is stopped once."""
        self._mark(
            f"stop {template}", id_, 0, lambda id_, _: self.pairs.pause_account(channel, id_, why, template=template)
        )


_QUESTIONS = {PAYLOAD_STOP: "stop", PAYLOAD_WHY: "why", PAYLOAD_PERSON: "person", PAYLOAD_FORGET: "forget"}
_WITHOUT_WINDOW = frozenset({"opt_in", "opt_out"})
_SETTLED = {"sent": "accepted", "delivered": "delivered", "read": "read", "status_failed": "failed"}
_ACTS: dict[Effect, Callable[[_Desk, Event, Identity], None]] = {
    Effect.OPT_OUT: _Desk._opt_out,
    Effect.OPT_IN: _Desk._opt_in,
    Effect.WINDOW_OPENED: _Desk._open_window,
    Effect.ECHO_BOT: _Desk._echo,
    Effect.ECHO_HUMAN: _Desk._echo,
    Effect.HUMAN_OWNS: _Desk._human_owns,
    Effect.CONTROL_RETURNED: _Desk._control_returned,
    Effect.ERASE: _Desk._wish,
    Effect.EDIT: _Desk._wish,
    Effect.REKEY: _Desk._rekey,
    Effect.RECEIPT: _Desk._settle,
    Effect.STATUS_FAILED: _Desk._settle,
}
