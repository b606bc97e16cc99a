"""The rules of design.md section 3: tables at each boundary, and properties over whatever history."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relance.bot import Bot, Hours, Template
from relance.interaction import DAY, HOUR, MINUTE
from relance.pair import Pair, Person, entry
from relance.parameters import Deployment, Rules
from relance.reason import Reason
from relance.rules import FREE_FORM, TEMPLATE, Drop, Send, Wait, is_earned, is_heavy_use, plan, verdict

RULES = Rules()
PARIS = ZoneInfo("Europe/Paris")
UP = Deployment(heartbeat_at=None)


def at(text: str, zone: ZoneInfo = PARIS) -> int:
    """Epoch seconds of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


def register(t1: int, *, t5: int | None = None) -> tuple[str, ...]:
    """Five messages, the newest at t1, the fifth at t5."""
    fifth = t1 - 4 * HOUR if t5 is None else t5
    times = [t1, t1 - 1, t1 - 2, t1 - 3, fifth]
    return tuple(entry(t, f"m{i}") for i, t in enumerate(times))


BOT = Bot(
    id="1001",
    channel="messenger",
    name="Lumen",
    operator="Cinema Lumen",
    mode="live",
    country="US",
    zone="Europe/Paris",
    languages=("fr",),
    consent="soft",
    soft_basis="people asked for it",
    notice=True,
    enabled_at=0,
)
T1 = at("2026-01-14T15:00:00")
PAIR = Pair("messenger#abc", "1001", register(T1), to="2002", due_at=T1 + 8 * HOUR)
PERSON = Person("messenger#abc")
# 23 h after 15:00 is 14:00 on the next day: allowed, so that is the moment.
MOMENT = T1 + 23 * HOUR


def judge(pair=PAIR, person=PERSON, bot=BOT, deployment=UP, now=MOMENT, rules=RULES):
    """The verdict, with a follow-up that may be sent unless a test changes something."""
    return verdict(pair, person, bot, deployment, now, rules=rules)


# ── 1 and 2: earned, in time ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("age", "earned"), [(14 * DAY - 1, True), (14 * DAY, True), (14 * DAY + 1, False)])
def test_the_fifth_message_may_be_exactly_fourteen_days_old(age, earned):
    """Rule 1: exactly 14 days is inside; one second more is out."""
    assert earned is is_earned((0, -1, -2, -3, -age), 0, RULES)


@pytest.mark.parametrize(("messages", "earned"), [(4, False), (5, True)])
def test_five_messages_are_enough_and_four_are_not(messages, earned):
    """Rule 1: five is enough."""
    assert earned is is_earned(tuple(range(messages, 0, -1)), 10, RULES)


def test_earned_is_judged_at_the_instant_of_sending():
    """Five messages that were within 14 days at the last one can be too old when the moment comes."""
    old = replace(PAIR, register=register(T1, t5=MOMENT - 14 * DAY - 1))

    assert Drop(Reason.NOT_EARNED) == judge(old)


def test_nothing_is_sent_more_than_fourteen_days_after_the_last_message():
    """Rule 2: 14 days after t1 is the end, whatever else holds."""
    assert Drop(Reason.TOO_LATE) == judge(now=T1 + 14 * DAY + 1)


# ── 3: once ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_used_pair_is_used_for_good():
    """Rule 3: one follow-up per pair, also when the user wrote a hundred messages since."""
    assert Drop(Reason.ALREADY_USED) == judge(replace(PAIR, used_at=T1 - 100 * DAY))


@pytest.mark.parametrize(
    ("used_at", "expected"),
    [(T1 - 5 * HOUR, Send(FREE_FORM)), (T1 - 4 * HOUR, Drop(Reason.ALREADY_USED)), (T1, Drop(Reason.ALREADY_USED))],
)
def test_once_per_conversation_needs_five_messages_after_the_last_follow_up(used_at, expected):
    """Rule 3: all five entries must be later than `used_at`; the same second is not later."""
    rules = Rules(follow_ups="once-per-conversation")

    assert expected == judge(replace(PAIR, used_at=used_at), rules=rules)


