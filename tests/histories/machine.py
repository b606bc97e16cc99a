"""Histories: what people, the operator and bad luck may do next, for Hypothesis to choose from."""

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

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
    LIVES,
    NAMES,
    NO_TOKEN,
    OVERLOADED,
    PAIRS,
    PEOPLE,
    THROTTLED,
    THROTTLED_BARE,
    VAGUE,
    Town,
)

SOMEBODY = st.sampled_from(NAMES)
EITHER = st.sampled_from((0, 1))
OFTEN = st.sampled_from((True, True, True, False))
RARELY = st.sampled_from((False, False, False, True))
SENDER_READS = "sender: before BatchGetItem pairs"
SENDER_JUDGES = "sender: before Query interactions"
SENDER_STANDS = "sender: before TransactWriteItems"
SWEEPER_STANDS = "sweeper: before UpdateItem pairs"
# Where an invocation dies: between the steps that must not come apart, or anywhere else (`LUCKS`).
STEPS = (
    SENDER_READS,
    SENDER_STANDS,
    "sender: after TransactWriteItems",
    "sender: with Graph's answer unread",
    "sender: after the answer of Graph",
    "sender: before UpdateItem pairs",
    "sweeper: after UpdateItem pairs",
    "sweeper: before SendMessageBatch",
)
# Where no receipt tells what became of it.
UNHEARD = (
    "sender: after TransactWriteItems",
    "sender: with Graph's answer unread",
    "sender: after the answer of Graph",
)
UNKNOWN = (TIMEOUT, RESET, RESET_UNSENT, BARE_502, BARE_502_SENT, VAGUE)
REFUSED = (THROTTLED, THROTTLED_BARE, OVERLOADED, UNREACHABLE, BLOCKED, NO_TOKEN)

type Luck = tuple[str, Any, int]
STANDS = (SENDER_JUDGES, SENDER_STANDS, SWEEPER_STANDS)
# What goes wrong, how, and the how-manieth time (or minutes).
LUCKS: tuple[Luck, ...] = (
    *(("the platform answers", answer, 1) for answer in UNKNOWN + REFUSED),
    *(("dies", step, 1) for step in STEPS),
    *(("dies unheard", step, 1) for step in STEPS if step in UNHEARD),
    *(("dies", step, number) for step, number in (("sender: ", 5), ("sender: ", 14), ("sweeper: ", 6))),
    *(("stops", (step, act), 1) for step in STANDS for act in ("no", "writes", "deletion", "agent", "pause", "number")),
    *(("the queue has it", does, 17) for does in ("late", "lost", "twice", "last")),
    *(("works twice", step, 1) for step in (SENDER_READS, SENDER_STANDS, SWEEPER_STANDS)),
    *(("AWS's answer is lost to", function, number) for function in ("sender", "sweeper") for number in (3, 6, 11)),
)
LUCK = st.sampled_from(LUCKS)
# Ben lives behind an ocean: his last allowed hour ends in the middle of the night.
TIMES = {
    "the evening": NOON + 12 * HOUR,
    "the morning": NOON + 21 * HOUR + 50 * MINUTE,
    "the last hour": NOON + 23 * HOUR + 15 * MINUTE,
}
STARTS = (*("the morning", "the evening", "all have talked", "a word is missing") * 2, "the last hour", "nothing yet")
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
ECHOES = {"agent": "echo_human", "bot wrote": "echo_bot", "handed": "handover", "back": "handover_back"}
NOTHING = ("reaction", "read", "delivered", "edit", "deletion", "referral", "get_started", "unsupported")


def chapters(town: Town) -> dict[str, Callable[[], None]]:
    """Where histories begin: nothing has happened, a word is missing, everybody has talked, it is time to write."""
    town.reset(NOON)
    town.run_until(NOON + 10 * MINUTE)
    found = {"nothing yet": town.chapter()}
    for person, bot in PAIRS:
        town.does(person, bot, "yes", "quick_reply", text="Yes", payload="RELANCE_YES")
        town.talk(person, bot, 4)
    found["a word is missing"] = town.chapter()
    for person, bot in PAIRS:
        town.does(person, bot, "wrote", "text", text="More about the film")
    found["all have talked"] = town.chapter()
    for name, at in TIMES.items():
        town.run_until(at)
        found[name] = town.chapter()
    return found


