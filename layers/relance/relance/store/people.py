"""The eraser's requests: find every row of a person under all their keys, and take out what must go."""

from collections.abc import Iterable, Mapping
from typing import Any

from relance.errors import TemporaryFailure
from relance.interaction import DAY
from relance.pair import EVERY_BOT, FOREVER
from relance.store.interactions import pair_key
from relance.store.tables import ConditionFailed, Database, Item, number, text

_WISH = "wish#"
_DELETION = "deletion"

# The kind of a message whose text was erased. It is final: a later edit of such a message is erased, too.
ERASED = "erased"

# How long Meta may deliver a webhook again (WhatsApp: 7 days), and a day more. So long the emptied rows stay: a message
# that is delivered again finds its place taken.
REDELIVERY = 8 * DAY

# What outlives an erasure: marks that keep somebody from being written to, and the keys that lead to them.
_KEPT_OF_A_PERSON = frozenset(
    {
        "user",
        "bot",
        "keys",
        "opted_out_at",
        "minor",
        "marks",
        "last_follow_up_at",
        "erased_at",
        "keep_until",
        "expires_at",
    }
)
_KEPT_OF_A_PAIR = frozenset(
    {"user", "bot", "used_at", "alias", "former", "linked", "erased_at", "keep_until", "expires_at"}
)
# Removed whether they were read or not: a message may be counted between the reading and the writing.
_OF_A_CONVERSATION = frozenset({"to", "s1", "s2", "s3", "s4", "s5", "due_shard", "due_at"})

# Keys of one person that are followed at most: a number, business-scoped ids, those they had before.
_KEYS = 16
_ATTEMPTS = 5

type Conversation = tuple[str, str]  # user key, bot id


