"""Tells which of the five languages a text is in, by a vote of its commonest words; a doubt is no answer."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from relance.guard.text import MAX_CHARACTERS, plain

_WORD = re.compile(r"[^\W\d_]+")
# Letters that only some of the five languages write; a hint weighs as much as a word.
_LETTERS = {
    "es": re.compile(r"[ñ¿¡]|ción\b"),
    "pt": re.compile(r"[ãõ]|ção\b|ções\b|nh[aeo]\b|lh[aeo]\b"),
    "de": re.compile(r"[ßäü]|sch|(?<=[a-z]{3})(?:ung|keit|heit|lich)\b"),
    "fr": re.compile(r"[èùûîœ]|ê(?=[a-z])(?!s\b)|\b[cdjlmnst]['’](?=[aeéèêhiouy])|eaux?\b|\bqu['’]"),
    "en": re.compile(r"(?<=[a-z]{2})(?:ing|ould|ght)\b|\bth[aeio]|'(?:ll|ve|re|s|m|t)\b"),
}
_SURE = 2.0
_MARGIN = 1.35
# So few words of the user's settle nothing against the bot's answers.
_FEW_WORDS = 8


@cache
def _votes() -> Mapping[str, Mapping[str, float]]:
    """For each word the languages it speaks for; a word of several languages has a small voice in each."""
    votes: dict[str, dict[str, float]] = {}
    text = files("relance.guard.phrases").joinpath("languages.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#") or ":" not in line:
            continue
        language, _, listed = line.partition(":")
        for word in plain(listed).split():
            votes.setdefault(word, {})[language.strip()] = 1.0
    for word, voters in votes.items():
        weight = 1.5 if len(voters) == 1 else (0.5 if len(voters) == 2 else 0.2)
        if len(word) == 1:
            weight /= 2
        for language in voters:
            voters[language] = weight
    return votes


def scores(text: str) -> dict[str, float]:
    """How strongly the text speaks for each of the five languages."""
    result = dict.fromkeys(_LETTERS, 0.0)
    lower = text[:MAX_CHARACTERS].lower()
    votes = _votes()
    for word in _WORD.findall(plain(text)):
        for language, weight in votes.get(word, {}).items():
            result[language] += weight
    for language, letters in _LETTERS.items():
        result[language] += min(3, len(letters.findall(lower)))
    return result


def decide(result: Mapping[str, float], *, sure: float = _SURE) -> str | None:
    """The language with the most votes, if it has enough of them and clearly more than the next."""
    (best, most), (_, next_most) = sorted(result.items(), key=lambda item: -item[1])[:2]
    return best if most >= sure and most >= next_most * _MARGIN and most > next_most else None


def language_of(text: str, languages: Sequence[str]) -> str | None:
    """The language of the text if it is one of `languages` and there is no doubt, else None."""
    found = decide(scores(text))
    return found if found in languages else None


def language_of_turns(users: Iterable[str], others: Iterable[str], languages: Sequence[str]) -> str | None:
    """The one language of a conversation: the user's words decide; only where they leave it open, the answers do.

    A few words against the answers' language settle nothing: None.
    """
    said = "\n".join(users)
    result, answered_in = scores(said), decide(scores("\n".join(others)))
    found = decide(result)
    if found is None:
        # The answers may only settle what the user's own words do not contradict.
        if answered_in and result[answered_in] >= max(result.values()) * 0.75:
            found = answered_in
    elif answered_in not in (None, found) and len(_WORD.findall(said)) <= _FEW_WORDS:
        return None  # "der", "die": somebody learns German, and so few words do not say in which language
    return found if found in languages else None
