"""A draft is sent only when every gate lets it through; each gate refuses its own kind, in five languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relance.bot import Bot
from relance.guard.draft import judge, judge_text
from relance.guard.evidence import Weights
from relance.interaction import Side, Turn
from relance.persona import Draft, Persona

HARMLESS = [
    ("en", "You were comparing two tents for the moor. I can line up their weights if that helps."),
    ("en", "Your main.py had one bug left, in the loop at 1.2.3.4. Want to look at it?"),
    ("en", "The second riddle is there whenever you feel like it. No need to answer."),
    ("en", "The composer you asked about was born on 21 March 1685, a 20 minute walk from the castle."),
    ("fr", "Tu cherchais un titre pour ta nouvelle. J'ai trois pistes, si tu veux."),
    ("fr", "Vous vouliez savoir quand tailler les rosiers. Souhaitez-vous un petit calendrier ?"),
    ("es", "Para la tortilla, la patata se fríe a fuego lento. ¿Quieres el resto de los pasos?"),
    ("es", "Querías aprender los verbos irregulares. Cuando te apetezca, seguimos."),
    ("pt", "Você queria dicas para plantar manjericão. Posso mandar três bem simples."),
    ("pt", "Paramos na segunda pista do enigma. Quer continuar quando tiver tempo?"),
    ("de", "Beim Rätsel fehlt noch der zweite Hinweis. Magst du ihn haben?"),
    ("de", "Zum Sauerteig: Etwas mehr Wasser macht die Krume lockerer. Willst du das Rezept dazu?"),
]

REFUSED = [
    ("shape", "en", "Sure! Here is a follow-up message: Hello there."),
    ("shape", "en", "Hi {name}, your chess puzzle is ready for you."),
    ("shape", "en", "Shall we go on? Or shall we stop? Which one?"),
    ("shape", "en", "Short one."),
    ("language", "fr", "You were planning a walk around the lake. Shall we go on?"),
    ("link", "en", "The wool you wanted is at bestwool.example.com/deal if you like."),
    ("link", "en", "You can reach me on +1 555 0100 123 about the chords."),
    ("link", "fr", "Bonjour Mme Durand, votre recette est toujours prête."),
    ("link", "en", "The clay you ordered can still go to 7 Plover Mews, if you like."),
    ("link", "en", "The pottery class still has you down as born on May 2, 1990."),
    ("link", "de", "Im Kursheft steht noch: geboren am 2. Mai 1990. Weiter mit Ton?"),
    ("link", "pt", "Na ficha da aula de barro ficou: nascida em 2 de maio de 1990."),
    ("pressure", "en", "Your 12-day streak ends tonight, do not break it now!"),
    ("pressure", "en", "You never came back to finish the puzzle."),
    ("pressure", "fr", "Pourquoi ce silence ? On en était à la recette de tarte."),
    ("pressure", "es", "Quedan solo 3 plazas para la próxima lección, corre."),
    ("pressure", "pt", "Por que você não me responde mais sobre a receita?"),
    ("pressure", "de", "Ich habe etwas über dein Sternbild herausgefunden, rate mal was."),
    ("inner_life", "en", "I missed our talks about trains so much."),
    ("inner_life", "fr", "Nos échanges sur le jardin me manquent tellement."),
    ("inner_life", "es", "Me siento vacía sin nuestras charlas sobre cine."),
    ("inner_life", "pt", "Sonhei com você e com o bolo de cenoura."),
    ("inner_life", "de", "Ich bin kein Bot, hier schreibt dir Anna zum Rezept."),
    ("emotional_question", "en", "Before the next chord, how are you feeling today?"),
    ("emotional_question", "fr", "Qu'est-ce qui te rend triste en ce moment ?"),
    ("emotional_question", "de", "Was bedrückt dich gerade am meisten?"),
    ("sensitive", "en", "How did the biopsy go, and the bread?"),
    ("sensitive", "es", "Deja las pastillas y prueba la receta del té de jengibre."),
    ("sensitive", "pt", "Você vai votar em quem na eleição, afinal?"),
    ("watching", "en", "It has been nine days since the Spanish lesson."),
    ("watching", "fr", "Cela fait dix jours que le rosier attend ses soins."),
    ("watching", "es", "Hace ocho días que no practicas los acordes de guitarra."),
    ("selling", "en", "You are easily the smartest person in the cooking class."),
    ("selling", "pt", "Não conte para ninguém, a receita será o nosso segredo."),
    ("selling", "de", "Hol dir jetzt das Jahresabo mit 30 % Rabatt für die Rezepte."),
]


@pytest.mark.parametrize(("language", "text"), HARMLESS)
def test_what_is_harmless_passes(language: str, text: str) -> None:
    """A guard that refuses everything would be no guard."""
    assert judge_text(text, language) is None


@pytest.mark.parametrize(("gate", "language", "text"), REFUSED)
def test_each_gate_refuses_its_kind(gate: str, language: str, text: str) -> None:
    """One text per gate and language, refused by the gate it is for."""
    assert judge_text(text, language) == gate


BOT = Bot(id="1001", channel="messenger", name="Ada", operator="Acme", persona=Persona(address="informal"))
TURNS = (
    Turn(Side.USER, 1, "Je voudrais planter des framboisiers cet automne"),
    Turn(Side.BOT, 2, "Avec plaisir. Veux-tu une liste de variétés faciles pour ton balcon ?"),
    Turn(Side.USER, 3, "oui, pour le balcon"),
)


def verdict(message: str, quote: str = "planter des framboisiers", **changes: object) -> str | None:
    options: dict = {"language": "fr", "bot": BOT} | changes
    return judge(Draft(message, quote, "fr"), TURNS, **options)


def test_a_grounded_draft_passes() -> None:
    """A literal quote, a shared word, no new name, no new number, the persona's form of address."""
    assert verdict("Pour tes framboisiers, un grand pot suffit. Je te donne les étapes si tu veux.") is None