@pytest.mark.parametrize(
    ("later", "expected"), [(2 * HOUR, Send(FREE_FORM)), (2 * HOUR + 1, Drop(Reason.ALREADY_WRITTEN))]
)
def test_none_where_the_business_already_wrote(later, expected):
    """Rule 3: a message from the bot's side more than 2 h after the user's last one is a follow-up already."""
    bot = replace(BOT, app_ids=("77",))

    assert expected == judge(person=replace(PERSON, echo_at=T1 + later, echoes={"77": T1 + later}), bot=bot)


# ── 4: quiet long enough; the planner ────────────────────────────────────────────────────────────────────────


def test_the_timers_first_ring_plans_the_moment():
    """At t1 + 8 h the verdict is to wait for t1 + 23 h."""
    assert Wait(MOMENT, Reason.TOO_SOON) == judge(now=T1 + 8 * HOUR)


@pytest.mark.parametrize(
    ("last_message", "moment"),
    [
        # written → chosen, local time; 10:00–19:30 allowed, window 24 h less 20 min, lead 15 min
        ("2026-01-14T11:00:00", "2026-01-15T10:00:00"),
        ("2026-01-14T10:45:00", "2026-01-15T10:00:00"),
        ("2026-01-14T10:30:00", "2026-01-14T19:15:00"),
        ("2026-01-14T15:00:00", "2026-01-15T14:00:00"),
        ("2026-01-14T20:15:00", "2026-01-15T19:15:00"),
        ("2026-01-14T20:16:00", "2026-01-15T19:15:00"),
        ("2026-01-14T23:00:00", "2026-01-15T19:15:00"),
        ("2026-01-14T02:00:00", "2026-01-14T19:15:00"),
        ("2026-01-14T08:00:00", "2026-01-14T19:15:00"),
    ],
)
def test_the_planner_takes_the_allowed_instant_nearest_the_preferred_one(last_message, moment):
    """Never in quiet hours, never within the lead of a closing edge."""
    planned = plan(replace(PAIR, register=register(at(last_message))), PERSON, BOT, RULES)

    assert at(moment) == planned.at


def test_every_hour_of_writing_has_a_moment():
    """With 8 h, 10:00–19:30 and a 24 h window nobody falls between (design.md: up to 9 h 10)."""
    midnight = at("2026-01-14T00:00:00")

    unplanned = [
        minute
        for minute in range(0, 24 * 60, 5)
        if isinstance(plan(replace(PAIR, register=register(midnight + minute * 60)), PERSON, BOT, RULES), Reason)
    ]

    assert [] == unplanned


def test_a_moment_that_was_missed_is_still_good_while_the_hour_is():
    """Sweep and queue take minutes: planned for 19:15, sent at 19:29:59; at 19:30 the day is over."""
    pair = replace(PAIR, register=register(at("2026-01-14T22:00:00")))

    assert Send(FREE_FORM) == judge(pair, now=at("2026-01-15T19:29:59"))
    assert Drop(Reason.NO_ALLOWED_MOMENT) == judge(pair, now=at("2026-01-15T19:30:00"))


def test_a_bot_may_be_stricter_than_the_deployment_and_never_laxer():
    """Narrower hours and a longer silence hold; wider and shorter ones do not."""
    strict = replace(BOT, hours=Hours(11 * HOUR, 13 * HOUR), min_silence=12 * HOUR)
    lax = replace(BOT, hours=Hours(0, 24 * HOUR), min_silence=HOUR, preferred_silence=HOUR)

    assert at("2026-01-15T12:45:00") == plan(PAIR, PERSON, strict, RULES).at
    assert at("2026-01-15T10:00:00") == plan(PAIR, PERSON, lax, RULES).at


def test_quiet_days_are_quiet():
    """2026-01-15 is a Thursday."""
    assert Drop(Reason.NO_ALLOWED_MOMENT) == judge(bot=replace(BOT, quiet_days=(4,)))


# ── 5: reachable ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("channel", ["messenger", "instagram"])
def test_beyond_the_window_messenger_and_instagram_are_unreachable(channel):
    """Rule 5: nothing automated exists there."""
    pair = replace(PAIR, user=f"{channel}#abc")
    late = T1 + 24 * HOUR - RULES.margin

    assert Send(FREE_FORM) == judge(pair, now=late)
    assert Drop(Reason.UNREACHABLE) == judge(pair, now=late + 1)


