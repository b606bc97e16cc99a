"""The composition root: the only place that knows every part. Built at cold start, kept for the environment's life."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any

from relance import config
from relance.clock import utc_now
from relance.errors import RelanceError
from relance.store.tables import Database


@cache
def _database(read_timeout: float, attempts: int) -> Database:
    """One connection per process: one botocore session and one DynamoDB client serve everything."""
    database = Database(read_timeout=read_timeout, attempts=attempts)
    database.connect()
    return database


def webhook(channel: str) -> Any:
    """One channel's webhook. Its time-outs add up to less than the five seconds Meta waits."""
    from relance.channels import parser
    from relance.erasures import Erasures
    from relance.outbox import Outbox
    from relance.receive import Webhook
    from relance.remember import Memory
    from relance.secrets import Secrets
    from relance.store.interactions import InteractionStore
    from relance.store.pairs import PairStore

    settings = config.webhook()
    database = _database(1, 2)
    queues = database.client("sqs")
    hook = Webhook(
        channel=channel,
        parse=parser(channel),
        pairs=PairStore(database, settings.pairs_table, shards=settings.due_shards),
        interactions=InteractionStore(database, settings.interactions_table),
        secrets=Secrets(database.client("ssm"), utc_now),
        secrets_path=settings.secrets_path,
        memory=Memory(
            min_interactions=settings.min_interactions,
            window=settings.window,
            min_silence=settings.min_silence,
            text_ttl=settings.text_ttl,
            crisis_hold=settings.crisis_hold,
        ),
        clock=utc_now,
        outbox=Outbox(queues, settings.queue_url),
        erasures=Erasures(queues, settings.erasures_url),
        forwarder=_forwarder(settings.forward_url),
    )
    # Read during INIT, where Lambda lends a full CPU; a hole is reported by the first request, not by a dead init.
    with suppress(RelanceError):
        hook.keys()
    return hook


def _forwarder(url: str) -> Any:
    if not url:
        return None
    import urllib3

    from relance.forward import Forwarder

    return Forwarder(urllib3.PoolManager(), url)


def sweeper() -> Callable[..., Any]:
    """The sweep with all but the shards asked for, its time and its time limit."""
    from relance.alarms import WebhookAlarm
    from relance.events import Bus
    from relance.outbox import Outbox
    from relance.store.bots import BotStore
    from relance.store.pairs import PairStore
    from relance.sweep import sweep

    settings = config.sweeper()
    database = _database(2, 3)
    return partial(
        sweep,
        shard_count=settings.due_shards,
        pairs=PairStore(database, settings.pairs_table, shards=settings.due_shards),
        bots=BotStore(database, settings.bots_table),
        outbox=Outbox(database.client("sqs"), settings.queue_url),
        bus=Bus(database.client("events"), settings.event_bus),
        alarm=WebhookAlarm(database.client("cloudwatch"), settings.webhook_alarm),
        rules=settings.rules,
    )


def sender() -> tuple[Any, Any]:
    """The sender and the answerer: one writes first, the other answers; both through the same store and Graph API."""
    from relance.answer import Answerer
    from relance.channels.graph import GraphClient
    from relance.events import Bus
    from relance.secrets import Secrets
    from relance.send import Sender
    from relance.store.bots import BotStore
    from relance.store.interactions import InteractionStore
    from relance.store.pairs import PairStore

    settings = config.sender()
    database = _database(2, 3)
    shared: dict[str, Any] = {
        "pairs": PairStore(database, settings.pairs_table, shards=settings.due_shards),
        "bots": BotStore(database, settings.bots_table),
        "interactions": InteractionStore(database, settings.interactions_table),
        "graph": GraphClient(
            urls={"facebook": settings.graph_url, "instagram": settings.instagram_graph_url},
            version=settings.graph_version,
        ),
        "secrets": Secrets(database.client("ssm"), utc_now),
        "secrets_path": settings.secrets_path,
    }
    bus = Bus(database.client("events"), settings.event_bus)
    sending = Sender(
        writer=_writer(settings, database),
        second_line=_second_line(settings, database),
        bus=bus,
        rules=settings.rules,
        **shared,
    )
    return sending, Answerer(**shared)


def _writer(settings: config.SenderConfig, database: Database) -> Any:
    if settings.writer == "bedrock":
        from relance.writers.bedrock import BedrockWriter

        return BedrockWriter(_bedrock(settings, database, seconds=10), settings.model_id)
    from relance.writers.embedded import EmbeddedWriter

    return EmbeddedWriter()


def _bedrock(settings: config.SenderConfig, database: Database, *, seconds: int) -> Any:
    """A client in the model's region that tries once: the queue brings a follow-up again, a late answer is none."""
    return database.client(
        "bedrock-runtime",
        region=settings.model_region,
        read_timeout=seconds,
        retries={"mode": "standard", "total_max_attempts": 1},
    )


def _second_line(settings: config.SenderConfig, database: Database) -> Any:
    if settings.second_line == "none":
        return None
    from relance.second_line import AppliedGuardrail, GuardrailChecks

    client = _bedrock(settings, database, seconds=2)
    if settings.second_line == "checks":
        return GuardrailChecks(client)
    return AppliedGuardrail(client, settings.guardrail_id, settings.guardrail_version)


def refresher() -> Callable[..., Any]:
    """The refresh of tokens with all but its time."""
    from relance.channels.login import InstagramLogin
    from relance.refresh import refresh
    from relance.store.bots import BotStore
    from relance.tokens import Tokens

    settings = config.refresher()
    database = _database(2, 3)
    bots = BotStore(database, settings.bots_table)
    tokens = Tokens(database.client("ssm"))
    login = InstagramLogin(settings.instagram_graph_url)

    def run(*, now: int) -> Any:
        return refresh(bots.all(), tokens=tokens, login=login, secrets_path=settings.secrets_path, now=now)

    return run


def eraser() -> Callable[..., Any]:
    """The erasure with all but what to erase and its time."""
    from relance.erase import erase
    from relance.store.people import PeopleStore

    settings = config.eraser()
    people = PeopleStore(
        _database(2, 3),
        pairs_table=settings.pairs_table,
        interactions_table=settings.interactions_table,
        bots_table=settings.bots_table,
    )
    return partial(erase, people=people)


def callbacks() -> Any:
    """The eraser's public door: Meta's callbacks and the status page."""
    from relance.callbacks import Callbacks
    from relance.secrets import Secrets

    settings = config.eraser()
    return Callbacks(Secrets(_database(2, 3).client("ssm"), utc_now), settings.secrets_path, utc_now)


def reset() -> None:
    """Forget what was built: the next call builds anew (a fresh local stack)."""
    _database.cache_clear()
