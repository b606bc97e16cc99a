"""Meta's callbacks for people who remove the app: data deletion, deauthorisation, and the page that tells their state.

Both carry an app-scoped id of Facebook Login, which is neither a PSID nor an IGSID nor a WhatsApp id: relance, which
knows people by those alone, cannot tell whom it means (platforms.md section 10). So nothing can be looked up and
nothing is stored: the confirmation code itself says, signed, what was asked and when, and the page says honestly what
that did and how to have a conversation erased for real.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from relance import observability, status_page
from relance.channels import payload, signature
from relance.errors import BodyRefused
from relance.interaction import CHANNELS, DAY, FUTURE_TOLERANCE
from relance.secrets import Secrets

Response = dict[str, Any]

# Path → the letter that a code of this kind begins with, and its metric.
_ASKED = {"/deletion": ("d", "DataDeletionRequests"), "/deauthorize": ("r", "Deauthorizations")}
STATUS = "/status"

# A signed request is some 200 characters; the form around it adds little.
_MAX_FORM = 16_384
_MAX_FIELDS = 20

# How long a code is answered for. Meta names no time; people who ask once look within days.
_CODE_LIVES = 90 * DAY
_CODE = re.compile(r"([dr])([0-9a-f]{8})([0-9a-f]{32})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Callbacks:
    """The eraser's public door; built once per environment by `wiring`."""

    secrets: Secrets
    secrets_path: str
    clock: Callable[[], int]

    def answer(self, event: dict[str, Any]) -> Response:
        """Answer one request of the Function URL: POST /deletion, POST /deauthorize, GET /status?code=…"""
        method = event.get("requestContext", {}).get("http", {}).get("method", "")
        path = str(event.get("rawPath") or "/").rstrip("/") or "/"
        if path in _ASKED:
            return self._asked(event, path) if method == "POST" else _plain(405, "use POST", allow="POST")
        if path == STATUS:
            return self._status(event) if method in ("GET", "HEAD") else _plain(405, "use GET", allow="GET, HEAD")
        return _plain(404, "not found")

    def _asked(self, event: dict[str, Any], path: str) -> Response:
        """What Meta posts. 400 for no readable form, 401 for one that Meta did not sign; then nothing has happened."""
        try:
            form = payload.read_body(event)
        except BodyRefused as refused:
            observability.count("BodyRefused")
            return _plain(refused.status, "body refused")
        if len(form) > _MAX_FORM:
            observability.count("BodyRefused")
            return _plain(413, "body refused")
        signed_request = _field(form, "signed_request")
        if signed_request is None:
            return _plain(400, "one signed_request is expected")
        secrets = self._app_secrets()
        content = signature.parse_signed_request(signed_request, secrets)
        if content is None:
            observability.count("BadSignature")
            return _plain(401, "bad signature")
        letter, metric = _ASKED[path]
        # Meta's own time, so that the same request, sent again, is confirmed with the same code.
        code = _code(letter, self._moment(content.get("issued_at")), secrets[0])
        observability.count(metric)
        observability.logger.info("callback", extra={"asked": path, "code": code})
        host = event.get("requestContext", {}).get("domainName", "")
        return _json({"url": f"https://{host}{STATUS}?code={code}", "confirmation_code": code})

    def _moment(self, issued_at: object) -> int:
        now = self.clock()
        issued = payload.seconds(issued_at)
        return issued if issued is not None and now - _CODE_LIVES < issued <= now + FUTURE_TOLERANCE else now

    def _status(self, event: dict[str, Any]) -> Response:
        """The page for one code, in the reader's language. 404 for a code that is not ours or is too old."""
        code = (event.get("queryStringParameters") or {}).get("code", "")
        language = status_page.choose_language(payload.header(event, "accept-language") or "")
        asked = self._read_code(code) if isinstance(code, str) else None
        page = status_page.unknown(language) if asked is None else status_page.state(language, *asked, code=code)
        return _answer(
            404 if asked is None else 200,
            "text/html; charset=utf-8",
            page,
            **{
                "content-language": language,
                "vary": "accept-language",
                "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
                "referrer-policy": "no-referrer",
                "x-robots-tag": "noindex",
            },
        )

    def _read_code(self, code: str) -> tuple[bool, int] | None:
        """Whether a deletion was asked for (else a deauthorisation) and when; None if the code is not a living one."""
        parts = _CODE.fullmatch(code)
        if parts is None:
            return None
        at = int(parts[2], 16)
        genuine = False
        for secret in self._app_secrets():
            genuine |= hmac.compare_digest(code.encode(), _code(parts[1], at, secret).encode())
        if not genuine or not self.clock() - _CODE_LIVES < at:
            return None
        return parts[1] == "d", at

    def _app_secrets(self) -> list[str]:
        """Those of all channels: one callback URL serves every app. A channel that is not in use has none.

        Raises ConfigurationError when none is left, by the signature's own check.
        """
        values = self.secrets.read([f"{self.secrets_path}/{channel}/app-secrets" for channel in CHANNELS])
        found = [part.strip() for value in values.values() for part in value.replace("\n", ",").split(",")]
        return [secret for secret in dict.fromkeys(found) if secret] or [""]


def _field(form: bytes, name: str) -> str | None:
    """The value of a form field that is there exactly once."""
    try:
        values = parse_qs(form.decode("ascii"), max_num_fields=_MAX_FIELDS).get(name, [])
    except ValueError:
        return None
    return values[0] if len(values) == 1 else None


def _code(letter: str, at: int, secret: str) -> str:
    """A confirmation code, letters and digits alone as Meta asks: what, when, and 128 bits that only we can add."""
    head = f"{letter}{at:08x}"
    # The first words keep this use of the secret apart from Meta's signatures.
    return head + hmac.digest(secret.encode(), f"relance confirmation\n{head}".encode(), hashlib.sha256).hex()[:32]


def _answer(status: int, kind: str, body: str, **headers: str) -> Response:
    kept = {"content-type": kind, "x-content-type-options": "nosniff", "cache-control": "no-store"}
    return {"statusCode": status, "headers": kept | headers, "body": body}


def _plain(status: int, body: str, **headers: str) -> Response:
    return _answer(status, "text/plain; charset=utf-8", body, **headers)


def _json(content: dict[str, str]) -> Response:
    return _answer(200, "application/json", json.dumps(content))
