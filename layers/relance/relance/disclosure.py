"""The line under every follow-up: who writes, that it is an AI, and how to stop it. Composed by code, never by a model."""

from relance.bot import Bot

# WhatsApp's limit for a template footer; the same line must fit there (safety.md A15).
LINE = 60

# Text limits per channel (platforms.md 5): WhatsApp and Messenger count characters, Instagram bytes of UTF-8.
_WHATSAPP = 4_096
_MESSENGER = 1_999
_INSTAGRAM = 1_000

_NAMED = {
    "en": "{name}, an AI of {operator}. Reply STOP to opt out.",
    "fr": "{name}, IA de {operator}. Répondez STOP pour arrêter.",
    "es": "{name}, IA de {operator}. Responde BAJA para parar.",
    "pt": "{name}, IA de {operator}. Responda SAIR para parar.",
    "de": "{name}, KI von {operator}. STOPP beendet das.",
}
_SHORT = {
    "en": "{name}, an AI. Reply STOP to opt out.",
    "fr": "{name}, une IA. Répondez STOP pour arrêter.",
    "es": "{name}, una IA. Responde BAJA para parar.",
    "pt": "{name}, uma IA. Responda SAIR para parar.",
    "de": "{name}, eine KI. STOPP beendet das.",
}
_NAMELESS = {
    "en": "Sent by an AI. Reply STOP to opt out.",
    "fr": "Envoyé par une IA. Répondez STOP pour arrêter.",
    "es": "Enviado por una IA. Responde BAJA para parar.",
    "pt": "Enviado por uma IA. Responda SAIR para parar.",
    "de": "Von einer KI gesendet. STOPP beendet die Nachrichten.",
}


def line(bot: Bot, language: str) -> str:
    """The disclosure and stop line, at most 60 characters: the operator's name goes first, then the bot's own.

    ValueError for a language without a reviewed line: nothing is sent in it.
    """
    if language not in _NAMELESS:
        raise ValueError(f"no reviewed disclosure line in {language}")
    name, operator = " ".join(bot.name.split()), " ".join(bot.operator.split())
    candidates = []
    if name and operator:
        candidates.append(_NAMED[language].format(name=name, operator=operator))
    if name:
        candidates.append(_SHORT[language].format(name=name))
    return next((each for each in candidates if len(each) <= LINE), _NAMELESS[language])


def compose(body: str, *, bot: Bot, language: str) -> str:
    """The whole text as it is sent: the body, an empty line, the disclosure line.

    ValueError if it does not fit the channel: a follow-up is one message, never cut and never split.
    """
    text = f"{body.strip()}\n\n{line(bot, language)}"
    size = len(text.encode()) if bot.channel == "instagram" else len(text)
    limit = {"whatsapp": _WHATSAPP, "messenger": _MESSENGER, "instagram": _INSTAGRAM}[bot.channel]
    if not body.strip() or size > limit:
        raise ValueError("the message does not fit the channel")
    return text
