"""Where a user's clock may stand, and which instants are a decent hour on every clock that may be theirs.

No channel tells a user's time zone. What is known is the country of a WhatsApp number or business-scoped id and
what the operator attests; an hour is allowed only where it is allowed in every zone that is left (design.md rule 6).
Doubt forbids: an unknown zone, or none at all, allows nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from relance.calling_codes import COUNTRIES_BY_CODE, LONGEST_CODE, MAX_DIGITS
from relance.interaction import DAY, HOUR

type Interval = tuple[int, int]

# Countries that `zone.tab` does not list although people there have numbers.
_NOT_IN_ZONE_TAB = {"XK": ("Europe/Belgrade",)}

# Two zones whose clocks agree at each of these instants (weekly, 2025 to 2045) are one clock under two names.
_SAMPLES = range(1_735_689_600, 2_366_841_600, 7 * DAY)


# --- countries ---------------------------------------------------------------------------------------------------


def countries_of_number(number: str) -> tuple[str, ...]:
    """Every country a telephone number may belong to, by its calling code; () if it tells none.

    `number` is international, digits with or without a leading `+`.
    """
    digits = number.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS):
        return ()
    for length in range(min(LONGEST_CODE, len(digits)), 0, -1):
        if countries := COUNTRIES_BY_CODE.get(digits[:length]):
            return countries
    return ()


def countries_of_address(address: str) -> tuple[str, ...]:
    """The countries of a WhatsApp address: the prefix of a business-scoped id (`US.1349…`), else the number's.

    The shape of business-scoped ids is platforms.md section 3.
    """
    prefix, dot, _ = address.partition(".")
    if not dot:
        return countries_of_number(address)
    return (prefix,) if len(prefix) == 2 and prefix.isascii() and prefix.isalpha() and prefix.isupper() else ()


# --- zones -------------------------------------------------------------------------------------------------------


@cache
def _zones_by_country() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = dict(_NOT_IN_ZONE_TAB)
    text = files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            table[country] = (*table.get(country, ()), zone)
    return table


def zones_of_country(country: str) -> tuple[str, ...]:
    """All time zones of a country (ISO 3166, two capitals), as tzdata's `zone.tab` lists them; () if unknown."""
    return _zones_by_country().get(country, ())


@cache
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a path tzdata would hold; a folder such as "Europe"
        return None


def is_zone(name: str) -> bool:
    """True if tzdata knows this time zone."""
    return _zone(name) is not None


def _offset(zone: ZoneInfo, at: int) -> int:
    """Seconds by which the zone's clock is ahead of UTC at an instant."""
    return round((datetime.fromtimestamp(at, zone).utcoffset() or timedelta()).total_seconds())


def offset_at(name: str, at: int) -> int:
    """Seconds by which a named zone's clock is ahead of UTC at an instant; 0 for an unknown zone."""
    zone = _zone(name)
    return _offset(zone, at) if zone else 0


@cache
def _clock(name: str) -> tuple[int, ...]:
    """What tells two clocks apart: their offsets at the sampled instants; () for an unknown zone."""
    zone = _zone(name)
    return tuple(_offset(zone, at) for at in _SAMPLES) if zone else ()


@lru_cache(maxsize=4096)
def _narrowed(countries: tuple[str, ...], audience: tuple[str, ...], bot_zone: str) -> tuple[str, ...]:
    local = tuple(dict.fromkeys(zone for country in countries for zone in zones_of_country(country)))
    if not local:
        return audience or (bot_zone,)
    if not audience:
        return local
    kept = tuple(zone for zone in audience if zone in local or (is_zone(zone) and _clock(zone) in map(_clock, local)))
    return kept or (*local, *audience)


def possible_zones(
    *, channel: str, address: str, stated: str | None, bot_zone: str, audience_zones: Sequence[str]
) -> tuple[str, ...]:
    """Every zone a user may live in, without repeats (design.md rule 6).

    A zone that the user or the operator stated stands alone. On WhatsApp the zones of the address's countries
    count, of which the attested `audience_zones` keep those with the same clock; where the two have no clock in
    common, both are believed. Elsewhere, and for an address of no country: `audience_zones`, or else `bot_zone`.
    """
    if stated and is_zone(stated):
        return (stated,)
    audience = tuple(dict.fromkeys(audience_zones))
    countries = countries_of_address(address) if channel == "whatsapp" else ()
    return _narrowed(countries, audience, bot_zone)


