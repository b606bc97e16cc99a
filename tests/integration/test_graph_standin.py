"""The sender's client against the stand-in over real HTTP: the platforms' rules, and every way a network fails."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import time_machine

from local.graph import DAY, GraphStandIn
from relance.bot import Template
from relance.channels.graph import GraphClient, Outbound
from relance.outcome import OutcomeClass

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOON = int(NOW.timestamp())
TOKEN, EXPIRED, PAGE_TOKEN = "EAAtest", "EAAexpired", "EAApage"
APP_SECRET, ANOTHER_SECRET = "app-secret-for-tests", "another"
NUMBER, PAGE, ACCOUNT = "106540352242922", "104560000000001", "17841400000000001"
READER, READER_ON_META = "12015550123", "6400000000000001"

ON_WHATSAPP = Outbound("whatsapp", NUMBER, READER, "free_form", "How was the exam?", "f-1")
ON_MESSENGER = replace(ON_WHATSAPP, channel="messenger", bot_id=PAGE, to=READER_ON_META)
ON_INSTAGRAM = replace(ON_MESSENGER, channel="instagram", bot_id=ACCOUNT, login="instagram")
EVERYWHERE = pytest.mark.parametrize("message", [ON_WHATSAPP, ON_MESSENGER, ON_INSTAGRAM], ids=lambda m: m.channel)


@pytest.fixture
def graph() -> Iterator[GraphStandIn]:
    """The platform at noon; one reader wrote to each of three bots a moment ago."""
    with time_machine.travel(NOW, tick=False), GraphStandIn() as graph:
        for message in (ON_WHATSAPP, ON_MESSENGER, ON_INSTAGRAM):
            graph.register_token(TOKEN, message.bot_id)
            graph.inbound(message.channel, message.bot_id, message.to, NOON)
        yield graph


def client(graph: GraphStandIn, **settings: object) -> GraphClient:
    return GraphClient(urls=graph.urls, **{"read_timeout": 0.3, **settings})


def deliver(graph: GraphStandIn, message: Outbound, **settings: object):
    return client(graph, **settings).deliver(message, token=TOKEN, now=int(time.time()))


# The good way


@EVERYWHERE
def test_a_follow_up_reaches_its_person_and_is_known_by_its_id(graph, message):
    """One request, one message, and the id that later receipts will name."""
    outcome = deliver(graph, message)

    assert outcome.kind is OutcomeClass.ACCEPTED
    assert [(said.id, said.channel, said.bot, said.to, said.text) for said in graph.accepted] == [
        (outcome.message_id, message.channel, message.bot_id, message.to, "How was the exam?")
    ]


def test_instagram_with_facebooks_login_is_found_by_its_token(graph):
    """`me` is whoever the token speaks for."""
    graph.register_token(PAGE_TOKEN, ACCOUNT, channel="instagram")
    outcome = client(graph).deliver(replace(ON_INSTAGRAM, login="facebook"), token=PAGE_TOKEN, now=NOON)

    assert outcome.kind is OutcomeClass.ACCEPTED
    assert (graph.accepted[0].bot, graph.accepted[0].follow_up_id) == (ACCOUNT, "f-1")


def test_a_person_known_by_two_names_is_reached_by_both(graph):
    """The window belongs to the person, not to the name."""
    graph.inbound("whatsapp", NUMBER, "US.1349120865530274", NOON, number="12015550199")

    for name in ("US.1349120865530274", "12015550199"):
        assert deliver(graph, replace(ON_WHATSAPP, to=name)).kind is OutcomeClass.ACCEPTED


@pytest.mark.parametrize("bound", [False, True])
def test_the_proof_of_the_app_secret_is_accepted_where_it_is_demanded(graph, bound):
    """With "Require App Secret" on, a call with the right proof passes."""
    graph.register_token(TOKEN, NUMBER, app_secret=APP_SECRET)
    whole = client(graph, time_bound_proof=bound)

    assert whole.deliver(ON_WHATSAPP, token=TOKEN, app_secret=APP_SECRET, now=NOON).kind == "accepted"
    assert whole.deliver(ON_WHATSAPP, token=TOKEN, app_secret=ANOTHER_SECRET, now=NOON).code == 100
    assert whole.deliver(ON_WHATSAPP, token=TOKEN, now=NOON).code == 100


# The platforms' rules


@EVERYWHERE
@pytest.mark.parametrize(("age", "accepted"), [(DAY - 1, True), (DAY, False), (DAY + 1, False)])
def test_free_form_reaches_nobody_after_twenty_four_hours(graph, message, age, accepted):
    """Each channel says so with its own code, and each is terminal."""
    with time_machine.travel(NOON + age, tick=False):
        outcome = deliver(graph, message)

    refusal = {"whatsapp": (131047, None), "messenger": (10, 2018278), "instagram": (10, 2534022)}[message.channel]
    expected = (OutcomeClass.ACCEPTED, None, None) if accepted else (OutcomeClass.NEVER, *refusal)
    assert (outcome.kind, outcome.code, outcome.subcode) == expected
    assert len(graph.accepted) == accepted


@EVERYWHERE
def test_who_never_wrote_cannot_be_written_to(graph, message):
    """The window of a stranger is closed."""
    assert deliver(graph, replace(message, to="12015550177")).kind is OutcomeClass.NEVER
    assert graph.accepted == []


@pytest.mark.parametrize(
    ("registered", "parameters", "code"),
    [
        ({"name": "come_back", "parameters": 1}, ("the exam",), None),
        ({"name": "come_back", "parameters": 2}, ("the exam",), 132000),
        ({"name": "come_back", "language": "fr"}, ("the exam",), 132001),
        ({"name": "other"}, ("the exam",), 132001),
        ({"name": "come_back", "status": "PAUSED"}, ("the exam",), 132015),
        ({"name": "come_back", "status": "DISABLED"}, ("the exam",), 132016),
        ({"name": "come_back"}, ("the\nexam\t of      today",), None),
    ],
)
def test_a_template_goes_beyond_the_window_if_it_is_approved_and_filled(graph, registered, parameters, code):
    """The only way past 24 hours on WhatsApp."""
    graph.register_template(**registered)
    message = replace(ON_WHATSAPP, kind="template", template=Template("come_back", "en_US"), parameters=parameters)
    with time_machine.travel(NOON + 5 * DAY, tick=False):
        outcome = deliver(graph, message)

    assert outcome.code == code
    assert len(graph.accepted) == (code is None)


def test_a_token_that_nobody_knows_stops_the_bot(graph):
    """190: nothing was sent, and sending on would fail for everybody."""
    outcome = client(graph).deliver(ON_WHATSAPP, token=EXPIRED, now=NOON)

    assert (outcome.kind, outcome.code, outcome.counts_as_used) == (OutcomeClass.STOP, 190, False)


def test_a_token_of_another_account_stops_the_bot(graph):
    """100/33: the object is missing or may not be seen."""
    assert deliver(graph, replace(ON_MESSENGER, bot_id="104560000000009")).kind is OutcomeClass.STOP


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (NUMBER, {"messaging_product": "whatsapp", "to": READER, "type": "text", "text": {"body": "Hi"}}, 131009),
        (NUMBER, {"messaging_product": "whatsapp", "type": "text", "text": {"body": "Hi"}}, 131008),
        (
            NUMBER,
            {"messaging_product": "whatsapp", "to": f"+{READER}", "type": "text", "text": {"body": "x" * 4097}},
            100,
        ),
        (NUMBER, {"messaging_product": "whatsapp", "to": f"+{READER}", "type": "poll"}, 131009),
        (
            NUMBER,
            {"messaging_product": "whatsapp", "to": f"+{READER}", "type": "interactive", "interactive": 7},
            131009,
        ),
        (PAGE, {"recipient": {"id": READER_ON_META}, "messaging_type": "UPDATE", "message": {"text": "x" * 2000}}, 100),
        (PAGE, {"recipient": {"id": READER_ON_META}, "message": {"text": "Hi"}}, 100),
        (PAGE, {"recipient": {"id": READER_ON_META}, "messaging_type": "MESSAGE_TAG", "message": {"text": "Hi"}}, 100),
        (ACCOUNT, {"recipient": {"id": READER_ON_META}, "message": {"text": "é" * 501}}, 100),
        (ACCOUNT, {"message": {"text": "Hi"}}, 100),
        (ACCOUNT, [], 100),
    ],
)
def test_a_body_that_the_platform_would_refuse_is_refused(graph, path, body, code):
    """What would fail in production fails here, with the platform's code."""
    status, answer = post(f"{graph.url}/v26.0/{path}/messages", body, {"Authorization": f"Bearer {TOKEN}"})

    assert (status, answer["error"]["code"]) == (400, code)
    assert graph.accepted == []


