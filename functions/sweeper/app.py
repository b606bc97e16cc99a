"""On schedule: find the pairs whose timer rings, judge them, enqueue those who may be written to."""

from typing import Any

from relance import observability, wiring
from relance.clock import utc_now

sweep = wiring.sweeper()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Sweep the shards this schedule asks for (`{"shards": "0-7"}`), or all of them."""
    with observability.invocation(context):
        report = sweep(asked=event.get("shards", ""), now=utc_now(), remaining_ms=context.get_remaining_time_in_millis)
        return observability.swept(report)
