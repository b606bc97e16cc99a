"""The engines that the store's contract is held on: one object per engine, with tables as template.yaml declares them.

`RELANCE_ENGINES` says which (`moto` by default; several with commas). moto runs in this process and is the one under
the local stack; ministack is a process of its own, speaks HTTP and isolates transactions; dynalite (Node, if it is on
the PATH) is a second opinion written by other people, without transactions.
"""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from local.stack import LocalStack
from local.template import TABLE, Template
from relance.bot import Bot
from relance.botrow import to_settings
from relance.pair import EVERY_BOT
from relance.store.bots import BotStore
from relance.store.interactions import InteractionStore
from relance.store.pairs import PairStore
from relance.store.people import PeopleStore
from relance.store.tables import Database
from tests.emulator import ACCOUNT, REGION, emulator, eventually, free_port

NOW = 1_768_478_400  # 2026-01-15T12:00:00Z
SHARDS = 2

_WANTED = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
_write, _read = TypeSerializer().serialize, TypeDeserializer().deserialize


@dataclass(slots=True)
class Engine:
    """Tables on a running engine, and the hands of somebody who looks at them from outside.

    `client` is DynamoDB as somebody who is not relance asks it. `environment` is what a function needs in order to
    find this engine; empty for moto, which is in the process. `lacks` names what the engine does not offer at all.
    """

    name: str
    tables: Mapping[str, str]
    client: Any
    environment: Mapping[str, str] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()
    now: int = NOW

    def database(self, *, read_timeout: float = 20, attempts: int = 3) -> Database:
        """A connection of the code's own, as each function has one."""
        with mock.patch.dict(os.environ, self.environment):
            database = Database(read_timeout=read_timeout, attempts=attempts)
            database.connect()
        return database

    def pairs(self, database: Database) -> PairStore:
        """The store of pairs."""
        return PairStore(database, self.tables["Pairs"], shards=SHARDS)

    def bots(self, database: Database) -> BotStore:
        """The store of bots."""
        return BotStore(database, self.tables["Bots"])

    def interactions(self, database: Database) -> InteractionStore:
        """The store of what was said."""
        return InteractionStore(database, self.tables["Interactions"])

    def people(self, database: Database) -> PeopleStore:
        """The eraser's store."""
        names = {f"{name.lower()}_table": self.tables[name] for name in ("Pairs", "Interactions", "Bots")}
        return PeopleStore(database, **names)

    # ── the operator, the time, and who looks ───────────────────────────────────────────────────────────────

    def publish(self, bot: Bot, *, enabled_at: int) -> None:
        """A bot's row as `relance bots publish` writes it; each time under a new version."""
        version = 1 + max((row["version"] for row in self.rows("Bots") if row["id"] == bot.id), default=0)
        row = {
            "id": bot.id,
            "settings": to_settings(bot),
            "version": version,
            "mode": bot.mode,
            "enabled_at": enabled_at,
        }
        self.client.put_item(TableName=self.tables["Bots"], Item={name: _write(value) for name, value in row.items()})

    def pause(self, bot_id: str) -> None:
        """The operator stops a bot."""
        self.client.update_item(
            TableName=self.tables["Bots"],
            Key={"id": {"S": bot_id}},
            UpdateExpression="SET paused = :why",
            ExpressionAttributeValues={":why": {"S": "operator"}},
        )

    def travel(self, at: int) -> None:
        """Time passes; no engine deletes by itself what its time to live has outlived (see `expire`)."""
        self.now = at

    def expire(self) -> None:
        """Delete what is over, as DynamoDB does some day."""
        for id_, properties in Template().of_type(TABLE).items():
            attribute = (properties.get("TimeToLiveSpecification") or {}).get("AttributeName")
            keys = [each["AttributeName"] for each in properties["KeySchema"]]
            for row in self.rows(id_) if attribute else ():
                if row.get(attribute, self.now) < self.now:
                    key = {name: _write(row[name]) for name in keys}
                    self.client.delete_item(TableName=self.tables[id_], Key=key)

    def rows(self, id_: str) -> list[dict[str, Any]]:
        """A table's rows as plain values, in the order of their keys."""
        found = self.client.scan(TableName=self.tables[id_], ConsistentRead=True)["Items"]
        plain = [{name: _plain(_read(value)) for name, value in item.items()} for item in found]
        keys = [each["AttributeName"] for each in Template().of_type(TABLE)[id_]["KeySchema"]]
        return sorted(plain, key=lambda row: [row[name] for name in keys])

    def conversations(self) -> list[dict[str, Any]]:
        """The rows of pairs, without the rows `*` of persons."""
        return [row for row in self.rows("Pairs") if row["bot"] != EVERY_BOT]

    def needs(self, what: str) -> None:
        """Skip the present test, with a clear word, where the engine does not offer this at all."""
        if what in self.lacks:
            pytest.skip(f"{self.name} has no {what}")


