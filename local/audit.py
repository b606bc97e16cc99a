"""Judges the ledger of a deployment from its rows alone: which promises were kept, and which rows show a broken one.

Pure: rows, bots, settings and the time come in, one finding for each line goes out. It shares no arithmetic with
`relance.rules`, so that a mistake there cannot hide behind itself; of relance it uses the tables of zones alone.

Three answers are possible: kept, broken, and "the ledger cannot tell", which is counted and never guessed. A ledger
keeps the last follow-up of a pair and the last of each mark; what a later one has overwritten is gone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Self

from local.checker import DAY, FREE_FORM_WINDOW, HOUR, HUMAN_KEEPS_IT, MINUTE, SOMEBODY_WROTE_AFTER, decent, hours
from relance import zones
from relance.bot import OPT_IN_COUNTRIES

type Row = Mapping[str, Any]

# Each line in the words that an operator reads; the order is that of the report.
LINES: dict[str, str] = {
    "double": "a second follow-up in one silence",
    "window": "outside the window: not earned, too late, or beyond the channel's 24 hours",
    "too_soon": "before the silence was long enough",
    "quiet_hours": "in quiet hours on the person's clock",
    "opt_out": "after a stop",
    "hold": "during a hold",
    "consent": "without the yes that is needed",
    "crowded": "within the cooldown over all bots",
    "newer": "although the person had written again",
    "taken": "where a person or another app had the conversation, or had written",
    "off": "from a bot that was off, or into a silence older than its start",
    "stuck": "timers that ring and get no answer, or silences that lost theirs",
    "unrecorded": "reservations without an outcome",
    "half": "follow-ups that the pair and the person's row tell differently",
    "expiring": "marks that would expire",
    "index": "timers that no sweep can find",
    "ghost": "rows that lack what every row of their kind has",
    "overdue": "rows that should have expired",
}

# A scan is no snapshot: what is younger may have been read half.
SETTLING = 5 * MINUTE
# What was written so shortly before a follow-up may still have been on its way from the platform.
CROSSING = 10 * MINUTE
# A sender's function runs for a minute at most; whoever has not recorded anything by now has died.
RECORDED_WITHIN = 30 * MINUTE
# So many leases (and sweeps) may pass before a timer counts as stuck.
PATIENCE = 3
# The row of a person without lasting marks is kept for so long after a follow-up.
PERSON_KEPT = 180 * DAY
# "Not now" holds for so long; a crisis for CrisisHoldDays.
NOT_NOW = 90 * DAY
# DynamoDB deletes what has expired within a few days.
DELETED_WITHIN = 7 * DAY
# A lasting mark expires in the year 3000; anything this near is the end of some conversation.
LASTING = 10 * 365 * DAY
EVERY_BOT = DEPLOYMENT = "*"


@dataclass(frozen=True, slots=True)
class Settings:
    """The deployment's parameters, in seconds (`hours`: seconds after midnight)."""

    min_interactions: int
    window: int
    follow_ups: str
    cooldown: int
    min_silence: int
    hours: tuple[int, int]
    sweep: int
    lease: int
    crisis_hold: int
    shards: int

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Self:
        """From the parameters of template.yaml. Raises KeyError for one that is missing, ValueError for no number."""
        return cls(
            min_interactions=int(parameters["MinInteractions"]),
            window=int(parameters["WindowDays"]) * DAY,
            follow_ups=parameters["FollowUps"],
            cooldown=int(parameters["UserCooldownDays"]) * DAY,
            min_silence=int(parameters["MinSilenceHours"]) * HOUR,
            hours=hours(parameters["AllowedHours"]),
            sweep=int(parameters["SweepMinutes"]) * MINUTE,
            lease=int(parameters["LeaseMinutes"]) * MINUTE,
            crisis_hold=int(parameters["CrisisHoldDays"]) * DAY,
            shards=int(parameters["DueShards"]),
        )


