"""The rules: may this pair be written to now, when, and by which route? Pure: no clock, no I/O; `now` comes in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from relance import zones
from relance.bot import Bot, Hours, Template
from relance.interaction import DAY, HOUR, MINUTE
from relance.pair import Pair, Person, channel_of
from relance.parameters import HUMAN_OWNS_FOR, Deployment, Rules
from relance.reason import Reason

FREE_FORM = "free_form"
TEMPLATE = "template"

# All three platforms let a business write freely for 24 h after the user's last qualifying act (platforms.md 6).
PLATFORM_WINDOW = 24 * HOUR
# A message from the business's side later than this after the user's last one means that somebody already wrote.
ALREADY_WRITTEN_AFTER = 2 * HOUR
# So many follow-ups without a word back, within so long, and the operator's bots leave the person alone (safety.md B8).
MOST_IGNORED = 2
IGNORED_FOR = 90 * DAY
# China's rules for human-like AI (2026) leave no room for it (safety.md B5).
DENIED_COUNTRIES = frozenset({"CN"})


@dataclass(frozen=True, slots=True)
class Send:
    """Write now, by this route."""

    route: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not before `until`; the timer moves there."""

    until: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Drop:
    """Not in this silence. The timer stops until the user's next message."""

    reason: Reason


Verdict = Send | Wait | Drop


@dataclass(frozen=True, slots=True)
class Route:
    """A way to reach the user and the last instant it may be used (inclusive, margin already taken off)."""

    name: str
    until: int


def is_earned(times: Sequence[int], now: int, rules: Rules) -> bool:
    """Rule 1: the last `min_interactions` messages all lie within the window; exactly 14 days is inside."""
    return len(times) >= rules.min_interactions and now - times[rules.min_interactions - 1] <= rules.window


def is_outage(deployment: Deployment, now: int, rules: Rules) -> bool:
    """True while the deployment has not caught up after a fault it could see; mere quiet is never one."""
    if deployment.catch_up_until is not None and deployment.catch_up_until > now:
        return True
    return deployment.heartbeat_at is not None and now - deployment.heartbeat_at > 3 * rules.sweep


def human_owns(person: Person, bot: Bot, now: int) -> bool:
    """True while a person or another app has the thread: the platform said so, or their echo was heard."""
    if person.human_until is not None and person.human_until > now and person.owner_app not in bot.app_ids:
        return True
    return any(at + HUMAN_OWNS_FOR > now for app, at in person.echoes.items() if app not in bot.app_ids)


def routes(pair: Pair, person: Person, bot: Bot, rules: Rules) -> list[Route]:
    """The ways to reach the user in this silence, the gentlest first, each with its last instant."""
    last = pair.times[0]
    opened = max(last, pair.opened_at or 0)
    found = [Route(FREE_FORM, opened + PLATFORM_WINDOW - rules.margin)]
    if bot.template is not None and _may_use_template(pair, person, bot.template):
        # A template accepted now may be delivered until its time-to-live ends: that end must be in time (rule 2).
        found.append(Route(TEMPLATE, last + rules.window - bot.template.ttl))
    return found


def _may_use_template(pair: Pair, person: Person, template: Template) -> bool:
    """WhatsApp alone has templates, for people who opted in; marketing ones reach no US number (platforms.md 6.1)."""
    if channel_of(pair.user) != "whatsapp" or not person.consented or template.name in pair.paused_templates:
        return False
    return template.category != "MARKETING" or "US" not in zones.countries_of_address(pair.to)


def possible_zones(pair: Pair, person: Person, bot: Bot) -> tuple[str, ...]:
    """All time zones the user could be in (rule 6)."""
    return zones.possible_zones(
        channel=channel_of(pair.user),
        address=pair.to,
        stated=person.zone or None,
        bot_zone=bot.zone,
        audience_zones=bot.audience_zones,
    )


def allowed_hours(bot: Bot, rules: Rules) -> Hours:
    """The deployment's hours narrowed by the bot's: a bot may be stricter, never laxer."""
    return Hours(max(bot.hours.opens, rules.hours.opens), min(bot.hours.closes, rules.hours.closes))


def silences(bot: Bot, rules: Rules) -> tuple[int, int]:
    """(min_silence, preferred_silence) in seconds, with the bot's stricter values."""
    least = max(rules.min_silence, bot.min_silence or 0)
    return least, max(least, bot.preferred_silence or rules.preferred_silence)


@dataclass(frozen=True, slots=True)
class Moment:
    """The instant the planner chose and the route it was chosen for."""

    at: int
    route: str


