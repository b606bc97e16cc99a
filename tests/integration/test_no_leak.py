"""Never leaking: planted words, names, numbers, tokens and secrets are in no log, metric, queue, event, answer, error.

A deployment lives through all that can happen to it, good and bad, while everything that leaves a function is kept:
what it logs (at level DEBUG, libraries included), its metrics, what it puts into queues and onto the bus, what it
answers, and whatever an error says with all that stands behind it. Then one search for everything that was planted.
"""

import base64
import contextlib
import http.server
import io
import json
import logging
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from unittest import mock

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local import stack as stack_module
from local.bedrock import Answer, BedrockStandIn
from local.stack import PEPPER, VERIFY_TOKEN, LocalStack
from local.webhooks import APP_SECRET, KINDS, build, encode
from relance import events, observability, outbox, receive, remember
from relance.bot import Bot, Template
from relance.channels.graph import appsecret_proof
from relance.channels.login import InstagramLogin, NotRenewed
from relance.errors import TemporaryFailure
from relance.interaction import PAYLOAD_FORGET, PAYLOAD_PERSON, PAYLOAD_STOP, PAYLOAD_WHY, PAYLOAD_YES, Address
from relance.persona import Persona
from tests.cinema import CINEMA, DAY, HOUR, MINUTE, MOMENT, NOON

EVENTS = Path(__file__).parents[2] / "events"
REFRESH = json.loads((EVENTS / "refresher-schedule.json").read_text(encoding="utf-8"))
WORDS = (
    "Hello, which films are on this week?",
    "Do you have something with a semaphore in it?",
    "I would like to see the old quarantine one in black and white",
    "And is there a matinee for it?",
    "Tell me more about the semaphore film some time",
)
DRAFT = {
    "message": "You wanted to hear more about the semaphore film. Shall I say what it is about?",
    "topic_quote": "more about the semaphore film",
    "language": "en",
}
SECRET_OF_THE_BOT = "bots-own-secret-for-tests"
BOT = replace(
    CINEMA,
    audience_zones=("Europe/Paris",),
    soft_basis="people asked to be reminded at the tombola",
    ai_is_incidental=True,
    contact="https://zanzibar.example/contact",
    persona=Persona(voice="A velveteen film guide.", samples={"en": ("Would a marzipan comedy be of use?",)}),
)
BOTS = (
    replace(BOT, id="106", channel="whatsapp", template=Template("tombola", "en", "MARKETING", 24 * HOUR)),
    BOT,
    replace(BOT, id="17841400000000001", channel="instagram"),
)
TOKENS = {bot.channel: f"token-of-{bot.id}" for bot in BOTS}
# Eight people of each channel, under ids that are nothing but theirs.
PEOPLE = {
    "whatsapp": [
        *(Address(f"3363998012{n}") for n in range(5)),
        *(Address(f"FR.5501987654321{n}", f"3363998012{n}") for n in range(5, 8)),
    ],
    "messenger": [Address(f"246019876543210{n}") for n in range(8)],
    "instagram": [Address(f"119988776655443{n}") for n in range(8)],
}
NAME = "Quenby Vandersloot"
BUTTON = "Pick the wisteria seat"


def message_id(channel: str, user: Address, what: object) -> str:
    """As the channel makes them: WhatsApp's hold the person's number."""
    if channel != "whatsapp":
        return f"m_{what}"
    return "wamid." + base64.b64encode(f"{user.number or user.id}/{what}".encode()).decode()


PLANTED: Mapping[str, tuple[str, ...]] = {
    "words": ("semaphore", "quarantine one", "matinee for it", "velveteen", "marzipan", "tombola", "kumquat"),
    "names": (NAME, "Vandersloot", "wisteria"),
    "numbers": ("3363998012", "+33 6 39 98 01", base64.b64encode(b"3363998012").decode()[:12]),
    "ids of people": ("FR.5501987654321", "246019876543210", "119988776655443"),
    "tokens": (*TOKENS.values(), "IGAA-renewed", "token-of-"),
    "secrets": (APP_SECRET, VERIFY_TOKEN, PEPPER, SECRET_OF_THE_BOT, "hook-key-for-tests"),
    "proofs": tuple(appsecret_proof(token, SECRET_OF_THE_BOT) for token in TOKENS.values()),
    "signatures": ("sha256=",),
}


@dataclass(frozen=True, slots=True)
class Leak:
    """What was found, and where."""

    what: str
    where: str