@dataclass(frozen=True, slots=True)
class Offender:
    """A row that breaks a line: the opaque key of the user, the bot, and what is wrong in one sentence."""

    user: str
    bot: str
    detail: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how many rows were judged, which broke it, and of how many the ledger cannot tell."""

    line: str
    offenders: tuple[Offender, ...] = ()
    checked: int = 0
    untold: int = 0

    @property
    def ok(self) -> bool:
        return not self.offenders


def audit(rows: Iterable[Row], bots: Iterable[Row], settings: Settings, now: int, *, since: int = 0) -> list[Finding]:
    """Judge a deployment's ledger. Returns a finding for each of `LINES`, always all of them, in that order.

    `rows` are those of the pairs table in any order, as plain values; they are read once. A row may bring
    `kept_follow_ups`, the number of follow-ups that the interactions table keeps of its present silence. `bots` are
    the rows of the bots table with the deployment's own. Follow-ups reserved before `since` are passed over.
    """
    auditor = _Auditor(settings, now, since, {str(row["id"]): row for row in bots})
    for row in rows:
        auditor.see(row)
    auditor.close()
    return [
        Finding(line, tuple(auditor.offenders[line]), auditor.checked[line], auditor.untold[line]) for line in LINES
    ]


# --- reading a row -------------------------------------------------------------------------------------------------


def _number(row: Row, name: str) -> int | None:
    value = row.get(name)
    return None if value is None else int(value)


def _register(row: Row) -> list[int]:
    """When the messages of the register were written, newest first."""
    return [int(str(row[f"s{n}"]).partition("#")[0]) for n in range(1, 6) if row.get(f"s{n}")]


@dataclass(frozen=True, slots=True)
class _Use:
    """A follow-up that was spent, as the pair's row tells it. `times` None: the ledger no longer knows them."""

    user: str
    bot: str
    at: int
    before: int | None
    times: list[int] | None
    opened: int | None
    route: str
    to: str
    register: list[int]


def _use(row: Row, at: int) -> _Use:
    times: list[int] | None = None
    opened = _number(row, "used_opened_at")
    if "used_times" in row:
        times = [int(each) for each in row["used_times"]]
    elif row.get("verdict") == "send" and row.get("s1") and row.get("verdict_s1") == row["s1"]:
        # A row of an older release, and nobody has written since: the register is still the one that was judged.
        times, opened = _register(row), _number(row, "opened_at")
    return _Use(
        user=str(row["user"]),
        bot=str(row["bot"]),
        at=at,
        before=_number(row, "used_before"),
        times=times or None,
        opened=opened,
        route=str(row.get("route", "")),
        to=str(row.get("to", "")),
        register=_register(row),
    )


@dataclass(slots=True)
class _Person:
    """The marks under all keys of one person; of each the latest."""

    stop: int | None = None
    yes: int | None = None
    minor: bool = False
    hold_until: int | None = None
    zone: str = ""
    last: int | None = None
    human: tuple[int, int, str] | None = None
    echo_at: int | None = None
    erased: bool = False
    known: bool = False
    echoes: dict[str, int] = field(default_factory=dict)
    followed: dict[str, int] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        self.known = True
        self.stop = _later(self.stop, _number(row, "opted_out_at"))
        self.yes = _later(self.yes, _number(row, "consent_at"))
        self.minor = self.minor or bool(row.get("minor"))
        self.hold_until = _later(self.hold_until, _number(row, "hold_until"))
        self.zone = self.zone or str(row.get("zone", ""))
        self.last = _later(self.last, _number(row, "last_follow_up_at"))
        self.echo_at = _later(self.echo_at, _number(row, "echo_at"))
        self.erased = self.erased or "erased_at" in row
        if "human_at" in row:
            taken = (int(row["human_at"]), int(row.get("human_until", 0)), str(row.get("owner_app", "")))
            self.human = max(self.human or taken, taken)
        for name, value in row.items():
            if name.startswith("followed_"):
                bot = name.removeprefix("followed_")
                self.followed[bot] = max(int(value), self.followed.get(bot, 0))
            elif name.startswith("echo_") and name != "echo_at":
                app = name.removeprefix("echo_")
                self.echoes[app] = max(int(value), self.echoes.get(app, 0))