def test_a_reaction_opens_the_window_and_does_not_count():
    """Rule 5, two clocks: silence runs from the message, the window from the reaction."""
    reacted = replace(PAIR, opened_at=T1 + 20 * HOUR)

    assert Send(FREE_FORM) == judge(reacted, now=T1 + 26 * HOUR)
    assert MOMENT == plan(reacted, PERSON, BOT, RULES).at


WHATSAPP = replace(
    BOT,
    channel="whatsapp",
    ai_is_incidental=True,
    audience_zones=("Europe/Paris",),
    template=Template("back", "fr", ttl=12 * HOUR),
)
WA_PAIR = replace(PAIR, user="whatsapp#abc", to="33639980001")
YES = Person("whatsapp#abc", consent_at=T1 - 9 * DAY)


@pytest.mark.parametrize(
    ("person", "template_ttl", "expected"),
    [
        (YES, 12 * HOUR, Send(TEMPLATE)),
        (Person("whatsapp#abc"), 12 * HOUR, Drop(Reason.UNREACHABLE)),
        (YES, 14 * DAY, Drop(Reason.LIFE_TOO_LONG)),
    ],
)
def test_on_day_three_only_a_template_reaches_and_only_who_said_yes(person, template_ttl, expected):
    """Rule 5 and 2: opted in, and the template's time-to-live ends before t1 + 14 d."""
    bot = replace(WHATSAPP, template=replace(WHATSAPP.template, ttl=template_ttl))

    assert expected == judge(WA_PAIR, person, bot, now=T1 + 3 * DAY)


@pytest.mark.parametrize(
    ("changes", "category", "expected"),
    [
        ({}, "MARKETING", Send(TEMPLATE)),
        ({"paused_templates": ("back",)}, "MARKETING", Drop(Reason.UNREACHABLE)),
        ({"to": "12015550123"}, "MARKETING", Drop(Reason.UNREACHABLE)),
        ({"to": "US.1349000000000001"}, "MARKETING", Drop(Reason.UNREACHABLE)),
        ({"to": "12015550123"}, "UTILITY", Send(TEMPLATE)),
        ({"paused": "account_deleted"}, "MARKETING", Drop(Reason.PAUSED)),
    ],
)
def test_no_marketing_template_reaches_a_us_number_and_no_stopped_one_anybody(changes, category, expected):
    """Platform rules are no surprise from an error code: the route is closed before a model is paid."""
    bot = replace(WHATSAPP, template=replace(WHATSAPP.template, category=category))

    person = replace(YES, zone="Europe/Paris")

    assert expected == judge(replace(WA_PAIR, **changes), person, bot, now=T1 + 3 * DAY)


def test_a_template_must_end_its_life_within_fourteen_days():
    """A template accepted later than t1 + 14 d − ttl could be delivered too late."""
    last = at("2026-01-27T15:00:00")  # 13 days after t1; ttl 24 h
    bot = replace(WHATSAPP, template=replace(WHATSAPP.template, ttl=DAY))

    assert Send(TEMPLATE) == judge(WA_PAIR, YES, bot, now=last)
    assert Drop(Reason.LIFE_TOO_LONG) == judge(WA_PAIR, YES, bot, now=last + 1)


# ── 6 to 11 ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"opted_out_at": T1 - 90 * DAY}, Reason.OPTED_OUT),
        ({"minor": True}, Reason.MINOR),
        ({"hold_until": MOMENT + 1}, Reason.SAFETY_HOLD),
        ({"human_until": MOMENT + 1}, Reason.HUMAN_OWNS),
        ({"echo_at": T1, "echoes": {"none": T1}}, Reason.HUMAN_OWNS),
        ({"echo_at": T1, "echoes": {"999": MOMENT - 14 * DAY + 1}}, Reason.HUMAN_OWNS),
        ({"last_follow_up_at": MOMENT - 14 * DAY + 1}, Reason.CAPPED),
    ],
)
def test_what_is_true_of_the_person_forbids(changes, reason):
    """Rules 6 and 7, one second before each mark ends."""
    assert Drop(reason) == judge(person=replace(PERSON, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"hold_until": MOMENT},
        {"human_until": MOMENT},
        {"last_follow_up_at": MOMENT - 14 * DAY},
        {"echo_at": T1, "echoes": {"999": MOMENT - 14 * DAY}},
    ],
)
def test_marks_end_on_time(changes):
    """At the very end of a hold, a take-over or the cooldown the follow-up is allowed."""
    assert Send(FREE_FORM) == judge(person=replace(PERSON, **changes))