class Histories(RuleBasedStateMachine):
    """One history in the town that `town` and `starts` hold; they belong to the test that runs it."""

    town: ClassVar[Town]
    starts: ClassVar[dict[str, Callable[[], None]]]
    counts: ClassVar[Counter[str]]
    first_luck: ClassVar[Luck]

    def _do(self, work: Callable[[], None]) -> None:
        self.town.do(work)

    def _bot(self, person: str, which: int) -> str:
        bots = PEOPLE[person].bots
        return bots[which % len(bots)]

    @initialize(start=st.sampled_from(STARTS))
    def begin(self, start: str) -> None:
        """Go to a chapter, where the first bad luck waits."""
        self._do(self.starts[start])
        self._order(self.first_luck)

    # ── people ──────────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        person=SOMEBODY,
        which=EITHER,
        what=st.sampled_from((*("writes",) * 3, *("talks",) * 2, "no", "yes", "yes", "not now", "forget", "nothing")),
        how=st.integers(0, 7),
        lag=st.sampled_from((0, 0, 0, 0, 20, 10 * MINUTE, 3 * HOUR, 2 * DAY)),
    )
    def somebody(self, person: str, which: int, what: str, how: int, lag: int) -> None:
        bot = self._bot(person, which)
        self._do(lambda: self._somebody(person, bot, what, how, lag))

    def _somebody(self, person: str, bot: str, what: str, how: int, lag: int) -> None:
        town = self.town
        if what == "writes":
            kind = ("text", "image", "sticker", "quick_reply")[how % 4]
            text = "" if kind == "sticker" else "More about the film"
            town.does(person, bot, "wrote", kind, lag=lag, copies=1 + (how > 5), text=text)
        elif what == "talks":
            town.talk(person, bot)
        elif what == "no":
            kind, more = NO[CHANNEL[bot]][how % 4]
            town.does(person, bot, "no", kind, lag=lag, **more)
        elif what == "yes":
            town.does(person, bot, "yes", "quick_reply", lag=lag, text="Yes", payload="RELANCE_YES")
        elif what == "not now":
            town.does(person, bot, "held", "quick_reply", lag=lag, text="Later", payload="RELANCE_NOT_NOW")
        elif what == "forget":
            town.does(person, bot, "forgot", "quick_reply", lag=lag, text="Forget me", payload="RELANCE_FORGET")
        else:
            self._nothing(person, bot, NOTHING[how], 1 + lag % 7)

    def _nothing(self, person: str, bot: str, kind: str, mine: int) -> None:
        if kind == "referral" and CHANNEL[bot] == "whatsapp":
            return
        target = f"{'wamid.' if CHANNEL[bot] == 'whatsapp' else 'm_'}{person}{mine}"
        self.town.does(person, bot, "nothing", kind, target=target)

    @rule(person=st.sampled_from(("ada", "ben", "ben")), how=st.sampled_from(("scoped", "number", "shy")), talks=OFTEN)
    def changes_ids(self, person: str, how: str, talks: bool) -> None:
        self._do(lambda: self.town.rename(person, how))
        for bot in PEOPLE[person].bots if talks else ():
            self._do(lambda bot=bot: self.town.talk(person, bot))

    @rule(which=st.integers(0, 24), times=st.integers(1, 3))
    def comes_again(self, which: int, times: int) -> None:
        for _ in range(times):
            self._do(lambda: self.town.redeliver(which))

    # ── the business's side ─────────────────────────────────────────────────────────────────────────────────

    @rule(
        pair=st.sampled_from(PAIRS),
        what=st.sampled_from(
            ("pause", "resume", "off", "on", "hours", "publish", "agent", "bot wrote", "handed", "back")
        ),
    )
    def the_business(self, pair: tuple[str, str], what: str) -> None:
        person, bot = pair
        if what in ECHOES:
            self._do(lambda: self._speaks(person, bot, what))
        else:
            self._do(lambda: self.town.operate(bot, what))

    def _speaks(self, person: str, bot: str, who: str) -> None:
        kind = ECHOES[who]
        if CHANNEL[bot] == "messenger" or kind == "echo_human":
            self.town.does(person, bot, who, kind, text="Here I am" if kind.startswith("echo") else "")

    # ── bad luck ────────────────────────────────────────────────────────────────────────────────────────────

    def _at_the_bell(self, waits: bool) -> None:
        """Bad luck was ordered; unless more of it is to come first, go to where it strikes."""
        if not waits:
            self._do(self._to_the_bell)

    @rule(luck=LUCK, waits=RARELY)
    def bad_luck(self, luck: Luck, waits: bool) -> None:
        self._order(luck)
        self._at_the_bell(waits)

    @rule(luck=LUCK)
    def more_bad_luck(self, luck: Luck) -> None:
        self._order(luck)
        self._at_the_bell(False)

    def _order(self, luck: Luck) -> None:
        what, how, number = luck
        if what == "the platform answers":
            self.town.answers.append(how)
        elif what == "the queue has it":
            self.town.queue_does.append((how, number))
        elif what == "AWS's answer is lost to":
            self.town.loses_answer(how, number)
        elif what == "works twice":
            self.town.twin(how)
        elif what == "stops":
            step, act = how
            self.town.interrupt(step, lambda: self._meanwhile(act))
        else:
            if what == "dies unheard":
                for channel in ("messenger", "whatsapp"):
                    self.town.graph.script((), channel=channel)
            self.town.dies(how, number)

    def _meanwhile(self, what: str) -> None:
        """Whom it is about does it, or somebody does it to them."""
        person, bot = self.town.at_hand()
        if what == "no":
            kind, more = NO[CHANNEL[bot]][2]
            self.town.does(person, bot, "no", kind, **more)
        elif what == "writes":
            self.town.does(person, bot, "wrote", "text", text="More about the film")
        elif what == "deletion":
            self._nothing(person, bot, "deletion", 3)
        elif what == "agent":
            self._speaks(person, bot, "agent")
        elif what == "pause":
            self.town.operate(bot, "pause")
        else:
            self.town.rename(person, "number")

    @rule(
        what=st.sampled_from(("webhook", "eraser", "receipts", "redrive", "clock", "clock", "outage")),
        how=st.integers(0, 8),
    )
    def other_bad_luck(self, what: str, how: int) -> None:
        self._do(lambda: self._other_bad_luck(what, how))

    def _other_bad_luck(self, what: str, how: int) -> None:
        town = self.town
        if what in ("webhook", "eraser"):
            if how % 3:
                town.dies(f"{what}: ", how)
            else:
                town.loses_answer(what, 1 + how)
        elif what == "receipts":
            steps = ((), (("delivered", 3 * HOUR),), (("failed", 60, 131026),))[how % 3]
            town.graph.script(steps, channel=("whatsapp", "messenger")[how % 2])
        elif what == "redrive":
            town.redrive()
        elif what == "clock":
            town.goes_wrong(("webhook", "sweeper", "sender")[how % 3], (-180, 20, 180)[how // 3])
        else:
            town.outage((10, 30, 120)[how % 3] * MINUTE)

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(minutes=st.sampled_from((1, 4, 11, 60, 8 * 60, 23 * 60, 50 * 60, 13 * 24 * 60)))
    def time_passes(self, minutes: int) -> None:
        self._do(lambda: self.town.run_until(self.town.now + minutes * MINUTE))

    @rule()
    def next_bell(self) -> None:
        self._at_the_bell(False)

    def _to_the_bell(self) -> None:
        """Until timers have rung so that somebody may be written to, or all is quiet; then ten minutes more."""
        town = self.town
        for _ in range(4):
            before, rings = len(town.lines), town._next_ring()
            if rings is None or rings > town.now + 2 * DAY:
                return
            town.run_until(max(rings, town.now) + 5 * MINUTE)
            if any(line.kind == "queued" for line in town.lines[before:]):
                break
        town.run_until(town.now + 8 * MINUTE)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────

    def teardown(self) -> None:
        """In peace for two days more; then the judge has the journal."""
        self._do(self._end)
        self.counts["histories"] += 1
        found = judge.broken(self.town.lines, LIVES, self.counts)
        odd = {type(failure.error).__name__ for failure in self.town.failures} - _EXPECTED
        assert not found, "\n".join((*found, f"the first bad luck: {self.first_luck}"))
        assert not odd, odd

    def _end(self) -> None:
        self.town.peace()
        said = (line.written for line in self.town.lines if line.told.get("counts"))
        # The last silence ends with its window, and half a day more for what is a template's.
        self.town.run_until(max(self.town.now + 6 * HOUR, max(said, default=0) + 25 * HOUR))
        self.town.tell("end")


_EXPECTED = {Crash.__name__, TemporaryFailure.__name__}