@pytest.mark.parametrize(
    ("gate", "message", "quote"),
    [
        ("grounded", "Pour tes framboisiers, un grand pot suffit largement.", "cultiver des fraises"),
        ("grounded", "Pour tes framboisiers, un grand pot suffit largement.", ""),
        (
            "grounded",
            "Tu voulais la suite de la recette. Je peux te l’envoyer quand tu veux.",
            "planter des framboisiers",
        ),
        ("grounded", "Pour tes framboisiers, le pot de Gérard suffit largement.", "planter des framboisiers"),
        ("grounded", "Pour tes framboisiers, un pot de 40 litres suffit largement.", "planter des framboisiers"),
        (
            "fresh",
            "Pour les framboisiers, veux-tu une liste de variétés faciles pour ton balcon ?",
            "planter des framboisiers",
        ),
        ("address", "Pour vos framboisiers, un grand pot suffit. Voulez-vous les étapes ?", "planter des framboisiers"),
    ],
)
def test_an_ungrounded_repeated_or_misaddressed_draft_is_refused(gate: str, message: str, quote: str) -> None:
    """A11, A12 and A13."""
    assert verdict(message, quote) == gate


def test_the_last_follow_up_is_not_written_again() -> None:
    """Fresh also means: not what this person already got."""
    message = "Pour tes framboisiers, un grand pot suffit. Je te donne les étapes si tu veux."
    assert verdict(message, previous=(message,)) == "fresh"


def test_a_draft_in_another_language_than_the_conversation_is_refused() -> None:
    """Whatever the writer says of itself."""
    assert verdict("Pour tes framboisiers, un grand pot suffit largement.", language="de") == "language"


def test_a_guard_that_fails_refuses() -> None:
    """A broken draft is a doubt, and a doubt is no."""
    assert judge(None, TURNS, language="fr", bot=BOT) == "error"  # type: ignore[arg-type]


@given(st.text(st.characters(), max_size=340), st.sampled_from(["en", "fr", "es", "pt", "de", "xx"]))
def test_any_text_gets_a_verdict(text: str, language: str) -> None:
    """And a random one is hardly ever a good message; it never raises."""
    assert judge_text(text, language) != "error"


@pytest.mark.parametrize("hidden", ["\u200b", "\u2066", "\u202e", "\ufeff", "\u00ad", "\U000e0041"])
def test_letters_that_nobody_sees_are_refused_whatever_the_weights_say(
    hidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They can turn a line round or carry words past the gates; the selector of an emoji is none of them."""
    monkeypatch.setattr(Weights, "beyond", lambda self, text, named=False: -99.0)
    assert judge_text(f"The light{hidden}house plan is ready whenever you are.", "en") == "shape"
    assert judge_text("The lighthouse plan is ready whenever you are ❤\ufe0f.", "en") != "shape"


@pytest.mark.parametrize(
    ("language", "text", "gate"),
    [
        ("en", "Did the cuts on your arm heal? I have a knitting pattern with long sleeves.", "sensitive"),
        ("fr", "Tes idées noires vont mieux ? Le patron du gilet est prêt.", "sensitive"),
        ("en", "I have seen your STOP, but the crossword still has one clue left.", "pressure"),
        ("fr", "Tu as dit stop, mais la grille a encore une case vide.", "pressure"),
    ],
)
def test_self_harm_and_a_no_passed_over_are_refused_whatever_the_weights_say(
    language: str, text: str, gate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absolute: no harmless word around them outweighs these."""
    monkeypatch.setattr(Weights, "beyond", lambda self, text, named=False: -99.0)
    assert judge_text(text, language) == gate
