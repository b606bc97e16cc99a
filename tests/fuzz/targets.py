"""What must hold whatever bytes come in: one function for each door. Anything that escapes from one is a find.

The same functions are tried by Hypothesis in every run of the suite (`test_targets.py`) and, for as long as one likes,
by a fuzzer that follows coverage (`make fuzz`).
"""

import base64
import contextlib
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unicodedata import category

import typer
import yaml
from aws_lambda_powertools import Logger
from botocore.model import Shape

from local import botfile, cards, cli_preview, evaluation
from local.webhooks import APP_SECRET, sign
from relance import config, erasures, observability, outbox
from relance.bot import Bot
from relance.callbacks import Callbacks
from relance.channels import instagram, login, messenger, payload, signature, whatsapp
from relance.errors import BodyRefused, ConfigurationError, PoisonMessage, UnreadablePayload
from relance.interaction import Event
from relance.outcome import Outcome, classify
from relance.persona import Brief, Draft, Nothing, Persona
from relance.receive import Webhook
from relance.remember import MOST_EVENTS, Memory
from relance.secrets import Secrets
from relance.store.bots import read_bot
from relance.store.interactions import InteractionStore
from relance.store.pairs import Due, PairStore
from relance.store.tables import ConditionFailed, Database
from relance.writers.bedrock import BedrockWriter

NOW = 1_768_478_400  # 2026-01-15T12:00:00Z
DAY = 86_400
PARSERS = {"whatsapp": whatsapp.events, "messenger": messenger.events, "instagram": instagram.events}
PATH = "/relance"
DOOR_ANSWERS = frozenset((200, 400, 401, 403, 405, 413, 415))
# For a body of some kilobytes: generous, for machines that are busy. (100,000 brackets take 2 ms, a quadratic loop over
# them minutes.)
SECONDS = 5.0

# More requests than this for one event are a cost attack: the two writes of a message, five tries to merge a late one,
# a link of two ids with its move, all signals under both ids.
REQUESTS_AN_EVENT = 30


# ─── What stands in for AWS ───────────────────────────────────────────────────────────────────────────────────────────


class Table(Database):
    """A database that stores nothing: it holds each request against what DynamoDB would take, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self._shapes = self.connection.client.meta.service_model

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One request. It must be one that can be put on the wire and that DynamoDB does not refuse as invalid."""
        self.requests += 1
        wire = json.dumps(request, ensure_ascii=False).encode()  # half a character fails here, as it does in botocore
        assert len(wire) < 100_000, operation
        _hold(self._shapes.operation_model(operation).input_shape, request)
        for key in _keys(request):
            assert 0 < len(key["S"].encode()) <= 1_024, operation
        if self.requests % 3 == 0 and "ConditionExpression" in request:
            raise ConditionFailed(None)
        row = {**request.get("Key", {}), "undeliverable": {"SS": ["m1"]}}
        return {"Attributes": row, "Items": [], "Responses": {}}


def _hold(shape: Shape | None, value: Any) -> None:
    """No empty name, and no attribute value with anything but one type."""
    if shape is None:
        return
    if shape.name == "AttributeValue":
        ((kind, inner),) = value.items()
        assert kind != "N" or re.fullmatch(r"-?\d{1,38}", inner), inner
    elif shape.type_name == "structure":
        for name, inner in value.items():
            _hold(shape.members.get(name), inner)
    elif shape.type_name == "list":
        for inner in value:
            _hold(shape.member, inner)
    elif shape.type_name == "map":
        for inner in value.values():
            _hold(shape.value, inner)


def _keys(request: Any) -> Iterator[dict[str, str]]:
    if isinstance(request, dict):
        for name, inner in request.items():
            if name == "Key":
                yield from inner.values()
            elif name == "Item":
                yield from (inner[key] for key in ("pair", "at_id") if key in inner)
            else:
                yield from _keys(inner)
    elif isinstance(request, list):
        for inner in request:
            yield from _keys(inner)


