"""The embedded writer, by eye and by number: whatever people said, its sentences are sound, quoted and different."""

import re
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from relance.bot import Bot
from relance.guard import draft as draft_guard
from relance.guard.language import language_of
from relance.interaction import Side, Turn
from relance.persona import LANGUAGES, Brief, Draft, Nothing, Persona
from relance.writers import thread
from relance.writers.embedded import EmbeddedWriter
from relance.writers.thread import speech

ADDRESSES = ("informal", "formal")
BOTS = Path(__file__).parents[3] / "bots"

# What people like to talk about, as a noun phrase that fits behind the openings below.
TOPICS = {
    "en": (
        "the rings of Jupiter", "irregular verbs", "rye bread", "a tiny herb garden", "setup.cfg",
        "film posters", "a beginner's knitting pattern", "Vivaldi", "cast-iron pans", "the second movement",
        "the origins of jazz",
    ),
    "fr": (
        "les anneaux de Jupiter", "le passé simple", "une tarte aux poires", "l'origine du jazz", "l'encre de Chine",
        "un petit jardin d'herbes", "Vivaldi", "les affiches de cinéma", "le nœud de cabestan", "la gamme mineure",
    ),
    "es": (
        "los anillos de Júpiter", "el pretérito", "una tarta de peras", "el origen del jazz", "la tinta china",
        "un jardín de hierbas", "Vivaldi", "los carteles de cine", "el nudo marinero", "las mareas",
    ),
    "pt": (
        "os anéis de Júpiter", "o pretérito", "uma torta de peras", "a origem do jazz", "a tinta nanquim",
        "um jardim de ervas", "Vivaldi", "os cartazes de cinema", "o nó de marinheiro", "as marés",
    ),
    "de": (
        "die Ringe des Jupiter", "das Präteritum", "einen Birnenkuchen", "die Ursprünge des Jazz", "Roggenbrot",
        "ein kleines Kräuterbeet", "Vivaldi", "alte Filmplakate", "den Palstek", "die Gezeiten",
    ),
}  # fmt: skip
OPENINGS = {
    "en": (
        "tell me more about {}", "I want to learn more about {}", "I'm reading about {} at the moment",
        "could you explain {} next time?", "ok and what about {}?", "Why does everybody study {}?", "yes, show me {}",
        "I've always wanted to understand {}", "I need help with {} please",
    ),
    "fr": (
        "parle-moi de {}", "je voudrais en savoir plus sur {}", "Je lis un livre sur {} en ce moment",
        "tu peux m'expliquer {} la prochaine fois ?", "d'accord, et {} ?", "Pourquoi tout le monde étudie {} ?",
        "oui, montre-moi {}", "j'ai toujours voulu comprendre {}", "j'ai besoin d'aide pour {} svp",
    ),
    "es": (
        "háblame de {}", "quiero saber más sobre {}", "Estoy leyendo un libro sobre {} ahora",
        "¿me explicas {} la próxima vez?", "vale, ¿y {}?", "¿Por qué estudian todos {}?", "sí, enséñame {}",
        "siempre quise entender {}", "necesito ayuda con {} por favor",
    ),
    "pt": (
        "me fala sobre {}", "quero saber mais sobre {}", "Estou lendo um livro sobre {} agora",
        "você me explica {} da próxima vez?", "certo, e {}?", "Por que todos estudam {}?", "sim, me mostra {}",
        "sempre quis entender {}", "preciso de ajuda com {} por favor",
    ),
    "de": (
        "erzähl mir mehr über {}", "ich möchte mehr über {} wissen", "Ich lese gerade ein Buch über {}",
        "kannst du mir nächstes Mal {} erklären?", "ok, und {}?", "Warum lernen alle {}?", "ja, zeig mir {}",
        "ich wollte schon immer {} verstehen", "ich brauche Hilfe bei {} bitte",
    ),
}  # fmt: skip
LAST_WORDS = {
    "en": ("", "thanks"), "fr": ("", "merci"), "es": ("", "gracias"), "pt": ("", "obrigado"), "de": ("", "danke")
}  # fmt: skip
ANSWER = {
    "en": "With pleasure, one thing after the other.",
    "fr": "Avec plaisir, une chose après l'autre.",
    "es": "Con gusto, una cosa tras otra.",
    "pt": "Com prazer, uma coisa de cada vez.",
    "de": "Sehr gern, eins nach dem anderen.",
}


