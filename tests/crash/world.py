"""A world in which any invocation can die at any step: the real handlers on the local stack, and a journal of what
people did and what reached them.

A step lies before and after each request that a function makes, to AWS and to the Graph API, and at the two ends of
its handler. A crash is raised at a step and kills that one invocation; the rest of the world goes on: Meta delivers
again, the timer rings again, the queue shows its message again. `broken` then judges the journal: it knows what the
stand-in for the platform was asked and what people had said before, and nothing of relance's tables. `loose_ends`
looks at the tables and the queue for what must not be left there.
"""

import contextlib
import copy
import heapq
import http.client
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self
from unittest import mock

import botocore.endpoint
import urllib3
from botocore.endpoint import Endpoint
from botocore.exceptions import ReadTimeoutError
from moto.dynamodb.models import dynamodb_backends

from local import webhooks
from local.stack import _CONTAINERS, PEPPER, Failure, LocalStack, Response, _client, _HandlerFailed
from local.template import ACCOUNT, QUEUE, REGION, Function, Schedule
from relance.bot import Bot
from relance.guard import draft
from relance.pair import user_key

# 2026-01-15T12:00:00Z, a Thursday, on the grid of every sweep.
NOON = 1_768_478_400
MINUTE, HOUR, DAY = 60, 3_600, 86_400
MIN_SILENCE = 8 * HOUR
LEASE = 10 * MINUTE

PAGE, READER = "1001", "2002"
# Twenty-two hours of silence leave an hour and more until the window closes, which two crashes cannot use up.
FILM_GUIDE = Bot(
    id=PAGE,
    channel="messenger",
    name="Lumen",
    operator="Lumen Cinema",
    mode="live",
    country="US",
    zone="Europe/London",
    audience_zones=("Europe/London",),
    languages=("en",),
    app_ids=(webhooks.OWN_APP,),
    preferred_silence=22 * HOUR,
    consent="soft",
    soft_basis="people asked for film tips",
    notice=True,
)
WORDS = (
    "I loved the film about the lighthouse keeper",
    "The lighthouse scenes were beautiful, who shot them?",
    "I will watch the director's first film this weekend",
    "Do you know more films set at the sea?",
    "Thanks, the one with the lighthouse is still my favourite",
)
NEEDED = len(WORDS)
STOP = "STOP"

# What the platform can do with a request for a message.
OK, REFUSED, UNREACHABLE = "ok", "refused", "unreachable"
RESET, RESET_UNSENT, TIMEOUT, BARE_502, BARE_502_SENT = "reset", "reset unsent", "timeout", "502", "502 sent"
CLEAN = frozenset((REFUSED, UNREACHABLE))
FAULTS: Mapping[str, Mapping[str, Any]] = {
    REFUSED: {"code": 613},
    RESET: {"drop": "after_read"},
    RESET_UNSENT: {"drop": "after_read", "accepts": False},
    BARE_502: {"status": 502, "body": ""},
    BARE_502_SENT: {"status": 502, "body": "", "accepts": True},
}

# What a chapter keeps of the stand-in.
_GRAPH_STATE = "accepted requests _opened _channels _faults _steps _due _scheduled _minted"


class Crash(BaseException):
    """The process is gone. Not an Exception: no `except` of a handler may survive its own death."""


