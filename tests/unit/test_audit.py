"""The audit's judgement alone: a clean ledger is clean, and one row turns one line red and no other."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.audit import LINES, Settings, audit
from local.template import Template

MINUTE, HOUR, DAY = 60, 3_600, 86_400
# Tuesday 13 January 2026, 09:00 UTC, which is 10:00 in Paris, where the hours have just begun.
USED = int(datetime(2026, 1, 13, 9, tzinfo=UTC).timestamp())
LAST = USED - 23 * HOUR
NOW = USED + DAY
FOREVER = 32_503_680_000
SETTINGS = Settings.of({name: str(value["Default"]) for name, value in Template().source["Parameters"].items()})
AGAIN = Settings.of(
    {name: str(value["Default"]) for name, value in Template().source["Parameters"].items()}
    | {"FollowUps": "once-per-conversation"}
)
KEY = "messenger#" + "a" * 32
OTHER_KEY = "messenger#" + "b" * 32


def entry(at, n=0):
    """A register entry."""
    return f"{at:010d}#{n:012x}"


def five(last=LAST):
    """Five messages, ten minutes apart, newest first."""
    return [last - 600 * n for n in range(5)]


def slots(times):
    """The register of a row."""
    return {f"s{n}": entry(at, n) for n, at in enumerate(times, 1)}


def changed(row, **changes):
    """A row with some attributes changed; None takes one away."""
    return {name: value for name, value in (row | changes).items() if value is not None}


def used(**changes):
    """A pair that was written to once, as every promise wants it; nobody has written since."""
    register = slots(changes.get("used_times") or five())
    row = {
        **{"user": KEY, "bot": "1001", "to": "2002", "route": "free_form", "language": "en"},
        **{"used_at": USED, "used_times": five(), "used_before": 0, "follow_up_id": "relance:1"},
        **{"outcome": "delivered", "outcome_at": USED + 1, "receipts": {"abc"}},
        **{"verdict": "send", "keep_until": FOREVER, "expires_at": FOREVER},
        **register,
        **{"closed_s1": register["s1"], "verdict_s1": register["s1"]},
    }
    return changed(row, **changes)


def waiting(**changes):
    """A pair whose timer runs."""
    row = {"user": OTHER_KEY, "bot": "1001", "to": "3003", "expires_at": NOW + 29 * DAY, **slots(five(NOW - HOUR))}
    return changed(row | {"due_shard": "03", "due_at": NOW + 7 * HOUR}, **changes)


def given_up(**changes):
    """A pair whose silence was dropped just now."""
    decided = {"verdict": "drop", "verdict_at": NOW, "verdict_s1": entry(NOW - HOUR, 1), "reason": "unreachable"}
    return waiting(due_at=None, due_shard=None, closed_s1=entry(NOW - HOUR, 1), **decided | changes)


def marks(**changes):
    """The person's own row."""
    told = {"last_follow_up_at": USED, "last_follow_up_id": "relance:1", "followed_1001": USED}
    return changed({"user": KEY, "bot": "*", "expires_at": USED + 180 * DAY, **told}, **changes)


def bot(id="1001", channel="messenger", settings=None, **changes):
    """A live bot in Paris that has not been changed for a month."""
    said = {
        **{"channel": channel, "consent": "soft", "soft_basis": "they asked", "country": "US", "app_ids": ["77"]},
        **{"zone": "Europe/Paris", "audience_zones": [], "hours": {"opens": 36_000, "closes": 70_200}},
    }
    row = {"id": id, "mode": "live", "enabled_at": USED - 30 * DAY, "updated_at": USED - 30 * DAY, "version": 1}
    return changed(row | {"settings": said | (settings or {})}, **changes)


def deployment(**changes):
    """The deployment's own row: the sweeper is alive."""
    return changed({"id": "*", "heartbeat_at": NOW - 60}, **changes)


