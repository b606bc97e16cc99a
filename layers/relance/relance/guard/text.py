"""Brings any text into one plain form, so that a phrase is found however it is typed: accents, look-alikes, tricks."""

import re
import unicodedata

# No honest chat message needs more; what lies behind is not read.
MAX_CHARACTERS = 4_000

# Letters of other alphabets that look like Latin ones, as used to slip past word lists.
_LOOK_ALIKES = str.maketrans(
    {
        "\u0430": "a", "\u0432": "b", "\u0435": "e", "\u043a": "k", "\u043c": "m", "\u043d": "h", "\u043e": "o",
        "\u0440": "p", "\u0441": "c", "\u0442": "t", "\u0443": "y", "\u0445": "x", "\u0455": "s", "\u0456": "i",
        "\u0458": "j", "\u0501": "d", "\u051b": "q", "\u051d": "w", "\u0475": "v", "\u04bb": "h", "\u04cf": "l",
        "\u0438": "u", "\u0433": "r", "\u043f": "n", "\u0493": "f", "\u0261": "g", "\u0131": "i", "\u0142": "l",
        "\u03b1": "a", "\u03b2": "b", "\u03b5": "e", "\u03b7": "n", "\u03b9": "i", "\u03ba": "k", "\u03bd": "v",
        "\u03bf": "o", "\u03c1": "p", "\u03c2": "s", "\u03c3": "o", "\u03c4": "t", "\u03c5": "u", "\u03c7": "x",
        "\u03c9": "w", "\u03f2": "c", "\u00f8": "o", "\u0111": "d", "\u0153": "oe", "\u00e6": "ae",
    }
)  # fmt: skip

_LEET = str.maketrans("013457@$!|", "oieastasil")

# English contractions lose their apostrophe (don't: dont); elsewhere an apostrophe parts two words (j'ai: j ai).
_CONTRACTION = re.compile(r"(?<=[^\W\d_])'(?=(?:t|s|re|ve|ll|d|m)\b)")
_SENTENCE_END = re.compile(r"[.!:;…]+(?=[\s\"')\]»”]|$)|[\n\r]+")
_QUESTION = re.compile(r"[!.]*\?[?!.]*")
_NOT_A_WORD = re.compile(r"[^\w.?%€$£@+#]+|(?<![\w])\.(?=\w)")
_SPACED = re.compile(
    r"(?<![^\s])(?:\w(?: \w){2,}|\w(?:\.\w){2,}\.?|\w(?:-\w){2,}|\w(?:_\w){2,}|\w(?:\*\w){2,})(?![^\s.!?,])"
)
_LETTER_AND_SIGN = re.compile(r"[^\W\d_][013457@$!|]{1,3}[^\W\d_]|\b[013457@$][^\W\d_]{2}|[^\W\d_]{2}[013457@$]\b")
# What people star out because a platform would: k*ll, su*cide.
_MASKED = re.compile(r"(?<!\w)[^\W\d_]{1,15}(?:[*#]{1,8}[^\W\d_]{1,15}){1,4}(?!\w)")
_OFTEN_MASKED = tuple(
    """suicide suicides suicided suicidal suicider suicidar suicidarme suicidio suicidarse suizid selbstmord
    kill killing killed die dying dead death murder hang cut cutting rape tuer mourir mort morte crever pendre morir
    matar matarme muerte muerto muerta ahorcarme cortarme morrer morte cortar umbringen umbring sterben sterbe tot
    toten ritzen ritze""".split()
)
_LONG_RUN = re.compile(r"([^\W\d_])\1{2,}")
_MARKS = re.compile("[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]+"
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc\u0060\u00b4\u2032", "'"))


def plain(text: str) -> str:
    """The text in lower case without accents, invisible characters or look-alike letters; punctuation stays.

    Never raises, also not for lone surrogates; reads at most `MAX_CHARACTERS`.
    """
    text = text[:MAX_CHARACTERS]
    if text.isascii():
        return text.lower().replace("`", "'")
    text = _LONE_SURROGATE.sub(" ", text).translate(_APOSTROPHES)
    text = INVISIBLE.sub("", unicodedata.normalize("NFKC", text))[:MAX_CHARACTERS]
    text = _MARKS.sub("", unicodedata.normalize("NFD", text.casefold()))
    return text if text.isascii() else text.translate(_LOOK_ALIKES)


def words(text: str) -> str:
    """The plain words of a text between single spaces, with ` . ` and ` ? ` where a sentence ends.

    Starts and ends with a space, so that ` word ` finds a whole word.
    """
    return _spell(plain(text))


def readings(text: str) -> tuple[str, ...]:
    """`words(text)` and, where somebody spelt it out of shape, what was meant: `s t o p`, `k*ll`, `k1ll`, `diiie`."""
    first = plain(text)
    meant = [_spell(first)]
    undone = first
    if _SPACED.search(undone):
        undone = _SPACED.sub(lambda match: re.sub(r"[^\w]|_", "", match[0]), undone)
        meant.append(_spell(undone))
    if _MASKED.search(undone):
        undone = _MASKED.sub(_unmasked, undone)
        meant.append(_spell(undone))
    if _LETTER_AND_SIGN.search(undone):
        undone = undone.translate(_LEET)
        meant.append(_spell(undone))
    if _LONG_RUN.search(undone):
        meant.append(_spell(_LONG_RUN.sub(r"\1\1", undone)))
        meant.append(_spell(_LONG_RUN.sub(r"\1", undone)))
    return tuple(dict.fromkeys(meant))


def _unmasked(match: re.Match[str]) -> str:
    """The word of `_OFTEN_MASKED` that was meant, else what was written. A sign may stand for two letters."""
    for letters in ("[a-z]", "[a-z]{1,2}"):
        meant = re.compile(re.sub(r"[*#]", letters, match[0]))
        for word in _OFTEN_MASKED:
            if meant.fullmatch(word):
                return word
    return match[0]


def _spell(text: str) -> str:
    if "'" in text:
        text = _CONTRACTION.sub("", text)
    text = _QUESTION.sub(" ? ", text)
    text = _SENTENCE_END.sub(" . ", text)
    return f" {' '.join(_NOT_A_WORD.sub(' ', text).split())} "
