"""The refresher's verb: renew the tokens that end by themselves, long before they do."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from relance.bot import Bot
from relance.channels.login import InstagramLogin, NotRenewed, expires
from relance.errors import RelanceError
from relance.interaction import DAY
from relance.tokens import Kept, Tokens

# A token lives for 60 days. Renewed from the twentieth day on, it leaves forty days of daily attempts.
RENEW_BELOW = 40 * DAY
# Meta renews no token that is younger than this.
LEAST_AGE = DAY


class Became(StrEnum):
    """What became of one bot's token."""

    RENEWED = "renewed"
    GOOD = "good"
    TOO_YOUNG = "too_young"
    CHANGED = "changed"
    MISSING = "missing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Checked:
    """One token, by its bot: what became of it, why not, and how many whole days it still lives (None: unknown)."""

    bot: str
    became: Became
    why: str = ""
    days_left: int | None = None


@dataclass(slots=True)
class RefreshReport:
    """What one run found. Only tokens that end by themselves are in it."""

    checked: list[Checked] = field(default_factory=list)

    @property
    def days_left(self) -> int | None:
        """Of the token that ends first; None while no expiry is known."""
        return min((each.days_left for each in self.checked if each.days_left is not None), default=None)

    @property
    def failed(self) -> list[str]:
        """The bots whose token should have been renewed and was not. (Of a missing one the sender complains.)"""
        return [each.bot for each in self.checked if each.became is Became.FAILED]


def refresh(
    bots: Iterable[Bot], *, tokens: Tokens, login: InstagramLogin, secrets_path: str, now: int
) -> RefreshReport:
    """Look at the token of every Instagram bot, whatever its mode: a paused bot's must not lapse either.

    Renewed are those with fewer than 40 days left and those whose end nobody noted. A token that could not be renewed
    stays as it is, and harms no other. The sender reads its secrets anew every five minutes, and the old token is
    good until its own end, so that a follow-up in flight never meets a gap.
    """
    report = RefreshReport()
    seen: set[str] = set()
    for bot in bots:
        path = (bot.secrets or f"{secrets_path}/bots/{bot.id}").rstrip("/")
        if bot.channel != "instagram" or path in seen:
            continue
        seen.add(path)
        try:
            checked = _check(bot, path, tokens, login, now)
        except RelanceError as error:
            checked = Checked(bot.id, Became.FAILED, str(error))
        if checked is not None:
            report.checked.append(checked)
    return report


def _check(bot: Bot, path: str, tokens: Tokens, login: InstagramLogin, now: int) -> Checked | None:
    kept = tokens.read(path)
    if kept is None:
        return Checked(bot.id, Became.MISSING, "there is no token")
    if not expires(bot.channel, kept.token):
        return None
    left = _days_left(kept, now)
    if kept.expires_at is not None and kept.expires_at - now >= RENEW_BELOW:
        return Checked(bot.id, Became.GOOD, days_left=left)
    if now - kept.written_at < LEAST_AGE:
        return Checked(bot.id, Became.TOO_YOUNG, days_left=left)
    renewed = login.renew(kept.token)
    if isinstance(renewed, NotRenewed):
        return Checked(bot.id, Became.FAILED, renewed.why, left)
    expires_at = now + renewed.lives
    if not tokens.replace(path, old=kept.token, new=renewed.token, expires_at=expires_at):
        return Checked(bot.id, Became.CHANGED)
    return Checked(bot.id, Became.RENEWED, days_left=renewed.lives // DAY)


def _days_left(kept: Kept, now: int) -> int | None:
    return None if kept.expires_at is None else max(0, (kept.expires_at - now) // DAY)
