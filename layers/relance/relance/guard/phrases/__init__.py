"""Reads the phrase files beside it: what people say, one phrase family per line, in a small notation.

A phrase is a row of words in any spelling that `guard.text` folds together. In it

    word        that word              word*       any word that begins so
    (a|b c)     one of these           x?          x or nothing
    (a|b)+      one to four of these   (a|b)?      none to four of these
    ~           up to three words      ~~          up to eight words, never across the end of a sentence
    _           any one word           NUM         digits
    BEGIN END   the edge of the text   FULL        a sentence ends here    ASK    a question ends here
    NOT(a|b)    none of these follows

`[section]` begins a family (`[=section]`: its phrases count only as the whole message); `@name = phrase` names a
part that later lines use as `@name`; a line that begins with `- ` is an idiom that means no harm and is struck out
before the section's file is searched; `#` begins a comment.

Matching is linear: an index from the rarest word of each phrase picks the few phrases worth trying, and every gap
is bounded.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files

from relance.guard.text import words

_TOKEN = re.compile(r"NOT\(|[()|+?]|[^\s()|?+]+")
_ATTACHED = re.compile(r"[\w*]\(|\)[\w*(]")
_PREFIX_KEY = 3
_REPEATS = 4
_STRUCK = " § "

# Words too common to single out a phrase: an index entry under them would be tried on nearly every text.
_COMMON = frozenset(
    """a i you me my your it is was are am be to of in on at the and or for with not no do dont have has had will
    would can this that im ive we us he she they so up de la le les des un une je tu te me mon ma et est a pas ne plus
    que qui en vous moi l d j m n c s t el lo los las una yo mi mis no es por para con se al ya si o os as um uma eu
    meu minha nao do da em e com pra ich du mir mich dir dich das der die den ein eine und ist nicht mehr zu so es in
    mit auf war bin hab habe hast ta to too just all get got more""".split()
)


class _Node:
    __slots__ = ("alternatives", "kind", "optional", "repeats", "value")

    def __init__(self, kind: str, value: str = "", alternatives: list[list["_Node"]] | None = None) -> None:
        self.kind = kind
        self.value = value
        self.alternatives = alternatives or []
        self.optional = False
        self.repeats = False


_GAP = r"(?:(?![.?] )[^ ]+ ){0,%d}?"
_SPECIAL = {
    "~": _GAP % 3,
    "~~": _GAP % 8,
    "_": r"(?![.?] )[^ ]+ ",
    "NUM": r"\d+ ",
    "FULL": r"(?:[.?] |$)",
    "ASK": r"\? ",
    "BEGIN": r"(?<!\S )",
    "END": r"(?:[.?] )*$",
}


def _parse(tokens: list[str], start: int, line: str) -> tuple[list[list[_Node]], int]:
    """The alternatives from `start` to the closing bracket or the end, and where that is."""
    alternatives: list[list[_Node]] = [[]]
    at = start
    while at < len(tokens):
        token = tokens[at]
        if token == ")":
            return alternatives, at
        if token == "|":
            alternatives.append([])
        elif token == "?":
            if not alternatives[-1]:
                raise ValueError(f"nothing to be optional in {line!r}")
            alternatives[-1][-1].optional = True
        elif token == "+":
            alternatives[-1][-1].repeats = True
        elif token in ("(", "NOT("):
            inner, at = _parse(tokens, at + 1, line)
            if at >= len(tokens):
                raise ValueError(f"unclosed bracket in {line!r}")
            alternatives[-1].append(_Node("not" if token == "NOT(" else "group", alternatives=inner))
        elif token in _SPECIAL:
            alternatives[-1].append(_Node("special", token))
        else:
            # One written word may fold into several: l'arrêt is two.
            stem = token.removesuffix("*")
            folded = [stem] if stem.isascii() and stem.isalnum() else words(stem).split() or [stem]
            parts = [_Node("word", part) for part in folded]
            if token.endswith("*"):
                parts[-1].kind = "prefix"
            alternatives[-1].append(parts[0] if len(parts) == 1 else _Node("group", alternatives=[parts]))
        at += 1
    return alternatives, at


def _expression(sequence: Iterable[_Node]) -> str:
    pieces = []
    for node in sequence:
        if node.kind == "word":
            piece = re.escape(node.value) + " "
        elif node.kind == "prefix":
            piece = re.escape(node.value) + "[^ ]* "
        elif node.kind == "special":
            piece = _SPECIAL[node.value]
        else:
            joined = "|".join(_expression(alternative) for alternative in node.alternatives)
            piece = f"(?!{joined})" if node.kind == "not" else f"(?:{joined})"
        if node.optional or node.repeats:
            piece = f"(?:{piece}){{{0 if node.optional else 1},{_REPEATS if node.kind == 'group' else 1}}}"
        pieces.append(piece)
    return "".join(pieces)


def _rank(node: _Node) -> int:
    if node.value in _COMMON:
        return 0
    return len(node.value) + (0 if node.kind == "word" else -1)


def _anchors(sequence: Iterable[_Node]) -> tuple[int, list[_Node]]:
    """The word, or set of words, one of which must be in the text for the phrase to be in it."""
    best: tuple[int, list[_Node]] = (-1, [])
    for node in sequence:
        if node.optional or node.kind in ("special", "not"):
            continue
        if node.kind == "group":
            found = [_anchors(alternative) for alternative in node.alternatives]
            if any(rank < 0 for rank, _ in found):
                continue
            candidate = (min(rank for rank, _ in found), [word for _, inner in found for word in inner])
        else:
            candidate = (_rank(node), [node])
        if candidate[0] > best[0]:
            best = candidate
    return best


class _Phrase:
    """One line of a file: compiled when a text first looks as if it could hold it."""

    __slots__ = ("_nodes", "_pattern", "section", "source")

    def __init__(self, section: str, source: str, nodes: list[_Node]) -> None:
        self.section = section
        self.source = source
        self._nodes = nodes
        self._pattern: re.Pattern[str] | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        if self._pattern is None:
            self._pattern = re.compile(" " + _expression(self._nodes))
        return self._pattern


class _Index:
    def __init__(self) -> None:
        self._by_word: dict[str, list[_Phrase]] = {}
        self._by_prefix: dict[str, list[tuple[str, _Phrase]]] = {}
        self._always: list[_Phrase] = []

    def add(self, phrase: _Phrase, nodes: list[_Node]) -> None:
        rank, anchors = _anchors(nodes)
        if rank < 0:
            self._always.append(phrase)
        for anchor in anchors if rank >= 0 else ():
            if anchor.kind == "word":
                self._by_word.setdefault(anchor.value, []).append(phrase)
            elif len(anchor.value) < _PREFIX_KEY:
                raise ValueError(f"a prefix needs {_PREFIX_KEY} letters in {phrase.source!r}")
            else:
                self._by_prefix.setdefault(anchor.value[:_PREFIX_KEY], []).append((anchor.value, phrase))

    def all(self) -> Iterator[_Phrase]:
        found = {id(phrase): phrase for phrases in self._by_word.values() for phrase in phrases}
        found |= {id(phrase): phrase for phrases in self._by_prefix.values() for _, phrase in phrases}
        yield from (*self._always, *found.values())

    def candidates(self, tokens: Iterable[str]) -> Iterator[_Phrase]:
        seen: set[int] = set()
        for phrase in self._always:
            yield phrase
        by_word, by_prefix = self._by_word, self._by_prefix
        for token in tokens:
            for phrase in by_word.get(token, ()):
                if id(phrase) not in seen:
                    seen.add(id(phrase))
                    yield phrase
            for prefix, phrase in by_prefix.get(token[:_PREFIX_KEY], ()):
                if id(phrase) not in seen and token.startswith(prefix):
                    seen.add(id(phrase))
                    yield phrase


class PhraseBook:
    """All phrases of one or more files, by section. `text` arguments are in the form of `guard.text.words`."""

    def __init__(self, *sources: str) -> None:
        """Raises ValueError for a line that is not in the notation of this module."""
        self._phrases = _Index()
        self._harmless = _Index()
        self._whole: dict[str, list[str]] = {}
        self.sections: tuple[str, ...] = ()
        for source in sources:
            self._read(source)

    def _read(self, source: str) -> None:
        section = ""
        parts: dict[str, str] = {}
        for raw in source.splitlines():
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("["):
                section = line.strip("[]")
                if not section.startswith("=") and section not in self.sections:
                    self.sections += (section,)
                continue
            for name in sorted(parts, key=len, reverse=True):
                line = line.replace("@" + name, parts[name])
            if line.startswith("@"):
                name, _, value = line[1:].partition("=")
                parts[name.strip()] = f"({value.strip()})"
                continue
            harmless = line.startswith("- ")
            line = line.removeprefix("- ")
            tokens = _TOKEN.findall(line)
            if _ATTACHED.search(line.replace("NOT(", "(")):
                raise ValueError(f"a bracket stands apart from words: {line!r}")
            alternatives, end = _parse(tokens, 0, line)
            if end < len(tokens) or not section:
                raise ValueError(f"a stray bracket or no section: {line!r}")
            nodes = alternatives[0] if len(alternatives) == 1 else [_Node("group", alternatives=alternatives)]
            if section.startswith("="):
                self._whole.setdefault(section[1:], []).append(_expression(nodes))
            else:
                (self._harmless if harmless else self._phrases).add(_Phrase(section, line, nodes), nodes)

    def phrases(self) -> Iterator[_Phrase]:
        """Every phrase and every harmless idiom, for review and tests."""
        for index in (self._phrases, self._harmless):
            yield from index.all()

    def matches(self, text: str) -> Iterator[_Phrase]:
        """Every phrase found in the text, in no particular order."""
        tokens = set(text.split())
        for phrase in self._harmless.candidates(tokens):
            text = phrase.pattern.sub(_STRUCK, text)
        for phrase in self._phrases.candidates(tokens):
            if phrase.pattern.search(text):
                yield phrase

    def whole(self, section: str) -> re.Pattern[str]:
        """What a whole message of that section looks like: words, each followed by a space."""
        return re.compile("|".join(f"(?:{expression})" for expression in self._whole[section]))

    def found(self, text: str) -> frozenset[str]:
        """The sections of which a phrase is in the text."""
        return frozenset(phrase.section for phrase in self.matches(text))


@cache
def book(*names: str) -> PhraseBook:
    """The phrase book made of these files (`signals.en` is `signals.en.txt`), read once and kept."""
    folder = files(__package__)
    return PhraseBook(*(folder.joinpath(f"{name}.txt").read_text(encoding="utf-8") for name in names))
