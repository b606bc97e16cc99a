"""The sweeper's verb: who rings? Judge them; move, stop or lease their timers; enqueue who may be written to."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from relance.alarms import WebhookAlarm
from relance.bot import Bot
from relance.events import Bus, Happened
from relance.outbox import BATCH, Outbox
from relance.pair import shard_names
from relance.parameters import Deployment, Rules
from relance.rules import Drop, Send, Wait, verdict
from relance.store.bots import BotStore
from relance.store.pairs import Due, PairStore

# A page of work (50 pairs: one query, one batch read, 50 conditional writes) fits well within this.
STOP_BEFORE_TIMEOUT_MS = 15_000


@dataclass(slots=True)
class SweepReport:
    """What one sweep did. `held` names why nobody was judged; `unfinished` says that the time was up."""

    rang: int = 0
    enqueued: int = 0
    refused_by_queue: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    held: str = ""
    unfinished: bool = False
    lost_events: int = 0


def sweep(
    *,
    asked: str,
    shard_count: int,
    pairs: PairStore,
    bots: BotStore,
    outbox: Outbox,
    bus: Bus,
    alarm: WebhookAlarm,
    rules: Rules,
    now: int,
    remaining_ms: Callable[[], int],
) -> SweepReport:
    """One sweep over the shards asked for (`0-7`; empty: all). Stops cleanly before its time limit: what still
    rings, rings for the next one.

    The lease comes before the queue: a sweep that dies in between loses nothing, because the timer rings again.
    """
    report = SweepReport()
    shards = shard_names(asked, shard_count)
    deployment = bots.beat(now, stale_after=3 * rules.sweep, catch_up=rules.catch_up)
    if alarm.rings():
        # Held until the next sweeps have seen the alarm end; the sender reads the same row.
        deployment = Deployment(deployment.heartbeat_at, now + 3 * rules.sweep, deployment.epoch)
        bots.catch_up(now + 3 * rules.sweep)
    if deployment.catch_up_until is not None and deployment.catch_up_until > now:
        report.held = "outage"
        return report
    round_ = _Round(pairs, bots, rules, deployment, now, report)
    # Begin elsewhere each time, so that no shard starves when sweeps run out of time.
    first = (now // rules.sweep) % len(shards)
    for shard in (*shards[first:], *shards[:first]):
        for page in pairs.ringing(shard, now):
            if remaining_ms() < STOP_BEFORE_TIMEOUT_MS:
                report.unfinished = True
                break
            report.rang += len(page)
            leased = round_.judge(page)
            for start in range(0, len(leased), BATCH):
                chunk = leased[start : start + BATCH]
                taken = outbox.put(chunk)
                report.enqueued += taken
                report.refused_by_queue += len(chunk) - taken
        if report.unfinished:
            break
    report.lost_events = bus.tell(round_.happened)
    return report


@dataclass(slots=True)
class _Round:
    """The judging of one sweep; each bot is read once."""

    pairs: PairStore
    bots: BotStore
    rules: Rules
    deployment: Deployment
    now: int
    report: SweepReport
    happened: list[Happened] = field(default_factory=list)
    _known: dict[str, Bot | None] = field(default_factory=dict)

    def judge(self, page: Sequence[Due]) -> list[Due]:
        """Answer the timers of a page; returns the pairs that were leased."""
        self._learn({due.bot for due in page})
        found, persons = self.pairs.read(page, consistent=False)
        leased: list[Due] = []
        for due in page:
            pair = found.get(due)
            if pair is None or pair.due_at is None or pair.due_at > self.now:
                continue  # the index lags behind the table (it is eventually consistent)
            said = verdict(pair, persons[due.user], self._known[due.bot], self.deployment, self.now, rules=self.rules)
            match said:
                case Send():
                    if self.pairs.lease(pair, self.now + self.rules.lease):
                        leased.append(due)
                        self.report.verdicts["send"] += 1
                case Wait(until, reason):
                    if self.pairs.wait(pair, until, reason, self.now):
                        self.report.verdicts[reason.value] += 1
                case Drop(reason):
                    if self.pairs.drop(pair, reason, self.now):
                        self.report.verdicts[reason.value] += 1
                        self.happened.append(
                            Happened("FollowUpDropped", pair.bot, pair.user, self.now, reason=reason.value)
                        )
        return leased

    def _learn(self, ids: set[str]) -> None:
        unknown = ids - self._known.keys()
        if unknown:
            found, _ = self.bots.read(unknown, consistent=False)
            self._known.update({id_: found.get(id_) for id_ in unknown})