def judged(*rows, bots=(), settings=SETTINGS, now=NOW, since=0, **of_deployment):
    """The findings by line."""
    known = [*(bots or [bot()]), deployment(**of_deployment)]
    return {each.line: each for each in audit(rows, known, settings, now, since=since)}


def red(*rows, **more):
    """The lines that are broken."""
    return [line for line, finding in judged(*rows, **more).items() if not finding.ok]


def untold(*rows, **more):
    """The lines of which the ledger could not tell."""
    return [line for line, finding in judged(*rows, **more).items() if finding.untold]


# --- clean --------------------------------------------------------------------------------------------------------


def test_a_clean_ledger_is_clean_and_every_line_is_there():
    """Also an empty one: nothing to check is nothing broken."""
    assert ([], []) == (red(marks(), used(), waiting()), untold(marks(), used(), waiting()))
    assert list(LINES) == list(judged())
    assert [] == red()


def test_each_follow_up_is_counted_on_each_of_its_lines():
    """Else a line could be clean because it looked at nothing."""
    found = judged(marks(), used(), waiting())
    of_follow_ups = set(LINES) - {"stuck", "expiring", "index", "ghost", "overdue"}

    assert {1} == {found[line].checked for line in of_follow_ups}
    assert (1, 1, 2, 3) == tuple(found[line].checked for line in ("expiring", "index", "ghost", "overdue"))
    assert 3 == found["stuck"].checked, "two pairs, and the sweeper"


@pytest.mark.parametrize(
    "row",
    [
        used(route="template"),
        {
            "user": KEY,
            "bot": "1001",
            "used_at": USED,
            "erased_at": USED + 9,
            "keep_until": FOREVER,
            "expires_at": FOREVER,
        },
        {"user": KEY, "bot": "1001", "alias": OTHER_KEY, "used_at": USED, "expires_at": NOW},
        {"user": "account#whatsapp#700", "bot": "*", "paused": "banned"},
    ],
    ids=["template", "erased", "moved", "account"],
)
def test_other_kinds_of_rows_are_clean_too(row):
    """A template with a yes on record, what an erasure leaves, the old key of somebody, what the platform stopped."""
    known = [bot(settings={"template": {"name": "t", "ttl": DAY}})]

    assert [] == red(marks(consent_at=USED - DAY, followed_1001=None), row, bots=known)


# --- each line, by one row ------------------------------------------------------------------------------------------

