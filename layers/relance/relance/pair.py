"""One (bot, user): the register, the timer, the ledger; and what is true of the user for all bots."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from relance.interaction import Address

SLOTS = 5
EVERY_BOT = "*"
# Marks that must outlive every conversation expire in the year 3000.
FOREVER = 32_503_680_000


def user_key(channel: str, address_id: str, pepper: bytes) -> str:
    """The key a person has everywhere but on the phone: keyed hash of the canonical id, 32 hex digits.

    Without the deployment's pepper nobody can go from a number to a key, so logs, queues and metrics may carry it.
    """
    digest = hmac.digest(pepper, f"{channel}\n{address_id}".encode("utf-8", "surrogatepass"), "sha256")
    return f"{channel}#{digest.hex()[:32]}"


def account_key(channel: str, id_: str) -> str:
    """The row of a platform account (a page, a number, a WhatsApp business account): what the platform stopped."""
    return f"account#{channel}#{id_}"


def channel_of(user: str) -> str:
    """The channel a user key belongs to."""
    return user.partition("#")[0]


def shard_of(user: str, shards: int) -> str:
    """The partition of the `due` index a user's timers live in: a stable hash, so that no partition runs hot."""
    return f"{int.from_bytes(hashlib.sha256(user.encode()).digest()[:4]) % shards:02d}"


def shard_names(asked: str, shards: int) -> tuple[str, ...]:
    """The partitions a sweeper is asked to cover: `0-7`, or all of them when nothing is asked.

    Several schedules may split the shards between them. ValueError for a range that does not exist.
    """
    first, _, last = (asked or f"0-{shards - 1}").partition("-")
    low, high = int(first), int(last or first)
    if not 0 <= low <= high < shards:
        raise ValueError(f"shards {asked}: choose within 0-{shards - 1}")
    return tuple(f"{shard:02d}" for shard in range(low, high + 1))


