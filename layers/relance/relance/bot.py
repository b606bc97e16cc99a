"""One account on a channel that talks to people: its settings, as published from a file under `bots/`."""

from dataclasses import dataclass, field

from relance.interaction import HOUR
from relance.persona import Persona

MODES = ("off", "shadow", "review", "live")

# Where the law asks for a recorded yes before the first message (design.md rule 10): EU/EEA, UK, Switzerland, Brazil.
OPT_IN_COUNTRIES = frozenset(
    "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE IS LI NO GB CH BR".split()
)


@dataclass(frozen=True, slots=True)
class Template:
    """An approved WhatsApp message template. `ttl` is its declared time-to-live in seconds."""

    name: str
    language: str
    category: str = "MARKETING"
    ttl: int = 30 * 24 * HOUR


@dataclass(frozen=True, slots=True)
class Hours:
    """Allowed local time of day, seconds after midnight, half-open: `opens` is in, `closes` is out."""

    opens: int = 10 * HOUR
    closes: int = 19 * HOUR + 30 * 60


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot as the rules see it. Durations are seconds, times epoch seconds.

    `min_silence` and `preferred_silence` are None where the deployment's value holds; a bot may be stricter,
    never laxer. `quiet_days` are ISO weekdays (1 = Monday). `version` changes whenever anything else does.
    """

    id: str
    channel: str
    name: str = ""
    operator: str = ""
    mode: str = "off"
    country: str = ""
    zone: str = ""
    audience_zones: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    app_ids: tuple[str, ...] = ()
    hours: Hours = field(default_factory=Hours)
    quiet_days: tuple[int, ...] = ()
    min_silence: int | None = None
    preferred_silence: int | None = None
    consent: str = "opt-in"
    soft_basis: str = ""
    notice: bool = False
    ai_is_incidental: bool = False
    contact: str = ""
    template: Template | None = None
    persona: Persona = field(default_factory=Persona)
    secrets: str = ""
    version: int = 0
    enabled_at: int | None = None
    paused: str = ""

    @property
    def needs_opt_in(self) -> bool:
        """True unless the file asks for `soft`, gives its reason, and the country's law does not forbid it."""
        return not (self.consent == "soft" and self.soft_basis and self.country not in OPT_IN_COUNTRIES)
