"""What relance answers itself: taps on its own buttons, from the ledger, once, inside the window."""

from dataclasses import replace

import pytest

from local.webhooks import build
from relance.answer import _TEXTS, buttons, text
from relance.channels.graph import BUTTON_TITLE
from relance.guard.signals import Signal, read
from relance.interaction import PAYLOAD_STOP
from relance.pair import EVERY_BOT, Pair
from relance.persona import LANGUAGES
from tests.cinema import CINEMA, DAY, HOUR, MOMENT, NOON, talk

BOT = replace(CINEMA, languages=("en", "fr"), contact="the box office, every day from noon")


# ── the words ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("channel", ["messenger", "instagram", "whatsapp"])
@pytest.mark.parametrize("again", [False, True])
def test_the_buttons_fit_every_channel_and_say_what_they_do(language, channel, again):
    """Stop first; 20 characters; WhatsApp takes three; the way to a person is always there."""
    found = buttons(replace(BOT, channel=channel), language, again=again)

    assert PAYLOAD_STOP == found[0][1]
    assert all(len(title) <= BUTTON_TITLE for title, _ in found)
    assert len(found) <= (3 if channel == "whatsapp" else 4)
    assert "RELANCE_PERSON" in {payload for _, payload in found}
    assert again is ("RELANCE_NOT_NOW" in {payload for _, payload in found})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("about", sorted(_TEXTS["en"]))
def test_every_answer_exists_in_every_language_and_is_filled(language, about):
    """No brace is left, the sender is named, and a stop word that it teaches is one that works."""
    about = "why" if about == "not_written" else about
    for used_at in (None, NOON):
        said = text(about, bot=BOT, pair=Pair("messenger#0", "1001", used_at=used_at), language=language)

        assert "{" not in said
        assert "Lumen" in said
        taught = {"en": "STOP", "fr": "STOP", "es": "BAJA", "pt": "SAIR", "de": "STOPP"}[language]
        if taught in said:
            assert read(taught) == {Signal.OPT_OUT}


# ── taps ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def stack(stack):
    """A deployment that has just written to somebody."""
    stack.publish(BOT, enabled_at=NOON - 30 * DAY)
    talk(stack)
    stack.travel(MOMENT)
    stack.sweep()
    stack.drain()
    assert 1 == len(stack.graph.accepted)
    return stack


def tap(stack, payload, id="tap", at=None):
    """The person taps one of relance's buttons."""
    at = stack.now if at is None else at
    body = build("messenger", "quick_reply", bot="1001", user="2002", at=at, id=id, text="x", payload=payload)
    assert 200 == stack.post("messenger", body).status
    stack.drain()


def answers(stack):
    """What was said after the follow-up."""
    return [said.text for said in stack.graph.accepted[1:]]


def pair(stack, bot="1001"):
    """The only pair's row."""
    (row,) = [row for row in stack.pairs() if row["bot"] == bot]
    return row


def test_the_follow_up_carries_the_ways_out(stack):
    """As quick replies, in the conversation's language."""
    (request,) = [r for r in stack.graph.accepted if r.follow_up_id]

    titles = [reply["title"] for reply in request.body["message"]["quick_replies"]]
    assert ["Stop", "Why this message?", "Talk to a person"] == titles


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ("RELANCE_STOP", "will not write to you again"),
        ("RELANCE_WHY", "wrote to you once"),
        ("RELANCE_PERSON", "the box office"),
        ("RELANCE_FORGET", "is being erased"),
    ],
)
def test_a_tap_is_answered_once_and_never_counts(stack, payload, words):
    """From the ledger, without a model; a redelivered tap gets no second answer."""
    register = pair(stack)["s1"]
    tap(stack, payload)
    tap(stack, payload)

    (said,) = answers(stack)
    assert words in said
    assert register == pair(stack).get("s1", register)


@pytest.mark.parametrize("payload", ["RELANCE_STOP", "RELANCE_FORGET"])
def test_stop_and_forget_hold_at_once(stack, payload):
    """The mark is written before anything is answered."""
    tap(stack, payload)

    assert pair(stack, EVERY_BOT)["opted_out_at"]