class PeopleStore:
    """Requests about one person at a time, to all three tables. They delete and shorten; none of them adds a word."""

    def __init__(self, database: Database, *, pairs_table: str, interactions_table: str, bots_table: str) -> None:
        self._db = database
        self._pairs, self._interactions, self._bots = pairs_table, interactions_table, bots_table

    # ── who ─────────────────────────────────────────────────────────────────────────────────────────────────

    def rows_of(self, user: str) -> dict[str, list[Item]]:
        """The pairs table's rows of a person, by key: of this key, and of every other key they have or had.

        The key asked for is there even without a row. Rows hold the address: never log them.
        """
        found: dict[str, list[Item]] = {}
        waiting = [user]
        while waiting and len(found) < _KEYS:
            key = waiting.pop(0)
            if not key or key in found:
                continue
            found[key] = self._all("Query", self._pairs, "#user = :user", {"#user": "user"}, {":user": {"S": key}})
            waiting += [text(row, name) for row in found[key] for name in ("alias", "former")]
            waiting += [other for row in found[key] for other in sorted(row.get("keys", {}).get("SS", ()))]
        return found

    def bots(self) -> set[str]:
        """The ids of all published bots (a small table): a conversation may be kept where no pair is."""
        rows = self._all("Scan", self._bots, "", {"#id": "id"}, {}, projection="#id")
        return {text(row, "id") for row in rows}

    # ── pairs ───────────────────────────────────────────────────────────────────────────────────────────────

    def strip_person(self, user: str, at: int) -> None:
        """Of what is true of a person for all bots leave the marks, and set a stop at `at`.

        A yes that the person gave after `at` stays. The count of marks grows: a reservation in progress fails.
        """
        key = {"user": user, "bot": EVERY_BOT}
        for _ in range(_ATTEMPTS):
            request = {"TableName": self._pairs, "Key": _typed(key), "ConsistentRead": True}
            row: Item = self._db.call("GetItem", request).get("Item", {})
            kept = _KEPT_OF_A_PERSON | ({"consent_at"} if (number(row, "consent_at") or 0) > at else set())
            sets = {
                "opted_out_at": max(at, number(row, "opted_out_at") or 0),
                "marks": (number(row, "marks") or 0) + 1,
                "keep_until": FOREVER,
                "expires_at": FOREVER,
            }
            try:
                self._update(self._pairs, key, sets, row.keys() - kept, same={"marks": number(row, "marks")})
            except ConditionFailed:
                continue
            return
        raise TemporaryFailure("a person's marks changed under every attempt to erase the rest")

    def strip_pair(self, row: Item, at: int, now: int) -> None:
        """Of a pair leave the used mark: neither address nor register, timer or ledger.

        `erased_at` keeps out what was written before. A pair that was never used goes when nothing can come again.
        """
        key = {"user": text(row, "user"), "bot": text(row, "bot")}
        sets = {"erased_at": max(at, number(row, "erased_at") or 0)}
        if not row.keys() & {"keep_until", "alias"}:
            sets["expires_at"] = now + REDELIVERY
        removes = (row.keys() | _OF_A_CONVERSATION) - _KEPT_OF_A_PAIR
        self._update_if_there(self._pairs, key, sets, removes)

    def finish(self, user: str, at: int) -> None:
        """The last write of an erasure: a repeat of the same request is known by it."""
        self._update(self._pairs, {"user": user, "bot": EVERY_BOT}, {"erased_at": at}, ())

    # ── conversations ───────────────────────────────────────────────────────────────────────────────────────

    def empty(self, conversation: Conversation, now: int) -> int:
        """Take every text out of a conversation without reading one; returns how many rows were emptied.

        The rows stay for as long as their messages could be delivered again.
        """
        names = {"#pair": "pair", "#text": "text", "#kind": "kind"}
        values = {":pair": {"S": pair_key(*conversation)}, ":erased": {"S": ERASED}, ":deletion": {"S": _DELETION}}
        rows = self._all(
            "Query",
            self._interactions,
            "#pair = :pair",
            names,
            values,
            filter_="attribute_exists(#text) OR NOT #kind IN (:erased, :deletion)",
            projection="at_id, expires_at",
        )
        for row in rows:
            self._empty(conversation, row, until=now + REDELIVERY)
        return len(rows)

    def carry_out_wishes(self, conversations: Iterable[Conversation]) -> int:
        """Do what the wishes say: remove or replace the text of the one message meant. Returns how many rows changed.

        All wishes of these conversations (one person's with one bot, under all their keys), not one: what an earlier
        run could not do is done now, and a repeat changes nothing. A wish stays until its time to live, so that a
        message delivered again is still read with it.
        """
        chats = list(conversations)
        wishes = {
            text(row, "at_id").removeprefix(_WISH): (chat, row)
            for chat in chats
            for row in self._rows(chat, "begins_with(at_id, :wish)", "at_id, #kind, #text")
        }
        changed = 0
        for chat in chats if wishes else ():
            for row in self._rows(chat, "at_id < :wish", "at_id, #kind, #text"):
                found = wishes.get(text(row, "at_id").partition("#")[2])
                if found is not None:
                    changed += self._carry_out(chat, row, *found)
        return changed

    def _carry_out(self, chat: Conversation, message: Item, wish_chat: Conversation, wish: Item) -> int:
        is_erased = text(message, "kind") == ERASED
        if is_erased or text(wish, "kind") == _DELETION:
            # An edit that is delivered after the deletion must not bring the words back.
            stale = [(wish_chat, wish)] if text(wish, "text") else []
            gone = [*stale, *([] if is_erased and not text(message, "text") else [(chat, message)])]
            for conversation, row in gone:
                self._empty(conversation, row)
            return len(gone)
        words = text(wish, "text")
        if words == text(message, "text"):
            return 0
        key = {"pair": pair_key(*chat), "at_id": text(message, "at_id")}
        self._update_if_there(self._interactions, key, {"text": words} if words else {}, () if words else ("text",))
        return 1

    def _empty(self, conversation: Conversation, row: Item, *, until: int | None = None) -> None:
        at_id = text(row, "at_id")
        sets: dict[str, int | str] = {"kind": _DELETION if at_id.startswith(_WISH) else ERASED}
        if until is not None:
            sets["expires_at"] = min(until, number(row, "expires_at") or until)
        self._update_if_there(self._interactions, {"pair": pair_key(*conversation), "at_id": at_id}, sets, ("text",))

    def _rows(self, chat: Conversation, condition: str, projection: str) -> list[Item]:
        return self._all(
            "Query",
            self._interactions,
            f"#pair = :pair AND {condition}",
            {"#pair": "pair", "#text": "text", "#kind": "kind"},
            {":pair": {"S": pair_key(*chat)}, ":wish": {"S": _WISH}},
            projection=projection,
        )

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────

    def _all(
        self,
        operation: str,
        table: str,
        condition: str,
        names: Mapping[str, str],
        values: Mapping[str, Any],
        *,
        filter_: str = "",
        projection: str = "",
    ) -> list[Item]:
        request: dict[str, Any] = {"TableName": table, "ConsistentRead": True, "ExpressionAttributeNames": dict(names)}
        parts = {
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": dict(values),
            "FilterExpression": filter_,
            "ProjectionExpression": projection,
        }
        request |= {name: part for name, part in parts.items() if part}
        rows: list[Item] = []
        while True:
            answer = self._db.call(operation, request)
            rows += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return rows
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _update_if_there(
        self, table: str, key: Mapping[str, str], sets: Mapping[str, int | str], removes: Iterable[str]
    ) -> None:
        """An update after a deletion (time to live) would leave a ghost."""
        try:
            self._update(table, key, sets, removes, condition="attribute_exists(#key)", key_name=next(iter(key)))
        except ConditionFailed:
            return

    def _update(
        self,
        table: str,
        key: Mapping[str, str],
        sets: Mapping[str, int | str],
        removes: Iterable[str],
        *,
        condition: str = "",
        key_name: str = "",
        same: Mapping[str, int | None] | None = None,
    ) -> None:
        """One UpdateItem. Attribute names are spelt out by place: some were chosen by others (`echo_…`)."""
        names: dict[str, str] = {"#key": key_name} if key_name else {}
        values: dict[str, Any] = {}
        clauses: list[str] = []
        for n, (name, value) in enumerate(sets.items()):
            names[f"#s{n}"], values[f":s{n}"] = name, _typed({name: value})[name]
            clauses.append(f"{', ' if n else 'SET '}#s{n} = :s{n}")
        for n, name in enumerate(sorted(removes)):
            names[f"#r{n}"] = name
            clauses.append(f"{', ' if n else ' REMOVE '}#r{n}")
        for name, value in (same or {}).items():
            names["#same"] = name
            condition = "attribute_not_exists(#same)" if value is None else "#same = :same"
            values |= {} if value is None else {":same": {"N": str(value)}}
        request: dict[str, Any] = {
            "TableName": table,
            "Key": _typed(key),
            "UpdateExpression": "".join(clauses),
            "ExpressionAttributeNames": names,
        }
        request |= {"ConditionExpression": condition} if condition else {}
        request |= {"ExpressionAttributeValues": values} if values else {}
        self._db.call("UpdateItem", request)


def _typed(values: Mapping[str, int | str]) -> dict[str, dict[str, str]]:
    """Texts and whole numbers as DynamoDB attributes."""
    return {name: {"S": value} if isinstance(value, str) else {"N": str(value)} for name, value in values.items()}
