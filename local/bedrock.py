"""A stand-in for Amazon Bedrock: real HTTP on this machine, answers as they are scripted, good and bad ones alike.

It is no model and pretends to be none. It knows the three operations that relance calls and the errors that their
documentation names; botocore parses its answers as it parses Bedrock's own.

    with BedrockStandIn() as bedrock:
        bedrock.says({"message": "…", "topic_quote": "…", "language": "en"})
        client = botocore.session.get_session().create_client("bedrock-runtime", endpoint_url=bedrock.url, …)
"""

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: HTTP status, JSON body (or raw bytes), and seconds to wait before it."""

    body: Any
    status: int = 200
    error: str = ""
    after: float = 0.0


def converse(text: str, *, stop: str = "end_turn", tokens: tuple[int, int] = (640, 48)) -> dict[str, Any]:
    """A Converse response whose message is `text`."""
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": stop,
        "usage": {"inputTokens": tokens[0], "outputTokens": tokens[1], "totalTokens": sum(tokens)},
        "metrics": {"latencyMs": 700},
    }


def checks(**severities: float) -> dict[str, Any]:
    """An InvokeGuardrailChecks response: all categories at nought but those that are named."""
    names = ("SEXUAL", "HATE", "INSULTS", "MISCONDUCT", "VIOLENCE")
    scores = [{"category": name, "severityScore": severities.get(name, 0.0)} for name in names]
    return {
        "results": {
            "contentFilter": {"results": scores},
            "sensitiveInformation": {"results": [], "truncated": False},
        },
        "usage": {"contentFilter": {"textUnits": 1}, "sensitiveInformation": {"textUnits": 1}},
    }


@dataclass(slots=True)
class BedrockStandIn:
    """Answers Converse, ApplyGuardrail and InvokeGuardrailChecks in the order scripted; the last answer stays."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    _scripts: dict[str, deque[Answer]] = field(default_factory=dict)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self._server = server
        self.reset()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("the stand-in runs as a context manager")
        return f"http://127.0.0.1:{self._server.server_port}"

    def reset(self) -> None:
        """Nothing asked, nothing scripted: a model that is silent and guardrails that object to nothing."""
        self.requests.clear()
        silent = json.dumps({"message": "", "topic_quote": "", "language": "en"})
        self._scripts = {
            "converse": deque([Answer(converse(silent))]),
            "apply": deque([Answer({"action": "NONE", "outputs": [], "assessments": [], "usage": {}})]),
            "checks": deque([Answer(checks())]),
        }

    def says(self, *drafts: dict[str, str] | str | Answer) -> None:
        """The model's next answers: drafts, raw texts, or whole answers (errors, late ones, other stop reasons)."""
        self.script("converse", *(self._answer(draft) for draft in drafts))

    @staticmethod
    def _answer(draft: dict[str, str] | str | Answer) -> Answer:
        if isinstance(draft, Answer):
            return draft
        return Answer(converse(draft if isinstance(draft, str) else json.dumps(draft)))

    def script(self, operation: str, *answers: Answer) -> None:
        """The next answers of `converse`, `apply` or `checks`."""
        self._scripts[operation] = deque(answers)

    def prompts(self) -> list[str]:
        """What the model was told, system prompt and turns, one text for each call."""
        return [
            "\n".join(part["text"] for part in (*asked["system"], *asked["messages"][0]["content"]))
            for asked in self.requests
            if "system" in asked
        ]

    def _next(self, operation: str) -> Answer:
        script = self._scripts[operation]
        return script.popleft() if len(script) > 1 else script[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # (the name http.server wants)
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                ends = {"/converse": "converse", "/apply": "apply", "/guardrail-checks/invoke": "checks"}
                operation = next((name for end, name in ends.items() if self.path.endswith(end)), "")
                if not operation:
                    self._reply(Answer({"message": "no such operation"}, 404, "ResourceNotFoundException"))
                    return
                stand_in.requests.append(json.loads(raw) | {"path": self.path})
                self._reply(stand_in._next(operation))

            def _reply(self, answer: Answer) -> None:
                time.sleep(answer.after)
                body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                try:
                    self.send_response(answer.status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    if answer.error:
                        self.send_header("x-amzn-ErrorType", answer.error)
                    self.end_headers()
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # who asked has hung up

            def log_message(self, *_: Any) -> None:
                """Silent: what was asked is in `requests`."""

        return Handler
