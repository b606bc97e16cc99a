"""The only place that reads the environment: one frozen configuration per function, built at cold start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from relance.bot import Hours
from relance.errors import ConfigurationError
from relance.interaction import DAY, HOUR, MINUTE
from relance.parameters import Rules


class _Environment:
    """Reads required names; a missing or malformed one fails loudly and is named."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        value = self._values.get(name, "")
        if not value:
            raise ConfigurationError(f"environment variable {name} is missing: template.yaml must declare it")
        return value

    def optional(self, name: str) -> str:
        return self._values.get(name, "")

    def whole(self, name: str) -> int:
        value = self.text(name)
        try:
            return int(value)
        except ValueError:
            raise ConfigurationError(f"environment variable {name} must be a whole number") from None


def parse_hours(value: str) -> Hours:
    """`10:00-19:30` as seconds after midnight."""
    try:
        opens, closes = ((int(h) * 60 + int(m)) * 60 for h, m in (part.split(":") for part in value.split("-")))
    except ValueError:
        raise ConfigurationError("ALLOWED_HOURS must look like 10:00-19:30") from None
    if not 0 <= opens < closes <= DAY:
        raise ConfigurationError("ALLOWED_HOURS must begin before they end, within one day")
    return Hours(opens, closes)


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """What a webhook function needs."""

    interactions_table: str
    pairs_table: str
    secrets_path: str
    min_interactions: int
    window: int
    min_silence: int
    text_ttl: int
    crisis_hold: int
    due_shards: int
    queue_url: str
    erasures_url: str
    forward_url: str = ""


@dataclass(frozen=True, slots=True)
class SweeperConfig:
    """What the sweeper needs."""

    pairs_table: str
    bots_table: str
    queue_url: str
    event_bus: str
    webhook_alarm: str
    due_shards: int
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class SenderConfig:
    """What the sender needs."""

    interactions_table: str
    pairs_table: str
    bots_table: str
    event_bus: str
    secrets_path: str
    graph_url: str
    instagram_graph_url: str
    graph_version: str
    writer: str
    model_id: str
    model_region: str
    second_line: str
    guardrail_id: str
    guardrail_version: str
    due_shards: int
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class RefresherConfig:
    """What the refresher of tokens needs."""

    bots_table: str
    secrets_path: str
    instagram_graph_url: str


@dataclass(frozen=True, slots=True)
class EraserConfig:
    """What the eraser needs."""

    interactions_table: str
    pairs_table: str
    bots_table: str
    secrets_path: str


def _rules(env: _Environment) -> Rules:
    return Rules(
        min_interactions=env.whole("MIN_INTERACTIONS"),
        window=env.whole("WINDOW_DAYS") * DAY,
        follow_ups=env.text("FOLLOW_UPS"),
        cooldown=env.whole("USER_COOLDOWN_DAYS") * DAY,
        min_silence=env.whole("MIN_SILENCE_HOURS") * HOUR,
        preferred_silence=env.whole("PREFERRED_SILENCE_HOURS") * HOUR,
        hours=parse_hours(env.text("ALLOWED_HOURS")),
        margin=env.whole("MARGIN_MINUTES") * MINUTE,
        lead=env.whole("LEAD_MINUTES") * MINUTE,
        sweep=env.whole("SWEEP_MINUTES") * MINUTE,
        lease=env.whole("LEASE_MINUTES") * MINUTE,
        catch_up=env.whole("CATCH_UP_MINUTES") * MINUTE,
    )


