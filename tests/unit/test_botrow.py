"""The bot row: settings survive the way into the table and back, and doubt makes a bot stricter."""

import json
from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relance.bot import MODES, Bot, Hours, Template
from relance.botrow import from_settings, to_settings
from relance.interaction import CHANNELS, DAY, HOUR
from relance.persona import LANGUAGES, Persona

texts = st.text(max_size=12)
many_texts = st.lists(texts, max_size=3).map(tuple)
by_language = st.dictionaries(st.sampled_from(LANGUAGES), many_texts, max_size=2)
seconds = st.integers(0, 30 * DAY)

bots = st.builds(
    Bot,
    id=st.text(min_size=1, max_size=12),
    channel=st.sampled_from(CHANNELS),
    name=texts,
    operator=texts,
    mode=st.sampled_from(MODES),
    country=texts,
    zone=texts,
    audience_zones=many_texts,
    languages=many_texts,
    app_ids=many_texts,
    hours=st.builds(Hours, opens=seconds, closes=seconds),
    quiet_days=st.lists(st.integers(1, 7), unique=True).map(tuple),
    min_silence=st.none() | seconds,
    preferred_silence=st.none() | seconds,
    consent=st.sampled_from(["opt-in", "soft"]),
    soft_basis=texts,
    notice=st.booleans(),
    ai_is_incidental=st.booleans(),
    contact=texts,
    template=st.none() | st.builds(Template, name=texts, language=texts, category=texts.filter(bool), ttl=seconds),
    persona=st.builds(
        Persona,
        voice=texts,
        address=st.sampled_from(["informal", "formal"]),
        may=many_texts,
        never=many_texts,
        samples=by_language,
        frames=by_language,
    ),
    secrets=texts,
    version=st.integers(0, 1000),
    enabled_at=st.none() | st.integers(0, 2**33),
    paused=texts,
)


@settings(max_examples=100, deadline=None)
@given(bot=bots)
def test_a_bot_survives_the_way_into_the_table_and_back(bot: Bot) -> None:
    """Through JSON, with the decimals that DynamoDB answers, every field comes back as it was."""
    stored = json.loads(json.dumps(to_settings(bot)), parse_int=Decimal)
    back = from_settings(bot.id, stored, version=Decimal(bot.version), enabled_at=bot.enabled_at, paused=bot.paused)
    assert back == bot


def test_every_field_of_a_bot_has_its_place() -> None:
    """A field added to `Bot` must be added here too: it is a setting, or one of the four attributes beside them."""
    full = Bot(id="1", channel="whatsapp", min_silence=1, preferred_silence=1, template=Template("t", "fr"))
    beside = {"id", "version", "enabled_at", "paused"}
    assert set(to_settings(full)) | beside == {field.name for field in fields(Bot)}


def test_an_empty_row_is_a_bot_that_writes_to_nobody() -> None:
    """Missing fields have the strictest meaning: off, opt-in, nothing attested."""
    bot = from_settings("1", {}, version=3, enabled_at=None)
    assert bot == Bot(id="1", channel="", version=3)
    assert (bot.mode, bot.needs_opt_in, bot.notice, bot.ai_is_incidental) == ("off", True, False, False)


def test_fields_of_a_newer_release_are_ignored() -> None:
    """A rollback of the code must still read the rows that the newer release wrote."""
    row = to_settings(Bot(id="1", channel="messenger")) | {"horoscope": True}
    row["persona"]["mood"] = "sunny"
    assert from_settings("1", row, version=1, enabled_at=None) == Bot(id="1", channel="messenger", version=1)


@pytest.mark.parametrize(
    ("name", "stored", "meant"),
    [
        ("mode", "turbo", "off"),
        ("mode", True, "off"),
        ("consent", "whatever", "opt-in"),
        ("notice", "true", False),
        ("notice", 1, False),
        ("ai_is_incidental", "yes", False),
        ("min_silence", None, None),
        ("template", None, None),
        ("hours", None, Hours()),
    ],
)
def test_a_word_nobody_knows_has_the_strictest_meaning(name: str, stored: object, meant: object) -> None:
    """A damaged row can make a bot quieter, never louder."""
    row = to_settings(Bot(id="1", channel="messenger")) | {name: stored}
    assert getattr(from_settings("1", row, version=1, enabled_at=None), name) == meant


def test_a_number_that_is_none_is_an_error() -> None:
    """Nobody guesses how long a silence was meant to be."""
    with pytest.raises(ValueError, match="soon"):
        from_settings("1", {"min_silence": "soon"}, version=1, enabled_at=None)


def test_a_template_without_a_time_to_live_has_the_platforms_thirty_days() -> None:
    """WhatsApp says: a template's life is 30 days unless it says otherwise."""
    row = {"template": {"name": "hello", "language": "es_MX"}, "hours": {"opens": 11 * HOUR}}
    bot = from_settings("1", row, version=1, enabled_at=None)
    assert bot.template == Template(name="hello", language="es_MX", category="MARKETING", ttl=30 * DAY)
    assert bot.hours == Hours(opens=11 * HOUR)
