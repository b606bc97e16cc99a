"""Which turns a writer is shown: those around the thread that was left open, not simply the last ones."""

from relance.interaction import Side, Turn
from relance.writers.thread import around


def said(*texts):
    """A conversation from `u:` and `b:` lines."""
    sides = {"u": Side.USER, "b": Side.BOT}
    return tuple(Turn(sides[text[0]], at, text[3:]) for at, text in enumerate(texts))


LONG = said(
    "u: Hello",
    "b: Hello! What can I do?",
    "u: I want to build a wooden bird house for the garden, tell me more next week",
    "b: Gladly. Pine or oak?",
    "u: ok",
    "b: Pine is easier.",
    "u: thanks",
    "b: You are welcome.",
    "u: cool",
    "b: Until then!",
    "u: ok ok",
)


def test_a_short_conversation_is_shown_whole():
    """Nothing is left out that fits."""
    assert LONG[:4] == around(LONG[:4], "en", 6)


def test_the_open_thread_is_shown_though_courtesies_came_after_it():
    """By recency alone the model would see six thanks and no thread."""
    shown = around(LONG, "en", 6)

    assert LONG[2] in shown
    assert LONG[-1] == shown[-1]
    assert 6 == len(shown)
    assert sorted(shown, key=lambda turn: turn.at) == list(shown)


def test_without_a_thread_the_last_turns_are_shown():
    """The guard has to decide then; the writer is not left without words."""
    empty = said(*["u: ok", "b: fine"] * 5)

    assert empty[-6:] == around(empty, "en", 6)


def test_a_language_without_a_file_shows_the_last_turns():
    """The guard refuses such a language anyway."""
    assert LONG[-6:] == around(LONG, "xx", 6)
