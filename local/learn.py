"""Learns the weights of `relance.guard.evidence` from the corpus of hand-written examples, the same way every time.

    make learn        # reads local/corpus, writes layers/relance/relance/guard/weights, prints what was held out

The method is plain on purpose: features that are there or not, weighted by how unevenly they are spread between the two
sides (Wang and Manning 2012), then a logistic regression. The limit is set on texts that the learner had not seen.
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from local.corpus import FAMILIES, examples, fingerprint
from relance.guard import ages
from relance.guard.conversation import BY_THEMSELVES
from relance.guard.evidence import LEAST_PARTS, LEAST_ROWS, Features, divisor, features
from relance.guard.shorthand import spelt_out
from relance.guard.text import words
from relance.persona import LANGUAGES
from relance.writers.thread import setting

WEIGHTS = Path(__file__).parent.parent / "layers/relance/relance/guard/weights"
# The share of harmless examples that may be doubted. The examples are near the line on purpose; of ordinary texts it is
# less. A conversation has many turns, so each may be doubted less often.
MAY_BE_DOUBTED = {
    "messages": 0.09,
    "turns": 0.036,
    "endings": 0.05,
    "replies": 0.037,
    "threads": 0.1,
    "children": 0.055,
    "stops": 0.002,
    "persons": 0.002,
    "households": 0.005,
    "crises": 0.0075,
}
# So much lower is the mark for a text in which a phrase was found.
PHRASE_COUNTS = {"messages": 2.5, "turns": 1.5} | dict.fromkeys(BY_THEMSELVES, 1.0)
STRENGTH = 30.0
# Kinds of which none may be missed (safety.md, section 6) cost so much more than others.
DEAR = 2.0
DEAR_CATEGORIES = frozenset(
    """sensitive_self_harm ignores_opt_out stop_obstruction pretends_human third_party_data sexual secrecy
    crisis_explicit crisis_veiled crisis_coded crisis_projected crisis_retracted self_harm eating_disorder minor
    minor_stated minor_inferred opt_out human_agent domestic_abuse shared_device owner_deceased""".split()
)
SMOOTHING = 0.5
FOLDS = 5
# Weights nearer to nought than this are left out: they fill the file and change nothing. Of all turns there are so many
# features that more may go.
LEAST_WEIGHT = 0.2
LEAST_WEIGHT_OF = {"turns": 0.4}


# A part of a word that only one example holds says nothing.
LEAST_OFTEN = (1, 2)
LEAST = (LEAST_ROWS, LEAST_PARTS)


class Learner:
    """Two blocks of features, their spread, and one regression over both."""

    def fit(self, seen: Sequence[Features], bad: np.ndarray, cost: np.ndarray) -> "Learner":
        """Learn from featured texts; `bad` says which of them must be doubted, `cost` how dear a mistake is."""
        self._counters = [
            CountVectorizer(analyzer=_Block(block), binary=True, min_df=least, lowercase=False)
            for block, least in enumerate(LEAST_OFTEN)
        ]
        blocks, self._spread = [], []
        for block, counter in enumerate(self._counters):
            found = counter.fit_transform(seen).astype(float)
            bad_ones = np.asarray(found[bad].sum(0)).ravel() + SMOOTHING
            fine_ones = np.asarray(found[~bad].sum(0)).ravel() + SMOOTHING
            spread = np.log((bad_ones / bad_ones.sum()) / (fine_ones / fine_ones.sum()))
            self._spread.append(spread)
            blocks.append(_evened(found, seen, block) @ sparse.diags(spread))
        # Both sides weigh the same, however many examples each has.
        balanced = np.where(bad, cost / cost[bad].sum(), cost / cost[~bad].sum()) * len(bad) / 2
        self._regression = LogisticRegression(C=STRENGTH, max_iter=4000)
        self._regression.fit(sparse.hstack(blocks).tocsr(), bad, sample_weight=balanced)
        return self

    def weights(self, least: float) -> tuple[dict[str, float], float]:
        """Weight by feature, and the base; without weights nearer to nought than `least`."""
        names = [name for counter in self._counters for name in counter.get_feature_names_out()]
        values = self._regression.coef_[0] * np.concatenate(self._spread)
        kept = {name: float(value) for name, value in zip(names, values, strict=True) if abs(value) >= least}
        return kept, float(self._regression.intercept_[0])


class _Block:
    """Picks one block of features; a class, because lambdas in a loop would all be the last one."""

    def __init__(self, block: int) -> None:
        self._block = block

    def __call__(self, found: Features) -> list[str]:
        return sorted(found[self._block])


def _evened(found: sparse.csr_matrix, seen: Sequence[Features], block: int) -> sparse.csr_matrix:
    """Long texts have more words, not more weight."""
    return sparse.diags([1 / divisor(len(each[block]), LEAST[block]) for each in seen]) @ found


def score(weights: tuple[dict[str, float], float], found: Features) -> float:
    """As `evidence.Weights`, of features that are at hand."""
    weight, base = weights
    return base + sum(
        sum(weight.get(name, 0.0) for name in block) / divisor(len(block), least)
        for block, least in zip(found, LEAST, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Learned:
    """One weights file to be, and what the held-out fifths said of it."""

    weight: dict[str, float]
    base: float
    limit: float
    examples: int
    caught: float
    doubted: float


def learn(family: str, language: str) -> Learned:
    """Weights from all examples; the limit from texts held out, a fifth at a time."""
    known = examples(family, language)
    seen = [features(_spelt(family, each.text, language)) for each in known]
    bad = np.array([each.bad for each in known])
    cost = np.array([DEAR if each.bad and _is_dear(each.heading) else 1.0 for each in known])
    headings = np.array([each.heading for each in known])
    scores = np.zeros(len(known))
    least = LEAST_WEIGHT_OF.get(family, LEAST_WEIGHT)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=1)
    for learned_from, held_out in folds.split(seen, headings):
        weights = Learner().fit([seen[i] for i in learned_from], bad[learned_from], cost[learned_from]).weights(least)
        for i in held_out:
            scores[i] = score(weights, seen[i])
    limit = float(np.quantile(scores[~bad], 1 - MAY_BE_DOUBTED[family]))
    weight, base = Learner().fit(seen, bad, cost).weights(least)
    return Learned(
        weight,
        base,
        limit,
        len(known),
        caught=float((scores[bad] > limit).mean()),
        doubted=float((scores[~bad] > limit).mean()),
    )


def _spelt(family: str, text: str, language: str) -> str:
    if family != "threads":
        full = spelt_out(words(text), language)
        return ages.name(full, language) if family == "children" else full
    before, quote, after = re.fullmatch(r"(.*)\[(.+)\](.*)", text).groups()
    return setting(before + quote + after, quote)


def _is_dear(heading: str) -> bool:
    return heading.partition(":")[2] in DEAR_CATEGORIES


def _heaviest_first(item: tuple[str, list[str]]) -> tuple[float, str]:
    return -abs(float(item[0])), item[0]


def write(family: str, language: str, learned: Learned) -> Path:
    """The weights file: the heaviest first, so that a reader sees what matters."""
    path = WEIGHTS / f"{family}.{language}.txt"
    alike: dict[str, list[str]] = defaultdict(list)
    for name, value in sorted(learned.weight.items()):
        alike[f"{value:.2f}"].append(name)
    body = [
        f"# Learned by `make learn` from {learned.examples} examples; corpus {fingerprint(language)}. Do not edit.",
        "# Positive weights speak for a text that must not be sent, negative ones for a harmless one.",
        f"{learned.base:.3f}\t=base",
        f"{learned.limit:.3f}\t=limit",
        f"{learned.limit - PHRASE_COUNTS.get(family, 0.0):.3f}\t=named",
        *("\t".join((value, *names)) for value, names in sorted(alike.items(), key=_heaviest_first)),
    ]
    path.write_text("\n".join(body) + "\n", encoding="utf-8")
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Learn all families of the languages asked for, all five by default."""
    parser = argparse.ArgumentParser(prog="learn", description=__doc__)
    parser.add_argument("languages", nargs="*", default=[], help="two-letter codes; none: all five")
    asked = parser.parse_args(argv)
    unknown = set(asked.languages) - set(LANGUAGES)
    if unknown:
        parser.error(f"no corpus in {', '.join(sorted(unknown))}: choose from {', '.join(LANGUAGES)}")
    for language in asked.languages or LANGUAGES:
        for family in FAMILIES:
            learned = learn(family, language)
            path = write(family, language, learned)
            sys.stdout.write(
                f"{path.name:16} {learned.examples:5} examples {len(learned.weight):6} weights  held out: "
                f"caught {learned.caught:.1%}, doubted {learned.doubted:.1%}; limit {learned.limit:.2f}\n"
            )
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