def _later(one: int | None, other: int | None) -> int | None:
    return max((at for at in (one, other) if at is not None), default=None)


class _Keys:
    """Which keys are one person: ids change, and a number and a business-scoped id may be the same phone."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def join(self, one: str, other: str) -> None:
        self._parent[self.of(one)] = self.of(other)

    def of(self, key: str) -> str:
        while (parent := self._parent.get(key, key)) != key:
            self._parent[key] = self._parent.get(parent, parent)
            key = parent
        return key


@dataclass(frozen=True, slots=True)
class _Bot:
    """What a published bot says now, and since when it has said so."""

    id: str
    channel: str
    mode: str
    hours: tuple[int, int]
    quiet_days: tuple[int, ...]
    min_silence: int
    zone: str
    audience: tuple[str, ...]
    app_ids: tuple[str, ...]
    opt_in: bool
    template_ttl: int | None
    enabled_at: int | None
    changed_at: int


def _bot(row: Row) -> _Bot:
    said = row.get("settings") or {}
    bot_hours, template = said.get("hours") or {}, said.get("template") or {}
    soft = said.get("consent") == "soft" and said.get("soft_basis") and said.get("country") not in OPT_IN_COUNTRIES
    return _Bot(
        id=str(row["id"]),
        channel=str(said.get("channel", "")),
        mode=str(row.get("mode", "off")),
        hours=(int(bot_hours.get("opens", 0)), int(bot_hours.get("closes", DAY))),
        quiet_days=tuple(int(day) for day in said.get("quiet_days") or ()),
        min_silence=int(said.get("min_silence") or 0),
        zone=str(said.get("zone", "")),
        audience=tuple(map(str, said.get("audience_zones") or ())),
        app_ids=tuple(map(str, said.get("app_ids") or ())),
        opt_in=not soft,
        template_ttl=int(template["ttl"]) if "ttl" in template else None,
        enabled_at=_number(row, "enabled_at"),
        changed_at=_number(row, "updated_at") or 0,
    )


# --- judging -------------------------------------------------------------------------------------------------------

# Kept (True), or what is wrong in words, or None: the ledger cannot tell.
type Said = bool | str | None


@dataclass(slots=True)
class _Auditor:
    """Sees each row once and keeps only what must be compared with others: uses and marks."""

    settings: Settings
    now: int
    since: int
    _bots: dict[str, Row]
    checked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LINES, 0))
    untold: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LINES, 0))
    offenders: dict[str, list[Offender]] = field(default_factory=lambda: defaultdict(list))
    _uses: list[_Use] = field(default_factory=list)
    _marks: list[Row] = field(default_factory=list)
    _keys: _Keys = field(default_factory=_Keys)
    _known: dict[str, _Bot | None] = field(default_factory=dict)
    _timers: int = 0

    def say(self, line: str, said: Said, user: str, bot: str) -> None:
        if said is None:
            self.untold[line] += 1
            return
        self.checked[line] += 1
        if said is not True:
            self.offenders[line].append(Offender(user, bot, str(said)))

    def bot(self, id_: str) -> _Bot | None:
        if id_ not in self._known:
            row = self._bots.get(id_)
            self._known[id_] = _bot(row) if row is not None and "settings" in row else None
        return self._known[id_]

    @property
    def deployment(self) -> Row:
        return self._bots.get(DEPLOYMENT, {})

    # -- row by row ------------------------------------------------------------------------------------------------

    def see(self, row: Row) -> None:
        user, bot = str(row["user"]), str(row["bot"])
        if "due_at" in row or "due_shard" in row:
            self.say("index", self._findable(row), user, bot)
        if "expires_at" in row:
            late = self.now - int(row["expires_at"])
            self.say("overdue", late <= DELETED_WITHIN or f"expired {_span(late)} ago and is still here", user, bot)
        if user.startswith("account#"):
            return  # what the platform stopped for an account: nobody's conversation
        if bot == EVERY_BOT:
            self._see_person(row, user)
            return
        for name in ("alias", "former"):
            if row.get(name):
                self._keys.join(user, str(row[name]))
        if row.get("alias"):
            return  # all that is true stands under the newer key
        self.say("ghost", self._whole(row), user, bot)
        self.say("stuck", self._ticks(row), user, bot)
        self._see_use(row, user, bot)

    def _see_person(self, row: Row, user: str) -> None:
        for other in row.get("keys") or ():
            self._keys.join(user, str(other))
        lasting = [name for name in ("opted_out_at", "minor", "hold_until") if name in row]
        if lasting:
            self.say("expiring", self._lasts(row, lasting[0]), user, EVERY_BOT)
        self._marks.append(row)

    def _see_use(self, row: Row, user: str, bot: str) -> None:
        used, outcome = _number(row, "used_at"), row.get("outcome")
        if used is None:
            if outcome in ("accepted", "delivered", "read"):
                self.say("double", f"{outcome}, and yet given back: another one may follow", user, bot)
            elif outcome == "reserved":
                self.say("half", "reserved, and no mark of use", user, bot)
            return
        self.say("expiring", self._lasts(row, "used_at"), user, bot)
        self._uses.append(_use(row, used))
        if used >= self.since:
            self.say("unrecorded", self._recorded(row, used), user, bot)
            self.say("double", self._single(row, used), user, bot)

    def _findable(self, row: Row) -> Said:
        shard, due = row.get("due_shard"), _number(row, "due_at")
        if due is None or shard is None:
            return f"{'due_at' if due is None else 'due_shard'} is missing: the timer is not in the index"
        if row["bot"] == EVERY_BOT or row.get("alias"):
            return "a timer on a row that is no conversation"
        if not (str(shard).isdigit() and int(shard) < self.settings.shards):
            return f"shard {shard}, and sweeps look at 00 to {self.settings.shards - 1:02d}"
        return True

    def _whole(self, row: Row) -> Said:
        channel, _, digits = str(row["user"]).partition("#")
        if not channel or len(digits) != 32:
            return "its user is not a keyed hash"
        if "erased_at" in row:
            return True  # what stays after an erasure is a mark, on purpose
        missing = [name for name in ("s1", "to", "expires_at") if not row.get(name)]
        if "used_at" in row and not row.get("follow_up_id"):
            missing.append("follow_up_id")
        return f"without {', '.join(missing)}" if missing else True

    def _lasts(self, row: Row, mark: str) -> Said:
        expires = _number(row, "expires_at")
        if expires is not None and expires < self.now + LASTING:
            return f"{mark} goes with the row on {_when(expires)}"
        if expires is not None and "keep_until" not in row:
            return f"{mark} goes with the next message: no keep_until"
        return True

    def _recorded(self, row: Row, used: int) -> Said:
        if not row.get("outcome"):
            return None  # erased, or moved by an older release
        if row["outcome"] != "reserved":
            return True
        age = self.now - (_number(row, "outcome_at") or used)
        return age <= RECORDED_WITHIN or f"reserved {_span(age)} ago, and nothing was recorded"

    def _single(self, row: Row, used: int) -> Said:
        receipts, kept = len(row.get("receipts") or ()), _number(row, "kept_follow_ups") or 0
        if receipts > 1:
            return f"the platform's receipts name {receipts} messages for one follow-up"
        if kept > 1:
            return f"the conversation keeps {kept} follow-ups since the person's last message"
        before = _number(row, "used_before")
        if before is None:
            return None
        if not before:
            return True
        if self.settings.follow_ups == "once":
            return f"a second one, {_span(used - before)} after the first; the deployment allows one"
        times = [int(each) for each in row.get("used_times") or ()]
        if times and min(times) <= before:
            return f"a second one, {_span(used - before)} after the first, not earned anew since"
        return True if times else None

    def _ticks(self, row: Row) -> Said:
        due, times = _number(row, "due_at"), _register(row)
        grace = PATIENCE * self.settings.lease
        held = _number(self.deployment, "catch_up_until") or 0
        if due is None:
            return self._needs_no_timer(row, times, grace)
        self._timers += 1
        if held > self.now:
            return None  # nobody is judged before that
        late = self.now - max(due, held)
        if late > grace:
            return f"rang {_span(late)} ago"
        leased = _number(row, "leased_until")
        if leased is not None and self.now - max(leased, held) > grace:
            return f"queued since {_when(leased - self.settings.lease)}, and never answered"
        if times and due > max(times[0] + self.settings.window, held) + DAY:
            return f"rings on {_when(due)}, when it is too late"
        return True

    def _needs_no_timer(self, row: Row, times: list[int], grace: int) -> Said:
        needed = self.settings.min_interactions
        if len(times) < needed or times[0] - times[needed - 1] > self.settings.window:
            return True
        leased, verdict_at = _number(row, "leased_until"), _number(row, "verdict_at")
        if (
            row.get("verdict") == "drop"
            and leased is not None
            and verdict_at is not None
            and verdict_at - leased > grace
        ):
            return f"queued for {_span(verdict_at - leased)}, never answered, and given up: {row.get('reason', '')}"
        if row["s1"] in (row.get("closed_s1"), row.get("verdict_s1")):
            return True
        silence = self.now - times[0]
        if silence <= grace or silence > self.settings.window:
            return True
        return f"silent for {_span(silence)}, earned, undecided, and no timer runs"

    # -- follow-ups, when all rows are seen --------------------------------------------------------------------------

    def close(self) -> None:
        people: dict[str, _Person] = defaultdict(_Person)
        for row in self._marks:
            people[self._keys.of(str(row["user"]))].add(row)
        for use in self._uses:
            if use.at < self.since:
                continue  # kept for what comes after it: the cooldown
            person = people[self._keys.of(use.user)]
            for line, test in _TESTS.items():
                self.say(line, test(self, use, person), use.user, use.bot)
        self._crowds()
        self._lost_uses(people)
        self._beats()

    def _crowds(self) -> None:
        by_person: dict[str, list[_Use]] = defaultdict(list)
        for use in self._uses:
            by_person[self._keys.of(use.user)].append(use)
        for uses in by_person.values():
            uses.sort(key=lambda use: use.at)
            for earlier, use in pairwise((None, *uses)):
                if use is not None and use.at >= self.since:
                    self.say("crowded", self._roomy(earlier, use), use.user, use.bot)

    def _roomy(self, earlier: _Use | None, use: _Use) -> Said:
        gaps = [use.at - use.before] if use.before else []
        if earlier is not None and earlier.user == use.user:
            gaps.append(use.at - earlier.at)
        if gaps and min(gaps) < self.settings.cooldown:
            return f"{_span(min(gaps))} after the one before, over all bots"
        if earlier is not None and earlier.user != use.user and use.at - earlier.at < self.settings.cooldown:
            return None  # two keys of one person, and nobody noted since when that is known
        return True

    def _lost_uses(self, people: Mapping[str, _Person]) -> None:
        """The other way round: the person's row says that a bot wrote, and no pair says so."""
        told = {(self._keys.of(use.user), use.bot) for use in self._uses}
        for row in self._marks:
            user = str(row["user"])
            for name, at in row.items():
                bot = name.removeprefix("followed_")
                recent = max(self.since, self.now - PERSON_KEPT) <= int(at) if bot != name else False
                if recent and int(at) <= self.now - SETTLING and (self._keys.of(user), bot) not in told:
                    self.say("half", f"written to on {_when(int(at))}, and the pair has no mark of use", user, bot)

    def _beats(self) -> None:
        beat = _number(self.deployment, "heartbeat_at")
        if beat is None:
            said: Said = "no sweep has ever run, and timers do" if self._timers else True
        else:
            late = self.now - beat
            said = late <= PATIENCE * self.settings.sweep or f"the last sweep was {_span(late)} ago"
        self.say("stuck", said, "sweeper", DEPLOYMENT)

    # -- one follow-up -----------------------------------------------------------------------------------------------

    def in_window(self, use: _Use, person: _Person) -> Said:
        settings = self.settings
        if use.times is None:
            return None
        if len(use.times) < settings.min_interactions:
            return f"earned by {len(use.times)} messages, {settings.min_interactions} are needed"
        oldest = use.at - use.times[settings.min_interactions - 1]
        if oldest > settings.window:
            return f"message {settings.min_interactions} was {_span(oldest)} old"
        # The last message is younger than that one, so it is within the window, too.
        silence = use.at - use.times[0]
        if use.route == "free_form":
            return self._within_a_day(use, use.times[0])
        bot = self.bot(use.bot)
        if bot is None or bot.template_ttl is None or bot.changed_at > use.at:
            return None
        if silence + bot.template_ttl > settings.window:
            return f"a template that lives {_span(bot.template_ttl)}, {_span(silence)} after the last message"
        return True

    @staticmethod
    def _within_a_day(use: _Use, last: int) -> Said:
        if use.at - last <= FREE_FORM_WINDOW:
            return True
        if use.opened is not None and use.opened > use.at:
            return None  # an older release: what had opened the window before is overwritten
        since = use.at - max(last, use.opened or 0)
        return since <= FREE_FORM_WINDOW or f"free form, {_span(since)} after the window opened"

    def patient(self, use: _Use, person: _Person) -> Said:
        if use.times is None:
            return None
        bot, least = self.bot(use.bot), self.settings.min_silence
        if bot is not None and bot.changed_at <= use.at:
            least = max(least, bot.min_silence)
        silence = use.at - use.times[0]
        return silence >= least or f"after {_span(silence)}, allowed after {_span(least)}"

    def by_day(self, use: _Use, person: _Person) -> Said:
        bot = self.bot(use.bot)
        channel = use.user.partition("#")[0]
        if bot is None or (channel == "whatsapp" and not use.to and not person.zone):
            return None
        opens, closes = self.settings.hours
        floor = (opens, closes, ())
        same = bot.changed_at <= use.at
        strict = (max(opens, bot.hours[0]), min(closes, bot.hours[1]), bot.quiet_days) if same else floor
        known = {"channel": channel, "address": use.to, "bot_zone": bot.zone, "audience_zones": bot.audience}
        there = zones.possible_zones(stated=person.zone or None, **known)
        wrong = [zone for zone in there if not decent(use.at, zone, *strict)]
        if not wrong:
            return True
        # Hours and zones may have been others then: certain is only what is wrong on every clock that it could be.
        anywhere = {*there, *zones.possible_zones(stated=None, **known), *bot.audience}
        if (same and not person.zone) or not any(decent(use.at, zone, *floor) for zone in anywhere):
            local = datetime.fromtimestamp(use.at, UTC)
            return f"at {local:%Y-%m-%d %H:%M:%S} UTC, outside the hours of {wrong[0]}"
        return None

    def heard_no(self, use: _Use, person: _Person) -> Said:
        if person.stop is None or use.at <= person.stop:
            return True
        if person.yes is not None and person.yes > person.stop:
            return True if person.yes <= use.at else None
        late = use.at - person.stop
        return None if late <= CROSSING else f"{_span(late)} after the stop"

    def unheld(self, use: _Use, person: _Person) -> Said:
        if person.minor:
            return None  # since when that is known, nobody noted
        if person.hold_until is None or use.at >= person.hold_until:
            return True
        spans = (self.settings.crisis_hold, NOT_NOW)
        if use.at > person.hold_until - min(spans) + CROSSING:
            return f"a hold until {_when(person.hold_until)} had begun"
        return None if use.at > person.hold_until - max(spans) else True

    def agreed(self, use: _Use, person: _Person) -> Said:
        bot = self.bot(use.bot)
        if use.route != "template" and (bot is None or not bot.opt_in):
            return None if bot is None else True
        if person.yes is not None:
            return True if person.yes <= use.at else None
        certain = use.route == "template" or (bot is not None and bot.changed_at <= use.at)
        return "no yes is on record" if certain and not person.erased else None

    def waited(self, use: _Use, person: _Person) -> Said:
        if use.times is None:
            return None
        newer = [at for at in use.register if use.times[0] < at < use.at]
        early = [at for at in newer if at <= use.at - CROSSING]
        if early:
            return f"they had written {_span(use.at - min(early))} before"
        if newer or (len(use.register) == 5 and use.register[-1] > use.at):
            return None  # on its way, or moved out of the register by what came after
        return True

    def alone(self, use: _Use, person: _Person) -> Said:
        bot = self.bot(use.bot)
        if bot is None:
            return None
        heard = use.at - CROSSING
        strangers = [at for app, at in person.echoes.items() if app not in bot.app_ids]
        broken = [
            f"somebody else wrote {_span(use.at - at)} before"
            for at in strangers
            if at <= heard and use.at < at + HUMAN_KEEPS_IT
        ]
        if person.human is not None:
            at, until, app = person.human
            if at <= heard and use.at < until and app not in bot.app_ids:
                broken.append(f"the conversation was handed over {_span(use.at - at)} before")
        wrote = person.echo_at or 0
        if use.times is not None and use.times[0] + SOMEBODY_WROTE_AFTER < wrote <= heard:
            broken.append(f"the business had written {_span(use.at - wrote)} before")
        if broken:
            return broken[0] if bot.changed_at <= use.at else None
        later = [at for at in (*strangers, wrote, (person.human or (0,))[0]) if at > heard]
        return None if later else True

    def switched_on(self, use: _Use, person: _Person) -> Said:
        bot, epoch = self.bot(use.bot), _number(self.deployment, "epoch")
        if use.times is not None and epoch is not None and use.times[0] <= epoch <= use.at:
            return f"into a silence that began before the restore of {_when(epoch)}"
        if bot is None:
            return None
        if bot.changed_at < use.at and bot.mode != "live":
            return f"the bot had been {bot.mode} since {_when(bot.changed_at)}"
        if bot.enabled_at is None or use.at < bot.enabled_at or use.times is None:
            return None
        if use.times[0] <= bot.enabled_at:
            return f"into a silence that began before the bot's start on {_when(bot.enabled_at)}"
        return True

    def told_alike(self, use: _Use, person: _Person) -> Said:
        if use.at > self.now - SETTLING or use.at < self.now - PERSON_KEPT:
            return None  # too fresh for a scan, or the person's row may have expired
        if person.last is None or person.last < use.at:
            return f"written to on {_when(use.at)}, and the person's row does not say so: no cooldown holds"
        told = person.followed.get(use.bot)
        if told is None:
            return True if not person.erased else None
        return told == use.at or f"the pair says {_when(use.at)}, the person's row {_when(told)}"


_TESTS: dict[str, Callable[[_Auditor, _Use, _Person], Said]] = {
    "window": _Auditor.in_window,
    "too_soon": _Auditor.patient,
    "quiet_hours": _Auditor.by_day,
    "opt_out": _Auditor.heard_no,
    "hold": _Auditor.unheld,
    "consent": _Auditor.agreed,
    "newer": _Auditor.waited,
    "taken": _Auditor.alone,
    "off": _Auditor.switched_on,
    "half": _Auditor.told_alike,
}


# --- words ---------------------------------------------------------------------------------------------------------


def _when(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _span(seconds: int) -> str:
    """A span in its two largest units: `13 d 4 h`, `9 h 10 min`, `40 s`."""
    if abs(seconds) < MINUTE:
        return f"{seconds} s"
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    units: Iterator[tuple[int, str]] = iter(
        ((seconds // DAY, "d"), (seconds % DAY // HOUR, "h"), (seconds % HOUR // MINUTE, "min"))
    )
    return sign + " ".join([f"{number} {unit}" for number, unit in units if number][:2])