class WatchedStack(LocalStack):
    """A local stack that keeps whatever leaves its functions, and fails on request, with words in the error."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.left: list[tuple[str, str]] = []
        # operation → what to raise of it, once
        self.broken: dict[str, Callable[[str, Any], Exception]] = {}
        self._function = ""

    def __enter__(self) -> Self:
        ask, stack = BaseClient._make_api_call, self

        def watched(client: BaseClient, operation: str, asked: dict[str, Any]) -> Any:
            if stack._function and operation in ("SendMessage", "SendMessageBatch", "PutEvents"):
                stack.left.append((f"{stack._function} {operation}", json.dumps(asked)))
            if stack._function and operation in stack.broken:
                raise stack.broken.pop(operation)(operation, asked)
            return ask(client, operation, asked)

        self._patch = mock.patch.object(BaseClient, "_make_api_call", watched)
        self._libraries = _Kept(self)
        super().__enter__()
        self._patch.start()
        # As an operator who looks for a fault would have it: everybody may say everything.
        self._levels = logging.root.level, observability.logger.log_level
        logging.root.setLevel(logging.DEBUG)
        logging.getLogger("moto").setLevel(logging.INFO)
        observability.logger.setLevel(logging.DEBUG)
        logging.root.addHandler(self._libraries)
        for bot in BOTS:
            self.publish(bot, enabled_at=NOON - 30 * DAY)
            self._put_secret(f"/relance/bots/{bot.id}/app-secret", SECRET_OF_THE_BOT)
        self.graph.register_token(TOKENS["instagram"], BOTS[2].id, channel="instagram", issued=NOON)
        return self

    def __exit__(self, *error: Any) -> None:
        logging.root.removeHandler(self._libraries)
        logging.root.setLevel(self._levels[0])
        observability.logger.setLevel(self._levels[1])
        self._patch.stop()
        super().__exit__(*error)

    def invoke(self, function_id: str, event: Mapping[str, Any]) -> Any:
        """As the stack does; what the function answers, or raises, and what it writes to standard error is kept."""
        before, self._function = self._function, function_id
        failures, said = len(self.failures), io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                answer = super().invoke(function_id, event)
            self.left.append((f"{function_id} answers", json.dumps(answer, ensure_ascii=False)))
            return answer
        finally:
            self._function = before
            self.left.append((f"{function_id} stderr", said.getvalue()))
            for failure in self.failures[failures:]:
                told = traceback.format_exception(failure.error)
                self.left.append((f"{function_id} raises", f"{''.join(told)}{failure.error!r}"))

    def forget_secrets(self) -> None:
        """The functions' copies: they are read anew, as five minutes later."""
        for container in stack_module._CONTAINERS.values():
            container.forget_secrets()

    def leaks(self, planted: Mapping[str, tuple[str, ...]] = PLANTED) -> set[Leak]:
        """Every planted thing that left a function, and by which way."""
        left = [*self.left, ("log or metric", self.logs)]
        left += [("event", json.dumps(each)) for each in self.events()]
        left += [("dead letter", json.dumps(each)) for each in self.dead_letters()]
        return {
            Leak(what, where)
            for where, told in left
            for what, words in planted.items()
            for word in words
            if word.lower() in told.lower() or word.lower() in _unescaped(told).lower()
        }


def _unescaped(text: str) -> str:
    return text.replace("\\/", "/").replace('\\"', '"')


class _Kept(logging.Handler):
    """What Lambda's own handler at the root would print, whoever logs it; moto is no part of a function."""

    def __init__(self, stack: WatchedStack) -> None:
        super().__init__(logging.DEBUG)
        self._stack = stack

    def emit(self, record: logging.LogRecord) -> None:
        if self._stack._function and not record.name.startswith(("moto", "werkzeug", "responses")):
            self._stack.left.append((f"library {record.name}", logging.Formatter().format(record)))


# ─── What happens ─────────────────────────────────────────────────────────────────────────────────────────────────────


def say(stack: WatchedStack, bot: Bot, user: Address, kind: str = "text", *, at: int = 0, **more: Any) -> int:
    """One event of a conversation, with something planted in every field that the kind has."""
    at = at or stack.now
    id_ = message_id(bot.channel, user, f"{at}{kind}{more.get('payload', '')}")
    given = {"text": "A kumquat, please", "name": NAME, "new": Address("FR.55019876543219", "33639980129")}
    given |= {"target": message_id(bot.channel, user, "target")} if kind not in ("deletion", "edit") else {}
    body = build(bot.channel, kind, bot=bot.id, user=user, at=at, id=id_, **given | more)
    return stack.post(bot.channel, body).status


