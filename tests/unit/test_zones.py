"""The zones: which clocks a user may live by, and which instants are a decent hour on all of them."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relance.calling_codes import COUNTRIES_BY_CODE
from relance.interaction import DAY, HOUR, MINUTE
from relance.zones import (
    allowed_intervals,
    common_hours,
    countries_of_address,
    countries_of_number,
    is_allowed,
    is_zone,
    possible_zones,
    zones_of_country,
)

OPENS, CLOSES = 10 * HOUR, 19 * HOUR + 30 * MINUTE


def local(zone: str, text: str, fold: int = 0) -> int:
    """Epoch seconds of a wall-clock time."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp())


def on_whatsapp(address: str, *audience: str, stated: str | None = None) -> tuple[str, ...]:
    return possible_zones(
        channel="whatsapp", address=address, stated=stated, bot_zone="Europe/Madrid", audience_zones=audience
    )


# --- whose number is it ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "countries"),
    [
        ("12015550123", ("US", "CA")),
        ("+12015550123", ("US", "CA")),
        ("16715550123", ("GU",)),
        ("17875550123", ("PR",)),
        ("19395550123", ("PR",)),
        ("12425550123", ("BS",)),
        ("77005550123", ("KZ",)),
        ("76005550123", ("KZ",)),
        ("79005550123", ("RU",)),
        ("447700900123", ("GB", "GG", "JE", "IM")),
        ("390655501234", ("IT", "VA")),
        ("4740000000", ("NO", "SJ")),
        ("61491570156", ("AU", "CX", "CC")),
        ("212600000000", ("MA", "EH")),
        ("262639000000", ("RE", "YT", "TF")),
        ("358400000000", ("FI", "AX")),
        ("590690000000", ("GP", "BL", "MF")),
        ("59990000000", ("CW", "BQ")),
        ("33639980001", ("FR",)),
        ("35319000000", ("IE",)),
        ("881600000000", ()),
        ("999", ()),
        ("0033639980001", ()),
        ("1234567890123456", ()),
        ("", ()),
        ("+", ()),
        ("not a number", ()),
        ("٣٣٦٣٩٩٨٠٠٠١", ()),
    ],
)
def test_a_number_names_every_country_that_shares_its_calling_code(number: str, countries: tuple[str, ...]) -> None:
    """The longest prefix wins; a code of no country, and what is no number, tells nothing."""
    assert countries_of_number(number) == countries


@pytest.mark.parametrize(
    ("address", "countries"),
    [
        ("US.13491208655302741918", ("US",)),
        ("US.ENT.13491208655302741918", ("US",)),
        ("FR.4821", ("FR",)),
        ("33639980001", ("FR",)),
        ("us.4821", ()),
        ("USA.4821", ()),
        (".4821", ()),
    ],
)
def test_a_business_scoped_id_names_its_country_by_its_prefix(address: str, countries: tuple[str, ...]) -> None:
    """Business-scoped ids begin with the country and a dot; without the dot it is a number."""
    assert countries_of_address(address) == countries


def test_every_country_of_a_calling_code_has_zones() -> None:
    """A number that tells a country always tells its clocks, so the table and tzdata cannot drift apart."""
    without = {c for countries in COUNTRIES_BY_CODE.values() for c in countries if not zones_of_country(c)}
    assert without == set()


def test_every_zone_of_every_country_is_known() -> None:
    """The zone list and the zones themselves come from one release of tzdata."""
    unknown = {z for cs in COUNTRIES_BY_CODE.values() for c in cs for z in zones_of_country(c) if not is_zone(z)}
    assert unknown == set()


# --- where may the user be ---------------------------------------------------------------------------------------


def test_a_stated_zone_stands_alone() -> None:
    """What the user or the operator said outranks number and audience, on every channel."""
    assert on_whatsapp("33639980001", "Europe/Paris", stated="Indian/Reunion") == ("Indian/Reunion",)


