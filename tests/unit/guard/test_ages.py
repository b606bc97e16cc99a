"""A number that may be an age under eighteen is known as one, however it is written."""

import pytest

from relance.guard import ages
from relance.guard.text import words


@pytest.mark.parametrize(
    ("language", "text", "named"),
    [
        ("en", "i'm 14, my sister's fifteen", " im ‹young› my sisters ‹young› "),
        ("en", "15yo here", " ‹young› yo here "),
        ("en", "I was born in 2012", " i was born in 2012 "),
        ("en", "i'm 46", " im ‹grown› "),
        ("en", "once more", " once more "),
        ("es", "tengo once años", " tengo ‹young› anos "),
        ("fr", "j'ai douze ans", " j ai ‹young› ans "),
        ("de", "als Dreizehnjährige", " als ‹young› jahrige "),
        ("de", "mein vierzehnter", " mein ‹young› ter "),
        ("pt", "faço catorze amanhã", " faco ‹young› amanha "),
        ("en", "4 eggs and 100 grams", " 4 eggs and 100 grams "),
        ("en", "a 6ft tree at 7pm", " a 6ft tree at 7pm "),
        ("fr", "12cm, à 14h", " 12cm a 14h "),
    ],
)
def test_a_number_that_may_be_an_age_becomes_one_sign(language: str, text: str, named: str) -> None:
    """What was learned of fourteen holds for fifteen; a year, a weight and another language's word are none."""
    assert ages.name(words(text), language) == named


def test_a_young_age_is_seen_in_any_language() -> None:
    """Who speaks of somebody's age may do so in a language of theirs."""
    assert ages.named(words("er ist zwölf"))
    assert not ages.named(words("ich bin 47, seit 2003"))
