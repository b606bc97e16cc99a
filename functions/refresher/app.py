"""Once a day: renew the access tokens that would end by themselves."""

from typing import Any

from relance import observability, wiring
from relance.clock import utc_now
from relance.errors import TemporaryFailure

refresh = wiring.refresher()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Look at every token. Fails when one was not renewed: three such days in a row raise the alarm."""
    with observability.invocation(context):
        report = refresh(now=utc_now())
        answer = observability.refreshed(report)
        if report.failed:
            raise TemporaryFailure(f"tokens not renewed: {len(report.failed)}")
        return answer
