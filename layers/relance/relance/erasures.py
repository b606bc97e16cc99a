"""The eraser's queue: what a webhook or the operator asks to be erased. Messages carry keys and a time."""

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from relance.errors import PoisonMessage, TemporaryFailure
from relance.interaction import CHANNELS
from relance.pair import channel_of

VERSION = 1

# Seconds that a person's erasure waits: the answer to "forget me" needs the address that it erases.
ANSWER_FIRST = 30


@dataclass(frozen=True, slots=True)
class Wish:
    """A user edited or took back a message of this conversation; the wish itself lies in the interactions table."""

    user: str
    bot: str


@dataclass(frozen=True, slots=True)
class Forget:
    """A person asked, at epoch second `at`, that all about them be forgotten. None: when the message is read."""

    user: str
    at: int | None = None


type Erasure = Wish | Forget


def body(erasure: Erasure) -> str:
    """What a queue message says."""
    told: dict[str, Any] = {"v": VERSION}
    match erasure:
        case Wish(user, bot):
            told |= {"kind": "wish", "user": user, "bot": bot}
        case Forget(user, None):
            told |= {"kind": "forget", "user": user}
        case Forget(user, at):
            told |= {"kind": "forget", "user": user, "at": at}
    return json.dumps(told, separators=(",", ":"))


def read(text: str) -> Erasure:
    """The erasure a queue message asks for. Raises PoisonMessage for anything else."""
    try:
        told = json.loads(text)
        if told["v"] == VERSION and _is_person(told["user"]):
            bot, at = told.get("bot"), told.get("at")
            if told["kind"] == "wish" and isinstance(bot, str) and bot:
                return Wish(told["user"], bot)
            if told["kind"] == "forget" and (at is None or type(at) is int):
                return Forget(told["user"], at)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise PoisonMessage("a queue message that names no erasure")


def _is_person(user: object) -> bool:
    """Only people are forgotten: the pairs table also holds rows of accounts."""
    return isinstance(user, str) and channel_of(user) in CHANNELS


@dataclass(frozen=True, slots=True)
class Erasures:
    """Enqueues erasures."""

    client: Any
    queue_url: str

    def wish(self, user: str, bot: str) -> None:
        """Have the wishes of this conversation carried out. Call it once the wish itself is durable.

        No message is named: WhatsApp's message ids hold the number of the phone. Raises TemporaryFailure: the request
        must be answered with an error, so that it comes again.
        """
        self._put(Wish(user, bot))

    def forget(self, user: str, at: int | None = None) -> None:
        """Have everything about this person erased. `at` is when they asked: a redelivery of the same request is
        then known as a repeat, and what was written before it never comes back. Raises TemporaryFailure.
        """
        self._put(Forget(user, at), delay=ANSWER_FIRST)

    def _put(self, erasure: Erasure, *, delay: int = 0) -> None:
        try:
            self.client.send_message(QueueUrl=self.queue_url, MessageBody=body(erasure), DelaySeconds=delay)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "Unknown")
            raise TemporaryFailure(f"SQS SendMessage: {code}") from None
        except BotoCoreError as error:
            raise TemporaryFailure(f"SQS SendMessage: {type(error).__name__}") from None
