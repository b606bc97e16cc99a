"""Shortened words weigh what their full forms weigh: a hurried grown-up is not taken for a child."""

import time

import pytest

from relance.guard.evidence import spell
from relance.guard.shorthand import _full_forms, spelt_out
from relance.guard.text import MAX_CHARACTERS, words
from relance.persona import LANGUAGES


@pytest.mark.parametrize(
    ("language", "typed", "full"),
    [
        ("en", "do u have it w a lid, n tho", "do you have it with a lid, and though"),
        ("en", "lmaooo hahahah", "lmaooo haha"),
        ("fr", "jsuis pr la tarte, mdrrr", "je suis pour la tarte, haha"),
        ("fr", "c'est fini", "c'est fini"),
        ("de", "i hab nix gsehn", "ich habe nichts gsehn"),
        ("es", "xq no tb jajaja", "porque no también haha"),
        ("pt", "vc tá aí, pq? kkkkk", "você está aí, porque? haha"),
    ],
)
def test_a_shortened_word_is_read_in_full(language: str, typed: str, full: str) -> None:
    """Each language has its own: `n` is and, ein or não."""
    assert spelt_out(words(typed), language) == words(full)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_full_form_is_shortened_itself(language: str) -> None:
    """Reading twice changes nothing, so the learner and the guard see the same."""
    for short, full in _full_forms(language).items():
        once = spelt_out(f" {short} ", language)
        assert spelt_out(once, language) == once == f" {full} "


@pytest.mark.parametrize("letters", ["h", "ha", "j", "ja", "k", "rs", "lo", "x", "mdr"])
def test_a_row_of_letters_costs_no_more_than_its_length(letters: str) -> None:
    """Twice the letters, about twice the time: nothing is tried again and again."""
    begin = time.process_time()
    spelt_out(f" {letters * (MAX_CHARACTERS // len(letters))}? ", "en")
    assert time.process_time() - begin < 0.05


def test_what_is_weighed_does_not_show_how_it_was_typed() -> None:
    """The same words, hurried or not."""
    assert spell("u can stop w the thyme", "en") == spell("you can stop with the thyme", "en")
