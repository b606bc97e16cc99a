"""A town where anything can happen to a follow-up: the world of the crash points with more people, bots and mischief.

Two bots of one operator on WhatsApp and one on Messenger; people who write, stop, agree, change their ids and ask to be
forgotten; an operator who pauses and publishes. Mischief is ordered beforehand and strikes when its moment comes: an
invocation dies or does its work twice, somebody else acts while a sender stands still, the queue loses a message, the
platform answers something odd, a Lambda's clock is wrong. The town keeps a journal for `judge`, in the order in which
things happened; what it says of relance's insides is how many copies were queued, and when an invocation died.
"""

import contextlib
import heapq
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from local import webhooks
from local.stack import PEPPER, LocalStack, Response, _client, _HandlerFailed
from local.template import QUEUE, Function, Source
from relance.bot import Bot, Hours, Template
from relance.guard import conversation
from relance.interaction import Address
from relance.pair import user_key
from relance.persona import Draft
from relance.writers.embedded import EmbeddedWriter
from tests.crash.world import (
    BARE_502,
    BARE_502_SENT,
    DAY,
    FAULTS,
    FILM_GUIDE,
    HOUR,
    MINUTE,
    NOON,
    OK,
    PAGE,
    RESET,
    RESET_UNSENT,
    TIMEOUT,
    UNREACHABLE,
    Crash,
    Step,
    World,
)

ZONES = ("Europe/London", "Europe/Paris", "America/New_York", "America/Chicago")
NIGHTINGALE, LARK = "5550001", "5550002"
# One that asks for a yes and may write later by template, and one that waits until the last allowed minute.
_NIGHTINGALE = replace(
    FILM_GUIDE,
    id=NIGHTINGALE,
    channel="whatsapp",
    audience_zones=ZONES,
    ai_is_incidental=True,
    preferred_silence=22 * HOUR,
)
_LARK = replace(
    _NIGHTINGALE,
    id=LARK,
    consent="opt-in",
    preferred_silence=22 * HOUR + 30 * MINUTE,
    template=Template("a_word_from_us", "en", category="UTILITY", ttl=12 * HOUR),
)
_PAGE = replace(FILM_GUIDE, preferred_silence=DAY)
CHANNEL = {NIGHTINGALE: "whatsapp", LARK: "whatsapp", PAGE: "messenger"}
TEMPLATE_LIFE = 12 * HOUR
OTHER_HOURS = Hours(12 * HOUR, 17 * HOUR)


@dataclass(frozen=True, slots=True)
class Name:
    """How the platform names somebody now. `scoped` empty: no business-scoped id yet. `joined`: bots that were told
    both ids in one message. `shy`: the number is kept from bots that know better."""

    number: str
    scoped: str = ""
    shy: bool = False
    joined: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Human:
    """A person: where they live (every zone that their number leaves open), which bots they know, and how."""

    name: str
    zones: tuple[str, ...]
    bots: tuple[str, ...]
    first_known_as: Name
    country: str = ""


