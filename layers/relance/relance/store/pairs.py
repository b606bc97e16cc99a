"""The pairs table: the shift register, the lazy timer, the marks of a person, the ledger, and the reservation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pynamodb.expressions.condition import size
from pynamodb.expressions.operand import Path

from relance.errors import TemporaryFailure
from relance.interaction import DAY
from relance.pair import (
    EVERY_BOT,
    FOREVER,
    SLOTS,
    Pair,
    Person,
    account_key,
    channel_of,
    entry,
    entry_time,
    insert,
    shard_of,
    together,
)
from relance.persona import Spent
from relance.reason import Reason
from relance.store.tables import ConditionFailed, Database, Item, PairRow, TransactionRefused, number, text

_REGISTER = (PairRow.s1, PairRow.s2, PairRow.s3, PairRow.s4, PairRow.s5)
_ECHO = "echo_"
_FOLLOWED = "followed_"
_TEMPLATE = "template_"
_ANSWERED = "answered_"
_NOTHING_SPENT = Spent()
# What the ledger tells of a follow-up that was spent; a changed id carries it along.
_OF_A_USE = ("follow_up_id", "outcome", "outcome_at", "outcome_code", "message_id", "route", "template", "language")
_OF_A_USE += ("used_times", "used_opened_at", "used_before", "receipts")
# The out-of-order path gives way to a concurrent writer this often before it asks Meta to deliver again.
_MERGE_ATTEMPTS = 5
# How many id changes are followed: nobody changes numbers more often within the life of a conversation.
_HOPS = 4
# Keys known of one person, read one after the other: a new number is two new keys, and links last for a year.
_KEYS_OF_ONE = 16
# Longer than any cooldown (90 days at most), so that no later mark brings a row's end before it.
_MARKS_LAST = 180 * DAY
# That two ids are one person is remembered for a year after it was last told.
_LINKS_LAST = 365 * DAY
# So many undeliverable messages are told apart. Two decide; a set that grew for ever would fill the row, and then no
# stop could be written into it any more.
_MOST_UNDELIVERABLE = 8
# AWS: BatchGetItem takes at most 100 keys.
_BATCH_GET = 100


def read_pair(item: Item) -> Pair:
    """A pair from its stored row. Empty slots are dropped."""
    return Pair(
        user=text(item, "user"),
        bot=text(item, "bot"),
        register=tuple(value for value in (text(item, f"s{i}") for i in range(1, SLOTS + 1)) if value),
        to=text(item, "to"),
        due_at=number(item, "due_at"),
        opened_at=number(item, "opened_at"),
        used_at=number(item, "used_at"),
        follow_up_id=text(item, "follow_up_id"),
        outcome=text(item, "outcome"),
        reason=text(item, "reason"),
        closed_s1=text(item, "closed_s1"),
        planned_s1=text(item, "planned_s1"),
        attempts=number(item, "attempts") or 0,
        changes=number(item, "changes"),
        erased_at=number(item, "erased_at"),
        outcome_at=number(item, "outcome_at"),
        alias=text(item, "alias"),
        former=text(item, "former"),
        moved_at=number(item, "moved_at"),
        account=text(item, "account"),
        language=text(item, "language"),
    )


def read_person(user: str, item: Item | None) -> Person:
    """What is true of a user for all bots; a user without a row has no marks."""
    if item is None:
        return Person(user, seen=((user, None),))
    return Person(
        user=user,
        opted_out_at=number(item, "opted_out_at"),
        consent_at=number(item, "consent_at"),
        minor=bool(item.get("minor", {}).get("BOOL", False)),
        hold_until=number(item, "hold_until"),
        zone=text(item, "zone"),
        last_follow_up_at=number(item, "last_follow_up_at"),
        last_follow_up_id=text(item, "last_follow_up_id"),
        human_until=number(item, "human_until"),
        owner_app=text(item, "owner_app"),
        echo_at=number(item, "echo_at"),
        echoes={
            name.removeprefix(_ECHO): int(value["N"])
            for name, value in item.items()
            if name.startswith(_ECHO) and name != "echo_at"
        },
        followed={
            name.removeprefix(_FOLLOWED): int(value["N"]) for name, value in item.items() if name.startswith(_FOLLOWED)
        },
        seen=((user, number(item, "marks")),),
    )


@dataclass(frozen=True, slots=True)
class Due:
    """A timer that rings, as the index names it."""

    user: str
    bot: str


class PairStore:
    """Requests to the pairs table. Every update of a pair but the first message's requires that the row exists."""

    def __init__(self, database: Database, table: str, *, shards: int) -> None:
        self._db = database
        self._table = database.table(table, PairRow)
        self._shards = shards

    # ── the register ────────────────────────────────────────────────────────────────────────────────────────

    def count(
        self,
        user: str,
        bot: str,
        *,
        at: int,
        message_id: str,
        to: str,
        expires_at: int,
        also: str = "",
        account: str = "",
        now: int | None = None,
    ) -> Pair:
        """Count one message of the user, once, whatever the order or the repeats. Returns the pair as it stands.

        One UpdateItem moves the register (right-hand sides see the item as it was). Its condition names the
        message, so neither a redelivery nor botocore's own retry of a lost answer can shift it twice.
        `also` is the key of the user's number when the message named both ids: the two become one pair, at `now`.
        """
        new = entry(at, message_id)
        kept = [(PairRow.to, to), (PairRow.account, account)]
        pair, linked = self._count(user, bot, new, expires_at, kept)
        for _ in range(_HOPS):
            if not pair.alias:
                break
            # An older id came: the pair lives under a newer one, and so does its address.
            pair, linked = self._count(pair.alias, bot, new, expires_at, kept[1:])
        if also and also != pair.user and not linked:
            pair = self._link(also, pair, expires_at=expires_at, now=at if now is None else now)
        return pair

    def _count(
        self, user: str, bot: str, new: str, expires_at: int, kept: Sequence[tuple[Any, str]]
    ) -> tuple[Pair, bool]:
        # Entries are in one total order (second, then message), so that the register depends on the set of messages
        # alone. Whatever is not newer than s1 takes the other path; the refusal brings the row, so it needs no read.
        condition = (
            PairRow.alias.does_not_exist()
            & (PairRow.s1.does_not_exist() | (PairRow.s1 < new))
            & (PairRow.erased_at.does_not_exist() | (PairRow.erased_at < entry_time(new)))
        )
        actions = [
            PairRow.s5.set(PairRow.s4 | ""),
            PairRow.s4.set(PairRow.s3 | ""),
            PairRow.s3.set(PairRow.s2 | ""),
            PairRow.s2.set(PairRow.s1 | ""),
            PairRow.s1.set(new),
            PairRow.expires_at.set(PairRow.keep_until | expires_at),
            *(attribute.set(value) for attribute, value in kept if value),
        ]
        try:
            answer = self._db.update(
                self._table, user, bot, actions=actions, condition=condition, return_values="ALL_NEW"
            )
            return read_pair(answer["Attributes"]), _is_linked(answer["Attributes"])
        except ConditionFailed as refused:
            return self._merge(user, bot, new, refused.item)

    def _merge(self, user: str, bot: str, new: str, item: Item | None) -> tuple[Pair, bool]:
        """The rare path: a message that is known already, or that others overtook."""
        for _ in range(_MERGE_ATTEMPTS):
            if item is None:
                item = self._get(user, bot)
            pair = read_pair(item) if item is not None else Pair(user, bot)
            merged = insert(pair.register, new)
            forgotten = pair.erased_at is not None and entry_time(new) <= pair.erased_at
            if pair.alias or forgotten or merged == pair.register:
                return pair, _is_linked(item)
            try:
                answer = self._db.update(
                    self._table,
                    user,
                    bot,
                    actions=[slot.set(value) for slot, value in zip(_REGISTER, merged, strict=False)],
                    condition=PairRow.user.exists() & _register_is(pair),
                    return_values="ALL_NEW",
                )
                return read_pair(answer["Attributes"]), _is_linked(answer["Attributes"])
            except ConditionFailed as refused:
                item = refused.item
        raise TemporaryFailure("a pair changed under every attempt to merge an out-of-order message")

    def _get(self, user: str, bot: str) -> Item | None:
        answer = self._db.call(
            "GetItem", self._db.connection.get_operation_kwargs(self._table, user, bot, consistent_read=True)
        )
        return answer.get("Item")

    # ── changed ids ─────────────────────────────────────────────────────────────────────────────────────────

    def _link(self, number: str, pair: Pair, *, expires_at: int, now: int) -> Pair:
        """The first message that names both ids: later events with the number alone must find this pair.

        One request for most: the number's row becomes an alias. A number with a past of its own (a conversation, a
        used mark that outlived one, another id) has that moved, after the two rows of the person know each other.
        """
        get = self._db.connection.get_operation_kwargs
        expires_at += _LINKS_LAST
        alias = get(
            self._table,
            number,
            pair.bot,
            actions=[PairRow.alias.set(pair.user), PairRow.expires_at.set(PairRow.keep_until | expires_at)],
            condition=(PairRow.s1.does_not_exist() & PairRow.used_at.does_not_exist() & PairRow.alias.does_not_exist())
            | (PairRow.alias == pair.user),
        )
        linked = get(
            self._table, pair.user, pair.bot, actions=[PairRow.linked.set(True)], condition=PairRow.user.exists()
        )
        known = [{"Update": each} for each in self._one_person(number, pair.user, expires_at=expires_at)]
        try:
            self._db.call("TransactWriteItems", {"TransactItems": [{"Update": alias}, {"Update": linked}, *known]})
        except TransactionRefused:
            self._db.call("TransactWriteItems", {"TransactItems": known})
            keys = self._chain(number, pair.bot)
            return pair if pair.user in keys else self._move_pair(keys[-1], pair.user, pair.bot, to=pair.to, now=now)
        return pair

    def _chain(self, user: str, bot: str) -> list[str]:
        """The keys that a conversation has had since this one; it lives under the last."""
        keys = [user]
        for _ in range(2 * _HOPS):
            alias = text(self._get(keys[-1], bot) or {}, "alias")
            if not alias or alias in keys:
                break
            keys.append(alias)
        return keys

    def _one_person(self, one: str, other: str, *, expires_at: int) -> list[dict[str, Any]]:
        """Updates that tell each of two keys of the other: every mark under either holds for both."""
        get = self._db.connection.get_operation_kwargs
        return [
            get(
                self._table,
                mine,
                EVERY_BOT,
                actions=[
                    Path(["keys"]).add({"SS": [theirs]}),
                    PairRow.marks.add(1),
                    PairRow.expires_at.set(PairRow.keep_until | expires_at),
                ],
            )
            for mine, theirs in ((one, other), (other, one))
        ]

    def move(self, old: str, new: str, *, to: str, at: int, now: int | None = None) -> list[Pair]:
        """A user's id has changed: their marks and pairs follow, the used mark with them. Returns the moved pairs.

        Marks first, then each pair in one transaction, so that no crash can lose a stop or a used mark; a
        redelivery repeats what is missing.
        """
        if old == new:
            return []
        rows = self._rows_of(old)
        if rows:
            both = self._one_person(old, new, expires_at=at + _LINKS_LAST)
            self._db.call("TransactWriteItems", {"TransactItems": [{"Update": each} for each in both]})
        moved = []
        for row in rows:
            if text(row, "bot") != EVERY_BOT:
                # Whoever changes more than once leaves keys behind keys: the used mark lies at their end. A key that
                # has been passed already comes from a redelivery.
                keys = self._chain(old, text(row, "bot"))
                if new not in keys:
                    moved.append(
                        self._move_pair(keys[-1], new, text(row, "bot"), to=to, now=at if now is None else now)
                    )
        return moved

    def _rows_of(self, user: str) -> list[Item]:
        answer = self._db.call(
            "Query",
            {
                "TableName": self._table,
                "KeyConditionExpression": "#user = :user",
                "ExpressionAttributeNames": {"#user": "user"},
                "ExpressionAttributeValues": {":user": {"S": user}},
                "ConsistentRead": True,
            },
        )
        items: list[Item] = answer["Items"]
        return items

    def _move_pair(self, old: str, new: str, bot: str, *, to: str, now: int) -> Pair:
        get = self._db.connection.get_operation_kwargs
        for _ in range(_MERGE_ATTEMPTS):
            items = {user: self._get(user, bot) for user in (old, new)}
            before, after = (read_pair(item) if item else Pair(user, bot) for user, item in items.items())
            if items[old] is None or before.alias == new:
                return after
            register = tuple(sorted({*before.register, *after.register}, reverse=True)[:SLOTS])
            used = max((p for p in (before, after) if p.used_at is not None), key=lambda p: p.used_at, default=None)
            newest = before if before.s1 >= after.s1 else after
            due_at = min((p.due_at for p in (before, after) if p.due_at is not None), default=None)
            expires = max(number(item, "expires_at") or 0 for item in items.values() if item)
            actions: list[Any] = [slot.set(value) for slot, value in zip(_REGISTER, register, strict=False)]
            actions += [PairRow.former.set(old), PairRow.linked.set(True), PairRow.alias.remove()]
            actions += [PairRow.moved_at.set(now)]
            actions += [PairRow.to.set(to)] if to else []
            actions += [PairRow.closed_s1.set(newest.closed_s1)] if newest.closed_s1 else []
            opened = max(before.opened_at or 0, after.opened_at or 0)
            actions += [PairRow.opened_at.set(opened)] if opened else []
            erased = max(before.erased_at or 0, after.erased_at or 0)
            actions += [PairRow.erased_at.set(erased)] if erased else []
            if due_at is not None:
                actions += [PairRow.due_shard.set(shard_of(new, self._shards)), PairRow.due_at.set(due_at)]
            if used is not None:
                ledger = items[used.user] or {}
                actions += [
                    PairRow.used_at.set(used.used_at),
                    *(
                        Path([name]).set(dict(ledger[name])) if name in ledger else Path([name]).remove()
                        for name in _OF_A_USE
                    ),
                    *_forever(),
                ]
            else:
                actions.append(PairRow.expires_at.set(PairRow.keep_until | expires))
            update_new = get(
                self._table,
                new,
                bot,
                actions=actions,
                condition=_unchanged(after) if items[new] else PairRow.user.does_not_exist(),
            )
            update_old = get(
                self._table,
                old,
                bot,
                actions=[
                    PairRow.alias.set(new),
                    *(each.remove() for each in (*_REGISTER, PairRow.to, PairRow.due_shard, PairRow.due_at)),
                ],
                condition=_unchanged(before),
            )
            try:
                self._db.call("TransactWriteItems", {"TransactItems": [{"Update": update_new}, {"Update": update_old}]})
            except TransactionRefused:
                continue
            return read_pair(self._get(new, bot) or {})
        raise TemporaryFailure("a pair changed under every attempt to move it")

    def change(self, user: str, bot: str) -> str:
        """A message of this conversation was edited or taken back: a reservation judged before that is refused.

        Returns the key under which the conversation lives now.
        """
        for _ in range(_HOPS):
            try:
                self._db.update(
                    self._table,
                    user,
                    bot,
                    actions=[PairRow.changes.add(1)],
                    condition=PairRow.user.exists() & PairRow.alias.does_not_exist(),
                )
            except ConditionFailed as refused:
                moved_to = text(refused.item, "alias") if refused.item else ""
                if not moved_to:
                    return user
                user = moved_to
            else:
                return user
        return user

    def open_window(self, user: str, bot: str, at: int) -> bool:
        """An act that opens the platform's window without counting. False: no such pair, or a later act is known."""
        return self._conditionally(
            user,
            bot,
            actions=[PairRow.opened_at.set(at)],
            condition=PairRow.user.exists() & (PairRow.opened_at.does_not_exist() | (PairRow.opened_at < at)),
        )

    # ── the timer ───────────────────────────────────────────────────────────────────────────────────────────

    def start_timer(self, pair: Pair, due_at: int) -> bool:
        """Start the pair's timer unless one runs. False: one ran already, or the pair is gone."""
        return self._conditionally(
            pair.user,
            pair.bot,
            actions=[
                PairRow.due_shard.set(shard_of(pair.user, self._shards)),
                PairRow.due_at.set(due_at),
                PairRow.leased_until.remove(),
            ],
            condition=PairRow.user.exists() & PairRow.due_at.does_not_exist(),
        )

    def ringing(self, shard: str, now: int, *, limit: int = 33) -> Iterator[list[Due]]:
        """Pages of the timers of one shard that ring: `due_at <= now`, the oldest first."""
        start: dict[str, Any] | None = None
        while True:
            request: dict[str, Any] = {
                "TableName": self._table,
                "IndexName": "due",
                "KeyConditionExpression": "#shard = :shard AND #at <= :now",
                "ExpressionAttributeNames": {"#shard": "due_shard", "#at": "due_at"},
                "ExpressionAttributeValues": {":shard": {"S": shard}, ":now": {"N": str(now)}},
                "Limit": limit,
            }
            if start:
                request["ExclusiveStartKey"] = start
            answer = self._db.call("Query", request)
            if answer["Items"]:
                yield [Due(text(item, "user"), text(item, "bot")) for item in answer["Items"]]
            start = answer.get("LastEvaluatedKey")
            if not start:
                return

    def wait(self, pair: Pair, until: int, reason: Reason, now: int) -> bool:
        """Move the timer, if register and timer are still those that were judged."""
        return self._answer(
            pair,
            [
                PairRow.due_at.set(until),
                PairRow.leased_until.remove(),
                PairRow.planned_s1.set(pair.s1),
                *([PairRow.attempts.remove()] if pair.planned_s1 != pair.s1 else []),
                *_judged(pair, "wait", reason.value, now),
                *self._returned(pair, now),
            ],
        )

    def drop(self, pair: Pair, reason: Reason, now: int, spent: Spent = _NOTHING_SPENT) -> bool:
        """Stop the timer for this silence, if register and timer are still those that were judged."""
        return self._answer(
            pair,
            [
                PairRow.due_shard.remove(),
                PairRow.due_at.remove(),
                # A message that arrives late may still earn it: only that silence is not closed.
                *([PairRow.closed_s1.set(pair.s1)] if reason is not Reason.NOT_EARNED else []),
                PairRow.planned_s1.set(pair.s1),
                PairRow.attempts.remove(),
                *_judged(pair, "drop", reason.value, now),
                *_costs(spent),
                *self._returned(pair, now),
            ],
        )

    def lease(self, pair: Pair, until: int) -> bool:
        """Move the timer into the future before the pair is enqueued: should the queue lose it, it rings again.

        The end of the first lease of this silence stays until an answer, and beyond a drop: an audit sees a pair that
        went round and round, also when it was given up at last.
        """
        first = PairRow.leased_until.set(PairRow.leased_until | until)
        return self._answer(pair, [PairRow.due_at.set(until), PairRow.planned_s1.set(pair.s1), first])

    def _answer(self, pair: Pair, actions: Sequence[Any]) -> bool:
        return self._conditionally(pair.user, pair.bot, actions=actions, condition=_as_judged(pair))

    @staticmethod
    def _returned(pair: Pair, now: int) -> list[Any]:
        """The user came back after a moment had been planned: the ledger keeps that the earlier silence ended so."""
        if pair.planned_s1 and pair.planned_s1 not in (pair.s1, pair.closed_s1):
            return [PairRow.returned_s1.set(pair.planned_s1), PairRow.returned_at.set(now)]
        return []

    # ── what is true of a person ────────────────────────────────────────────────────────────────────────────

    def opt_out(self, user: str, at: int) -> None:
        """Record a stop. Permanent: the row no longer expires. An older stop never replaces a newer one."""
        self._mark(user, PairRow.opted_out_at, at)

    def opt_in(self, user: str, at: int) -> None:
        """Record a yes of the user's own."""
        self._mark(user, PairRow.consent_at, at)

    def mark_minor(self, user: str) -> None:
        """Sticky: only the operator clears it."""
        self._db.update(
            self._table, user, EVERY_BOT, actions=[PairRow.minor.set(True), PairRow.marks.add(1), *_forever()]
        )

    def hold(self, user: str, until: int) -> None:
        """An opaque hold: neither its cause nor any word of it is stored. A longer one is never shortened."""
        self._conditionally(
            user,
            EVERY_BOT,
            actions=[
                PairRow.hold_until.set(until),
                PairRow.marks.add(1),
                *_forever(),  # the row holds neither address nor text; no later write may shorten it
            ],
            condition=PairRow.hold_until.does_not_exist() | (PairRow.hold_until < until),
        )

    def human_took_over(self, user: str, at: int, *, until: int, app_id: str = "") -> None:
        """The platform announced who owns the thread until `until` (== at: control is back): a person, or an app."""
        self._conditionally(
            user,
            EVERY_BOT,
            actions=[
                PairRow.human_at.set(at),
                PairRow.human_until.set(until),
                PairRow.owner_app.set(app_id),
                PairRow.marks.add(1),
                PairRow.expires_at.set(PairRow.keep_until | (max(at, until) + _MARKS_LAST)),
            ],
            condition=PairRow.human_at.does_not_exist() | (PairRow.human_at < at),
        )

    def echo(self, user: str, app_id: str, at: int) -> None:
        """The business's side wrote: when, and through which app (`none`: no app named, so a person did)."""
        app = Path([f"{_ECHO}{app_id or 'none'}"])
        later = PairRow.expires_at.set(PairRow.keep_until | (at + _MARKS_LAST))
        if self._conditionally(
            user,
            EVERY_BOT,
            actions=[app.set({"N": str(at)}), PairRow.echo_at.set(at), PairRow.marks.add(1), later],
            condition=PairRow.echo_at.does_not_exist() | (PairRow.echo_at < at),
        ):
            return
        self._conditionally(
            user,
            EVERY_BOT,
            actions=[app.set({"N": str(at)}), PairRow.marks.add(1)],
            condition=app.does_not_exist() | (app < {"N": str(at)}),
        )

    def _mark(self, user: str, attribute: Any, at: int) -> None:
        self._conditionally(
            user,
            EVERY_BOT,
            actions=[attribute.set(at), PairRow.marks.add(1), *_forever()],
            condition=attribute.does_not_exist() | (attribute < at),
        )

    def _conditionally(self, user: str, bot: str, *, actions: Sequence[Any], condition: Any) -> bool:
        try:
            self._db.update(self._table, user, bot, actions=actions, condition=condition)
        except ConditionFailed:
            return False
        return True

    # ── what the platform stopped ───────────────────────────────────────────────────────────────────────────

    def pause_account(self, channel: str, id_: str, why: str, *, template: str = "") -> None:
        """The platform stopped an account, or one of its templates: nothing is sent until the operator resumes it."""
        attribute = Path([f"{_TEMPLATE}{template}"]) if template else PairRow.paused
        value = {"S": why} if template else why
        self._db.update(self._table, account_key(channel, id_), EVERY_BOT, actions=[attribute.set(value)])

    def busy(self, channel: str, id_: str, until: int) -> None:
        """A rate limit of the whole bot: its other pairs are not sent into the same wall before `until`."""
        self._conditionally(
            account_key(channel, id_),
            EVERY_BOT,
            actions=[PairRow.busy_until.set(until)],
            condition=PairRow.busy_until.does_not_exist() | (PairRow.busy_until < until),
        )

    def undeliverable(self, user: str, message_id: str) -> int:
        """How many messages to this person could not be delivered: an old app once, somebody who is gone twice."""
        known = Path(["undeliverable"])
        try:
            answer = self._db.update(
                self._table,
                user,
                EVERY_BOT,
                actions=[
                    known.add({"SS": [entry(0, message_id)]}),
                    PairRow.expires_at.set(PairRow.keep_until | FOREVER),
                ],
                condition=known.does_not_exist() | (size(known) < _MOST_UNDELIVERABLE),
                return_values="ALL_NEW",
            )
        except ConditionFailed:
            return _MOST_UNDELIVERABLE
        return len(answer["Attributes"]["undeliverable"]["SS"])

    # ── the reservation ─────────────────────────────────────────────────────────────────────────────────────

    def reserve(
        self,
        pair: Pair,
        person: Person,
        *,
        bot_unchanged: dict[str, Any],
        follow_up_id: str,
        route: str,
        language: str,
        now: int,
        cooldown: int,
        template: str = "",
        spent: Spent = _NOTHING_SPENT,
    ) -> tuple[str, ...]:
        """Spend the follow-up before it is delivered. () when it is ours, else which conditions failed.

            read ────────────── guard, write ────────────── reserve ── deliver ── record
              │                                                │
              └ whatever changes here (a message, STOP, hold,  ┘ … changes something one of the three conditions
                hand-over, pause, another bot's follow-up)         names, and the reservation is refused.

        One TransactWriteItems: the pair as judged, the user's row `*` free of marks, and `BotStore.unchanged`.
        """
        get = self._db.connection.get_operation_kwargs
        followed = Path([f"{_FOLLOWED}{pair.bot}"])
        marks_free = (
            (PairRow.opted_out_at.does_not_exist() | (PairRow.opted_out_at < (person.consent_at or 0)))
            & PairRow.minor.does_not_exist()
            & (PairRow.hold_until.does_not_exist() | (PairRow.hold_until <= now))
            & (PairRow.last_follow_up_at.does_not_exist() | (PairRow.last_follow_up_at <= now - cooldown))
        )
        update_pair = get(
            self._table,
            pair.user,
            pair.bot,
            actions=[
                # The table's own word on an earlier use, not the sender's: right-hand sides see the item as it was.
                PairRow.used_before.set(PairRow.used_at | 0),
                PairRow.used_at.set(now),
                *_grounds(pair),
                PairRow.follow_up_id.set(follow_up_id),
                PairRow.route.set(route),
                PairRow.template.set(template),
                PairRow.language.set(language),
                PairRow.outcome.set("reserved"),
                PairRow.outcome_at.set(now),
                PairRow.closed_s1.set(pair.s1),
                PairRow.planned_s1.set(pair.s1),
                PairRow.due_shard.remove(),
                PairRow.due_at.remove(),
                PairRow.leased_until.remove(),
                PairRow.receipts.remove(),
                *_judged(pair, "send", "", now),
                *_costs(spent),
                *_forever(),
            ],
            condition=_unchanged(pair),
        )
        # One update for each row of the person: whoever writes under another of their keys meets the same conditions.
        update_person = [
            {
                "Update": get(
                    self._table,
                    user,
                    EVERY_BOT,
                    actions=[
                        PairRow.last_follow_up_at.set(now),
                        PairRow.last_follow_up_id.set(follow_up_id),
                        followed.set({"N": str(now)}),
                        PairRow.expires_at.set(PairRow.keep_until | (now + _MARKS_LAST)),
                    ],
                    condition=marks_free & _same(PairRow.marks, marks),
                )
            }
            for user, marks in person.seen
        ]
        accounts = [
            {"ConditionCheck": get(self._table, account, EVERY_BOT, condition=PairRow.paused.does_not_exist())}
            for account in _accounts(pair)
        ]
        try:
            self._db.call(
                "TransactWriteItems",
                {
                    "TransactItems": [
                        {"Update": update_pair},
                        *update_person,
                        {"ConditionCheck": bot_unchanged},
                        *accounts,
                    ]
                },
            )
        except TransactionRefused as refused:
            names = ("pair", *["person"] * len(person.seen), "bot", *["bot"] * len(accounts))
            return tuple(
                dict.fromkeys(n for n, code in zip(names, refused.reasons, strict=False) if code != "None")
            ) or ("pair",)
        return ()

    def release(
        self, pair: Pair, person: Person, *, follow_up_id: str, due_at: int, reason: str, now: int, expires_at: int
    ) -> bool:
        """Give a reservation back after a refusal known to have sent nothing; the timer runs again.

        False: somebody else has changed the pair since; then the reservation stays spent.
        """
        get = self._db.connection.get_operation_kwargs
        if pair.used_at is None:
            # Never used after all: the row may end with its conversation again.
            before = [PairRow.used_at.remove(), PairRow.keep_until.remove(), PairRow.expires_at.set(expires_at)]
        else:
            before = [PairRow.used_at.set(pair.used_at)]
        followed, before_that = Path([f"{_FOLLOWED}{pair.bot}"]), {"N": str(pair.used_at)}
        restored = (
            [PairRow.last_follow_up_at.remove(), PairRow.last_follow_up_id.remove()]
            if person.last_follow_up_at is None
            else [
                PairRow.last_follow_up_at.set(person.last_follow_up_at),
                PairRow.last_follow_up_id.set(person.last_follow_up_id),
            ]
        )
        update_pair = get(
            self._table,
            pair.user,
            pair.bot,
            actions=[
                *before,
                *(each.remove() for each in (PairRow.used_times, PairRow.used_opened_at, PairRow.used_before)),
                PairRow.outcome.set("released"),
                PairRow.outcome_at.set(now),
                PairRow.reason.set(reason),
                PairRow.attempts.set((PairRow.attempts | 0) + 1),
                PairRow.closed_s1.remove(),
                PairRow.due_shard.set(shard_of(pair.user, self._shards)),
                PairRow.due_at.set(due_at),
            ],
            condition=PairRow.user.exists() & (PairRow.follow_up_id == follow_up_id) & (PairRow.outcome == "reserved"),
        )
        update_person = [
            {
                "Update": get(
                    self._table,
                    user,
                    EVERY_BOT,
                    actions=[*restored, followed.remove() if pair.used_at is None else followed.set(before_that)],
                    condition=PairRow.last_follow_up_id == follow_up_id,
                )
            }
            for user, _ in person.seen
        ]
        try:
            self._db.call("TransactWriteItems", {"TransactItems": [{"Update": update_pair}, *update_person]})
        except TransactionRefused:
            return False
        return True

    def record(
        self, pair: Pair, *, follow_up_id: str, outcome: str, code: int | None, message_id: str, now: int
    ) -> bool:
        """Write what became of the attempt, unless a receipt has settled it already."""
        actions = [PairRow.outcome.set(outcome), PairRow.outcome_at.set(now)]
        if code is not None:
            actions.append(PairRow.outcome_code.set(code))
        if message_id:
            actions.append(PairRow.message_id.set(message_id))
        return self._conditionally(
            pair.user,
            pair.bot,
            actions=actions,
            condition=PairRow.user.exists()
            & (PairRow.follow_up_id == follow_up_id)
            & PairRow.outcome.is_in("reserved", "unknown"),
        )

    def settle(
        self,
        user: str,
        bot: str,
        *,
        follow_up_id: str,
        outcome: str,
        code: int | None,
        at: int,
        message_ids: Sequence[str] = (),
    ) -> str | None:
        """A receipt tells what became of our follow-up. `failed` and `read` are final; order does not matter.

        `message_ids` are the platform's: two of them for one follow-up would be two messages, and an audit says so.

        Returns the name of the template it was sent by (empty: none), or None if this settled nothing.
        """
        actions = [PairRow.outcome.set(outcome), PairRow.outcome_at.set(at)]
        if code is not None:
            actions.append(PairRow.outcome_code.set(code))
        if message_ids:
            actions.append(PairRow.receipts.add({_short(each) for each in message_ids}))
        later = {"accepted": (), "delivered": ("read", "failed"), "read": (), "failed": ()}[outcome]
        if outcome != "failed":
            # It did go out. Had its reservation been given back after a refusal, nobody may write a second one.
            actions += [PairRow.used_at.set(PairRow.used_at | at), *_forever()]
        # An older key keeps the name of a follow-up that lives under a newer one by now: not there, but where it leads.
        condition = PairRow.user.exists() & PairRow.alias.does_not_exist() & (PairRow.follow_up_id == follow_up_id)
        if outcome == "accepted":
            condition &= PairRow.outcome.is_in("reserved", "unknown", "released")
        elif later:
            condition &= ~PairRow.outcome.is_in(*later)
        for _ in range(_HOPS):
            try:
                answer = self._db.update(
                    self._table, user, bot, actions=actions, condition=condition, return_values="ALL_NEW"
                )
            except ConditionFailed as refused:
                user = text(refused.item, "alias") if refused.item else ""
                if not user:
                    return None
            else:
                return text(answer["Attributes"], "template")
        return None

    def answer_once(self, pair: Pair, about: str, message_id: str) -> bool:
        """Take one question for answered before the answer leaves. False: it was answered, or the pair is gone.

        A stop is confirmed once, ever; anything else once per question. `message_id` is the question's hashed id.
        """
        answered, question = Path([f"{_ANSWERED}{about}"]), {"S": message_id}
        fresh = answered.does_not_exist()
        return self._conditionally(
            pair.user,
            pair.bot,
            actions=[answered.set(question)],
            condition=PairRow.user.exists() & (fresh if about == "stop" else fresh | (answered != question)),
        )

    def unanswer(self, pair: Pair, about: str) -> None:
        """The answer was refused for now: the question may be answered when the queue brings it again."""
        self._conditionally(
            pair.user, pair.bot, actions=[Path([f"{_ANSWERED}{about}"]).remove()], condition=PairRow.user.exists()
        )

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, due: Sequence[Due], *, consistent: bool) -> tuple[dict[Due, Pair], dict[str, Person]]:
        """Pairs and persons of up to 33 timers in one BatchGetItem (AWS: 100 keys a request)."""
        keys = {(d.user, d.bot) for d in due} | {(d.user, EVERY_BOT) for d in due}
        keys |= {(account_key(channel_of(d.user), d.bot), EVERY_BOT) for d in due}
        items = self._batch_get(sorted(keys), consistent=consistent)
        pairs = {Due(text(i, "user"), text(i, "bot")): read_pair(i) for i in items if text(i, "bot") != EVERY_BOT}
        rows = {text(i, "user"): i for i in items if text(i, "bot") == EVERY_BOT}
        absent: set[str] = {user for user, bot in keys if bot == EVERY_BOT} - rows.keys()
        # Whoever has other keys has other rows, too: more reads, and only for them.
        wanted = {key for pair in pairs.values() for key in _accounts(pair)[1:]}
        for _ in range(_KEYS_OF_ONE):
            wanted |= {key for row in rows.values() for key in _keys(row)}
            wanted -= rows.keys() | absent
            if not wanted:
                break
            for start in range(0, len(wanted), _BATCH_GET):
                chunk = sorted((key, EVERY_BOT) for key in wanted)[start : start + _BATCH_GET]
                rows.update({text(i, "user"): i for i in self._batch_get(chunk, consistent=consistent)})
            absent |= wanted - rows.keys()
            wanted = set()
        persons = {}
        for d in due:
            mine = [d.user]
            for key in mine:
                mine += [other for other in _keys(rows.get(key)) if other not in mine]
            persons[d.user] = together([read_person(key, rows.get(key)) for key in mine])
        persons = {d.user: self._with_ignored(d, persons[d.user], consistent=consistent) for d in due}
        return {d: _with_pauses(pair, rows) for d, pair in pairs.items()}, persons

    def _with_ignored(self, due: Due, person: Person, *, consistent: bool) -> Person:
        """Which follow-ups of other bots this person never answered: a read more, and only for who had any."""
        others = sorted((due.user, bot) for bot in person.followed if bot != due.bot)
        if not others:
            return person
        written = {pair.bot: pair.times for pair in map(read_pair, self._batch_get(others, consistent=consistent))}
        ignored = [
            at
            for bot, at in person.followed.items()
            if bot != due.bot and not any(t > at for t in written.get(bot, ()))
        ]
        return replace(person, ignored=tuple(sorted(ignored)))

    def _batch_get(self, keys: Sequence[tuple[str, str]], *, consistent: bool) -> list[Item]:
        wanted: list[dict[str, Any]] = [{"user": {"S": user}, "bot": {"S": bot}} for user, bot in keys]
        items: list[Item] = []
        while wanted:
            answer = self._db.call(
                "BatchGetItem",
                {"RequestItems": {self._table: {"Keys": wanted, "ConsistentRead": consistent}}},
            )
            items += answer["Responses"].get(self._table, [])
            wanted = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
        return items


