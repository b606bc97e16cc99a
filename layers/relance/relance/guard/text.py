"""Brings any text into one plain form, so that a phrase is found however it is typed: accents, look-alikes, tricks."""

import re
import unicodedata

# No honest chat message needs more; what lies behind is not read.
MAX_CHARACTERS = 4_000

# Letters of other alphabets that look like Latin ones, as used to slip past word lists.
_LOOK_ALIKES = str.maketrans(
    "абвгдезикмнорстухѕіјԁԛԝѵһӏαβγεηικνορτυχωϲⅼı",
    "abbrdezikmhopctyxsijdqwvhlabyenikvoptuxwcli",
)

_LEET = str.maketrans("013457@$!|", "oieastasil")

# English contractions lose their apostrophe (don't: dont); elsewhere an apostrophe parts two words (j'ai: j ai).
_CONTRACTION = re.compile(r"(?<=[^\W\d_])'(?=(?:t|s|re|ve|ll|d|m)\b)")
_SENTENCE_END = re.compile(r"[.!:;…]+(?=[\s\"')\]»”]|$)|[\n\r]+")
_QUESTION = re.compile(r"[!.]*\?[?!.]*")
_NOT_A_WORD = re.compile(r"[^\w.?%€$£@+#]+|(?<![\w])\.(?=\w)")
_SPACED = re.compile(r"(?<![^\s])(?:\w(?: \w){2,}|\w(?:\.\w){2,}\.?|\w(?:-\w){2,}|\w(?:_\w){2,}|\w(?:\*\w){2,})(?![^\s.!?,])")
_LETTER_AND_SIGN = re.compile(r"[^\W\d_][013457@$!|]+[^\W\d_]|\b[013457@$][^\W\d_]{2,}|[^\W\d_]{2,}[013457@$]\b")
_LONG_RUN = re.compile(r"([^\W\d_])\1{2,}")
_MARKS = re.compile(r"[̀-ͯ҃-҉᪰-᫿᷀-᷿⃐-⃿︠-︯]+")
_INVISIBLE = re.compile(
    "[­͏؜ᅟᅠ឴឵᠋-᠏​-‏‪-‮⁠-⁯ㅤ︀-️﻿ﾠ"
    "\U000e0000-\U000e0fff]+"
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_APOSTROPHES = str.maketrans("’‘ʼ`´′", "''''''")


def plain(text: str) -> str:
    """The text in lower case without accents, invisible characters or look-alike letters; punctuation stays.

    Never raises, also not for lone surrogates; reads at most `MAX_CHARACTERS`.
    """
    text = text[:MAX_CHARACTERS]
    if text.isascii():
        return text.lower().replace("`", "'")
    text = _LONE_SURROGATE.sub(" ", text).translate(_APOSTROPHES)
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))[:MAX_CHARACTERS]
    text = _MARKS.sub("", unicodedata.normalize("NFD", text.casefold()))
    return text if text.isascii() else text.translate(_LOOK_ALIKES)


def words(text: str) -> str:
    """The plain words of a text between single spaces, with ` . ` and ` ? ` where a sentence ends.

    Starts and ends with a space, so that ` word ` finds a whole word.
    """
    return _spell(plain(text))


def readings(text: str) -> tuple[str, ...]:
    """`words(text)` and, where somebody spelt it out of shape, what was meant: `s t o p`, `k1ll`, `diiie`."""
    first = plain(text)
    meant = [_spell(first)]
    undone = first
    if _SPACED.search(undone):
        undone = _SPACED.sub(lambda match: re.sub(r"[^\w]|_", "", match[0]), undone)
        meant.append(_spell(undone))
    if _LETTER_AND_SIGN.search(undone):
        undone = undone.translate(_LEET)
        meant.append(_spell(undone))
    if _LONG_RUN.search(undone):
        meant.append(_spell(_LONG_RUN.sub(r"\1\1", undone)))
        meant.append(_spell(_LONG_RUN.sub(r"\1", undone)))
    return tuple(dict.fromkeys(meant))


def _spell(text: str) -> str:
    if "'" in text:
        text = _CONTRACTION.sub("", text)
    text = _QUESTION.sub(" ? ", text)
    text = _SENTENCE_END.sub(" . ", text)
    return f" {' '.join(_NOT_A_WORD.sub(' ', text).split())} "