@dataclass(frozen=True, slots=True)
class Step:
    """The `nth` time that the world passes a step of this name."""

    name: str
    nth: int

    def __str__(self) -> str:
        return f"{self.name} [{self.nth}]"


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the journal.

    `wrote` and `no` are a person's acts (`written`: when), noted when relance has answered 200 for them. `attempt` is
    a request for a message that came to the stand-in, `detail` what it did with it. `queued` is a copy of a pair in
    the queue, `answered` a copy that is done with. `died`: a sender did, holding a reservation. `crossing`: the
    person's follow-up was reserved and about to leave, so that the act came too late to win over this one request.
    """

    kind: str
    at: int
    user: str
    detail: str = ""
    crossing: bool = False
    written: int = 0


class World(LocalStack):
    """A local stack whose invocations can die. `reset` makes a new world; `crash` and `platform` say what goes wrong.

    `crash(step)` is called at each step and may raise `Crash`, or do something of its own: whatever it does counts
    as another Lambda's work at that very moment. `loses(step)` says whether AWS's answer is lost on its way after
    the request took effect, and botocore tries again. `platform()` is asked once for each message (see `OK` ff.).
    """

    cast: tuple[Bot, ...] = (FILM_GUIDE,)
    faults = FAULTS
    # What a chapter keeps of the stack, beside tables, queues and the clock.
    kept = "failures _deliveries _ringing _fired _considered _heard journal trace crashes excused _acts _keys _said"

    def __init__(self) -> None:
        super().__init__(start=NOON)
        self._blank()

    def _blank(self) -> None:
        self.crash: Callable[[Step], None] = lambda step: None
        self.loses: Callable[[Step], bool] = lambda step: False
        self.platform: Callable[[], str] = lambda: OK
        self.journal: list[Fact] = []
        self.trace: list[Step] = []
        self.crashes: list[Step] = []
        self.lost: list[Step] = []
        self.excused: set[str] = set()  # who was reserved when a sender died: unknown, so never written to again
        self.current: tuple[str, Mapping[str, Any]] | None = None
        self._passed: Counter[str] = Counter()
        self._inside: list[str] = []
        # By invocation: whose follow-up it has reserved and not recorded, and whose request has not left yet.
        self._reserved: list[str] = []
        self._bound: list[str] = []
        self._acts: dict[bytes, tuple[str, str, int]] = {}
        self._keys: dict[str, str] = {}
        self._said: Counter[str] = Counter()
        self._times_out = False
        self._kept_answers: dict[str, Any] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        self._thread = self._exits.enter_context(ThreadPoolExecutor(max_workers=1))
        self._logical = {self.template.name(name): name.lower() for name in ("Pairs", "Bots", "Interactions")}
        for patch in (
            # What is said is not the question here: a gate that refuses a sentence is no follow-up lost.
            mock.patch.object(draft, "judge", lambda *_, **__: None),
            mock.patch.object(Endpoint, "make_request", self._watched_request(Endpoint.make_request)),
            mock.patch.object(Endpoint, "_get_response", self._lossy_response(Endpoint._get_response)),
            # botocore waits in real time before it tries again.
            mock.patch.object(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None)),
            mock.patch.object(urllib3.PoolManager, "urlopen", self._watched_delivery(urllib3.PoolManager.urlopen)),
            mock.patch.object(
                http.client.HTTPConnection, "getresponse", self._watched_answer(http.client.HTTPConnection.getresponse)
            ),
        ):
            self._exits.enter_context(patch)
        self._publish_all()
        return self

    def reset(self, start: int | None = None) -> None:
        """A world in which nothing has happened yet, with the same bots."""
        super().reset(start)
        self._blank()
        self._publish_all()

    def _publish_all(self) -> None:
        for bot in self.cast:
            self.publish(bot, enabled_at=NOON - 30 * DAY)

    # ── chapters ────────────────────────────────────────────────────────────────────────────────────────────

    def chapter(self) -> Callable[[], None]:
        """Where the story stands now; call what this returns to be here again, which is quicker than living it."""
        if self.queue_depth() or self._inside:
            raise RuntimeError("a chapter ends when nothing is under way")
        now, passed, request = self.now, self._passed.copy(), next(self._requests)
        items = {name: copy.deepcopy(table.items) for name, table in _tables().items()}
        mine = {name: copy.copy(getattr(self, name)) for name in self.kept.split()}
        theirs = {name: copy.copy(getattr(self.graph, name)) for name in _GRAPH_STATE.split()}

        def again() -> None:
            for alarm in list(self._ringing):
                self._set_alarm(alarm, "OK")
            self._coordinates.move_to(float(now))
            self._blank()
            for queue in self.template.of_type(QUEUE):
                self._messages(queue).clear()
            for name, kept in items.items():
                _tables()[name].items = copy.deepcopy(kept)
            for where, state in ((self, mine), (self.graph, theirs)):
                for name, kept in state.items():
                    setattr(where, name, copy.copy(kept))
            self._passed, self._requests = passed.copy(), itertools.count(request)
            for container in _CONTAINERS.values():
                container.forget_secrets()

        return again

    # ── what people do ──────────────────────────────────────────────────────────────────────────────────────

    def say(self, text: str, *, user: str = READER, at: int, arrives: Sequence[int] = ()) -> bytes:
        """Have a person write at `at`; Meta delivers it then, or at the moments in `arrives`, until it gets a 200."""
        self._said[user] += 1
        self._keys[user_key("messenger", user, PEPPER.encode())] = user
        body = webhooks.build(
            "messenger", "text", bot=PAGE, user=user, at=at, id=f"m_{user}_{self._said[user]}", text=text
        )
        raw = webhooks.encode(body)
        self._acts[raw] = (user, text, at)
        for moment in arrives or (at,):
            heapq.heappush(self._deliveries, (moment, next(self._requests), "messenger", raw, 0))
        return raw

    def talk(self, *, user: str = READER, start: int = NOON) -> int:
        """Five messages, a minute apart, which earn a follow-up; returns when the last one was written."""
        for number, text in enumerate(WORDS):
            self.say(text, user=user, at=start + number * MINUTE)
        return start + (NEEDED - 1) * MINUTE

    @contextlib.contextmanager
    def meanwhile(self) -> Iterator[None]:
        """Around what another Lambda, or a person, does while the present invocation stands still at a step."""
        inside, current, crash = self._inside, self.current, self.crash
        self._inside, self.current, self.crash = [], None, lambda step: None
        try:
            yield
        finally:
            self._inside, self.current, self.crash = inside, current, crash

    def post(self, channel: str, body: Mapping[str, Any] | bytes, **given: Any) -> Response:
        """POST as Meta does; a person's act that was answered with 200 goes into the journal."""
        response = super().post(channel, body, **given)
        if isinstance(body, bytes) and body in self._acts and response.status == 200:
            user, text, written = self._acts[body]
            self._note("no" if text == STOP else "wrote", user, text, written)
        return response

    def _note(self, kind: str, user: str, detail: str = "", written: int = 0) -> None:
        crossing = any(self._keys.get(key) == user for key in self._bound)
        self.journal.append(Fact(kind, self.now, user, detail, crossing, written))

    # ── invocations that can die ────────────────────────────────────────────────────────────────────────────

    def invoke(self, function_id: str, event: Mapping[str, Any]) -> Any:
        """As the stack does; a crash is an error of the function, and its process with all it knew is gone."""
        function = self.functions[function_id]
        before, self.current = self.current, (function_id, event)
        self._inside.append(function.code.name)
        self._reserved.append("")
        self._bound.append("")
        try:
            self._step("at the start")
            answer = super().invoke(function_id, event)
            self._step("before its answer")
            if function.code.name == "sender":
                self._answered(event, {each["itemIdentifier"] for each in answer["batchItemFailures"]})
            return answer
        except Crash as crash:
            if self._reserved[-1]:
                self.excused.add(self._keys[self._reserved[-1]])
                self._note("died", self._keys[self._reserved[-1]])
            self._forget(function)
            self.failures.append(Failure(self.now, function_id, crash))
            self._count_failure("Errors", function)
            raise _HandlerFailed(function_id) from crash
        finally:
            self._inside.pop()
            self._reserved.pop()
            self._bound.pop()
            self.current = before

    def _answered(self, event: Mapping[str, Any], failed: set[str]) -> None:
        """The sender is done with these copies: the queue forgets them."""
        for record in event["Records"]:
            if record["messageId"] not in failed:
                self._note("answered", self._keys[json.loads(record["body"])["user"]])

    @staticmethod
    def _forget(function: Function) -> None:
        container = _CONTAINERS.get(function.id)
        if container is not None:
            container.forget_secrets()

    def _step(self, what: str) -> None:
        name = f"{self._inside[-1]}: {what}"
        self._passed[name] += 1
        step = Step(name, self._passed[name])
        self.trace.append(step)
        try:
            self.crash(step)
        except Crash:
            self.crashes.append(step)
            raise

    def _watched_request(self, make_request: Callable[..., Any]) -> Callable[..., Any]:
        """Botocore's way to AWS with a step on each side; the stack's own requests are none of a function's steps."""
        world = self

        def watched(endpoint: Endpoint, model: Any, request: Mapping[str, Any]) -> Any:
            if not world._inside:
                return make_request(endpoint, model, request)
            asked = json.loads(request["body"]) if isinstance(request["body"], bytes) else {}
            what = f"{model.name}{world._where(asked)}"
            with world._outside():
                world._step(f"before {what}")
                answer = make_request(endpoint, model, request)
                if answer[0].status_code < 300:
                    world._follow(model.name, asked)
                world._step(f"after {what}")
            return answer

        return watched

    def _outside(self) -> contextlib.AbstractContextManager[None]:
        """Around what happens outside of the function that asks for it: there its own clock means nothing."""
        return contextlib.nullcontext()

    def _where(self, asked: Mapping[str, Any]) -> str:
        """Which table a request of DynamoDB's is about: `pairs *` is the row of a person, not of a pair."""
        tables = asked.get("RequestItems") or ([asked["TableName"]] if "TableName" in asked else [])
        names = [self._logical[table] for table in tables]
        row = " *" if asked.get("Key", {}).get("bot") == {"S": "*"} else ""
        return "".join(f" {name}" for name in names) + row

    def _follow(self, operation: str, asked: Mapping[str, Any]) -> None:
        """Whose follow-up this invocation holds: reserved by a transaction, until it is recorded or released."""
        function = self._inside[-1]
        if function == "sender" and operation == "TransactWriteItems":
            pair = asked["TransactItems"][0]["Update"]["Key"]["user"]["S"]
            self._reserved[-1] = self._bound[-1] = "" if self._reserved[-1] else pair
        elif function == "sender" and operation == "UpdateItem":
            if asked["Key"].get("user", {}).get("S") == self._reserved[-1]:
                self._reserved[-1] = ""
        elif function == "sweeper" and operation == "SendMessageBatch":
            for entry in asked["Entries"]:
                self._note("queued", self._keys[json.loads(entry["MessageBody"])["user"]])

    def _lossy_response(self, get_response: Callable[..., Any]) -> Callable[..., Any]:
        """Take effect, and lose the answer: botocore tries again, as it does on AWS.

        DynamoDB knows a transaction that comes twice with one token and answers as before; moto does not, so its
        first answer is kept.
        """
        world = self

        def lossy(endpoint: Endpoint, request: Any, model: Any, context: Any) -> Any:
            if not world._inside:
                return get_response(endpoint, request, model, context)
            token = json.loads(request.body).get("ClientRequestToken") if model.name == "TransactWriteItems" else None
            if token in world._kept_answers:
                return world._kept_answers.pop(token)
            answer = get_response(endpoint, request, model, context)
            if world.loses(world.trace[-1]):
                world.lost.append(world.trace[-1])
                if token is not None and answer[0] is not None:
                    world._kept_answers[token] = answer
                return None, ReadTimeoutError(endpoint_url=request.url)
            return answer

        return lossy

    def _watched_delivery(self, urlopen: Callable[..., Any]) -> Callable[..., Any]:
        """The way to the Graph API: before the request leaves, and after its answer was read."""
        world = self

        def watched(pool: Any, method: str, url: str, *given: Any, **named: Any) -> Any:
            if not world._inside:
                return urlopen(pool, method, url, *given, **named)
            with world._outside():
                return asked(pool, method, url, *given, **named)

        def asked(pool: Any, method: str, url: str, *given: Any, **named: Any) -> Any:
            world._step("before the request to Graph")
            fault = world.platform()
            if fault == UNREACHABLE:
                world._note("attempt", world._keys[world._reserved[-1]], UNREACHABLE)
                world._bound[-1] = ""
                raise urllib3.exceptions.NewConnectionError(SimpleNamespace(host="graph"), "scripted")  # type: ignore[arg-type]
            if fault in world.faults:
                world.graph.fault(**world.faults[fault])
            world._times_out = fault == TIMEOUT
            try:
                response = urlopen(pool, method, url, *given, **named)
            finally:
                world._hear(fault)
            world._step("after the answer of Graph")
            return response

        return watched

    def _watched_answer(self, getresponse: Callable[..., Any]) -> Callable[..., Any]:
        """Graph has done what it did; nobody has read its answer yet."""
        world = self

        def watched(connection: Any) -> Any:
            response = getresponse(connection)
            if world._inside:
                world._step("with Graph's answer unread")
                if world._times_out:
                    raise TimeoutError
            return response

        return watched

    def _hear(self, fault: str) -> None:
        """Every request that the stand-in has seen since, with what it did."""
        known = sum(fact.kind == "attempt" and fact.detail != UNREACHABLE for fact in self.journal)
        for seen in self.graph.requests[known:]:
            clean = seen.outcome.startswith("refused")
            self.journal.append(Fact("attempt", self.now, seen.to, REFUSED if clean else fault))
        self._bound[-1] = ""

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────

    def run_until(self, at: int) -> None:
        """As the stack does, in a thread of its own: under pytest's deep stack CPython asks the system for memory at
        every other call, and everything takes twice as long."""
        self._thread.submit(super().run_until, at).result()

    def _tick(self, schedule: Schedule, until: int) -> int:
        """Only sweeps in which a timer can ring are run; the refresher of tokens has no part in this story."""
        rings = self._next_ring() if self._is_sweeper(schedule) else None
        if rings is None:
            return until + schedule.period
        on_grid = rings + -rings % schedule.period
        return max(self._considered[schedule.name] + schedule.period, on_grid)

    def _fire(self, schedule: Schedule) -> None:
        """The sweeps that were left out would have kept the heart beating."""
        tick = self.now - self.now % schedule.period
        last = self._fired.get(schedule.name)
        if self._is_sweeper(schedule) and last is not None and last < tick - schedule.period:
            self._keep_beating(tick - schedule.period)
        super()._fire(schedule)

    def _keep_beating(self, at: int) -> None:
        _client("dynamodb").update_item(
            TableName=self.template.name("Bots"),
            Key={"id": {"S": "*"}},
            UpdateExpression="SET heartbeat_at = :at",
            ExpressionAttributeValues={":at": {"N": str(at)}},
        )


