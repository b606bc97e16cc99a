"""Hears in a user's text what cannot wait: a wish to be left alone, a minor, a crisis, a question to relance."""

# ruff: noqa: E501 (an alternation is easier to review on one line)

import re
from enum import StrEnum
from functools import cache

from relance.guard import ages
from relance.guard.phrases import PhraseBook, book
from relance.guard.text import plain, readings
from relance.interaction import PAYLOAD_STOP
from relance.persona import LANGUAGES


class Signal(StrEnum):
    """What a text can say that nobody may wait with. Who asks to be forgotten has also said stop.

    `why` (why did you write to me?) and `person` (let me talk to one) change nothing; they want an answer.
    """

    OPT_OUT = "opt_out"
    MINOR = "minor"
    CRISIS = "crisis"
    FORGET = "forget"
    WHY = "why"
    PERSON = "person"


# Politeness around a stop word. What is left must be nothing but the stop word.
_POLITE = frozenset(
    """please pls plz plis thanks thank you thx ty now ok okay hi hello hey just merci svp stp s il te vous plait bonjour
    salut maintenant tout de suite moi por favor porfa porfavor gracias ya hola pf pfv obrigado obrigada ja ola agora
    faz favor bitte danke hallo jetzt sofort mal bot lol hm hmm yo sir madam immediately oui yes si sim ja no non nein
    und and et y e""".split()
)
_LONGEST_STOP_MESSAGE = 80
_STOP_PAYLOAD = re.compile(
    r"^stop(?:$|[ _.:/-]*(?:all|bot|messages?|msgs?|notifications?|promo\w*|marketing|follow[ _-]?ups?|reminders?|relance\w*|"
    r"sms|writing|contact\w*|now|please)$)|unsubscribe|opt[ _.:/-]?out|"
    r"desabonn|desinscri|dar(?:se|me)?[ _-]de[ _-]baja|^baja$|^sair$|^salir$|^parar$|^arret$|^stopp$|descadastr|abmeld|abbestell"
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_QUOTATION = re.compile(r"\"[^\"\n]{4,120}\"|«[^»\n]{4,120}»|[“„][^“”„\n]{4,120}[“”]")


_QUOTING = "quoting"


@cache
def _book() -> PhraseBook:
    return book(*(f"signals.{language}" for language in LANGUAGES))


@cache
def _whole(section: str) -> re.Pattern[str]:
    """One pattern for a whole message, from the same files as everything else."""
    return _book().whole(section)


def read(text: str, payload: str = "") -> frozenset[Signal]:
    """The signals in a user's text, or in the title and payload of a button the user pressed.

    Runs in the webhook on every message: linear, under 150 µs for 280 characters, at most
    `guard.text.MAX_CHARACTERS` are read. Never raises. Stop words count as the whole message (case, accents,
    punctuation, emoji and politeness aside) and never inside one: safety.md section 2.
    """
    found: set[Signal] = set()
    if payload and (payload.startswith(PAYLOAD_STOP) or _STOP_PAYLOAD.search(plain(_CAMEL.sub("_", payload[:200])))):
        found.add(Signal.OPT_OUT)
    for reading in readings(text):
        if len(reading) <= _LONGEST_STOP_MESSAGE:
            if Signal.OPT_OUT not in found and _says_only(reading, "opt_out"):
                found.add(Signal.OPT_OUT)
            if _says_only(reading, "forget"):
                found.update((Signal.FORGET, Signal.OPT_OUT))
            found.update(asked for asked in (Signal.WHY, Signal.PERSON) if _says_only(reading, asked))
        found.update(Signal(section) for section in _book().found(reading) if section != _QUOTING)
    if Signal.MINOR in found and is_grown_up(text) and not any(map(ages.named, readings(text))):
        found.discard(Signal.MINOR)
    if Signal.OPT_OUT in found and Signal.FORGET not in found and (own := own_words(text)) != text:
        found -= {Signal.OPT_OUT} - read(own, payload)
    return frozenset(found)


def is_grown_up(text: str) -> bool:
    """True when the text holds what only a grown-up says of himself or herself."""
    return any(book(f"grownups.{language}").found(reading) for language in LANGUAGES for reading in readings(text))


def own_words(text: str) -> str:
    """The text without what stands between quotation marks, where it says that this is from a song, a film, a sign.

    Only then: "I said \"stop\"" says stop.
    """
    own = _QUOTATION.sub(" ", text)
    if own != text and any(_QUOTING in _book().found(reading) for reading in readings(own)):
        return own
    return text


def _says_only(reading: str, section: str) -> bool:
    """True when nothing but a phrase of this section and politeness is said."""
    spoken = [word for word in reading.split() if word not in (".", "?")]
    whole = _whole(section)
    if whole.fullmatch(" ".join(spoken) + " "):
        return True
    kept = [word for word in spoken if word not in _POLITE]
    return bool(kept) and (
        bool(whole.fullmatch(" ".join(dict.fromkeys(kept)) + " "))
        or bool(whole.fullmatch(" ".join(word.strip("#@+") for word in kept) + " "))
    )