def test_a_second_message_within_six_seconds_meets_the_pair_limit():
    """A throttle: the platform took nothing, so it may be tried again."""
    with time_machine.travel(NOW, tick=False) as clock, GraphStandIn(pair_limit=True) as graph:
        graph.register_token(TOKEN, NUMBER)
        graph.inbound("whatsapp", NUMBER, READER)
        kinds = [deliver(graph, ON_WHATSAPP).kind, deliver(graph, ON_WHATSAPP).kind]
        clock.shift(6)
        kinds.append(deliver(graph, ON_WHATSAPP).kind)

    assert kinds == [OutcomeClass.ACCEPTED, OutcomeClass.RETRY, OutcomeClass.ACCEPTED]


# The ways a network and a platform fail: how it looks from here, and what reached the person.

FAULTS = [
    ("hangs after taking the message", {"hang": 5}, OutcomeClass.UNKNOWN, 1),
    ("hangs without taking it", {"hang": 5, "accepts": False}, OutcomeClass.UNKNOWN, 0),
    ("answers too late", {"delay": 5}, OutcomeClass.UNKNOWN, 1),
    ("takes it and drops the connection", {"drop": "after_read"}, OutcomeClass.UNKNOWN, 1),
    ("drops the connection after reading", {"drop": "after_read", "accepts": False}, OutcomeClass.UNKNOWN, 0),
    ("drops the connection before reading", {"drop": "before_read"}, OutcomeClass.UNKNOWN, 0),
    ("500, empty", {"status": 500, "body": ""}, OutcomeClass.UNKNOWN, 0),
    ("500, empty, though taken", {"status": 500, "body": "", "accepts": True}, OutcomeClass.UNKNOWN, 1),
    ("502 from a proxy", {"status": 502, "body": "<html>"}, OutcomeClass.UNKNOWN, 0),
    ("500 with a code that says nothing", {"status": 500, "code": 1, "accepts": True}, OutcomeClass.UNKNOWN, 1),
    ("200, broken", {"body": '{"messages":[{"id":"wa'}, OutcomeClass.UNKNOWN, 1),
    ("200, empty", {"body": ""}, OutcomeClass.UNKNOWN, 1),
    ("302", {"status": 302, "headers": {"Location": "/v26.0/me/messages"}}, OutcomeClass.UNKNOWN, 1),
    ("503 with a clean refusal", {"status": 503, "code": 2}, OutcomeClass.RETRY, 0),
    ("429 without a code", {"status": 429, "body": ""}, OutcomeClass.RETRY, 0),
    ("the app's call limit", {"code": 4}, OutcomeClass.RETRY, 0),
    ("blocked for policy", {"code": 368}, OutcomeClass.STOP, 0),
    ("a code that nobody knows", {"code": 424242}, OutcomeClass.NEVER, 0),
]


