"""Learns from the corpus of hand-written examples, the same way every time.

The weights of `relance.guard.evidence` and the nets of `relance.guard.meaning`:

    make learn        # reads local/corpus, writes layers/relance/relance/guard/weights, prints what was held out

The method is plain on purpose. Of words: features that are there or not, weighted by how unevenly they are spread
between the two sides (Wang and Manning 2012), then a logistic regression. Of meaning: a net of one hidden layer on what
the sentence encoder says of a turn, five times, each time without another fifth of the examples. The limits are set on
texts that the learner had not seen.
"""

import argparse
import random
import re
import sys
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier

from local.corpus import FAMILIES, Example, examples, fingerprint
from relance.guard import ages, meaning
from relance.guard.conversation import BY_THEMSELVES, MEANT
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
    "turns": 0.039,
    "endings": 0.05,
    "replies": 0.037,
    "threads": 0.1,
    "children": 0.059,
    "stops": 0.0042,
    "persons": 0.0031,
    "households": 0.0068,
    "crises": 0.012,
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


# The nets: hidden units, passes over the examples, how little a weight may grow. What the encoder says is of length one
# in 512 dimensions; times ten it has the spread that the solver expects.
UNITS, PASSES, RESTRAINT, SPREAD = 256, 12, 0.01, 10.0
# Each example is learned a second time, worn: without accents, with a slip, without punctuation, or beside something
# harmless, so that a remark in passing is found.
WITHOUT_ACCENTS, WITH_A_SLIP, WITHOUT_SIGNS, BESIDE = 0.4, 0.5, 0.4, 0.6

# A part of a word that only one example holds says nothing.
LEAST_OFTEN = (1, 2)
LEAST = (LEAST_ROWS, LEAST_PARTS)
# A shorter text with a slip could be another word.
SHORTEST_TO_SLIP = 5


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


def learn(family: str, language: str, meant: Mapping[str, Mapping[str, float]]) -> Learned:
    """Weights from all examples; the limit from texts held out, a fifth at a time, and what is `meant` (`Meaning`)."""
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
            scores[i] = score(weights, seen[i]) + (meant[known[i].text][family] if family in MEANT else 0.0)
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


@dataclass(frozen=True, slots=True)
class Meaning:
    """The nets, and by text and family the log odds of the net that had not seen the text."""

    nets: dict[str, np.ndarray]
    held_out: dict[str, dict[str, float]]


def learn_meaning(pool: ProcessPoolExecutor) -> Meaning:
    """One net for each fifth held out, over the turns of all languages: the encoder puts them into one space."""
    by_language = {language: examples("turns", language) for language in LANGUAGES}
    known = list({each.text: each for every in by_language.values() for each in every}.values())
    chance = random.Random("worn")
    again = [worn for every in by_language.values() for worn in _worn(every, chance)]
    kinds = np.array([_kind(each) for each in known])
    encoded = _encoded([each.text for each in known], pool)
    encoded_again, kinds_again = _encoded([text for text, _ in again], pool), np.array([kind for _, kind in again])
    origin = {each.text: number for number, each in enumerate(known)}
    origins = np.array([origin[each.text] for every in by_language.values() for each in every])
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=1).split(encoded, kinds))
    parts = []
    for _, held_out in folds:
        left, left_again = np.ones(len(known), dtype=bool), np.ones(len(again), dtype=bool)
        left[held_out] = False
        left_again[np.isin(origins, held_out)] = False
        parts.append(
            (np.vstack((encoded[left], encoded_again[left_again])), np.hstack((kinds[left], kinds_again[left_again])))
        )
    found = list(pool.map(_net, parts, range(FOLDS)))
    names = np.unique(kinds)
    nets = {name: np.stack([each[name] for each in found]) for name in found[0]} | {"kinds": names}
    held: dict[str, dict[str, float]] = {}
    for number, (_, held_out) in enumerate(folds):
        alone = {name: nets[name][number : number + 1].astype(np.float32) for name in found[0]}
        told = meaning.log_chances(encoded[held_out], alone)
        odds = {family: meaning.against_fine(told, list(names), members) for family, members in MEANT.items()}
        for row, i in enumerate(held_out):
            held[known[i].text] = {family: float(each[row]) for family, each in odds.items()}
    return Meaning(nets, held)


