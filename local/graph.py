"""A stand-in for Meta's Graph API: real HTTP on this machine, the platforms' own rules, and faults on request.

It takes what the three channels take, refuses what they refuse (windows, lengths, templates, tokens), remembers
what reached whom, and tells later what became of it in the words of the platforms' webhooks. It has no clock of
its own but `time.time()` and no timers: who moves the time asks `statuses_due` what has happened meanwhile.

    with GraphStandIn() as graph:
        graph.register_token("EAAtest", "106540352242922")
        graph.inbound("whatsapp", "106540352242922", "12015550123", at=now)
        graph.fault(hang=9)                      # the next message arrives, and nobody hears of it
        client = GraphClient(urls=graph.urls)

Run alone it is driven over HTTP, under `/_standin/`:  python -m local.graph --port 5301
"""

import argparse
import base64
import hashlib
import hmac
import json
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

DAY = 86_400
MAX_BODY = 1_000_000
PAIR_LIMIT = 6  # seconds between two messages to one person on WhatsApp
TOKEN_LIFE = 5_183_944  # seconds that a token of Instagram Login lives: 60 days, all but a few seconds
WABA = "102290129340398"
APP_ID = "1517776481860000"

# Where the documented HTTP status of a code is not 400.
STATUS_OF_CODE = {
    **dict.fromkeys((0, 190), 401),
    **dict.fromkeys((10, 200, 368, 130497, 131005, 131031), 403),
    132001: 404,
    **dict.fromkeys((1, 3, 131000, 131057, 133004, 135000), 500),
    **dict.fromkeys((2, 131016), 503),
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that reached its person. `kind` is the platform's own word: WhatsApp's `type`, else the
    `messaging_type` in small letters (`text` where there is none). `text` of a template are its parameters."""

    at: float
    channel: str
    bot: str
    to: str
    kind: str
    text: str
    id: str
    follow_up_id: str
    body: dict


@dataclass(frozen=True, slots=True)
class Seen:
    """Any request for a message. `outcome` is `accepted`, `refused CODE/SUBCODE` or `fault ...`; a message can be
    accepted and its answer a fault, so only `GraphStandIn.accepted` says what reached people."""

    at: float
    channel: str
    bot: str
    to: str
    status: int | None
    outcome: str
    body: dict | None


@dataclass(slots=True)
class Fault:
    """What to do instead of the right thing, for the next `times` requests that match channel, bot and user.

    - `code`, `subcode`: refuse with this Graph error, with `status` or the one that belongs to the code.
    - `status` and `body` without a code: answer just that (`body=""`: empty, `body="{"`: broken).
    - `delay`: do the right thing, then answer after so many real seconds.
    - `hang`: wait so many real seconds, then hang up without an answer.
    - `drop`: hang up without an answer, `"before_read"` of the body or `"after_read"`.
    - `accepts`: whether the message reaches its person all the same. By default it does unless the request is
      refused, answered with 4xx or 5xx, or never read: the case that tempts a client to send twice.
    """

    times: int = 1
    channel: str = ""
    bot: str = ""
    user: str = ""
    status: int | None = None
    code: int | None = None
    subcode: int | None = None
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    hang: float = 0
    drop: str = ""
    accepts: bool | None = None

    def __post_init__(self) -> None:
        if self.drop not in ("", "before_read", "after_read"):
            raise ValueError("drop is before_read or after_read")
        if self.drop == "before_read" and (self.user or self.accepts):
            raise ValueError("what was not read has no user and cannot be accepted")
        if self.accepts is None:
            self.accepts = self.code is None and (self.status or 200) < 400 and self.drop != "before_read"
        self.user = self.user.lstrip("+")

    def matches(self, channel: str, bot: str, user: str) -> bool:
        wanted = ((self.channel, channel), (self.bot, bot), (self.user, user))
        return self.times > 0 and all(mine in ("", theirs) for mine, theirs in wanted)

    @property
    def answers(self) -> bool:
        return self.code is not None or self.status is not None or self.body is not None

    def __str__(self) -> str:
        parts = [f"{self.code}/{self.subcode}" if self.code is not None else "", str(self.status or "")]
        parts += ["hang" if self.hang else "", self.drop, "delay" if self.delay else ""]
        return "fault " + " ".join(part for part in parts if part)


class Step(NamedTuple):
    """One thing that becomes of an accepted message: `event` (`sent`, `delivered`, `read`, `failed` with its
    `code`, `echo`) so many seconds `after` its acceptance."""

    event: str
    after: float
    code: int | None = None


DEFAULT_STEPS: Mapping[str, tuple[Step, ...]] = {
    "whatsapp": (Step("sent", 1), Step("delivered", 2)),
    "messenger": (Step("echo", 1), Step("delivered", 2)),
    "instagram": (Step("echo", 1),),  # Instagram reports no delivery
}


@dataclass(frozen=True, slots=True)
class Template:
    """An approved WhatsApp template. `parameters` is how many its body has, None if it does not matter."""

    name: str
    language: str
    parameters: int | None = None
    status: str = "APPROVED"


@dataclass(frozen=True, slots=True)
class _Account:
    bot: str
    channel: str = ""
    app_secret: str = field(default="", repr=False)
    issued: float | None = None
    ends: float | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    """A request for a message, as far as it could be understood."""

    channel: str
    account: _Account
    to: str
    body: dict


@dataclass(frozen=True, slots=True)
class _Reply:
    """What goes back on the wire; `status` None means that the connection is closed instead."""

    status: int | None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0


class Refusal(Exception):
    """The platform says no, with a code of its own."""

    def __init__(self, code: int, subcode: int | None = None, text: str = "", status: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.subcode = subcode
        self.text = text or "Refused"
        self.status = status or STATUS_OF_CODE.get(code, 400)


class GraphStandIn:
    """The platform as one object: tell it who wrote and what goes wrong, and ask it what reached whom.

    `port` 0 takes any free one. `on_webhook(channel, body)` is called by `post_webhooks` with the unsigned body of
    each webhook that is due. `app_id` is the app that echoes name. With `pair_limit` WhatsApp refuses a second
    message to one person within six seconds. `log` is a file for one line per request, without content.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        app_id: str = APP_ID,
        on_webhook: Callable[[str, bytes], None] | None = None,
        pair_limit: bool = False,
        log: Path | None = None,
    ) -> None:
        self._port = port
        self._app_id = app_id
        self._on_webhook = on_webhook
        self._pair_limit = pair_limit
        self._log = log
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everything: people, tokens, templates, faults, messages."""
        with self._lock:
            self.accepted: list[Accepted] = []
            self.requests: list[Seen] = []
            self._tokens: dict[str, dict[str, _Account]] = {}
            self._templates: dict[tuple[str, str], Template] = {}
            self._opened: dict[tuple[str, str, str], float] = {}
            self._channels: dict[str, str] = {}
            self._faults: list[Fault] = []
            self._renewal_faults: list[Fault] = []
            self._steps: dict[tuple[str, str], tuple[Step, ...]] = {}
            self._due: list[tuple[float, int, str, bytes]] = []
            self._scheduled = 0
            self._minted: dict[str, int] = {}
            self.renewals: list[str] = []

    # Life

    def __enter__(self) -> Self:
        self._closing.clear()
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    @property
    def url(self) -> str:
        """The address that stands for both of Meta's hosts."""
        if self._server is None:
            raise RuntimeError("the stand-in has not been started")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def urls(self) -> dict[str, str]:
        """The addresses as `GraphClient` wants them, by login."""
        return {"facebook": self.url, "instagram": self.url}

    # What the world does

    def register_token(
        self, token: str, bot: str, *, channel: str = "", app_secret: str = "", issued: float | None = None
    ) -> None:
        """Let `token` speak for `bot`; any other token is refused with 190. With `app_secret` the account demands
        its proof. `channel` is needed for an Instagram account with Facebook's login that nobody wrote to yet.
        With `issued` the token is one of Instagram Login: it cannot be renewed for a day, and ends after sixty."""
        with self._lock:
            ends = None if issued is None else issued + TOKEN_LIFE
            self._tokens.setdefault(token, {})[bot] = _Account(bot, channel, app_secret, issued, ends)
            if channel:
                self._channels[bot] = channel

    def register_template(
        self, name: str, language: str = "en_US", *, parameters: int | None = None, status: str = "APPROVED"
    ) -> None:
        """Have a template approved, or `PAUSED` or `DISABLED`; an unknown one is refused with 132001."""
        with self._lock:
            self._templates[name, language] = Template(name, language, parameters, status)

    def inbound(self, channel: str, bot: str, user: str, at: float | None = None, *, number: str = "") -> None:
        """The user writes to the bot: the 24-hour window opens. `number` is a second name of the same person."""
        with self._lock:
            self._channels[bot] = channel
            for name in filter(None, (user, number)):
                key = (channel, bot, name.lstrip("+"))
                self._opened[key] = max(self._opened.get(key, 0), time.time() if at is None else at)

    def fault(self, times: int = 1, **what: object) -> None:
        """Script what goes wrong: see `Fault`. Faults are tried in the order they were given."""
        with self._lock:
            self._faults.append(Fault(times, **what))  # type: ignore[arg-type]

    def renewal_fault(self, times: int = 1, **what: object) -> None:
        """Script what goes wrong when a token is renewed: a `Fault` with `code`, `status` and `body`, or `drop`."""
        with self._lock:
            self._renewal_faults.append(Fault(times, **what))  # type: ignore[arg-type]

    def script(self, steps: Iterable[tuple], *, channel: str = "whatsapp", user: str = "") -> None:
        """Say what becomes of messages accepted from now on, to `user` or to everybody: see `Step`."""
        with self._lock:
            self._steps[channel, user.lstrip("+")] = tuple(Step(*step) for step in steps)

    def statuses_due(self, now: float) -> list[tuple[str, bytes]]:
        """Take the webhooks that Meta would have posted by `now`, oldest first: channel and unsigned body, each
        once."""
        with self._lock:
            due = sorted(entry for entry in self._due if entry[0] <= now)
            self._due = [entry for entry in self._due if entry[0] > now]
        return [(channel, body) for _, _, channel, body in due]

    def next_due(self) -> float | None:
        """When Meta will speak next; None while it has nothing to say."""
        with self._lock:
            return min((entry[0] for entry in self._due), default=None)

    def post_webhooks(self, now: float | None = None) -> int:
        """Hand the webhooks that are due to `on_webhook` and say how many there were."""
        due = self.statuses_due(time.time() if now is None else now)
        for channel, body in due:
            if self._on_webhook:
                self._on_webhook(channel, body)
        return len(due)

    # What the platform does

    def drops_unread(self, path: str, authorization: str) -> bool:
        """Whether a scripted fault hangs up on this request before its body is read."""
        with self._lock:
            try:
                account = self._account(_bot_in(path), _bearer(authorization))
            except Refusal:
                return False
            channel = self._channels.get(account.bot, account.channel)
            for fault in self._faults:
                if fault.drop == "before_read" and fault.matches(channel, account.bot, ""):
                    fault.times -= 1
                    self._note(Seen(time.time(), channel, account.bot, "", None, str(fault), None))
                    return True
            return False

    def answer(self, path: str, query: str, authorization: str, raw: bytes) -> _Reply:
        """Answer one POST to a `messages` edge, as the platform or as a fault would."""
        now = time.time()
        with self._lock:
            request: _Request | None = None
            try:
                request = self._understand(path, query, authorization, raw)
                fault = self._fault_for(request)
                if fault and not fault.accepts:
                    return self._faulty(now, request, fault)
                said = self._accept(now, request)
            except Refusal as refusal:
                return self._refuse(now, request, refusal)
            if fault:
                return self._faulty(now, request, fault, said)
            return self._reply(now, request, 200, _ok(said), "accepted")

    def renew(self, query: str) -> _Reply:
        """Answer one GET to `refresh_access_token`: a token of Instagram Login for another sixty days.

        The old token is good until its own end. `renewals` keeps what became of each request, without a token.
        """
        now = time.time()
        with self._lock:
            asked = {name: values[0] for name, values in parse_qs(query).items()}
            token = asked.get("access_token", "")
            try:
                if asked.get("grant_type") != "ig_refresh_token":
                    raise Refusal(100, text="Param grant_type must be ig_refresh_token")
                account = self._account("me", token)
                if account.issued is not None and now - account.issued < DAY:
                    raise Refusal(190, text="Session key invalid: the token must be at least 24 hours old")
                fault = next(
                    (each for each in self._renewal_faults if each.matches("instagram", account.bot, "")), None
                )
                if fault is not None:
                    fault.times -= 1
                    if fault.code is None:
                        self.renewals.append(str(fault))
                        return _Reply(None if fault.drop else fault.status or 200, (fault.body or "").encode())
                    raise Refusal(fault.code, fault.subcode, "Scripted", fault.status)
            except Refusal as refusal:
                self.renewals.append(f"refused {refusal.code}")
                error = {"message": refusal.text, "type": "OAuthException", "code": refusal.code}
                return _Reply(refusal.status, json.dumps({"error": error}).encode())
            new = f"IGAA-renewed-{len(self.renewals) + 1:04d}"
            self.register_token(new, account.bot, channel=account.channel, app_secret=account.app_secret, issued=now)
            self.renewals.append("renewed")
            answer = {"access_token": new, "token_type": "bearer", "expires_in": TOKEN_LIFE}
            return _Reply(200, json.dumps(answer).encode())

    def _understand(self, path: str, query: str, authorization: str, raw: bytes) -> _Request:
        token = _bearer(authorization)
        account = self._account(_bot_in(path), token)
        if account.app_secret:
            _check_proof(account.app_secret, token, parse_qs(query))
        try:
            body = json.loads(raw)
        except ValueError:
            raise Refusal(100, text="Invalid JSON") from None
        if not isinstance(body, dict):
            raise Refusal(100, text="The body is not an object")
        channel = "whatsapp" if "messaging_product" in body else self._channels.get(account.bot, account.channel)
        channel = channel or ("messenger" if "messaging_type" in body else "instagram")
        recipient = body.get("recipient")
        to = (body.get("to") or recipient) if channel == "whatsapp" else _dict(recipient).get("id")
        return _Request(channel, account, to.lstrip("+") if isinstance(to, str) else "", body)

    def _account(self, bot: str, token: str) -> _Account:
        accounts = self._tokens.get(token)
        if not accounts:
            raise Refusal(190, text="Invalid OAuth access token - Cannot parse access token")
        if any(account.ends is not None and account.ends <= time.time() for account in accounts.values()):
            raise Refusal(190, 463, "Error validating access token: Session has expired")
        if bot == "me" and len(accounts) == 1:
            return next(iter(accounts.values()))
        if bot not in accounts:
            raise Refusal(100, 33, "Object does not exist or cannot be loaded due to missing permissions")
        return accounts[bot]

    def _fault_for(self, request: _Request) -> Fault | None:
        for fault in self._faults:
            if fault.drop != "before_read" and fault.matches(request.channel, request.account.bot, request.to):
                fault.times -= 1
                return fault
        return None

    def _accept(self, now: float, request: _Request) -> Accepted:
        kind, text, tag = CHECKS[request.channel](request.body)
        window = self._opened.get((request.channel, request.account.bot, request.to))
        if kind == "template":
            self._check_template(request.body["template"])
        elif window is None or now - window >= DAY:
            code, subcode = CLOSED_WINDOW[request.channel]
            raise Refusal(code, subcode, "Message failed to send because more than 24 hours have passed")
        if self._pair_limit and request.channel == "whatsapp" and self._wrote_lately(now, request):
            raise Refusal(131056, text="Pair rate limit hit")
        bot, name = request.account.bot, self._mint(request.channel)
        said = Accepted(now, request.channel, bot, request.to, kind, text, name, tag, request.body)
        self.accepted.append(said)
        self._schedule(said)
        return said

    def _wrote_lately(self, now: float, request: _Request) -> bool:
        pair = (request.account.bot, request.to)
        return any((said.bot, said.to) == pair and now - said.at < PAIR_LIMIT for said in self.accepted)

    def _check_template(self, wanted: dict) -> None:
        name, language = wanted.get("name"), _dict(wanted.get("language")).get("code")
        template = self._templates.get((str(name), str(language)))
        if template is None:
            raise Refusal(132001, text="Template name does not exist in the translation")
        if template.status != "APPROVED":
            raise Refusal(132015 if template.status == "PAUSED" else 132016, text=f"Template is {template.status}")
        values = _template_values(wanted)
        if template.parameters not in (None, len(values)):
            raise Refusal(132000, text="Number of parameters does not match the expected number of params")
        if any(re.search(r"[\n\t]| {5}", value) for value in values):
            raise Refusal(132018, text="Param text cannot have new-line/tab characters or 5 consecutive spaces")

    def _mint(self, channel: str) -> str:
        """Ids look like the platforms' own and are the same in every run."""
        count = self._minted[channel] = self._minted.get(channel, 0) + 1
        if channel == "whatsapp":
            return "wamid." + base64.b64encode(f"relance-standin-{count:08d}".encode()).decode()
        prefix = {"messenger": "m_", "instagram": "aWdf"}[channel]
        return prefix + base64.urlsafe_b64encode(f"{channel}-standin-{count:08d}".encode()).decode().rstrip("=")

    def _schedule(self, said: Accepted) -> None:
        steps = self._steps.get((said.channel, said.to)) or self._steps.get((said.channel, ""))
        for step in DEFAULT_STEPS[said.channel] if steps is None else steps:
            payload = WEBHOOKS[said.channel](said, step, self._app_id)
            if payload is not None:
                self._scheduled += 1
                body = json.dumps(payload, separators=(",", ":")).encode()
                self._due.append((said.at + step.after, self._scheduled, said.channel, body))

    def _faulty(self, now: float, request: _Request, fault: Fault, said: Accepted | None = None) -> _Reply:
        if fault.drop or fault.hang:
            return self._reply(now, request, None, None, str(fault), wait=fault.hang)
        if fault.code is not None:
            refusal = Refusal(fault.code, fault.subcode, "Scripted", fault.status)
            return self._refuse(now, request, refusal, headers=fault.headers, wait=fault.delay)
        if not fault.answers and said:
            return self._reply(now, request, 200, _ok(said), str(fault), headers=fault.headers, wait=fault.delay)
        body = (fault.body or "").encode()
        return self._reply(now, request, fault.status or 200, body, str(fault), headers=fault.headers, wait=fault.delay)

    def _refuse(
        self,
        now: float,
        request: _Request | None,
        refusal: Refusal,
        *,
        headers: Mapping[str, str] | None = None,
        wait: float = 0,
    ) -> _Reply:
        error: dict = {
            "message": f"(#{refusal.code}) {refusal.text}",
            "type": "OAuthException",
            "code": refusal.code,
            "fbtrace_id": f"standin{len(self.requests) + 1:06d}",
        }
        if refusal.subcode is not None:
            error["error_subcode"] = refusal.subcode
        if request and request.channel == "whatsapp":
            error["error_data"] = {"messaging_product": "whatsapp", "details": refusal.text}
        outcome = f"refused {refusal.code}" + (f"/{refusal.subcode}" if refusal.subcode is not None else "")
        return self._reply(now, request, refusal.status, {"error": error}, outcome, headers=headers, wait=wait)

    def _reply(
        self,
        now: float,
        request: _Request | None,
        status: int | None,
        body: dict | bytes | None,
        outcome: str,
        *,
        headers: Mapping[str, str] | None = None,
        wait: float = 0,
    ) -> _Reply:
        if request:
            seen = Seen(now, request.channel, request.account.bot, request.to, status, outcome, request.body)
        else:
            seen = Seen(now, "", "", "", status, outcome, None)
        self._note(seen)
        raw = json.dumps(body).encode() if isinstance(body, dict) else body or b""
        return _Reply(status, raw, headers or {}, wait)

    def _note(self, seen: Seen) -> None:
        self.requests.append(seen)
        if self._log:
            line = {name: getattr(seen, name) for name in ("at", "channel", "bot", "status", "outcome")}
            with self._log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")

    def wait(self, seconds: float) -> None:
        """Wait in real time, or until the stand-in is closed."""
        self._closing.wait(seconds)

    # Driven over HTTP

    def control(self, method: str, name: str, arguments: dict) -> object:
        """Do what a request under `/_standin/` asks. KeyError: there is no such thing; TypeError or ValueError:
        the arguments are wrong."""
        with self._lock:
            if method == "GET":
                return {
                    "accepted": lambda: [asdict(said) for said in self.accepted],
                    "requests": lambda: [asdict(seen) for seen in self.requests],
                    "health": lambda: {"ok": True},
                }[name]()
            doing: Callable[..., object] = {
                "inbound": self.inbound,
                "token": self.register_token,
                "template": self.register_template,
                "fault": self.fault,
                "script": self.script,
                "reset": self.reset,
                "statuses_due": self._statuses_due_as_text,
            }[name]
            return doing(**arguments) or {"ok": True}

    def _statuses_due_as_text(self, now: float | None = None) -> object:
        due = self.statuses_due(time.time() if now is None else now)
        return {"due": [{"channel": channel, "body": body.decode()} for channel, body in due]}