@pytest.mark.parametrize("words", ["Forget me, please", "Supprimez mes données", "Olvídame", "Vergiss mich"])
def test_who_asks_in_words_to_be_forgotten_is_told_so_and_is(stack, words):
    """Stop at once, an answer, and half a minute later nothing of them is left but marks without words."""
    stack.post("messenger", build("messenger", "text", bot="1001", user="2002", at=stack.now, id="f", text=words))
    stack.drain()
    stack.run_until(stack.now + 120)

    assert 1 == len(answers(stack))
    assert pair(stack, EVERY_BOT)["opted_out_at"]
    assert "to" not in pair(stack)
    assert not [row for row in stack.interactions() if row.get("text")]


def test_not_now_is_ninety_days_from_every_bot(stack):
    """A hold on the person; no answer is owed."""
    tap(stack, "RELANCE_NOT_NOW")

    assert MOMENT + 90 * DAY == pair(stack, EVERY_BOT)["hold_until"]
    assert [] == answers(stack)


def test_a_stop_is_confirmed_once_for_ever(stack):
    """One neutral confirmation at most, however often somebody taps."""
    tap(stack, "RELANCE_STOP", id="a")
    tap(stack, "RELANCE_STOP", id="b")

    assert 1 == len(answers(stack))


def test_a_tap_that_comes_after_its_window_is_not_answered(stack):
    """A redelivery, a day and more later: the platform would refuse it."""
    tap(stack, "RELANCE_WHY", at=stack.now - 25 * HOUR)

    assert 1 >= len(answers(stack))
    stack.travel(stack.now + 2 * DAY)
    tap(stack, "RELANCE_WHY", id="late", at=stack.now - 25 * HOUR)
    assert 1 >= len(answers(stack))


def test_a_plain_stop_is_left_to_the_bot_that_reads_along(stack):
    """With `tee` relance does not know what the bot answers: it takes effect and says nothing."""
    body = build("messenger", "text", bot="1001", user="2002", at=stack.now, id="s", text="STOP")
    stack.post("messenger", body)
    stack.drain()

    assert pair(stack, EVERY_BOT)["opted_out_at"]
    assert [] == answers(stack)


# ── plain words ──────────────────────────────────────────────────────────────────────────────────────────────

ASKED = {
    "en": ("Why are you writing to me?", "I'd like to talk to a real person please"),
    "fr": ("Pourquoi vous m’écrivez ?", "je veux parler à une vraie personne"),
    "es": ("¿Por qué me escribes?", "Quiero hablar con una persona, por favor"),
    "pt": ("Por que você me escreveu?", "queria falar com uma pessoa de verdade"),
    "de": ("Warum schreibst du mir?", "Kann ich mit einem echten Menschen sprechen?"),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_two_questions_are_understood_as_plain_words(language):
    """Not everybody taps: a channel may show no buttons, and people type."""
    why, person = ASKED[language]

    assert frozenset({Signal.WHY}) == read(why)
    assert frozenset({Signal.PERSON}) == read(person)


@pytest.mark.parametrize(
    "words",
    [
        "why is the lighthouse film in black and white?",
        "who is that person in the film",
        "why",
        "human evolution film?",
    ],
)
def test_a_question_about_something_else_is_not_taken_for_one_to_us(words):
    """They count as the whole message only."""
    assert frozenset() == read(words)


def say(stack, words, id="typed"):
    """The person types."""
    stack.post("messenger", build("messenger", "text", bot="1001", user="2002", at=stack.now, id=id, text=words))
    stack.drain()


@pytest.mark.parametrize(
    ("words", "answered"),
    [(ASKED["en"][0], "wrote to you once"), (ASKED["en"][1], "the box office, every day from noon")],
)
def test_typed_questions_after_a_follow_up_are_answered_from_the_ledger(stack, words, answered):
    """Only relance knows why it wrote."""
    say(stack, words)

    (said,) = answers(stack)
    assert answered in said


def test_a_typed_question_long_after_a_follow_up_is_meant_for_the_bot(stack):
    """Three days later the conversation is the bot's own again."""
    stack.travel(MOMENT + 3 * DAY)
    say(stack, ASKED["en"][0])
    assert 1 == len(answers(stack))
    stack.travel(stack.now + 60)
    say(stack, ASKED["en"][1], id="later")

    assert 1 == len(answers(stack))


def test_a_typed_question_where_relance_has_not_written_is_left_to_the_bot(warm_stack):
    """The bot beside us answers people; relance does not barge in."""
    warm_stack.reset(NOON)
    warm_stack.publish(BOT, enabled_at=NOON - 30 * DAY)
    say(warm_stack, ASKED["en"][1])

    assert [] == warm_stack.graph.accepted