def test_a_thread_passed_to_the_bots_own_app_is_not_taken_over():
    """The platform names the new owner: only another one silences the bot."""
    person = replace(PERSON, human_until=MOMENT + 1, owner_app="77")

    assert Drop(Reason.HUMAN_OWNS) == judge(person=person)
    assert Send(FREE_FORM) == judge(person=person, bot=replace(BOT, app_ids=("77",)))


@pytest.mark.parametrize(
    ("bot", "reason"),
    [
        (None, Reason.UNKNOWN_BOT),
        (replace(BOT, mode="off"), Reason.DISABLED),
        (replace(BOT, enabled_at=None), Reason.DISABLED),
        (replace(BOT, paused="operator"), Reason.PAUSED),
        (replace(BOT, notice=False), Reason.NOT_ATTESTED),
        (replace(BOT, mode="shadow"), Reason.SHADOW),
        (replace(BOT, enabled_at=T1), Reason.BEFORE_ENABLED),
        (replace(BOT, consent="opt-in"), Reason.NO_CONSENT),
        (replace(BOT, soft_basis=""), Reason.NO_CONSENT),
        (replace(BOT, country="FR"), Reason.NO_CONSENT),
    ],
)
def test_what_the_bots_file_says_forbids(bot, reason):
    """Rules 9, 10 and 11: off, attested, consented."""
    assert Drop(reason) == judge(bot=bot)


def test_a_whatsapp_bot_must_attest_that_its_ai_is_incidental():
    """Rule 11: WhatsApp bars bots whose main purpose is to be an AI."""
    assert Drop(Reason.NOT_ATTESTED) == judge(WA_PAIR, YES, replace(WHATSAPP, ai_is_incidental=False))


def test_only_silences_that_began_after_enabling_count():
    """Rule 9: one second after `enabled_at` is after."""
    assert Send(FREE_FORM) == judge(bot=replace(BOT, enabled_at=T1 - 1))


# ── outage ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("deployment", "held"),
    [
        (Deployment(heartbeat_at=MOMENT - 15 * MINUTE), False),
        (Deployment(heartbeat_at=MOMENT - 15 * MINUTE - 1), True),
        (Deployment(heartbeat_at=MOMENT, catch_up_until=MOMENT), False),
        (Deployment(heartbeat_at=MOMENT, catch_up_until=MOMENT + 1), True),
        (Deployment(), False),
    ],
)
def test_after_an_outage_nobody_is_written_to_until_it_is_caught_up(deployment, held):
    """A heartbeat older than three schedules, or a catch-up that runs; never mere quiet."""
    said = judge(deployment=deployment)

    assert held is (isinstance(said, Wait) and said.reason is Reason.OUTAGE)


def test_after_a_restore_only_pairs_that_write_again_are_eligible():
    """The marks of the lost hours are gone: a pair older than the epoch could be written to twice."""
    assert Drop(Reason.OUTAGE) == judge(deployment=Deployment(epoch=T1))
    assert Send(FREE_FORM) == judge(deployment=Deployment(epoch=T1 - 1))


# ── 8: not too much ──────────────────────────────────────────────────────────────────────────────────────────


def spread(days: int, each: int, *, hour: int = 12, step: int = 20 * MINUTE) -> list[int]:
    """`each` messages a day for `days` days, from `hour` o'clock UTC."""
    first = T1 - T1 % DAY - (days - 1) * DAY
    return [first + day * DAY + hour * HOUR + i * step for day in range(days) for i in range(each)]


