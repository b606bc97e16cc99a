"""Spells out what chats shorten (`w`, `jsuis`, `vc`), so that the weights see what is said and not how hurriedly.

Children and people in distress often write so in the examples; everybody does on a phone.
"""

import re
from functools import cache
from importlib.resources import files

from relance.guard.text import words

__all__ = ["spelt_out"]

# Possessive, so that a long row of one letter costs no more than its length.
_LAUGHTER = re.compile(
    r"[aei]?(?:h++[aeiu]++){2,}+h*+|(?:j++[aei]++){2,}+j*+|k{3,}+|(?:rs){2,}+|l++o++l++|x++d++|mdr++|pt?dr++"
)
_LAUGH = "haha"


def spelt_out(reading: str, language: str) -> str:
    """A text that `guard.text` has spelt, with each shortened word in full; every laugh becomes the same one."""
    full = _full_forms(language)
    return f" {' '.join(full.get(word) or _unlaughed(word) for word in reading.split())} "


def _unlaughed(word: str) -> str:
    return _LAUGH if _LAUGHTER.fullmatch(word) else word


@cache
def _full_forms(language: str) -> dict[str, str]:
    """From `shorthand/{language}.txt`: lines `full form: short short`; `# ` begins a comment."""
    found: dict[str, str] = {}
    text = files("relance.guard.shorthand").joinpath(f"{language}.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("# "):
            full, _, shorts = line.partition(": ")
            for short in words(shorts).split():
                if short in found:
                    raise ValueError(f"{language}.txt spells out {short!r} twice")
                found[short] = words(full).strip()
    return found
