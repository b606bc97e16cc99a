"""Passes a webhook on to the bot that stands behind relance: the untouched request, after relance's own writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3

# What the bot needs to check the signature itself, and nothing of the Function URL's own.
_PASSED_ON = ("content-type", "x-hub-signature-256", "x-hub-signature", "user-agent")
HANDLED = "X-Relance-Handled"
NO_ANSWER = 502


@dataclass(frozen=True, slots=True)
class Forwarder:
    """One bot's own callback URL. Never follows a redirect and never tries twice: Meta does."""

    http: urllib3.PoolManager
    url: str
    connect_timeout: float = 1
    read_timeout: float = 3

    def pass_on(self, body: bytes, headers: Mapping[str, Any], *, handled: str = "") -> int:
        """The status of the bot's answer. What else it says is never read: nobody at Meta looks at it, it may quote a
        person, and a bot that was taken over could send gigabytes.

        502 when it gave none, so that Meta delivers again; relance's own writes are durable and idempotent by then.
        `handled` (`stop`, `why`, `forget`) tells the bot that relance answers this one.
        """
        passed = {name: str(value) for name, value in headers.items() if name.lower() in _PASSED_ON}
        if handled:
            passed[HANDLED] = handled
        try:
            answer = self.http.request(
                "POST",
                self.url,
                body=body,
                headers=passed,
                timeout=urllib3.Timeout(connect=self.connect_timeout, read=self.read_timeout),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError):
            return NO_ANSWER
        answer.close()
        return answer.status
