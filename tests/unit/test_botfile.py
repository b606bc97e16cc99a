"""The bot files: what may be written in them, and that a mistake is explained in words a person can act on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from local.botfile import BOTS, BotFileError, Problem, as_row, duration, load, read_all, spoken, validate
from relance.bot import Hours, Template
from relance.botrow import from_settings
from relance.interaction import DAY, HOUR, MINUTE
from relance.rules import Rules

GOOD: dict[str, Any] = {
    "bot": "100000000000001",
    "channel": "messenger",
    "name": "Lumen",
    "operator": "Cinema",
    "mode": "live",
    "country": "FR",
    "zone": "Europe/Paris",
    "languages": ["fr"],
    "consent": "opt-in",
    "notice": True,
    "contact": "https://cinema.example",
    "persona": {"voice": "Calm.", "address": "formal"},
}
TEMPLATE = {"name": "hello", "language": "fr_FR", "category": "MARKETING", "ttl": "24h"}
WHATSAPP = {"channel": "whatsapp", "ai_is_incidental": True}
LEFT_OUT = object()


@pytest.fixture
def check(tmp_path: Path):
    """Validates a good file with some fields changed or left out."""

    def check(changes: dict[str, Any] | None = None, rules: Rules | None = None) -> list[Problem]:
        fields = {name: value for name, value in (GOOD | (changes or {})).items() if value is not LEFT_OUT}
        path = tmp_path / "bot.yaml"
        path.write_text(yaml.safe_dump(fields, allow_unicode=True), encoding="utf-8")
        return validate([path], rules=rules, year=2027)

    return check


@pytest.fixture
def check_text(tmp_path: Path):
    """Validates a file that is written by hand."""

    def check_text(text: str | bytes) -> list[Problem]:
        path = tmp_path / "bot.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return validate([path], year=2027)

    return check_text


# --- the examples ------------------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_the_examples() -> None:
    """The files that people copy are right, alone and together."""
    assert validate(sorted(BOTS.glob("*.yaml"))) == []


def test_the_examples_send_nothing_when_they_are_published_as_they_are() -> None:
    """Whoever copies an example has to decide to go live."""
    assert {load(path).mode for path in BOTS.glob("*.yaml")} == {"shadow"}


def test_the_examples_have_reviewed_sentences_and_samples_in_every_language_they_speak() -> None:
    """A reader sees the whole file filled in."""
    for bot in map(load, BOTS.glob("*.yaml")):
        assert set(bot.persona.frames) == set(bot.persona.samples) == set(bot.languages)


def test_every_field_of_the_schema_is_used_in_an_example() -> None:
    """A field nobody shows is a field nobody finds; and the editor explains each of them."""
    schema = yaml.safe_load((BOTS / "bot.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    used = {name for path in BOTS.glob("*.yaml") for name in yaml.safe_load(path.read_text(encoding="utf-8"))}
    assert used == set(schema["properties"])
    assert [name for name, field in schema["properties"].items() if not field.get("description")] == []


def test_a_loaded_bot_says_what_its_file_says() -> None:
    """Durations become seconds, weekdays ISO numbers, hours seconds after midnight."""
    film, tutor = load(BOTS / "cinema-film-guide.yaml"), load(BOTS / "language-tutor.yaml")
    assert (film.id, film.channel, film.country, film.consent) == ("100000000000001", "messenger", "FR", "opt-in")
    assert (film.hours, film.quiet_days) == (Hours(11 * HOUR, 19 * HOUR), (7,))
    assert (film.min_silence, film.preferred_silence) == (9 * HOUR, 22 * HOUR)
    assert film.needs_opt_in
    assert tutor.template == Template("tutor_next_exercise", "es_MX", "MARKETING", DAY)
    assert (tutor.hours, tutor.min_silence, tutor.needs_opt_in) == (Hours(), None, False)


def test_the_row_of_a_bot_reads_back_as_the_bot() -> None:
    """What is published is what the functions read."""
    bot = load(BOTS / "language-tutor.yaml")
    row = as_row(bot)
    assert (row["id"], row["mode"]) == (bot.id, bot.mode)
    assert from_settings(row["id"], row["settings"], version=0, enabled_at=None) == bot


# --- the mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "problem", "remedy"),
    [
        # the shape
        ({"contact": LEFT_OUT}, "contact", "is missing", "add `contact: https://example.org/contact`"),
        ({"notice": LEFT_OUT}, "notice", "is missing", "add `notice: true` (You attest"),
        ({"mode": LEFT_OUT}, "mode", "is missing", "add `mode:` with off, shadow, review or live"),
        ({"quietdays": []}, "quietdays", "is not a field", "did you mean `quiet_days`?"),
        ({"horoscope": "lion"}, "horoscope", "is not a field", "remove it; the fields are bot, channel,"),
        ({"channel": "telegram"}, "channel", "`telegram` is not known", "write whatsapp, messenger or instagram"),
        ({"channel": "WhatsApp"}, "channel", "`WhatsApp` is not known", "did you mean `whatsapp`?"),
        ({"languages": ["fr", "it"]}, "languages[1]", "`it` is not known", "write en, fr, es, pt or de"),
        ({"languages": []}, "languages", "is empty", "[fr, en]"),
        ({"quiet_days": ["sunday"]}, "quiet_days[0]", "`sunday` is not known", "did you mean `sun`?"),
        ({"quiet_days": ["sun", "sun"]}, "quiet_days", "names something twice", "name each once"),
        (
            {"quiet_days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]},
            "quiet_days",
            "has too many entries: 7",
            "keep at most 6",
        ),
        ({"min_silence": 23}, "min_silence", "must be text and is a number", "write it like `23h`"),
        ({"min_silence": "23"}, "min_silence", "`23` cannot be read", "write it like `23h`"),
        ({"min_silence": "a day"}, "min_silence", "`a day` cannot be read", "write it like `23h`"),
        ({"hours": "9-17"}, "hours", "`9-17` cannot be read", "write it like `10:00-19:30`"),
        ({"hours": "10:00-25:00"}, "hours", "`10:00-25:00` cannot be read", "write it like `10:00-19:30`"),
        ({"notice": "yes"}, "notice", "must be true or false and is text", "write it like `true`"),
        ({"name": None}, "name", "must be text and is empty", "write it like `Lumen`"),
        ({"bot": "my bot"}, "bot", "`my bot` cannot be read", "100000000000001"),
        ({"bot": "*"}, "bot", "`*` cannot be read", "100000000000001"),
        ({"country": "fr"}, "country", "`fr` cannot be read", "write it like `FR`"),
        ({"secrets": "relance/x"}, "secrets", "`relance/x` cannot be read", "/relance/bots/le-fanal"),
        ({"persona": {"address": "formal"}}, "persona.voice", "is missing", "add `voice:"),
        (
            {"persona": GOOD["persona"] | {"mood": "x"}},
            "persona.mood",
            "is not a field",
            "remove it; the fields are voice,",
        ),
        (
            {"persona": GOOD["persona"] | {"frames": {"it": ["Su {topic}?"]}}},
            "persona.frames.it",
            "is not a language relance speaks",
            "write en, fr, es, pt or de",
        ),
        (
            {"persona": GOOD["persona"] | {"samples": {"fr": ["x" * 321]}}},
            "persona.samples.fr[0]",
            "is too long: 321 characters",
            "at most 320",
        ),
        # places
        ({"country": "UK"}, "country", "`UK` is no country", "write `GB`"),
        ({"country": "ZZ"}, "country", "`ZZ` is no country", "ISO 3166"),
        ({"zone": "Europe/Pari"}, "zone", "`Europe/Pari` is not a time zone", "did you mean `Europe/Paris`?"),
        ({"zone": "localtime"}, "zone", "`localtime` is not a time zone", "tzdata"),
        (
            {"audience_zones": ["Europe/Paris", "Mars/Olympus"]},
            "audience_zones[1]",
            "`Mars/Olympus` is not a time zone",
            "write a tzdata name",
        ),
        (
            {"audience_zones": ["Europe/Paris", "Asia/Tokyo"]},
            "audience_zones",
            "share 90m a day of 10:00-19:30, under two hours",
            "closer together",
        ),
        (
            {"audience_zones": ["Europe/Paris", "Pacific/Auckland"]},
            "audience_zones",
            "share no hour of 10:00-19:30",
            "one bot for each part",
        ),
        (
            WHATSAPP | {"country": "RU", "zone": "Europe/Moscow"},
            "audience_zones",
            "are missing: the zones of RU share no hour",
            "name the zones",
        ),
        ({"hours": "11:00-12:59"}, "hours", "leaves 119m a day, under two hours", "at least two hours"),
        # stricter, never laxer
        ({"hours": "09:59-19:30"}, "hours", "is wider than the deployment's 10:00-19:30", "stricter, never laxer"),
        ({"hours": "10:00-19:31"}, "hours", "is wider than the deployment's 10:00-19:30", "stricter, never laxer"),
        ({"hours": "19:00-11:00"}, "hours", "ends before it begins", "10:00-19:30"),
        ({"min_silence": "479m"}, "min_silence", "is shorter than the deployment's 8h", "write at least 8h"),
        ({"min_silence": "1d"}, "min_silence", "is past the 24 hours", "write at most 23h"),
        (
            {"min_silence": "12h", "preferred_silence": "11h"},
            "preferred_silence",
            "11h is shorter than the min_silence of 12h",
            "`preferred_silence: 12h`",
        ),
        ({"preferred_silence": "7h"}, "preferred_silence", "7h is shorter than the min_silence of 8h", "8h"),
        ({"preferred_silence": "15d"}, "preferred_silence", "longer than the time there is", "336h"),
        # the law and the platforms
        (
            {"consent": "soft", "soft_basis": "because"},
            "consent",
            "the law of FR asks for a recorded yes",
            "write `consent: opt-in`",
        ),
        ({"consent": "soft", "country": "MX"}, "soft_basis", "is missing", "in one sentence"),
        ({"consent": "soft", "country": "MX", "soft_basis": "  "}, "soft_basis", "is missing", "in one sentence"),
        ({"notice": False}, "notice", "nobody was told", "then write `notice: true`"),
        ({"channel": "whatsapp"}, "ai_is_incidental", "WhatsApp bars bots", "`ai_is_incidental: true` if that is so"),
        ({"channel": "whatsapp", "mode": "review"}, "ai_is_incidental", "is not attested", "`mode: shadow`"),
        # templates
        ({"template": TEMPLATE}, "template", "there are none on messenger", "remove it"),
        (
            WHATSAPP | {"template": TEMPLATE | {"name": "Hello"}},
            "template.name",
            "`Hello` cannot be read",
            "tutor_next_exercise",
        ),
        (
            WHATSAPP | {"template": {"name": "hello", "language": "fr", "category": "UTILITY"}},
            "template.ttl",
            "is missing",
            "add `ttl: 23h`",
        ),
        (
            WHATSAPP | {"template": TEMPLATE | {"category": "AUTHENTICATION"}},
            "template.category",
            "`AUTHENTICATION` is not known",
            "write MARKETING or UTILITY",
        ),
        (
            WHATSAPP | {"template": TEMPLATE | {"language": "de"}},
            "template.language",
            "the bot does not speak `de`",
            "write one of fr",
        ),
        (
            WHATSAPP | {"template": TEMPLATE | {"ttl": "30d"}},
            "template.ttl",
            "would outlive the 14 days",
            "12h to 312h",
        ),
        (WHATSAPP | {"template": TEMPLATE | {"ttl": "11h"}}, "template.ttl", "is not one for MARKETING", "12h to 312h"),
        (
            WHATSAPP | {"template": TEMPLATE | {"category": "UTILITY", "ttl": "13h"}},
            "template.ttl",
            "is not one for UTILITY",
            "1m to 12h",
        ),
        (
            WHATSAPP | {"template": TEMPLATE, "country": "US", "zone": "America/New_York"},
            "template.category",
            "never reach numbers in the United States",
            "remove the template",
        ),
        (
            WHATSAPP | {"template": TEMPLATE, "audience_zones": ["America/Toronto", "US/Eastern"]},
            "template.category",
            "never reach numbers in the United States",
            "out of audience_zones",
        ),
        # the persona
        (
            {"persona": GOOD["persona"] | {"samples": {"de": ["Gern."]}}},
            "persona.samples.de",
            "the bot does not speak that language",
            "add `de` to languages",
        ),
        (
            {"persona": GOOD["persona"] | {"frames": {"fr": ["Et {topic} ?", "Encore ?"]}}},
            "persona.frames.fr[1]",
            "does not have exactly one {topic}",
            "write `{topic}` once",
        ),
        (
            {"persona": GOOD["persona"] | {"frames": {"fr": ["{topic} et {name} ?"]}}},
            "persona.frames.fr[0]",
            "does not have exactly one {topic}",
            "no other braces",
        ),
    ],
)
def test_a_mistake_is_named_with_its_field_and_its_remedy(
    check, changes: dict[str, Any], field: str, problem: str, remedy: str
) -> None:
    """One mistake, one problem: what is wrong, and what to write instead."""
    found = check(changes)
    assert [p.field for p in found] == [field]
    assert problem in found[0].problem
    assert remedy in found[0].remedy


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hours": "10:00-19:30", "min_silence": "8h", "preferred_silence": "480m"},
        {"hours": "11:00-13:00"},
        {"min_silence": "23h"},
        {"min_silence": "2d", "preferred_silence": "2d", "template": TEMPLATE} | WHATSAPP,
        {"notice": False, "mode": "off"},
        {"channel": "whatsapp", "mode": "shadow"},
        {"channel": "instagram", "mode": "review"},
        {"consent": "soft", "country": "MX", "soft_basis": "Students are told when they enrol."},
        {"country": "RU", "zone": "Europe/Moscow", "audience_zones": ["Europe/Moscow"]} | WHATSAPP,
        {"country": "US", "zone": "America/New_York"} | WHATSAPP,
        {"template": TEMPLATE | {"ttl": "13d"}} | WHATSAPP,
        {"template": TEMPLATE | {"category": "UTILITY", "ttl": "12h"}, "country": "US"} | WHATSAPP,
        {"bot": 100000000000001, "app_ids": [100000000000901, "5"]},
        {"audience_zones": ["Europe/Paris", "America/New_York"]},
        {"quiet_days": ["mon", "tue", "wed", "thu", "fri", "sat"]},
    ],
)
def test_what_is_allowed_is_not_complained_about(check, changes: dict[str, Any]) -> None:
    """The last value that is still right, on each boundary."""
    assert check(changes) == []


def test_the_deployments_parameters_are_the_measure(check) -> None:
    """A deployment that is stricter than the default makes its bots stricter."""
    strict = replace(Rules(), min_silence=12 * HOUR, hours=Hours(11 * HOUR, 18 * HOUR))
    found = check({"hours": "10:00-18:00", "min_silence": "10h"}, rules=strict)
    assert [p.field for p in found] == ["hours", "min_silence"]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(check_text) -> None:
    """Nobody wants to learn of the second mistake by correcting the first."""
    found = check_text(
        "bot: '1'\nchanel: messenger\nname: A\noperator: B\nmode: live\ncountry: UK\nzone: Europe/Paris\n"
        "languages: [fr]\nconsent: opt-in\nnotice: false\ncontact: a@cinema.example\n"
        "persona:\n  voice: Calm.\n  address: formal\n  frames:\n    fr: ['no slot']\n"
    )
    assert [(p.line, p.field) for p in found] == [
        (0, "channel"),
        (2, "chanel"),
        (6, "country"),
        (10, "notice"),
        (16, "persona.frames.fr[0]"),
    ]


# --- YAML --------------------------------------------------------------------------------------------------------


def test_a_field_that_is_written_twice_is_refused_with_both_lines(check_text) -> None:
    """YAML readers take the last one in silence; here nobody has to guess which mode holds."""
    found = check_text("bot: '1'\nmode: off\nname: A\nmode: live\n")
    twice = [p for p in found if p.field == "mode"]
    assert [(p.line, p.problem) for p in twice] == [(4, "is written twice, first on line 2")]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("bot: '1'\nname: A: B\n", 2, "is not readable YAML: mapping values are not allowed here"),
        ("bot: '1'\nlanguages: [fr\nmode: off\n", 3, "is not readable YAML: while parsing a flow sequence"),
        ("bot: '1'\n\tname: A\n", 2, "is not readable YAML: while scanning"),
        ("bot: '1'\n---\nbot: '2'\n", 2, "is not readable YAML: expected a single document"),
        ("bot: *other\n", 1, "is not readable YAML: found undefined alias"),
        ("", 0, "has no fields"),
        ("- bot\n", 0, "has no fields"),
        ("bot: \x00\n", 0, "holds characters that YAML does not allow"),
        (b"name: Caf\xe9\n", 0, "is not UTF-8 text"),
    ],
)
def test_unreadable_yaml_is_named_with_its_line(check_text, text: str | bytes, line: int, problem: str) -> None:
    """A typing mistake is an explanation, never a traceback."""
    (found,) = check_text(text)
    assert (found.line, found.problem[: len(problem)]) == (line, problem)
    assert found.remedy


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bot: !!python/object:os.system {}\n", "must be text and is a group of fields"),
        ("bot: !!binary aGk=\n", "uses the YAML tag tag:yaml.org,2002:binary"),
        ("bot: &a [*a]\n", "contains itself"),
    ],
)
def test_yaml_cannot_do_more_than_write_values(check_text, text: str, problem: str) -> None:
    """No tags, no objects, no loops: a bot file is data."""
    assert problem in [p.problem for p in check_text(text)]


def test_off_and_no_are_words_and_not_falsehoods(tmp_path: Path) -> None:
    """YAML 1.1 reads `off`, and Norway's `NO`, as false; people mean what they write."""
    path = tmp_path / "bot.yaml"
    lines = [f"{name}: {value}" for name, value in GOOD.items() if isinstance(value, str)]
    text = "\n".join([*lines, "languages: [en]", "notice: true", "persona: {voice: Calm., address: formal}", ""])
    path.write_text(text.replace("country: FR", "country: NO").replace("mode: live", "mode: off"), encoding="utf-8")
    bot = load(path)
    assert (bot.country, bot.mode, bot.id) == ("NO", "off", "100000000000001")