def webhook(values: Mapping[str, str] = os.environ) -> WebhookConfig:
    """Configuration of a webhook function. Raises ConfigurationError naming what is missing."""
    env = _Environment(values)
    return WebhookConfig(
        interactions_table=env.text("INTERACTIONS_TABLE"),
        pairs_table=env.text("PAIRS_TABLE"),
        secrets_path=env.text("SECRETS_PATH").rstrip("/"),
        min_interactions=env.whole("MIN_INTERACTIONS"),
        window=env.whole("WINDOW_DAYS") * DAY,
        min_silence=env.whole("MIN_SILENCE_HOURS") * HOUR,
        text_ttl=env.whole("TEXT_TTL_DAYS") * DAY,
        crisis_hold=env.whole("CRISIS_HOLD_DAYS") * DAY,
        due_shards=env.whole("DUE_SHARDS"),
        queue_url=env.text("FOLLOW_UPS_QUEUE_URL"),
        erasures_url=env.text("ERASURES_QUEUE_URL"),
        forward_url=env.optional("FORWARD_URL"),
    )


def sweeper(values: Mapping[str, str] = os.environ) -> SweeperConfig:
    """Configuration of the sweeper. Raises ConfigurationError naming what is missing."""
    env = _Environment(values)
    return SweeperConfig(
        pairs_table=env.text("PAIRS_TABLE"),
        bots_table=env.text("BOTS_TABLE"),
        queue_url=env.text("FOLLOW_UPS_QUEUE_URL"),
        event_bus=env.text("EVENT_BUS"),
        webhook_alarm=env.text("WEBHOOK_ALARM"),
        due_shards=env.whole("DUE_SHARDS"),
        rules=_rules(env),
    )


def sender(values: Mapping[str, str] = os.environ) -> SenderConfig:
    """Configuration of the sender. Raises ConfigurationError naming what is missing."""
    env = _Environment(values)
    writer = env.text("WRITER")
    if writer not in ("embedded", "bedrock"):
        raise ConfigurationError("WRITER must be embedded or bedrock")
    model_id = env.optional("MODEL_ID")
    if writer == "bedrock" and not model_id:
        raise ConfigurationError("WRITER=bedrock needs MODEL_ID: a model or inference-profile id")
    second_line = env.text("SECOND_LINE")
    if second_line not in ("none", "checks", "guardrail"):
        raise ConfigurationError("SECOND_LINE must be none, checks or guardrail")
    needed = env.text if second_line == "guardrail" else env.optional
    return SenderConfig(
        interactions_table=env.text("INTERACTIONS_TABLE"),
        pairs_table=env.text("PAIRS_TABLE"),
        bots_table=env.text("BOTS_TABLE"),
        event_bus=env.text("EVENT_BUS"),
        secrets_path=env.text("SECRETS_PATH").rstrip("/"),
        graph_url=env.text("GRAPH_URL"),
        instagram_graph_url=env.text("INSTAGRAM_GRAPH_URL"),
        graph_version=env.text("GRAPH_VERSION"),
        writer=writer,
        model_id=model_id,
        model_region=env.optional("MODEL_REGION"),
        second_line=second_line,
        guardrail_id=needed("GUARDRAIL_ID"),
        guardrail_version=needed("GUARDRAIL_VERSION"),
        due_shards=env.whole("DUE_SHARDS"),
        rules=_rules(env),
    )


def refresher(values: Mapping[str, str] = os.environ) -> RefresherConfig:
    """Configuration of the refresher. Raises ConfigurationError naming what is missing."""
    env = _Environment(values)
    return RefresherConfig(
        bots_table=env.text("BOTS_TABLE"),
        secrets_path=env.text("SECRETS_PATH").rstrip("/"),
        instagram_graph_url=env.text("INSTAGRAM_GRAPH_URL"),
    )


def eraser(values: Mapping[str, str] = os.environ) -> EraserConfig:
    """Configuration of the eraser. Raises ConfigurationError naming what is missing."""
    env = _Environment(values)
    return EraserConfig(
        interactions_table=env.text("INTERACTIONS_TABLE"),
        pairs_table=env.text("PAIRS_TABLE"),
        bots_table=env.text("BOTS_TABLE"),
        secrets_path=env.text("SECRETS_PATH").rstrip("/"),
    )