def _forever() -> list[Any]:
    """A mark that outlives its conversation: no later message may bring the TTL back."""
    return [PairRow.keep_until.set(FOREVER), PairRow.expires_at.set(FOREVER)]


def _grounds(pair: Pair) -> list[Any]:
    """When the messages were written that earned this follow-up, and what else held the window open."""
    opened = pair.opened_at is not None and pair.opened_at > max(pair.times, default=0)
    return [
        PairRow.used_times.set(list(pair.times)),
        PairRow.used_opened_at.set(pair.opened_at) if opened else PairRow.used_opened_at.remove(),
    ]


def _judged(pair: Pair, verdict: str, reason: str, now: int) -> list[Any]:
    return [
        PairRow.verdict.set(verdict),
        PairRow.reason.set(reason),
        PairRow.verdict_at.set(now),
        PairRow.verdict_s1.set(pair.s1),
    ]


def _costs(spent: Spent) -> list[Any]:
    """The model's calls and tokens, added to what this pair has cost before."""
    if not spent.calls:
        return []
    return [
        PairRow.model.set(spent.model),
        PairRow.model_calls.add(spent.calls),
        PairRow.input_tokens.add(spent.input_tokens),
        PairRow.output_tokens.add(spent.output_tokens),
    ]


def _short(message_id: str) -> str:
    """The short id of a message, as in the register."""
    return entry(0, message_id).partition("#")[2]


