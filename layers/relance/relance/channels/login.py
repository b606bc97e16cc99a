"""Instagram Login: the one kind of access token that ends by itself, and the request that renews it."""

import json
from dataclasses import dataclass, field
from urllib.parse import urlencode

import urllib3

# Page tokens and those of WhatsApp's system users begin so. They live until somebody revokes them: nothing to renew.
_FACEBOOK = "EAA"


@dataclass(frozen=True, slots=True)
class Renewed:
    """A token that takes the place of the one that was renewed, and for how many seconds it lives."""

    token: str = field(repr=False)
    lives: int


@dataclass(frozen=True, slots=True)
class NotRenewed:
    """Why there is no new token, in words of our own. The old one is as good as it was."""

    why: str


def expires(channel: str, token: str) -> bool:
    """Whether a token ends by itself, after 60 days: that of an account connected through Instagram's own login."""
    return channel == "instagram" and not token.startswith(_FACEBOOK)


class InstagramLogin:
    """`GET /refresh_access_token` at graph.instagram.com, which has no version. Timeouts are seconds.

    Meta renews tokens that are at least a day old and have not ended; asking twice does no harm.
    """

    def __init__(
        self,
        url: str,
        *,
        http: urllib3.PoolManager | None = None,
        connect_timeout: float = 3,
        read_timeout: float = 8,
    ) -> None:
        self._url = f"{url.rstrip('/')}/refresh_access_token"
        self._http = http or urllib3.PoolManager()
        self._timeout = urllib3.Timeout(connect=connect_timeout, read=read_timeout)

    def renew(self, token: str) -> Renewed | NotRenewed:
        """Ask for a token that lives for another 60 days. Every fault is a `NotRenewed`, never an exception."""
        # The only documented way is the query. So no address is ever logged, and no error's text, which may quote it.
        query = urlencode({"grant_type": "ig_refresh_token", "access_token": token})
        try:
            response = self._http.request(
                "GET", f"{self._url}?{query}", timeout=self._timeout, retries=False, redirect=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return NotRenewed(type(error).__name__)
        finally:
            # A frozen Lambda wakes up a day later: no connection of today is of use then.
            self._http.clear()
        return _read(response.status, response.data)


def _read(status: int, body: bytes) -> Renewed | NotRenewed:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        return NotRenewed(f"HTTP {status} without a readable answer")
    token, lives = answer.get("access_token"), answer.get("expires_in")
    if status == 200 and _is_token(token) and isinstance(lives, int) and lives > 0:
        return Renewed(token, lives)
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return NotRenewed(f"error {code}" if isinstance(code, int) else f"HTTP {status} without a token")


def _is_token(value: object) -> bool:
    """What can go into an Authorization header as it is."""
    return isinstance(value, str) and bool(value) and value.isascii() and value.isprintable() and " " not in value