# The rules of each channel: what a body must hold. Each returns (kind, text, follow-up id).


def _check_whatsapp(body: dict) -> tuple[str, str, str]:
    if body.get("messaging_product") != "whatsapp":
        raise Refusal(100, text="Param messaging_product must be whatsapp")
    to, recipient = body.get("to"), body.get("recipient")
    if not to and not recipient:
        raise Refusal(131008, text="Parameter 'to' or 'recipient' is mandatory")
    # Stricter than Meta, which would put the business's own country code in front of a number without a plus.
    if to and not re.fullmatch(r"\+[0-9]{5,15}", str(to)):
        raise Refusal(131009, text="Parameter 'to' is not a number with + and country code")
    if not to and not re.match(r"[A-Z]{2}\.", str(recipient)):
        raise Refusal(131009, text="Parameter 'recipient' is not a business-scoped user id")
    tag = body.get("biz_opaque_callback_data", "")
    if not isinstance(tag, str) or len(tag) > 512:
        raise Refusal(131009, text="Parameter 'biz_opaque_callback_data' is too long")
    kind = body.get("type")
    if kind == "text":
        return "text", _limited(_dict(body.get("text")).get("body"), 4_096, 100), tag
    if kind == "interactive":
        return "interactive", _check_buttons(_dict(body.get("interactive"))), tag
    if kind == "template" and isinstance(body.get("template"), dict):
        return "template", " ".join(_template_values(body["template"])), tag
    raise Refusal(131009, text="Parameter 'type' is not supported here")


