"""The bots table: published bots, and the deployment's own row `*` (heartbeat, catch-up, epoch)."""

from collections.abc import Iterable
from typing import Any

from relance.bot import Bot
from relance.botrow import from_settings
from relance.parameters import Deployment
from relance.store.tables import BotRow, ConditionFailed, Database, Item, number, text

DEPLOYMENT = "*"


def _plain(value: dict[str, Any]) -> Any:
    """A DynamoDB attribute value as plain Python."""
    kind, inner = next(iter(value.items()))
    if kind == "M":
        return {name: _plain(v) for name, v in inner.items()}
    if kind in ("L",):
        return [_plain(v) for v in inner]
    if kind == "N":
        number_ = float(inner)
        return int(number_) if number_.is_integer() else number_
    if kind == "NULL":
        return None
    return inner


def read_bot(item: Item) -> Bot:
    """A bot from its published row."""
    settings = _plain({"M": item.get("settings", {}).get("M", {})})
    return from_settings(
        text(item, "id"),
        settings,
        version=number(item, "version") or 0,
        enabled_at=number(item, "enabled_at"),
        paused=text(item, "paused"),
    )


def _readable(item: Item) -> Bot | None:
    """A row that nobody can read is no bot: it must not keep the others from being judged."""
    try:
        return read_bot(item)
    except (ValueError, TypeError, AttributeError, KeyError):
        return None


def read_deployment(item: Item | None) -> Deployment:
    """The deployment's row; none yet means that nothing has happened yet."""
    if item is None:
        return Deployment()
    return Deployment(number(item, "heartbeat_at"), number(item, "catch_up_until"), number(item, "epoch"))


class BotStore:
    """Requests to the bots table."""

    def __init__(self, database: Database, table: str) -> None:
        self._db = database
        self._table = database.table(table, BotRow)

    def read(self, ids: Iterable[str], *, consistent: bool) -> tuple[dict[str, Bot], Deployment]:
        """The bots of these ids (those that are published) and the deployment's row, in one BatchGetItem."""
        wanted = [{"id": {"S": id_}} for id_ in sorted({*ids, DEPLOYMENT})]
        items: list[Item] = []
        while wanted:
            answer = self._db.call(
                "BatchGetItem",
                {"RequestItems": {self._table: {"Keys": wanted[:100], "ConsistentRead": consistent}}},
            )
            items += answer["Responses"].get(self._table, [])
            wanted = wanted[100:] + answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
        by_id = {text(item, "id"): item for item in items}
        deployment = read_deployment(by_id.pop(DEPLOYMENT, None))
        return {id_: bot for id_, item in by_id.items() if (bot := _readable(item)) is not None}, deployment

    def all(self) -> list[Bot]:
        """Every published bot that can be read, for the one function that has no ids to ask for.

        A Scan: the table holds as many rows as the operator has accounts, and it is read once a day.
        """
        request: dict[str, Any] = {"TableName": self._table}
        items: list[Item] = []
        while True:
            answer = self._db.call("Scan", request)
            items += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        found = (_readable(item) for item in items if text(item, "id") != DEPLOYMENT)
        return [bot for bot in found if bot is not None]

    def beat(self, now: int, *, stale_after: int, catch_up: int) -> Deployment:
        """The sweeper's heartbeat. A stale one is an outage: the same write that revives it starts the catch-up.

        Two sweepers at once agree: whoever comes first writes both facts in one request.
        """
        try:
            answer = self._db.update(
                self._table,
                DEPLOYMENT,
                None,
                actions=[BotRow.heartbeat_at.set(now)],
                condition=BotRow.heartbeat_at.does_not_exist() | (BotRow.heartbeat_at >= now - stale_after),
                return_values="ALL_NEW",
            )
        except ConditionFailed:
            answer = self._db.update(
                self._table,
                DEPLOYMENT,
                None,
                actions=[BotRow.heartbeat_at.set(now), BotRow.catch_up_until.set(now + catch_up)],
                return_values="ALL_NEW",
            )
        return read_deployment(answer["Attributes"])

    def catch_up(self, until: int) -> None:
        """Nobody is written to before `until`. A later end is never brought forward."""
        try:
            self._db.update(
                self._table,
                DEPLOYMENT,
                None,
                actions=[BotRow.catch_up_until.set(until)],
                condition=BotRow.catch_up_until.does_not_exist() | (BotRow.catch_up_until < until),
            )
        except ConditionFailed:
            return

    def pause(self, id_: str, why: str) -> bool:
        """Stop a bot (a STOP-class refusal of the platform). False: no such bot."""
        try:
            self._db.update(self._table, id_, None, actions=[BotRow.paused.set(why)], condition=BotRow.id.exists())
        except ConditionFailed:
            return False
        return True

    def unchanged(self, bot: Bot) -> dict[str, Any]:
        """The condition check of a reservation: the bot is the one that was judged, still live and not paused."""
        return self._db.connection.get_operation_kwargs(
            self._table,
            bot.id,
            condition=(BotRow.version == bot.version) & (BotRow.mode == "live") & BotRow.paused.does_not_exist(),
        )