BROKEN = [
    ("double", [used(receipts={"abc", "def"})]),
    ("double", [used(kept_follow_ups=2)]),
    ("double", [used(used_before=USED - 20 * DAY)]),
    ("double", [used(used_at=None, outcome="delivered"), {"user": KEY, "bot": "*"}]),
    ("window", [used(used_times=five()[:4])]),
    ("window", [used(used_times=[*five()[:4], USED - 14 * DAY - 1])]),
    ("window", [used(used_times=five(USED - DAY - 1))]),
    ("window", [used(used_times=five(USED - 3 * DAY), used_opened_at=USED - DAY - 1)]),
    ("too_soon", [used(used_times=five(USED - 8 * HOUR + 1))]),
    ("quiet_hours", [used(used_at=USED - 1), marks(last_follow_up_at=USED - 1, followed_1001=USED - 1)]),
    ("opt_out", [marks(opted_out_at=USED - HOUR, keep_until=FOREVER, expires_at=FOREVER)]),
    ("opt_out", [marks(opted_out_at=USED - HOUR, consent_at=USED - DAY, keep_until=FOREVER, expires_at=FOREVER)]),
    ("opt_out", [marks(opted_out_at=USED - DAY, consent_at=USED - DAY, keep_until=FOREVER, expires_at=FOREVER)]),
    ("hold", [marks(hold_until=USED + 80 * DAY, keep_until=FOREVER, expires_at=FOREVER)]),
    ("newer", [used(**slots([USED - 10 * MINUTE, *five()[:4]]), closed_s1=entry(USED - 10 * MINUTE, 1))]),
    ("taken", [marks(echo_none=USED - 13 * DAY, echo_at=USED - 13 * DAY)]),
    ("taken", [marks(human_at=USED - HOUR, human_until=USED + DAY, owner_app="88")]),
    ("taken", [marks(echo_77=USED - HOUR, echo_at=USED - HOUR)]),
    ("unrecorded", [used(outcome="reserved", outcome_at=NOW - 31 * MINUTE)]),
    ("half", [marks(followed_1001=USED - 1)]),
    ("half", [marks(followed_1001=USED + 1, last_follow_up_at=USED + 1)]),
    ("half", [marks(last_follow_up_at=None, followed_1001=None)]),
    ("half", [used(used_at=None, outcome="released")]),
    ("expiring", [used(expires_at=NOW + 30 * DAY)]),
    ("expiring", [used(keep_until=None)]),
    ("expiring", [marks(minor=True)]),
    ("stuck", [waiting(due_at=NOW - 31 * MINUTE)]),
    ("stuck", [waiting(leased_until=NOW - 31 * MINUTE)]),
    ("stuck", [waiting(due_at=NOW + 16 * DAY)]),
    ("stuck", [given_up(leased_until=NOW - 31 * MINUTE)]),
    ("stuck", [waiting(due_at=None, due_shard=None)]),
    ("index", [waiting(due_shard=None)]),
    ("index", [waiting(due_shard="16")]),
    ("index", [waiting(alias=KEY)]),
    ("ghost", [waiting(**dict.fromkeys(("s1", "s2", "s3", "s4", "s5")))]),
    ("ghost", [waiting(to=None)]),
    ("ghost", [waiting(user="+1 201 555 0123")]),
    ("ghost", [used(follow_up_id=None)]),
    ("overdue", [waiting(expires_at=NOW - 8 * DAY)]),
]


def with_the_others(rows):
    """The planted rows in place of the clean ones with the same key."""
    clean = {(row["user"], row["bot"]): row for row in (marks(), used(), waiting())}
    return list((clean | {(row["user"], row["bot"]): row for row in rows}).values())


@pytest.mark.parametrize(("line", "rows"), BROKEN, ids=[f"{line}-{n}" for n, (line, _) in enumerate(BROKEN)])
def test_one_wrong_row_turns_its_line_red_and_no_other(line, rows):
    """In any order of the rows: a scan has none."""
    rows = with_the_others(rows)

    assert [line] == red(*rows) == red(*reversed(rows))


@pytest.mark.parametrize(
    ("line", "settings", "changes"),
    [
        ("consent", {"consent": "opt-in"}, {}),
        ("consent", {"country": "FR"}, {}),
        ("too_soon", {"min_silence": 24 * HOUR}, {}),
        ("quiet_hours", {"hours": {"opens": 39_600, "closes": 70_200}}, {}),
        ("quiet_hours", {"quiet_days": [2]}, {}),
        ("quiet_hours", {"audience_zones": ["Europe/Paris", "America/New_York"]}, {}),
        ("off", {}, {"mode": "shadow"}),
        ("off", {}, {"enabled_at": LAST}),
    ],
)
def test_what_the_bots_file_forbids_is_held_against_what_came_after_it(line, settings, changes):
    """And not against what came before: then it may have said something else."""
    before, after = bot(settings=settings, **changes), bot(settings=settings, updated_at=USED + 1, **changes)

    assert [line] == red(marks(), used(), bots=[before])
    assert "enabled_at" in changes or [] == red(marks(), used(), bots=[after])


def test_a_silence_from_before_a_restore_is_off():
    """Only pairs that wrote after it are considered."""
    assert ["off"] == red(marks(), used(), epoch=LAST)
    assert [] == red(marks(), used(), epoch=LAST - 1)


