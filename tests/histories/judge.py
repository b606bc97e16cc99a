"""An independent judge of a history: the rules of design.md section 3 once more, in plain words and other arithmetic.

It imports nothing of relance. It reads what people and the operator did, what the platform was asked, and where the
world was at fault; it says which promises were broken. A doubt about what could be known excuses, and nothing else:

- what was posted and not yet answered with 200 may be known or not: it excuses a silence and forbids nothing;
- a clock that is wrong by n seconds moves every border of time by n;
- trouble (something died, was lost, refused or late) excuses until it must have been made good.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

MINUTE, HOUR, DAY = 60, 3_600, 86_400
NEEDED, WINDOW, COOLDOWN, MIN_SILENCE, FREE_FORM = 5, 14 * DAY, 14 * DAY, 8 * HOUR, DAY
MARGIN, LEASE = 20 * MINUTE, 10 * MINUTE
HOURS = (10 * HOUR, 19 * HOUR + 30 * MINUTE)
HUMAN_KEEPS, SOMEBODY_WROTE, NOT_NOW = 14 * DAY, 2 * HOUR, 90 * DAY
TEMPLATE_LIFE = 12 * HOUR
# So much of an open window is enough to write in: a sweep, a queue and the lead that the planner keeps. After trouble,
# a lease and a wait more.
ENOUGH, ENOUGH_AFTER_TROUBLE = 25 * MINUTE, HOUR
FOR_EVER = 1 << 40


def broken(lines: Sequence[Any], lives: Mapping[str, Sequence[str]], counts: Counter[str] | None = None) -> list[str]:
    """The promises that a journal shows broken. `lives`: the zones each person may live in. `counts` is told how
    often there was something to judge."""
    judge = _Judge(lines, lives, Counter() if counts is None else counts)
    return [*judge.requests(), *judge.silences()]


class _Judge:
    def __init__(self, lines: Sequence[Any], lives: Mapping[str, Sequence[str]], counts: Counter[str]) -> None:
        self.lines, self.lives, self.counts = lines, lives, counts
        self.slack = max((line.until for line in lines if line.kind == "skew"), default=0)

    # ── nothing that should not have gone ───────────────────────────────────────────────────────────────────

    def requests(self) -> Iterator[str]:
        """Walk the journal; judge each request by what had been taken before it left."""
        taken: dict[str, list[Any]] = defaultdict(list)
        posted: dict[str, list[Any]] = defaultdict(list)
        tried: list[Any] = []
        asked: Counter[tuple[str, str]] = Counter()
        bots: dict[str, dict[str, Any]] = defaultdict(dict)
        queued: dict[tuple[str, str], int] = {}
        for line in self.lines:
            pair = (line.person, line.bot)
            if line.kind == "bot":
                bots[line.bot].update(line.told)
            elif line.kind in ("posted", "taken"):
                (taken if line.kind == "taken" else posted)[line.person].append(line)
                asked[pair] += line.kind == "posted" and line.what in ("no", "forgot")
                if line.what == "moved":
                    queued = {key: at for key, at in queued.items() if key[0] != line.person}
            elif line.kind == "queued":
                if line.at - queued.get(pair, -DAY) < LEASE - 2 * self.slack:
                    yield f"one copy a lease: {_who(line)}"
                queued[pair] = line.at
            elif line.kind in ("answered", "unsent"):
                queued.pop(pair, None)
            elif line.kind == "request" and line.told["kind"] == "answer":
                if not asked[pair]:
                    yield f"answers only to those who asked: {_who(line)}"
            elif line.kind == "request":
                queued.pop(pair, None)
                self.counts["requests"] += 1
                known = taken[line.person]
                for promise, kept in self._about(line, known, posted[line.person], tried, bots[line.bot]).items():
                    if not kept:
                        yield f"{promise}: {_who(line)}"
                tried.append(line)

    def _about(
        self, line: Any, taken: list[Any], posted: list[Any], tried: list[Any], bot: dict[str, Any]
    ) -> dict[str, bool]:
        at, slack, here = line.at, self.slack, [each for each in taken if each.bot == line.bot]
        times = _written(here)
        last = times[0] if times else -FOR_EVER
        is_template = line.told["kind"] == "template"
        opened = max([last, *(each.written for each in here if each.what in ("opened", "no", "yes", "held"))])
        no = _latest(taken, "no", "forgot")
        yes = _latest(posted, "yes")
        humans = max(_latest(here, "agent"), _latest(here, "handed", unless="back"))
        same = [each for each in tried if each.person == line.person and each.what != "clean"]
        earlier = [each for each in same if each.bot == line.bot and each.what != "token"]
        others = [each.at for each in same if each.bot != line.bot and each.what in ("ok", "maybe")]
        hours = bot["hours"]
        return {
            "never two": not earlier,
            "earned": len(times) >= NEEDED and at - times[NEEDED - 1] <= WINDOW + slack,
            "in time": at + (TEMPLATE_LIFE if is_template else 0) <= last + WINDOW + slack,
            "quiet long enough": at - last >= MIN_SILENCE - slack,
            "inside the window less its margin": is_template or at <= opened + FREE_FORM - MARGIN + slack,
            "what the platform takes": line.what != "refused",
            "in allowed hours": any(_allowed(t, self.lives[line.person], hours) for t in (at - slack, at, at + slack)),
            "never after no": no < 0 or yes > no,
            "never while it is held": not any(e.what == "held" and at < e.at + NOT_NOW - slack for e in taken),
            "never while a human has it": at >= humans + HUMAN_KEEPS - slack,
            "never where somebody wrote": _latest(here, "agent", "bot wrote") <= last + SOMEBODY_WROTE + slack,
            "consented": yes >= 0 or not (bot["asks"] or is_template),
            "not crowded": not bot["one_person"] or all(at - t >= COOLDOWN - slack for t in others),
            "off means off": bot["mode"] == "live" and not bot["paused"] and last > bot["enabled_at"],
        }

    # ── nothing lost that should have gone ──────────────────────────────────────────────────────────────────

    def silences(self) -> Iterator[str]:
        """Every silence in which somebody stayed free to be written to until its end, and was not."""
        pairs = {(e.person, e.bot): None for e in self.lines if e.kind == "taken" and e.told.get("counts")}
        end = self.lines[-1].at if self.lines else 0
        for person, bot in pairs:
            mine = [line for line in self.lines if line.person == person]
            times = sorted(_written([line for line in mine if line.kind == "taken" and line.bot == bot]))
            for number, last in enumerate(times):
                following = times[number + 1] if number + 1 < len(times) else FOR_EVER
                fifth = times[number - NEEDED + 1] if number >= NEEDED - 1 else None
                if fifth is None or last - fifth > WINDOW:
                    continue
                told: dict[str, Any] = {}
                for line in self.lines:
                    if line.kind == "bot" and line.bot == bot and line.at <= last:
                        told |= line.told
                silence = _Silence(person, bot, last, fifth, times[: number + 1], mine, told)
                if self._is_lost(silence, min(following, end)):
                    yield f"never lost: {person} at {bot}, silence of {_clock(last)}"

    def _is_lost(self, s: "_Silence", until: int) -> bool:
        begins, ends = s.window(self.lives[s.person])
        begins, ends = begins + self.slack, ends - self.slack
        opened = max(
            (e.written for e in s.mine if e.bot == s.bot and e.told.get("opens") and e.written < until), default=0
        )
        over = max(ends, opened + FREE_FORM)
        if until <= over or s.leans_on_it():
            return False
        if any(a <= over and b >= s.last for a, b in self._bars(s, over)):
            return False
        mine = [e for e in s.mine if e.bot == s.bot and s.last <= e.at <= over]
        tries = [e for e in mine if e.kind == "request" and e.told["kind"] != "answer"]
        refusals = [e.at for e in mine if e.kind == "unsent"] + [e.at for e in tries if e.what == "clean"]
        if len(refusals) > 1:
            return False
        troubled = max([begins, *self._troubles(s, over), *(at + AFTER_REFUSAL for at in refusals)])
        enough = ENOUGH if troubled == begins else ENOUGH_AFTER_TROUBLE
        free = [at for at in range(troubled, ends, 5 * MINUTE) if _allowed(at, self.lives[s.person], s.told["hours"])]
        if _longest_run(free) < enough:
            return False
        self.counts["due silences"] += 1
        return all(e.what == "clean" for e in tries)

    def _troubles(self, s: "_Silence", over: int) -> Iterator[int]:
        """Until when something was out of order that could concern this pair."""
        for line in self.lines:
            concerns = line.person in ("", s.person) and line.bot in ("", s.bot)
            if line.kind == "trouble" and line.at <= over and concerns:
                yield line.until
        known: set[str] = set()
        for line in s.mine:
            if line.kind == "taken" and line.told.get("counts") and line.bot == s.bot and line.id not in known:
                known.add(line.id)
                if line.at - line.written > MINUTE and line.written <= s.last:
                    yield line.at + AFTER_LATE_NEWS

    def _bars(self, s: "_Silence", over: int) -> Iterator[tuple[int, int]]:
        """From when to when something forbade, or may have forbidden, to write to this pair."""
        yes = [e for e in s.mine if e.kind == "taken" and e.what == "yes"]
        if s.told["asks"] and not any(e.at <= s.last for e in yes):
            yield s.last, over
        for line in s.mine:
            if line.kind == "posted" and line.what in ("no", "forgot"):
                answered = [e.at for e in yes if e.written > line.written]
                yield line.at, min(answered, default=FOR_EVER)
                # Until it is done, an erasure takes with it what was written since.
                if line.what == "forgot" and s.fifth < line.at + HOUR:
                    yield line.at, FOR_EVER
            elif line.kind == "posted" and line.what == "held":
                yield line.at, line.at + NOT_NOW
            elif line.kind == "posted" and line.what in ("agent", "handed"):
                yield min(line.at, line.written), line.written + HUMAN_KEEPS
            elif line.kind == "posted" and line.what == "bot wrote":
                yield line.at, line.at
            elif line.kind in ("request", "died") and line.told.get("kind") != "answer" and line.what != "clean":
                if line.bot == s.bot:
                    # What happened in this very silence is no bar but its answer.
                    yield (line.at, FOR_EVER) if line.at < s.last or line.kind == "died" else _NEVER
                elif s.told["one_person"]:
                    yield line.at, line.at + COOLDOWN
        state, off = {"mode": "live"}, None
        for line in self.lines:
            if line.kind == "bot" and line.bot == s.bot:
                yield line.at, line.at
                state |= line.told
                is_off = bool(state.get("paused") or state.get("stopped")) or state["mode"] != "live"
                if off is not None and not is_off:
                    yield off, line.at
                off = (line.at if off is None else off) if is_off else None
        yield (off, FOR_EVER) if off is not None else _NEVER
        if s.told["enabled_at"] >= s.last:
            yield s.last, FOR_EVER


_NEVER = (FOR_EVER, FOR_EVER)
AFTER_REFUSAL = 25 * MINUTE
AFTER_LATE_NEWS = 20 * MINUTE


class _Silence:
    """One silence of a pair: it began with `last`; `fifth` is the oldest message that it needs."""

    def __init__(
        self, person: str, bot: str, last: int, fifth: int, times: list[int], mine: list[Any], told: dict[str, Any]
    ) -> None:
        self.person, self.bot, self.last, self.fifth = person, bot, last, fifth
        self.times, self.mine, self.told = times, mine, told

    def window(self, zones: Sequence[str]) -> tuple[int, int]:
        """When it may be answered: free form if there is room for it, else by template where the bot has one."""
        begins = self.last + MIN_SILENCE
        last_of_all = min(self.fifth, self.last) + WINDOW
        ends = min(last_of_all, self.last + FREE_FORM - MARGIN)
        hours = self.told["hours"]
        if self.told["template"]:
            free = [at for at in range(begins, ends, 5 * MINUTE) if _allowed(at, zones, hours)]
            if _longest_run(free) < ENOUGH:
                ends = min(last_of_all, self.last + WINDOW - TEMPLATE_LIFE)
        return begins, ends

    def leans_on_it(self) -> bool:
        """Nights and days enough that it may be taken for heavy use, in whatever zone."""
        days = {at // DAY for at in self.times if at > self.last - WINDOW}
        return len(days) >= 4


def _written(lines: Iterable[Any]) -> list[int]:
    """When the messages were written that count, newest first; what was said before "forget me" is forgotten."""
    lines = list(lines)
    forgotten = _latest(lines, "forgot")
    return sorted(
        {e.id: e.written for e in lines if e.told.get("counts") and e.written > forgotten}.values(), reverse=True
    )


def _latest(lines: Iterable[Any], *what: str, unless: str = "") -> int:
    """When the latest of these things was done; -FOR_EVER if never, or if `unless` was done later."""
    lines = list(lines)
    found = max((e.written for e in lines if e.what in what), default=-FOR_EVER)
    undone = max((e.written for e in lines if unless and e.what == unless), default=-FOR_EVER)
    return found if found > undone else -FOR_EVER


def _allowed(at: int, zones: Sequence[str], hours: tuple[int, int]) -> bool:
    """Whether it is an allowed hour on every clock that may be theirs."""
    opens, closes = max(hours[0], HOURS[0]), min(hours[1], HOURS[1])
    for zone in zones:
        local = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone))
        if not opens <= local.hour * HOUR + local.minute * MINUTE + local.second < closes:
            return False
    return True


def _longest_run(moments: Sequence[int]) -> int:
    """Seconds of the longest stretch of moments that lie five minutes apart."""
    best = run = 0
    for before, at in pairwise(moments):
        run = run + at - before if at - before <= 5 * MINUTE else 0
        best = max(best, run)
    return best


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%d %b %H:%M:%S")


def _who(line: Any) -> str:
    return f"{line.person} at {line.bot}, {_clock(line.at)}"
