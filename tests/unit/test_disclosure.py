"""The line that every follow-up carries: always there, always short enough, in the person's language."""

from dataclasses import replace

import pytest

from relance.bot import Bot
from relance.disclosure import LINE, compose, line
from relance.persona import LANGUAGES

BOT = Bot(id="1001", channel="messenger", name="Lumen", operator="Cinéma Lumen")

STOP_WORD = {"en": "STOP", "fr": "STOP", "es": "BAJA", "pt": "SAIR", "de": "STOPP"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("name", "operator"),
    [("Lumen", "Cinéma Lumen"), ("Lumen", "Les Cinémas Réunis de la Vallée du Grand Morin"), ("L" * 80, "X"), ("", "")],
)
def test_the_line_says_ai_and_how_to_stop_within_a_template_footer(language, name, operator):
    """60 characters, whatever the names are; the stop word is one that the webhook honours."""
    from relance.guard.signals import Signal, read

    said = line(replace(BOT, name=name, operator=operator), language)

    assert len(said) <= LINE
    assert {"en": "AI", "de": "KI"}.get(language, "IA") in said
    assert STOP_WORD[language] in said
    assert {Signal.OPT_OUT} == read(STOP_WORD[language])


def test_the_operator_goes_first_and_the_name_stays():
    """Over 60 characters the line loses the operator, not the bot's name."""
    long = replace(BOT, operator="Les Cinémas Réunis de la Vallée du Grand Morin")

    assert "Lumen, an AI of Cinéma Lumen. Reply STOP to opt out." == line(BOT, "en")
    assert "Lumen, an AI. Reply STOP to opt out." == line(long, "en")


def test_a_language_without_a_reviewed_line_is_refused():
    """Nothing is sent that cannot be disclosed."""
    with pytest.raises(ValueError, match="language|line"):
        line(BOT, "it")


@pytest.mark.parametrize(
    ("channel", "letter", "fits"),
    [("whatsapp", "a", 4_096), ("messenger", "a", 1_999), ("instagram", "a", 1_000), ("instagram", "é", 500)],
)
def test_the_whole_text_fits_the_channel_to_the_last_unit(channel, letter, fits):
    """Instagram counts bytes; one unit more is refused, never cut."""
    bot = replace(BOT, channel=channel)
    end = f"\n\n{line(bot, 'en')}"
    room = (fits * len(letter.encode()) - len(end.encode())) // len(letter.encode()) if channel == "instagram" else fits - len(end)

    assert compose(letter * room, bot=bot, language="en").endswith(end)
    with pytest.raises(ValueError, match="fit"):
        compose(letter * (room + 1), bot=bot, language="en")