def test_a_template_needs_a_yes_and_must_end_in_time():
    """Its declared time to live counts from the sending."""
    lives = [bot(settings={"template": {"name": "t", "ttl": 13 * DAY}})]
    row = used(route="template")

    assert ["consent"] == red(marks(), row, bots=[bot()])
    assert [] == red(marks(consent_at=USED - DAY), row, bots=lives)
    late = used(route="template", used_times=five(USED - DAY - 1))
    assert ["window"] == red(marks(consent_at=USED - 2 * DAY), late, bots=lives)


@pytest.mark.parametrize("gap", [HOUR, 14 * DAY - 1, 14 * DAY])
def test_two_bots_and_one_person_within_the_cooldown_are_crowded(gap):
    """Exactly the cooldown later is allowed."""
    at = USED - gap
    other = used(bot="1002", used_at=at, used_times=five(at - 23 * HOUR))
    known = [bot(), bot("1002", settings={"hours": {"opens": 0, "closes": DAY}}, updated_at=0, enabled_at=0)]
    day = Settings(**{name: getattr(SETTINGS, name) for name in Settings.__slots__} | {"hours": (0, DAY)})

    found = red(marks(followed_1002=at), used(), other, bots=known, settings=day)
    assert (["crowded"] if gap < 14 * DAY else []) == [line for line in found if line != "quiet_hours"]


def test_a_second_use_is_earned_anew_or_a_double():
    """With `once-per-conversation` all five messages must be later than the first; with `once` there is none."""
    first = USED - 20 * DAY
    rows = marks(), used(used_before=first)

    assert [] == red(*rows, settings=AGAIN)
    assert ["double"] == red(*rows, settings=SETTINGS)
    stale = used(used_before=LAST - 1800, used_times=five())
    assert {"double", "crowded"} == set(red(marks(), stale, settings=AGAIN))


def test_a_dead_sweeper_is_a_stuck_timer():
    """Whoever never rings is nobody's fault but the schedule's."""
    assert ["stuck"] == red(marks(), used(), heartbeat_at=NOW - 16 * MINUTE)
    assert ["stuck"] == red(waiting(), heartbeat_at=None)
    assert [] == red(heartbeat_at=None)


def test_a_held_deployment_has_no_stuck_timers():
    """During a catch-up nobody is judged; after it the timers get their time."""
    late = waiting(due_at=NOW - DAY)

    assert ["stuck"] == red(late)
    assert ([], ["stuck"]) == (red(late, catch_up_until=NOW + 60), untold(late, catch_up_until=NOW + 60))
    assert [] == red(late, catch_up_until=NOW - 20 * MINUTE)
    assert ["stuck"] == red(late, catch_up_until=NOW - 31 * MINUTE)


# --- what it cannot tell, and what it must not hold against anybody --------------------------------------------------


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("opt_out", [marks(opted_out_at=USED - 10 * MINUTE, keep_until=FOREVER, expires_at=FOREVER)]),
        ("opt_out", [marks(opted_out_at=USED - DAY, consent_at=USED + 9, keep_until=FOREVER, expires_at=FOREVER)]),
        ("hold", [marks(minor=True, keep_until=FOREVER, expires_at=FOREVER)]),
        ("newer", [used(**slots([USED - 9 * MINUTE, *five()[:4]]), closed_s1=entry(USED - 9 * MINUTE, 1))]),
        ("newer", [used(**slots(five(USED + 9_000)), closed_s1=entry(USED + 9_000, 1))]),
        ("taken", [marks(echo_none=USED + 60, echo_at=USED + 60)]),
        ("quiet_hours", [marks(zone="America/New_York")]),
    ],
)
def test_what_the_ledger_cannot_tell_is_counted_and_never_guessed(line, rows):
    """What was on its way, what a later mark has overwritten, what has no time."""
    rows = with_the_others(rows)

    assert ([], [line]) == (red(*rows), untold(*rows))