@pytest.mark.parametrize(
    ("times", "heavy"),
    [
        (spread(10, 15), False),
        (spread(10, 15) + [T1 - 5], True),
        (spread(1, 60, hour=0, step=20 * MINUTE), False),
        (spread(1, 61, hour=0, step=20 * MINUTE), True),
        (spread(1, 13, step=10 * MINUTE - 1), False),
        (spread(1, 14, step=10 * MINUTE - 1), True),
        (spread(3, 1, hour=2), False),
        (spread(4, 1, hour=2), True),
        (spread(4, 1, hour=5), False),
        (spread(12, 3), False),
        (spread(12, 3) + [T1 - HOUR], True),
    ],
)
def test_heavy_use_is_a_limit_on_times_alone(times, heavy):
    """Rule 8 (safety.md 4.3): any one limit is enough."""
    assert heavy is is_heavy_use(times, T1 + 12 * HOUR, {})


# ── whatever the history ─────────────────────────────────────────────────────────────────────────────────────

zone_names = st.sampled_from(
    ["Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Auckland"]
)


@st.composite
def histories(draw):
    """A pair, a person, a bot, the present."""
    now = draw(st.integers(at("2025-10-20T00:00:00"), at("2026-11-05T00:00:00")))
    count = draw(st.integers(0, 5))
    ages = sorted(draw(st.lists(st.integers(0, 16 * DAY), min_size=count, max_size=count)))
    optional = st.none() | st.integers(now - 20 * DAY, now + DAY)
    pair = Pair(
        draw(st.sampled_from(["messenger#a", "instagram#a", "whatsapp#a"])),
        "1",
        tuple(entry(now - age, str(i)) for i, age in enumerate(ages)),
        to="33639980001",
        due_at=now,
        opened_at=draw(st.none() | st.integers(now - 3 * DAY, now)),
        used_at=draw(st.none() | st.integers(now - 20 * DAY, now)),
    )
    person = Person(
        pair.user,
        opted_out_at=draw(optional),
        consent_at=draw(optional),
        minor=draw(st.integers(0, 9)) == 0,
        hold_until=draw(optional),
        zone=draw(zone_names | st.just("")),
        last_follow_up_at=draw(st.none() | st.integers(now - 20 * DAY, now)),
    )
    bot = replace(
        BOT,
        channel=pair.user.partition("#")[0],
        ai_is_incidental=True,
        zone=draw(zone_names),
        template=draw(st.none() | st.just(Template("back", "fr", ttl=DAY))),
        enabled_at=draw(st.integers(now - 30 * DAY, now)),
        quiet_days=draw(st.sampled_from([(), (7,), (6, 7)])),
    )
    rules = Rules(follow_ups=draw(st.sampled_from(["once", "once-per-conversation"])))
    return pair, person, bot, now, rules


@settings(max_examples=400, deadline=None)
@given(histories())
def test_whatever_the_history_a_send_keeps_every_rule(history):
    """Never outside the windows, in quiet hours, twice, before silence, after no, or without having been earned."""
    pair, person, bot, now, rules = history

    said = verdict(pair, person, bot, UP, now, rules=rules)

    if isinstance(said, Send):
        times = pair.times
        assert 5 == len([t for t in times if now - t <= 14 * DAY])
        assert 8 * HOUR <= now - times[0] <= 14 * DAY
        if said.route == FREE_FORM:
            assert now <= max(times[0], pair.opened_at or 0) + 24 * HOUR - 20 * MINUTE
        else:
            assert person.consented
            assert now + bot.template.ttl <= times[0] + 14 * DAY
        assert pair.used_at is None or (rules.follow_ups != "once" and pair.used_at < min(times))
        assert not person.opted_out
        assert not person.minor
        assert person.hold_until is None or person.hold_until <= now
        assert person.last_follow_up_at is None or now - person.last_follow_up_at >= 14 * DAY
        assert times[0] > bot.enabled_at
        local = datetime.fromtimestamp(
            now, ZoneInfo(person.zone or ("Europe/Paris" if pair.user[0] == "w" else bot.zone))
        )
        assert "10:00" <= local.strftime("%H:%M") < "19:30"
        assert local.isoweekday() not in bot.quiet_days


@settings(max_examples=300, deadline=None)
@given(histories())
def test_a_wait_always_lies_in_the_future_and_leads_to_an_answer(history):
    """A timer can neither spin nor stall: following the waits ends in a send or a drop."""
    pair, person, bot, now, rules = history

    for _ in range(4):
        said = verdict(pair, person, bot, UP, now, rules=rules)
        if not isinstance(said, Wait):
            break
        assert said.until > now
        now = said.until

    assert isinstance(said, Send | Drop)