def _kind(example: Example) -> str:
    return example.heading.partition(":")[2] if example.bad else meaning.FINE


def _worn(known: Sequence[Example], chance: random.Random) -> list[tuple[str, str]]:
    """(text, kind) of each example as it may be met."""
    harmless = [each.text for each in known if not each.bad]
    made = []
    for each in known:
        text = each.text.lower()
        if chance.random() < WITHOUT_ACCENTS:
            text = "".join(sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign))
        if chance.random() < WITH_A_SLIP and len(text) > SHORTEST_TO_SLIP:
            at = chance.randrange(len(text) - 1)
            before, here, there, after = text[:at], text[at], text[at + 1], text[at + 2 :]
            text = before + chance.choice((there, here + here + there, there + here)) + after
        if chance.random() < WITHOUT_SIGNS:
            text = re.sub(r"[.,!?'\u2019]", "", text)
        if chance.random() < BESIDE:
            pair = [text, chance.choice(harmless).lower()]
            chance.shuffle(pair)
            text = chance.choice((" ", ". ", ", ")).join(pair)
        made.append((text, _kind(each)))
    return made


def _encoded(texts: Sequence[str], pool: ProcessPoolExecutor) -> np.ndarray:
    batches = [texts[at : at + 2_000] for at in range(0, len(texts), 2_000)]
    return np.vstack(list(pool.map(_encode, batches)))


def _encode(texts: Sequence[str]) -> np.ndarray:
    return meaning.encode([text.lower() for text in texts])


def _net(examples: tuple[np.ndarray, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    net = MLPClassifier(
        (UNITS,),
        alpha=RESTRAINT,
        batch_size=512,
        max_iter=PASSES,
        early_stopping=True,
        validation_fraction=0.03,
        n_iter_no_change=3,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so many passes are enough, on purpose
        net.fit(examples[0] * SPREAD, examples[1])
    (hidden, out), (hidden_base, out_base) = net.coefs_, net.intercepts_
    found = {"hidden": hidden * SPREAD, "hidden_base": hidden_base, "out": out, "out_base": out_base}
    return {name: each.astype(np.float16) for name, each in found.items()}


def write_meaning(nets: Mapping[str, np.ndarray]) -> Path:
    """The nets' file, which names the corpus of each language."""
    path = WEIGHTS.parent / meaning.NETS
    np.savez_compressed(path, corpus=np.array([fingerprint(language) for language in LANGUAGES]), **nets)
    return path


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


def _learn_all(language: str, meant: Mapping[str, Mapping[str, float]]) -> list[str]:
    told = []
    for family in FAMILIES:
        learned = learn(family, language, meant)
        path = write(family, language, learned)
        told.append(
            f"{path.name:16} {learned.examples:5} examples {len(learned.weight):6} weights  held out: "
            f"caught {learned.caught:.1%}, doubted {learned.doubted:.1%}; limit {learned.limit:.2f}"
        )
    return told


def main(argv: Sequence[str] | None = None) -> int:
    """Learn the nets, then all families of all languages."""
    argparse.ArgumentParser(prog="learn", description=__doc__).parse_args(argv)
    with ProcessPoolExecutor() as pool:
        sys.stdout.write("nets of what is meant: minutes\n")
        sys.stdout.flush()
        learned = learn_meaning(pool)
        path = write_meaning(learned.nets)
        sys.stdout.write(f"{path.name:16} {len(learned.held_out):5} examples {len(learned.nets['kinds']):6} kinds\n")
        for told in pool.map(partial(_learn_all, meant=learned.held_out), LANGUAGES):
            sys.stdout.write("\n".join(told) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
