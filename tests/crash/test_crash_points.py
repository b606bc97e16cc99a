"""Every step from webhook to ledger is a place to die: whatever dies there, the promises of the follow-up hold.

One story is told again and again: five messages, the timer, the plan, the lease, the queue, the reservation, the
delivery, the record, the receipts. In each telling something else goes wrong, and two judges look at the end: one
knows only what people did and what the platform was asked, the other only what was left in the tables and the queue.

RELANCE_LONG=1 tries all combinations of two crashes instead of a sample, and thousands of random histories.
RELANCE_SEED=n repeats a run; each test prints its seed and its figures (`pytest -s` shows them).
"""

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import pytest
from botocore.exceptions import EndpointConnectionError

from tests import mutants
from tests.crash.world import (
    BARE_502,
    BARE_502_SENT,
    FILM_GUIDE,
    HOUR,
    MINUTE,
    NEEDED,
    NOON,
    OK,
    PAGE,
    READER,
    REFUSED,
    RESET,
    RESET_UNSENT,
    STOP,
    TIMEOUT,
    UNREACHABLE,
    WORDS,
    Crash,
    Step,
    World,
    broken,
    loose_ends,
)

LONG = os.environ.get("RELANCE_LONG", "") not in ("", "0")
SEED = int(os.environ.get("RELANCE_SEED", "20260115"))
PAIRS_OF_CRASHES = 36
HISTORIES = 4_000 if LONG else 50
HISTORIES_A_WORLD = 25 if LONG else 10

# A platform that takes the message and never says what became of it: no echo, no receipt.
SILENCE = "silence"

END = NOON + 26 * HOUR
# The user's last word, and when relance means to write: an hour in which people may be written to.
LAST_WORD = NOON + (NEEDED - 1) * MINUTE
MOMENT = LAST_WORD + 22 * HOUR


@dataclass(frozen=True, slots=True)
class Story:
    """The story without a fault: its steps, and chapters to begin at, each with the number of steps before it."""

    steps: tuple[Step, ...]
    chapters: tuple[tuple[int, Callable[[], None]], ...]

    def before(self, step: Step) -> None:
        """Go to the last chapter that begins before this step."""
        index = self.steps.index(step)
        _, again = max((each for each in self.chapters if each[0] <= index), key=lambda each: each[0])
        again()

    def before_the_moment(self) -> None:
        """Go to where the follow-up is planned and has not yet been queued."""
        self.chapters[-1][1]()

    @property
    def of_the_moment(self) -> tuple[Step, ...]:
        """The steps of the last chapter: lease, queue, reservation, delivery, record, receipts."""
        return self.steps[self.chapters[-1][0] :]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One stack for the module: each telling begins at a chapter of the story."""
    with World() as running:
        yield running


@pytest.fixture(scope="module")
def story(world: World) -> Story:
    """The story as it goes when nothing goes wrong."""
    return tell(world)


def tell(world: World) -> Story:
    """Live the story once and keep its chapters."""
    world.reset(NOON)
    world.talk()
    chapters = [(0, world.chapter())]
    for at in (*(NOON + number * MINUTE - 1 for number in range(1, NEEDED)), NOON + HOUR, MOMENT - HOUR):
        world.run_until(at)
        chapters.append((len(world.trace), world.chapter()))
    world.run_until(END)
    return Story(tuple(world.trace), tuple(chapters))


def dies_at(*steps: Step) -> Callable[[Step], None]:
    """Crash at these steps, whatever runs there."""

    def crash(step: Step) -> None:
        if step in steps:
            raise Crash(str(step))

    return crash


def at_step(chosen: Step, act: Callable[[], None]) -> Callable[[Step], None]:
    """Do something else at this step, as another Lambda or a person would, and go on."""

    def crash(step: Step) -> None:
        if step == chosen:
            act()

    return crash


def platform_answers(*answers: str) -> Callable[[], str]:
    """What the platform does with the first messages; afterwards all is well."""
    left = list(answers)
    return lambda: left.pop(0) if left else OK


def judged(world: World) -> list[str]:
    """Live on to the end of the story; what both judges find there."""
    world.run_until(END)
    return [*broken(world), *loose_ends(world)]


def told(what: str, times: int, since: float) -> None:
    """Figures, for whoever runs with `-s` and for a failed test's report."""
    print(f"\n{what}: {times} in {time.perf_counter() - since:.1f} s (seed {SEED})")  # noqa: T201


