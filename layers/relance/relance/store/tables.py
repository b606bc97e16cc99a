"""The three tables as PynamoDB sees them, and the one connection that serves every AWS client of a process."""

import random
import time
from collections.abc import Mapping
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError
from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.connection import Connection
from pynamodb.connection.base import MetaTable
from pynamodb.constants import NUMBER, STRING
from pynamodb.exceptions import VerboseClientError
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from relance.errors import RelanceError, TemporaryFailure

Item = Mapping[str, Mapping[str, Any]]

INDEX_DUE = "due"


class DueIndex(GlobalSecondaryIndex):
    """Pairs whose timer runs, by shard and moment. Sparse: a pair without a timer is not in it."""

    class Meta:
        index_name = INDEX_DUE
        projection = KeysOnlyProjection()

    due_shard = UnicodeAttribute(hash_key=True)
    due_at = NumberAttribute(range_key=True)


class PairRow(Model):
    """A pair, and (bot `*`) what is true of a user for all bots."""

    class Meta:
        table_name = "pairs"

    user = UnicodeAttribute(hash_key=True)
    bot = UnicodeAttribute(range_key=True)
    due = DueIndex()
    s1 = UnicodeAttribute(null=True)
    s2 = UnicodeAttribute(null=True)
    s3 = UnicodeAttribute(null=True)
    s4 = UnicodeAttribute(null=True)
    s5 = UnicodeAttribute(null=True)
    to = UnicodeAttribute(null=True)
    due_shard = UnicodeAttribute(null=True)
    due_at = NumberAttribute(null=True)
    opened_at = NumberAttribute(null=True)
    expires_at = NumberAttribute(null=True)
    keep_until = NumberAttribute(null=True)
    alias = UnicodeAttribute(null=True)
    former = UnicodeAttribute(null=True)
    moved_at = NumberAttribute(null=True)
    account = UnicodeAttribute(null=True)
    # the row of a platform account
    paused = UnicodeAttribute(null=True)
    busy_until = NumberAttribute(null=True)
    linked = BooleanAttribute(null=True)
    # the ledger: verdicts, reasons, outcome, times; no text
    used_at = NumberAttribute(null=True)
    # what a reservation was judged on, which later messages move out of the register; `relance audit` reads it
    used_times = ListAttribute(null=True, of=NumberAttribute)
    used_opened_at = NumberAttribute(null=True)
    used_before = NumberAttribute(null=True)
    follow_up_id = UnicodeAttribute(null=True)
    receipts = UnicodeSetAttribute(null=True)
    leased_until = NumberAttribute(null=True)
    outcome = UnicodeAttribute(null=True)
    outcome_at = NumberAttribute(null=True)
    outcome_code = NumberAttribute(null=True)
    message_id = UnicodeAttribute(null=True)
    route = UnicodeAttribute(null=True)
    template = UnicodeAttribute(null=True)
    language = UnicodeAttribute(null=True)
    attempts = NumberAttribute(null=True)
    changes = NumberAttribute(null=True)
    erased_at = NumberAttribute(null=True)
    verdict = UnicodeAttribute(null=True)
    verdict_at = NumberAttribute(null=True)
    verdict_s1 = UnicodeAttribute(null=True)
    reason = UnicodeAttribute(null=True)
    # what the pair's follow-ups have cost so far, as the model's provider counted it
    model = UnicodeAttribute(null=True)
    model_calls = NumberAttribute(null=True)
    input_tokens = NumberAttribute(null=True)
    output_tokens = NumberAttribute(null=True)
    closed_s1 = UnicodeAttribute(null=True)
    planned_s1 = UnicodeAttribute(null=True)
    returned_s1 = UnicodeAttribute(null=True)
    returned_at = NumberAttribute(null=True)
    # the row `*`; `marks` counts the writes of the others, so that a reservation notices any of them
    marks = NumberAttribute(null=True)
    opted_out_at = NumberAttribute(null=True)
    consent_at = NumberAttribute(null=True)
    minor = BooleanAttribute(null=True)
    hold_until = NumberAttribute(null=True)
    zone = UnicodeAttribute(null=True)
    last_follow_up_at = NumberAttribute(null=True)
    last_follow_up_id = UnicodeAttribute(null=True)
    human_at = NumberAttribute(null=True)
    human_until = NumberAttribute(null=True)
    owner_app = UnicodeAttribute(null=True)
    echo_at = NumberAttribute(null=True)


class InteractionRow(Model):
    """One remembered message; a wish (edit, deletion) has the range key `wish#message_id`."""

    class Meta:
        table_name = "interactions"

    pair = UnicodeAttribute(hash_key=True)
    at_id = UnicodeAttribute(range_key=True)
    side = UnicodeAttribute(null=True)
    kind = UnicodeAttribute(null=True)
    text = UnicodeAttribute(null=True)
    expires_at = NumberAttribute(null=True)


class BotRow(Model):
    """A published bot; the id `*` holds what is true of the whole deployment."""

    class Meta:
        table_name = "bots"

    id = UnicodeAttribute(hash_key=True)
    settings = MapAttribute(null=True)
    version = NumberAttribute(null=True)
    mode = UnicodeAttribute(null=True)
    enabled_at = NumberAttribute(null=True)
    paused = UnicodeAttribute(null=True)
    heartbeat_at = NumberAttribute(null=True)
    catch_up_until = NumberAttribute(null=True)
    epoch = NumberAttribute(null=True)


