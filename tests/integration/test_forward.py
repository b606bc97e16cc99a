"""`forward`: Meta calls relance first, and the bot behind it gets each request untouched."""

import http.server
import threading

import pytest

from local.stack import LocalStack
from local.webhooks import APP_SECRET, build, encode, sign
from tests.cinema import CINEMA, NOON


class Behind(http.server.ThreadingHTTPServer):
    """The bot that stands behind relance: keeps what it was sent, answers what the test says."""

    status = 200

    def __init__(self):
        self.got = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/webhook"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((body, dict(self.headers)))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b"from the bot")

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def behind():
    """A bot on loopback."""
    with Behind() as server:
        yield server
        server.shutdown()


@pytest.fixture
def in_front(behind):
    """A deployment that Meta calls first."""
    with LocalStack(start=NOON, parameters={"MessengerForwardUrl": behind.url}) as stack:
        stack.publish(CINEMA, enabled_at=0)
        yield stack


def _post(stack, text="hello", id="f1", **more):
    raw = encode(build("messenger", "text", bot="1001", user="2002", at=stack.now, id=id, text=text))
    return raw, stack.post("messenger", raw, **more)


def test_the_bot_gets_the_untouched_request_and_its_status_is_the_answer(behind, in_front):
    """Same bytes, same signature: the bot verifies it as if Meta had called."""
    behind.status = 202
    raw, answer = _post(in_front)

    ((body, headers),) = behind.got
    assert raw == body
    assert sign(raw, APP_SECRET) == {name.lower(): value for name, value in headers.items()}["x-hub-signature-256"]
    assert "X-Relance-Handled" not in headers
    # What the bot says beside its status is for nobody: it may quote a person.
    assert (202, "passed on") == (answer.status, answer.body)


def test_a_dead_bot_costs_no_durable_write_and_is_no_outage_of_ours(behind, in_front):
    """502, so that Meta delivers again; what relance wrote stays, and counts once."""
    behind.shutdown()
    behind.server_close()
    _, answer = _post(in_front)

    assert 502 == answer.status
    assert 1 == len(in_front.interactions())
    assert [] == in_front.failures


def test_where_relance_answers_the_bot_is_told_to_stay_silent(behind, in_front):
    """The marker header names what relance handles; the person gets one confirmation."""
    _post(in_front)
    _post(in_front, text="STOP", id="f2")
    in_front.drain()

    assert [None, "stop"] == [headers.get("X-Relance-Handled") for _, headers in behind.got]
    assert 1 == len(in_front.graph.accepted)
    assert "will not write to you again" in in_front.graph.accepted[0].text


def test_an_unsigned_request_is_not_passed_on(behind, in_front):
    """relance is the door."""
    _, answer = _post(in_front, signature="bad")

    assert 401 == answer.status
    assert [] == behind.got
