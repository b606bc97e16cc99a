"""Every follow-up ends with a line that names the sender, says AI, and says how to stop."""

from dataclasses import replace

import pytest

from relance.bot import Bot
from relance.disclosure import LINE_LIMIT, compose, line
from relance.guard.signals import Signal, read
from relance.persona import LANGUAGES, Persona

BOT = Bot(id="1001", channel="messenger", name="Lumen", operator="Cinéma Lumen")
STOP_WORD = {"en": "STOP", "fr": "STOP", "es": "BAJA", "pt": "SAIR", "de": "STOPP"}
FAR_TOO_LONG = "Les Cinémas Réunis de la Vallée du Grand Morin"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("name", "operator"), [("Lumen", "Lumen SA"), ("Lumen", FAR_TOO_LONG), ("L" * 80, "X"), ("", ""), ("{name}", "%s")]
)
@pytest.mark.parametrize("address", ["informal", "formal"])
def test_the_line_fits_a_footer_says_ai_and_names_a_stop_word_that_works(
    language: str, name: str, operator: str, address: str
) -> None:
    """60 characters whatever the names, and the webhook honours the word."""
    said = line(bot=replace(BOT, name=name, operator=operator, persona=Persona(address=address)), language=language)
    assert len(said) <= LINE_LIMIT
    assert {"en": "AI", "de": "KI"}.get(language, "IA") in said
    assert STOP_WORD[language] in said
    assert Signal.OPT_OUT in read(STOP_WORD[language])


def test_the_operator_goes_first_then_the_name() -> None:
    """What does not fit is left out, never cut."""
    assert line(bot=BOT, language="en") == "Lumen, an AI of Cinéma Lumen. Reply STOP to opt out."
    assert line(bot=replace(BOT, operator=FAR_TOO_LONG), language="en") == "Lumen, an AI. Reply STOP to opt out."
    assert line(bot=replace(BOT, name=FAR_TOO_LONG), language="en") == "Sent by an AI. Reply STOP to opt out."


def test_a_language_without_a_reviewed_line_cannot_be_sent() -> None:
    """ValueError: what cannot be disclosed is not composed."""
    with pytest.raises(ValueError, match="language"):
        compose("Ciao", bot=BOT, language="it")


@pytest.mark.parametrize(
    ("channel", "letter", "limit"),
    [("whatsapp", "a", 4_096), ("messenger", "é", 1_999), ("instagram", "a", 1_000), ("instagram", "é", 1_000)],
)
def test_the_whole_text_fits_the_channel_to_the_last_unit(channel: str, letter: str, limit: int) -> None:
    """Instagram counts bytes of UTF-8, the others characters; one unit more is refused, never cut."""
    bot = replace(BOT, channel=channel)
    ending = "\n\n" + line(bot=bot, language="en")
    taken, each = (len(ending.encode()), len(letter.encode())) if channel == "instagram" else (len(ending), 1)
    room = (limit - taken) // each
    assert compose(letter * room, bot=bot, language="en").endswith(ending)
    with pytest.raises(ValueError, match="limit"):
        compose(letter * (room + 1), bot=bot, language="en")


@pytest.mark.parametrize(("body", "channel"), [("  ", "whatsapp"), ("Hello", "sms")])
def test_an_empty_body_or_an_unknown_channel_is_refused(body: str, channel: str) -> None:
    """Nothing half-composed leaves the house."""
    with pytest.raises(ValueError, match=r"empty|channel"):
        compose(body, bot=replace(BOT, channel=channel), language="en")