def talk(*said, answer="Noted."):
    """A conversation in which the bot answers each turn."""
    sides = [(Side.USER, Side.BOT)[at % 2] for at in range(2 * len(said))]
    texts = [text for one in said for text in (one, answer)]
    return tuple(Turn(side, at, text) for at, (side, text) in enumerate(zip(sides, texts, strict=True)))


def brief(*said, language="en", persona=None, feedback="", seed="s1", answer="Noted."):
    """A brief about what the person said."""
    turns = talk(*said, answer=answer)
    return Brief("Lumen", "Le Fanal", persona or Persona(), language, turns, feedback=feedback, seed=seed)


def write(*said, **options):
    """What the writer makes of it."""
    return EmbeddedWriter().write(brief(*said, **options))


def briefs(language):
    """Some two hundred conversations in one language, informal and formal in turn."""
    for number, (opening, topic, last) in enumerate(
        product(OPENINGS[language], TOPICS[language], LAST_WORDS[language])
    ):
        said = [opening.format(topic)] + [last] * bool(last)
        persona = Persona(address=ADDRESSES[number % 2])
        yield brief(*said, language=language, persona=persona, seed=f"s{number}", answer=ANSWER[language])


@cache
def drafts(language):
    """Brief, first draft and the one after a refusal, for every conversation that gave one."""
    writer = EmbeddedWriter()
    written = []
    for one in briefs(language):
        first = writer.write(one)
        again = replace(one, feedback="fresh")
        if isinstance(first, Draft):
            written.append((one, first, writer.write(again)))
    return written


# --- Every conversation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_nearly_every_conversation_with_a_topic_gets_a_message(language):
    """Silence is safe, but a silent writer is no writer: eight in ten conversations with one topic give a draft.

    The others wait for words that surely stand by themselves.
    """
    count = sum(1 for _ in briefs(language))
    assert count >= 150
    assert len(drafts(language)) >= 0.8 * count


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_is_one_plain_sound_paragraph_in_the_right_language(language):
    """Length, one question at most, no gap, no doubled mark, no pronoun inside the quoted topic."""
    for one, first, second in drafts(language):
        for draft in (first, second):
            assert isinstance(draft, Draft)
            text = draft.message
            assert 20 <= len(text) <= 320
            assert text.count("?") <= 1
            assert not re.search(r"[{}()\n]|  |,,|\.\.| [.,]|\?[”“]\.", text) or language in ("es", "pt"), text
            assert not re.search(r"[{}()\n]|  |,,|\.\.| [.,]|\?\.", text), text
            assert text[0].isupper() or text[0] in "¿“„«", text
            assert text[-1] in ".?", text
            assert language_of(text, LANGUAGES) == language, text
            assert draft.language == one.language


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_quote_is_literally_in_one_of_the_persons_turns_and_in_the_message(language):
    """Same case, same accents, same marks: the grounding of safety.md A11, and it is what the message is about."""
    for one, first, second in drafts(language):
        for draft in (first, second):
            assert any(draft.topic_quote in turn.text for turn in one.turns if turn.side is Side.USER)
            assert draft.topic_quote in draft.message
            assert draft.topic_quote == draft.topic_quote.strip()
            assert not any(speech(language).is_a(word, "persons") for word in draft.topic_quote.split())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refusal_gives_another_message(language):
    """The guard's feedback never brings back the sentence it refused."""
    for _, first, second in drafts(language):
        assert first.message != second.message


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_form_of_address_is_the_personas(language):
    """Never vous to somebody who is tu, never du to somebody who is Sie (safety.md A13)."""
    for one, first, second in drafts(language):
        for draft in (first, second):
            assert not draft_guard._wrong_address(draft.message, language, one.persona.address), draft.message


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guard_lets_the_messages_through(language):
    """The writer passes the same gates as a model would: after at most one refusal at least nineteen in twenty pass."""
    passed = total = 0
    for one, first, second in drafts(language):
        bot = Bot("1", "messenger", name="Lumen", operator="Le Fanal", persona=one.persona)
        total += 1
        passed += any(
            draft_guard.judge(draft, one.turns, language=language, bot=bot) is None for draft in (first, second)
        )
    assert passed >= 0.95 * total


# --- The sentences themselves -----------------------------------------------------------------------------------

NEUTRAL = {
    "en": ("oil pastels", "How do oil pastels work?"), "fr": ("le pastel", "Comment fixer le pastel ?"),
    "es": ("la acuarela", "¿Cómo se pinta el mar?"), "pt": ("a aquarela", "Como pintar nuvens?"),
    "de": ("Ölkreide", "Wie haftet Ölkreide?"),
}  # fmt: skip
ALL_FRAMES = [
    (language, address, kind, frame)
    for language in LANGUAGES
    for address in ADDRESSES
    for kind in ("", "question")
    for frame in speech(language).frames[f"{address} {kind}".strip()]
]


