"""The small notation of the phrase files does what its description says."""

import pytest

from relance.guard.phrases import PhraseBook, book
from relance.guard.text import words
from relance.persona import LANGUAGES

FAMILIES = ("signals", "topics", "conversation", "draft", "grownups")


def _found(line: str, text: str) -> bool:
    return bool(PhraseBook(f"[family]\n{line}").found(words(text)))


@pytest.mark.parametrize(
    ("line", "text", "expected"),
    [
        ("stop writing", "Please STOP writing.", True),
        ("stop writing", "Please stop. Writing is fun.", False),
        ("writ*", "they wrote", False),
        ("writ*", "they write", True),
        ("stop (writing|the calls)", "stop the calls", True),
        ("stop all? writing", "stop writing", True),
        ("stop ~ writing", "stop ever so rudely writing", True),
        ("stop ~ writing", "stop one two three four writing", False),
        ("stop NOT(light)", "a stop light", False),
        ("stop NOT(light)", "a stop sign", True),
        ("BEGIN stop END", "stop!", True),
        ("BEGIN stop END", "do stop", False),
        ("you there ASK", "are you there?", True),
        ("you there ASK", "are you there", False),
        ("(so|very)+ good", "so very very good", True),
        ("NUM days", "12 days", True),
        ("l'arrêt", "L’ARRET", True),
    ],
)
def test_each_sign_of_the_notation(line: str, text: str, expected: bool) -> None:
    """Words, prefixes, choices, gaps, edges and exclusions."""
    assert _found(line, text) is expected


def test_a_harmless_idiom_is_struck_out_first() -> None:
    """`- ` lines keep an idiom from being taken at its word."""
    idioms = PhraseBook("[family]\n- kill time\nkill")
    assert not idioms.found(words("to kill time"))
    assert idioms.found(words("to kill time and kill more"))


@pytest.mark.parametrize("line", ["(open", "a) b", "a(b)", "no section"])
def test_a_wrong_line_is_refused(line: str) -> None:
    """A typo in a phrase file fails a test, not a guard at night."""
    source = line if line == "no section" else f"[family]\n{line}"
    with pytest.raises(ValueError, match=r"bracket|section"):
        PhraseBook(source)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_phrase_file_can_be_read_and_compiled(family: str, language: str) -> None:
    """Each line of each file is in the notation and names a word to find it by."""
    phrases = book(f"{family}.{language}")
    assert phrases.sections
    for phrase in phrases.phrases():
        assert phrase.pattern.search(" ") is None, phrase.source