@EVERYWHERE
@pytest.mark.parametrize(("fault", "kind", "reached"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_each_fault_has_its_outcome_and_exactly_one_request_was_made(graph, message, fault, kind, reached):
    """Never a second request; and whatever reached somebody counts as used."""
    graph.fault(**fault)
    outcome = deliver(graph, message)

    assert (outcome.kind, len(graph.requests), len(graph.accepted)) == (kind, 1, reached)
    assert outcome.counts_as_used or not graph.accepted


def test_a_refused_connection_is_a_clean_refusal():
    """Nobody listens: nothing left."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        outcome = GraphClient(urls={"facebook": url}).deliver(ON_WHATSAPP, token=TOKEN, now=NOON)

    assert (outcome.kind, outcome.counts_as_used, outcome.detail) == (OutcomeClass.RETRY, False, "NewConnectionError")


def test_a_connection_that_never_opens_is_a_clean_refusal():
    """The queue of a listener that accepts nobody is full: the connect timeout ends it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        url = f"http://127.0.0.1:{address[1]}"
        outcome = GraphClient(urls={"facebook": url}, connect_timeout=0.2).deliver(ON_WHATSAPP, token=TOKEN, now=NOON)
        for one in waiting:
            one.close()

    assert (outcome.kind, outcome.detail) == (OutcomeClass.RETRY, "ConnectTimeoutError")


def test_a_failed_handshake_is_a_clean_refusal_and_sends_no_token():
    """TLS comes before the request: a server that cannot speak it has read nothing of ours."""
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, read):
        outcome = GraphClient(urls={"facebook": f"https://127.0.0.1:{port}"}).deliver(
            ON_WHATSAPP,
            token=TOKEN,
            app_secret=APP_SECRET,
            now=NOON,
        )

    assert (outcome.kind, outcome.counts_as_used, outcome.detail) == (OutcomeClass.RETRY, False, "SSLError")
    assert TOKEN.encode() not in b"".join(read)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_an_answer_that_is_not_http_is_an_unknown_outcome(answer):
    """The request left, so it counts, whatever came back."""
    with listening(answer) as (port, _):
        outcome = GraphClient(urls={"facebook": f"http://127.0.0.1:{port}"}).deliver(ON_WHATSAPP, token=TOKEN, now=NOON)

    assert (outcome.kind, outcome.counts_as_used) == (OutcomeClass.UNKNOWN, True)


def test_no_connection_is_kept_for_a_later_message():
    """A connection that died while the function was frozen would turn the next message into an unknown outcome."""
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"message_id":"m"}'
    with listening(answer, connections=2) as (port, read):
        one = GraphClient(urls={"facebook": f"http://127.0.0.1:{port}"}, read_timeout=1)
        kinds = [one.deliver(ON_MESSENGER, token=TOKEN, now=NOON).kind for _ in range(2)]

    assert (kinds, len(read)) == ([OutcomeClass.ACCEPTED, OutcomeClass.ACCEPTED], 2)