class ConditionFailed(RelanceError):
    """A conditional write was refused; `item` is the row as it stands (None: there is none)."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("condition failed")
        self.item = item


class TransactionRefused(RelanceError):
    """A transaction was cancelled by conditions; `reasons` holds one code per item, in order."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("transaction refused")
        self.reasons = reasons


class RequestRefused(RelanceError):
    """DynamoDB will never take this request (validation): retrying is useless; `code` is its error code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"DynamoDB refused the request: {code}")
        self.code = code


class Conflict(TemporaryFailure):
    """Another transaction holds the item at this very moment."""


_CONFLICT_ATTEMPTS = 4


def client_config(*, read_timeout: float, attempts: int) -> Config:
    """Explicit time-outs and retries for every AWS client: botocore's defaults outlast any of our functions."""
    return Config(
        connect_timeout=1,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
        parameter_validation=False,
        user_agent="relance",
    )


class Database:
    """One PynamoDB connection for all three tables: one botocore session and one DynamoDB client per process."""

    def __init__(self, *, read_timeout: float = 2, attempts: int = 3) -> None:
        self.connection = Connection(
            connect_timeout_seconds=1, read_timeout_seconds=read_timeout, max_retry_attempts=attempts - 1
        )
        self._config = client_config(read_timeout=read_timeout, attempts=attempts)

    def connect(self) -> None:
        """Build the client now (cold start), not at the first request."""
        _ = self.connection.client

    def client(self, service: str, *, region: str = "", **overrides: Any) -> Any:
        """A client of another service on the same session, in the function's own region unless another is named."""
        return self.connection.session.create_client(
            service, region_name=region or None, config=self._config.merge(Config(**overrides))
        )

    def table(self, name: str, model: type[Model]) -> str:
        """Make a table known under its deployed name, so that no DescribeTable is ever needed."""
        keys = [a for a in model.get_attributes().values() if a.is_hash_key or a.is_range_key]
        meta = MetaTable(
            {
                "TableName": name,
                "KeySchema": [
                    {"AttributeName": a.attr_name, "KeyType": "HASH" if a.is_hash_key else "RANGE"} for a in keys
                ],
                "AttributeDefinitions": [{"AttributeName": a.attr_name, "AttributeType": STRING} for a in keys]
                + [
                    {"AttributeName": "due_shard", "AttributeType": STRING},
                    {"AttributeName": "due_at", "AttributeType": NUMBER},
                ],
                "GlobalSecondaryIndexes": [
                    {
                        "IndexName": INDEX_DUE,
                        "KeySchema": [
                            {"AttributeName": "due_shard", "KeyType": "HASH"},
                            {"AttributeName": "due_at", "KeyType": "RANGE"},
                        ],
                    }
                ]
                if model is PairRow
                else [],
            }
        )
        self.connection.add_meta_table(meta)
        return name

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One request. Raises ConditionFailed, TransactionRefused, RequestRefused or TemporaryFailure.

        A conflict with another transaction applied nothing and is over in milliseconds; botocore does not retry it.
        """
        for attempt in range(_CONFLICT_ATTEMPTS):
            try:
                return self.connection.dispatch(operation, dict(request))
            except VerboseClientError as error:
                translated = _translated(error)
                if not isinstance(translated, Conflict) or attempt == _CONFLICT_ATTEMPTS - 1:
                    raise translated from None
            except BotoCoreError as error:
                raise TemporaryFailure(f"DynamoDB {operation}: {type(error).__name__}") from None
            time.sleep(random.uniform(0.02, 0.05) * (attempt + 1))
        raise TemporaryFailure(f"DynamoDB {operation}: conflict")

    def update(self, table: str, user: str, bot: str | None, **parts: Any) -> dict[str, Any]:
        """UpdateItem with PynamoDB's expressions; the row as it stands comes back when the condition fails."""
        parts.setdefault(
            "return_values_on_condition_failure", "ALL_OLD" if parts.get("condition") is not None else None
        )
        return self.call("UpdateItem", self.connection.get_operation_kwargs(table, user, bot, **parts))


def _translated(error: VerboseClientError) -> RelanceError:
    cause = error.__cause__
    response: Mapping[str, Any] = getattr(cause, "response", None) or {}
    code = response.get("Error", {}).get("Code", "Unknown")
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(response.get("Item"))
    if code == "TransactionCanceledException":
        reasons = tuple(reason.get("Code", "None") for reason in response.get("CancellationReasons", ()))
        if any(reason == "ConditionalCheckFailed" for reason in reasons):
            return TransactionRefused(reasons)
        if "TransactionConflict" in reasons:
            return Conflict("DynamoDB transaction: conflict")
        return TemporaryFailure(f"DynamoDB transaction: {','.join(reasons)}")
    if code in ("TransactionConflictException", "TransactionInProgressException"):
        return Conflict(f"DynamoDB: {code}")
    if code in ("ValidationException", "SerializationException", "ItemCollectionSizeLimitExceededException"):
        return RequestRefused(code)
    return TemporaryFailure(f"DynamoDB: {code}")


def text(item: Item, name: str) -> str:
    """A string attribute, empty if absent."""
    return item.get(name, {}).get("S", "")


def number(item: Item, name: str) -> int | None:
    """A number attribute as a whole number, None if absent."""
    value = item.get(name, {}).get("N")
    return None if value is None else int(float(value))
