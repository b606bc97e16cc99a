"""Another fortnight with random people: any number of them, and always the same ones for the same seed.

They differ in where they live, what they speak, when and how much they write; some say stop, some come back, some are
answered by a person, some are held. Everything is invented: the ids follow the platforms' shapes and belong to nobody.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from local.people import (
    ACCOUNTS,
    CINEMA_INSTAGRAM,
    CINEMA_MESSENGER,
    CINEMA_WHATSAPP,
    DAYS,
    PATIENT_WHATSAPP,
    START,
    TUTOR_BRAZIL,
    TUTOR_INSTAGRAM,
    TUTOR_MESSENGER,
    TUTOR_WHATSAPP,
    Account,
    Act,
    Fortnight,
    Human,
    message_id,
)
from relance.interaction import HOUR, MINUTE, PAYLOAD_STOP, PAYLOAD_YES


@dataclass(frozen=True, slots=True)
class Home:
    """Where somebody lives and speaks: the prefix of a WhatsApp id there, and the bots that people there know."""

    zone: str
    country: str
    language: str
    accounts: tuple[Account, ...]


_MEXICAN = (TUTOR_WHATSAPP, TUTOR_WHATSAPP, TUTOR_MESSENGER, TUTOR_INSTAGRAM, PATIENT_WHATSAPP)
HOMES = (
    Home("Europe/Paris", "FR", "fr", (CINEMA_MESSENGER, CINEMA_MESSENGER, CINEMA_INSTAGRAM, CINEMA_WHATSAPP)),
    Home("Europe/London", "GB", "en", (CINEMA_WHATSAPP,)),
    Home("Europe/Berlin", "DE", "de", (CINEMA_WHATSAPP,)),
    Home("America/Mexico_City", "MX", "es", _MEXICAN),
    Home("America/Monterrey", "MX", "es", _MEXICAN),
    Home("America/Tijuana", "MX", "en", _MEXICAN),
    Home("America/Sao_Paulo", "BR", "pt", (TUTOR_BRAZIL,)),
)

# What they write: an opening, things in between, and an ending that leaves something open.
OPENINGS = {
    "fr": ("Bonjour, j'ai une question sur un film", "Bonsoir ! Vous connaissez Jacques Tati ?", "Re-bonjour"),
    "en": ("Hello, I have a question", "Hi there, can you help me with something?", "Hello again"),
    "de": ("Guten Tag, ich habe eine Frage zu einem Film", "Hallo, kennen Sie Wim Wenders?", "Hallo, ich bin's wieder"),
    "es": ("Hola, tengo una duda de gramática", "Buenas, ¿me ayudas con la tarea?", "Hola otra vez"),
    "pt": ("Oi, tenho uma dúvida de gramática", "Olá, pode me ajudar com o dever?", "Oi de novo"),
}
MIDDLES = {
    "fr": (
        "Et celui-là, il est en couleur ?",
        "Ah, je ne savais pas",
        "Qui joue dedans ?",
        "D'accord, et la musique ?",
    ),
    "en": ("Is there a shorter one?", "I did not know that", "Who is in it?", "And how does that work?"),
    "de": ("Und ist der in Farbe?", "Das wusste ich nicht", "Wer spielt mit?", "Gut, und die Musik?"),
    "es": ("¿Y en pasado?", "No lo sabía", "¿Me das otro ejemplo?", "¿Y con esta palabra?"),
    "pt": ("E no passado?", "Não sabia", "Me dá outro exemplo?", "E com esta palavra?"),
}
ENDINGS = {
    "fr": ("Parlez-moi de Jacques Tati", "Je cherche un film comme Playtime"),
    "en": ("Tell me more about the second example", "Give me a short list for the weekend"),
    "de": ("Erzählen Sie mir mehr über Wim Wenders", "Ich suche die Musik zum Film"),
    "es": ("Explícame más sobre los verbos irregulares", "Dime más sobre el subjuntivo"),
    "pt": ("Me fala mais sobre os verbos irregulares", "Ainda tenho dúvidas sobre o subjuntivo"),
}
STOPS = {
    "fr": ("STOP", "Ne m'écrivez plus, s'il vous plaît"),
    "en": ("STOP", "Please don't write to me again"),
    "de": ("STOPP", "Bitte schreiben Sie mir nicht mehr"),
    "es": ("BAJA", "Por favor, no me escribas más"),
    "pt": ("SAIR", "Por favor, não me mande mais mensagens"),
}
HELD = {
    "fr": "je n'ai plus envie de vivre",
    "en": "honestly I don't want to live anymore",
    "de": "ich will sterben",
    "es": "ya no quiero vivir",
    "pt": "não quero mais viver",
}
YOUNG = {
    "fr": "j'ai 14 ans",
    "en": "I am 14 years old",
    "de": "ich bin 14 Jahre alt",
    "es": "tengo 14 años",
    "pt": "tenho 14 anos",
}
YES = {"fr": "Oui", "en": "Yes", "de": "Ja", "es": "Sí", "pt": "Sim"}
_BOT = {
    "fr": "Bonne question.",
    "en": "Good question.",
    "de": "Gute Frage.",
    "es": "Buena pregunta.",
    "pt": "Boa pergunta.",
}
_HUMAN = {"fr": "Bonjour, ici l'accueil.", "es": "Hola, le atiende la recepción.", "en": "Hello, this is the office.",
          "pt": "Olá, aqui é a secretaria.", "de": "Guten Tag, hier ist die Kasse."}  # fmt: skip

MEDIA = {
    "whatsapp": ("image", "audio", "sticker", "video", "location", "button", "list", "contacts", "order", "flow"),
    "messenger": ("image", "audio", "sticker", "video", "location", "postback", "quick_reply"),
    "instagram": ("image", "audio", "sticker", "video", "postback", "quick_reply"),
}
NOT_COUNTED = {
    "whatsapp": ("reaction", "unsupported", "edit", "deletion"),
    "messenger": ("reaction", "read", "referral", "edit", "get_started"),
    "instagram": ("reaction", "read", "referral", "edit"),
}


def random_fortnight(seed: int, people: int) -> Fortnight:
    """A fortnight of `people` random people. The same seed and number give the same fortnight, to the second."""
    luck = random.Random(seed)
    humans, acts = [], []
    for number in range(people):
        home = luck.choice(HOMES)
        human = Human(f"Person {number + 1:05d}", home.zone, f"{home.country}.{luck.randrange(10**14, 10**15)}")
        humans.append(human)
        acts += _life(luck, human, home)
    paused = luck.randrange(4, DAYS - 2)
    acts += [
        Act(START + paused * 24 * HOUR, "pause", bot=TUTOR_INSTAGRAM.id, operator=True),
        Act(START + (paused + 1) * 24 * HOUR, "resume", bot=TUTOR_INSTAGRAM.id, operator=True),
        Act(START + CINEMA_INSTAGRAM.enabled, "enable", bot=CINEMA_INSTAGRAM.id, operator=True),
    ]
    acts.sort(key=lambda act: act.at)
    return Fortnight(START, START + DAYS * 24 * HOUR, ACCOUNTS, tuple(humans), tuple(acts))


def _life(luck: random.Random, human: Human, home: Home) -> list[Act]:
    """All that one person does. Most know one bot; a few know two."""
    accounts = {account.id: account for account in luck.choices(home.accounts, k=1 if luck.random() < 0.9 else 2)}
    acts: list[Act] = []
    for account in accounts.values():
        acts += _at_one_bot(luck, human, home, account)
    return acts


def _at_one_bot(luck: random.Random, human: Human, home: Home, account: Account) -> list[Act]:
    words: list[Act] = []
    firsts: set[int] = set()
    days = sorted(luck.sample(range(2, DAYS + 1), luck.choices((1, 2, 3, 6), (55, 25, 12, 8))[0]))
    fate = luck.random()
    says_yes = luck.random() < 0.8
    for nth, day in enumerate(days):
        last = nth == len(days) - 1
        firsts.add(len(words) + 1)
        words += _talk(luck, human, home, account, day, yes=says_yes and nth == 0, fate=fate if last else 1.0)
    acts = [
        replace(act, id=message_id(account, human.name, number), arrives=_arrivals(luck, act, first=number in firsts))
        for number, act in enumerate(words, 1)
    ]
    return acts


def _talk(
    luck: random.Random, human: Human, home: Home, account: Account, day: int, *, yes: bool, fate: float
) -> Iterator[Act]:
    at = _start_of_talk(luck, home.zone, day)
    language = home.language

    def said(kind: str, text: str = "", payload: str = "") -> Act:
        return Act(at, kind, bot=account.id, user=human.name, text=text, payload=payload)

    echoes = account.channel != "whatsapp"
    for turn in range(luck.choices((1, 2, 3, 4, 5, 7, 9), (10, 10, 10, 15, 25, 20, 10))[0]):
        at += luck.randrange(20, 240)
        if turn == 0:
            yield said("text", luck.choice(OPENINGS[language]))
        elif luck.random() < 0.12:
            kind = luck.choice(MEDIA[account.channel])
            yield said(
                kind, luck.choice(MIDDLES[language]) if kind in ("button", "list", "postback", "quick_reply") else ""
            )
        else:
            yield said("text", luck.choice(MIDDLES[language]))
        if echoes:
            at += luck.randrange(2, 9)
            yield said("echo_bot", _BOT[language])
        if turn == 1 and yes:
            at += luck.randrange(5, 60)
            yield said("opt_in", YES[language], PAYLOAD_YES)
        if luck.random() < 0.06:
            at += luck.randrange(3, 60)
            yield said(luck.choice(NOT_COUNTED[account.channel]), "")
    at += luck.randrange(20, 240)
    yield said("text", luck.choice(ENDINGS[language]))
    at += luck.randrange(1, 300) * (1 if luck.random() < 0.5 else MINUTE)
    if fate < 0.04:
        yield said("text", luck.choice(STOPS[language]))
    elif fate < 0.06:
        yield said("opt_out", "Stop", PAYLOAD_STOP)
    elif fate < 0.08:
        yield said("text", HELD[language])
    elif fate < 0.1:
        yield said("text", YOUNG[language])
    elif fate < 0.14:
        yield said("echo_human", _HUMAN[language])
    elif fate < 0.16 and account.channel == "messenger":
        yield said("handover")


def _start_of_talk(luck: random.Random, zone: str, day: int) -> int:
    """Some local moment of that day: mostly afternoons and evenings, now and then the middle of the night."""
    hour = luck.choices(range(24), (2, 1, 1, 0, 0, 0, 1, 3, 5, 6, 6, 6, 8, 7, 6, 6, 7, 9, 10, 10, 9, 8, 6, 4))[0]
    date = datetime.fromtimestamp(START, UTC).replace(tzinfo=None) + timedelta(days=day - 1)
    local = date.replace(hour=hour, minute=luck.randrange(60), second=luck.randrange(60), tzinfo=ZoneInfo(zone))
    return int(local.timestamp())


def _arrivals(luck: random.Random, act: Act, *, first: bool) -> tuple[int, ...]:
    """When its webhook comes in: mostly at once and once, sometimes again, sometimes late enough to be overtaken.

    The first word after a silence is never late: nobody could know of it, and a follow-up might cross it.
    """
    fate = luck.random()
    if fate < 0.8:
        return ()
    late = 0 if first else luck.randrange(0, 4 * MINUTE)
    if fate < 0.9:
        return (act.at + late, *sorted(act.at + luck.randrange(late, 20 * MINUTE) for _ in range(luck.randrange(1, 3))))
    return (act.at + late,)