def test_faults_are_for_whom_and_as_often_as_scripted(graph):
    """The next two for this person fail; the third, and everybody else's, does not."""
    graph.inbound("whatsapp", NUMBER, "12015550124", NOON)
    graph.fault(2, user=READER, code=131026)
    other = replace(ON_WHATSAPP, to="12015550124")
    codes = [deliver(graph, message).code for message in (ON_WHATSAPP, other, ON_WHATSAPP, ON_WHATSAPP)]

    assert codes == [131026, None, 131026, None]


# What the platform tells later


def test_statuses_of_whatsapp_come_when_they_are_due_and_name_the_follow_up(graph):
    """Sent, then delivered, each once, with the id that settles an unknown outcome."""
    graph.fault(drop="after_read")
    deliver(graph, ON_WHATSAPP)

    assert graph.statuses_due(NOON) == []
    assert graph.next_due() == NOON + 1
    statuses = [status(body) for _, body in graph.statuses_due(NOON + 2)]
    assert [(one["status"], one["biz_opaque_callback_data"], one["recipient_id"]) for one in statuses] == [
        ("sent", "f-1", READER),
        ("delivered", "f-1", READER),
    ]
    assert graph.statuses_due(NOON + 99) == []
    assert graph.next_due() is None


def test_a_message_can_fail_later(graph):
    """Most refusals of WhatsApp are no answer but a status."""
    graph.script([("sent", 1), ("failed", 60, 131049)], user=READER)
    deliver(graph, ON_WHATSAPP)

    assert [status(body).get("errors", [{}])[0].get("code") for _, body in graph.statuses_due(NOON + 60)] == [
        None,
        131049,
    ]


