"""The whole deployment on one machine, in virtual time: the template's own resources, the real handlers, no account.

moto plays AWS in this process and `time-machine` plays the clock, so a fortnight passes in seconds. What the template
says is what runs: tables, queues, alarms, schedules, Function URLs and environments are read from it. Production code
knows nothing of this. moto is not thread-safe, hence one stack at a time and one thread.
"""

import base64
import contextlib
import copy
import heapq
import importlib.util
import io
import itertools
import json
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from types import ModuleType, TracebackType
from typing import Any, Self
from unittest import mock

import botocore.session
import time_machine
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from botocore.model import Shape
from moto import mock_aws
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.base_backend import BackendDict
from moto.dynamodb import models as dynamodb_models
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.events.models import events_backends
from moto.sqs.models import sqs_backends

from local import webhooks
from local.graph import GraphStandIn
from local.template import ACCOUNT, ALARM, BUS, QUEUE, REGION, ROOT, TABLE, Function, Schedule, Source, Template

LAYER = str(ROOT / "layers" / "relance")
if LAYER not in sys.path:
    sys.path.append(LAYER)

from relance.bot import Bot  # noqa: E402 - the package is found through the line above
from relance.botrow import to_settings  # noqa: E402
from relance.interaction import CHANNELS  # noqa: E402

# Secrets that open nothing: they exist in this process only.
PEPPER = "pepper-for-tests"
VERIFY_TOKEN = "verify-token-for-tests"  # noqa: S105

# Two shards show that all are read; sixteen would only make a quiet fortnight slow.
LOCAL_PARAMETERS = {"DueShards": "2", "SenderThreads": "1"}

# Meta delivers again what was not answered with 200; a minute is sooner than Meta and late enough to see the gap.
REDELIVERY = 60
REDELIVERIES = 20

_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_SESSION_TOKEN": "testing"}


@dataclass(frozen=True, slots=True)
class Response:
    """What the caller of a Function URL sees."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """An invocation that raised."""

    at: int
    function: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What Lambda hands to a handler beside the event. Virtual time stands still meanwhile, so none of it runs out."""

    function: Function
    aws_request_id: str

    function_version = "$LATEST"
    identity = None
    client_context = None

    @property
    def function_name(self) -> str:
        return self.function.name

    @property
    def invoked_function_arn(self) -> str:
        return self.function.arn

    @property
    def memory_limit_in_mb(self) -> str:
        return str(self.function.memory)

    function_memory_size = memory_limit_in_mb

    @property
    def log_group_name(self) -> str:
        return f"/aws/lambda/{self.function.name}"

    @property
    def log_stream_name(self) -> str:
        return f"local/[$LATEST]{self.function.id}"

    def get_remaining_time_in_millis(self) -> int:
        return self.function.timeout * 1_000


class _Logs(io.TextIOBase):
    """Where the functions' standard output goes: kept, newest last, and off the console."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=50_000)

    def write(self, text: str) -> int:
        self.lines.append(text)
        return len(text)

    def writable(self) -> bool:
        return True


# One sink for the process: loggers are made once, at the first cold start, and keep the stream they found.
_LOGS = _Logs()


@dataclass(frozen=True, slots=True)
class _Container:
    """A warm execution environment: a function's module as it was imported under one environment."""

    environment: Mapping[str, str]
    module: ModuleType
    handler: Callable[[Any, LambdaContext], Any]

    def forget_secrets(self) -> None:
        """Drop the function's copies of secrets: in a fresh stack they may be older, or younger, than its clock."""
        for value in vars(self.module).values():
            secrets = getattr(value, "secrets", None)
            if hasattr(secrets, "forget"):
                secrets.forget()


# Kept between stacks while the environment is the same, as Lambda keeps containers between invocations.
_CONTAINERS: dict[str, _Container] = {}