class Queue:
    """Counts what it is sent, and takes only what SQS takes."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def send_message(self, *, MessageBody: str, **_: Any) -> None:
        """As botocore's client."""
        assert len(MessageBody.encode()) < 10_000
        assert MessageBody.isprintable()
        self.bodies.append(MessageBody)


class Parameters:
    """Parameter Store with the secrets of a deployment."""

    def get_parameters(self, *, Names: list[str], WithDecryption: bool) -> dict[str, Any]:
        """As botocore's client."""
        values = {"app-secrets": APP_SECRET, "verify-token": "verify-token-for-tests", "pepper": "pepper-for-tests"}
        return {"Parameters": [{"Name": name, "Value": values[name.rpartition("/")[2]]} for name in Names]}


class World:
    """A webhook of each channel and the eraser's door, with everything behind them that is ours."""

    def __init__(self) -> None:
        os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
        self.table, self.queue = Table(), Queue()
        secrets = Secrets(Parameters(), lambda: NOW)
        pairs = PairStore(self.table, "pairs", shards=2)
        interactions = InteractionStore(self.table, "interactions")
        self.hooks = {
            channel: Webhook(
                channel=channel,
                parse=parse,
                pairs=pairs,
                interactions=interactions,
                secrets=secrets,
                secrets_path=PATH,
                memory=Memory(
                    min_interactions=5, window=14 * DAY, min_silence=8 * 3_600, text_ttl=30 * DAY, crisis_hold=90 * DAY
                ),
                clock=lambda: NOW,
                outbox=outbox.Outbox(self.queue, "https://queue.example"),
                erasures=erasures.Erasures(self.queue, "https://queue.example"),
            )
            for channel, parse in PARSERS.items()
        }
        self.callbacks = Callbacks(secrets, PATH, lambda: NOW)

    def requests(self) -> int:
        """What has been asked of AWS since the last time, secrets aside: they are cached."""
        asked = self.table.requests + len(self.queue.bodies)
        self.table.requests = 0
        self.queue.bodies.clear()
        return asked


_world: list[World] = []


def world() -> World:
    """One world for all tries: it keeps nothing."""
    if not _world:
        # One file holds everything; its logs and metrics are looked at elsewhere (tests/integration/test_no_leak.py).
        observability.logger = Logger(stream=io.StringIO())
        _world.append(World())
    return _world[0]