def test_a_stated_zone_that_nobody_knows_is_not_believed() -> None:
    """Doubt never widens the allowed hours: an unknown name counts as not stated."""
    assert on_whatsapp("33639980001", stated="Europe/Atlantis") == ("Europe/Paris",)


def test_on_whatsapp_all_zones_of_the_numbers_country_are_possible() -> None:
    """A Portuguese number may be in the Azores."""
    assert set(on_whatsapp("351911111111")) == {"Europe/Lisbon", "Atlantic/Madeira", "Atlantic/Azores"}


def test_the_audience_narrows_the_zones_of_the_country() -> None:
    """An operator who attests its audience is on the east coast need not wait for Hawaii."""
    assert on_whatsapp("12015550123", "America/New_York", "Europe/Paris") == ("America/New_York",)


def test_the_audience_narrows_by_the_clock_and_not_by_the_name() -> None:
    """Brussels and Paris are one clock; US/Eastern is an older name of New York."""
    assert on_whatsapp("33639980001", "Europe/Brussels") == ("Europe/Brussels",)
    assert on_whatsapp("12015550123", "US/Eastern", "US/Pacific") == ("US/Eastern", "US/Pacific")


def test_an_audience_that_contradicts_the_number_is_believed_as_much_as_the_number() -> None:
    """A French number in an audience in New York: only an hour that is decent in both is allowed."""
    assert on_whatsapp("33639980001", "America/New_York") == ("Europe/Paris", "America/New_York")


def test_an_address_of_no_country_leaves_the_audience_or_else_the_bots_zone() -> None:
    """A satellite number tells nothing."""
    assert on_whatsapp("881600000000", "America/Lima", "America/Lima") == ("America/Lima",)
    assert on_whatsapp("881600000000") == ("Europe/Madrid",)
    assert on_whatsapp("ZZ.4821") == ("Europe/Madrid",)


@pytest.mark.parametrize("channel", ["messenger", "instagram"])
def test_page_scoped_ids_tell_no_country(channel: str) -> None:
    """A page-scoped id that happens to look like a French number is still opaque."""

    def zones(*audience: str) -> tuple[str, ...]:
        return possible_zones(
            channel=channel, address="33639980001", stated=None, bot_zone="Europe/Madrid", audience_zones=audience
        )

    assert zones() == ("Europe/Madrid",)
    assert zones("Asia/Tokyo", "America/Lima") == ("Asia/Tokyo", "America/Lima")


# --- which hours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "allowed"),
    [("09:59:59", False), ("10:00:00", True), ("19:29:59", True), ("19:30:00", False), ("00:00:00", False)],
)
def test_opening_is_inside_and_closing_is_outside(time: str, allowed: bool) -> None:
    """10:00:00 is the first allowed second and 19:30:00 the first forbidden one."""
    at = local("Europe/Paris", f"2026-11-24T{time}")
    assert is_allowed(at, zones=["Europe/Paris"], opens=OPENS, closes=CLOSES) == allowed


def test_an_hour_is_allowed_only_if_it_is_allowed_in_every_zone() -> None:
    """Paris and New York share what is left of the afternoon in Paris."""
    start, end = local("UTC", "2026-11-24T00:00"), local("UTC", "2026-11-25T00:00")
    found = allowed_intervals(start, end, zones=["Europe/Paris", "America/New_York"], opens=OPENS, closes=CLOSES)
    assert found == [(local("America/New_York", "2026-11-24T10:00"), local("Europe/Paris", "2026-11-24T19:30"))]


def test_nothing_is_allowed_where_nothing_is_known() -> None:
    """No zone, an unknown zone among others, or hours that never open: silence."""
    day = {"start": 1_790_000_000, "end": 1_790_000_000 + DAY}
    assert allowed_intervals(**day, zones=[], opens=OPENS, closes=CLOSES) == []
    assert allowed_intervals(**day, zones=["Europe/Paris", ""], opens=OPENS, closes=CLOSES) == []
    assert allowed_intervals(**day, zones=["Europe/Paris"], opens=CLOSES, closes=OPENS) == []