def test_a_row_of_an_older_release_is_judged_as_far_as_it_goes():
    """Without a copy of what it was judged on, the register tells it while nobody has written since."""
    old = {"used_times": None, "used_before": None, "receipts": None}
    since = slots(five(USED + HOUR)) | {"closed_s1": entry(USED + HOUR, 1)}

    assert ["double"] == untold(marks(), used(**old))
    assert ["window"] == red(marks(), used(**old | slots(five()[:4]), s5=None))
    assert ["double", "window", "too_soon", "newer", "off"] == untold(marks(), used(**old | since))


@pytest.mark.parametrize(
    "rows",
    [
        [marks(opted_out_at=USED, keep_until=FOREVER, expires_at=FOREVER)],
        [marks(opted_out_at=USED - DAY, consent_at=USED - HOUR, keep_until=FOREVER, expires_at=FOREVER)],
        [marks(hold_until=USED, keep_until=FOREVER, expires_at=FOREVER)],
        [marks(hold_until=USED + 90 * DAY, keep_until=FOREVER, expires_at=FOREVER)],
        [marks(echo_77=USED - 22 * HOUR, echo_at=USED - 22 * HOUR)],
        [marks(echo_none=USED - 14 * DAY, echo_at=USED - 14 * DAY)],
        [marks(human_at=USED - HOUR, human_until=USED - HOUR)],
        [marks(human_at=USED - HOUR, human_until=USED + DAY, owner_app="77")],
        [used(outcome="reserved", outcome_at=NOW - 30 * MINUTE)],
        [used(used_times=five(USED - 3 * DAY), used_opened_at=USED - DAY)],
        [used(used_times=[LAST] * 4 + [USED - 14 * DAY])],
        [used(used_times=five(USED - 8 * HOUR))],
        [waiting(due_at=NOW - 30 * MINUTE)],
        [waiting(leased_until=NOW - 30 * MINUTE)],
        [given_up(leased_until=NOW - 30 * MINUTE)],
        [given_up()],
        [waiting(due_at=None, due_shard=None, verdict_s1=entry(NOW - HOUR, 1))],
        [waiting(due_at=None, due_shard=None, **slots([NOW - 30 * MINUTE, *five(NOW - HOUR)[:4]]))],
        [waiting(expires_at=NOW - 7 * DAY)],
    ],
)
def test_the_last_allowed_value_is_allowed(rows):
    """Each boundary from inside."""
    assert [] == red(*with_the_others(rows))


def test_a_scan_is_no_snapshot_and_what_is_fresh_is_not_compared():
    """The person's row was read, then somebody reserved, then the pair was read."""
    rows = marks(last_follow_up_at=None, followed_1001=None), used()

    assert ["half"] == red(*rows, now=USED + 5 * MINUTE)
    assert [] == red(*rows, now=USED + 5 * MINUTE - 1)
    gone = used(used_at=None, outcome="released")
    assert ["half"] == red(marks(), gone, now=USED + 5 * MINUTE)
    assert [] == red(marks(), gone, now=USED + 5 * MINUTE - 1)


def test_since_passes_over_what_was_dealt_with_and_keeps_its_cooldown():
    """An older follow-up is not judged, and still crowds a younger one."""
    doubled = used(kept_follow_ups=2)
    at = USED - DAY
    other = used(bot="1002", used_at=at, used_times=five(at - 23 * HOUR))
    rows = marks(followed_1002=at), used(), other

    assert ["double"] == red(marks(), doubled, since=USED)
    assert [] == red(marks(), doubled, since=USED + 1)
    assert ["crowded"] == red(*rows, bots=[bot(), bot("1002")], since=USED)
    assert 0 == judged(*rows, bots=[bot(), bot("1002")], since=USED + 1)["crowded"].checked


def test_a_stop_in_the_very_second_or_later_is_no_offence_at_all():
    """It is not even a doubt: the person said stop because they were written to."""
    for at in (USED, USED + 1):
        rows = marks(opted_out_at=at, keep_until=FOREVER, expires_at=FOREVER), used()
        assert ([], []) == (red(*rows), untold(*rows))


