"""The cinema of most tests: a live Messenger bot in its simplest form, and five messages that earn its follow-up."""

from collections.abc import Sequence

from local.stack import LocalStack
from local.webhooks import OWN_APP, build
from relance.bot import Bot

NOON = 1_768_478_400  # 2026-01-15T12:00:00Z, a Thursday, on the grid of every sweep; 13:00 in Paris
MINUTE, HOUR, DAY = 60, 3_600, 86_400
# When the follow-up comes to somebody who wrote last at noon.
MOMENT = NOON + 23 * HOUR

CINEMA = Bot(
    id="1001",
    channel="messenger",
    name="Lumen",
    operator="Cinema Lumen",
    mode="live",
    country="US",
    zone="Europe/Paris",
    languages=("en",),
    app_ids=(OWN_APP,),
    consent="soft",
    soft_basis="people asked to be reminded",
    notice=True,
    enabled_at=0,
)
READER = "2002"
WORDS = (
    "Hello, which films are on this week?",
    "Do you have something with a lighthouse in it?",
    "I would like to see the old one in black and white",
    "And is there a matinee for it?",
    "Tell me more about the lighthouse film some time",
)


def talk(
    stack: LocalStack,
    user: str = READER,
    last: int = NOON,
    words: Sequence[str] = WORDS,
    bot: Bot = CINEMA,
    step: int = 2 * MINUTE,
) -> None:
    """A conversation, `step` seconds from message to message, whose last one is at `last`."""
    for number, text in enumerate(words):
        at = last - (len(words) - 1 - number) * step
        body = build(bot.channel, "text", bot=bot.id, user=user, at=at, id=f"m-{user}-{at}", text=text)
        assert 200 == stack.post(bot.channel, body).status