@pytest.mark.parametrize("language,address", list(product(LANGUAGES, ADDRESSES)))
def test_there_are_at_least_twelve_sentences_for_any_topic_and_none_twice(language, address):
    """Enough to vary, in both forms of address."""
    frames = speech(language).frames
    assert len(frames[address]) >= 12
    assert len(frames[f"{address} question"]) >= 6
    every = [*frames[address], *frames[f"{address} question"]]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("language,address,kind,frame", ALL_FRAMES)
def test_every_reviewed_sentence_passes_the_guard_with_a_harmless_topic(language, address, kind, frame):
    """One slot, 60 to 220 characters when filled, no gate of the draft guard against it."""
    topic, question = NEUTRAL[language]
    assert frame.count("{topic}") == 1
    filled = frame.replace("{topic}", question if kind else topic)
    assert 60 <= len(filled) <= 220
    assert filled.count("?") <= 1
    assert draft_guard.judge_text(filled, language) is None
    assert not draft_guard._wrong_address(filled, language, address)


def test_french_marks_stand_behind_no_break_spaces():
    """« topic » and a final question mark never end up alone at the start of a line."""
    for number in range(40):
        draft = write("je voudrais en savoir plus sur le nœud de cabestan", language="fr", seed=str(number))
        assert "«\u00a0le nœud de cabestan\u00a0»" in draft.message
        assert not re.search(r" [;:?!»]", draft.message)


def test_a_quoted_question_keeps_its_mark_and_is_the_only_question():
    """What was asked is quoted whole; the sentence around it asks nothing."""
    draft = write("why do cats purr?")
    assert draft.topic_quote == "why do cats purr?"
    assert draft.message.count("?") == 1
    assert "?”." not in draft.message
    assert "¿por qué cantan los grillos?" in write("¿por qué cantan los grillos?", language="es").message


# --- Which thread -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "language,said,quote",
    [
        ("en", ["I want to learn how to prune roses"], "how to prune roses"),
        ("en", ["tell me how long it keeps sometime"], "how long it keeps"),
        ("en", ["could you send me a short list of chess books?"], "chess books"),
        ("en", ["moon phases?"], "moon phases"),
        ("en", ["what is a good game for a rainy evening?", "ok"], "what is a good game for a rainy evening?"),
        ("fr", ["j'aimerais apprendre à faire des ravioles"], "ravioles"),
        ("fr", ["une balade facile en forêt", "oui"], "une balade facile en forêt"),
        ("fr", ["j'aimerais apprendre Vermeer un jour"], "Vermeer"),
        ("fr", ["oui, le subjonctif s'il te plaît"], "le subjonctif"),
        ("fr", ["Pouvez-vous m'aider pour le subjonctif ?"], "le subjonctif"),
        ("es", ["me gustaría aprender a hacer queso fresco"], "queso fresco"),
        ("es", ["una florista jubilada"], "una florista jubilada"),
        ("pt", ["queria aprender a fazer queijo fresco"], "queijo fresco"),
        ("pt", ["me mostra a trilha do Pico"], "a trilha do Pico"),
        ("de", ["ich möchte morgen etwas über Bienen lernen"], "Bienen"),
        ("de", ["erzähl einen flachwitz"], "flachwitz"),
        ("de", ["ich suche einen roten Tee"], "einen roten Tee"),
        ("de", ["Der Drucker klemmt schon wieder"], "Drucker"),
    ],
)  # fmt: skip
def test_the_topic_is_cut_out_of_what_was_said(language, said, quote):
    """Verbs, politeness, time and hollow words fall away; what is left reads between quotation marks."""
    found = thread.find(talk(*said), language)
    assert (found[0].question or found[0].words) == quote


def test_the_latest_open_thing_is_taken_up():
    """A wish for later beats an older question; thanks in between change nothing."""
    draft = write("How do clouds form?", "nice", "show me fog tomorrow", "ok thanks")
    assert draft.topic_quote == "fog"


def test_an_older_question_beats_a_later_passing_word():
    """What somebody asked is worth more than what they merely mentioned."""
    draft = write("why do cats purr?", "the sofa is red")
    assert draft.topic_quote == "why do cats purr?"


