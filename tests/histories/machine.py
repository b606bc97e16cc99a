"""Histories: what people, the operator and bad luck may do next, for Hypothesis to choose from."""

from collections import Counter
from collections.abc import Callable
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from relance.errors import TemporaryFailure
from tests.crash.world import (
    BARE_502,
    BARE_502_SENT,
    DAY,
    HOUR,
    MINUTE,
    NOON,
    PAGE,
    RESET,
    RESET_UNSENT,
    TIMEOUT,
    UNREACHABLE,
    Crash,
)
from tests.histories import judge
from tests.histories.town import (
    BLOCKED,
    CHANNEL,
    LARK,
    LIVES,
    NAMES,
    NIGHTINGALE,
    NO_TOKEN,
    OVERLOADED,
    PEOPLE,
    THROTTLED,
    THROTTLED_BARE,
    VAGUE,
    Town,
)

SOMEBODY = st.sampled_from(NAMES)
EITHER = st.sampled_from((0, 1))
BOT = st.sampled_from((NIGHTINGALE, LARK, PAGE))
SENDER_STANDS = "sender: before TransactWriteItems"
SWEEPER_STANDS = "sweeper: before UpdateItem pairs"
UNKNOWN = (TIMEOUT, RESET, RESET_UNSENT, BARE_502, BARE_502_SENT, VAGUE)
REFUSED = (THROTTLED, THROTTLED_BARE, OVERLOADED, UNREACHABLE, BLOCKED, NO_TOKEN)

# How somebody says what, by channel: (kind, more).
NO = {
    "whatsapp": (
        ("text", {"text": "STOP"}),
        ("text", {"text": "baja"}),
        ("quick_reply", {"text": "Stop", "payload": "RELANCE_STOP"}),
        ("opt_out", {}),
    ),
    "messenger": (
        ("text", {"text": "Stop!"}),
        ("text", {"text": "arrêt"}),
        ("quick_reply", {"text": "Stop", "payload": "RELANCE_STOP"}),
        ("postback", {"text": "Stop", "payload": "RELANCE_STOP"}),
    ),
}
NOTHING = ("reaction", "read", "delivered", "edit", "deletion", "referral", "get_started", "unsupported")


def chapters(town: Town) -> dict[str, Callable[[], None]]:
    """Where histories begin: nothing has happened; everybody has talked; it is nearly time to write."""
    town.reset(NOON)
    town.run_until(NOON + 10 * MINUTE)
    found = {"nothing yet": town.chapter()}
    for person in NAMES:
        for bot in PEOPLE[person].bots:
            town.does(person, bot, "yes", "quick_reply", text="Yes", payload="RELANCE_YES")
            town.talk(person, bot)
    found["all have talked"] = town.chapter()
    # Ben lives behind an ocean: his last allowed hour ends in the middle of the night.
    town.run_until(NOON + 12 * HOUR)
    found["the evening"] = town.chapter()
    town.run_until(NOON + 21 * HOUR + 50 * MINUTE)
    found["the morning"] = town.chapter()
    town.run_until(NOON + 23 * HOUR + 15 * MINUTE)
    found["the last hour"] = town.chapter()
    return found