def talk(stack: WatchedStack, bot: Bot, user: Address, last: int = NOON) -> None:
    """Five messages, the last of them at noon."""
    for number, text in enumerate(WORDS):
        say(stack, bot, user, at=last - (len(WORDS) - 1 - number) * 2 * MINUTE, text=text)


def follow_up(stack: WatchedStack, bot: Bot, user: Address) -> None:
    """A conversation, and the hour in which it is followed up."""
    talk(stack, bot, user, last=stack.now)
    begun = stack.now
    stack.travel(begun + 23 * HOUR - 5 * MINUTE)
    stack.run_until(begun + 23 * HOUR + 10 * MINUTE)


def doors(stack: WatchedStack) -> None:
    """Every kind of event; what is not Meta's; what nobody can read."""
    for bot in BOTS:
        channel = bot.channel
        hostile = encode(build(channel, "text", bot=bot.id, user="1", at=NOON, id="m", text=WORDS[1], name=NAME))
        stack.handshake(channel, VERIFY_TOKEN, "1158201444")
        stack.handshake(channel, f"{VERIFY_TOKEN} semaphore", "1158201444")
        stack.post(channel, hostile, signature="bad")
        stack.post(channel, hostile, signature=None, headers={"authorization": f"Bearer {TOKENS[channel]}"})
        stack.post(channel, hostile, headers={"content-encoding": "kumquat"})
        stack.post(channel, hostile[:-9])
        stack.post(channel, b'{"object":"%s","entry":[{"id":"%s"}]}' % (NAME.encode(), NAME.encode()))
        stack.post(channel, hostile.replace(b'"text":', b'"quarantine one": {"x": 1}, "text":'))
        stack.request(stack._webhook(channel).id, "DELETE", body=hostile)
        for number, kind in enumerate(KINDS):
            with contextlib.suppress(ValueError):  # the channel has no such kind
                say(stack, bot, PEOPLE[channel][7], kind, at=NOON - number, payload=BUTTON, code=131026)
        for text in ("STOP", "I'm 13 and I love the semaphore film", "I want to kill myself, said the kumquat"):
            say(stack, bot, PEOPLE[channel][6], text=text)