def _tables() -> Mapping[str, Any]:
    return dynamodb_backends[ACCOUNT][REGION].tables


# ── the judges ──────────────────────────────────────────────────────────────────────────────────────────────────


ONE_COPY = "one copy a lease"


def broken(world: World, *, copies: bool = True) -> list[str]:
    """The promises that the journal shows broken, each with who and when; empty if all were kept.

    A day after a person's last word the follow-up must have come, if it was to come at all. `copies`: whether one
    copy in the queue at a time is enough; in a batch that died, the timer of one may rightly have been moved.
    """
    found = []
    acts: dict[str, list[Fact]] = defaultdict(list)
    for fact in world.journal:
        acts[fact.user].append(fact)
    for user, facts in acts.items():
        received = sum(said.to == user for said in world.graph.accepted)
        if received > 1:
            found.append(f"never two: {user} received {received}")
        found += [f"{promise}: {user}" for promise in _story(facts) if copies or promise != ONE_COPY]
        last = max((fact.written for fact in facts if fact.kind == "wrote"), default=world.now)
        words = {fact.detail for fact in facts if fact.kind == "wrote"}
        said_no = any(fact.kind == "no" for fact in facts)
        tried = any(fact.kind == "attempt" and fact.detail not in CLEAN for fact in facts)
        is_open = len(words) >= NEEDED and not said_no and last + DAY <= world.now
        if is_open and not tried and user not in world.excused:
            found.append(f"never lost: {user} earned a follow-up and none was tried")
    return found