def _check_buttons(interactive: dict) -> str:
    buttons = _list(_dict(interactive.get("action")).get("buttons"))
    replies = [_dict(_dict(button).get("reply")) for button in buttons]
    titles, keys = [reply.get("title") for reply in replies], [reply.get("id") for reply in replies]
    if interactive.get("type") != "button" or not 1 <= len(replies) <= 3:
        raise Refusal(131009, text="Only one to three reply buttons are supported here")
    for title, key in zip(titles, keys, strict=True):
        _limited(title, 20, 131009)
        _limited(key, 256, 131009)
    if len(set(titles)) < len(titles) or len(set(keys)) < len(keys):
        raise Refusal(131009, text="Duplicated button titles or ids")
    return _limited(_dict(interactive.get("body")).get("text"), 1_024, 131009)


def _template_values(template: dict) -> list[str]:
    components = [_dict(component) for component in _list(template.get("components"))]
    found = [_list(component.get("parameters")) for component in components if component.get("type") == "body"]
    return [_limited(_dict(parameter).get("text"), 1_024, 132005) for parameters in found for parameter in parameters]


def _check_messenger(body: dict) -> tuple[str, str, str]:
    kind = body.get("messaging_type")
    if kind not in ("RESPONSE", "UPDATE"):  # a tag is for people, or dead; a bot has no other type
        raise Refusal(100, text="Param messaging_type must be RESPONSE or UPDATE")
    if body.get("notification_type", "REGULAR") not in ("REGULAR", "SILENT_PUSH", "NO_PUSH"):
        raise Refusal(100, text="Param notification_type must be one of REGULAR, SILENT_PUSH, NO_PUSH")
    message = _check_message(body)
    return kind.lower(), _limited(message.get("text"), 1_999, 100), message.get("metadata", "")


