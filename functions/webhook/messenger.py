"""The Messenger webhook: Meta's handshake and signed events."""

from typing import Any

from relance import observability, wiring

webhook = wiring.webhook("messenger")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of the Function URL; a raised error is a 502, and Meta delivers again."""
    with observability.invocation(context):
        return webhook.receive(event)
