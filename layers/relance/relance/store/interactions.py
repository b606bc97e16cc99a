"""The interactions table: what both sides said, until its TTL. Webhooks write it and never read it."""

from typing import Any

from relance.errors import RelanceError
from relance.interaction import Event, Side, Turn
from relance.store.tables import ConditionFailed, Database, InteractionRow, number, text

_WISH = "wish#"
_DELETION = "deletion"
_ERASED = "erased"


# So many rows of one conversation are read at most, whatever one person writes or edits within a month: more than any
# decent one has (rule 8 leaves people alone from 150 messages a fortnight on), a few requests, cents for a thousand.
MOST_ROWS = 2_000


class TooMuch(RelanceError):
    """A conversation with more rows than are read: nobody writes first into such a flood."""


def pair_key(user: str, bot: str) -> str:
    """The partition of one conversation."""
    return f"{user}#{bot}"


class InteractionStore:
    """Requests to the interactions table."""

    def __init__(self, database: Database, table: str) -> None:
        self._db = database
        self._table = database.table(table, InteractionRow)

    def keep(
        self, user: str, bot: str, *, at: int, message_id: str, side: Side, kind: str, text: str, expires_at: int
    ) -> None:
        """Remember one message, once."""
        item: dict[str, Any] = {
            "pair": {"S": pair_key(user, bot)},
            "at_id": {"S": f"{at:010d}#{message_id}"},
            "side": {"S": side.value},
            "kind": {"S": kind},
            "expires_at": {"N": str(expires_at)},
        }
        if text:
            item["text"] = {"S": text}
        try:
            self._db.call(
                "PutItem",
                {
                    "TableName": self._table,
                    "Item": item,
                    "ConditionExpression": "attribute_not_exists(#pair)",
                    "ExpressionAttributeNames": {"#pair": "pair"},
                },
            )
        except ConditionFailed:
            return

    def wish(self, user: str, bot: str, event: Event, *, expires_at: int) -> None:
        """The user edited or took back a message. A wish knows only its id, so it is a row of its own.

        A deletion is final; of two edits the newer one holds, in whatever order they come.
        """
        item: dict[str, Any] = {
            "pair": {"S": pair_key(user, bot)},
            "at_id": {"S": f"{_WISH}{event.message_id}"},
            "kind": {"S": event.kind},
            "wished_at": {"N": str(event.at or 0)},
            "expires_at": {"N": str(expires_at)},
        }
        if event.text:
            item["text"] = {"S": event.text}
        request: dict[str, Any] = {"TableName": self._table, "Item": item}
        if event.kind != _DELETION:
            request |= {
                "ConditionExpression": "attribute_not_exists(#pair) OR (#kind <> :deletion AND #at <= :at)",
                "ExpressionAttributeNames": {"#pair": "pair", "#kind": "kind", "#at": "wished_at"},
                "ExpressionAttributeValues": {":deletion": {"S": _DELETION}, ":at": item["wished_at"]},
            }
        try:
            self._db.call("PutItem", request)
        except ConditionFailed:
            return

    def times(self, user: str, bot: str, *, since: int) -> list[int]:
        """When the user wrote since `since`: keys and sides only, no text leaves the table. Raises TooMuch."""
        items = self._query(pair_key(user, bot), since, projection="#at, #side", names={"#side": "side"})
        return [int(text(i, "at_id")[:10]) for i in items if text(i, "side") == Side.USER]

    def turns(self, user: str, bot: str, *, since: int, now: int, most: int = 60) -> list[Turn]:
        """The last turns, oldest first, with wishes applied: edited texts replaced, deleted messages left out.

        What TTL has not deleted yet is expired all the same (AWS: it may take days). Raises TooMuch.
        """
        items = self._query(pair_key(user, bot), since)
        wishes = {text(i, "at_id").removeprefix(_WISH): i for i in items if text(i, "at_id").startswith(_WISH)}
        turns: list[Turn] = []
        for item in items:
            at_id = text(item, "at_id")
            if at_id.startswith(_WISH) or (number(item, "expires_at") or 0) <= now:
                continue
            at, _, message_id = at_id.partition("#")
            wish = wishes.get(message_id)
            if text(item, "kind") == _ERASED or (wish is not None and text(wish, "kind") == _DELETION):
                continue
            words = text(wish, "text") if wish is not None else text(item, "text")
            turns.append(Turn(Side(text(item, "side")), int(at), words, text(item, "kind"), message_id))
        return turns[-most:]

    def _query(
        self, pair: str, since: int, *, projection: str = "", names: dict[str, str] | None = None
    ) -> list[dict[str, Any]]:
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "#pair = :pair AND #at >= :since",
            "ExpressionAttributeNames": {"#pair": "pair", "#at": "at_id", **(names or {})},
            "ExpressionAttributeValues": {":pair": {"S": pair}, ":since": {"S": f"{since:010d}"}},
            "ConsistentRead": True,
            "Limit": MOST_ROWS + 1,
        }
        if projection:
            request["ProjectionExpression"] = projection
        items: list[dict[str, Any]] = []
        while True:
            answer = self._db.call("Query", request)
            items += answer["Items"]
            if len(items) > MOST_ROWS:
                raise TooMuch(f"more than {MOST_ROWS} rows in one conversation")
            if "LastEvaluatedKey" not in answer:
                return items
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
