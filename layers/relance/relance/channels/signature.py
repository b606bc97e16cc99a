"""Was this request made by Meta? Signatures, the subscription handshake and signed requests.

All three channels sign alike: HMAC-SHA256 over the raw body bytes, keyed with the app secret. Nothing here may look
into a body before it is known to be genuine, and nothing compares a secret with `==`.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from relance.channels import payload
from relance.errors import ConfigurationError, UnreadablePayload

HEADER = "X-Hub-Signature-256"
PREFIX = "sha256="

# Meta's challenge is a decimal number. Whatever we answer with is reflected to the caller, so anything that could be
# markup, or is long, is refused.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)

# A data deletion request is about 200 characters long.
_MAX_SIGNED_REQUEST = 8_192


def sign(body: bytes, secret: str) -> str:
    """The header value with which Meta would send `body`: `sha256=` and 64 lower-case hexadecimal digits."""
    return PREFIX + hmac.digest(secret.encode(), body, hashlib.sha256).hex()


def verify(body: bytes, header: str | None, secrets: Sequence[str]) -> bool:
    """True if `header` is the signature of exactly these bytes under one of the accepted app secrets.

    Several secrets are accepted so that one can be rotated, and so that two Meta apps can share a route. All of them
    are tried whatever the first says. Blank secrets are never tried: a body "signed" with nothing must not pass.
    Raises ConfigurationError if no secret is left.
    """
    usable = _usable(secrets)
    # Bytes, because compare_digest raises on a str that is not ASCII: that would be a 500, and Meta would retry.
    given = (header or "").encode("utf-8", "surrogatepass")
    matches = False
    for secret in usable:
        matches |= hmac.compare_digest(given, sign(body, secret).encode())
    return matches


def challenge(query: Mapping[str, str], verify_token: str) -> str | None:
    """The text to answer a subscription handshake (GET) with, or None if it must be refused with 403.

    `query` is the decoded query string: `hub.mode`, `hub.verify_token` and `hub.challenge`. The answer is text/plain.
    Raises ConfigurationError for a blank `verify_token`, which anybody could guess.
    """
    if not verify_token.strip():
        raise ConfigurationError("the verify token is empty")
    token, answer = query.get("hub.verify_token"), query.get("hub.challenge")
    if query.get("hub.mode") != "subscribe" or not isinstance(token, str) or not isinstance(answer, str):
        return None
    if not hmac.compare_digest(token.encode("utf-8", "surrogatepass"), verify_token.encode()):
        return None
    return answer if _CHALLENGE.fullmatch(answer) else None


def parse_signed_request(signed_request: str, secrets: Sequence[str]) -> dict | None:
    """The content of Meta's `signed_request` form field (data deletion, deauthorisation), or None if it is not genuine.

    The form is `<signature>.<payload>`, both base64url without padding; the signature covers the *encoded* payload.
    Raises ConfigurationError if no secret is usable.
    """
    usable = _usable(secrets)
    if not isinstance(signed_request, str) or len(signed_request) > _MAX_SIGNED_REQUEST or not signed_request.isascii():
        return None
    given, dot, encoded = signed_request.partition(".")
    genuine = False
    for secret in usable:
        digest = hmac.digest(secret.encode(), encoded.encode(), hashlib.sha256)
        expected = base64.urlsafe_b64encode(digest).rstrip(b"=")
        genuine |= hmac.compare_digest(given.rstrip("=").encode(), expected)
    if not (dot and genuine):
        return None
    try:
        padding = "=" * (-len(encoded) % 4)
        content = payload.load(base64.b64decode(encoded + padding, altchars=b"-_", validate=True))
    except (ValueError, UnreadablePayload):
        return None
    return content if str(content.get("algorithm", "")).upper() == "HMAC-SHA256" else None


def _usable(secrets: Sequence[str]) -> list[str]:
    # A lone string is a sequence too: its single letters would be accepted as secrets.
    if isinstance(secrets, str):
        raise ConfigurationError("app secrets must be a list")
    usable = [secret for secret in secrets if secret.strip()]
    if not usable:
        raise ConfigurationError("no app secret is configured")
    return usable