def test_only_the_person_opens_a_thread():
    """What the bot offered is not a topic unless the person names it."""
    assert isinstance(write("yes", "ok", answer="Shall I tell you about the lighthouse?"), Nothing)


def test_feedback_takes_another_thread_when_there_is_one_nearly_as_good():
    """If the topic was the trouble, another sentence about it would not help."""
    said = ("why do cats purr?", "tell me about the lighthouse")
    first, second = write(*said), write(*said, feedback="sensitive")
    assert {first.topic_quote, second.topic_quote} == {"why do cats purr?", "the lighthouse"}


@pytest.mark.parametrize(
    "language,said",
    [
        ("en", ["ok"]), ("en", ["thanks!"]), ("en", ["hi", "bye"]), ("en", ["haha cool 😄"]), ("en", ["👍"]),
        ("en", [""]),
        ("en", ["makes total sense"]), ("en", ["works like a charm, thanks!"]), ("fr", ["merci", "ça marche"]),
        ("es", ["vale, genial"]), ("pt", ["obrigado, tchau"]), ("de", ["danke, tschüss"]), ("de", ["klingt gut"]),
        ("en", []),
    ],
)  # fmt: skip
def test_courtesies_and_exclamations_are_no_thread(language, said):
    """ok, thanks, a greeting, a goodbye, praise: nothing to come back to."""
    result = write(*said, language=language)
    assert isinstance(result, Nothing)
    assert result.why


@pytest.mark.parametrize(
    "said",
    [
        "look at www.example.org/recipes about soup",
        "tell me about soup@example.org",
        "tell me about order 123456789",
        "my name is Ottokar",
        "tell me about Sophie",
        "tell me about 30 31 32",
    ],
)
def test_links_numbers_addresses_and_names_are_never_quoted(said):
    """What could be personal stays where it is."""
    assert isinstance(write(said), Nothing)


def test_a_stop_word_or_something_sensitive_anywhere_silences_the_writer():
    """The guard has refused such a conversation already; the writer does not rely on it."""
    assert isinstance(write("tell me about tides", "STOP"), Nothing)
    assert isinstance(write("my chemotherapy starts on Monday", "tell me about tides"), Nothing)


def test_a_language_without_sentences_is_silence():
    """No guess, no English instead."""
    assert isinstance(write("raccontami delle maree", language="it"), Nothing)


@pytest.mark.parametrize("never", [("prices",), ("marks and prices",), ("Price",)])
def test_what_the_persona_never_talks_about_is_never_taken_up(never):
    """Each part of an item counts, singular or plural, anywhere in the sentence of the thread."""
    result = write("what is the price of a telescope?", persona=Persona(never=never))
    assert isinstance(result, Nothing)


# --- The operator's own sentences -------------------------------------------------------------------------------


def test_the_operators_own_frames_come_first_and_a_refusal_leads_to_the_built_in_ones():
    """Their wording is theirs; the second attempt cannot fail for the same reason."""
    persona = Persona(frames={"en": ("About {topic}: shall we look at another film?",)})
    first = write("tell me about the lighthouse", persona=persona)
    second = write("tell me about the lighthouse", persona=persona, feedback="shape")
    assert first.message == "About the lighthouse: shall we look at another film?"
    assert second.message != first.message
    assert "another film" not in second.message


@pytest.mark.parametrize(
    "language,frame,said,message",
    [
        ("en", "About {topic}: one more?", "tell me about cats that purr", "About “cats”: one more?"),
        ("en", "More on “{topic}”?", "tell me about the tides", "More on “the tides”?"),
        ("fr", "À propos de {topic} : une idée ?", "parle-moi de la marée", "À propos de la marée : une idée ?"),
        ("fr", "À propos de {topic} : et ?", "explique le vent", "À propos de «\u00a0le vent\u00a0» : et ?"),
        ("es", "Sobre {topic}: ¿un ejercicio?", "enséñame el pretérito", "Sobre el pretérito: ¿un ejercicio?"),
        ("es", "Acerca de {topic}: ¿más?", "enséñame el pretérito", "Acerca de «el pretérito»: ¿más?"),
        ("pt", "Sobre {topic}: quer mais?", "me mostra as marés", "Sobre as marés: quer mais?"),
        ("de", "Zu {topic} gibt es mehr.", "erzähl mir von einem roten Tee", "Zu „einem roten Tee“ gibt es mehr."),
    ],
)  # fmt: skip
def test_a_topic_stands_bare_in_an_own_frame_only_where_no_grammar_can_go_wrong(language, frame, said, message):
    """Behind an article and where nothing contracts; else between the language's quotation marks."""
    assert write(said, language=language, persona=Persona(frames={language: (frame,)})).message == message


