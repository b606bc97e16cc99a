"""Weighs how a text is put together: what it shares with sentences that were judged harmless or not.

The phrase files name what must not be said. They cannot foresee every way to say it, and they find words of a novel, a
recipe or a game, too. So both count: a text is doubted that looks like what must be left alone, and a phrase that was
found lowers the bar. Words, rows of words and parts of words each carry a small weight, learned from hand-written
examples (`local/corpus`, by `make learn`). A sum, no more: every weight can be read in the files under `weights/`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import sqrt

from relance.guard.shorthand import spelt_out
from relance.guard.text import readings

# Rows of so many words, parts of so many letters.
MOST_WORDS = 3
SHORTEST_PART, LONGEST_PART = 3, 5
# A text's rows, and its parts, are divided by the root of how many there are, of so many at least: a word weighs less
# among many, and two words that nobody has seen before say little.
LEAST_ROWS, LEAST_PARTS = 15, 80

# What is weighed in one reading of a text: rows of words, parts of words.
Features = tuple[frozenset[str], frozenset[str]]


def spell(text: str, language: str) -> tuple[Features, ...]:
    """What is weighed in a text, for each of its readings: several weights may hold for one text."""
    return tuple(features(spelt_out(reading, language)) for reading in readings(text))


def features(reading: str) -> Features:
    """What is weighed in a text that `guard.text` has spelt out: rows of one to three words, and parts of words.

    Parts begin with `#`; `^` and `$` are the edges of a word.
    """
    spoken = reading.split()
    rows = {
        " ".join(spoken[start : start + length])
        for length in range(1, MOST_WORDS + 1)
        for start in range(len(spoken) - length + 1)
    }
    parts = set()
    for word in set(spoken):
        edged = f"^{word}$"
        for length in range(SHORTEST_PART, LONGEST_PART + 1):
            for start in range(len(edged) - length + 1):
                parts.add("#" + edged[start : start + length])
    return frozenset(rows), frozenset(parts)


def divisor(count: int, least: int) -> float:
    """What the weights of so many features are divided by."""
    return sqrt(max(count, least))


@dataclass(frozen=True, slots=True)
class Weights:
    """What one file says: weights of features, the score of a text that has none, and where doubt begins.

    `named` is where it begins for a text in which a phrase was found: below that the phrase is taken for what it mostly
    is in such a text, a novel's, a recipe's, a game's.
    """

    weight: dict[str, float]
    base: float
    limit: float
    named: float

    def beyond(self, spelt: Sequence[Features], *, named: bool = False) -> float:
        """How far a text (`spell`) is beyond the mark that holds for it; it is doubted above nought. Linear in length.

        Of a text that somebody spelt out of shape (`k1ll`, `s t o p`) the reading that speaks most against it counts.
        """
        return max(map(self.score, spelt)) - (self.named if named else self.limit)

    def score(self, found: Features) -> float:
        """What one reading weighs."""
        return self.base + sum(
            sum(self.weight.get(feature, 0.0) for feature in block) / divisor(len(block), least)
            for block, least in zip(found, (LEAST_ROWS, LEAST_PARTS), strict=True)
        )


def read(lines: Iterable[str]) -> Weights:
    """A weights file: a weight, a tab, then what weighs so much, tabs between; `=base`, `=limit`, `=named` are marks.

    `# ` begins a comment.
    """
    weight: dict[str, float] = {}
    for line in lines:
        value, *weighed = line.rstrip("\n").split("\t")
        if weighed:
            weight.update(dict.fromkeys(weighed, float(value)))
    marks = {name: weight.pop(f"={name}") for name in ("base", "limit", "named")}
    return Weights(weight, **marks)


@cache
def learned(family: str, language: str) -> Weights:
    """The weights of a family, read once and kept.

    `messages` are drafts, `turns` what users say, `endings` their last words, `replies` what the bot said to them, and
    `threads` what the embedded writer would quote. `children`, `stops`, `persons` (who want or have one),
    `households` (who else is at the phone) and `crises` are turns of that kind alone.
    """
    name = f"weights/{family}.{language}.txt"
    with files("relance.guard").joinpath(name).open(encoding="utf-8") as lines:
        return read(lines)