def _check_instagram(body: dict) -> tuple[str, str, str]:
    message = _check_message(body)
    text = _limited(message.get("text"), 1_000, 100, 2534015)
    if len(text.encode()) > 1_000:
        raise Refusal(100, 2534015, "Message text must be UTF-8 and at most 1000 bytes")
    return str(body.get("messaging_type", "text")).lower(), text, message.get("metadata", "")


def _check_message(body: dict) -> dict:
    """What Messenger and Instagram share: recipient, metadata, quick replies."""
    message = _dict(body.get("message"))
    _limited(_dict(body.get("recipient")).get("id"), 100, 100)
    if not isinstance(message.get("metadata", ""), str) or len(message.get("metadata", "")) >= 1_000:
        raise Refusal(100, text="Param message[metadata] must be under 1000 characters")
    replies = [_dict(reply) for reply in _list(message.get("quick_replies"))]
    if len(replies) > 13 or any(reply.get("content_type") != "text" for reply in replies):
        raise Refusal(100, text="Param message[quick_replies] is not valid")
    for reply in replies:
        _limited(reply.get("title"), 20, 100)
        _limited(reply.get("payload"), 1_000, 100)
    return message


def _limited(value: object, limit: int, code: int, subcode: int | None = None) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > limit:
        raise Refusal(code, subcode, f"A text is missing or longer than {limit} characters")
    return value


