"""Posts payload files to the local stack, each on a fresh one, and says what became of every file.

What is counted and kept is read from the tables afterwards; what else a file does is the parser's word, because most
of it (a receipt, an unsupported message) leaves no trace by design.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.stack import LocalStack
from relance.channels import parser
from relance.channels.payload import load, seconds
from relance.errors import UnreadablePayload
from relance.guard import signals
from relance.interaction import Effect, Event, Side
from relance.pair import entry

# 2026-01-15T12:00:00Z, for a file that names no readable time.
DEFAULT_CLOCK = 1_768_478_400

_CLOCK_KEYS = ("timestamp", "time")
_SLOTS = ("s1", "s2", "s3", "s4", "s5")

EFFECTS = frozenset(
    "opt_out opt_in receipt status_failed echo_bot echo_human human_owns erase edit rekey window_opened bot_paused "
    "ignored unknown".split()
)


class NothingToReplay(ValueError):
    """A path that does not exist, or a folder without payload files; the message names it."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one file: the HTTP status, what the tables hold, and what it does beyond that."""

    file: str
    status: int
    counted: int
    kept: int
    effects: tuple[str, ...]

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The payload files that the paths name: a file itself, a folder's `*.json` at any depth, sorted.

    Raises NothingToReplay for a path that does not exist or holds none.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*.json") if each.is_file())
            if not inside:
                raise NothingToReplay(f"no payload file (*.json) in {path}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise NothingToReplay(f"no such file or folder: {path}")
    return found


def replay(files: Iterable[Path], channel: str) -> Iterator[Replayed]:
    """Sign and post each file to the channel's webhook, on a stack that has seen nothing before."""
    with LocalStack(start=DEFAULT_CLOCK) as stack:
        for path in files:
            raw = path.read_bytes()
            latest = latest_time(raw)
            stack.reset(DEFAULT_CLOCK if latest is None else latest + 1)
            response = stack.post(channel, raw)
            counted, kept = kept_by(stack)
            yield Replayed(str(path), response.status, counted, kept, effects_of(raw, channel))


def kept_by(stack: LocalStack) -> tuple[int, int]:
    """How many messages the stored registers hold, and how many more are kept without counting."""
    rows = stack.pairs()
    registers = {(row["bot"], row[slot]) for row in rows for slot in _SLOTS if row.get(slot)}
    kept = 0
    for row in stack.interactions():
        at, _, message_id = row["at_id"].partition("#")
        if "side" in row:
            bot = row["pair"].rpartition("#")[2]
            kept += (bot, entry(int(at), message_id)) not in registers
    return len(registers), kept


def latest_time(raw: bytes) -> int | None:
    """The latest readable time in a payload, epoch seconds: any value under a key `timestamp` or `time`.

    None if the payload is not JSON or names no time.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    times = [at for key, value in _entries(body) if key in _CLOCK_KEYS and (at := seconds(value)) is not None]
    return max(times, default=None)


def effects_of(raw: bytes, channel: str) -> tuple[str, ...]:
    """What a payload does beyond being counted or kept, as the parser and the signals read it; sorted, each once."""
    try:
        events = parser(channel)(load(raw))
    except UnreadablePayload:
        return (Effect.UNKNOWN.value,)
    return tuple(sorted({effect for event in events for effect in _effects(event)}))


def _effects(event: Event) -> Iterator[str]:
    if event.effect is not None:
        # What the table of effects has no word for (control handed back) changes nothing that a reader could see.
        yield event.effect.value if event.effect.value in EFFECTS else Effect.IGNORED.value
    if event.effect is Effect.ECHO_HUMAN:
        yield Effect.HUMAN_OWNS.value
    if event.user is not None and event.side is Side.USER and (event.text or event.payload):
        said = {each.value for each in signals.read(event.text, event.payload)}
        yield from said & {Effect.OPT_OUT.value, Effect.OPT_IN.value}


def _entries(body: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value at any depth, without recursion: a payload may nest as deep as it likes."""
    waiting = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
