"""Judges a fortnight from the outside: reads what observers saw, line by line, and says which promises were kept.

It imports nothing of relance and shares no arithmetic with it, so that a mistake in the rules cannot hide behind
itself. `python -m local.checker < lines.jsonl` prints the findings; exit 0 kept, 1 a promise broken, 2 unreadable.
"""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

KEYS = ("at", "event", "channel", "bot", "user", "id", "kind", "text", "zone", "reason")
EVENTS = frozenset(("settings", "operator", "inbound", "accepted", "withheld"))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


COUNTED = _words(
    "text image video document audio sticker location contacts order button list flow quick_reply postback"
)
NOT_COUNTED = _words(
    "get_started referral reaction edit deletion read delivered status_failed echo_bot echo_human standby handover "
    "opt_in opt_out id_change unsupported test"
)
FOLLOW_UPS = _words("free_form template")
REASONS = _words(
    "not_earned too_late already_used already_written too_soon quiet_hours no_allowed_moment unreachable life_too_long "
    "before_enabled disabled paused unknown_bot not_attested opted_out no_consent minor safety_hold heavy_use "
    "human_owns capped ignored_before user_returned no_open_thread user_pause language draft_refused writer_silent "
    "refused_by_platform unknown_outcome outage erased holdout shadow budget"
)

MINUTE, HOUR, DAY = 60, 3_600, 86_400
FREE_FORM_WINDOW = DAY
SOMEBODY_WROTE_AFTER = 2 * HOUR
# A person of the business who wrote has the conversation until the bot speaks again, or for two weeks.
HUMAN_KEEPS_IT = 14 * DAY
# A route is given up somewhat before its window ends (margin and lead of the deployment, with room to spare).
NEAR_THE_END = HOUR

# What opens the free-form window besides a counted message; Meta's table differs between the channels.
OPENERS = {
    "whatsapp": frozenset[str](),
    "messenger": frozenset(("get_started", "referral", "reaction")),
    "instagram": frozenset(("get_started", "referral", "reaction")),
}

DISCLOSURE = re.compile(r"\b(AI|IA|KI)\b")
WAY_OUT = re.compile(r"\b(STOP|STOPP|BAJA|SAIR)\b")
LINK = re.compile(
    r"https?://|\bwww\.|\b[a-z0-9-]+\.(com|org|net|io|app|fr|de|es|pt|br|eu|uk)\b|\b[a-z0-9-]+\.[a-z]{2,}/", re.I
)

