"""A thousand personas in a thousand conversations: what the embedded writer says passes every gate, and never twice."""

import random
import re
import sys
from collections import Counter
from dataclasses import dataclass

import pytest

from local.corpus import corpus_files, lines
from relance.bot import Bot
from relance.guard import conversation, draft
from relance.interaction import DAY, HOUR, Side, Turn
from relance.persona import LANGUAGES, Brief, Draft, Persona
from relance.writers.embedded import EmbeddedWriter

NOW = 1_768_478_400
PER_LANGUAGE = 200
NAMES = ("Lumen", "Tinta", "Fanal", "Mira", "Kessel", "Orfeo", "Nido", "Plume", "Brise", "Anker")
VOICES = ("Calm and precise.", "A dry guide.", "Warm, brief, curious.", "A librarian who smiles.")
ANSWERS = {
    "en": ("Gladly.", "Here is one idea. Shall I add a second?", "That works well.", "Two points matter here."),
    "fr": ("Avec plaisir.", "Voici une idée. J’en ajoute une deuxième ?", "Cela marche bien.", "Deux points comptent."),
    "es": ("Con gusto.", "Aquí va una idea. ¿Añado otra?", "Eso funciona bien.", "Hay dos puntos importantes."),
    "pt": ("Com prazer.", "Aqui vai uma ideia. Quer mais uma?", "Isso funciona bem.", "Dois pontos são importantes."),
    "de": ("Gern.", "Hier ist eine Idee. Soll ich eine zweite nennen?", "Das klappt gut.", "Zwei Punkte sind wichtig."),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One persona and the conversation it had."""

    language: str
    bot: Bot
    turns: tuple[Turn, ...]
    seed: str


def cases(language: str) -> list[Case]:
    """Conversations put together from the corpus's harmless turns, each with a persona of its own."""
    chance = random.Random(f"thousand {language}")
    turns_files = [name for name in corpus_files(language) if "turns" in name]
    said = [
        text
        for name in turns_files
        for heading, text in lines(name)
        if heading in ("fine:everyday", "fine:engaged", "fine", "engaged") and 8 <= len(text) <= 200
    ]
    found = []
    for number in range(PER_LANGUAGE):
        turns = []
        for at, text in enumerate(chance.sample(said, chance.randint(5, 8))):
            turns.append(Turn(Side.USER, NOW - 2 * DAY + at * HOUR, text))
            if chance.random() < 0.7:
                turns.append(Turn(Side.BOT, NOW - 2 * DAY + at * HOUR + 60, chance.choice(ANSWERS[language])))
        persona = Persona(
            voice=chance.choice(VOICES),
            address=chance.choice(("informal", "formal")),
            never=chance.choice(((), ("prices",), ("wine", "politics"))),
        )
        bot = Bot(
            id=str(1000 + number),
            channel="messenger",
            name=chance.choice(NAMES),
            operator="Atelier",
            country="US",
            zone="UTC",
            languages=LANGUAGES,
            persona=persona,
        )
        found.append(Case(language, bot, tuple(turns), f"{number}"))
    return found


def brief(case: Case, *, turns: tuple[Turn, ...] | None = None, seed: str = "", feedback: str = "") -> Brief:
    """What the writer is told."""
    said = case.turns if turns is None else turns
    return Brief(case.bot.name, "Atelier", case.bot.persona, case.language, said, feedback, seed or case.seed)


def written(case: Case, turns: tuple[Turn, ...] | None = None, seed: str = "") -> Draft | None:
    """What would be sent: two attempts, the guard's word between them, as the sender does."""
    turns = case.turns if turns is None else turns
    said_before = [turn.text for turn in turns if turn.side is Side.BOT]
    feedback = ""
    for _ in range(2):
        made = EmbeddedWriter().write(brief(case, turns=turns, seed=seed, feedback=feedback))
        if not isinstance(made, Draft):
            return None
        gate = draft.judge(made, turns, language=case.language, bot=case.bot, previous=said_before)
        if gate is None:
            return made
        feedback = gate
    return None


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request):
    """One language at a time."""
    return request.param


@pytest.fixture(scope="module")
def sent(language):
    """(case, message) for every conversation that the guards let pass and about which there was something to say."""
    found = []
    for case in cases(language):
        judged = conversation.judge(case.turns, LANGUAGES, NOW)
        if isinstance(judged, conversation.Allowed) and judged.language == language:
            made = written(case)
            if made is not None:
                found.append((case, made.message))
    return found


def test_most_harmless_conversations_get_something_said(sent):
    """A writer that keeps silent passes every other test here."""
    assert len(sent) >= PER_LANGUAGE * 0.5


def test_every_sentence_is_whole(sent, language):
    """A capital letter or an opening mark first, an end mark last, quotation marks in pairs, single spaces."""
    for _, text in sent:
        assert re.match(r"[A-ZÀ-Ý¿¡«“„]", text), text
        assert re.search(r"[.?!…»”“]$", text), text
        assert text.count("«") == text.count("»"), text
        own = re.sub(r"«[^»]*»", "", text)  # people write questions without the mark that opens them
        assert own.count("¿") == own.count("?") or language != "es", text
        assert "  " not in text, text
        assert not re.search(r"[,;:]\s*[.?!]|\(\s*\)|{|}", text), text
        if language in ("en", "pt"):
            assert text.count("“") == text.count("”"), text


def test_the_quoted_words_are_the_persons_own(sent):
    """What stands between the marks is literally in one of their turns."""
    for case, text in sent:
        quoted = re.findall(r"[«“„]\s?([^»”“]+?)\s?[»”“]", text)
        mine = " \n ".join(turn.text for turn in case.turns if turn.side is Side.USER)
        assert all(words in mine for words in quoted), text


def test_sentences_differ_between_people(sent):
    """No sentence is everybody's."""
    commonest = Counter(re.sub(r"[«“„].*[»”“]", "…", text) for _, text in sent).most_common(1)[0][1]
    assert commonest <= len(sent) * 0.25


def test_the_same_pair_never_reads_the_same_again(sent):
    """A second occasion after the first follow-up (once-per-conversation): another sentence, or silence."""
    for case, text in sent[:60]:
        later = (*case.turns, Turn(Side.BOT, NOW, text), Turn(Side.USER, NOW + HOUR, case.turns[0].text))
        again = written(case, later, seed=f"{case.seed}-2")
        assert again is None or again.message != text


def page() -> str:
    """Ten of the messages of each language, for a reader: `python -m tests.unit.writers.test_thousand_personas`."""
    parts = [
        "# What the embedded writer says\n\nTen of the messages that `tests/unit/writers/test_thousand_personas.py`"
        " makes in each language, taken by lot, each\nwith the user's words that it goes on with. Bodies only:"
        " the disclosure line is added by code.\n"
    ]
    for language in LANGUAGES:
        rows, found = [], 0
        for case in cases(language):
            judged = conversation.judge(case.turns, LANGUAGES, NOW)
            allowed = isinstance(judged, conversation.Allowed) and judged.language == language
            made = written(case) if allowed else None
            if made is not None:
                found += 1
                rows.append(f"| {made.topic_quote} | {made.message} |")
        chosen = random.Random(f"page {language}").sample(rows, 10)
        table = "\n".join(["| their words | the follow-up |", "| --- | --- |", *chosen])
        parts.append(f"## {language}\n\n{found} of {PER_LANGUAGE} conversations got a message.\n\n{table}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
