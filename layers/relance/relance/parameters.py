"""The deployment's parameters, and what is true of the whole deployment now."""

from dataclasses import dataclass, field

from relance.bot import Hours
from relance.interaction import DAY, HOUR, MINUTE

# A person or another app that wrote owns the thread for this long (platforms.md 11).
HUMAN_OWNS_FOR = 14 * DAY


@dataclass(frozen=True, slots=True)
class Rules:
    """The deployment's parameters (design.md section 3). Durations are seconds."""

    min_interactions: int = 5
    window: int = 14 * DAY
    follow_ups: str = "once"
    cooldown: int = 14 * DAY
    min_silence: int = 8 * HOUR
    preferred_silence: int = 23 * HOUR
    hours: Hours = field(default_factory=Hours)
    margin: int = 20 * MINUTE
    lead: int = 15 * MINUTE
    sweep: int = 5 * MINUTE
    lease: int = 10 * MINUTE
    text_ttl: int = 30 * DAY
    crisis_hold: int = 90 * DAY
    catch_up: int = 60 * MINUTE


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is true of the whole deployment now: the sweeper's heartbeat, an outage being caught up, a restore.

    `heartbeat_at` None means that no sweep has ever run. `epoch` is set after a restore from backup: only pairs
    that wrote later are eligible.
    """

    heartbeat_at: int | None = None
    catch_up_until: int | None = None
    epoch: int | None = None