def _story(facts: Sequence[Fact]) -> Iterator[str]:
    """What one person's journal breaks, in the order in which it happened."""
    words: set[str] = set()
    last = queued = None
    said_no = may_have_arrived = False
    too_late: list[Fact] = []
    for fact in facts:
        if fact.crossing and fact.kind in ("no", "wrote"):
            too_late.append(fact)
        elif fact.kind == "no":
            said_no = True
        elif fact.kind == "wrote":
            last = max(last or 0, fact.written)
            words.add(fact.detail)
        elif fact.kind == "queued":
            if queued is not None and fact.at - queued < LEASE:
                yield ONE_COPY
            queued = fact.at
        elif fact.kind == "answered":
            queued = None
        elif fact.kind == "attempt":
            if may_have_arrived:
                yield "never two (an attempt after one that may have arrived)"
            if said_no:
                yield "never after no"
            if len(words) < NEEDED:
                yield "never unearned"
            if last is None or fact.at - last < MIN_SILENCE:
                yield "never into a silence that is over"
            may_have_arrived = may_have_arrived or fact.detail not in CLEAN
            # A clean refusal makes the timer ring soon, whatever became of the copy.
            queued = None
        if fact.kind in ("attempt", "died"):
            for late in too_late:
                said_no = said_no or late.kind == "no"
                last = max(last or 0, late.written)
                words.add(late.detail)
            too_late = []


