"""What the three webhook functions share: Meta's handshake, and a signed POST on its way to `remember`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from relance import observability
from relance.channels import payload, signature
from relance.erasures import Erasures
from relance.errors import BodyRefused, UnreadablePayload
from relance.forward import Forwarder
from relance.interaction import Effect, Event
from relance.outbox import Outbox
from relance.remember import Memory, Report, remember
from relance.secrets import Secrets, WebhookSecrets, webhook_secrets
from relance.store.interactions import InteractionStore
from relance.store.pairs import PairStore

Response = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Webhook:
    """Everything one channel's webhook needs; built once per environment by `wiring`."""

    channel: str
    parse: Callable[[dict[str, Any]], list[Event]]
    pairs: PairStore
    interactions: InteractionStore
    secrets: Secrets
    secrets_path: str
    memory: Memory
    clock: Callable[[], int]
    outbox: Outbox
    erasures: Erasures
    forwarder: Forwarder | None = None

    def keys(self) -> WebhookSecrets:
        """The pepper, the app secrets and the verify token, from the cache or in one call."""
        return webhook_secrets(self.secrets, self.secrets_path, self.channel)

    def receive(self, event: dict[str, Any]) -> Response:
        """Answer one request of a Function URL (or of an HTTP API in front of it: payload version 2.0).

        200 only when the writes are durable. A failed write raises, so that the Function URL answers 502, Lambda
        counts an error (the sweeper sees it: the outage rule), and Meta delivers again.
        """
        method = event.get("requestContext", {}).get("http", {}).get("method", "")
        if method == "GET":
            return self._handshake(event)
        if method != "POST":
            return _answer(405, "method not allowed")
        try:
            body = payload.read_body(event)
        except BodyRefused as refused:
            observability.count("BodyRefused")
            return _answer(refused.status, "body refused")
        header = payload.header(event, "x-hub-signature-256")
        if not header or not signature.verify(body, header, self.keys().app_secrets):
            observability.count("BadSignature")
            return _answer(401, "bad signature")
        return self._post(body, event.get("headers") or {})

    def _handshake(self, event: dict[str, Any]) -> Response:
        challenge = signature.challenge(event.get("queryStringParameters") or {}, self.keys().verify_token)
        return _answer(403, "forbidden") if challenge is None else _answer(200, challenge)

    def _post(self, body: bytes, headers: dict[str, Any]) -> Response:
        try:
            events = self.parse(payload.load(body))
        except UnreadablePayload:
            observability.count("UnreadablePayload")
            return self._pass_on(body, headers, Report(), "unreadable")
        report = remember(
            events,
            pairs=self.pairs,
            interactions=self.interactions,
            pepper=self.keys().pepper,
            memory=self.memory,
            now=self.clock(),
            outbox=self.outbox,
            erasures=self.erasures,
            in_front=self.forwarder is not None,
        )
        _measure(report)
        return self._pass_on(body, headers, report, "ok")

    def _pass_on(self, body: bytes, headers: dict[str, Any], report: Report, done: str) -> Response:
        """With `forward` the bot behind gets the untouched request, and its status is the answer."""
        if self.forwarder is None:
            return _answer(200, done)
        handled = ",".join(dict.fromkeys(ask.about for ask in report.asked))
        status = self.forwarder.pass_on(body, headers, handled=handled)
        if status >= 500:
            observability.count("ForwardFailed")
        return _answer(status, "passed on")


def _measure(report: Report) -> None:
    observability.count("MessagesCounted", report.counted)
    observability.count("MessagesKept", report.kept)
    observability.count("MessagesRefused", report.refused)
    observability.count("EventsLeftOut", report.left_out)
    for effect, times in report.effects.items():
        if effect.startswith("signal_") or effect in _MEASURED:
            observability.count("".join(word.capitalize() for word in effect.split("_")), times)
    observability.paused(report.effects[Effect.BOT_PAUSED.value])
    observability.count_by("UnknownKind", "kind", report.unknown)


# Receipts are most of the traffic and say nothing new: no metric line for them.
_MEASURED = frozenset({"opt_out", "opt_in", "human_owns", "echo_human", "erase", "rekey", "status_failed"})


def _answer(status: int, body: str) -> Response:
    return {
        "statusCode": status,
        "headers": {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"},
        "body": body,
    }
