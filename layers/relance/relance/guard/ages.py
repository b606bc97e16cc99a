"""Numbers that may be the age of somebody under eighteen, in figures and in the words of five languages."""

import re

__all__ = ["name", "named"]

YOUNGEST, GROWN, OLDEST = 5, 18, 99
# Signs for any such number, so that what is known of "I'm 14" is known of "I'm fifteen". No word is spelt like them.
YOUNG_AGE, GROWN_AGE = "‹young›", "‹grown›"

# As `guard.text.words` spells them. French and Spanish teens of two words are found by their second.
_WORDS = {
    "en": "five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen",
    "fr": "cinq six sept huit neuf dix onze douze treize quatorze quinze seize",
    "de": """funf fuenf sechs sieben acht neun zehn elf zwolf zwoelf dreizehn vierzehn funfzehn fuenfzehn sechzehn
        siebzehn""",
    "es": "cinco seis siete ocho nueve diez once doce trece catorce quince dieciseis diecisiete",
    "pt": """cinco seis sete oito nove dez onze doze treze catorze quatorze quinze dezesseis dezasseis dezessete
        dezassete""",
}
_YOUNG = {language: frozenset(words.split()) for language, words in _WORDS.items()}
# What may stand right behind an age, an ordinal, a form at school: 14yo, 13th, 8b, 15jährig. 6ft and 20cm are no ages.
_FIGURES = re.compile(r"(\d{1,2})([a-fmo]|er?|eme|st|nd|rd|th|yo|yrs?|ys?|ans?|anos?|jahre?|j|jahrig\w*|te[nrsm]?)?")
# German writes age and years as one word: dreizehnjährig, vierzehnter is an ordinal.
_COMPOUND = re.compile(r"([a-z]+?)(jahrig[a-z]*|te[nrsm]?)")


def name(reading: str, language: str) -> str:
    """A text that `guard.text` has spelt out, with each number that may be an age replaced by one sign."""
    return f" {' '.join(_sign(word, language) for word in reading.split())} "


def named(reading: str) -> bool:
    """True when a number is in the text that may be an age under eighteen, in any of the languages."""
    return any(_sign(word, language).startswith(YOUNG_AGE) for word in reading.split() for language in _YOUNG)


def _sign(word: str, language: str) -> str:
    if word in _YOUNG[language]:
        return YOUNG_AGE
    if figures := _FIGURES.fullmatch(word):
        number, rest = int(figures[1]), figures[2] or ""
        if YOUNGEST <= number <= OLDEST:
            return f"{YOUNG_AGE if number < GROWN else GROWN_AGE} {rest}".strip()
    elif language == "de" and (parts := _COMPOUND.fullmatch(word)) and parts[1] in _YOUNG["de"]:
        return f"{YOUNG_AGE} {parts[2]}"
    return word