def test_an_empty_or_backward_range_holds_nothing() -> None:
    """The interval is half-open, so a range from an instant to itself is empty."""
    at = local("Europe/Paris", "2026-11-24T12:00")
    assert allowed_intervals(at, at, zones=["Europe/Paris"], opens=OPENS, closes=CLOSES) == []
    assert allowed_intervals(at, at - DAY, zones=["Europe/Paris"], opens=OPENS, closes=CLOSES) == []
    assert allowed_intervals(at, at + 1, zones=["Europe/Paris"], opens=OPENS, closes=CLOSES) == [(at, at + 1)]


def test_an_interval_is_not_cut_at_midnight_utc() -> None:
    """Auckland's day crosses midnight UTC; what touches is one interval."""
    zone = "Pacific/Auckland"
    start, end = local(zone, "2026-11-24T00:00"), local(zone, "2026-11-25T00:00")
    found = allowed_intervals(start, end, zones=[zone], opens=OPENS, closes=CLOSES)
    assert found == [(local(zone, "2026-11-24T10:00"), local(zone, "2026-11-24T19:30"))]


def test_a_quiet_day_is_a_day_on_the_users_own_calendar() -> None:
    """Sunday in Auckland is half of Saturday in UTC."""
    zone = "Pacific/Auckland"
    start, end = local(zone, "2026-11-21T00:00"), local(zone, "2026-11-24T00:00")  # Saturday to Monday
    found = allowed_intervals(start, end, zones=[zone], opens=OPENS, closes=CLOSES, quiet_days=[7])
    assert found == [
        (local(zone, "2026-11-21T10:00"), local(zone, "2026-11-21T19:30")),
        (local(zone, "2026-11-23T10:00"), local(zone, "2026-11-23T19:30")),
    ]


@pytest.mark.parametrize(
    ("zone", "day", "forward"),
    [
        ("Europe/Paris", "2027-03-28", True),
        ("Europe/Paris", "2026-10-25", False),
        ("America/New_York", "2027-03-14", True),
        ("America/New_York", "2026-11-01", False),
        ("Australia/Lord_Howe", "2026-10-04", True),
        ("Australia/Lord_Howe", "2027-04-04", False),
    ],
)
def test_on_the_day_the_clock_changes_the_hours_follow_the_wall_clock(zone: str, day: str, forward: bool) -> None:
    """Ten o'clock is ten o'clock; hours that lie over the change are cut in a gap and doubled in a fold."""
    start, end = local(zone, f"{day}T00:00"), local(zone, f"{day}T23:59")
    by_day = allowed_intervals(start, end, zones=[zone], opens=OPENS, closes=CLOSES)
    assert by_day == [(local(zone, f"{day}T10:00"), local(zone, f"{day}T19:30"))]

    by_night = allowed_intervals(start, end, zones=[zone], opens=HOUR, closes=4 * HOUR)
    change = HOUR // 2 if zone == "Australia/Lord_Howe" else HOUR
    assert sum(b - a for a, b in by_night) == 3 * HOUR + (-change if forward else change)


def test_in_a_fold_the_closing_time_passes_twice() -> None:
    """Closing at 02:30 in Paris on the night the hour repeats: open again for the second half hour."""
    zone = "Europe/Paris"
    start, end = local(zone, "2026-10-25T00:00"), local(zone, "2026-10-25T06:00")
    found = allowed_intervals(start, end, zones=[zone], opens=HOUR, closes=2 * HOUR + 30 * MINUTE)
    repeated = local(zone, "2026-10-25T02:00", fold=1)
    assert found == [
        (local(zone, "2026-10-25T01:00"), local(zone, "2026-10-25T02:30")),
        (repeated, repeated + 30 * MINUTE),
    ]