STOP_WORDS = _words(
    "stop stopp unsubscribe arret arrêt arrêter désabonner baja parar alto salir sair cancelar abmelden aufhören"
)
STOP_PHRASES = (
    "don't write to me", "do not write to me", "stop writing", "stop messaging", "don't message me", "leave me alone",
    "ne m'écris plus", "ne m'écrivez plus", "arrêtez de m'écrire", "arrête de m'écrire",
    "no me escribas", "no me escriba", "no me escriban", "deja de escribirme", "deje de escribirme",
    "não me escreva", "não me mande", "não me mandem", "para de me escrever", "pare de me escrever",
    "schreib mir nicht mehr", "schreiben sie mir nicht mehr", "schreibt mir nicht mehr", "keine nachrichten mehr",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise: was it kept, how often was there something to check, and where was it broken."""

    promise: str
    ok: bool
    detail: str
    offenders: tuple[str, ...] = ()
    checked: int = 0


@dataclass(slots=True)
class _Silence:
    """What follows one counted message, until the next."""

    start: int
    earned: bool
    end: int | None = None
    outcomes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Pair:
    """What an observer knows of one person at one bot. Times are epoch seconds."""

    bot: str
    user: str
    channel: str
    counted: list[int] = field(default_factory=list)
    silences: list[_Silence] = field(default_factory=list)
    seen_ids: set[str] = field(default_factory=set)
    window_from: int | None = None
    owned_from: int | None = None
    last_written: int | None = None
    asked_at: int | None = None
    sends: list[int] = field(default_factory=list)
    earned_once: bool = False
    told_not_earned: int = 0
    told: int = 0

    @property
    def name(self) -> str:
        return f"{self.user} at {self.bot}"


@dataclass(slots=True)
class _Person:
    """What is true of one human at all bots that can know it is the same human."""

    said_no: bool = False
    said_yes: bool = False
    erased_at: int | None = None
    human_seen: bool = False
    sends: list[tuple[int, str]] = field(default_factory=list)


class _Judge:
    """Walks the lines once and collects, per promise, how often it was tested and who broke it."""

    def __init__(self) -> None:
        self.rules: dict = {}
        self.bots: dict[str, dict] = {}
        self.paused: set[str] = set()
        self.pairs: dict[tuple[str, str], _Pair] = {}
        self.people: dict[object, _Person] = defaultdict(_Person)
        self.checked: dict[str, int] = dict.fromkeys(PROMISES, 0)
        self.offenders: dict[str, list[str]] = defaultdict(list)

    # -- small words -----------------------------------------------------------------------------------------------

    def expect(self, promise: str, kept: bool, offender: str) -> None:
        self.checked[promise] += 1
        if not kept:
            self.offenders[promise].append(offender)

    def rule(self, name: str, default: int) -> int:
        return int(self.rules.get(name, default))

    @property
    def needed(self) -> int:
        return self.rule("MinInteractions", 5)

    @property
    def window(self) -> int:
        return self.rule("WindowDays", 14) * DAY

    def min_silence(self, bot: str) -> int:
        settings = self.bots.get(bot, {})
        return max(int(settings.get("min_silence") or 0), self.rule("MinSilenceHours", 8) * HOUR)

    def pair(self, line: dict) -> _Pair:
        key = (line["bot"], line["user"])
        if key not in self.pairs:
            self.pairs[key] = _Pair(line["bot"], line["user"], line["channel"])
        return self.pairs[key]

    def person(self, where: "_Pair") -> _Person:
        """On WhatsApp one number is one human everywhere; Page- and account-scoped ids cannot be joined."""
        return self.people[where.user if where.channel == "whatsapp" else (where.bot, where.user)]

    def newest(self, pair: _Pair) -> list[int]:
        """When the messages were written that count now, oldest first, as many as are needed."""
        erased = self.person(pair).erased_at
        times = [at for at in pair.counted if erased is None or at > erased]
        return sorted(times)[-self.needed :]

    # -- the events ------------------------------------------------------------------------------------------------

    def settings(self, line: dict) -> None:
        self.rules = line.get("rules") or {}
        self.bots = {bot["bot"]: dict(bot) for bot in line.get("bots") or []}

    def operator(self, line: dict) -> None:
        kind, bot = line["kind"], line["bot"]
        if kind == "pause":
            self.paused.add(bot)
        elif kind == "resume":
            self.paused.discard(bot)
        elif kind == "enable":
            self.bots.setdefault(bot, {})["enabled_at"] = line["at"]
        elif kind in ("opt_out", "erase"):
            for person in self._everywhere(line["user"]):
                if kind == "opt_out":
                    person.said_no, person.said_yes = True, False
                else:
                    person.erased_at = line["at"]

    def _everywhere(self, user: str) -> list[_Person]:
        """An operator's word about a human holds at every bot that the human wrote to."""
        return [self.person(pair) for pair in self.pairs.values() if pair.user == user]

    def inbound(self, line: dict) -> None:
        if line["user"] is None:
            return
        pair, kind, at = self.pair(line), line["kind"], line["at"]
        person = self.person(pair)
        if kind in COUNTED:
            self._message(pair, line)
        if kind in COUNTED or kind in OPENERS[pair.channel] or (kind in ("opt_in", "opt_out") and line["text"]):
            pair.window_from = max(at, pair.window_from or 0)
        if kind in COUNTED or kind == "opt_out":
            pair.asked_at = at
        if kind == "opt_out" or (kind in COUNTED and says_stop(line["text"] or "")):
            person.said_no, person.said_yes = True, False
        elif kind == "opt_in":
            person.said_no, person.said_yes = False, True
        elif kind == "deletion" and line["text"] == "forget me":
            person.erased_at = at
        elif kind in ("echo_human", "standby", "handover"):
            returned = kind == "handover" and line["text"] == "returned"
            pair.owned_from = None if returned else at
            person.human_seen = True
        elif kind == "echo_bot":
            pair.owned_from = None
        if kind in ("echo_bot", "echo_human"):
            pair.last_written = at

    def _message(self, pair: _Pair, line: dict) -> None:
        if line["id"] in pair.seen_ids:
            return
        pair.seen_ids.add(line["id"])
        pair.counted.append(line["at"])
        times = self.newest(pair)
        earned = len(times) >= self.needed and times[-1] - times[0] <= self.window
        pair.earned_once = pair.earned_once or earned
        if pair.silences:
            pair.silences[-1].end = line["at"]
        pair.silences.append(_Silence(line["at"], earned))

    def accepted(self, line: dict) -> None:
        pair = self.pair(line)
        if line["kind"] == "answer":
            asked = pair.asked_at is not None and line["at"] - pair.asked_at <= 10 * MINUTE
            pair.asked_at = None  # one question, one answer
            self.expect("answers only to those who asked", asked, _where(line, pair))
            return
        for promise, kept in self._about_the_send(line, pair).items():
            self.expect(promise, kept, _where(line, pair))
        pair.sends.append(line["at"])
        self.person(pair).sends.append((line["at"], line["bot"]))
        if pair.silences:
            pair.silences[-1].outcomes.append("accepted")

    def _about_the_send(self, line: dict, pair: _Pair) -> dict[str, bool]:
        at, text, person = line["at"], line["text"] or "", self.person(pair)
        bot = self.bots.get(line["bot"], {})
        times = self.newest(pair)
        last = times[-1] if times else None
        template = line["kind"] == "template"
        return {
            "never two": self._first_of_its_occasion(pair, times),
            "earned": len(times) >= self.needed and at - times[0] <= self.window,
            "in time": last is not None and at - last <= self.window,
            "quiet long enough": last is not None and at - last >= self.min_silence(line["bot"]),
            "inside the window": (
                line["channel"] == "whatsapp" and self._template_lives_in_time(bot, at, last)
                if template
                else pair.window_from is not None and at - pair.window_from < FREE_FORM_WINDOW
            ),
            "never in quiet hours": self._in_hours(line, bot),
            "never after no": not person.said_no and (person.erased_at is None or bool(times)),
            "never while a human has it": pair.owned_from is None or at - pair.owned_from >= HUMAN_KEEPS_IT,
            "never where somebody wrote": (
                pair.last_written is None or last is None or pair.last_written <= last + SOMEBODY_WROTE_AFTER
            ),
            "off means off": (
                line["bot"] not in self.paused
                and bot.get("mode", "live") == "live"
                and bot.get("enabled_at") is not None
                and last is not None
                and last > bot["enabled_at"]
            ),
            "not crowded": all(at - sent >= self.rule("UserCooldownDays", 14) * DAY for sent, _ in person.sends),
            "consented": person.said_yes if template or bot.get("consent") == "opt-in" else True,
            "says it is an AI and how to stop": bool(DISCLOSURE.search(text) and WAY_OUT.search(text)),
            "fits the channel": _fits(line["channel"], text, template),
            "no link": not LINK.search(text),
        }

    def _first_of_its_occasion(self, pair: _Pair, times: list[int]) -> bool:
        if not pair.sends:
            return True
        again = self.rules.get("FollowUps") == "once-per-conversation"
        return again and len(times) >= self.needed and times[0] > pair.sends[-1]

    def _template_lives_in_time(self, bot: dict, at: int, last: int | None) -> bool:
        ttl = bot.get("template_ttl")
        return ttl is None or last is None or at + int(ttl) <= last + self.window

    def _in_hours(self, line: dict, bot: dict) -> bool:
        opens, closes = hours(bot.get("hours") or "10:00-19:30")
        return decent(line["at"], line["zone"] or "", opens, closes, bot.get("quiet_days") or ())

    def withheld(self, line: dict) -> None:
        pair, reason = self.pair(line), line["reason"]
        pair.told += 1
        if reason == "not_earned" and not pair.earned_once:
            pair.told_not_earned += 1
            return
        silence = self._silence_of(pair, line)
        if silence is None:
            self.expect("one answer per silence", False, f"{_where(line, pair)}: withheld from no silence")
            return
        silence.outcomes.append(reason)
        test = WITNESSES.get(reason)
        if test is not None:
            self.expect("reasons are true", test(self, pair, line, silence), f"{_where(line, pair)}: {reason}")

    def slid_out(self, pair: _Pair, silence: _Silence) -> bool:
        """Whether the oldest message needed grew too old before the silence was long enough to write into it."""
        times = sorted(at for at in pair.counted if at <= silence.start)[-self.needed :]
        return times[0] + self.window < silence.start + self.min_silence(pair.bot) + FREE_FORM_WINDOW

    def _silence_of(self, pair: _Pair, line: dict) -> _Silence | None:
        """The silence that was decided: the present one, or the one that this very moment ended."""
        begun = [s for s in pair.silences if s.start <= line["at"]]
        if line["reason"] == "user_returned":
            begun = [s for s in begun if s.end is not None and s.end <= line["at"]] or begun
        return begun[-1] if begun else None

    # -- the end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        for pair in self.pairs.values():
            for silence in pair.silences:
                if len(silence.outcomes) > 1:
                    said = ", ".join(silence.outcomes)
                    self.expect("one answer per silence", False, f"{pair.name}, silence of {silence.start}: {said}")
                elif self._deserves_an_answer(pair, silence):
                    found = len(silence.outcomes) == 1
                    self.expect("one answer per silence", found, f"{pair.name}, silence of {silence.start}: nothing")
            if pair.earned_once:
                self.expect("nobody is lost", bool(pair.told or pair.sends), pair.name)
            elif pair.counted or pair.told:
                self.expect("not earned, not written to", pair.told_not_earned == 1 and not pair.sends, pair.name)

    def _deserves_an_answer(self, pair: _Pair, silence: _Silence) -> bool:
        """A silence that ended early may have ended before anybody had planned anything."""
        if not silence.earned:
            return False
        return silence.end is None or silence.end - silence.start >= self.min_silence(pair.bot) + FREE_FORM_WINDOW


# Each promise in the words a visitor reads, in the order of the way of a message.
PROMISES: dict[str, str] = {
    "readable": "every line has the ten keys and known words, in time order",
    "never two": "never a second message into one occasion",
    "earned": "only after enough messages of the person's own, all recent",
    "in time": "only within two weeks of the person's last message",
    "quiet long enough": "never before the silence is long enough, never after a newer message",
    "inside the window": "free form only inside the platform's 24 hours; templates live out in time",
    "never in quiet hours": "never in quiet hours where the person really lives",
    "never after no": "never after a stop, an opt-out or an erasure",
    "never while a human has it": "never while a human or another app has the conversation",
    "never where somebody wrote": "never where the business wrote since",
    "off means off": "never from a paused, disabled or not yet enabled bot",
    "not crowded": "at most one per person and fortnight over all bots that can know",
    "consented": "never without the consent the bot's country asks for",
    "says it is an AI and how to stop": "every message says it is from an AI and how to stop",
    "fits the channel": "every message fits its channel",
    "no link": "no message has a link",
    "answers only to those who asked": "an answer goes only to somebody who has just asked, once",
    "nobody is lost": "everybody who earned a follow-up got it, or a reason",
    "one answer per silence": "each such silence has one outcome, never two",
    "not earned, not written to": "everybody else was counted as not earned, once, and not written to",
    "reasons are true": "each reason that can be seen from outside did happen",
}


# What an observer must have seen before a reason can be true. Reasons about content or the inside are not listed.
WITNESSES: dict[str, Callable[[_Judge, _Pair, dict, _Silence], bool]] = {
    "opted_out": lambda judge, pair, line, _: judge.person(pair).said_no,
    "erased": lambda judge, pair, line, _: judge.person(pair).erased_at is not None,
    "already_used": lambda judge, pair, line, _: bool(pair.sends),
    "capped": lambda judge, pair, line, _: any(
        bot != line["bot"] and line["at"] - sent < judge.rule("UserCooldownDays", 14) * DAY + HOUR
        for sent, bot in judge.person(pair).sends
    ),
    "human_owns": lambda judge, pair, line, _: judge.person(pair).human_seen,
    "already_written": lambda judge, pair, line, silence: (
        pair.last_written is not None and pair.last_written > silence.start + SOMEBODY_WROTE_AFTER
    ),
    "paused": lambda judge, pair, line, _: line["bot"] in judge.paused,
    "before_enabled": lambda judge, pair, line, silence: (
        silence.start <= (judge.bots.get(line["bot"], {}).get("enabled_at") or float("inf"))
    ),
    "disabled": lambda judge, pair, line, _: judge.bots.get(line["bot"], {}).get("mode", "off") != "live",
    "no_consent": lambda judge, pair, line, _: not judge.person(pair).said_yes,
    "user_returned": lambda judge, pair, line, silence: silence.earned and silence.end is not None,
    # Only where the bot's own patience outlasts the window; who was reachable and forgotten until late was lost.
    "unreachable": lambda judge, pair, line, silence: (
        silence.start + judge.min_silence(pair.bot) >= (pair.window_from or 0) + FREE_FORM_WINDOW - NEAR_THE_END
    ),
    "not_earned": lambda judge, pair, line, silence: judge.slid_out(pair, silence),
    "too_late": lambda judge, pair, line, silence: line["at"] >= silence.start + judge.window - HOUR,
}


def check(lines: Iterable[dict]) -> list[Finding]:
    """Judge a whole run. `lines` are the JSON lines as objects, in the order they were printed.

    Returns one `Finding` per promise, always all of them: a promise with nothing to check is kept and says so.
    """
    judge = _Judge()
    before = None
    for number, line in enumerate(lines, 1):
        fault = _fault(line, number, before)
        judge.expect("readable", fault is None, f"line {number}: {fault}")
        if fault is not None and not _followable(line):
            continue
        before = line["at"]
        getattr(judge, line["event"])(line)
    if before is None:
        judge.expect("readable", False, "no line at all")
    judge.close()
    return [_finding(judge, promise) for promise in PROMISES]


def says_stop(text: str) -> bool:
    """The checker's own ear for a stop: a stop word alone, or a plain wish not to be written to."""
    plain = text.casefold().replace("\u2019", "'").strip()
    return plain.strip(" .!¡") in STOP_WORDS or any(phrase in plain for phrase in STOP_PHRASES)


def _finding(judge: _Judge, promise: str) -> Finding:
    checked, offenders = judge.checked[promise], tuple(judge.offenders[promise])
    detail = f"{PROMISES[promise]}: {checked - len(offenders):,} of {checked:,}"
    return Finding(promise, not offenders, detail, offenders, checked)


def _fault(line: dict, number: int, before: int | None) -> str | None:
    """What is wrong with the shape of a line, or None."""
    if not isinstance(line, dict):
        return "not an object"
    missing = [key for key in KEYS if key not in line]
    extra = set(line) - set(KEYS) - ({"rules", "bots"} if line.get("event") == "settings" else set())
    known = {"inbound": COUNTED | NOT_COUNTED, "accepted": FOLLOW_UPS | {"answer"}}.get(line.get("event"))
    reason = line.get("reason")
    checks: list[tuple[bool, str]] = [
        (bool(missing), f"keys missing: {', '.join(missing)}"),
        (bool(extra), f"unknown keys: {', '.join(sorted(extra))}"),
        (line.get("event") not in EVENTS, f"unknown event {line.get('event')!r}"),
        ((number == 1) != (line.get("event") == "settings"), "settings are the first line, and only that"),
        (not isinstance(line.get("at"), int) or isinstance(line.get("at"), bool), "`at` is not an integer"),
        (before is not None and isinstance(line.get("at"), int) and line["at"] < before, "not in time order"),
        (known is not None and line.get("kind") not in known, f"unknown kind {line.get('kind')!r}"),
        (line.get("event") == "withheld" and reason not in REASONS, f"unknown reason {reason!r}"),
        (line.get("event") in ("inbound", "accepted") and not line.get("id"), "no id"),
    ]
    return next((words for wrong, words in checks if wrong), None)


def _followable(line: object) -> bool:
    """A faulty line that can still be understood is judged all the same: a broken promise must not hide behind it."""
    return (
        isinstance(line, dict)
        and all(key in line for key in KEYS)
        and line["event"] in EVENTS
        and isinstance(line["at"], int)
        and (line["event"] in ("settings", "operator") or line["channel"] in OPENERS)
    )


def decent(at: int, zone: str, opens: int, closes: int, quiet_days: Collection[int] = ()) -> bool:
    """Whether an instant is inside the hours (seconds after midnight, the second is out) on the clock of a zone.

    A zone that nobody knows has no such hour.
    """
    try:
        local = datetime.fromtimestamp(at, ZoneInfo(zone))
    except (KeyError, ValueError, OSError):
        return False
    of_day = local.hour * HOUR + local.minute * MINUTE + local.second
    return opens <= of_day < closes and local.isoweekday() not in quiet_days


def hours(text: str) -> tuple[int, int]:
    """`10:00-19:30` as seconds after midnight; the second is out."""
    opens, closes = (int(hour) * HOUR + int(minute) * MINUTE for hour, minute in re.findall(r"(\d+):(\d+)", text))
    return opens, closes


def _fits(channel: str, text: str, template: bool) -> bool:
    """Meta's limits: WhatsApp 4,096 characters (template body 1,024), Messenger under 2,000, Instagram 1,000 bytes."""
    if not text:
        return False
    if channel == "instagram":
        return len(text.encode()) <= 1000
    return len(text) < 2000 if channel == "messenger" else len(text) <= (1024 if template else 4096)


def _where(line: dict, pair: _Pair) -> str:
    return f"{pair.name} at {line['at']}"


def main() -> int:
    """Read JSON lines from stdin, print a line per promise, and say by the exit code whether all were kept."""
    try:
        findings = check([json.loads(line) for line in sys.stdin if line.strip()])
    except ValueError as unreadable:
        sys.stderr.write(f"not JSON lines: {unreadable}\n")
        return 2
    for finding in findings:
        sys.stdout.write(f"{'kept  ' if finding.ok else 'BROKEN'} {finding.detail}\n")
        for offender in finding.offenders[:5]:
            sys.stdout.write(f"         {offender}\n")
    return 0 if all(finding.ok for finding in findings) else 1


if __name__ == "__main__":
    raise SystemExit(main())
