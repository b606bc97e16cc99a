"""The lines of README.md that stand relance beside an existing Flask bot, run as a reader would run them."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import requests

from relance.channels import signature

README = Path(__file__).parents[2] / "README.md"
SECRET = "app-secret-for-tests"
# Escapes, two kinds of spaces and bytes that are no UTF-8: whoever parses and writes anew sends something else.
BODY = b'{"object":"page",  "text":"\\u00e4 \\/ \xc3\xa9",\t"entry":[]}\n\xff'


class Relance:
    """A stand-in for relance's Function URL: keeps what arrives, and answers 200 only to what Meta has signed."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.answers_with: int | None = None

    def receive(self, body: bytes, headers: dict[str, str]) -> int:
        self.bodies.append(body)
        self.headers.append(headers)
        genuine = signature.verify(body, headers.get(signature.HEADER), [SECRET])
        return self.answers_with or (200 if genuine else 401)


class Bot:
    """The reader's bot: the README's lines around an `answer` that only keeps what it was given."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answered: list[bytes] = []

    def deliver(self, body: bytes, header: str | None) -> int:
        """Meta posts a webhook to the bot. Returns the status that Meta sees."""
        headers = {"Content-Type": "application/json"} | ({signature.HEADER: header} if header is not None else {})
        with requests.Session() as meta:
            meta.trust_env = False
            return meta.post(f"{self.url}/webhook", body, headers=headers, timeout=10).status_code


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """A test says what it has to say by failing."""


@contextmanager
def serving(server: HTTPServer) -> Iterator[str]:
    """Let a server run on loopback, and give its address."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def relance() -> Relance:
    return Relance()


@pytest.fixture
def relance_url(relance: Relance) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(relance.receive(body, dict(self.headers.items())))
            self.send_header("Content-Length", "0")
            self.end_headers()

        log_message = Quiet.log_message

    with serving(HTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url


def flask_lines() -> str:
    """The one Python block of the README that makes a Flask app."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (found,) = [block for block in blocks if "Flask(" in block]
    return found


@pytest.fixture
def bot(relance_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bot]:
    monkeypatch.setenv("RELANCE_URL", f"{relance_url}/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    bot = Bot("")
    namespace: dict[str, Any] = {"__name__": "bot", "answer": bot.answered.append}
    exec(compile(flask_lines(), str(README), "exec"), namespace)  # noqa: S102 - our own README
    with serving(make_server("127.0.0.1", 0, namespace["app"], handler_class=Quiet)) as bot.url:
        yield bot


def test_the_readme_bot_passes_on_the_very_bytes_and_the_signature(bot: Bot, relance: Relance) -> None:
    """What relance gets is what Meta signed: byte for byte, with the header, once."""
    header = signature.sign(BODY, SECRET)

    assert bot.deliver(BODY, header) == 200
    assert relance.bodies == [BODY]
    assert relance.headers[0][signature.HEADER] == header
    assert bot.answered == [BODY]


@pytest.mark.parametrize("refusal", [204, 307, 401, 413, 429, 500, 502, 503])
def test_the_readme_bot_answers_meta_200_only_if_relance_did(bot: Bot, relance: Relance, refusal: int) -> None:
    """Anything else goes to Meta, which delivers again; and the bot answers nobody twice for it."""
    relance.answers_with = refusal

    assert bot.deliver(BODY, signature.sign(BODY, SECRET)) == refusal
    assert bot.answered == []

    relance.answers_with = None

    assert bot.deliver(BODY, signature.sign(BODY, SECRET)) == 200
    assert bot.answered == [BODY]


@pytest.mark.parametrize("header", [None, "sha256=" + "0" * 64])
def test_the_readme_bot_does_not_answer_what_meta_has_not_signed(
    bot: Bot, relance: Relance, header: str | None
) -> None:
    """relance checks the signature for both."""
    assert bot.deliver(BODY, header) == 401
    assert relance.bodies == [BODY]
    assert bot.answered == []


def test_the_readme_bot_asks_meta_to_deliver_again_when_relance_cannot_be_reached(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that never arrived could be a lost stop."""
    with serving(HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)) as gone:
        pass
    monkeypatch.setenv("RELANCE_URL", gone)

    assert bot.deliver(BODY, signature.sign(BODY, SECRET)) == 503
    assert bot.answered == []