ZONES = [
    "Europe/Paris",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Africa/Casablanca",
    "America/Santiago",
    "UTC",
]
CHANGES = ["2026-10-25", "2027-03-28", "2026-11-01", "2027-03-14", "2026-10-04", "2027-04-04", "2026-09-27"]


@settings(max_examples=60, deadline=None)
@given(
    start=st.one_of(
        st.integers(1_735_689_600 // MINUTE, 2_000_000_000 // MINUTE).map(lambda minute: minute * MINUTE),
        st.builds(lambda day, hours: local("UTC", day) + hours * HOUR, st.sampled_from(CHANGES), st.integers(-30, 30)),
    ),
    minutes=st.integers(0, 2 * 24 * 60),
    zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=3),
    opens=st.integers(0, 24 * 60 - 1),
    closes=st.integers(1, 24 * 60),
    quiet_days=st.sets(st.integers(1, 7), max_size=2),
)
def test_the_intervals_agree_with_looking_at_every_minute(
    start: int, minutes: int, zones: list[str], opens: int, closes: int, quiet_days: set[int]
) -> None:
    """The clever way and the naive way allow the same minutes, whatever zones, hours and changes meet."""

    def naive(at: int) -> bool:
        clocks = [datetime.fromtimestamp(at, ZoneInfo(zone)) for zone in zones]
        return all(
            opens <= clock.hour * 60 + clock.minute < closes and clock.isoweekday() not in quiet_days
            for clock in clocks
        )

    hours = {"zones": zones, "opens": opens * MINUTE, "closes": closes * MINUTE, "quiet_days": quiet_days}
    end = start + minutes * MINUTE
    found = allowed_intervals(start, end, **hours)
    assert [at for a, b in found for at in range(a, b, MINUTE)] == [at for at in range(start, end, MINUTE) if naive(at)]
    assert all(left[1] < right[0] for left, right in pairwise(found))
    assert is_allowed(start, **hours) == naive(start)


# --- is the audience reachable at all ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zones", "hours"),
    [
        (["Europe/Paris"], 9.5),
        (["Europe/Paris", "Europe/London"], 8.5),
        (["Europe/Paris", "America/New_York"], 3.5),
        (["America/New_York", "America/Los_Angeles"], 6.5),
        (["Pacific/Kiritimati", "Pacific/Pago_Pago"], 8.5),
        (["Europe/Paris", "Asia/Tokyo"], 1.5),
        (["Europe/Paris", "Pacific/Auckland"], 0.0),
        (["Europe/Atlantis"], 0.0),
        ([], 0.0),
    ],
)
def test_an_audience_is_judged_by_its_worst_day(zones: list[str], hours: float) -> None:
    """Paris and New York share 3.5 hours all winter and summer; in the weeks between they share more."""
    assert common_hours(zones, opens=OPENS, closes=CLOSES, year=2027) == hours


def test_the_worst_day_does_not_depend_on_which_zone_is_named_first() -> None:
    """The order of `audience_zones` in a bot file means nothing."""
    there, back = ["America/St_Johns", "Asia/Dubai"], ["Asia/Dubai", "America/St_Johns"]
    assert common_hours(there, opens=OPENS, closes=CLOSES, year=2027) == common_hours(
        back, opens=OPENS, closes=CLOSES, year=2027
    )


def test_fifteen_days_over_every_zone_of_the_code_plus_one_are_quick() -> None:
    """Rules ask often: after the first answer the days are remembered."""
    zones = on_whatsapp("12015550123")
    start = round(datetime(2026, 10, 25, tzinfo=UTC).timestamp())
    first = allowed_intervals(start, start + 15 * DAY, zones=zones, opens=OPENS, closes=CLOSES)
    assert len(first) == 15
    assert allowed_intervals(start, start + 15 * DAY, zones=zones, opens=OPENS, closes=CLOSES) == first
