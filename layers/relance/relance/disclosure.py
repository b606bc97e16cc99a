"""Adds to every follow-up the line that says an AI wrote it and how to stop it; written by code, never by a model."""

from relance.bot import Bot

# A WhatsApp template footer holds no more (safety.md A15).
LINE_LIMIT = 60

# Sources: WhatsApp text body 4,096 characters, Messenger 2,000 characters, Instagram 1,000 bytes of UTF-8.
_CHARACTERS = {"whatsapp": 4_096, "messenger": 1_999}
_BYTES = {"instagram": 1_000}

_LINES = {
    "en": (
        "{name}, an AI of {operator}. Reply STOP to opt out.",
        "{name}, an AI. Reply STOP to opt out.",
        "Sent by an AI. Reply STOP to opt out.",
    ),
    "fr": (
        "{name}, une IA de {operator}. Répondez STOP pour arrêter.",
        "{name}, une IA. Répondez STOP pour arrêter.",
        "Envoyé par une IA. Répondez STOP pour arrêter.",
    ),
    "es": (
        "{name}, una IA de {operator}. Responde BAJA para parar.",
        "{name}, una IA. Responde BAJA para parar.",
        "Enviado por una IA. Responde BAJA para parar.",
    ),
    "pt": (
        "{name}, uma IA de {operator}. Responda SAIR para parar.",
        "{name}, uma IA. Responda SAIR para parar.",
        "Enviado por uma IA. Responda SAIR para parar.",
    ),
    "de": (
        "{name}, eine KI von {operator}. STOPP beendet das.",
        "{name}, eine KI. STOPP beendet die Nachrichten.",
        "Von einer KI gesendet. STOPP beendet die Nachrichten.",
    ),
}
_INFORMAL_FRENCH = ("Répondez", "Réponds")


def line(*, bot: Bot, language: str) -> str:
    """The disclosure in that language, at most `LINE_LIMIT` characters: sender, AI, how to stop.

    Names bot and operator (France asks for the sender), drops the operator where both do not fit, and the name
    where that does not fit either. Raises ValueError for a language without a reviewed line.
    """
    if language not in _LINES:
        raise ValueError(f"no disclosure line for language {language!r}")
    full, named, generic = _LINES[language]
    name, operator = " ".join(bot.name.split()), " ".join(bot.operator.split())
    candidates = []
    if name and operator:
        candidates.append(full.format(name=name, operator=operator))
    if name:
        candidates.append(named.format(name=name))
    candidates.append(generic)
    if language == "fr" and bot.persona.address == "informal":
        candidates = [candidate.replace(*_INFORMAL_FRENCH) for candidate in candidates]
    return next(candidate for candidate in candidates if len(candidate) <= LINE_LIMIT)


def compose(body: str, *, bot: Bot, language: str) -> str:
    """The whole text that is sent: the body, an empty line, the disclosure.

    Raises ValueError if the body is empty, the language has no line, the channel is unknown or the text is over the
    channel's limit: what cannot be composed is not sent (safety.md A15).
    """
    body = body.strip()
    if not body:
        raise ValueError("an empty body cannot be sent")
    text = f"{body}\n\n{line(bot=bot, language=language)}"
    if bot.channel in _CHARACTERS:
        fits = len(text) <= _CHARACTERS[bot.channel]
    elif bot.channel in _BYTES:
        fits = len(text.encode("utf-8")) <= _BYTES[bot.channel]
    else:
        raise ValueError(f"unknown channel {bot.channel!r}")
    if not fits:
        raise ValueError(f"the text is over the limit of {bot.channel}")
    return text