# ── one crash ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_crash_the_story_passes_every_step_and_ends_with_one_message(world, story):
    """Else the tests below would prove nothing: the way from webhook to ledger is in the list, step by step."""
    assert judged(world) == []
    assert len(world.graph.accepted) == 1
    names = {step.name for step in story.steps}
    assert {
        "webhook: after UpdateItem pairs",
        "webhook: before PutItem interactions",
        "webhook: before its answer",
        "sweeper: before UpdateItem pairs",
        "sweeper: before SendMessageBatch",
        "sweeper: after SendMessageBatch",
        "sender: before TransactWriteItems",
        "sender: after TransactWriteItems",
        "sender: before the request to Graph",
        "sender: with Graph's answer unread",
        "sender: after the answer of Graph",
        "sender: before UpdateItem pairs",
        "sender: after PutItem interactions",
        "sender: after PutEvents",
    } <= names


def test_a_crash_at_any_one_step_breaks_no_promise(world, story):
    """Never two, never lost, never stuck: all points, one at a time."""
    since, found = time.perf_counter(), {}
    for step in story.steps:
        story.before(step)
        world.crash = dies_at(step)
        if faults := judged(world):
            found[str(step)] = faults
        assert world.crashes == [step]
    told("crash points", len(story.steps), since)
    assert found == {}


TROUBLES = (REFUSED, RESET, SILENCE, *((UNREACHABLE, RESET_UNSENT, BARE_502, BARE_502_SENT, TIMEOUT) if LONG else ()))


@pytest.mark.parametrize("answer", TROUBLES)
def test_a_crash_at_any_step_while_the_platform_has_trouble_breaks_no_promise(world, story, answer):
    """The first message is refused cleanly, or nobody knows what became of it; and then something dies as well."""
    since, found, tried = time.perf_counter(), {}, 0
    steps = trouble(world, story, answer)[len(story.steps) - len(story.of_the_moment) :]
    if not LONG:
        senders = [step for step in steps if step.name.startswith("sender")]
        steps = random.Random(SEED).sample(senders, k=min(16, len(senders)))
    for step in steps:
        trouble(world, story, answer, dies_at(step))
        tried += 1
        if faults := [*broken(world), *loose_ends(world)]:
            found[str(step)] = faults
    told(f"crash points after {answer!r}", tried, since)
    assert found == {}


def trouble(world: World, story: Story, answer: str, crash: Callable[[Step], None] | None = None) -> list[Step]:
    """Live the last chapter on a platform that answers the first message so; the steps that were passed."""
    story.before_the_moment()
    if answer == SILENCE:
        world.graph.script((), channel="messenger")
    else:
        world.platform = platform_answers(answer)
    world.crash = crash or world.crash
    world.run_until(END)
    return list(world.trace)


LOST, LOST_FOR_GOOD, NEVER_ARRIVES = "lost once", "lost for good", "never arrives"


@pytest.mark.parametrize("trouble", [LOST, *([LOST_FOR_GOOD, NEVER_ARRIVES] if LONG else [])])
def test_a_request_to_aws_that_nobody_hears_of_breaks_no_promise(world, story, trouble):
    """It took effect and its answer was lost, once (botocore repeats it) or each time; or it never arrived."""
    since, found, tried = time.perf_counter(), {}, 0
    for step in story.steps:
        if ": before " not in step.name or step.name.endswith(("its answer", "to Graph")):
            continue
        story.before(step)
        if trouble == NEVER_ARRIVES:
            world.crash = at_step(step, unreachable)
        else:
            world.loses = lambda passed, step=step: passed == step and not (trouble == LOST and world.lost)
        tried += 1
        if faults := judged(world):
            found[str(step)] = faults
        assert trouble == NEVER_ARRIVES or step in world.lost
    told(f"requests to AWS, {trouble}", tried, since)
    assert found == {}


def unreachable() -> None:
    """What botocore says when its last try found nobody."""
    raise EndpointConnectionError(endpoint_url="https://aws.example")


# ── two crashes ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_crashes_break_no_promise(world, story):
    """After each crash the second one at each step that the world passes from then on: a sample, or all of them."""
    since, found, tried = time.perf_counter(), {}, 0
    luck = random.Random(SEED)
    for first, seconds in two_crashes(world, story, luck):
        for second in seconds:
            story.before(first)
            world.crash = dies_at(first, second)
            tried += 1
            if faults := judged(world):
                found[f"{first}, then {second}"] = faults
            assert world.crashes == [first, second]
    told("combinations of two crashes", tried, since)
    assert found == {}