def test_an_account_id_keeps_its_leading_zeros(check_text) -> None:
    """Ids are text; nothing may read them as octal numbers."""
    found = check_text("bot: 0123\n")
    assert "bot" not in [p.field for p in found]


def test_a_file_that_is_not_there_is_a_problem_and_not_a_traceback(tmp_path: Path) -> None:
    """So is a folder."""
    found = validate([tmp_path / "none.yaml", tmp_path])
    assert [p.problem for p in found] == ["cannot be read: No such file or directory", "cannot be read: Is a directory"]


# --- several files -----------------------------------------------------------------------------------------------


def test_two_files_cannot_speak_for_one_account(tmp_path: Path) -> None:
    """The table has one row per account: the second file would silently win."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump(GOOD), encoding="utf-8")
    bots, problems = read_all([tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "a.yaml"], year=2027)
    assert bots == []
    assert [(p.file, p.field) for p in problems] == [(str(tmp_path / "b.yaml"), "bot")]
    assert str(tmp_path / "a.yaml") in problems[0].problem


def test_loading_a_wrong_file_says_all_that_is_wrong(tmp_path: Path) -> None:
    """The error carries the problems, and its text is readable on its own."""
    path = tmp_path / "bot.yaml"
    path.write_text(yaml.safe_dump(GOOD | {"mode": "on", "country": "UK"}), encoding="utf-8")
    with pytest.raises(BotFileError) as raised:
        load(path, year=2027)
    assert [p.field for p in raised.value.problems] == ["country", "mode"]
    assert f"{path}:5: country: `UK` is no country; write `GB`" in str(raised.value).splitlines()


# --- durations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("23h", 23 * HOUR), ("90m", 90 * MINUTE), ("2d", 2 * DAY), ("1d12h", 36 * HOUR), ("1h30m", 90 * MINUTE)],
)
def test_a_duration_has_its_units(text: str, seconds: int) -> None:
    """Days, hours and minutes, the larger first."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "23", "h", "1.5h", "-1h", "1h ", "30m1h", "1 h", "\u0661h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A number without a unit could be hours, minutes or seconds: nobody guesses."""
    with pytest.raises(ValueError, match="not a duration"):
        duration(text)


@given(minutes=st.integers(0, 30 * 24 * 60))
def test_a_duration_that_is_spoken_is_understood(minutes: int) -> None:
    """What a remedy tells people to write can be read."""
    assert duration(spoken(minutes * MINUTE)) == minutes * MINUTE


fields = st.sampled_from([*GOOD, "hours", "quiet_days", "min_silence", "template", "audience_zones", "secrets"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["fr", "23h", "10:00-19:30"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6) | fields, inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(changes=st.dictionaries(fields, values, max_size=3))
@example(changes={"hours": "24:00-24:00"})
@example(changes={"template": {"name": "a", "language": "fr", "category": "UTILITY", "ttl": "0m"}})
def test_whatever_is_written_is_read_or_explained(tmp_path_factory, changes: dict[str, Any]) -> None:
    """No content of any field ends in a traceback, and every problem has a remedy."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes, allow_unicode=True), encoding="utf-8")
    bots, problems = read_all([path], year=2027)
    assert bool(bots) != bool(problems)
    assert [p for p in problems if not (p.problem and p.remedy)] == []