def entry(at: int, message_id: str) -> str:
    """A register entry `time#short-id`: entries of one second differ by message, and sort by time as text."""
    short = hashlib.sha256(message_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{at:010d}#{short}"


def entry_time(value: str) -> int:
    """When the message of a register entry was written, epoch seconds."""
    return int(value.partition("#")[0])


def insert(register: tuple[str, ...], new: str) -> tuple[str, ...]:
    """The register after a message that arrived out of order; unchanged if it is known or too old to matter."""
    if new in register:
        return register
    return tuple(sorted((*register, new), reverse=True)[:SLOTS])


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair as stored. `register` is newest first, without gaps. Times are epoch seconds.

    `closed_s1` is the entry whose silence is decided for good (dropped or used): its timer stays stopped until
    the user's next message. `planned_s1` is the entry the running timer was last planned for.
    `opened_at` is the last act that opened the platform's window without counting (a reaction, a referral).
    `attempts` counts clean refusals since the last decision. `alias` names the key that this one's owner moved to,
    `former` the key they came from and `moved_at` when we moved them here. `changes` counts messages edited or taken
    back.
    `erased_at` is when the person asked to be forgotten: nothing written until then is taken in again.
    `busy_until` ends a rate limit that the platform set for the whole bot.
    `account` is the WhatsApp business account of the bot's number, `language` the one the follow-up was written in.
    `paused` and `paused_templates` say what the platform has stopped for the bot or its account; they are read from
    rows of their own.
    """

    user: str
    bot: str
    register: tuple[str, ...] = ()
    to: str = ""
    due_at: int | None = None
    opened_at: int | None = None
    used_at: int | None = None
    follow_up_id: str = ""
    outcome: str = ""
    reason: str = ""
    closed_s1: str = ""
    planned_s1: str = ""
    attempts: int = 0
    alias: str = ""
    former: str = ""
    moved_at: int | None = None
    changes: int | None = None
    outcome_at: int | None = None
    erased_at: int | None = None
    account: str = ""
    language: str = ""
    paused: str = ""
    paused_templates: tuple[str, ...] = ()
    busy_until: int | None = None

    @property
    def times(self) -> tuple[int, ...]:
        """When the remembered messages were written, newest first."""
        return tuple(entry_time(value) for value in self.register)

    @property
    def s1(self) -> str:
        """The newest register entry: the name of the present silence."""
        return self.register[0] if self.register else ""


@dataclass(frozen=True, slots=True)
class Person:
    """What is true of a user for all bots of the deployment (the row whose bot is `*`).

    `seen` names every row that was read for this person (ids change, and a number and a business-scoped id may be one
    person) with its count of marks, so that a reservation notices any mark that came after the reading.
    `echoes` says when each app last wrote to the user on the business's behalf (`none`: no app was named, so a
    person did); `echo_at` is the newest of them. `human_until` ends a take-over that the platform announced, by
    `owner_app` where it named one (a thread may be passed to the bot's own app).
    `followed` says when each bot last wrote first, `ignored` which of those moments no later message answered.
    """

    user: str
    opted_out_at: int | None = None
    consent_at: int | None = None
    minor: bool = False
    hold_until: int | None = None
    zone: str = ""
    last_follow_up_at: int | None = None
    last_follow_up_id: str = ""
    human_until: int | None = None
    owner_app: str = ""
    echo_at: int | None = None
    echoes: dict[str, int] = field(default_factory=dict)
    followed: dict[str, int] = field(default_factory=dict)
    ignored: tuple[int, ...] = ()
    seen: tuple[tuple[str, int | None], ...] = ()

    @property
    def opted_out(self) -> bool:
        """True once the user said stop, until a fresh opt-in of their own that is younger than the stop."""
        if self.opted_out_at is None:
            return False
        return self.consent_at is None or self.consent_at <= self.opted_out_at

    @property
    def consented(self) -> bool:
        """True when a yes is on record and no stop came after it."""
        return self.consent_at is not None and not self.opted_out


def together(persons: Sequence[Person]) -> Person:
    """One person from the rows of all their keys: every mark counts, the latest of each wins."""
    first = persons[0]
    if len(persons) == 1:
        return first
    echoes: dict[str, int] = {}
    followed: dict[str, int] = {}
    for person in persons:
        for app, at in person.echoes.items():
            echoes[app] = max(at, echoes.get(app, at))
        for bot, at in person.followed.items():
            followed[bot] = max(at, followed.get(bot, at))
    newest = max(persons, key=lambda person: person.last_follow_up_at or 0)
    return Person(
        user=first.user,
        opted_out_at=_latest(person.opted_out_at for person in persons),
        consent_at=_latest(person.consent_at for person in persons),
        minor=any(person.minor for person in persons),
        hold_until=_latest(person.hold_until for person in persons),
        zone=next((person.zone for person in persons if person.zone), ""),
        last_follow_up_at=newest.last_follow_up_at,
        last_follow_up_id=newest.last_follow_up_id,
        human_until=_latest(person.human_until for person in persons),
        owner_app=max(persons, key=lambda person: person.human_until or 0).owner_app,
        echo_at=_latest(person.echo_at for person in persons),
        echoes=echoes,
        followed=followed,
        seen=tuple(row for person in persons for row in person.seen),
    )


def _latest(times: Iterable[int | None]) -> int | None:
    return max((at for at in times if at is not None), default=None)


@dataclass(frozen=True, slots=True)
class Identity:
    """The keys one address has: the canonical one, and the number's when both are known."""

    user: str
    number_user: str = ""


def identify(channel: str, address: Address, pepper: bytes) -> Identity:
    """Keys of an address (WhatsApp may name a person by business-scoped id and by number)."""
    user = user_key(channel, address.id, pepper)
    if address.number and address.number != address.id:
        return Identity(user, user_key(channel, address.number, pepper))
    return Identity(user)