@pytest.mark.parametrize(
    ("message", "metadata"), [(ON_MESSENGER, "f-1"), (ON_INSTAGRAM, None)], ids=["page", "instagram"]
)
def test_messenger_and_instagram_echo_what_was_said(graph, message, metadata):
    """From the bot to the person, with the app's id; metadata returns where it was sent."""
    deliver(graph, message)
    channel, body = graph.statuses_due(NOON + 1)[0]
    payload = json.loads(body)
    event = payload["entry"][0]["messaging"][0]

    assert (channel, payload["object"]) == (message.channel, {"messenger": "page"}.get(channel, channel))
    assert (event["sender"]["id"], event["recipient"]["id"]) == (message.bot_id, message.to)
    assert (event["message"]["is_echo"], event["message"].get("metadata")) == (True, metadata)


def test_webhooks_go_where_the_stack_wants_them(graph):
    """Whoever moves the time also says when Meta may speak."""
    heard: list[str] = []
    graph._on_webhook = lambda channel, body: heard.append(channel)
    deliver(graph, ON_WHATSAPP)

    assert (graph.post_webhooks(NOON + 2), heard) == (2, ["whatsapp", "whatsapp"])


def test_ids_are_the_same_in_every_run():
    """So that a journey can be compared with the one before."""

    def ids() -> list[str]:
        with GraphStandIn() as graph:
            for message in (ON_WHATSAPP, ON_MESSENGER, ON_INSTAGRAM):
                graph.register_token(TOKEN, message.bot_id)
                graph.inbound(message.channel, message.bot_id, message.to)
                deliver(graph, message)
            return [said.id for said in graph.accepted]

    first = ids()
    assert [name[:2] for name in first] == ["wa", "m_", "aW"]
    assert ids() == first


# Another process


def test_the_stand_in_can_be_driven_over_http(tmp_path):
    """What the objects can do, a deployment in another process can ask for."""
    log = tmp_path / "graph.log"
    with GraphStandIn(log=log) as graph:

        def ask(name: str, **arguments: object) -> tuple[int, dict]:
            return post(f"{graph.url}/_standin/{name}", arguments)

        assert ask("token", token=TOKEN, bot=NUMBER)[0] == 200
        assert ask("inbound", channel="whatsapp", bot=NUMBER, user=READER)[0] == 200
        assert ask("fault", code=131056, times=1)[0] == 200
        assert [deliver(graph, ON_WHATSAPP).code, deliver(graph, ON_WHATSAPP).code] == [131056, None]
        accepted = get(f"{graph.url}/_standin/accepted")
        assert [(said["to"], said["follow_up_id"]) for said in accepted] == [(READER, "f-1")]
        assert len(get(f"{graph.url}/_standin/requests")) == 2
        assert len(ask("statuses_due", now=time.time() + 5)[1]["due"]) == 2
        assert ask("fault", colour="red")[0] == 400
        assert ask("fault", drop="sometimes")[0] == 400
        assert ask("nothing")[0] == 404
        assert ask("reset")[0] == 200
        assert get(f"{graph.url}/_standin/accepted") == []

    lines = log.read_text(encoding="utf-8")
    assert [json.loads(line)["outcome"] for line in lines.splitlines()] == ["refused 131056", "accepted"]
    assert not any(secret in lines for secret in (TOKEN, READER, "exam"))


def status(body: bytes) -> dict:
    return json.loads(body)["entry"][0]["changes"][0]["value"]["statuses"][0]


def post(url: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, dict]:
    request = urllib.request.Request(url, json.dumps(body).encode(), headers or {}, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def get(url: str) -> object:
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
        return json.load(response)


@contextmanager
def listening(answer: bytes, connections: int = 1) -> Iterator[tuple[int, list[bytes]]]:
    """A server that reads one request from each of its connections and says `answer`; only the last is closed, as
    by a server that keeps connections alive."""
    read: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        kept = []
        for _ in range(connections):
            connection, _ = listener.accept()
            kept.append(connection)
            connection.settimeout(1)
            received = connection.recv(65_536)
            while received[:4] == b"POST" and b"\r\n\r\n{" not in received:
                received += connection.recv(65_536)
            read.append(received)
            connection.sendall(answer)
        for connection in kept:
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(2)
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], read
        thread.join(3)
