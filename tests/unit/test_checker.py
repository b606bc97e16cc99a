"""The checker is the judge, so it is tried first: a good fortnight passes, and each broken promise is seen."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.checker import PROMISES, check, says_stop

HOUR, DAY = 3_600, 86_400
# Monday 12 January 2026, 10:00 UTC, which is 11:00 in Paris.
MONDAY = int(datetime(2026, 1, 12, 10, tzinfo=UTC).timestamp())
TEXT = "You were choosing between two films.\n\nSent by an AI. Reply STOP to opt out."
RULES = {"MinInteractions": 5, "WindowDays": 14, "FollowUps": "once", "UserCooldownDays": 14, "MinSilenceHours": 8}


def line(at, event, **values):
    keys = dict.fromkeys(("at", "event", "channel", "bot", "user", "id", "kind", "text", "zone", "reason"))
    return keys | {"at": at, "event": event} | values


def settings(at=MONDAY - DAY, *, rules=RULES, **bot):
    """The first line: one bot that may write without an opt-in, unless the test says otherwise."""
    about = {
        "bot": "cinema",
        "channel": "messenger",
        "hours": "10:00-19:30",
        "min_silence": 8 * HOUR,
        "mode": "live",
        "enabled_at": at - DAY,
        "consent": "soft",
    }
    other = about | {"bot": "school"}
    return line(at, "settings", rules=rules, bots=[about | bot, other | bot])


def wrote(at, number, *, user="Ana", bot="cinema", channel="messenger", kind="text", text="and then?"):
    return line(
        at, "inbound", channel=channel, bot=bot, user=user, id=f"m{number}", kind=kind, text=text, zone="Europe/Paris"
    )


def five(until=MONDAY, **values):
    """Five messages, ten minutes apart, the last at `until`."""
    return [wrote(until - 600 * back, 5 - back, **values) for back in range(4, -1, -1)]


def sent(at=MONDAY + 23 * HOUR + 1800, *, user="Ana", bot="cinema", channel="messenger", kind="free_form", **values):
    known = {"id": f"g{at}", "text": TEXT, "zone": "Europe/Paris"} | values
    return line(at, "accepted", channel=channel, bot=bot, user=user, kind=kind, **known)


def withheld(at, reason, *, user="Ana", bot="cinema", channel="messenger"):
    return line(at, "withheld", channel=channel, bot=bot, user=user, zone="Europe/Paris", reason=reason)


def broken(lines):
    """The names of the promises that the checker says are broken."""
    return [finding.promise for finding in check(lines) if not finding.ok]


def test_a_good_fortnight_keeps_every_promise():
    """Five messages, a silence of 23.5 hours, one message at 10:30 local: nothing to complain about."""
    assert broken([settings(), *five(), sent()]) == []


def test_every_promise_has_a_finding_even_with_nothing_to_check():
    assert [finding.promise for finding in check([settings()])] == list(PROMISES)


def test_no_line_at_all_is_a_broken_promise():
    """A demo that printed nothing must not pass."""
    assert broken([]) == ["readable"]


def test_a_second_message_into_the_same_silence_is_seen():
    again = sent(MONDAY + 23 * HOUR + 3600)
    assert "never two" in broken([settings(), *five(), sent(), again])


def test_a_second_follow_up_after_a_new_conversation_is_seen_with_once():
    later = MONDAY + 3 * DAY
    more = [wrote(later - 600 * back, 20 - back) for back in range(4, -1, -1)]
    lines = [settings(), *five(), sent(), *more, sent(later + 23 * HOUR + 1800)]
    assert {"never two", "not crowded"} <= set(broken(lines))


@pytest.mark.parametrize(("new_messages", "kept"), [(5, True), (4, False)])
def test_once_per_conversation_asks_for_a_whole_new_register(new_messages, kept):
    later = MONDAY + 15 * DAY
    rules = RULES | {"FollowUps": "once-per-conversation", "WindowDays": 30}
    more = [wrote(later - 600 * back, 20 - back) for back in range(new_messages - 1, -1, -1)]
    lines = [settings(rules=rules), *five(), sent(), *more, sent(later + 23 * HOUR + 1800)]
    assert ("never two" not in broken(lines)) is kept


def test_four_messages_have_not_earned_one():
    assert "earned" in broken([settings(), *five()[1:], sent()])


def test_one_message_delivered_twice_is_one_message():
    """Four distinct messages and a copy of the last are four."""
    assert "earned" in broken([settings(), *five()[1:], five()[-1], sent()])


@pytest.mark.parametrize("kind", ["reaction", "read", "delivered", "echo_bot", "get_started", "standby", "edit"])
def test_what_is_not_a_message_does_not_earn_one(kind):
    lines = [settings(), *five()]
    lines[1] = lines[1] | {"kind": kind}
    assert "earned" in broken([*lines, sent()])


@pytest.mark.parametrize(("late", "kept"), [(0, True), (1, False)])
def test_the_fifth_message_may_be_exactly_fourteen_days_old_at_sending(late, kept):
    messages = five()
    messages[0] = messages[0] | {"at": sent()["at"] - 14 * DAY - late}
    messages[0]["at"] = min(messages[0]["at"], messages[1]["at"])
    lines = [settings(MONDAY - 20 * DAY), *messages, sent()]
    assert ("earned" not in broken(lines)) is kept


@pytest.mark.parametrize(("silence", "kept"), [(8 * HOUR, True), (8 * HOUR - 1, False)])
def test_eight_hours_of_silence_are_the_least(silence, kept):
    assert ("quiet long enough" not in broken([settings(), *five(), sent(MONDAY + silence)])) is kept


def test_a_bot_may_be_stricter_about_silence_and_never_laxer():
    strict = [settings(min_silence=24 * HOUR), *five(), sent()]
    lax = [settings(min_silence=HOUR), *five(), sent(MONDAY + 2 * HOUR)]
    assert ("quiet long enough" in broken(strict), "quiet long enough" in broken(lax)) == (True, True)


def test_a_message_from_the_user_after_the_plan_is_a_new_silence():
    back = wrote(MONDAY + 23 * HOUR, 6)
    assert "quiet long enough" in broken([settings(), *five(), back, sent()])


@pytest.mark.parametrize(("silence", "kept"), [(DAY - 1, True), (DAY, False)])
def test_free_form_ends_after_twenty_four_hours(silence, kept):
    lines = [settings(hours="00:00-24:00"), *five(), sent(MONDAY + silence)]
    assert ("inside the window" not in broken(lines)) is kept


@pytest.mark.parametrize(("channel", "kept"), [("messenger", True), ("instagram", True), ("whatsapp", False)])
def test_a_reaction_opens_the_window_where_the_platform_says_so(channel, kept):
    reaction = wrote(MONDAY + 5 * HOUR, 6, kind="reaction", channel=channel)
    lines = [settings(), *five(channel=channel), reaction, sent(MONDAY + 26 * HOUR, channel=channel)]
    assert ("inside the window" not in broken(lines)) is kept


def test_a_template_needs_whatsapp_a_yes_and_an_end_in_time():
    yes = wrote(MONDAY - HOUR, 0, channel="whatsapp", kind="opt_in", text="Yes")
    day_three = {"at": MONDAY + 72 * HOUR + 3600, "kind": "template"}
    with_yes = [settings(template_ttl=5 * DAY), yes, *five(channel="whatsapp"), sent(channel="whatsapp", **day_three)]
    without = [settings(template_ttl=5 * DAY), *five(channel="whatsapp"), sent(channel="whatsapp", **day_three)]
    elsewhere = [settings(), *five(), sent(**day_three)]
    too_long = [settings(template_ttl=12 * DAY), yes, *five(channel="whatsapp"), sent(channel="whatsapp", **day_three)]
    assert broken(with_yes) == []
    assert broken(without) == ["consented"]
    assert "inside the window" in broken(elsewhere)
    assert broken(too_long) == ["inside the window"]


@pytest.mark.parametrize(
    ("zone", "kept"),
    [("Europe/Paris", True), ("Europe/London", False), ("America/New_York", False), (None, False)],
)
def test_the_clock_is_the_one_where_the_person_lives(zone, kept):
    """10:30 in Paris is 9:30 in London: the truth decides, not what the code could know."""
    assert ("never in quiet hours" not in broken([settings(), *five(), sent(zone=zone)])) is kept


@pytest.mark.parametrize(("at", "kept"), [("10:00", True), ("09:59", False), ("19:29", True), ("19:30", False)])
def test_the_hours_begin_inclusive_and_end_exclusive(at, kept):
    hour, minute = map(int, at.split(":"))
    tuesday = MONDAY + DAY - 11 * HOUR + hour * HOUR + minute * 60
    messages = five(until=tuesday - 20 * HOUR)
    assert ("never in quiet hours" not in broken([settings(), *messages, sent(tuesday)])) is kept


def test_a_quiet_day_is_quiet_all_day():
    assert "never in quiet hours" in broken([settings(quiet_days=[2]), *five(), sent()])


@pytest.mark.parametrize(
    "no",
    [
        wrote(MONDAY + HOUR, 6, kind="opt_out", text=None),
        wrote(MONDAY + HOUR, 6, text="STOP"),
        wrote(MONDAY + HOUR, 6, text="Schreib mir nicht mehr, bitte."),
        line(MONDAY + HOUR, "operator", kind="opt_out", user="Ana"),
        line(MONDAY + HOUR, "operator", kind="erase", user="Ana"),
    ],
    ids=["tap", "word", "phrase", "operator", "erased"],
)
def test_nothing_after_a_no_in_any_form(no):
    assert "never after no" in broken([settings(), *five(), no, sent()])


def test_writing_again_is_no_fresh_yes_but_an_opt_in_is():
    stop = wrote(MONDAY - DAY, 0, text="STOP")
    yes = wrote(MONDAY - HOUR, 9, kind="opt_in", text="Yes")
    assert "never after no" in broken([settings(), stop, *five(), sent()])
    assert "never after no" not in broken([settings(), stop, yes, *five(), sent()])


def test_a_stop_at_one_whatsapp_bot_holds_at_the_other():
    stop = wrote(MONDAY - DAY, 0, bot="school", channel="whatsapp", text="STOP")
    lines = [settings(), stop, *five(channel="whatsapp"), sent(channel="whatsapp")]
    assert "never after no" in broken(lines)


@pytest.mark.parametrize("kind", ["echo_human", "standby", "handover"])
def test_nothing_while_a_human_has_the_conversation(kind):
    taken = wrote(MONDAY + 60, 6, kind=kind, text=None)
    assert broken([settings(), *five(), taken, sent()]) == ["never while a human has it"]


def test_a_bot_that_speaks_again_has_the_conversation_back():
    taken = wrote(MONDAY - HOUR, 0, kind="echo_human", text="Hello, this is Mia.")
    bot = wrote(MONDAY + 5, 6, kind="echo_bot", text="Here is the list.")
    assert broken([settings(), taken, *five(), bot, sent()]) == []


@pytest.mark.parametrize(("after", "kept"), [(2 * HOUR, True), (2 * HOUR + 1, False)])
def test_nothing_where_the_business_wrote_long_after_the_user(after, kept):
    news = wrote(MONDAY + after, 6, kind="echo_bot", text="New this week.")
    assert ("never where somebody wrote" not in broken([settings(), *five(), news, sent()])) is kept


def test_nothing_from_a_paused_bot_until_it_is_resumed():
    pause = line(MONDAY + HOUR, "operator", kind="pause", bot="cinema")
    resume = line(MONDAY + 2 * HOUR, "operator", kind="resume", bot="cinema")
    assert broken([settings(), *five(), pause, sent()]) == ["off means off"]
    assert broken([settings(), *five(), pause, resume, sent()]) == []


@pytest.mark.parametrize("bot", [{"mode": "off"}, {"mode": "shadow"}, {"enabled_at": None}, {"enabled_at": MONDAY}])
def test_nothing_from_a_bot_that_was_not_on_when_the_silence_began(bot):
    assert broken([settings(**bot), *five(), sent()]) == ["off means off"]


def test_one_person_with_two_whatsapp_bots_gets_one():
    first = [*five(channel="whatsapp"), *five(channel="whatsapp", bot="school")]
    lines = sorted(first, key=lambda each: each["at"])
    both = [sent(channel="whatsapp"), sent(channel="whatsapp", bot="school")]
    assert broken([settings(), *lines, *both]) == ["not crowded"]


def test_page_scoped_people_cannot_be_joined():
    lines = sorted([*five(), *five(bot="school")], key=lambda each: each["at"])
    assert broken([settings(), *lines, sent(), sent(bot="school")]) == []


def test_a_bot_that_needs_a_yes_waits_for_one():
    yes = wrote(MONDAY - HOUR, 9, kind="opt_in", text="Yes")
    assert broken([settings(consent="opt-in"), *five(), sent()]) == ["consented"]
    assert broken([settings(consent="opt-in"), yes, *five(), sent()]) == []


@pytest.mark.parametrize(
    ("text", "promise"),
    [
        ("Two films are left.\n\nReply STOP to opt out.", "says it is an AI and how to stop"),
        ("Two films are left.\n\nSent by an AI.", "says it is an AI and how to stop"),
        ("See www.example.test\n\n" + TEXT, "no link"),
        ("See lumen.example/now\n\n" + TEXT, "no link"),
        ("é" * 500 + TEXT, "fits the channel"),
    ],
)
def test_the_text_is_looked_at_too(text, promise):
    lines = [settings(), *five(channel="instagram"), sent(channel="instagram", text=text)]
    assert broken(lines) == [promise]


def test_a_file_name_or_a_sentence_without_a_space_is_no_link():
    lines = [settings(), *five(), sent(text="You stopped at main.py.So far so good. " + TEXT)]
    assert broken(lines) == []


def test_somebody_who_earned_it_and_got_neither_is_lost():
    """The promise a system that sends nothing would break."""
    assert broken([settings(), *five()]) == ["nobody is lost", "one answer per silence"]


def test_a_long_silence_within_the_fortnight_needs_its_own_answer():
    back = wrote(MONDAY + 40 * HOUR, 6)
    end = withheld(MONDAY + 60 * HOUR, "no_open_thread")
    returned = withheld(MONDAY + 40 * HOUR, "user_returned")
    assert broken([settings(), *five(), back, end]) == ["one answer per silence"]
    assert broken([settings(), *five(), back, returned, end]) == []


def test_one_silence_has_one_answer_not_two():
    twice = [withheld(MONDAY + 9 * HOUR, "minor"), withheld(MONDAY + 10 * HOUR, "minor")]
    assert broken([settings(), *five(), *twice]) == ["one answer per silence"]


def test_everybody_else_is_named_once_as_not_earned():
    few = five()[2:]
    end = withheld(MONDAY + 15 * DAY, "not_earned")
    assert broken([settings(), *few, end]) == []
    assert broken([settings(), *few]) == ["not earned, not written to"]
    assert broken([settings(), *few, end, end]) == ["not earned, not written to"]


@pytest.mark.parametrize(
    "reason",
    ["opted_out", "erased", "already_used", "capped", "human_owns", "already_written", "paused", "before_enabled",
     "disabled", "user_returned", "unreachable", "too_late", "not_earned"],
)  # fmt: skip
def test_a_reason_that_did_not_happen_is_no_reason(reason):
    """Else a system could send nothing and blame the pause."""
    assert "reasons are true" in broken([settings(), *five(), withheld(MONDAY + 9 * HOUR, reason)])


def test_unreachable_is_true_only_where_the_bot_waits_longer_than_the_window():
    """Somebody who could be reached and was forgotten until the window closed was lost."""
    late, patient = withheld(MONDAY + 25 * HOUR, "unreachable"), {"min_silence": 60 * HOUR}
    assert broken([settings(), *five(), late]) == ["reasons are true"]
    assert broken([settings(**patient), *five(), late]) == []


def test_who_earned_it_by_a_message_nearly_two_weeks_old_may_slide_out_of_it():
    old = wrote(MONDAY - 14 * DAY + HOUR, 0)
    lines = [settings(MONDAY - 20 * DAY), old, *five()[1:], withheld(MONDAY + 8 * HOUR, "not_earned")]
    assert broken(lines) == []


def test_an_answer_goes_only_to_somebody_who_has_just_asked():
    stop = wrote(MONDAY + 60, 6, text="STOP")
    told = withheld(MONDAY + 9 * HOUR, "opted_out")
    soon, late = (sent(stop["at"] + wait, kind="answer", text="You will not hear from us.") for wait in (2, 5 * HOUR))
    assert broken([settings(), *five(), stop, soon, told]) == []
    assert broken([settings(), *five(), stop, soon, soon, told]) == ["answers only to those who asked"]
    assert broken([settings(), *five(), stop, late, told]) == ["answers only to those who asked"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: lines[3].pop("reason"),
        lambda lines: lines[3].update(extra=1),
        lambda lines: lines[3].update(kind="poem"),
        lambda lines: lines[3].update(event="arrived"),
        lambda lines: lines[3].update(at=1.5),
        lambda lines: lines[3].update(id=None),
        lambda lines: lines.reverse(),
        lambda lines: lines.pop(0),
    ],
    ids=["key missing", "extra key", "kind", "event", "float", "no id", "not in order", "no settings"],
)
def test_a_line_out_of_shape_is_seen(spoil):
    lines = [settings(), *five(), sent()]
    spoil(lines)
    assert "readable" in broken(lines)


@pytest.mark.parametrize(
    ("text", "stop"),
    [("STOP", True), ("stop!", True), ("Baja.", True), ("Ne m\u2019écris plus", True), ("não me mande mais nada", True),
     ("At which stop do I get off?", False), ("sair de casa cedo", False), ("", False)],
)  # fmt: skip
def test_the_checker_hears_a_stop(text, stop):
    assert says_stop(text) is stop


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("\n".join(json.dumps(each) for each in [settings(), *five(), sent()]), 0),
        ("\n".join(json.dumps(each) for each in [settings(), *five()]), 1),
        ("not json", 2),
    ],
    ids=["kept", "broken", "unreadable"],
)
def test_as_a_command_it_answers_with_its_exit_code(text, status):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "local.checker"]
    done = subprocess.run(command, input=text, text=True, cwd=root, capture_output=True, check=False)  # noqa: S603
    assert done.returncode == status


def test_the_checker_knows_nothing_of_relance():
    """The judge must not share a mistake with the code it judges."""
    source = (Path(__file__).parents[2] / "local" / "checker.py").read_text(encoding="utf-8")
    ours = ("import relance", "from relance", "import local", "from local")
    assert [row for row in source.splitlines() if row.startswith(ours)] == []
