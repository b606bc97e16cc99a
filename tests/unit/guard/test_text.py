"""Text is brought into one plain form, and nothing that can be typed breaks it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relance.guard.text import MAX_CHARACTERS, plain, readings, words


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("Arrête !", " arrete . "),
        ("ＳＴＯＰ", " stop "),
        ("s\u200bt\u200dop", " stop "),
        ("\u0455\u0442\u043e\u0440", " stop "),  # Cyrillic letters that look Latin
        ("I don’t", " i dont "),
        ("j'ai", " j ai "),
        ("Straße", " strasse "),
        ("main.py, please?", " main.py please ? "),
    ],
)
def test_spelling_does_not_matter(typed: str, read: str) -> None:
    """Case, accents, width, invisible characters, look-alikes and apostrophes are folded."""
    assert words(typed) == read


@pytest.mark.parametrize("typed", ["s t o p", "s.t.o.p", "S-T-O-P", "st0p", "stooop", "5top"])
def test_what_was_meant_is_among_the_readings(typed: str) -> None:
    """Spaced letters, digits for letters and stretched letters are read as the word they stand for."""
    assert " stop " in readings(typed)


@pytest.mark.parametrize(
    ("typed", "meant"), [("k*ll", "kill"), ("su**ider", "suicider"), ("m*rir", "morir"), ("sel*stmord", "selbstmord")]
)
def test_what_is_starred_out_is_read(typed: str, meant: str) -> None:
    """Words that people mask; any other stars stay what they are."""
    assert f" {meant} " in readings(typed)
    assert readings("a*b tile*grout") == (" a b tile grout ",)


@given(st.text(st.characters(), max_size=300))
def test_no_text_is_too_strange(text: str) -> None:
    """Any string is read, lone surrogates included, and what comes out has single spaces at both ends."""
    for reading in readings(text):
        assert reading.startswith(" ") and reading.endswith(" ")
        assert "  " not in reading.strip()


def test_only_the_beginning_of_a_huge_text_is_read() -> None:
    """The cap keeps a flood of characters from costing time."""
    assert len(plain("a" * 100_000)) == MAX_CHARACTERS
