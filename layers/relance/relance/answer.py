"""What relance answers to somebody who asks it: stop, why, a person, forget me. From the ledger, without a model."""

from dataclasses import dataclass

from relance.bot import Bot
from relance.channels.graph import GraphClient, Outbound, login_of, request_body
from relance.errors import TemporaryFailure
from relance.guard.language import language_of_turns
from relance.interaction import (
    DAY,
    MINUTE,
    PAYLOAD_NOT_NOW,
    PAYLOAD_PERSON,
    PAYLOAD_STOP,
    PAYLOAD_WHY,
    Side,
)
from relance.outbox import Ask
from relance.outcome import OutcomeClass
from relance.pair import Pair, Person
from relance.rules import PLATFORM_WINDOW, human_owns
from relance.secrets import Secrets, bot_credentials
from relance.store.bots import BotStore
from relance.store.interactions import InteractionStore, TooMuch
from relance.store.pairs import Due, PairStore

# The window is not used to its last second: the queue takes time.
_MARGIN = 2 * MINUTE
# For so long after a follow-up somebody who asks why, or for a person, may mean it; else the bot beside us answers.
_MEANT_FOR_US = 3 * DAY

_TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "stop": "Understood. {name} will not write to you again unless you ask for it.",
        "why": "You wrote to {name} several times within two weeks and then it went quiet, so {name}, an AI{of}, "
        "wrote to you once. It will not do that again for this silence. Reply STOP and it never will.",
        "not_written": "{name} is an AI{of}. It has not written to you unasked. Reply STOP and it never will.",
        "person": "You can reach a person{at} here: {contact}",
        "forget": "Your conversation with {name} is being erased now. {name} will not write to you unasked.",
    },
    "fr": {
        "stop": "C’est noté. {name} ne vous écrira plus, sauf si vous le demandez.",
        "why": "Vous avez écrit plusieurs fois à {name} en deux semaines, puis la conversation s’est arrêtée ; {name}, "
        "une IA{of}, vous a donc écrit une fois. Elle ne le refera pas pour ce silence. Répondez STOP et ce sera "
        "définitif.",
        "not_written": "{name} est une IA{of}. Elle ne vous a pas écrit d’elle-même. Répondez STOP et elle ne le fera "
        "jamais.",
        "person": "Pour joindre une personne{at} : {contact}",
        "forget": "Votre conversation avec {name} est en cours d’effacement. {name} ne vous écrira pas de sa propre "
        "initiative.",
    },
    "es": {
        "stop": "Entendido. {name} no volverá a escribirte, salvo que lo pidas.",
        "why": "Escribiste varias veces a {name} en dos semanas y luego la conversación se detuvo, así que {name}, una "
        "IA{of}, te escribió una vez. No volverá a hacerlo por este silencio. Responde BAJA y no lo hará nunca.",
        "not_written": "{name} es una IA{of}. No te ha escrito por iniciativa propia. Responde BAJA y no lo hará nunca.",
        "person": "Puedes hablar con una persona{at} aquí: {contact}",
        "forget": "Tu conversación con {name} se está borrando. {name} no te escribirá por iniciativa propia.",
    },
    "pt": {
        "stop": "Entendido. {name} não vai escrever de novo, a não ser que peça.",
        "why": "Foram várias mensagens para {name} em duas semanas e depois a conversa parou; por isso {name}, uma "
        "IA{of}, escreveu uma vez. Não o fará de novo por este silêncio. Responda SAIR e nunca mais acontece.",
        "not_written": "{name} é uma IA{of}. Não escreveu por iniciativa própria. Responda SAIR e nunca o fará.",
        "person": "Para falar com uma pessoa{at}: {contact}",
        "forget": "A sua conversa com {name} está a ser apagada. {name} não vai escrever por iniciativa própria.",
    },
    "de": {
        "stop": "Verstanden. {name} schreibt Ihnen nicht mehr, es sei denn, Sie bitten darum.",
        "why": "Sie haben {name} innerhalb von zwei Wochen mehrmals geschrieben, dann wurde es still. Deshalb hat {name}, "
        "eine KI{of}, Ihnen einmal geschrieben. In dieser Stille kommt nichts mehr. Mit STOPP kommt nie wieder etwas.",
        "not_written": "{name} ist eine KI{of}. Sie hat Ihnen nicht von sich aus geschrieben. Mit STOPP bleibt es dabei.",
        "person": "Einen Menschen{at} erreichen Sie hier: {contact}",
        "forget": "Ihr Gespräch mit {name} wird jetzt gelöscht. {name} schreibt Ihnen nicht von sich aus.",
    },
}
_OF = {
    "en": " of {operator}",
    "fr": " de {operator}",
    "es": " de {operator}",
    "pt": " de {operator}",
    "de": " von {operator}",
}
_AT = {
    "en": " at {operator}",
    "fr": " chez {operator}",
    "es": " de {operator}",
    "pt": " de {operator}",
    "de": " bei {operator}",
}

