"""The access tokens that expire: read from SSM Parameter Store with their age, and replaced by younger ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from relance.errors import ConfigurationError, TemporaryFailure


@dataclass(frozen=True, slots=True)
class Kept:
    """A token as it is kept. `written_at` is when it was put (the token itself is at least as old); `expires_at` is
    None when nobody noted it, or when the note is older than the token and so of an earlier one. Epoch seconds."""

    token: str = field(repr=False)
    written_at: int
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """`<path>/token` and, beside it, `<path>/token-expires-at` (epoch seconds). Nothing is cached: it runs daily."""

    client: Any

    def read(self, path: str) -> Kept | None:
        """The token under `path`; None if there is none."""
        names = [f"{path}/token", f"{path}/token-expires-at"]
        answer = self._ask("get_parameters", path, Names=names, WithDecryption=True)
        found: Mapping[str, Any] = {each["Name"]: each for each in answer["Parameters"]}
        token, note = (found.get(name) for name in names)
        if token is None or not token["Value"].strip():
            return None
        return Kept(token["Value"].strip(), _written_at(token), _noted(token, note))

    def replace(self, path: str, *, old: str, new: str, expires_at: int) -> bool:
        """Put `new` in the place of `old`. False, and nothing is written, when somebody has put another meanwhile.

        The token goes first: a crash in between leaves a note that is older than its token, and so is not believed.
        SSM has no conditional write; the look just before leaves an operator's own change milliseconds to be lost in.
        """
        current = self.read(path)
        if current is None or current.token != old:
            return False
        for name, value in ((f"{path}/token", new), (f"{path}/token-expires-at", str(expires_at))):
            self._ask("put_parameter", path, Name=name, Value=value, Type="SecureString", Overwrite=True)
        return True

    def _ask(self, operation: str, path: str, **request: Any) -> Any:
        try:
            return getattr(self.client, operation)(**request)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "Unknown")
            if code.startswith("AccessDenied"):
                # Its text would do no harm, but says no more: a bot whose secrets are kept outside SecretsPath/bots.
                raise ConfigurationError(f"no permission to read and write the token under {path}") from None
            raise TemporaryFailure(f"SSM {operation}: {code}") from None
        except BotoCoreError as error:
            raise TemporaryFailure(f"SSM {operation}: {type(error).__name__}") from None


def _written_at(parameter: Mapping[str, Any]) -> int:
    return int(parameter["LastModifiedDate"].timestamp())


def _noted(token: Mapping[str, Any], note: Mapping[str, Any] | None) -> int | None:
    """The expiry that was noted for this very token, else None."""
    value = note["Value"].strip() if note is not None else ""
    if note is None or _written_at(note) < _written_at(token) or not (value.isascii() and value.isdigit()):
        return None
    return int(value)