CHECKS: Mapping[str, Callable[[dict], tuple[str, str, str]]] = {
    "whatsapp": _check_whatsapp,
    "messenger": _check_messenger,
    "instagram": _check_instagram,
}
CLOSED_WINDOW = {"whatsapp": (131047, None), "messenger": (10, 2018278), "instagram": (10, 2534022)}


# What the platform answers at once, and what it tells later.


def _ok(said: Accepted) -> dict:
    if said.channel != "whatsapp":
        return {"recipient_id": said.to, "message_id": said.id}
    if "to" in said.body:
        contact = {"input": said.body["to"], "wa_id": said.to}
    else:
        contact = {"input": said.to, "user_id": said.to}
    message = {"id": said.id} | ({"message_status": "accepted"} if said.kind == "template" else {})
    return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}


def _whatsapp_webhook(said: Accepted, step: Step, app_id: str) -> dict | None:
    if step.event not in ("sent", "delivered", "read", "failed"):
        return None
    whom = "recipient_id" if "to" in said.body else "recipient_user_id"
    status: dict = {"id": said.id, "status": step.event, "timestamp": str(int(said.at + step.after)), whom: said.to}
    if said.follow_up_id:
        status["biz_opaque_callback_data"] = said.follow_up_id
    if step.event == "failed":
        code = step.code or 131026
        status["errors"] = [
            {"code": code, "title": "Scripted", "message": "Scripted", "error_data": {"details": "Scripted"}}
        ]
    metadata = {"display_phone_number": "15550100000", "phone_number_id": said.bot}
    value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": [status]}
    changes = [{"field": "messages", "value": value}]
    return {"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": changes}]}