# ── files that are no bot files ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("persona: " + "[" * 3_000, "", "nested too deeply"),
        ("persona: " + "[" * 60 + "]" * 60, "persona", "nested too deeply"),
        ("bot: " + "9" * 5_000, "bot", "a number of 5000 digits"),
        ('name: "\\e[31mred"', "name", "holds a control character"),
        ('persona: {voice: "\\ud800"}', "persona.voice", "half a character"),
        ('bot: "\\UFFFFFFFF"', "", "characters that YAML does not allow"),
        ("a" * (256 * 1024 + 1), "", "is larger than 256 KB"),
    ],
    ids=["endless", "deep", "digits", "escape", "surrogate", "no character", "large"],
)
def test_a_file_that_nobody_could_mean_is_refused_with_its_field(check_text, text, field, says):
    """Not with a traceback, nor with a terminal that has turned red."""
    problem = next(each for each in check_text(text) if says in each.problem)

    assert problem.field.startswith(field)
    assert problem.remedy
    assert str(problem).isprintable()


def test_aliases_of_aliases_do_not_fill_the_memory(check_text):
    """Nine lines that say four hundred million values are refused at twenty thousand."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]

    (problem,) = (each for each in check_text("\n".join(lines)) if "one value too many" in each.problem)

    assert problem.field.startswith("a4")
    assert "instead of aliases" in problem.remedy


def test_a_message_about_a_long_value_is_short(check):
    """A page of nonsense in a field is not a page on the terminal."""
    (problem,) = check({"zone": "x" * 100_000})

    assert len(str(problem)) < 1_000