PEOPLE = {
    each.name: each
    for each in (
        Human("ada", ("Europe/London",), (NIGHTINGALE, LARK), Name("447700900123"), "GB"),
        Human("ben", ZONES[2:], (NIGHTINGALE,), Name("12015550123", "US.13491208655302000001"), "US"),
        Human("cleo", ("Europe/London",), (PAGE,), Name("3001")),
    )
}
NAMES = tuple(PEOPLE)
PAIRS = tuple((human.name, bot) for human in PEOPLE.values() for bot in human.bots)
LIVES = {name: human.zones for name, human in PEOPLE.items()}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the journal; `at` is true time. Kinds:

    `posted`, `taken`: Meta posts what somebody did (`what`, at `written`, message `id`); it was answered with 200.
    `bot`: what the operator has made of a bot (`told`). `request`: the platform was asked for a message; `what` is
    what the sender could know of it, `told` the message. `unsent`: it never left. `died`: a sender did, holding a
    reservation. `queued`, `answered`: a copy of a pair, in the queue and done with. `trouble`: what went wrong was
    made good by `until`, if anything is. `skew`: a Lambda's clock is `until` seconds wrong. `end`: of the history.
    """

    kind: str
    at: int
    person: str = ""
    bot: str = ""
    what: str = ""
    written: int = 0
    until: int = 0
    id: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)


# What the sender could know of a request: refused and may be repeated; refused for good; the account's token was
# refused; anything else may have reached the person.
CLEAN, FINAL, TOKEN, MAYBE = "clean", "final", "token", "maybe"
THROTTLED, THROTTLED_BARE, OVERLOADED, VAGUE, BLOCKED, NO_TOKEN = (
    "throttled", "throttled without a body", "503 with a body", "500 with a body", "blocked", "token refused"
)  # fmt: skip
ANSWERS: Mapping[str, str] = {
    THROTTLED: CLEAN,
    THROTTLED_BARE: CLEAN,
    OVERLOADED: CLEAN,
    VAGUE: MAYBE,
    BLOCKED: FINAL,
    NO_TOKEN: TOKEN,
    RESET: MAYBE,
    RESET_UNSENT: MAYBE,
    TIMEOUT: MAYBE,
    BARE_502: MAYBE,
    BARE_502_SENT: MAYBE,
    UNREACHABLE: CLEAN,
}
_CODES = {
    "whatsapp": {THROTTLED: 130429, OVERLOADED: 131016, VAGUE: 131000, BLOCKED: 131026, NO_TOKEN: 190},
    "messenger": {THROTTLED: 613, OVERLOADED: 2, VAGUE: 1, BLOCKED: 551, NO_TOKEN: 190},
}
_STATUS = {OVERLOADED: 503, VAGUE: 500}

_COUNTED = ("text", "image", "sticker", "quick_reply", "postback")
_OPEN_ONLY = ("reaction", "referral", "get_started")

# After a failed webhook nobody is written to for an hour; then the sweeper looks three times more (template.yaml).
CATCHES_UP = HOUR + 4 * 5 * MINUTE + 5 * MINUTE
# A copy that was lost, or died with its sweeper or sender, is queued again when its lease ends and a sweep comes by.
AGAIN = 20 * MINUTE


@dataclass(slots=True)
class Order:
    """Mischief that waits for its moment: the `left`-th time that a step of this name is passed."""

    step: str
    left: int
    act: Callable[[], None]


class Town(World):
    """A world with a cast, a journal and orders of mischief. Chapters keep all three."""

    cast = (_NIGHTINGALE, _LARK, _PAGE)
    faults = FAULTS | {
        THROTTLED_BARE: {"status": 429, "body": ""},
        **{
            f"{channel} {name}": {"code": code, **({"status": _STATUS[name]} if name in _STATUS else {})}
            for channel, codes in _CODES.items()
            for name, code in codes.items()
        },
    }
    kept = World.kept + " lines names webhooks _did _opened"

    def _blank(self) -> None:
        super()._blank()
        self.lines: list[Line] = []
        self.names = {name: human.first_known_as for name, human in PEOPLE.items()}
        self.webhooks: list[tuple[str, bytes]] = []
        self.orders: list[Order] = []
        self.answers: list[str] = []
        self.queue_does: list[tuple[str, int]] = []
        self.skew: dict[str, int] = {}
        self._did: dict[bytes, Line] = {}
        self._opened: dict[tuple[str, str], int] = {}
        self._offset = 0
        self._met: set[str] = set()
        self._holds = ("", "")
        self._about = PAIRS[0]
        self._heard_requests = 0
        self.crash = self._strike
        self.platform = self._answer

    def __enter__(self) -> "Town":
        super().__enter__()
        # Nor is what was talked about: the guard has its own tests.
        for patch in (
            mock.patch.object(conversation, "judge", lambda *_: conversation.Allowed("en")),
            mock.patch.object(
                EmbeddedWriter, "write", lambda *_: Draft("Shall we go on about the film?", "film", "en")
            ),
        ):
            self._exits.enter_context(patch)
        return self

    def _publish_all(self) -> None:
        for bot in self.cast:
            self._put(bot, enabled_at=NOON - 30 * DAY)

    def do[T](self, work: Callable[..., T], *given: Any) -> T:
        """Run it in the world's own thread (see `World.run_until`)."""
        return self._thread.submit(work, *given).result()

    def run_until(self, at: int) -> None:
        """As the stack does; to be called in the world's own thread."""
        LocalStack.run_until(self, at)

    def chapter(self) -> Callable[[], None]:
        """As the world does; the stand-in's requests are heard from where they stood."""
        again = super().chapter()

        def once_more() -> None:
            again()
            self._heard_requests = len(self.graph.requests)

        return once_more

    def tell(self, kind: str, **more: Any) -> None:
        """Write a line into the journal."""
        self.lines.append(Line(kind, self.true_now, **more))

    def trouble(self, until: int, *, person: str = "", bot: str = "", what: str = "") -> None:
        """Something went wrong that is made good by then: for one person, one bot, or everybody."""
        self.tell("trouble", person=person, bot=bot, what=what, until=until)

    # ── people ──────────────────────────────────────────────────────────────────────────────────────────────

    def does(
        self,
        person: str,
        bot: str,
        what: str,
        kind: str,
        *,
        lag: int = 0,
        copies: int = 1,
        at: int | None = None,
        **more: Any,
    ) -> None:
        """Somebody does something now; Meta posts it `lag` seconds later, `copies` times, until it is taken."""
        self._said[person] += 1
        channel, at = CHANNEL[bot], self.true_now if at is None else at
        id_ = f"{'wamid.' if channel == 'whatsapp' else 'm_'}{person}{self._said[person]}"
        body = webhooks.build(channel, kind, bot=bot, user=self._address(person, bot, what), at=at, id=id_, **more)
        raw = webhooks.encode(body)
        is_own = str(more.get("payload", "")).startswith("RELANCE_")
        told = {
            "counts": kind in _COUNTED and not is_own,
            "opens": kind in _COUNTED or (channel == "messenger" and kind in _OPEN_ONLY),
        }
        self._did[raw] = Line("posted", at, person, bot, what, written=at, id=id_, told=told)
        self.webhooks.append((channel, raw))
        for copy in range(copies):
            moment = self.true_now + lag + copy * 40
            heapq.heappush(self._deliveries, (moment, next(self._requests), channel, raw, 0))
        self._deliver()

    def talk(self, person: str, bot: str, words: int = 5) -> None:  # type: ignore[override]
        """So many messages, a minute apart, the last one now; five is what it takes."""
        for minutes in range(words - 1, -1, -1):
            self.does(person, bot, "wrote", "text", text="More about the film", at=self.true_now - minutes * MINUTE)

    def redeliver(self, which: int) -> None:
        """Meta posts something once more."""
        if self.webhooks:
            channel, raw = self.webhooks[which % len(self.webhooks)]
            heapq.heappush(self._deliveries, (self.true_now, next(self._requests), channel, raw, 0))
            self._deliver()

    def _address(self, person: str, bot: str, what: str) -> Address:
        name = self.names[person]
        if CHANNEL[bot] == "messenger" or not name.scoped:
            address = Address(name.number)
        elif name.shy and name.joined >= set(PEOPLE[person].bots):
            address = Address(name.scoped)
        else:
            address = Address(name.scoped, name.number)
            if what == "wrote":
                self.names[person] = replace(name, joined=name.joined | {bot})
        for id_ in (address.id, address.number):
            if id_:
                self._keys[user_key(CHANNEL[bot], id_, PEPPER.encode())] = person
        return address

    def rename(self, person: str, how: str) -> None:
        """The platform names somebody otherwise from now on. Whatever it tells of that is taken before they go on."""
        name, number = self.names[person], self._said[person]
        self._said[person] += 1
        human = PEOPLE[person]
        if human.bots == (PAGE,):
            return  # Messenger's ids do not change
        scoped = f"{human.country}.13491208655302{number:06}"
        if how == "scoped" and not name.scoped:
            self.names[person] = replace(name, scoped=scoped)
        elif how == "shy":
            self.names[person] = replace(name, shy=not name.shy)
        elif how == "scoped" and name.joined >= set(human.bots):
            new = replace(name, scoped=scoped)
            self._change(person, Address(name.scoped, name.number), Address(scoped, name.number), new)
        elif how == "number" and (not name.scoped or name.joined >= set(human.bots)):
            fresh = f"{name.number[:-3]}{number + 200:03}"
            new = Name(fresh, scoped if name.scoped else "", name.shy)
            self._change(person, Address(name.number), Address(fresh), new)

    def _change(self, person: str, old: Address, new: Address, name: Name) -> None:
        bot = PEOPLE[person].bots[0]
        self._said[person] += 1
        id_ = f"wamid.{person}{self._said[person]}"
        raw = webhooks.encode(
            webhooks.build("whatsapp", "id_change", bot=bot, user=old, at=self.true_now, id=id_, new=new)
        )
        self._did[raw] = Line("posted", self.true_now, person, bot, "moved", written=self.true_now, id=id_)
        self.webhooks.append(("whatsapp", raw))
        self.names[person] = name
        for address in (old, new):
            for each in (address.id, address.number):
                if each:
                    self._keys[user_key("whatsapp", each, PEPPER.encode())] = person
        for known in PEOPLE[person].bots:
            self._open(person, known, 0)
        with self.meanwhile():
            for _ in range(4):
                if self.post("whatsapp", raw).status == 200:
                    break

    def _open(self, person: str, bot: str, at: int) -> None:
        """The platform knows who somebody is, whatever they are called now."""
        at = self._opened[person, bot] = max(at, self._opened.get((person, bot), 0))
        name = self.names[person]
        for id_ in (name.number, name.scoped):
            if id_ and at:
                self.graph.inbound(CHANNEL[bot], bot, id_, at)

    def post(self, channel: str, body: Mapping[str, Any] | bytes, **given: Any) -> Response:
        """POST as Meta does; the journal keeps what it was, and whether it was taken."""
        did = self._did.get(body) if isinstance(body, bytes) else None
        if did is not None:
            self.lines.append(replace(did, at=self.true_now))
            if did.what == "moved":
                self.trouble(self.true_now + AGAIN, person=did.person, what="a change of ids")
            for opening in webhooks.openings(channel, body):
                self._open(did.person, did.bot, int(opening.at))
        response = LocalStack.post(self, channel, body, **given)
        if did is not None and response.status == 200:
            self.lines.append(replace(did, kind="taken", at=self.true_now))
        if response.status >= 500:
            self.trouble(self.true_now + CATCHES_UP, what="a webhook failed")
        return response

    # ── the operator ────────────────────────────────────────────────────────────────────────────────────────

    def operate(self, bot_id: str, what: str) -> None:
        """Pause, resume, switch off or on, publish again, or with shorter hours."""
        if what == "pause":
            self.pause(bot_id)
            self.tell("bot", bot=bot_id, what=what, told={"paused": True})
        elif what == "resume":
            self.resume(bot_id)
            self.tell("bot", bot=bot_id, what=what, told={"paused": False, "stopped": False})
        else:
            (row,) = [row for row in self.bots() if row["id"] == bot_id]
            bot = next(each for each in self.cast if each.id == bot_id)
            hours = row["settings"]["hours"]
            bot = replace(bot, mode=row["mode"], paused=row.get("paused", ""), hours=Hours(**hours))
            changed = {"off": {"mode": "off"}, "on": {"mode": "live"}, "hours": {"hours": OTHER_HOURS}}
            on = what == "on" and row["mode"] != "live"
            self._put(replace(bot, **changed.get(what, {})), enabled_at=self.true_now if on else row["enabled_at"])

    def _put(self, bot: Bot, *, enabled_at: int) -> None:
        self.publish(bot, enabled_at=enabled_at)
        told = {
            "mode": bot.mode,
            "paused": bool(bot.paused),
            "stopped": bool(bot.paused),
            "enabled_at": enabled_at,
            "hours": (bot.hours.opens, bot.hours.closes),
            "asks": bot.consent == "opt-in",
            "template": bot.template is not None,
            "one_person": bot.channel == "whatsapp",
        }
        self.tell("bot", bot=bot.id, what="published", told=told)

    def outage(self, seconds: int) -> None:
        """Nothing of the deployment runs for so long; then the sweeper comes back and sees it."""
        self._keep_beating(self.true_now)
        self.trouble(self.true_now + seconds + CATCHES_UP, what="an outage")
        self.travel(self.true_now + seconds)
        for schedule in self._schedules:
            if self._is_sweeper(schedule):
                LocalStack._fire(self, schedule)

    # ── mischief ────────────────────────────────────────────────────────────────────────────────────────────

    def order(self, step: str, left: int, act: Callable[[], None]) -> None:
        """Have something happen at the `left`-th step from now whose name begins like this."""
        self.orders.append(Order(step, left, act))

    def dies(self, step: str, left: int) -> None:
        """Have an invocation die at the `left`-th step from now whose name begins like this."""

        def die() -> None:
            raise Crash(f"{step}, as ordered")

        self.order(step, left, die)

    def loses_answer(self, function: str, left: int) -> None:
        """Have AWS's answer to the `left`-th request of this function from now be lost; botocore asks again."""
        passed = [left]

        def lost(step: Step) -> bool:
            passed[0] -= step.name.startswith(function)
            if passed[0] <= 0:
                self.loses = lambda step: False
            return passed[0] <= 0 and step.name.startswith(function)

        self.loses = lost

    def twin(self, step: str) -> None:
        """Have another Lambda do the same work while the first one stands at this step."""

        def again() -> None:
            if self.current is not None:
                function, event = self.current
                with self.meanwhile(), contextlib.suppress(_HandlerFailed):
                    self.invoke(function, event)

        self.order(step, 1, again)

    def interrupt(self, step: str, act: Callable[[], None]) -> None:
        """Have somebody act while an invocation stands at this step; `at_hand` says whom it is about."""

        def now() -> None:
            for person in {self._whose(body)[0] for body in self._bodies()}:
                self.trouble(self.true_now + AGAIN, person=person, what="overtaken")
            with self.meanwhile():
                act()

        self.order(step, 1, now)

    def at_hand(self) -> tuple[str, str]:
        """The pair that the newest request was about."""
        return self._about

    def peace(self) -> None:
        """No more mischief."""
        self.orders, self.answers, self.queue_does = [], [], []
        self.loses = lambda step: False
        if any(self.skew.values()):
            self.skew = {}
        for channel in ("whatsapp", "messenger"):
            self.graph._steps.pop((channel, ""), None)

    def _strike(self, step: Step) -> None:
        for order in [each for each in self.orders if step.name.startswith(each.step)]:
            order.left -= 1
            if order.left <= 0:
                self.orders.remove(order)
                order.act()

    def _answer(self) -> str:
        """What the platform does with the follow-up at hand; an answer to a question is always taken."""
        if not self._reserved[-1] or not self.answers:
            return OK
        answer = self.answers.pop(0)
        named = f"{CHANNEL[self._holds[1]]} {answer}"
        return named if named in self.faults else answer

    def _hear(self, fault: str) -> None:
        self._bound[-1] = ""
        answer = fault.split(" ", 1)[1] if fault.partition(" ")[0] in _CODES else fault
        for seen in self.graph.requests[self._heard_requests :]:
            self._heard_requests += 1
            body = seen.body or {}
            is_tagged = bool(body.get("biz_opaque_callback_data") or body.get("message", {}).get("metadata"))
            kind = "template" if body.get("type") == "template" else "free_form" if is_tagged else "answer"
            what = ANSWERS.get(answer, "ok" if seen.status == 200 else "refused")
            person = self._who(seen.to, seen.channel)
            self.tell("request", person=person, bot=seen.bot, what=what, told={"kind": kind})
        if answer == UNREACHABLE and self._holds[0]:
            self.tell("unsent", person=self._holds[0], bot=self._holds[1])
        if answer == NO_TOKEN:
            # Whether relance learns of it is open: its sender may die first.
            self.tell("bot", bot=self._holds[1], what="token refused", told={"stopped": True})

    def _who(self, id_: str, channel: str) -> str:
        return self._keys[user_key(channel, id_, PEPPER.encode())]

    def _where(self, asked: Mapping[str, Any]) -> str:
        """As the world does; and note whom the request is about."""
        updates = asked.get("TransactItems") or [{"Update": asked}]
        keys = [updates[0].get("Update", {}).get("Key", {})]
        keys += [key for table in asked.get("RequestItems", {}).values() for key in table["Keys"]]
        for key in keys:
            person, bot = self._keys.get(key.get("user", {}).get("S", "")), key.get("bot", {}).get("S", "*")
            if person and bot != "*":
                self._about = (person, bot)
        return super()._where(asked)

    # ── the queue ───────────────────────────────────────────────────────────────────────────────────────────

    def _poll(self, source: Source) -> int:
        if self.functions[source.function].code.name == "sender":
            self._disturb(source.queue)
        return super()._poll(source)

    def _disturb(self, queue: str) -> None:
        """Each copy meets what the queue does next: `twice`, `late` (minutes), `lost` (to the dead letters), `last`."""
        messages = self._messages(queue)
        for message in [each for each in messages if each.visible and each.id not in self._met]:
            self._met.add(message.id)
            does, minutes = self.queue_does.pop(0) if self.queue_does else ("", 0)
            person, bot = self._whose(message.body)
            if does == "twice":
                self._queue(queue, message.body)
            elif does == "late":
                message.visible_at = (self.true_now + minutes * MINUTE) * 1_000
            elif does == "lost":
                messages.remove(message)
                self._queue(self._dead_queue(), message.body)
            elif does == "last":
                messages.remove(message)
                messages.append(message)
            if does in ("late", "lost"):
                self.trouble(self.true_now + AGAIN, person=person, bot=bot, what=f"{does} in the queue")

    def redrive(self) -> None:
        """Put the dead letters back into the queue."""
        dead = self._messages(self._dead_queue())
        bodies = [message.body for message in dead]
        dead.clear()
        for source in self._sources:
            if self.functions[source.function].code.name == "sender":
                for body in bodies:
                    self._queue(source.queue, body)
        self.drain()

    def _queue(self, queue: str, body: str) -> None:
        _client("sqs").send_message(QueueUrl=self.template.resolve({"Ref": queue}), MessageBody=body)
        self._met.add(self._messages(queue)[-1].id)

    def _dead_queue(self) -> str:
        senders = [each.queue for each in self._sources if self.functions[each.function].code.name == "sender"]
        policy = self.template.of_type(QUEUE)[senders[0]]["RedrivePolicy"]
        return next(
            name for name in self.template.of_type(QUEUE) if self.template.arn(name) == policy["deadLetterTargetArn"]
        )

    def _whose(self, body: str) -> tuple[str, str]:
        told = json.loads(body)
        return self._keys[told["user"]], told.get("bot", "")

    def _bodies(self) -> Iterator[str]:
        """The queue messages of the invocation at hand."""
        _, event = self.current or ("", {})
        return (record["body"] for record in event.get("Records", ()))

    # ── invocations ─────────────────────────────────────────────────────────────────────────────────────────

    def invoke(self, function_id: str, event: Mapping[str, Any]) -> Any:
        """As the world does; what failed with it is trouble for whom it was about."""
        name = self.functions[function_id].code.name
        try:
            return super().invoke(function_id, event)
        except _HandlerFailed:
            if name == "sweeper":
                self.trouble(self.true_now + AGAIN, what="a sweep failed")
            elif name == "sender":
                self._failed(record["body"] for record in event["Records"])
            raise

    def _answered(self, event: Mapping[str, Any], failed: set[str]) -> None:
        self._failed(each["body"] for each in event["Records"] if each["messageId"] in failed)
        for record in event["Records"]:
            if record["messageId"] not in failed and "about" not in record["body"]:
                person, bot = self._whose(record["body"])
                self.tell("answered", person=person, bot=bot)

    def _failed(self, bodies: Iterator[str]) -> None:
        for person, bot in map(self._whose, bodies):
            self.tell("answered", person=person, bot=bot)
            self.trouble(self.true_now + AGAIN, person=person, what="a sender failed")

    def _follow(self, operation: str, asked: Mapping[str, Any]) -> None:
        super()._follow(operation, asked)
        function = self._inside[-1]
        if function == "sender" and operation == "TransactWriteItems" and self._reserved[-1]:
            key = asked["TransactItems"][0]["Update"]["Key"]
            self._holds = (self._keys[key["user"]["S"]], key["bot"]["S"])
        elif function == "sweeper" and operation == "SendMessageBatch":
            for entry in asked["Entries"]:
                person, bot = self._whose(entry["MessageBody"])
                self.tell("queued", person=person, bot=bot)

    def _note(self, kind: str, user: str, detail: str = "", written: int = 0) -> None:
        """The world's own journal is not kept; of its lines only a death is news."""
        if kind == "died":
            self.tell("died", person=self._holds[0], bot=self._holds[1])

    # ── clocks ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def true_now(self) -> int:
        """The time, whatever the clock of the Lambda at hand says."""
        return self.now - self._offset

    def goes_wrong(self, function: str, seconds: int) -> None:
        """From now on the clock of this function's Lambdas is ahead by so much, or behind."""
        self.skew[function] = seconds
        self.tell("skew", until=abs(seconds))

    @contextlib.contextmanager
    def _as_function(self, function: Function) -> Iterator[None]:
        with super()._as_function(function), self._shifted(self.skew.get(function.code.name, 0)):
            yield

    def _outside(self) -> contextlib.AbstractContextManager[None]:
        return self._shifted(0)

    @contextlib.contextmanager
    def _shifted(self, by: int) -> Iterator[None]:
        before, true = self._offset, self.true_now
        if by != before:
            self._offset = by
            self._coordinates.move_to(float(true + by))
        try:
            yield
        finally:
            if by != before:
                self._offset = before
                self._coordinates.move_to(float(true + before))
