"""Secrets from SSM Parameter Store (SecureString): one call per environment, cached, never logged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from relance.bot import Bot
from relance.errors import ConfigurationError, TemporaryFailure

# AWS: GetParameters takes at most ten names a call.
_NAMES_PER_CALL = 10


@dataclass(slots=True)
class Secrets:
    """Values by parameter name, read together and kept for `ttl` seconds, so that a rotation is picked up."""

    client: Any
    clock: Callable[[], int]
    ttl: int = 300
    _values: dict[str, str] = field(default_factory=dict)
    _read_at: dict[str, int] = field(default_factory=dict)

    def read(self, names: Sequence[str]) -> Mapping[str, str]:
        """The values of these parameters; those that do not exist are absent. One request for what is not cached."""
        now = self.clock()
        stale = [name for name in names if now - self._read_at.get(name, -self.ttl) >= self.ttl]
        for start in range(0, len(stale), _NAMES_PER_CALL):
            chunk = stale[start : start + _NAMES_PER_CALL]
            try:
                found = self._fetch(chunk)
            except TemporaryFailure:
                if all(name in self._values for name in chunk):
                    continue  # an old secret is better than none: a rotation waits until SSM answers again
                raise
            for name in chunk:
                self._values.pop(name, None)
                self._read_at[name] = now
            self._values.update(found)
        return {name: self._values[name] for name in names if name in self._values}

    def _fetch(self, names: Sequence[str]) -> dict[str, str]:
        try:
            answer = self.client.get_parameters(Names=names, WithDecryption=True)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "Unknown")
            if code.startswith("AccessDenied"):
                raise ConfigurationError(f"no permission to read the secrets under {names[0]}") from None
            raise TemporaryFailure(f"SSM GetParameters: {code}") from None
        except BotoCoreError as error:
            raise TemporaryFailure(f"SSM GetParameters: {type(error).__name__}") from None
        return {p["Name"]: p["Value"] for p in answer["Parameters"]}

    def forget(self) -> None:
        """Read everything anew at the next use."""
        self._values.clear()
        self._read_at.clear()


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """What a webhook function needs: the pepper, the accepted app secrets (rotation: several), the verify token."""

    pepper: bytes
    app_secrets: tuple[str, ...]
    verify_token: str


def webhook_secrets(secrets: Secrets, path: str, channel: str) -> WebhookSecrets:
    """All three in one call. Raises ConfigurationError naming the parameter that is missing."""
    names = (f"{path}/pepper", f"{path}/{channel}/app-secrets", f"{path}/{channel}/verify-token")
    values = secrets.read(names)
    for name in names:
        if not values.get(name, "").strip():
            # Forget the hole, so that putting the parameter is enough.
            secrets.forget()
            raise ConfigurationError(f"SSM parameter {name} is missing or empty: put it as a SecureString")
    app_secrets = tuple(s.strip() for s in values[names[1]].replace("\n", ",").split(",") if s.strip())
    return WebhookSecrets(values[names[0]].encode(), app_secrets, values[names[2]].strip())


def bot_credentials(secrets: Secrets, secrets_path: str, bot: Bot) -> tuple[str, str]:
    """A bot's access token and, when there is one, the app secret that proves it. ConfigurationError names a hole."""
    path = (bot.secrets or f"{secrets_path}/bots/{bot.id}").rstrip("/")
    values = secrets.read((f"{path}/token", f"{path}/app-secret"))
    token = values.get(f"{path}/token", "").strip()
    if not token:
        secrets.forget()
        raise ConfigurationError(f"SSM parameter {path}/token is missing or empty")
    return token, values.get(f"{path}/app-secret", "").strip()