def good_days(stack: WatchedStack) -> None:
    """Follow-ups, questions, stops, wishes, erasures, callbacks, tokens."""
    for bot in BOTS:
        people = PEOPLE[bot.channel]
        talk(stack, bot, people[0])
        talk(stack, bot, people[1])
        say(stack, bot, people[1], at=NOON + 1, text="STOP")
    stack.run_until(MOMENT + 30 * MINUTE)
    assert len(stack.graph.accepted) == 3, [row.get("reason") for row in stack.pairs()]
    for bot in BOTS:
        people = PEOPLE[bot.channel]
        for payload in (PAYLOAD_WHY, PAYLOAD_PERSON, PAYLOAD_YES):
            say(stack, bot, people[0], "quick_reply", text=BUTTON, payload=payload)
        say(stack, bot, people[0], text="why did you write to me?")
        say(stack, bot, people[0], "edit", target=message_id(bot.channel, people[0], f"{NOON}text"), text="kumquat")
        say(stack, bot, people[0], "deletion", target=message_id(bot.channel, people[0], f"{NOON}text"))
        say(stack, bot, people[0], "quick_reply", text=BUTTON, payload=PAYLOAD_STOP)
        say(stack, bot, people[1], "quick_reply", text=BUTTON, payload=PAYLOAD_FORGET)
        stack.run_until(stack.now + HOUR)
    for name in ("eraser-deletion", "eraser-deauthorize", "eraser-status"):
        stack.invoke("Eraser", json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8")))
    garbled = {
        "requestContext": {"http": {"method": "POST"}},
        "rawPath": "/deletion",
        "body": "signed_request=kumquat.x",
    }
    stack.invoke("Eraser", garbled)
    stack.travel(stack.now + DAY)
    stack.invoke("Refresher", REFRESH)


def refusals(stack: WatchedStack) -> None:
    """The platform refuses, in every way, and quotes the person, the text and the token when it does."""
    quoted = f"{NAME} {PEOPLE['messenger'][2].id} +33 6 39 98 01 22 {WORDS[4]} {TOKENS['messenger']}"
    for number, (status, code, headers) in enumerate(
        (
            (400, 100, {}),
            (400, 131026, {"Retry-After": "kumquat"}),
            (401, 190, {}),
            (403, 368, {}),
            (429, 4, {"X-App-Usage": quoted}),
            (500, 2, {"no header of anybody": quoted}),  # urllib3 warns of this one, with the whole address
        )
    ):
        error = {"message": quoted, "code": code, "error_data": {"details": quoted}, "error_user_msg": quoted}
        stack.graph.fault(times=2, status=status, body=json.dumps({"error": error}), headers=headers)
        for bot in BOTS[number % 3 : number % 3 + 1]:
            follow_up(stack, bot, PEOPLE[bot.channel][2 + number % 3])
            stack.resume(bot.id)
            say(stack, bot, PEOPLE[bot.channel][2 + number % 3], "quick_reply", text=BUTTON, payload=PAYLOAD_WHY)
            stack.run_until(stack.now + HOUR)
    stack.graph.fault(times=1, status=200, body=quoted)
    follow_up(stack, BOT, PEOPLE["messenger"][5])
    stack.graph.fault(times=1, drop="after_read")
    follow_up(stack, BOT, PEOPLE["messenger"][6])
    stack.graph.renewal_fault(times=1, status=400, body=json.dumps({"error": {"message": TOKENS["instagram"]}}))
    stack.graph.renewal_fault(times=1, drop="before_read")
    for _ in range(3):
        stack.travel(stack.now + DAY)
        with contextlib.suppress(Exception):
            stack.invoke("Refresher", REFRESH)
    assert stack.graph.renewals


def _crash(operation: str, asked: Any) -> Exception:
    return RuntimeError(f"{operation} of {json.dumps(asked)}")


def _refusal(code: str) -> Callable[[str, Any], Exception]:
    def made(operation: str, asked: Any) -> Exception:
        error = {"Error": {"Code": code, "Message": f"no: {json.dumps(asked)}"}, "Item": {"to": {"S": "33639980120"}}}
        return ClientError(error, operation)

    return made


_OF_SENDER_AND_SWEEPER = """TransactWriteItems GetParameters Converse UpdateItem BatchGetItem Query PutItem PutEvents
SendMessageBatch DescribeAlarms InvokeGuardrailChecks""".split()


def crashes(stack: WatchedStack) -> None:
    """Every request to AWS fails once in each way, and each error quotes the whole request."""
    quoting = (_crash, *map(_refusal, ("ValidationException", "ThrottlingException", "AccessDeniedException")))
    for raised in quoting:
        for operation in ("UpdateItem", "PutItem", "GetItem", "TransactWriteItems", "SendMessage", "Query"):
            stack.broken = {operation: raised}
            for bot in BOTS:
                say(stack, bot, PEOPLE[bot.channel][3], text=f"STOP, forget me and the {WORDS[1]}")
                say(stack, bot, PEOPLE[bot.channel][3], "deletion", target="m_1")
        stack.broken = {"GetParameters": raised}
        stack.forget_secrets()
        say(stack, BOT, PEOPLE["messenger"][3])
        for operation in _OF_SENDER_AND_SWEEPER if raised in quoting[:2] else _OF_SENDER_AND_SWEEPER[:4]:
            talk(stack, BOT, PEOPLE["messenger"][4], last=stack.now)
            stack.travel(stack.now + 23 * HOUR)
            stack.broken = {operation: raised}
            stack.forget_secrets()
            with contextlib.suppress(Exception):
                stack.sweep()
            stack.drain()
            stack.broken = {}
    stack.run_until(stack.now + HOUR)
    for queue in ("FollowUpsQueue", "ErasuresQueue"):
        # Somebody put something there that is no message of ours: it goes to the dead letters as it stands.
        body = json.dumps({"v": 1, "user": "messenger#0", "bot": "1001", "about": WORDS[1], "message_id": "kumquat"})
        url = stack.template.resolve({"Ref": queue})
        boto3.client("sqs", region_name="us-east-1").send_message(QueueUrl=url, MessageBody=body)
    for _ in range(12):
        stack.travel(stack.now + HOUR)
        stack.drain()


@pytest.fixture(scope="module")
def bedrock() -> Iterator[BedrockStandIn]:
    """The model's side."""
    with (
        BedrockStandIn() as stand_in,
        mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": stand_in.url}),
    ):
        stand_in.says(DRAFT)
        yield stand_in


@pytest.fixture
def behind() -> Iterator[str]:
    """A bot behind relance that answers with an error and quotes what it got."""

    class Quoting(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(500 if b"fail" in body else 200)
            self.send_header("no header", body[:60].decode("latin-1").replace("\n", " "))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quoting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook?key=hook-key-for-tests"
        server.shutdown()


# ─── The claims ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("happens", [doors, good_days, refusals], ids=lambda happens: happens.__name__)
def test_nothing_planted_leaves_a_function_that_writes_without_a_model(happens):
    """Three channels, good days and bad ones."""
    with WatchedStack(start=NOON) as stack:
        happens(stack)

        assert stack.leaks() == set()
        # A search for words that nobody ever said would find nothing, too.
        kept = str([stack.pairs(), stack.interactions(), stack.bots(), [each.body for each in stack.graph.accepted]])
        there = ("semaphore", "246019876543210", "marzipan", "tombola")
        assert [word for word in there if word not in kept] == []
        assert "3363998012" in kept or "FR.5501987654321" in kept


@pytest.mark.parametrize("happens", [good_days, crashes], ids=lambda happens: happens.__name__)
def test_nothing_planted_leaves_a_function_that_asks_a_model(happens, bedrock):
    """Also when the model and its guardrails fail, and quote what they were asked."""
    bedrock.script("converse", *bedrock._scripts["converse"])
    chosen = {"Writer": "bedrock", "ModelId": "eu.amazon.nova-micro-v1:0", "SecondLine": "checks"}
    with WatchedStack(start=NOON, parameters=chosen) as stack:
        happens(stack)

        # What I put into the queues by hand lies in the dead letters as I put it.
        mine = {leak for leak in stack.leaks() if leak.where == "dead letter" and leak.what == "words"}
        assert stack.leaks() - mine == set()
        assert bool(mine) == (happens is crashes)


def test_a_model_that_quotes_everything_into_an_error_does_not_make_us_say_it(bedrock):
    """Refusals and nonsense of the model's side; what it says goes nowhere but through the gates."""
    chosen = {"Writer": "bedrock", "ModelId": "eu.amazon.nova-micro-v1:0", "SecondLine": "checks"}
    quoted = f"{NAME} 33639980120 {WORDS[4]}"
    bedrock.says(
        Answer({"message": quoted}, 400, "ValidationException"),
        Answer({"message": quoted}, 403, "AccessDeniedException"),
        Answer({"message": quoted}, 424, "ModelErrorException"),
        quoted,
        DRAFT | {"message": quoted},
        DRAFT | {"language": quoted},
    )
    with WatchedStack(start=NOON, parameters=chosen) as stack:
        for number in range(5):
            follow_up(stack, BOT, PEOPLE["messenger"][number])
        bedrock.says(DRAFT)
        assert stack.leaks() == set()
        assert all(quoted not in said.text for said in stack.graph.accepted)


def test_nothing_planted_comes_back_from_a_bot_that_relance_stands_in_front_of(behind):
    """Neither what it answers nor where it is; nor when it is dead."""
    with WatchedStack(start=NOON, parameters={"MessengerForwardUrl": behind}) as stack:
        for text in (WORDS[1], "fail, kumquat", "STOP the semaphore"):
            say(stack, BOT, PEOPLE["messenger"][0], text=text)
        with mock.patch("urllib3.PoolManager.request", side_effect=OSError(f"{behind} {WORDS[1]}")):
            assert say(stack, BOT, PEOPLE["messenger"][0], text=WORDS[4]) == 502
        assert stack.leaks() == set()


def test_an_odd_header_of_instagrams_login_does_not_bring_the_token_into_the_log(caplog):
    """The token has to be in the address there, and urllib3 warns of odd headers with the whole address."""

    class Odd(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(400)
            self.send_header("no header of anybody", "x")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server, caplog.at_level(logging.DEBUG):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        renewed = InstagramLogin(f"http://127.0.0.1:{server.server_port}").renew(TOKENS["instagram"])
        server.shutdown()

    assert isinstance(renewed, NotRenewed)
    assert TOKENS["instagram"] not in caplog.text


# ─── The search can find ──────────────────────────────────────────────────────────────────────────────────────────────


def _logs_the_event(stack: WatchedStack) -> Any:
    read = receive.payload.read_body

    def read_and_log(event: Any) -> Any:
        observability.logger.debug("event", extra={"event": event})
        return read(event)

    return mock.patch.object(receive.payload, "read_body", read_and_log)


def _puts_the_text_into_an_error(stack: WatchedStack) -> Any:
    def broken(desk: Any, event: Any, who: Any) -> None:
        raise TemporaryFailure(f"cannot keep {event.text}")

    return mock.patch.object(remember._Desk, "_count", broken)


def _chains_an_error_that_quotes(stack: WatchedStack) -> Any:
    def broken(desk: Any, event: Any, who: Any) -> None:
        try:
            raise KeyError(event.user.id)
        except KeyError as error:
            raise TemporaryFailure("cannot count") from error

    return mock.patch.object(remember._Desk, "_count", broken)


def _adds_the_address_to_the_queue(stack: WatchedStack) -> Any:
    body = outbox.body

    def with_address(asked: Any) -> str:
        (row,) = [row for row in stack.pairs() if row["bot"] == "1001" and "to" in row]
        return json.dumps(json.loads(body(asked)) | {"to": row["to"]})

    return mock.patch.object(outbox, "body", with_address)


def _queues_the_message_id(stack: WatchedStack) -> Any:
    return mock.patch.object(remember, "question_of", lambda message_id: message_id)


def _makes_a_metric_of_the_text(stack: WatchedStack) -> Any:
    kept = remember._Desk._keep

    def keep(desk: Any, event: Any, user: str) -> None:
        observability.count_by("Said", "text", {event.text: 1})
        kept(desk, event, user)

    return mock.patch.object(remember._Desk, "_keep", keep)


def _prints(stack: WatchedStack) -> Any:
    kept = remember._Desk._keep

    def keep(desk: Any, event: Any, user: str) -> None:
        print(event)  # noqa: T201
        kept(desk, event, user)

    return mock.patch.object(remember._Desk, "_keep", keep)


def _tells_the_bus(stack: WatchedStack) -> Any:
    tell = events.Bus.tell

    def telling(bus: Any, happened: Any) -> int:
        return tell(bus, [replace(each, reason=stack.graph.accepted[-1].text) for each in happened])

    return mock.patch.object(events.Bus, "tell", telling)


def _answers_with_the_body(stack: WatchedStack) -> Any:
    return mock.patch.object(receive, "_answer", lambda status, body: {"statusCode": 200, "body": WORDS[1]})


def _lets_libraries_talk(stack: WatchedStack) -> Any:
    logging.getLogger("botocore").setLevel(logging.DEBUG)
    return contextlib.nullcontext()


@pytest.mark.parametrize(
    ("sabotage", "where"),
    [
        (_logs_the_event, "log or metric"),
        (_puts_the_text_into_an_error, "MessengerWebhook raises"),
        (_chains_an_error_that_quotes, "MessengerWebhook raises"),
        (_adds_the_address_to_the_queue, "SendMessage"),
        (_queues_the_message_id, "WhatsAppWebhook SendMessage"),
        (_makes_a_metric_of_the_text, "log or metric"),
        (_prints, "log or metric"),
        (_tells_the_bus, "event"),
        (_answers_with_the_body, "MessengerWebhook answers"),
        (_lets_libraries_talk, "library botocore"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_one_careless_line_is_found(sabotage, where):
    """Sabotage: whoever logs an event, quotes a text in an error or adds a number to a queue turns this red."""
    with WatchedStack(start=NOON) as stack, sabotage(stack):
        try:
            follow_up(stack, BOT, PEOPLE["messenger"][0])
            say(stack, BOTS[0], PEOPLE["whatsapp"][0], "quick_reply", text=BUTTON, payload=PAYLOAD_WHY)
            found = stack.leaks()
        finally:
            logging.getLogger("botocore").setLevel(logging.CRITICAL)

    assert any(where in leak.where for leak in found), found


def test_without_sabotage_the_same_journey_is_silent():
    """Else the tests above would prove nothing."""
    with WatchedStack(start=NOON) as stack:
        follow_up(stack, BOT, PEOPLE["messenger"][0])
        say(stack, BOTS[0], PEOPLE["whatsapp"][0], "quick_reply", text=BUTTON, payload=PAYLOAD_WHY)

        assert stack.leaks() == set()
        assert len(stack.graph.accepted) == 1