class Histories(RuleBasedStateMachine):
    """One history in the town that `town` and `starts` hold; they belong to the test that runs it."""

    town: ClassVar[Town]
    starts: ClassVar[dict[str, Callable[[], None]]]
    counts: ClassVar[Counter[str]]

    def _do(self, work: Callable[[], None]) -> None:
        self.town.do(work)

    def _bot(self, person: str, which: int) -> str:
        bots = PEOPLE[person].bots
        return bots[which % len(bots)]

    @initialize(start=st.sampled_from(("the morning", "the evening", "all have talked", "the last hour", "nothing yet")))
    def begin(self, start: str) -> None:
        """Go to a chapter."""
        self._do(self.starts[start])

    # ── people ──────────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        person=SOMEBODY,
        which=EITHER,
        lag=st.sampled_from((0, 0, 0, 20, 10 * MINUTE, 3 * HOUR, 2 * DAY)),
        copies=st.sampled_from((1, 1, 2)),
        kind=st.sampled_from(("text", "text", "image", "sticker", "quick_reply")),
    )
    def writes(self, person: str, which: int, lag: int, copies: int, kind: str) -> None:
        text = "More about the film" if kind != "sticker" else ""
        bot = self._bot(person, which)
        self._do(lambda: self.town.does(person, bot, "wrote", kind, lag=lag, copies=copies, text=text))

    @rule(person=SOMEBODY, which=EITHER)
    def talks(self, person: str, which: int) -> None:
        self._do(lambda: self.town.talk(person, self._bot(person, which)))

    @rule(person=SOMEBODY, which=EITHER, kind=st.sampled_from(NOTHING), mine=st.integers(1, 9))
    def does_what_does_not_count(self, person: str, which: int, kind: str, mine: int) -> None:
        self._do(lambda: self._nothing(person, self._bot(person, which), kind, mine))

    def _nothing(self, person: str, bot: str, kind: str, mine: int) -> None:
        if kind == "referral" and CHANNEL[bot] == "whatsapp":
            return
        target = f"{'wamid.' if CHANNEL[bot] == 'whatsapp' else 'm_'}{person}{mine}"
        self.town.does(person, bot, "nothing", kind, target=target)

    @rule(person=SOMEBODY, which=EITHER, how=st.integers(0, 3), lag=st.sampled_from((0, 0, 0, 20, HOUR)))
    def says_no(self, person: str, which: int, how: int, lag: int) -> None:
        self._do(lambda: self._no(person, which, how, lag))

    def _no(self, person: str, which: int, how: int, lag: int = 0) -> None:
        bot = self._bot(person, which)
        kind, more = NO[CHANNEL[bot]][how]
        self.town.does(person, bot, "no", kind, lag=lag, **more)

    @rule(person=SOMEBODY, which=EITHER)
    def says_yes(self, person: str, which: int) -> None:
        bot = self._bot(person, which)
        self._do(lambda: self.town.does(person, bot, "yes", "quick_reply", text="Yes", payload="RELANCE_YES"))

    @rule(person=SOMEBODY, which=EITHER)
    def says_not_now(self, person: str, which: int) -> None:
        bot = self._bot(person, which)
        self._do(lambda: self.town.does(person, bot, "held", "quick_reply", text="Later", payload="RELANCE_NOT_NOW"))

    @rule(person=SOMEBODY, which=EITHER)
    def asks_to_be_forgotten(self, person: str, which: int) -> None:
        bot = self._bot(person, which)
        self._do(lambda: self.town.does(person, bot, "forgot", "quick_reply", text="Forget me", payload="RELANCE_FORGET"))

    @rule(person=SOMEBODY, how=st.sampled_from(("scoped", "scoped", "number", "shy")))
    def changes_ids(self, person: str, how: str) -> None:
        self._do(lambda: self.town.rename(person, how))

    @rule(which=st.integers(0, 60))
    def comes_again(self, which: int) -> None:
        self._do(lambda: self.town.redeliver(which))

    # ── the business's side ─────────────────────────────────────────────────────────────────────────────────

    @rule(person=SOMEBODY, which=EITHER, who=st.sampled_from(("agent", "bot wrote", "handed", "back")))
    def somebody_else_speaks(self, person: str, which: int, who: str) -> None:
        self._do(lambda: self._speaks(person, self._bot(person, which), who))

    def _speaks(self, person: str, bot: str, who: str) -> None:
        kind = {"agent": "echo_human", "bot wrote": "echo_bot", "handed": "handover", "back": "handover_back"}[who]
        if CHANNEL[bot] == "messenger" or kind == "echo_human":
            self.town.does(person, bot, who, kind, text="Here I am" if kind.startswith("echo") else "")

    @rule(bot=BOT, what=st.sampled_from(("pause", "resume", "off", "on", "hours", "publish")))
    def operator(self, bot: str, what: str) -> None:
        self._do(lambda: self.town.operate(bot, what))

    # ── bad luck ────────────────────────────────────────────────────────────────────────────────────────────

    @rule(answer=st.sampled_from(UNKNOWN + REFUSED))
    def platform_will(self, answer: str) -> None:
        self.town.answers.append(answer)

    @rule(
        channel=st.sampled_from(("whatsapp", "messenger")),
        what=st.sampled_from(("nothing", "late", "failed")),
    )
    def receipts_will(self, channel: str, what: str) -> None:
        steps = {"nothing": (), "late": (("delivered", 3 * HOUR),), "failed": (("failed", 60, 131026),)}[what]
        self.town.graph.script(steps, channel=channel)

    @rule(function=st.sampled_from(("sender", "sender", "sweeper", "webhook", "eraser")), left=st.integers(1, 22))
    def dies(self, function: str, left: int) -> None:
        self.town.dies(function, left)

    @rule(left=st.integers(1, 12), function=st.sampled_from(("sender", "sweeper", "webhook")))
    def answer_of_aws_is_lost(self, function: str, left: int) -> None:
        self.town.loses_answer(function, left)

    @rule(step=st.sampled_from((SENDER_STANDS, "sender: before BatchGetItem pairs", SWEEPER_STANDS)))
    def works_twice(self, step: str) -> None:
        self.town.twin(step)

    @rule(
        step=st.sampled_from((SENDER_STANDS, SENDER_STANDS, SWEEPER_STANDS)),
        person=SOMEBODY,
        which=EITHER,
        what=st.sampled_from(("no", "writes", "deletion", "agent", "pause", "number")),
    )
    def meanwhile(self, step: str, person: str, which: int, what: str) -> None:
        bot = self._bot(person, which)
        acts: dict[str, Callable[[], None]] = {
            "no": lambda: self._no(person, which, 2),
            "writes": lambda: self.town.does(person, bot, "wrote", "text", text="More about the film"),
            "deletion": lambda: self._nothing(person, bot, "deletion", 3),
            "agent": lambda: self._speaks(person, bot, "agent"),
            "pause": lambda: self.town.operate(bot, "pause"),
            "number": lambda: self.town.rename(person, "number"),
        }
        self.town.interrupt(step, acts[what])

    @rule(does=st.sampled_from(("twice", "late", "lost", "last")), minutes=st.integers(1, 40))
    def queue_will(self, does: str, minutes: int) -> None:
        self.town.queue_does.append((does, minutes))

    @rule()
    def dead_letters_are_redriven(self) -> None:
        self._do(self.town.redrive)

    @rule(
        function=st.sampled_from(("webhook", "sweeper", "sender")), seconds=st.sampled_from((-180, -20, -2, 2, 20, 180))
    )
    def clock_is_wrong(self, function: str, seconds: int) -> None:
        self._do(lambda: self.town.goes_wrong(function, seconds))

    @rule(minutes=st.sampled_from((10, 30, 120)))
    def outage(self, minutes: int) -> None:
        self._do(lambda: self.town.outage(minutes * MINUTE))

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(minutes=st.sampled_from((1, 4, 11, 30, 60)))
    def minutes_pass(self, minutes: int) -> None:
        self._do(lambda: self.town.run_until(self.town.now + minutes * MINUTE))

    @rule(hours=st.sampled_from((3, 8, 23, 50, 24 * 13)))
    def hours_pass(self, hours: int) -> None:
        self._do(lambda: self.town.run_until(self.town.now + hours * HOUR))

    @rule()
    def next_bell(self) -> None:
        """Until a timer has rung and its sweep is over."""
        self._do(self._to_the_bell)

    def _to_the_bell(self) -> None:
        rings = self.town._next_ring()
        if rings is not None:
            self.town.run_until(max(rings, self.town.now) + 6 * MINUTE)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────

    def teardown(self) -> None:
        """In peace for two days more; then the judge has the journal."""
        self._do(self._end)
        self.counts["histories"] += 1
        found = judge.broken(self.town.lines, LIVES, self.counts)
        odd = {type(failure.error).__name__ for failure in self.town.failures} - _EXPECTED
        assert not found, "\n".join(found)
        assert not odd, odd

    def _end(self) -> None:
        self.town.peace()
        self.town.run_until(self.town.now + 2 * DAY)


_EXPECTED = {Crash.__name__, TemporaryFailure.__name__}