def quick(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """A target that must also be done in time."""

    def timed(data: bytes) -> None:
        began = time.monotonic()
        target(data)
        took = time.monotonic() - began
        assert took < SECONDS, f"{took:.1f} s for {len(data)} bytes"

    return timed


# ─── The doors of the functions ───────────────────────────────────────────────────────────────────────────────────────


def signatures(data: bytes) -> None:
    """Only the header that `sign` makes of these very bytes is accepted."""
    header, _, body = data.partition(b"\n")
    given = header.decode("utf-8", "surrogateescape")
    secrets = (APP_SECRET, "another-secret-for-tests")

    accepted = signature.verify(body, given, secrets)

    assert accepted == (given in {signature.sign(body, secret) for secret in secrets})
    assert signature.verify(body, signature.sign(body, APP_SECRET), secrets)
    assert not signature.verify(body + b" ", signature.sign(body, APP_SECRET), secrets)
    answer = signature.challenge({"hub.mode": "subscribe", "hub.verify_token": given, "hub.challenge": given}, "t0ken")
    assert answer is None
    answer = signature.challenge({"hub.mode": "subscribe", "hub.verify_token": "t", "hub.challenge": given}, "t")
    assert answer is None or re.fullmatch(r"[A-Za-z0-9_-]{1,128}", answer)


def body(data: bytes) -> None:
    """Any body is decoded to the bytes that were sent, or refused with a status."""
    for event in _events_around(data):
        try:
            read = payload.read_body(event)
        except BodyRefused as refused:
            assert refused.status in (400, 413, 415)
            continue
        assert len(read) <= payload.MAX_BODY
        if event.get("isBase64Encoded"):
            assert base64.b64decode(event["body"], validate=True) == read


def document(data: bytes) -> None:
    """Whatever is decoded is an object of plain, encodable, finite values, and not deep."""
    try:
        loaded = payload.load(data)
    except UnreadablePayload as refused:
        assert re.fullmatch(r"not a readable JSON document: \w+|not a JSON object|an array that .*", str(refused))
        return
    json.dumps(loaded, ensure_ascii=False).encode()
    json.loads(data, object_pairs_hook=_once, parse_constant=_never, parse_int=str)
    assert _depth(loaded) <= payload.MAX_DEPTH + 2


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    assert len(dict(pairs)) == len(pairs), "a key is there twice"
    return dict(pairs)


def _never(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _parser(channel: str) -> Callable[[bytes], None]:
    def parse(data: bytes) -> None:
        """Any document is answered with events that are sound: whoever counts has a user, a bot, an id and a time."""
        try:
            loaded = payload.load(data)
        except UnreadablePayload:
            return
        found = PARSERS[channel](loaded)
        assert found
        for event in found:
            _sound(event)

    return parse


def _sound(event: Event) -> None:
    assert isinstance(event, Event)
    if event.counts:
        assert event.user is not None
        assert event.user.id
        assert event.bot
        assert event.message_id
        assert event.at is not None
        assert event.effect is None
    names = [event.bot, event.message_id, event.app_id, event.account, *event.message_ids]
    names += [event.user.id, event.user.number or ""] if event.user else []
    assert all(len(name.encode()) <= payload.MAX_ID for name in names)
    assert len(event.text.encode()) <= 4 * payload.MAX_TEXT
    assert len(event.payload) <= payload.MAX_TEXT
    # What becomes a metric, a reason or an attribute's name is a word of the platform's, never a text.
    assert re.fullmatch(r"(template:)?[a-z0-9_.-]{0,900}", event.detail), event.detail
    assert event.at is None or 0 < event.at < 4_102_444_800


def webhook(data: bytes) -> None:
    """The whole handler: an answer of the door, never an exception; nothing asked of AWS before Meta's signature."""
    here = world()
    for channel, hook in here.hooks.items():
        for event in _events_around(data):
            here.requests()
            answer = hook.receive(event)
            assert answer["statusCode"] in DOOR_ANSWERS
            assert here.requests() == 0, "a request that nobody signed reached AWS"
        event = _posted(data, sign(data))
        answer = hook.receive(event)
        assert answer["statusCode"] in (200, 413)
        assert answer["body"] in ("ok", "unreadable", "body refused")
        with contextlib.suppress(UnreadablePayload):
            events = min(len(set(PARSERS[channel](payload.load(data)))), MOST_EVENTS)
            assert here.requests() <= REQUESTS_AN_EVENT * events


def _posted(data: bytes, header: str) -> dict[str, Any]:
    return {
        "requestContext": {"http": {"method": "POST"}},
        "headers": {"content-type": "application/json", "x-hub-signature-256": header},
        "body": base64.b64encode(data).decode(),
        "isBase64Encoded": True,
    }


def _events_around(data: bytes) -> Iterator[dict[str, Any]]:
    """Requests of a Function URL in which these bytes are the body, a header, the query, the method; none is signed."""
    text = data.decode("utf-8", "surrogateescape")
    first, _, rest = text.partition("\n")
    yield _posted(data, "sha256=" + "0" * 64)
    yield _posted(data, "") | {"body": text}
    yield _posted(data, "") | {"body": text, "isBase64Encoded": False}
    yield _posted(data, first)
    yield _posted(data, first) | {"headers": {"X-Hub-Signature-256": first, "x-hub-signature-256": rest, first: rest}}
    yield _posted(data, sign(data)) | {"headers": {"x-hub-signature-256": sign(data)[:-1], "content-encoding": first}}
    yield {"requestContext": {"http": {"method": first}}, "headers": None, "body": None}
    query = {"hub.mode": "subscribe", "hub.verify_token": first, "hub.challenge": rest}
    yield {"requestContext": {"http": {"method": "GET"}}, "queryStringParameters": query}
    yield {"requestContext": {"http": {"method": "GET"}}, "queryStringParameters": None}


def signed_request(data: bytes) -> None:
    """The eraser's public door: an answer with one of its statuses, and no acceptance of what Meta did not sign."""
    text = data.decode("utf-8", "surrogateescape")
    secrets = [APP_SECRET]
    assert signature.parse_signed_request(text, secrets) is None or text.startswith(_signed(text.partition(".")[2]))
    content = signature.parse_signed_request(f"{_signed(text)}.{text}", secrets)
    assert content is None or str(content["algorithm"]).upper() == "HMAC-SHA256"
    encoded = base64.urlsafe_b64encode(data).decode().rstrip("=")
    forms = (text, f"signed_request={text}", f"signed_request={_signed(encoded)}.{encoded}")
    for method, path in (("POST", "/deletion"), ("POST", "/deauthorize"), ("GET", "/status"), (text[:9], text[9:40])):
        for form in forms:
            event = {
                "requestContext": {"http": {"method": method}, "domainName": "eraser.example"},
                "rawPath": path,
                "headers": {"accept-language": text},
                "queryStringParameters": {"code": text},
                "body": form,
                "isBase64Encoded": False,
            }
            answer = world().callbacks.answer(event)
            assert answer["statusCode"] in DOOR_ANSWERS | {404}
            assert answer["headers"]["x-content-type-options"] == "nosniff"
            if len(text) > 40 and answer["statusCode"] == 200:
                assert text not in answer["body"]


def _signed(encoded: str) -> str:
    digest = bytes.fromhex(sign(encoded.encode("utf-8", "surrogateescape")).removeprefix("sha256="))
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def queue_message(data: bytes) -> None:
    """What sender and eraser take off their queues: what was written there, or poison."""
    text = data.decode("utf-8", "replace")
    for read, kinds in ((outbox.read, (Due, outbox.Ask)), (erasures.read, (erasures.Wish, erasures.Forget))):
        try:
            found = read(text)
        except PoisonMessage as poison:
            assert text[:20] not in str(poison) or len(text) < 20
            continue
        assert isinstance(found, kinds)
        assert isinstance(found.user, str)


def settings(data: bytes) -> None:
    """A bot's row that nobody can read is no bot; an environment that makes no sense is a ConfigurationError."""
    text = data.decode("utf-8", "replace")
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError):
        loaded = {"hours": text}
    if isinstance(loaded, dict) and (row := _typed(loaded)) is not None:
        with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
            assert isinstance(read_bot({"id": {"S": "1"}, "settings": row, "version": {"N": "1"}}), Bot)
    names = text.split("\n")
    environment = {name: names[n % len(names)] for n, name in enumerate(_VARIABLES)}
    for read in (config.webhook, config.sweeper, config.sender, config.eraser, config.refresher):
        try:
            read(environment)
        except ConfigurationError as error:
            # It names what is wrong; a value could be a secret that was pasted into the wrong field.
            assert str(error).startswith(("environment variable ", "ALLOWED_HOURS", "WRITER", "SECOND_LINE"))


_VARIABLES = """INTERACTIONS_TABLE PAIRS_TABLE BOTS_TABLE SECRETS_PATH MIN_INTERACTIONS WINDOW_DAYS MIN_SILENCE_HOURS
TEXT_TTL_DAYS CRISIS_HOLD_DAYS DUE_SHARDS FOLLOW_UPS_QUEUE_URL ERASURES_QUEUE_URL FORWARD_URL EVENT_BUS WEBHOOK_ALARM
FOLLOW_UPS USER_COOLDOWN_DAYS PREFERRED_SILENCE_HOURS ALLOWED_HOURS MARGIN_MINUTES LEAD_MINUTES SWEEP_MINUTES
LEASE_MINUTES CATCH_UP_MINUTES WRITER MODEL_ID SECOND_LINE GRAPH_URL INSTAGRAM_GRAPH_URL GRAPH_VERSION GUARDRAIL_ID
GUARDRAIL_VERSION""".split()


def _typed(value: Any) -> dict[str, Any] | None:
    """A JSON value as DynamoDB holds it, None for one that it cannot hold."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | float():
            return {"N": repr(value)} if abs(value) < 1e38 else None
        case list():
            inner = [_typed(each) for each in value[:50]]
            return None if None in inner else {"L": inner}
        case _:
            members = {name: _typed(each) for name, each in list(value.items())[:50]}
            return None if None in members.values() else {"M": members}


# ─── What others answer ───────────────────────────────────────────────────────────────────────────────────────────────


def answers(data: bytes) -> None:
    """Whatever the Graph API, Instagram's login or a model answers is an outcome, never an exception."""
    status, data = 100 + (data[0] if data else 0) * 2, data[1:]
    for channel in PARSERS:
        outcome = classify(channel, status, data, {"Retry-After": data[:12].decode("latin-1")})
        assert isinstance(outcome, Outcome)
        # Our own words alone: what the platform wrote could quote the person or the token.
        assert re.fullmatch(r"[a-z0-9 ,;:'()_/A-Z-]*", outcome.detail), outcome.detail
    read = login._read(status, data)
    assert isinstance(read, login.Renewed | login.NotRenewed)
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(UnreadablePayload):
        assert _modelled(payload.load(data)) is not None
    assert _modelled({"output": {"message": {"content": [{"text": text}]}}, "stopReason": "end_turn"}) is not None


_BRIEF = Brief("Lumen", "Cinema Lumen", Persona(), "en", ())


def _modelled(answer: Any) -> Draft | Nothing:
    class Model:
        def converse(self, **_: Any) -> Any:
            return answer

    return BedrockWriter(Model(), "a-model").write(_BRIEF)


# ─── Files on a laptop ────────────────────────────────────────────────────────────────────────────────────────────────

_FOLDER = TemporaryDirectory()


def _file(data: bytes, name: str) -> Path:
    path = Path(_FOLDER.name) / name
    path.write_bytes(data)
    return path


def bot_file(data: bytes) -> None:
    """A bot, or problems that name the file, the field and the remedy, fit for a terminal and not pages long."""
    path = _file(data, "bot.yaml")
    bots, problems = botfile.read_all([path], year=2026)
    assert bool(bots) != bool(problems)
    for problem in problems:
        assert problem.file == str(path)
        assert problem.problem
        assert problem.remedy
        assert len(str(problem)) < 2_000
        _printable(str(problem))
    for bot in bots:
        json.dumps(botfile.as_row(bot), ensure_ascii=False).encode()


def card(data: bytes) -> None:
    """A persona whose bot file can be read again, or a CardError in plain words."""
    try:
        read = cards.read_card(data)
    except cards.CardError as error:
        assert len(str(error)) < 300
        return
    imported = cards.persona_of(read, "en")
    written = cards.as_yaml(imported, "en")
    written.encode()
    _printable(written)
    _printable(cards.summary(imported.notes))
    again = yaml.safe_load(written)
    assert again["mode"] == "off"
    assert again["notice"] is False
    botfile.validate([_file(written.encode(), "card.yaml")], year=2026)


def cases(data: bytes) -> None:
    """Labelled cases and conversations for `relance evaluate` and `relance preview`: read, or told what is wrong."""
    path = _file(data, "cases.jsonl")
    try:
        assert evaluation.read([path])
    except evaluation.BadCases as bad:
        assert all(str(path) in problem for problem in bad.problems)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.suppress(typer.Exit):
        turns, _ = cli_preview._conversation(str(path), "")
        assert turns
    _printable(said.getvalue())


def _printable(text: str) -> None:
    steering = [letter for letter in text if category(letter) in ("Cc", "Cs") and letter not in "\n\t"]
    assert not steering, f"{steering} could steer a terminal"


TARGETS: dict[str, Callable[[bytes], None]] = {
    "signatures": signatures,
    "body": body,
    "document": document,
    **{channel: _parser(channel) for channel in PARSERS},
    "webhook": webhook,
    "signed_request": signed_request,
    "queue_message": queue_message,
    "settings": settings,
    "answers": answers,
    "bot_file": bot_file,
    "card": card,
    "cases": cases,
}
TARGETS = {name: quick(target) for name, target in TARGETS.items()}