def _messenger_webhook(said: Accepted, step: Step, app_id: str) -> dict | None:
    moment = int((said.at + step.after) * 1_000)
    if step.event == "echo":
        return _echo(said, moment, "page", app_id)
    if step.event == "delivered":
        return _envelope(said, moment, "page", {"delivery": {"mids": [said.id], "watermark": moment}})
    if step.event == "read":
        return _envelope(said, moment, "page", {"read": {"watermark": moment}})
    return None


def _instagram_webhook(said: Accepted, step: Step, app_id: str) -> dict | None:
    moment = int((said.at + step.after) * 1_000)
    if step.event == "echo":
        return _echo(said, moment, "instagram", app_id)
    if step.event == "read":
        return _envelope(said, moment, "instagram", {"read": {"mid": said.id}})
    return None


def _echo(said: Accepted, moment: int, what: str, app_id: str) -> dict:
    message = {"mid": said.id, "text": said.text, "is_echo": True, "app_id": int(app_id)}
    if said.follow_up_id:
        message["metadata"] = said.follow_up_id
    return _envelope(said, moment, what, {"message": message}, from_bot=True)


def _envelope(said: Accepted, moment: int, what: str, event: dict, *, from_bot: bool = False) -> dict:
    sender, recipient = (said.bot, said.to) if from_bot else (said.to, said.bot)
    messaging = {"sender": {"id": sender}, "recipient": {"id": recipient}, "timestamp": moment, **event}
    return {"object": what, "entry": [{"id": said.bot, "time": moment, "messaging": [messaging]}]}