@cache
def _client(service: str) -> Any:
    """One client per service, for the stack's own hands (the functions make theirs themselves)."""
    return botocore.session.get_session().create_client(
        service,
        region_name=REGION,
        aws_access_key_id=_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


class LocalStack:
    """A fresh deployment at virtual time `start` (epoch seconds). A context manager; one at a time per process.

    `parameters` override those of template.yaml. Messages come in by `post`; `run_until` lets time pass and the
    deployment do its work; `graph` is the platform's side, which keeps what it was sent.
    """

    _running = False

    def __init__(self, *, start: int, parameters: Mapping[str, str] | None = None) -> None:
        self._start = start
        self._overrides = dict(parameters or {})
        self.graph = GraphStandIn()
        self.failures: list[Failure] = []

    # ── life ────────────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        if LocalStack._running:
            raise RuntimeError("another LocalStack is running in this process: moto serves one at a time")
        LocalStack._running = True
        self._exits = contextlib.ExitStack()
        try:
            self._exits.enter_context(self.graph)
            self._exits.enter_context(mock_aws())
            self._clock = time_machine.travel(float(self._start), tick=False)
            self._coordinates = self._clock.start()
            self._exits.callback(self._clock.stop)
            self.template = self._read_template()
            self.functions = self.template.functions
            self._schedules: tuple[Schedule, ...] = self.template.schedules
            self._sources: tuple[Source, ...] = self.template.sources
            self._environment = {
                name: value for each in self.functions.values() for name, value in each.environment.items()
            }
            self._alarms = _alarms(self.template)
            self._fresh()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        LocalStack._running = False
        self._exits.close()

    def reset(self, start: int | None = None) -> None:
        """A fresh stack in place of this one: empty tables and queues, an idle stand-in, the clock at `start`."""
        BackendDict.reset()
        self._coordinates.move_to(float(self._start if start is None else start))
        self.graph.reset()
        self._fresh()

    def _read_template(self) -> Template:
        source = Template().source
        parameters = {
            **{name: value for name, value in LOCAL_PARAMETERS.items() if name in source["Parameters"]},
            "GraphUrl": self.graph.url,
            "InstagramGraphUrl": self.graph.url,
            **self._overrides,
        }
        return Template(source, parameters=parameters)

    def _fresh(self) -> None:
        _LOGS.lines.clear()
        self.failures = []
        self._requests = itertools.count(1)
        self._deliveries: list[tuple[int, int, str, Any, int]] = []
        self._ringing: dict[str, int] = {}
        self._fired: dict[str, int] = {}
        self._considered = {each.name: _before(self.now, each.period) for each in self._schedules}
        _reset_wiring()
        for container in _CONTAINERS.values():
            container.forget_secrets()
        self._heard: list[dict[str, Any]] = []
        _create(self.template)
        self._listen()
        _query_by_key()
        _roll_back_by_item()
        self._put_secrets()

    def _put_secrets(self) -> None:
        path = self.template.parameters["SecretsPath"]
        self._put_secret(f"{path}/pepper", PEPPER)
        for channel in CHANNELS:
            self._put_secret(f"{path}/{channel}/app-secrets", webhooks.APP_SECRET)
            self._put_secret(f"{path}/{channel}/verify-token", VERIFY_TOKEN)

    def _put_secret(self, name: str, value: str) -> None:
        _client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def now(self) -> int:
        """The virtual time, epoch seconds."""
        return int(datetime.now(UTC).timestamp())

    def travel(self, at: int) -> None:
        """Move the clock to `at` and run nothing: what was due in between is missed, as in an outage."""
        self._move(at)
        for each in self._schedules:
            # A tick at this very moment is still to come, unless it has been.
            missed = _before(at, each.period)
            self._considered[each.name] = max(missed, min(self._fired.get(each.name, missed), at))

    def run_until(self, at: int) -> None:
        """Let time pass until `at`: schedules fire, the queue is polled, receipts and echoes come back.

        Everything that happens at one moment happens in this order: what the platform delivers, the sweep, the
        queue. A sweep is left out only if the table has no timer that could ring by then, and never two in a row,
        so that the heartbeat stays as young as in a real deployment.
        """
        while (moment := self._next_moment(at)) <= at:
            self._move(max(moment, self.now))
            self._deliver()
            for schedule in self._schedules:
                if self._tick(schedule, at) <= self.now:
                    self._considered[schedule.name] = _at_or_before(self.now, schedule.period)
                    self._fire(schedule)
            self.drain()
        self._move(at)
        for schedule in self._schedules:
            self._considered[schedule.name] = _at_or_before(at, schedule.period)

    def sweep(self) -> None:
        """Fire the sweeper's schedule once, now."""
        for schedule in self._schedules:
            if self._is_sweeper(schedule):
                self._fire(schedule)

    def drain(self) -> int:
        """Poll every queue that feeds a function until it has nothing visible; returns how many messages were tried."""
        tried = 0
        for source in self._sources:
            self._forget_old_messages(source.queue)
            while self._has_visible(source.queue) and (batch := self._poll(source)):
                tried += batch
        return tried

    def expire(self) -> int:
        """Delete what its time to live has outlived, as DynamoDB does some day; returns how many rows went."""
        gone = 0
        for logical_id, properties in self.template.of_type(TABLE).items():
            attribute = (properties.get("TimeToLiveSpecification") or {}).get("AttributeName")
            keys = [each["AttributeName"] for each in properties["KeySchema"]]
            for item in list(self._items(logical_id)) if attribute else ():
                expires = item.attrs.get(attribute)
                if expires is not None and float(expires.value) < self.now:
                    key = {name: item.attrs[name].to_json() for name in keys}
                    _client("dynamodb").delete_item(TableName=self.template.name(logical_id), Key=key)
                    gone += 1
        return gone

    def _move(self, at: int) -> None:
        self._coordinates.move_to(float(at))
        for alarm, until in list(self._ringing.items()):
            if until <= at:
                self._set_alarm(alarm, "OK")
                del self._ringing[alarm]

    def _next_moment(self, until: int) -> int:
        """When something happens next; anything after `until` if nothing does by then."""
        moments = [self._tick(each, until) for each in self._schedules]
        moments += [at for each in self._sources if (at := self._next_visible(each.queue)) is not None]
        if self._deliveries:
            moments.append(self._deliveries[0][0])
        # The stand-in says what is due, not when something will be: its own list does.
        moments += [-int(-due[0] // 1) for due in self.graph._due]
        return min(moments)

    def _tick(self, schedule: Schedule, until: int) -> int:
        """The next moment at which the schedule has to fire, looked for no further than `until`."""
        tick = self._considered[schedule.name] + schedule.period
        fired_before = self._fired.get(schedule.name) == tick - schedule.period
        if tick > until or not fired_before or not self._is_sweeper(schedule):
            return tick
        rings = self._next_ring()
        return tick if rings is not None and rings <= tick else tick + schedule.period

    def _is_sweeper(self, schedule: Schedule) -> bool:
        return self.functions[schedule.function].code.name == "sweeper"

    def _next_ring(self) -> int | None:
        """The earliest timer in the pairs table, read from moto's memory without a request."""
        timers = (item.attrs.get("due_at") for item in self._items("Pairs"))
        return min((int(float(each.value)) for each in timers if each is not None), default=None)

    def _fire(self, schedule: Schedule) -> None:
        self._fired[schedule.name] = _at_or_before(self.now, schedule.period)
        event = _scheduled(schedule, self.now)
        with contextlib.suppress(_HandlerFailed):
            self.invoke(schedule.function, event)

    # ── in: webhooks ────────────────────────────────────────────────────────────────────────────────────────

    def post(
        self,
        channel: str,
        body: Mapping[str, Any] | bytes,
        *,
        headers: Mapping[str, str] | None = None,
        signature: str | None = "good",
        base64: bool = False,
    ) -> Response:
        """POST to the channel's Function URL as Meta does; `signature` is `good`, `bad` or None (no header).

        A dict is written as Meta writes it (non-ASCII escaped). `base64` hands the body over encoded, as Lambda does
        with what is not text. A handler that raises is answered 502, as Function URLs do.
        """
        raw = bytes(body) if isinstance(body, (bytes, bytearray)) else webhooks.encode(dict(body))
        if signature == "good":
            # Whatever becomes of the webhook, the platform knows that the person wrote.
            for act in webhooks.openings(channel, raw):
                self.graph.inbound(channel, act.bot, act.user, act.at, number=act.number)
        given = {"content-type": "application/json", "user-agent": "facebookexternalua"}
        if signature is not None:
            given["x-hub-signature-256"] = webhooks.sign(raw) if signature == "good" else "sha256=" + "0" * 64
        given.update({name.lower(): value for name, value in (headers or {}).items()})
        given["content-length"] = str(len(raw))
        return self.request(self._webhook(channel).id, "POST", headers=given, body=raw, base64=base64)

    def handshake(self, channel: str, token: str, challenge: str, *, mode: str = "subscribe") -> Response:
        """GET the channel's Function URL as Meta does when somebody enters it in the app's settings."""
        query = {"hub.mode": mode, "hub.challenge": challenge, "hub.verify_token": token}
        return self.request(self._webhook(channel).id, "GET", query=query)

    def request(
        self,
        function_id: str,
        method: str,
        path: str = "/",
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        base64: bool = False,
    ) -> Response:
        """Ask any function that has a Function URL, as its caller would. A handler that raises is answered 502."""
        function = self.functions[function_id]
        if not function.url:
            raise ValueError(f"the template gives no URL to {function_id}")
        event = _url_event(
            self.template.url(function.id),
            method,
            path,
            headers=headers or {},
            query=query or {},
            raw=body,
            as_base64=base64,
            now=self.now,
        )
        try:
            result = self.invoke(function.id, event)
        except _HandlerFailed:
            return Response(502, "Internal Server Error")
        response = _url_response(result)
        if response.status >= 500:
            self._count_failure("Url5xxCount", function)
        return response

    def _webhook(self, channel: str) -> Function:
        for function in self.functions.values():
            if function.url and function.file.stem == channel:
                return function
        raise ValueError(f"the template gives no URL to a function for {channel}")

    def _deliver(self) -> None:
        """Post what the stand-in has to say by now, and what was not taken before."""
        for channel, body in self.graph.statuses_due(self.now):
            heapq.heappush(self._deliveries, (self.now, next(self._requests), channel, body, 0))
        while self._deliveries and self._deliveries[0][0] <= self.now:
            _, _, channel, body, attempt = heapq.heappop(self._deliveries)
            if self.post(channel, body).status != 200 and attempt < REDELIVERIES:
                again = (self.now + REDELIVERY, next(self._requests), channel, body, attempt + 1)
                heapq.heappush(self._deliveries, again)

    # ── functions ───────────────────────────────────────────────────────────────────────────────────────────

    def invoke(self, function_id: str, event: Mapping[str, Any]) -> Any:
        """Run a function by its logical id, as Lambda does: JSON in, JSON out. What it raises is kept in `failures`."""
        function = self.functions[function_id]
        context = LambdaContext(function, f"00000000-0000-4000-8000-{next(self._requests):012d}")
        try:
            with self._as_function(function):
                handler = self._container(function).handler
                return json.loads(json.dumps(handler(json.loads(json.dumps(event)), context)))
        except Exception as error:
            self.failures.append(Failure(self.now, function_id, error))
            self._count_failure("Errors", function)
            raise _HandlerFailed(function_id) from error

    @contextlib.contextmanager
    def _as_function(self, function: Function) -> Iterator[None]:
        """The process looks like the function's own: its environment, its standard output."""
        wanted = _lambda_environment(function)
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            with contextlib.redirect_stdout(_LOGS):
                yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def _container(self, function: Function) -> _Container:
        container = _CONTAINERS.get(function.id)
        if container is None or container.environment != function.environment:
            module = _load(function)
            container = _Container(dict(function.environment), module, getattr(module, function.attribute))
            _CONTAINERS[function.id] = container
            _send_logs_to(_LOGS)
        return container

    def _count_failure(self, metric: str, function: Function) -> None:
        for name, alarm in self._alarms.items():
            if (metric, function.name) in alarm.metrics:
                if name not in self._ringing:
                    self._set_alarm(name, "ALARM")
                self._ringing[name] = self.now + alarm.window

    def _set_alarm(self, name: str, state: str) -> None:
        cloudwatch_backends[ACCOUNT][REGION].set_alarm_state(name, "local", "{}", state)

    # ── the queue ───────────────────────────────────────────────────────────────────────────────────────────

    def _poll(self, source: Source) -> int:
        """One batch from the queue to the function, as an event source mapping does it; returns the batch's size."""
        sqs, url = _client("sqs"), self.template.resolve({"Ref": source.queue})
        received = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(source.batch_size, 10),
            WaitTimeSeconds=0,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not received:
            return 0
        event = {"Records": [_sqs_record(each, self.template.arn(source.queue)) for each in received]}
        try:
            result = self.invoke(source.function, event)
        except _HandlerFailed:
            return len(received)
        failed = _failed_ids(result, {each["MessageId"] for each in received}) if source.partial_failures else set()
        done = [each for each in received if each["MessageId"] not in failed]
        if done:
            entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(done)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return len(received)

    def _messages(self, queue: str) -> list[Any]:
        return sqs_backends[ACCOUNT][REGION].queues[self.template.name(queue)]._messages

    def _forget_old_messages(self, queue: str) -> None:
        """Drop what the queue has kept for longer than it keeps anything (moto would hand it to the dead letters)."""
        kept = int(self.template.of_type(QUEUE)[queue].get("MessageRetentionPeriod", 345_600))
        messages = self._messages(queue)
        messages[:] = [each for each in messages if each.sent_timestamp / 1_000 > self.now - kept]

    def _has_visible(self, queue: str) -> bool:
        return any(each.visible and not each.delayed for each in self._messages(queue))

    def _next_visible(self, queue: str) -> int | None:
        """The next second at which a hidden message of the queue shows again."""
        moments = (max(each.visible_at, each.delayed_until) for each in self._messages(queue))
        return min((int(each // 1_000) + 1 for each in moments), default=None)

    def queue_depth(self) -> int:
        """How many messages wait for the sender, visible or in flight."""
        senders = (each for each in self._sources if self.functions[each.function].code.name == "sender")
        return sum(len(self._messages(each.queue)) for each in senders)

    def dead_letters(self) -> list[dict[str, Any]]:
        """The bodies of the dead-letter queues' messages (as JSON where they are)."""
        fed = {each.queue for each in self._sources}
        return [
            _json_or_text(message.body)
            for queue in self.template.of_type(QUEUE)
            if queue not in fed
            for message in self._messages(queue)
        ]

    # ── the operator ────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, bot: Bot, *, enabled_at: int) -> None:
        """Put a bot into the table, its token where the sender looks for it, and make it known to the platform."""
        table = self.template.name("Bots")
        published = max((row["version"] for row in self.bots() if row["id"] == bot.id), default=0)
        version = max(bot.version, published + 1)
        row = {
            "id": bot.id,
            "settings": to_settings(bot),
            "version": version,
            "mode": bot.mode,
            "enabled_at": enabled_at,
            "updated_at": self.now,
            **({"paused": bot.paused} if bot.paused else {}),
        }
        _client("dynamodb").put_item(TableName=table, Item={name: _typed(value) for name, value in row.items()})
        token = f"token-of-{bot.id}"
        secrets = bot.secrets or f"{self.template.parameters['SecretsPath']}/bots/{bot.id}"
        self._put_secret(f"{secrets}/token", token)
        self.graph.register_token(token, bot.id, channel=bot.channel)
        if bot.template is not None:
            self.graph.register_template(bot.template.name, bot.template.language)

    def pause(self, bot_id: str, why: str = "operator") -> None:
        """Stop a bot at once, until it is resumed."""
        self._update_bot(bot_id, "SET #paused = :why, #updated = :now", {":why": {"S": why}})

    def resume(self, bot_id: str) -> None:
        """Let a paused bot go on."""
        self._update_bot(bot_id, "REMOVE #paused SET #updated = :now", {})

    def _update_bot(self, bot_id: str, expression: str, values: Mapping[str, Any]) -> None:
        _client("dynamodb").update_item(
            TableName=self.template.name("Bots"),
            Key={"id": {"S": bot_id}},
            UpdateExpression=expression,
            ConditionExpression="attribute_exists(#id)",
            ExpressionAttributeNames={"#id": "id", "#paused": "paused", "#updated": "updated_at"},
            ExpressionAttributeValues={**values, ":now": {"N": str(self.now)}},
        )

    # ── what an operator could look up ──────────────────────────────────────────────────────────────────────

    def pairs(self) -> list[dict[str, Any]]:
        """The rows of the pairs table as plain values, the users' own rows (`bot` is `*`) included."""
        return self._rows("Pairs")

    def interactions(self) -> list[dict[str, Any]]:
        """The rows of the interactions table as plain values."""
        return self._rows("Interactions")

    def bots(self) -> list[dict[str, Any]]:
        """The rows of the bots table as plain values, the deployment's own row (`id` is `*`) included."""
        return [{"version": 0, **row} for row in self._rows("Bots")]

    def events(self) -> list[dict[str, Any]]:
        """What was put on the event bus, oldest first, in the keys of an EventBridge event."""
        return list(self._heard)

    def _listen(self) -> None:
        """Note what is put on the bus; moto itself keeps only what a rule sends somewhere."""
        backend = events_backends[ACCOUNT][REGION]
        put = backend.put_events

        def noted(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
            self._heard += [
                {
                    "time": self.now,
                    "source": each.get("Source"),
                    "detail-type": each.get("DetailType"),
                    "detail": _json_or_text(each.get("Detail", "")),
                }
                for each in events
            ]
            return put(events)

        backend.put_events = noted

    @property
    def logs(self) -> str:
        """What the functions wrote to their standard output."""
        return "".join(_LOGS.lines)

    def _rows(self, logical_id: str) -> list[dict[str, Any]]:
        rows = [{name: _plain(value) for name, value in item.attrs.items()} for item in self._items(logical_id)]
        keys = [each["AttributeName"] for each in self.template.resources[logical_id]["Properties"]["KeySchema"]]
        return sorted(rows, key=lambda row: tuple(str(row[name]) for name in keys))

    def _items(self, logical_id: str) -> Iterator[Any]:
        """A table's items straight from moto's memory: reading them costs the functions nothing."""
        return _items_of(dynamodb_backends[ACCOUNT][REGION].tables[self.template.name(logical_id)])


class _HandlerFailed(Exception):
    """A handler raised; the stack has noted what."""


# ── functions ───────────────────────────────────────────────────────────────────────────────────────────────────


def _load(function: Function) -> ModuleType:
    """Import the function's file as a cold start does, under a name of its own (two functions are called `app`).

    On Lambda every function has a process of its own, so none may find what another's cold start has built.
    """
    _reset_wiring()
    name = f"relance_function_{function.id}"
    spec = importlib.util.spec_from_file_location(name, function.file)
    if spec is None or spec.loader is None or not function.file.exists():
        raise FileNotFoundError(f"{function.id}: no such file: {function.file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _lambda_environment(function: Function) -> dict[str, str]:
    return {
        **_CREDENTIALS,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        **function.environment,
    }


def _reset_wiring() -> None:
    wiring = sys.modules.get("relance.wiring")
    if wiring is not None:
        wiring.reset()


def _send_logs_to(sink: _Logs) -> None:
    """Loggers that were made before the first cold start write to what was the console then; turn those to the sink."""
    console = (sys.stdout, sys.__stdout__)
    for logger in list(logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, "handlers", ()):
            is_ours = isinstance(getattr(handler, "formatter", None), LambdaPowertoolsFormatter)
            if isinstance(handler, logging.StreamHandler) and (is_ours or handler.stream in console):
                handler.setStream(sink)


# ── resources ───────────────────────────────────────────────────────────────────────────────────────────────────


def _create(template: Template) -> None:
    """Make in moto what the template declares: tables, queues, buses, alarms."""
    dynamodb, sqs, events, cloudwatch = map(_client, ("dynamodb", "sqs", "events", "cloudwatch"))
    for id_, properties in template.of_type(TABLE).items():
        name = template.name(id_)
        # Encryption means nothing here, and moto would make a key pair for every fresh stack.
        table = {**properties, "TableName": name, "SSESpecification": {}}
        dynamodb.create_table(**_fitting(dynamodb, "CreateTable", table))
        if "TimeToLiveSpecification" in properties:
            given = {"TableName": name, "TimeToLiveSpecification": properties["TimeToLiveSpecification"]}
            dynamodb.update_time_to_live(**_fitting(dynamodb, "UpdateTimeToLive", given))
    queues = template.of_type(QUEUE)
    # A queue must exist before another can name it as its dead-letter queue.
    for id_, properties in sorted(queues.items(), key=lambda each: "RedrivePolicy" in each[1]):
        attributes = {
            key: json.dumps(value) if isinstance(value, dict) else str(value).lower()
            for key, value in properties.items()
            if key in _QUEUE_ATTRIBUTES
        }
        if "RedrivePolicy" in properties:
            attributes["RedrivePolicy"] = json.dumps(properties["RedrivePolicy"])
        sqs.create_queue(QueueName=template.name(id_), Attributes=attributes)
    for id_ in template.of_type(BUS):
        events.create_event_bus(Name=template.name(id_))
    for id_, properties in template.of_type(ALARM).items():
        alarm = {**properties, "AlarmName": template.name(id_)}
        cloudwatch.put_metric_alarm(**_fitting(cloudwatch, "PutMetricAlarm", alarm))
        cloudwatch_backends[ACCOUNT][REGION].set_alarm_state(template.name(id_), "local", "{}", "OK")


_QUEUE_ATTRIBUTES = (
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "DelaySeconds",
    "MaximumMessageSize",
    "ReceiveMessageWaitTimeSeconds",
    "SqsManagedSseEnabled",
    "FifoQueue",
)


def _fitting(client: Any, operation: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """CloudFormation properties as arguments of the API call: those it knows, each in the type it wants."""
    return _shaped(client.meta.service_model.operation_model(operation).input_shape, properties)


def _shaped(shape: Shape, value: Any) -> Any:
    if shape.type_name == "structure":
        members = shape.members
        return {name: _shaped(members[name], each) for name, each in value.items() if name in members}
    if shape.type_name == "list":
        return [_shaped(shape.member, each) for each in value]
    if shape.type_name in ("integer", "long"):
        return int(value)
    if shape.type_name in ("float", "double"):
        return float(value)
    if shape.type_name == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    return str(value) if shape.type_name == "string" else value


@dataclass(frozen=True, slots=True)
class _Alarm:
    """What makes an alarm ring, as (metric, function name), and for how many seconds a failure keeps it ringing."""

    metrics: frozenset[tuple[str, str]]
    window: int


def _alarms(template: Template) -> dict[str, _Alarm]:
    found = {}
    for id_, properties in template.of_type(ALARM).items():
        metrics = list(_metrics(properties))
        periods = [each["Period"] for each in _mappings(properties) if "Period" in each]
        window = int(properties.get("EvaluationPeriods", 1)) * max((int(each) for each in periods), default=60)
        found[template.name(id_)] = _Alarm(frozenset(metrics), window)
    return found


def _metrics(properties: Any) -> Iterator[tuple[str, str]]:
    for each in _mappings(properties):
        for dimension in each.get("Dimensions", ()) if "MetricName" in each else ():
            if dimension["Name"] == "FunctionName":
                yield each["MetricName"], dimension["Value"]


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for each in children:
        yield from _mappings(each)


# ── moto, made quick: the same answers without walking through everything ───────────────────────────────────────


def _query_by_key() -> None:
    """Let a query of moto's look at the items that can match, where moto sorts the whole table first."""
    for table in dynamodb_backends[ACCOUNT][REGION].tables.values():
        _narrow(table)


def _narrow(table: Table) -> None:
    query = table.query

    def narrowed(hash_key: Any, *given: Any, **named: Any) -> Any:
        index = named["index_name"] if "index_name" in named else (given[6] if len(given) > 6 else None)
        if index is None:
            found = table.items.get(hash_key, {})
            candidates = list(found.values()) if table.range_key_attr else [found] if found else []
        else:
            keys = [each["AttributeName"] for each in table.get_index(index).schema]
            candidates = [item for item in _items_of(table) if all(key in item.attrs for key in keys)]
        table.all_items = lambda: candidates
        try:
            return query(hash_key, *given, **named)
        finally:
            del table.all_items

    table.query = narrowed


def _items_of(table: Table) -> Iterator[Any]:
    for value in table.items.values():
        if table.range_key_attr:
            yield from value.values()
        else:
            yield value


def _roll_back_by_item() -> None:
    """Let a transaction of moto's remember the few items it touches, where moto copies whole tables to roll back.

    The outcome is the same; with thousands of people the copies would take nearly all of the time.
    """
    backend = dynamodb_backends[ACCOUNT][REGION]
    transact = backend.transact_write_items

    def transact_write_items(transact_items: list[dict[str, Any]]) -> None:
        before = []
        for operation in transact_items:
            ((kind, given),) = operation.items()
            table = backend.get_table(given["TableName"])
            source = given["Item"] if kind == "Put" else given["Key"]
            hash_key = DynamoType(source[table.hash_key_attr])
            range_key = DynamoType(source[table.range_key_attr]) if table.range_key_attr else None
            before.append((table, hash_key, range_key, copy.deepcopy(table.get_item(hash_key, range_key))))
        try:
            with mock.patch.object(dynamodb_models, "copy", _NoTableCopies):
                transact(transact_items)
        except Exception:
            for table, hash_key, range_key, item in before:
                table.delete_item(hash_key, range_key)
                if item is not None and table.range_key_attr:
                    table.items[hash_key][range_key] = item
                elif item is not None:
                    table.items[hash_key] = item
            raise

    backend.transact_write_items = transact_write_items


class _NoTableCopies:
    """Stands for the module `copy` while a transaction runs: a whole table is not copied, all else is."""

    copy = staticmethod(copy.copy)

    @staticmethod
    def deepcopy(value: Any, memo: dict[int, Any] | None = None) -> Any:
        return value if isinstance(value, Table) else copy.deepcopy(value, memo)


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _url_event(
    url: str,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    raw: bytes | None,
    as_base64: bool,
    now: int,
) -> dict[str, Any]:
    """A request as a Function URL hands it on (payload format 2.0)."""
    host = url.removeprefix("https://").rstrip("/")
    moment = datetime.fromtimestamp(now, UTC)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "&".join(f"{name}={value}" for name, value in query.items()),
        "headers": {"host": host, "x-forwarded-proto": "https", "x-forwarded-port": "443", **headers},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": host.partition(".")[0],
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": f"request-{now}",
            "routeKey": "$default",
            "stage": "$default",
            "time": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": now * 1_000,
        },
        "isBase64Encoded": False,
    }
    if query:
        event["queryStringParameters"] = dict(query)
    if raw is not None:
        try:
            text = None if as_base64 else raw.decode("utf-8")
        except UnicodeDecodeError:
            text = None
        event["isBase64Encoded"] = text is None
        event["body"] = base64.b64encode(raw).decode("ascii") if text is None else text
    return event


def _url_response(result: Any) -> Response:
    """A handler's answer as the caller sees it; what names no status is a body with 200."""
    if not isinstance(result, dict) or "statusCode" not in result:
        return Response(200, result if isinstance(result, str) else json.dumps(result))
    body = result.get("body") or ""
    if result.get("isBase64Encoded"):
        body = base64.b64decode(body).decode("utf-8", "replace")
    return Response(int(result["statusCode"]), body, result.get("headers") or {})


def _scheduled(schedule: Schedule, now: int) -> dict[str, Any]:
    """What EventBridge Scheduler sends: the template's `Input`, else its own envelope."""
    if schedule.input is not None:
        moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json.loads(schedule.input.replace("<aws.scheduler.scheduled-time>", moment))
    return {
        "version": "0",
        "id": f"{schedule.name}-{now}",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{schedule.name}"],
        "detail": "{}",
    }


def _sqs_record(message: Mapping[str, Any], arn: str) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: {"stringValue": each.get("StringValue"), "dataType": each["DataType"]}
            for name, each in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": REGION,
    }


def _failed_ids(result: Any, received: set[str]) -> set[str]:
    """Which messages of the batch stay in the queue. An answer that names a wrong one fails them all, as on Lambda."""
    if result is None or result == {}:
        return set()
    try:
        failed = {each["itemIdentifier"] for each in result["batchItemFailures"] or ()}
    except (KeyError, TypeError):
        return received
    return failed if failed <= received else received


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _before(at: int, period: int) -> int:
    """The last point of the period's grid before `at`."""
    return _at_or_before(at - 1, period)


def _at_or_before(at: int, period: int) -> int:
    return at - at % period


def _json_or_text(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # a body of 100,000 brackets is a poison message, too
        return {"body": body}


def _typed(value: Any) -> dict[str, Any]:
    """A plain value as a DynamoDB attribute."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, (int, float)):
        return {"N": str(value)}
    if value is None:
        return {"NULL": True}
    if isinstance(value, Mapping):
        return {"M": {name: _typed(each) for name, each in value.items()}}
    return {"L": [_typed(each) for each in value]}


def _plain(attribute: Any) -> Any:
    """One of moto's attribute values as a plain value; whole numbers are ints."""
    kind, value = attribute.type, attribute.value
    if kind == "N":
        return int(value) if str(value).lstrip("-").isdigit() else float(value)
    if kind == "M":
        return {name: _plain(each) for name, each in value.items()}
    if kind == "L":
        return [_plain(each) for each in value]
    if kind in ("SS", "NS", "BS"):
        return set(value)
    return None if kind == "NULL" else value