# --- hours -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32_768)
def _steady(name: str, day: int) -> tuple[tuple[int, int, int], ...]:
    """A UTC day (number since 1970) cut where the zone's clock changes: (from, to, offset), all in seconds."""
    zone = _zone(name)
    if zone is None:
        return ()
    start, end = day * DAY, (day + 1) * DAY
    pieces = []
    while start < end:
        offset = _offset(zone, start)
        same, other = start, end
        if _offset(zone, end - 1) == offset:
            pieces.append((start, end, offset))
            break
        while other - same > 1:
            middle = (same + other) // 2
            same, other = (middle, other) if _offset(zone, middle) == offset else (same, middle)
        pieces.append((start, other, offset))
        start = other
    return tuple(pieces)


def _weekday(local: int) -> int:
    """ISO weekday of a local time given as seconds since a local 1970-01-01, which was a Thursday."""
    return (local // DAY + 3) % 7 + 1


def _open(name: str, day: int, opens: int, closes: int, quiet_days: frozenset[int]) -> list[Interval]:
    """The instants of a UTC day at which one zone's clock is inside the hours."""
    found = []
    for start, end, offset in _steady(name, day):
        for midnight in range((start + offset) // DAY * DAY, end + offset, DAY):
            if _weekday(midnight) not in quiet_days:
                found.append((max(start, midnight + opens - offset), min(end, midnight + closes - offset)))
    return [(a, b) for a, b in found if a < b]


def _both(left: Iterable[Interval], right: Sequence[Interval]) -> list[Interval]:
    return [(max(a, c), min(b, d)) for a, b in left for c, d in right if max(a, c) < min(b, d)]


@lru_cache(maxsize=32_768)
def _common(
    zones: tuple[str, ...], day: int, opens: int, closes: int, quiet_days: frozenset[int]
) -> tuple[Interval, ...]:
    """The instants of a UTC day at which every zone's clock is inside the hours, ascending."""
    common = [(day * DAY, (day + 1) * DAY)] if zones else []
    # Zones that behave alike on this day are looked at once: the 52 of the code +1 are some ten clocks.
    for name in {_steady(name, day): name for name in zones}.values():
        common = _both(common, _open(name, day, opens, closes, quiet_days))
    return tuple(sorted(common))


def allowed_intervals(
    start: int, end: int, *, zones: Sequence[str], opens: int, closes: int, quiet_days: Collection[int] = ()
) -> list[Interval]:
    """The parts of [start, end) in which it is an allowed hour in every zone: half-open, ascending, never touching.

    `start` and `end` are epoch seconds; `opens` and `closes` seconds after local midnight, less than a day, the
    first in and the second out; `quiet_days` ISO weekdays on the local calendar. Exact over changes of the clock.
    """
    found: list[Interval] = []
    for day in range(start // DAY, -(-end // DAY)):
        for a, b in _common(tuple(zones), day, opens, closes, frozenset(quiet_days)):
            a, b = max(a, start), min(b, end)
            if a >= b:
                continue
            if found and found[-1][1] == a:
                a = found.pop()[0]
            found.append((a, b))
    return found


def is_allowed(at: int, *, zones: Sequence[str], opens: int, closes: int, quiet_days: Collection[int] = ()) -> bool:
    """True if the instant is an allowed hour in every zone; the same question as `allowed_intervals`, at one second."""
    return bool(allowed_intervals(at, at + 1, zones=zones, opens=opens, closes=closes, quiet_days=quiet_days))


def common_hours(zones: Sequence[str], *, opens: int, closes: int, year: int) -> float:
    """The hours of the year's worst day in which all zones are inside the allowed hours, for the publish-time check.

    A day is a local day of the first zone. Zones that share no hour, or an unknown one, give 0.0.
    """
    first = _zone(zones[0]) if zones else None
    if first is None:
        return 0.0
    start = round(datetime(year, 1, 1, tzinfo=first).timestamp())
    end = round(datetime(year + 1, 1, 1, tzinfo=first).timestamp())
    spent: dict[int, int] = {}
    for a, b in allowed_intervals(start, end, zones=zones, opens=opens, closes=closes):
        local_day = (a + _offset(first, a)) // DAY
        spent[local_day] = spent.get(local_day, 0) + b - a
    days = round((end - start) / DAY)
    return min(spent.values()) / HOUR if len(spent) >= days else 0.0