def plan(pair: Pair, person: Person, bot: Bot, rules: Rules, *, not_before: int = 0) -> Moment | Reason:
    """The allowed instant nearest `t1 + preferred_silence`, the earlier of two equals; else why there is none.

    Never within `lead` of a closing edge, because sweep and queue take time. A free-form moment is preferred to a
    template, which costs money and sounds like one.
    """
    times = pair.times
    least, preferred = silences(bot, rules)
    start = max(times[0] + least, not_before)
    last_instant = min(times[rules.min_interactions - 1], times[0]) + rules.window
    hours = allowed_hours(bot, rules)
    reach = [Route(r.name, min(r.until, last_instant)) for r in routes(pair, person, bot, rules)]
    open_routes = [route for route in reach if route.until > start]
    for route in open_routes:
        intervals = zones.allowed_intervals(
            start,
            route.until,
            zones=possible_zones(pair, person, bot),
            opens=hours.opens,
            closes=hours.closes,
            quiet_days=bot.quiet_days,
        )
        instants = [
            min(max(times[0] + preferred, opens), closes - rules.lead)
            for opens, closes in intervals
            if closes - rules.lead >= opens
        ]
        if instants:
            wanted = times[0] + preferred
            return Moment(min(instants, key=lambda at: (abs(at - wanted), at)), route.name)
    if open_routes:
        return Reason.NO_ALLOWED_MOMENT
    if any(route.name == TEMPLATE for route in reach):
        return Reason.LIFE_TOO_LONG
    return Reason.UNREACHABLE


@dataclass(frozen=True, slots=True)
class Facts:
    """What the data gates judge: rows as read, the clock, the deployment's numbers. No text is among them."""

    pair: Pair
    person: Person
    bot: Bot
    deployment: Deployment
    now: int
    rules: Rules


def _switch(facts: Facts) -> Reason | None:
    bot = facts.bot
    if bot.mode == "off" or bot.enabled_at is None:
        return Reason.DISABLED
    if bot.paused or facts.pair.paused:
        return Reason.PAUSED
    if not bot.notice or (bot.channel == "whatsapp" and not bot.ai_is_incidental):
        return Reason.NOT_ATTESTED
    return None


def _identity(facts: Facts) -> Reason | None:
    """A pair without an address or a message is nobody's conversation (erased, or never begun)."""
    return None if facts.pair.register else Reason.TOO_LATE


def _opt_out(facts: Facts) -> Reason | None:
    return Reason.OPTED_OUT if facts.person.opted_out else None


def _consent(facts: Facts) -> Reason | None:
    return Reason.NO_CONSENT if facts.bot.needs_opt_in and not facts.person.consented else None


def _age(facts: Facts) -> Reason | None:
    return Reason.MINOR if facts.person.minor else None


def _place(facts: Facts) -> Reason | None:
    """Numbers of countries where such a message is not offered at all (safety.md section 2)."""
    if channel_of(facts.pair.user) != "whatsapp":
        return None  # Messenger and Instagram tell no country
    countries = set(zones.countries_of_address(facts.pair.to))
    return Reason.UNREACHABLE if countries and countries <= DENIED_COUNTRIES else None


def _human(facts: Facts) -> Reason | None:
    return Reason.HUMAN_OWNS if human_owns(facts.person, facts.bot, facts.now) else None


def _hold(facts: Facts) -> Reason | None:
    until = facts.person.hold_until
    return Reason.SAFETY_HOLD if until is not None and until > facts.now else None


def _eligible(facts: Facts) -> Reason | None:
    pair, now, rules = facts.pair, facts.now, facts.rules
    if now - pair.times[0] > rules.window:
        return Reason.TOO_LATE
    if not is_earned(pair.times, now, rules):
        return Reason.NOT_EARNED
    if pair.used_at is not None and not _earned_again(pair, rules):
        return Reason.ALREADY_USED
    if facts.bot.enabled_at is None or pair.times[0] <= facts.bot.enabled_at:
        return Reason.BEFORE_ENABLED
    if facts.deployment.epoch is not None and pair.times[0] <= facts.deployment.epoch:
        return Reason.OUTAGE
    echo_at = facts.person.echo_at
    if echo_at is not None and echo_at > pair.times[0] + ALREADY_WRITTEN_AFTER:
        return Reason.ALREADY_WRITTEN
    return None


def _ignored(facts: Facts) -> Reason | None:
    """Whoever let two follow-ups of this operator's bots pass in 90 days has answered by that."""
    recent = [at for at in facts.person.ignored if facts.now - at < IGNORED_FOR]
    return Reason.IGNORED_BEFORE if len(recent) >= MOST_IGNORED else None


def _cap(facts: Facts) -> Reason | None:
    last = facts.person.last_follow_up_at
    return Reason.CAPPED if last is not None and facts.now - last < facts.rules.cooldown else None