def test_who_was_forgotten_is_not_accused_of_what_was_erased():
    """An erasure takes the yes and the mark of each bot; the follow-up and its cooldown stay."""
    gone = {"erased_at": USED + HOUR, "opted_out_at": USED + HOUR, "keep_until": FOREVER, "expires_at": FOREVER}
    mark = {"user": KEY, "bot": "1001", "used_at": USED, "keep_until": FOREVER, "expires_at": FOREVER}
    rows = marks(followed_1001=None, **gone), mark | {"erased_at": USED + HOUR}
    strict = [bot(settings={"consent": "opt-in"})]

    assert [] == red(*rows, bots=strict)
    assert {"consent", "half", "double", "window"} < set(untold(*rows, bots=strict))


def test_marks_under_another_key_of_the_person_hold():
    """A number and a business-scoped id: the stop stands under the number."""
    stop = {"user": OTHER_KEY, "bot": "*", "keys": {KEY}, "opted_out_at": USED - HOUR}

    assert ["opt_out"] == red(marks(), used(), stop | {"keep_until": FOREVER, "expires_at": FOREVER})


def test_offenders_are_named_by_key_and_bot_and_told_in_one_sentence():
    """Nothing of the address or the conversation is among it."""
    row = used(to="kanarienvogel", receipts={"a", "b"}, used_times=five(USED - DAY - 1))
    offenders = [each for finding in judged(marks(), row).values() for each in finding.offenders]

    assert {(KEY, "1001")} == {(each.user, each.bot) for each in offenders}
    assert "kanarienvogel" not in json.dumps([each.detail for each in offenders])
    assert "free form, 1 d after the window opened" == judged(marks(), row)["window"].offenders[0].detail


# --- arithmetic of its own, tried against the plain statement of the rule ---------------------------------------------


@given(
    ages=st.lists(st.integers(0, 16 * DAY), min_size=1, max_size=5).map(sorted),
    opened=st.none() | st.integers(0, 3 * DAY),
)
def test_the_window_is_the_rule_whatever_the_times(ages, opened):
    """Five within fourteen days, and twenty-four hours from whatever opened the channel last."""
    row = used(
        used_times=[USED - age for age in ages],
        used_opened_at=None if opened is None or opened >= ages[0] else USED - opened,
    )
    reach = ages[0] if opened is None else min(ages[0], opened)
    allowed = len(ages) == 5 and ages[4] <= 14 * DAY and reach <= DAY

    assert ([] if allowed else ["window"]) == [line for line in red(marks(), row) if line == "window"]


@given(minute=st.integers(0, 24 * 60 - 1), zone=st.sampled_from(["Europe/Paris", "America/New_York", "Asia/Kolkata"]))
def test_quiet_hours_are_those_of_the_zone_at_every_minute_of_a_day(minute, zone):
    """Offsets of January, by hand."""
    at = USED + minute * MINUTE
    ahead = {"Europe/Paris": 60, "America/New_York": -300, "Asia/Kolkata": 330}[zone]
    local = (9 * 60 + minute + ahead) % (24 * 60)
    row = used(used_at=at, used_times=five(at - 23 * HOUR))
    found = red(marks(last_follow_up_at=at, followed_1001=at), row, bots=[bot(settings={"zone": zone})], now=at + DAY)

    assert (10 * 60 <= local < 19 * 60 + 30) == ("quiet_hours" not in found)


def test_settings_that_are_missing_or_no_numbers_are_refused():
    """An audit with guessed rules would be worth nothing."""
    known = {name: str(value["Default"]) for name, value in Template().source["Parameters"].items()}
    with pytest.raises(KeyError, match="WindowDays"):
        Settings.of({name: value for name, value in known.items() if name != "WindowDays"})
    with pytest.raises(ValueError, match="many"):
        Settings.of(known | {"WindowDays": "many"})