def loose_ends(world: World, *, dead_letters: bool = True) -> list[str]:
    """What the tables and the queue must not hold at the end of a story; a copy that died five times may be a dead
    letter where many things die."""
    found = []
    accepted = {said.to for said in world.graph.accepted}
    attempted = {fact.user for fact in world.journal if fact.kind == "attempt" and fact.detail not in CLEAN}
    for row in world.pairs():
        if row["bot"] == "*":
            continue
        user, outcome = world._keys[row["user"]], row.get("outcome", "")
        if outcome == "reserved":
            found.append(f"never stuck: {user} is reserved for ever")
        if row.get("due_at") is not None and row["due_at"] <= world.now - LEASE:
            found.append(f"never stuck: the timer of {user} rings and nobody answers it")
        if user in accepted and outcome not in ("accepted", "delivered", "read", "unknown"):
            found.append(f"the ledger is true: {user} was written to, and it says {outcome or 'nothing'}")
        if user in world.excused and user not in attempted and outcome != "unknown":
            found.append(f"the ledger is true: nobody knows of {user}, and it says {outcome or 'nothing'}")
    if world.queue_depth():
        found.append(f"never stuck: {world.queue_depth()} in the queue")
    if dead_letters and world.dead_letters():
        found.append(f"never stuck: {len(world.dead_letters())} dead letters")
    return found
