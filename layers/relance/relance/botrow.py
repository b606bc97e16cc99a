"""A bot's settings as plain JSON types and back: what the `settings` map of a row in the bots table holds."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from relance.bot import MODES, Bot, Hours, Template
from relance.persona import Persona

_TEXTS = ("channel", "name", "operator", "mode", "country", "zone", "consent", "soft_basis", "contact", "secrets")
_LISTS = ("audience_zones", "languages", "app_ids")
_DURATIONS = ("min_silence", "preferred_silence")
_ATTESTATIONS = ("notice", "ai_is_incidental")


def to_settings(bot: Bot) -> dict[str, Any]:
    """Everything a bot file says but the account id. Durations are whole seconds, weekdays ISO numbers.

    What is not set (None) is left out. `version`, `enabled_at` and `paused` are no settings: they are attributes
    of their own, which conditional writes can name.
    """
    settings: dict[str, Any] = {name: getattr(bot, name) for name in (*_TEXTS, *_ATTESTATIONS)}
    settings |= {name: list(getattr(bot, name)) for name in _LISTS}
    settings |= {name: value for name in _DURATIONS if (value := getattr(bot, name)) is not None}
    settings["quiet_days"] = list(bot.quiet_days)
    settings["hours"] = {"opens": bot.hours.opens, "closes": bot.hours.closes}
    if bot.template is not None:
        settings["template"] = {
            "name": bot.template.name,
            "language": bot.template.language,
            "category": bot.template.category,
            "ttl": bot.template.ttl,
        }
    settings["persona"] = {
        "voice": bot.persona.voice,
        "address": bot.persona.address,
        "may": list(bot.persona.may),
        "never": list(bot.persona.never),
        "samples": {language: list(texts) for language, texts in bot.persona.samples.items()},
        "frames": {language: list(texts) for language, texts in bot.persona.frames.items()},
    }
    return settings


def _texts(values: Iterable[Any] | None) -> tuple[str, ...]:
    return tuple(map(str, values or ()))


def _by_language(values: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    return {language: _texts(texts) for language, texts in (values or {}).items()}


def from_settings(
    id: str, settings: Mapping[str, Any], *, version: int, enabled_at: int | None, paused: str = ""
) -> Bot:
    """The bot that a row describes. Numbers may be any kind that `int` takes (DynamoDB gives decimals).

    Fields that a newer release wrote are ignored. A missing field has the default of `Bot`, and a word this release
    does not know has the strictest meaning: an unknown `mode` is off, an unknown `consent` is opt-in, and only
    `true` attests. Raises ValueError or TypeError for a number that is none: such a bot must not write to anybody.
    """
    known: dict[str, Any] = {name: str(settings[name]) for name in _TEXTS if settings.get(name) is not None}
    known |= {name: settings.get(name) is True for name in _ATTESTATIONS}
    known |= {name: _texts(settings.get(name)) for name in _LISTS}
    known |= {name: int(settings[name]) for name in _DURATIONS if settings.get(name) is not None}
    known["quiet_days"] = tuple(map(int, settings.get("quiet_days") or ()))
    known.setdefault("channel", "")
    if known.get("mode") not in MODES:
        known["mode"] = "off"
    if known.get("consent") != "soft":
        known["consent"] = "opt-in"
    if hours := settings.get("hours"):
        default = Hours()
        known["hours"] = Hours(int(hours.get("opens", default.opens)), int(hours.get("closes", default.closes)))
    if template := settings.get("template"):
        plain = Template(name=str(template.get("name", "")), language=str(template.get("language", "")))
        known["template"] = replace(
            plain,
            category=str(template.get("category") or plain.category),
            ttl=int(template.get("ttl", plain.ttl)),
        )
    persona = settings.get("persona") or {}
    known["persona"] = Persona(
        voice=str(persona.get("voice") or ""),
        address=str(persona.get("address") or Persona().address),
        may=_texts(persona.get("may")),
        never=_texts(persona.get("never")),
        samples=_by_language(persona.get("samples")),
        frames=_by_language(persona.get("frames")),
    )
    return Bot(
        id=id,
        version=int(version),
        enabled_at=None if enabled_at is None else int(enabled_at),
        paused=paused or "",
        **known,
    )