def _plain(value: Any) -> Any:
    """Numbers as whole numbers where they are; DynamoDB's own are decimals."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if type(value).__name__ == "Decimal" and value == int(value) else value


# ── engines ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Moto:
    """moto as all other tests have it: under the local stack, with the stack's short cuts."""

    stack: LocalStack
    client: Any

    @contextmanager
    def tables(self) -> Iterator[Engine]:
        """Empty tables."""
        self.stack.reset(NOW)
        template = self.stack.template
        yield Engine("moto", {id_: template.name(id_) for id_ in template.of_type(TABLE)}, self.client)


@dataclass(frozen=True, slots=True)
class Remote:
    """An engine in a process of its own; each set of tables gets names of its own."""

    name: str
    client: Any
    environment: Mapping[str, str]
    lacks: frozenset[str] = frozenset()

    @contextmanager
    def tables(self) -> Iterator[Engine]:
        """Empty tables."""
        prefix = f"t{next(_numbers)}"
        names = {id_: f"{prefix}-{id_}" for id_ in Template().of_type(TABLE)}
        engine = Engine(self.name, names, self.client, self.environment, self.lacks)
        create_tables(engine)
        yield engine


_numbers = itertools.count(1)


def create_tables(engine: Engine) -> None:
    """Make what template.yaml declares, under the engine's names."""
    client = engine.client
    for id_, properties in Template().of_type(TABLE).items():
        given = {key: properties[key] for key in _WANTED if key in properties}
        client.create_table(TableName=engine.tables[id_], **given)
        if "TimeToLiveSpecification" in properties and "time to live" not in engine.lacks:
            wanted = {"AttributeName": properties["TimeToLiveSpecification"]["AttributeName"], "Enabled": True}
            client.update_time_to_live(TableName=engine.tables[id_], TimeToLiveSpecification=wanted)
    if engine.lacks:
        for id_ in engine.tables.values():
            client.get_waiter("table_exists").wait(TableName=id_, WaiterConfig={"Delay": 1})


@contextmanager
def ministack(folder: Path, *, keeps: bool = False) -> Iterator[Remote]:
    """A ministack; with `keeps` its data lies in `folder` and survives a clean stop."""
    with emulator(folder / "ministack.log", state=folder / "state" if keeps else None) as aws:
        yield Remote("ministack", _client(aws.environment), aws.environment)


@contextmanager
def dynalite(folder: Path) -> Iterator[Remote]:
    """A dynalite, if there is one: `npm install --global dynalite`. Data lies in `folder`, and survives `kill -9`."""
    found = shutil.which("dynalite")
    if found is None:
        pytest.skip("dynalite is not on the PATH: `npm install --global dynalite@4`")
    port = free_port()
    command = [found, "--host", "127.0.0.1", "--port", str(port), "--path", str(folder), "--createTableMs", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "rehearsal",
        "AWS_DEFAULT_REGION": REGION,
    }
    lacks = frozenset({"transactions", "time to live", "item in a refusal"})
    engine = Remote("dynalite", _client(environment), environment, lacks)
    try:
        assert eventually(lambda: _lists_tables(engine), within=30), "dynalite does not start"
        yield engine
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _lists_tables(engine: Remote) -> bool:
    with suppress(BotoCoreError, ClientError):
        engine.client.list_tables()
        return True
    return False


def _client(environment: Mapping[str, str]) -> Any:
    with mock.patch.dict(os.environ, environment):
        return boto3.client("dynamodb", region_name=REGION)


def chosen() -> list[str]:
    """The engines that this run was asked to hold the contract on."""
    return [name.strip() for name in os.environ.get("RELANCE_ENGINES", "moto").split(",") if name.strip()]


@contextmanager
def start(name: str, folder: Path | None = None) -> Iterator[Moto | Remote]:
    """Start an engine by its name. Raises KeyError for one that nobody knows."""
    where = folder or Path(tempfile.mkdtemp(prefix="relance-engine-"))
    if name == "moto":
        with LocalStack(start=NOW) as stack:
            yield Moto(stack, _client({}))
    else:
        with {"ministack": ministack, "dynalite": dynalite}[name](where) as running:
            yield running
