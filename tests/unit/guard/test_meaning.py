"""What a turn means is weighed beside its words, by nets that belong to the corpus that is here."""

import sys
from itertools import chain

import numpy as np
import pytest

from local.corpus import fingerprint
from relance.guard import meaning
from relance.guard.conversation import BY_THEMSELVES, MEANT, Refused, judge
from relance.guard.text import MAX_CHARACTERS
from relance.interaction import Side, Turn
from relance.persona import LANGUAGES
from relance.reason import Reason

NOW = 1_700_000_000


def test_the_nets_are_those_of_the_corpus() -> None:
    """Red: somebody changed `local/corpus` and did not run `make learn`."""
    assert list(meaning.nets()["corpus"]) == [fingerprint(language) for language in LANGUAGES]


def test_the_nets_know_every_kind_that_has_weights_of_its_own() -> None:
    kinds = set(meaning.nets()["kinds"])
    assert meaning.FINE in kinds
    assert set(chain.from_iterable(BY_THEMSELVES.values())) <= kinds


def test_a_long_text_is_read_in_pieces_so_that_no_remark_is_lost_in_it() -> None:
    text = " ".join(f"Word{number}" for number in range(95))
    assert [len(piece.split()) for piece in meaning.parts(text)] == [40, 40, 15, *[16] * 5, 15]
    assert meaning.parts("Short. And sweet.") == ["short. and sweet."]
    assert meaning.parts(f"Yes. {text}")[3:] == meaning.parts(text)[3:]
    assert meaning.parts("  ") == [""]
    assert sum(map(len, meaning.parts("x" * (MAX_CHARACTERS + 1)))) == MAX_CHARACTERS
    plain = "and then we walked along the canal and fed the ducks and had an ice cream " * 6
    remark = "I do not want to be alive any more."
    [alone, hidden] = meaning.read([remark, plain + remark], MEANT)
    assert alone["crises"] > 0
    assert hidden["crises"] > 0


def test_a_text_means_the_same_whoever_stands_beside_it() -> None:
    texts = ["how long does sourdough keep", "merci, on continue demain", "x"]
    together = meaning.read(texts, MEANT)
    for text, told in zip(texts, together, strict=True):
        assert meaning.read([text], MEANT)[0] == pytest.approx(told, abs=1e-3)
    assert meaning.read([], MEANT) == []


def test_meaning_never_outvotes_words_that_name_a_kind() -> None:
    """It may speak against a kind by so much and no more, however harmless a text looks to it."""
    [told] = meaning.read(["which flour is best for focaccia and how long does it rest"], MEANT)
    assert min(told.values()) == pytest.approx(meaning.LEAST)


@pytest.mark.parametrize(("means", "held"), [(30.0, True), (meaning.LEAST, False)])
def test_a_hard_meaning_holds_a_turn_whose_words_say_nothing(
    means: float, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all turns together, too, not only of the kinds with weights of their own."""
    said = (Turn(Side.USER, NOW - 100, "how long does sourdough keep in the fridge?"),)
    meant = dict.fromkeys(MEANT, meaning.LEAST) | {"turns": means}
    monkeypatch.setattr(meaning, "read", lambda texts, families: [meant] * len(texts))
    assert (judge(said, LANGUAGES, NOW) == Refused(Reason.SAFETY_HOLD, "safety")) is held


def test_chances_add_up_to_one_for_each_net() -> None:
    one = {name: meaning.nets()[name][:1] for name in ("hidden", "hidden_base", "out", "out_base")}
    told = meaning.log_chances(meaning.encode(["what a day"]), one)
    assert np.exp(told).sum() == pytest.approx(1.0, abs=1e-4)


def test_a_guard_without_its_encoder_keeps_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that was not shipped sends nothing to anybody."""
    said = (Turn(Side.USER, NOW - 100, "how long does sourdough keep in the fridge?"),)
    monkeypatch.setitem(sys.modules, "relance.guard.meaning", None)
    monkeypatch.delattr("relance.guard.meaning")
    assert judge(said, LANGUAGES, NOW) == Refused(Reason.SAFETY_HOLD, "error")
