"""The queue between sweeper and sender: messages carry two keys and nothing else."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from relance.errors import PoisonMessage, TemporaryFailure
from relance.pair import entry
from relance.store.pairs import Due

# AWS: SendMessageBatch takes at most ten entries.
BATCH = 10
VERSION = 1


ABOUT = ("stop", "why", "person", "forget")


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody asked something that relance itself answers; `message_id` is their message, as `question_of` hashes it.

    `typed`: in their own words, not by one of relance's buttons. Such a question may be meant for the bot beside us.
    """

    user: str
    bot: str
    about: str
    message_id: str
    typed: bool = False


def question_of(message_id: str) -> str:
    """A message's id as the queue may carry it. WhatsApp's ids hold the person's number, so none goes as it is."""
    return entry(0, message_id)


def body(asked: Due | Ask) -> str:
    """What a queue message says: which pair. Rules, texts and tokens are read from the tables when it is sent."""
    return json.dumps({"v": VERSION, **asdict(asked)}, separators=(",", ":"))


def read(text: str) -> Due | Ask:
    """The pair, or the question, that a queue message names. Raises PoisonMessage for anything else."""
    try:
        value = json.loads(text)
        names = [value["user"], value["bot"]]
        if "about" in value:
            names += [value["about"], value["message_id"]]
        if value["v"] == VERSION and all(isinstance(name, str) for name in names):
            if len(names) == 2:
                return Due(*names)
            if value["about"] in ABOUT:
                return Ask(*names, typed=value.get("typed") is True)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise PoisonMessage("a queue message that names no pair")


@dataclass(frozen=True, slots=True)
class Outbox:
    """Enqueues pairs, ten a request, and questions."""

    client: Any
    queue_url: str

    def put(self, due: Sequence[Due]) -> int:
        """Enqueue these pairs; returns how many the queue took. The others ring again when their lease ends."""
        taken = 0
        for start in range(0, len(due), BATCH):
            chunk = due[start : start + BATCH]
            entries = [{"Id": str(i), "MessageBody": body(d)} for i, d in enumerate(chunk)]
            try:
                answer = self.client.send_message_batch(QueueUrl=self.queue_url, Entries=entries)
            except (ClientError, BotoCoreError):
                continue
            taken += len(answer.get("Successful", ()))
        return taken

    def ask(self, ask: Ask) -> None:
        """Enqueue a question. TemporaryFailure if the queue did not take it: Meta must deliver it again."""
        try:
            self.client.send_message(QueueUrl=self.queue_url, MessageBody=body(ask))
        except (ClientError, BotoCoreError) as error:
            raise TemporaryFailure(f"SQS SendMessage: {type(error).__name__}") from None