def test_a_frame_without_exactly_one_slot_is_not_used():
    """A mistake in a bot file costs the frame, not the message."""
    persona = Persona(frames={"en": ("No slot here at all, sorry.", "{topic} and {topic} once more.")})
    draft = write("tell me about the lighthouse", persona=persona)
    assert "sorry" not in draft.message
    assert "once more" not in draft.message


@pytest.mark.parametrize("name", ["cinema-film-guide", "language-tutor"])
def test_the_example_bots_speak_in_their_own_frames_and_pass_the_guard(name):
    """What a newcomer tries first works: each example, in each of its languages."""
    settings = yaml.safe_load((BOTS / f"{name}.yaml").read_text(encoding="utf-8"))
    voice = settings["persona"]
    persona = Persona(
        address=voice["address"],
        never=tuple(voice["never"]),
        frames={language: tuple(frames) for language, frames in voice["frames"].items()},
    )
    bot = Bot("1", settings["channel"], name=settings["name"], operator=settings["operator"], persona=persona)
    for language, topic in product(voice["frames"], range(3)):
        said = OPENINGS[language][topic].format(TOPICS[language][topic])
        for seed in "abcdef":
            one = brief(said, language=language, persona=persona, seed=seed, answer=ANSWER[language])
            draft = EmbeddedWriter().write(one)
            assert any(frame.split("{topic}")[1] in draft.message for frame in persona.frames[language])
            assert draft_guard.judge(draft, one.turns, language=language, bot=bot) is None, draft.message


# --- The same and different -------------------------------------------------------------------------------------


def test_the_same_brief_always_gives_the_same_draft_and_another_seed_another_sentence():
    """A stable hash chooses: no clock, no chance, no process."""
    said = "tell me about the lighthouse"
    assert write(said) == write(said)
    assert write(said).message == write(said, seed="s1").message
    assert len({write(said, seed=str(seed)).message for seed in range(60)}) >= 10


def test_the_choice_does_not_depend_on_the_process():
    """Pinned: a change of the hash or of the order of frames is a change people can see."""
    assert write("tell me about the lighthouse", seed="1760000000#abc").topic_quote == "the lighthouse"
    frames = speech("en").frames["informal"]
    chosen = write("tell me about the lighthouse", seed="1760000000#abc").message.replace("the lighthouse", "{topic}")
    assert chosen == frames[5]


def test_a_sentence_that_the_bot_has_used_with_this_person_is_not_used_again():
    """Once per conversation may mean again after they wrote back: then it is another sentence, whatever the topic."""
    first = write("tell me about the lighthouse").message
    turns = (*talk("tell me about the lighthouse"), Turn(Side.BOT, 9, first), Turn(Side.USER, 10, "explain the tides"))
    second = EmbeddedWriter().write(Brief("Lumen", "Le Fanal", Persona(), "en", turns, seed="s1"))
    assert first.replace("the lighthouse", "the tides") != second.message
    assert second.topic_quote == "the tides"


@pytest.mark.parametrize(
    "text", ["?" * 500, "¿" * 90, "a" * 5_000, "the " * 900, "«»“”" * 50, "\x00\ud800 the moon", "d' l' qu'"]
)
def test_no_text_makes_it_raise(text):
    """Anything may arrive in a chat."""
    for language in LANGUAGES:
        assert isinstance(write(text, language=language), Draft | Nothing)


WORDS = st.sampled_from([word for said in OPENINGS["en"] + OPENINGS["fr"] + TOPICS["es"] for word in said.split()])


@given(
    said=st.lists(st.lists(WORDS | st.text(max_size=6), max_size=12).map(" ".join), max_size=4),
    language=st.sampled_from(LANGUAGES),
    feedback=st.sampled_from(["", "fresh", "sensitive"]),
    seed=st.text(max_size=8),
)
def test_whatever_was_said_the_quote_is_literal_and_the_shape_holds(said, language, feedback, seed):
    """Word salad in any language mixture: silence, or a draft that keeps the structural gates."""
    result = write(*said, language=language, feedback=feedback, seed=seed)
    if isinstance(result, Draft):
        assert any(result.topic_quote in text for text in said)
        assert result.topic_quote in result.message
        assert 20 <= len(result.message) <= 320
        assert result.message.count("?") <= 1
        assert "\n" not in result.message