# In this order; the first refusal is the reason. Stop, consent and age come before anything that weighs a
# conversation, and no text is read before all have passed (safety.md 4.2: B0 to B9). B10 (heavy use) is judged by the
# sender from keys alone, B11 and B12 (window, quiet hours) by the planner, B13 to B15 by `guard.conversation`.
DATA_GATES: tuple[tuple[str, Callable[[Facts], Reason | None]], ...] = (
    ("switch", _switch),
    ("identity", _identity),
    ("opt_out", _opt_out),
    ("consent", _consent),
    ("age", _age),
    ("place", _place),
    ("human", _human),
    ("hold", _hold),
    ("eligible", _eligible),
    ("ignored", _ignored),
    ("cap", _cap),
)


def _refusal(facts: Facts) -> Reason | None:
    """The first data gate that forbids this silence for good, or None."""
    for _, gate in DATA_GATES:
        reason = gate(facts)
        if reason is not None:
            return reason
    return None


def _earned_again(pair: Pair, rules: Rules) -> bool:
    """With `once-per-conversation`: the user wrote back, and all the register's entries are later than the last use."""
    if rules.follow_ups != "once-per-conversation" or pair.used_at is None:
        return False
    return min(pair.times) > pair.used_at


def verdict(pair: Pair, person: Person, bot: Bot | None, deployment: Deployment, now: int, *, rules: Rules) -> Verdict:
    """What the rules say of a pair now. Decided without any text; the guards come after."""
    if bot is None:
        return Drop(Reason.UNKNOWN_BOT)
    refusal = _refusal(Facts(pair, person, bot, deployment, now, rules))
    if refusal is not None:
        return Drop(refusal)
    if is_outage(deployment, now, rules):
        return Wait(max(deployment.catch_up_until or 0, now + rules.lease), Reason.OUTAGE)
    if pair.busy_until is not None and pair.busy_until > now:
        return Wait(pair.busy_until, Reason.OUTAGE)  # the platform has no room for this bot: one refusal tells for all
    planned = plan(pair, person, bot, rules)
    if isinstance(planned, Reason):
        return Drop(planned)
    if now < planned.at:
        _, preferred = silences(bot, rules)
        moved = planned.at != pair.times[0] + preferred
        return Wait(planned.at, Reason.QUIET_HOURS if moved else Reason.TOO_SOON)
    route = route_now(pair, person, bot, now, rules)
    if route is not None:
        return Drop(Reason.SHADOW) if bot.mode in ("shadow", "review") else Send(route)
    later = plan(pair, person, bot, rules, not_before=now)
    if isinstance(later, Reason):
        return Drop(later)
    return Wait(max(later.at, now + 1), Reason.QUIET_HOURS)


def route_now(pair: Pair, person: Person, bot: Bot, now: int, rules: Rules) -> str | None:
    """The first route that is open at this very instant, inside everybody's allowed hours."""
    hours = allowed_hours(bot, rules)
    where = possible_zones(pair, person, bot)
    if not zones.is_allowed(now, zones=where, opens=hours.opens, closes=hours.closes, quiet_days=bot.quiet_days):
        return None
    return next((route.name for route in routes(pair, person, bot, rules) if now <= route.until), None)


# Limits of heavy use (safety.md 4.3): no validated threshold exists, so conservative ones.
HEAVY_MESSAGES = 150
HEAVY_MESSAGES_A_DAY = 60
HEAVY_ACTIVE_SECONDS_A_DAY = 2 * HOUR
HEAVY_GAP = 10 * MINUTE
HEAVY_NIGHTS = 4
HEAVY_DAYS = 12


def is_heavy_use(times: Sequence[int], now: int, offsets: Mapping[int, int]) -> bool:
    """Rule 8: somebody who may lean on the bot is left alone. Computed from the times of messages alone.

    `times` are the user's messages of the last 14 days, any order; `offsets` gives the local UTC offset in
    seconds for each of them (the caller knows the zone). Any one limit is enough.
    """
    local = sorted(at + offsets.get(at, 0) for at in times if now - 14 * DAY <= at <= now)
    if len(local) > HEAVY_MESSAGES:
        return True
    by_day: dict[int, list[int]] = {}
    for at in local:
        by_day.setdefault(at // DAY, []).append(at)
    if any(len(day) > HEAVY_MESSAGES_A_DAY for day in by_day.values()):
        return True
    for day in by_day.values():
        active = sum(b - a for a, b in pairwise(day) if b - a < HEAVY_GAP)
        if active > HEAVY_ACTIVE_SECONDS_A_DAY:
            return True
    nights = {at // DAY for at in local if at % DAY < 5 * HOUR}
    if len(nights) >= HEAVY_NIGHTS:
        return True
    if len(by_day) >= HEAVY_DAYS:
        days = sorted(by_day)
        half = len(days) // 2
        early = sum(len(by_day[day]) for day in days[:half])
        late = sum(len(by_day[day]) for day in days[len(days) - half :])
        return late > early
    return False