# Titles of at most 20 characters: the shortest limit of the three channels.
_TITLES = {
    "en": ("Stop", "Why this message?", "Talk to a person", "Not now"),
    "fr": ("Stop", "Pourquoi ?", "Parler à quelqu’un", "Pas maintenant"),
    "es": ("Baja", "¿Por qué?", "Hablar con alguien", "Ahora no"),
    "pt": ("Sair", "Por quê?", "Falar com alguém", "Agora não"),
    "de": ("Stopp", "Warum?", "Zu einem Menschen", "Jetzt nicht"),
}


def text(about: str, *, bot: Bot, pair: Pair, language: str) -> str:
    """The answer in a person's language. An answer is not a follow-up: it goes only to somebody who has just asked."""
    phrases = _TEXTS.get(language, _TEXTS["en"])
    if about == "why" and pair.used_at is None:
        about = "not_written"
    filled = {
        "name": bot.name,
        "of": _OF[language].format(operator=bot.operator) if bot.operator else "",
        "at": _AT[language].format(operator=bot.operator) if bot.operator else "",
        "contact": bot.contact,
    }
    return phrases[about].format(**filled)


def buttons(bot: Bot, language: str, *, again: bool) -> tuple[tuple[str, str], ...]:
    """The ways out under a follow-up, as (title, payload): stop, why, a person (if the bot's file names a contact).

    `again` (once-per-conversation) adds "not now". WhatsApp takes three: why gives way to the person there.
    """
    stop, why, person, not_now = _TITLES.get(language, _TITLES["en"])
    found = [(stop, PAYLOAD_STOP), (why, PAYLOAD_WHY)]
    if bot.contact:
        found.append((person, PAYLOAD_PERSON))
    if again:
        found.append((not_now, PAYLOAD_NOT_NOW))
    if bot.channel == "whatsapp" and len(found) > 3:
        found = [each for each in found if each[1] != PAYLOAD_WHY]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Answerer:
    """Answers one question, at most once, inside the window that the question has opened."""

    pairs: PairStore
    bots: BotStore
    interactions: InteractionStore
    graph: GraphClient
    secrets: Secrets
    secrets_path: str

    def answer(self, ask: Ask, *, now: int) -> str:
        """`answered`, or why not. TemporaryFailure brings the question again while nothing has been sent."""
        due = Due(ask.user, ask.bot)
        found, persons = self.pairs.read([due], consistent=True)
        bots, _ = self.bots.read([ask.bot], consistent=True)
        pair, bot = found.get(due), bots.get(ask.bot)
        silence = self._silence(ask, pair, persons[ask.user], bot, now)
        if silence or pair is None or bot is None:
            return silence
        language = self._language(pair, bot, now)
        token, app_secret = bot_credentials(self.secrets, self.secrets_path, bot)
        message = Outbound(
            channel=bot.channel,
            bot_id=bot.id,
            to=pair.to,
            kind="answer",
            text=text(ask.about, bot=bot, pair=pair, language=language),
            follow_up_id="",
            login=login_of(bot, token),
            language=language,
        )
        try:
            request_body(message)
        except ValueError:
            return "unsayable"
        if not self.pairs.answer_once(pair, ask.about, ask.message_id):
            return "answered_before"
        outcome = self.graph.deliver(message, token=token, app_secret=app_secret, now=now)
        if outcome.kind is OutcomeClass.RETRY:
            self.pairs.unanswer(pair, ask.about)
            raise TemporaryFailure(f"the answer was refused for now: {outcome.detail}")
        return "answered" if outcome.kind is OutcomeClass.ACCEPTED else outcome.kind.value

    @staticmethod
    def _silence(ask: Ask, pair: Pair | None, person: Person, bot: Bot | None, now: int) -> str:
        """Why there is no answer; empty if there is one."""
        if pair is None or bot is None or not pair.to:
            return "unknown_pair"
        if bot.mode != "live" or bot.paused or pair.paused:
            return "disabled"
        if human_owns(person, bot, now):
            return "human_owns"
        if ask.typed and not (pair.used_at and now - pair.used_at <= _MEANT_FOR_US):
            return "not_ours"
        if ask.about == "person" and not bot.contact:
            return "no_contact"
        opened = max(pair.times[0] if pair.times else 0, pair.opened_at or 0)
        return "" if now <= opened + PLATFORM_WINDOW - _MARGIN else "window_closed"

    def _language(self, pair: Pair, bot: Bot, now: int) -> str:
        if pair.language in _TEXTS:
            return pair.language
        try:
            turns = self.interactions.turns(pair.user, pair.bot, since=now - 30 * DAY, now=now)
        except TooMuch:
            turns = []  # who has written thousands of messages gets their answer too, in the bot's first language
        users = [turn.text for turn in turns if turn.side is Side.USER]
        others = [turn.text for turn in turns if turn.side is not Side.USER]
        known = [language for language in bot.languages if language in _TEXTS]
        return language_of_turns(users, others, known) or (known or ["en"])[0]
