"""The queue between sweeper and sender: messages carry two keys and nothing else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from relance.errors import PoisonMessage
from relance.store.pairs import Due

# AWS: SendMessageBatch takes at most ten entries.
BATCH = 10
VERSION = 1


def body(due: Due) -> str:
    """What a queue message says: which pair. Rules, texts and tokens are read from the tables when it is sent."""
    return json.dumps({"v": VERSION, "user": due.user, "bot": due.bot}, separators=(",", ":"))


def read(text: str) -> Due:
    """The pair a queue message names. Raises PoisonMessage for anything else."""
    try:
        value = json.loads(text)
        if value["v"] == VERSION and isinstance(value["user"], str) and isinstance(value["bot"], str):
            return Due(value["user"], value["bot"])
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise PoisonMessage("a queue message that names no pair")


@dataclass(frozen=True, slots=True)
class Outbox:
    """Enqueues pairs, ten a request."""

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