def two_crashes(world: World, story: Story, luck: random.Random) -> Iterator[tuple[Step, Iterable[Step]]]:
    """First crashes, each with second ones. The sample draws most from the last chapter: there is most to lose."""
    firsts = list(story.steps)
    for first in firsts if LONG else luck.choices(firsts + 2 * list(story.of_the_moment), k=PAIRS_OF_CRASHES // 4):
        story.before(first)
        world.crash = dies_at(first)
        world.run_until(END)
        later = world.trace[world.trace.index(first) + 1 :]
        yield first, later if LONG else luck.sample(later, k=min(4, len(later)))


# ── others at work at the same moment ───────────────────────────────────────────────────────────────────────────


def test_a_stop_that_comes_in_at_any_step_wins_until_the_reservation(world, story):
    """Another Lambda takes the stop while sweeper or sender stand at this step; after the reservation they cross."""
    since, found = time.perf_counter(), {}
    reserved = story.steps.index(Step("sender: after TransactWriteItems", 1))
    for step in story.of_the_moment:
        story.before_the_moment()
        world.crash = at_step(step, lambda: says(world, STOP))
        faults = judged(world)
        if story.steps.index(step) < reserved and world.graph.accepted:
            faults.append("never after no: the stop came before the reservation")
        if faults:
            found[str(step)] = faults
        assert [fact.kind for fact in world.journal].count("no") == 1
    told("stops between two steps", len(story.of_the_moment), since)
    assert found == {}


def test_a_stop_beats_a_queued_follow_up_whose_sender_died(world, story):
    """The sender dies at a step; minutes later the person says stop; then queue and timer bring the follow-up again."""
    since, found = time.perf_counter(), {}
    steps = [step for step in story.of_the_moment if step.name.startswith("sender")]
    for step in steps:
        story.before_the_moment()
        world.say(STOP, at=MOMENT + 5 * MINUTE)
        world.crash = dies_at(step)
        if faults := judged(world):
            found[str(step)] = faults
    told("stops after a crash of the sender", len(steps), since)
    assert found == {}


def test_a_sender_that_died_is_found_out_even_if_the_person_writes_meanwhile(world, story):
    """The new message starts a timer of its own; the ledger must say all the same that nobody knows what became."""
    story.before_the_moment()
    world.say("Is it on again next week?", at=MOMENT + 5 * MINUTE)
    world.crash = dies_at(Step("sender: before the request to Graph", 1))
    world.run_until(END + 24 * HOUR)
    (outcome,) = [row["outcome"] for row in world.pairs() if row["bot"] == PAGE]
    assert (outcome, broken(world), world.graph.accepted) == ("unknown", [], [])


def test_a_stop_whose_webhook_dies_is_taken_in_the_end(world, story):
    """At each step of its webhook; Meta delivers it again, and nobody is written to afterwards."""
    story.before_the_moment()
    before = len(world.trace)
    world.say(STOP, at=MOMENT - 30 * MINUTE)
    world.run_until(END)
    steps = [step for step in world.trace[before:] if step.name.startswith("webhook")]
    found = {}
    for step in steps:
        story.before_the_moment()
        world.say(STOP, at=MOMENT - 30 * MINUTE)
        world.crash = dies_at(step)
        faults = judged(world)
        if faults or world.graph.accepted:
            found[str(step)] = [*faults, *world.graph.accepted]
    assert len(steps) >= 8
    assert found == {}


def test_a_message_that_comes_in_at_any_step_wins_until_the_reservation(world, story):
    """The silence is over: what was planned for it must not be said into the middle of a conversation."""
    since, found = time.perf_counter(), {}
    steps = [step for step in story.of_the_moment if LONG or not step.name.startswith("webhook")]
    for step in steps:
        story.before_the_moment()
        world.crash = at_step(step, lambda: says(world, "Which film is on tonight?"))
        world.run_until(END + 24 * HOUR)
        if faults := [*broken(world), *loose_ends(world)]:
            found[str(step)] = faults
    told("messages between two steps", len(steps), since)
    assert found == {}


def says(world: World, text: str) -> None:
    """Have the person write now, and relance take it now."""
    with world.meanwhile():
        world.say(text, at=world.now)
        world._deliver()


def test_a_twin_that_does_the_same_work_at_any_step_changes_nothing(world, story):
    """Queue and scheduler deliver at least once: the invocation runs a second time between two steps of the first."""
    since, found = time.perf_counter(), {}
    steps = [step for step in story.of_the_moment if not step.name.startswith("webhook")]
    for step in steps:
        story.before_the_moment()

        def twin() -> None:
            function, event = world.current
            with world.meanwhile():
                world.invoke(function, event)

        world.crash = at_step(step, twin)
        faults = judged(world)
        # Two sweepers that read before either writes may both see the timer ring; one of them gets the lease.
        if faults or len(world.graph.accepted) != 1:
            found[str(step)] = [*faults, len(world.graph.accepted)]
    told("twins between two steps", len(steps), since)
    assert found == {}


# ── random histories ────────────────────────────────────────────────────────────────────────────────────────────


NIGHT_OWLS = replace(FILM_GUIDE, preferred_silence=10 * HOUR)
ANSWERS = [OK] * 12 + [REFUSED] * 2 + [UNREACHABLE, RESET, RESET_UNSENT, TIMEOUT, BARE_502, BARE_502_SENT]


def test_random_histories_break_no_promise(world):
    """People write by night and are due by noon; webhooks come twice and in disorder, things die, Graph has moods."""
    since, found, crashes, sent = time.perf_counter(), {}, 0, 0
    for number in range(0, HISTORIES, HISTORIES_A_WORLD):
        seed = SEED + number
        faults = random_world(world, seed)
        crashes += len(world.crashes)
        sent += len(world.graph.accepted)
        if faults:
            found[f"seed {seed}"] = faults
    told(f"random histories with {crashes} crashes and {sent} messages", HISTORIES, since)
    assert found == {}
    assert crashes and sent


def random_world(world: World, seed: int) -> list[str]:
    """Many people in one world, and what the judges find in it. The seed decides everything."""
    luck = random.Random(seed)
    night = NOON + 13 * HOUR
    world.reset(night)
    world.publish(NIGHT_OWLS, enabled_at=night - 24 * HOUR)
    for number in range(HISTORIES_A_WORLD):
        live_through(world, f"3{number:03}", night + luck.randrange(HOUR), luck)
    world.platform = lambda: luck.choice(ANSWERS)

    rate = luck.choice((0.002, 0.005, 0.015))

    def crash(step: Step) -> None:
        if luck.random() < rate:
            raise Crash(str(step))

    world.crash = crash
    world.loses = lambda step: luck.random() < 0.002
    world.run_until(night + 26 * HOUR)
    # What died last may come again in peace, else every end would be an open one.
    world.crash = lambda step: None
    world.run_until(night + 34 * HOUR)
    return [*broken(world, copies=False), *loose_ends(world, dead_letters=False)]


def live_through(world: World, user: str, start: int, luck: random.Random) -> None:
    """One history: five messages, or only four, in any order and number of copies; some write again, some say stop."""
    written = [start + number * luck.randrange(5, 90) for number in range(NEEDED - (luck.random() < 0.1))]
    for at, text in zip(sorted(written), WORDS, strict=False):
        copies = 1 + (luck.random() < 0.3) + (luck.random() < 0.1)
        world.say(text, user=user, at=at, arrives=[at + luck.randrange(1, 600) for _ in range(copies)])
    mood = luck.random()
    later = start + luck.randrange(9 * HOUR + 30 * MINUTE, 11 * HOUR)
    if mood < 0.25:
        world.say(STOP, user=user, at=later, arrives=[later + luck.randrange(1, 120)])
    elif mood < 0.4:
        world.say("Is it on again next week?", user=user, at=later, arrives=[later + luck.randrange(1, 120)])


# ── mutants: a sender broken on purpose must be seen ────────────────────────────────────────────────────────────


def first_violation(world: World, story: Story, function: str, answer: str = OK) -> str:
    """What the crash points of one function in the last chapter find first: all of them are told above, too."""
    for step in (None, *(step for step in story.of_the_moment if step.name.startswith(function))):
        trouble(world, story, answer, dies_at(step) if step is not None else None)
        if faults := [*broken(world), *loose_ends(world)]:
            return faults[0]
    return "nothing"


@pytest.mark.parametrize(
    ("mutant", "function", "answer", "found"),
    [
        (mutants.reserves_after_it_delivers, "sender", OK, "never two"),
        (mutants.repeats_an_unknown_outcome, "sender", RESET, "never two"),
        (mutants.repeats_what_a_dead_one_had_reserved, "sender", SILENCE, "never two"),
        (mutants.stops_the_timer_where_it_should_lease_it, "sweeper", OK, "never lost"),
        (mutants.takes_no_lease, "sender", OK, "one copy a lease"),
    ],
    ids=lambda given: given.__name__ if callable(given) else "",
)
def test_a_mutant_is_caught_that(world, story, monkeypatch, mutant, function, answer, found):
    """What is broken, and where it has to die for it to be seen: `tests.mutants` says it."""
    mutant(monkeypatch)
    assert first_violation(world, story, function, answer).startswith(found)


def test_a_mutant_is_caught_that_reserves_whatever_has_changed(world, story, monkeypatch):
    """Not by a crash: the person says stop between two steps."""
    mutants.reserves_whatever_has_changed(monkeypatch)
    found = set()
    for step in story.of_the_moment:
        if step.name.startswith("sender") and not found:
            story.before_the_moment()
            world.crash = at_step(step, lambda: says(world, STOP))
            found.update(judged(world))
    assert f"never after no: {READER}" in found