WEBHOOKS: Mapping[str, Callable[[Accepted, Step, str], dict | None]] = {
    "whatsapp": _whatsapp_webhook,
    "messenger": _messenger_webhook,
    "instagram": _instagram_webhook,
}


def _check_proof(app_secret: str, token: str, query: Mapping[str, list[str]]) -> None:
    proof, moment = query.get("appsecret_proof", [""])[0], query.get("appsecret_time", [""])[0]
    proven = f"{token}|{moment}" if moment else token
    right = hmac.new(app_secret.encode(), proven.encode(), hashlib.sha256).hexdigest()
    if not proof:
        raise Refusal(100, text="API calls from the server require an appsecret_proof argument")
    if not hmac.compare_digest(proof, right):
        raise Refusal(100, text="Invalid appsecret_proof provided in the API argument")


def _bot_in(path: str) -> str:
    found = re.fullmatch(r"/v\d+\.\d+/([^/]+)/messages", path)
    if not found:
        raise Refusal(2500, text="Unknown path components", status=404)
    return found[1]


def _bearer(authorization: str) -> str:
    return authorization.removeprefix("Bearer ").strip()


def _dict(value: object) -> dict:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list:
    return value if isinstance(value, list) else []


# The wire


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is none of our faults; anything else must be seen."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _handler(standin: GraphStandIn) -> type[BaseHTTPRequestHandler]:
    """The HTTP side of `standin`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 60

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path != "/refresh_access_token":
                self._control("GET", {})
                return
            reply = standin.renew(url.query)
            if reply.status is None:
                self._hang_up()
            else:
                self._write(reply.status, reply.body, reply.headers)

        def do_POST(self) -> None:
            url = urlsplit(self.path)
            if url.path.startswith("/_standin/"):
                try:
                    arguments = json.loads(self._body() or b"{}")
                except ValueError:
                    arguments = None
                self._control("POST", arguments)
                return
            authorization = self.headers.get("Authorization", "")
            if standin.drops_unread(url.path, authorization):
                self._hang_up()
                return
            reply = standin.answer(url.path, url.query, authorization, self._body())
            if reply.wait:
                standin.wait(reply.wait)
            if reply.status is None:
                self._hang_up()
            else:
                self._write(reply.status, reply.body, reply.headers)

        def _control(self, method: str, arguments: object) -> None:
            name = urlsplit(self.path).path.removeprefix("/_standin/")
            try:
                if not isinstance(arguments, dict):
                    raise TypeError("the body is not a JSON object")
                status, answer = 200, standin.control(method, name, arguments)
            except KeyError:
                status, answer = 404, {"error": "no such thing here"}
            except (TypeError, ValueError) as error:
                status, answer = 400, {"error": str(error)}
            self._write(status, json.dumps(answer).encode(), {})

        def _body(self) -> bytes:
            length = self.headers.get("Content-Length", "")
            return self.rfile.read(min(int(length), MAX_BODY)) if length.isdigit() else b""

        def _write(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            named = {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}
            for name, value in named.items():
                self.send_header(name, value)
            if self.headers.get("Connection", "").lower() == "close":
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def _hang_up(self) -> None:
            """Reset the connection rather than closing it politely, as a lost network would."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the console: the path may carry a proof, and `GraphStandIn` keeps its own log."""

    return Handler


def main(arguments: list[str] | None = None) -> None:
    """Run the stand-in alone until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m local.graph", description="A stand-in for Meta's Graph API.")
    parser.add_argument("--port", type=int, default=5301)
    parser.add_argument("--log", type=Path, help="one line of JSON per request, without content")
    parser.add_argument("--app-id", default=APP_ID, help="the app that echoes name")
    options = parser.parse_args(arguments)
    with GraphStandIn(options.port, app_id=options.app_id, log=options.log) as graph:
        sys.stdout.write(f"{graph.url}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
