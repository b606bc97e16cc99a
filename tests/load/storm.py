"""A bad day for a deployment, told by a seed: a backlog of webhooks in a few minutes while AWS and Meta throttle.

The real handlers of the local stack in virtual time. Night: Meta delivers, late, out of order and partly twice, what
hundreds of people wrote; one of them wrote hundreds of times; one body in a hundred is poison. Late morning: timers
ring, and DynamoDB, SQS, Bedrock and the Graph API refuse a share of all requests; for eighty minutes the sender cannot
reach DynamoDB at all, so that the dead-letter queue fills. Afternoon, and again days later: all of it is redriven.

`Ledger` keeps what was sent in and answered; `judge` looks at the end and knows nothing of relance but its tables.
"""

import heapq
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Self
from unittest import mock

import botocore.endpoint
from botocore.awsrequest import AWSResponse
from botocore.endpoint import Endpoint
from botocore.exceptions import ReadTimeoutError

from local import webhooks
from local.bedrock import BedrockStandIn
from local.checker import KEYS, check
from local.stack import PEPPER, LocalStack, Response, _client
from relance.bot import Bot
from relance.pair import user_key

MINUTE, HOUR, DAY = 60, 3_600, 86_400
MIDNIGHT = 1_768_435_200  # 2026-01-15T00:00:00Z, a Thursday; in London it is midnight, too
CHANNELS = ("whatsapp", "messenger", "instagram")
NEEDED = 5

# When what happens, seconds after midnight.
WRITTEN = (1 * HOUR, 2 * HOUR)
ARRIVES = (2 * HOUR, 2 * HOUR + 10 * MINUTE)
CLEARS = ARRIVES[1] + 5 * MINUTE  # the stack delivers twenty times, a minute apart; Meta does so for hours and days
BLACKOUT = (10 * HOUR + 40 * MINUTE, 12 * HOUR)
FIRST_REDRIVE = 14 * HOUR
EVENING = 20 * HOUR
DAYS_LATER = 3 * DAY + 12 * HOUR

SCREEN = Bot(
    id="1001",
    channel="messenger",
    name="Lumen",
    operator="Lumen Cinema",
    mode="live",
    country="US",
    zone="Europe/London",
    audience_zones=("Europe/London",),
    languages=("en",),
    app_ids=(webhooks.OWN_APP,),
    preferred_silence=9 * HOUR,
    consent="soft",
    soft_basis="people asked for film tips",
    notice=True,
    ai_is_incidental=True,
)
BOTS = {channel: replace(SCREEN, id=f"100{n}", channel=channel) for n, channel in enumerate(CHANNELS)}

WORDS = (
    "Good evening, what is on this weekend?",
    "Do you show the film about the harbour pilots?",
    "Is it in the small hall or in the large one?",
    "My brother liked the music in it very much",
    "Which other films did that director make?",
    "Is there a showing with subtitles?",
    "Tell me more about the harbour film some time",
)
DRAFT = {
    "message": "You wanted to hear more about the harbour film. Shall I tell you what it is about?",
    "topic_quote": "more about the harbour film",
    "language": "en",
}
STOP = "STOP"


# ── who ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a person; `at` as the platform says it was written, epoch seconds."""

    id: str
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Someone:
    """A person and what they write. `kind`: earns (five and more), four, stops, hot."""

    channel: str
    user: str
    kind: str
    messages: tuple[Message, ...]

    @property
    def bot(self) -> str:
        return BOTS[self.channel].id

    @property
    def key(self) -> str:
        """The key that the tables know this person by."""
        return user_key(self.channel, self.user, PEPPER.encode())


def crowd(people: int, hot: int, luck: random.Random) -> list[Someone]:
    """`people` persons over three channels, and one who writes `hot` messages within the same hour."""
    found = []
    for number in range(people):
        channel = CHANNELS[number % 3]
        kind = luck.choices(("earns", "four", "stops"), (80, 10, 10))[0]
        found.append(_someone(number, channel, kind, 4 if kind == "four" else luck.randint(5, 7), luck))
    found.append(_someone(people, "messenger", "hot", hot, luck))
    return found