def _same(attribute: Any, value: Any) -> Any:
    return attribute.does_not_exist() if value is None else attribute == value


def _register_is(pair: Pair) -> Any:
    condition = None
    for slot, value in zip(_REGISTER, (*pair.register, *[""] * SLOTS), strict=False):
        part = (slot == value) if value else (slot.does_not_exist() | (slot == ""))
        condition = part if condition is None else condition & part
    return condition


def _keys(item: Item | None) -> list[str]:
    """The other keys of the same person."""
    return sorted((item or {}).get("keys", {}).get("SS", ()))


def _accounts(pair: Pair) -> tuple[str, ...]:
    """The rows in which the platform's pauses for this pair are kept: the bot's own, then its business account's."""
    channel = channel_of(pair.user)
    own = account_key(channel, pair.bot)
    return (own, account_key(channel, pair.account)) if pair.account not in ("", pair.bot) else (own,)


def _with_pauses(pair: Pair, rows: dict[str, Item]) -> Pair:
    found = [rows[key] for key in _accounts(pair) if key in rows]
    if not found:
        return pair
    return replace(
        pair,
        paused=next((text(row, "paused") for row in found if "paused" in row), ""),
        busy_until=max((number(row, "busy_until") or 0 for row in found), default=0) or None,
        paused_templates=tuple(
            name.removeprefix(_TEMPLATE) for row in found for name in row if name.startswith(_TEMPLATE)
        ),
    )


def _is_linked(item: Item | None) -> bool:
    return bool((item or {}).get("linked", {}).get("BOOL", False))


def _unchanged(pair: Pair) -> Any:
    """The pair as it was read: register, timer, used mark, and no message edited or taken back since."""
    return _as_judged(pair) & _same(PairRow.used_at, pair.used_at) & _same(PairRow.changes, pair.changes)


def _as_judged(pair: Pair) -> Any:
    """The pair still is what was judged: it exists, its register and its timer are the same."""
    return PairRow.user.exists() & _register_is(pair) & _same(PairRow.due_at, pair.due_at)