def _someone(number: int, channel: str, kind: str, count: int, luck: random.Random) -> Someone:
    user = f"GB.{900_000_000_000 + number}" if channel == "whatsapp" else str(9_000_000_000_000_000 + number)
    first, last = WRITTEN
    times = sorted(MIDNIGHT + luck.randrange(first, last) for _ in range(count))
    texts = [*(WORDS[i % (len(WORDS) - 1)] for i in range(count - 1)), WORDS[-1]]
    if kind == "stops":
        times, texts = [*times, MIDNIGHT + last + 1], [*texts, STOP]
    prefix = "wamid.load" if channel == "whatsapp" else "m_load"
    said = (Message(f"{prefix}.{number}.{i}", *each) for i, each in enumerate(zip(times, texts, strict=True)))
    return Someone(channel, user, kind, tuple(said))


# ── what is posted ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Post:
    """One POST of Meta's, the messages it carries, and how often it is delivered for the first time."""

    channel: str
    raw: bytes
    ids: tuple[str, ...] = ()
    poison: str = ""
    copies: int = 1


def posts(people: Sequence[Someone], luck: random.Random) -> list[Post]:
    """Every message in a POST of its own or in a batch; one in ten delivered twice; one body in a hundred poison."""
    loose: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for someone in people:
        for message in someone.messages:
            body = webhooks.build(
                someone.channel, "text", bot=someone.bot, user=someone.user, at=message.at, id=message.id,
                text=message.text,
            )  # fmt: skip
            loose[someone.channel].append((message.id, body))
    found = []
    for channel, bodies in loose.items():
        luck.shuffle(bodies)
        while bodies:
            size = luck.choice((2, 3, 5)) if luck.random() < 0.05 else 1
            batch, bodies[:size] = bodies[:size], []
            body = batch[0][1] if len(batch) == 1 else webhooks.merge([one for _, one in batch])
            post = Post(channel, webhooks.encode(body), tuple(id_ for id_, _ in batch))
            post.copies = 2 if luck.random() < 0.1 else 1
            found.append(post)
    for number in range(max(len(POISON), len(found) // 100)):
        name = list(POISON)[number % len(POISON)]
        channel = CHANNELS[number % 3]
        found.append(Post(channel, POISON[name](channel, number), poison=name))
    luck.shuffle(found)
    return found


def _strange(channel: str, number: int, **more: Any) -> dict[str, Any]:
    """A message of nobody whom the check expects anything of: they write once."""
    user = f"GB.{800_000_000_000 + number}" if channel == "whatsapp" else str(8_000_000_000_000_000 + number)
    given = {"bot": BOTS[channel].id, "user": user, "at": MIDNIGHT + HOUR, "id": f"m_poison.{number}", "text": "hello"}
    return webhooks.build(channel, "text", **(given | more))


def _with_a_lone_surrogate(channel: str, number: int) -> bytes:
    return webhooks.encode(_strange(channel, number, text="half a face MARK")).replace(b"MARK", b"\\ud83d")


def _without_its_middle(channel: str, number: int) -> bytes:
    body = _strange(channel, number)
    body["entry"] = [{"id": body["entry"][0]["id"], "time": 1, "changes": [{"field": "messages"}], "messaging": [7]}]
    return webhooks.encode(body)


# Bodies that Meta's signature does not make sound; each is signed as any other.
POISON: Mapping[str, Callable[[str, int], bytes]] = {
    "cut off": lambda channel, n: webhooks.encode(_strange(channel, n))[:-9],
    "lone surrogate": _with_a_lone_surrogate,
    "not utf-8": lambda channel, n: webhooks.encode(_strange(channel, n)).replace(b"hello", b"h\xff\xfello"),
    "another shape": _without_its_middle,
    "not json": lambda channel, n: b"hello=world",
    "deep": lambda channel, n: b'{"object":"page","entry":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "not a number": lambda channel, n: b'{"object":"page","entry":[{"time":NaN}]}',
    "a list of nothing": lambda channel, n: b"[[],[null]]",
    "empty": lambda channel, n: b"",
    "a time of five thousand digits": lambda channel, n: b'{"object":"page","entry":[{"time":' + b"9" * 5_000 + b"}]}",
}

# Queue messages that no sweeper wrote; the last two can be read and lead nowhere.
POISON_MESSAGES = (
    "",
    " ",
    "not json",
    "[1,2]",
    '{"v":2,"user":"messenger#0","bot":"1001"}',
    '{"v":1,"user":7,"bot":"1001"}',
    '{"v":1,"user":"messenger#' + "0" * 32 + '","bot":"1001","about":"money","message_id":"m"}',
    "[" * 20_000,
    '{"v":1,"user":"messenger#' + "0" * 32 + '","bot":"1001"}',
    '{"v":1,"user":"\\ud83d","bot":"\\ud83d"}',
)


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Weather:
    """Which share of requests is refused, and how: shares of one, by service."""

    throttled: dict[str, float] = field(default_factory=dict)
    lost: float = 0  # of DynamoDB's writes and of queue sends: took effect, and the answer never came
    partial: float = 0  # of batches: a part is not taken (SQS `Failed`, DynamoDB `UnprocessedKeys`)
    dark: frozenset[str] = frozenset()  # functions that cannot reach DynamoDB at all
    spared: frozenset[str] = frozenset()  # functions for whom all is well


FAIR = Weather()
FOUL = Weather({"dynamodb": 0.15, "sqs": 0.2, "bedrock-runtime": 0.3, "ssm": 0.05, "events": 0.1}, 0.02, 0.2)
# By day the webhooks, which take receipts then, are spared: one that fails holds everything for an hour (decision
# 0008), and hardly anybody would be written to all day.
DAYTIME = replace(FOUL, spared=frozenset({"webhook"}))

_ERRORS: Mapping[str, Sequence[tuple[str, int]]] = {
    "dynamodb": (
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
        ("RequestLimitExceeded", 400),
        ("InternalServerError", 500),
    ),
    "sqs": (("RequestThrottled", 400), ("ThrottlingException", 400), ("ServiceUnavailable", 503)),
    "bedrock-runtime": (
        ("ThrottlingException", 429),
        ("ModelTimeoutException", 408),
        ("ServiceUnavailableException", 503),
        ("timeout", 0),
    ),
    "ssm": (("ThrottlingException", 400),),
    "events": (("ThrottlingException", 400),),
}

# What the Graph API does with somebody's first message: refusals, trouble, and answers that nobody can read.
CLEAN: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "whatsapp": {
        "130429": {"code": 130429, "status": 429},
        "80007": {"code": 80007, "status": 429},
        "4": {"code": 4, "status": 429},
        "503 with a code": {"code": 131016, "status": 503},
    },
    "messenger": {"613": {"code": 613, "status": 429}, "4": {"code": 4, "status": 403}},
    "instagram": {"613": {"code": 613, "status": 429}, "4": {"code": 4, "status": 403}},
}
AMBIGUOUS: Mapping[str, Mapping[str, Any]] = {
    "bare 502": {"status": 502, "body": ""},
    "bare 502, delivered": {"status": 502, "body": "", "accepts": True},
    "hung up": {"drop": "after_read", "accepts": False},
    "hung up, delivered": {"drop": "after_read"},
}


@dataclass(slots=True)
class Ledger:
    """What was sent in, what was answered, and what was refused on the way: the figures of a run."""

    acked: set[bytes] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    dead: int = 0
    redriven: int = 0
    unknown: int = 0  # who was tried once, and the sender could not write what became of it


class Storm(LocalStack):
    """A local stack in bad weather. `weather` may change at any time; `ledger` keeps count."""

    def __init__(self, seed: int) -> None:
        chosen = {"Writer": "bedrock", "ModelId": "eu.amazon.nova-micro-v1:0"}
        super().__init__(start=MIDNIGHT, parameters=chosen)
        self.weather, self.ledger, self.luck = FAIR, Ledger(), random.Random(seed)
        self._inside = ""

    def __enter__(self) -> Self:
        super().__enter__()
        bedrock = self._exits.enter_context(BedrockStandIn())
        bedrock.says(DRAFT)
        for patch in (
            mock.patch.dict("os.environ", {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url}),
            mock.patch.object(Endpoint, "_get_response", self._unsure(Endpoint._get_response)),
            # botocore waits in real time before it tries again.
            mock.patch.object(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None)),
        ):
            self._exits.enter_context(patch)
        for bot in BOTS.values():
            self.publish(bot, enabled_at=MIDNIGHT - 30 * DAY)
        return self

    def expect(self, people: Sequence[Someone], share: float) -> dict[str, str]:
        """Have the Graph API refuse, or lose, the first message to a share of the people; who, and how."""
        told = {}
        for someone in people:
            if self.luck.random() >= share:
                continue
            ways = dict(AMBIGUOUS) if self.luck.random() < 0.3 else dict(CLEAN[someone.channel])
            told[someone.user] = name = self.luck.choice(sorted(ways))
            self.graph.fault(user=someone.user, **ways[name])
        return told

    def deliver(self, all_posts: Sequence[Post]) -> None:
        """Have Meta deliver these in the ten minutes of the backlog, each until it is answered with 200."""
        first, last = ARRIVES
        for post in all_posts:
            for _ in range(post.copies):
                at = MIDNIGHT + self.luck.randrange(first, last)
                heapq.heappush(self._deliveries, (at, next(self._requests), post.channel, post.raw, 0))

    def post(self, channel: str, body: Mapping[str, Any] | bytes, **given: Any) -> Response:
        response = super().post(channel, body, **given)
        self.ledger.statuses[str(response.status)] += 1
        if isinstance(body, bytes) and response.status == 200:
            self.ledger.acked.add(body)
        return response

    def invoke(self, function_id: str, event: Mapping[str, Any]) -> Any:
        before, self._inside = self._inside, self.functions[function_id].code.name
        try:
            return super().invoke(function_id, event)
        finally:
            self._inside = before

    # ── the queues ──────────────────────────────────────────────────────────────────────────────────────────

    def enqueue(self, bodies: Sequence[str], queue: str = "FollowUpsQueue") -> None:
        """Put bodies into a queue as somebody with the right to do so might; SQS takes no empty one."""
        url = self.template.resolve({"Ref": queue})
        for body in filter(None, bodies):
            _client("sqs").send_message(QueueUrl=url, MessageBody=body)

    def dead(self) -> list[str]:
        """The bodies in the dead-letter queue of the follow-ups, as they were sent."""
        return [message.body for message in self._messages("FollowUpsDeadLetters")]

    def redrive(self) -> int:
        """Send everything of the dead-letter queue to its source again, as the console's button does; how many."""
        bodies = self.dead()
        self._messages("FollowUpsDeadLetters").clear()
        self.enqueue(bodies)
        self.ledger.redriven += len(bodies)
        return len(bodies)

    def idle_until(self, at: int) -> None:
        """Let days pass in which no timer runs: the sweeps in between would have done nothing but beat the heart."""
        self.travel(at)
        _client("dynamodb").update_item(
            TableName=self.template.name("Bots"),
            Key={"id": {"S": "*"}},
            UpdateExpression="SET heartbeat_at = :at",
            ExpressionAttributeValues={":at": {"N": str(at - MINUTE)}},
        )

    # ── requests that fail ──────────────────────────────────────────────────────────────────────────────────

    def _unsure(self, get_response: Callable[..., Any]) -> Callable[..., Any]:
        """Botocore's way to AWS, below its retries: refused, lost, answered in part, or as always."""
        storm = self

        def unsure(endpoint: Endpoint, request: Any, model: Any, context: Any) -> Any:
            service, weather = model.service_model.service_name, storm.weather
            if not storm._inside or storm._inside in weather.spared:
                return get_response(endpoint, request, model, context)
            dark = service == "dynamodb" and storm._inside in weather.dark
            if dark or storm.luck.random() < weather.throttled.get(service, 0):
                return storm._refuse(request, service, model.name)
            if model.name in ("SendMessageBatch", "BatchGetItem") and storm.luck.random() < weather.partial:
                return storm._in_part(get_response, endpoint, request, model, context)
            answer = get_response(endpoint, request, model, context)
            if model.name in ("UpdateItem", "PutItem", "SendMessageBatch") and storm.luck.random() < weather.lost:
                storm.ledger.faults[f"{service}: answer lost"] += 1
                return None, ReadTimeoutError(endpoint_url=request.url)
            return answer

        return unsure

    def _refuse(self, request: Any, service: str, operation: str) -> Any:
        code, status = self.luck.choice(_ERRORS[service])
        self.ledger.faults[f"{service}: {code}"] += 1
        if code == "timeout":
            return None, ReadTimeoutError(endpoint_url=request.url)
        parsed = {"Error": {"Code": code, "Message": "injected"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        if operation == "TransactWriteItems" and code == "ProvisionedThroughputExceededException":
            parsed["Error"]["Code"] = "TransactionCanceledException"
            parsed["CancellationReasons"] = [{"Code": "ProvisionedThroughputExceeded"}, {"Code": "None"}]
        return (AWSResponse(request.url, status, {}, None), parsed), None

    def _in_part(self, get_response: Callable[..., Any], endpoint: Endpoint, request: Any, *rest: Any) -> Any:
        """The first half of a batch is done; of the rest AWS says that it is not."""
        asked = json.loads(request.body)
        batch = asked.get("Entries") or next(iter(asked["RequestItems"].values()))["Keys"]
        if len(batch) < 2:
            return get_response(endpoint, request, *rest)
        left = [batch.pop() for _ in range(len(batch) // 2)]
        request.body = json.dumps(asked).encode()
        request.headers["Content-Length"] = str(len(request.body))
        answer, error = get_response(endpoint, request, *rest)
        if answer is not None and answer[0].status_code == 200:
            self.ledger.faults["sqs: Failed" if "Entries" in asked else "dynamodb: UnprocessedKeys"] += len(left)
            if "Entries" in asked:
                answer[1]["Failed"] = [{"Id": one["Id"], "Code": "InternalError", "SenderFault": False} for one in left]
            else:
                ((table, keys),) = asked["RequestItems"].items()
                answer[1]["UnprocessedKeys"] = {table: keys | {"Keys": left}}
        return answer, error


# ── the judge ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Day:
    """What was planned for a run: everything the judge may know beside the tables and the stand-ins."""

    people: tuple[Someone, ...]
    posts: tuple[Post, ...]
    troubles: Mapping[str, str]


def judge(storm: Storm, day: Day) -> Iterator[str]:
    """What was lost, doubled, or sent to somebody who should not hear; nothing if all promises held."""
    storm.ledger.unknown = 0
    for post in day.posts:
        if post.raw not in storm.ledger.acked:
            yield f"never acknowledged: {post.ids or post.poison}"
    rows = {(row["user"], row["bot"]): row for row in storm.pairs()}
    kept: dict[str, Counter[str]] = defaultdict(Counter)
    for row in storm.interactions():
        if row["side"] == "user":
            kept[row["pair"]][row["at_id"].partition("#")[2]] += 1
    received = Counter(said.to for said in storm.graph.accepted)
    attempts = Counter(seen.to for seen in storm.graph.requests)
    for someone in day.people:
        row = rows.get((someone.key, someone.bot), {})
        yield from _about_messages(someone, row, kept[f"{someone.key}#{someone.bot}"])
        trouble = day.troubles.get(someone.user, "")
        # A sender that cannot reach DynamoDB after its attempt leaves a reservation behind that counts as delivered.
        most = 1 + (trouble not in ("", *AMBIGUOUS))
        if row.get("outcome") == "unknown" and trouble not in AMBIGUOUS and 0 < attempts[someone.user] <= most:
            storm.ledger.unknown += 1
            trouble = "bare 502, delivered" if received[someone.user] else "bare 502"
        yield from _about_the_follow_up(someone, row, received[someone.user], trouble)
    for finding in check(_lines(storm, day, rows)):
        yield from (f"{finding.promise}: {offender}" for offender in finding.offenders)
    strangers = received.keys() - {someone.user for someone in day.people}
    yield from (f"never unearned: {user} is nobody and was written to" for user in strangers)
    if storm.queue_depth():
        yield f"never stuck: {storm.queue_depth()} in the queue"


def _about_messages(someone: Someone, row: Mapping[str, Any], kept: Counter[str]) -> Iterator[str]:
    """Every message that was answered 200 is there, once, and the register is the newest five."""
    wanted = Counter(message.id for message in someone.messages)
    if kept != wanted:
        missing, extra = wanted - kept, kept - wanted
        yield f"never lost: {someone.user} ({someone.kind}) lacks {[*missing]}, has more of {[*extra]}"
    register = [row[name] for name in ("s1", "s2", "s3", "s4", "s5") if row.get(name)]
    newest = sorted((message.at for message in someone.messages), reverse=True)[:NEEDED]
    if [int(value.partition("#")[0]) for value in register] != newest or len({*register}) != len(register):
        yield f"counted once: the register of {someone.user} ({someone.kind}) is {register}, wanted {newest}"


def _about_the_follow_up(someone: Someone, row: Mapping[str, Any], received: int, trouble: str) -> Iterator[str]:
    outcome, reason = row.get("outcome", ""), row.get("reason", "")
    if received > 1:
        yield f"never two: {someone.user} received {received}"
    if someone.kind != "earns" and received:
        yield f"never unearned, never after no: {someone.user} ({someone.kind}) received {received}"
    if someone.kind != "earns" and outcome:
        yield f"never unearned: {someone.user} ({someone.kind}) was reserved: {outcome}"
    if someone.kind == "stops" and reason != "opted_out":
        yield f"the ledger is true: {someone.user} said stop, and it says {reason!r}"
    if someone.kind == "hot" and reason != "heavy_use":
        yield f"the ledger is true: {someone.user} wrote too much, and it says {reason!r}"
    if row.get("due_at") is not None:
        yield f"never stuck: the timer of {someone.user} ({someone.kind}) still runs"
    if someone.kind != "earns":
        return
    if trouble in AMBIGUOUS:
        expected = int("delivered" in trouble)
        # An echo that arrives may have settled it.
        if received != expected or outcome not in ("unknown", "accepted", "delivered", "read"):
            yield f"unknown is never sent again: {someone.user} after {trouble!r}: {received}, {outcome!r}"
    elif received != 1 or outcome not in ("accepted", "delivered", "read"):
        yield f"never forgotten: {someone.user} after {trouble or 'no trouble'!r}: {received}, {outcome!r} {reason!r}"


def _lines(storm: Storm, day: Day, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The run as `local.checker` reads it: what people wrote, what reached them, and what the ledger says of others."""
    bots = [
        {"bot": bot.id, "channel": bot.channel, "mode": bot.mode, "enabled_at": MIDNIGHT - 30 * DAY, "consent": "soft"}
        for bot in BOTS.values()
    ]
    lines = [{**dict.fromkeys(KEYS), "at": MIDNIGHT, "event": "settings", "rules": {}, "bots": bots}]

    def line(someone: Someone, at: int, event: str, **more: Any) -> None:
        given = {"at": at, "event": event, "channel": someone.channel, "bot": someone.bot, "user": someone.user}
        lines.append(dict.fromkeys(KEYS) | given | {"zone": "Europe/London"} | more)

    by_user = {someone.user: someone for someone in day.people}
    for said in storm.graph.accepted:
        if said.to in by_user:
            line(by_user[said.to], int(said.at), "accepted", id=said.id, kind="free_form", text=said.text)
    reached = {said.to for said in storm.graph.accepted}
    for someone in day.people:
        for message in someone.messages:
            line(someone, message.at, "inbound", id=message.id, kind="text", text=message.text)
        row = rows.get((someone.key, someone.bot), {})
        if someone.user not in reached:
            spent = {"unknown": "unknown_outcome", "refused": "refused_by_platform"}.get(row.get("outcome", ""))
            line(someone, storm.now, "withheld", reason=spent or row.get("reason") or "not_earned")
    return sorted(lines, key=lambda each: each["at"])


# ── the day ─────────────────────────────────────────────────────────────────────────────────────────────────────


def live(
    storm: Storm, day: Day, tell: Callable[[str], None] = lambda words: None, *, daytime: Weather = DAYTIME
) -> list[str]:
    """Live through the day and the days after; everything that the judge found by the evening and days later."""
    sent_in = sum(post.copies for post in day.posts)
    storm.deliver(day.posts)
    storm.weather = FOUL
    storm.run_until(MIDNIGHT + CLEARS)
    storm.weather = daytime
    storm.run_until(MIDNIGHT + ARRIVES[1] + 30 * MINUTE)
    tell(f"{sent_in} webhooks in, answered {dict(storm.ledger.statuses)}")
    storm.run_until(MIDNIGHT + BLACKOUT[0])
    storm.enqueue(POISON_MESSAGES)
    tell(f"{len(storm.graph.accepted)} written to; now the sender cannot reach DynamoDB")
    storm.weather = replace(daytime, dark=frozenset({"sender"}))
    storm.run_until(MIDNIGHT + BLACKOUT[1])
    storm.weather = daytime
    storm.run_until(MIDNIGHT + FIRST_REDRIVE)
    storm.ledger.dead = len(storm.dead())
    tell(f"{len(storm.graph.accepted)} written to; {storm.ledger.dead} dead letters, redriven now")
    storm.redrive()
    storm.run_until(MIDNIGHT + EVENING)
    found = [*judge(storm, day)]
    before, rows = [*storm.graph.accepted], storm.pairs()
    tell(f"{len(before)} written to by the evening; {len(found)} findings")

    # Days later everything that ever died is sent again, and a copy for each pair there is.
    storm.idle_until(MIDNIGHT + DAYS_LATER)
    every = [json.dumps({"v": 1, "user": row["user"], "bot": row["bot"]}) for row in rows if row["bot"] != "*"]
    storm.enqueue(every, "FollowUpsDeadLetters")
    redriven = storm.redrive()
    storm.weather = FAIR
    storm.run_until(MIDNIGHT + DAYS_LATER + 2 * HOUR)
    tell(f"{redriven} dead letters redriven three days later")
    found += [f"days later: {said.to} was written to" for said in storm.graph.accepted[len(before) :]]
    found += [f"days later: {row['user']} changed" for row, was in zip(storm.pairs(), rows, strict=True) if row != was]
    real = [body for body in storm.dead() if body not in POISON_MESSAGES]
    found += [f"days later: {len(real)} dead letters that are no poison"] if real else []
    return found


def plan(storm: Storm, *, people: int, hot: int, trouble: float = 0.25) -> Day:
    """A day for `people` persons and one who writes `hot` messages; Graph has trouble with a share of them."""
    everybody = crowd(people, hot, storm.luck)
    told = storm.expect([someone for someone in everybody if someone.kind == "earns"], trouble)
    return Day(tuple(everybody), tuple(posts(everybody, storm.luck)), told)
