"""What happened, told to the deployment's event bus: keys, reasons and times, so that others can build on it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

SOURCE = "relance"
# AWS: PutEvents takes at most ten entries.
BATCH = 10


@dataclass(frozen=True, slots=True)
class Happened:
    """One fact in the past tense: `FollowUpSent`, `…Dropped`, `…Refused`, `…Unknown`, or `BotPaused`."""

    name: str
    bot: str
    user: str = ""
    at: int = 0
    route: str = ""
    reason: str = ""
    follow_up_id: str = ""
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Bus:
    """Puts events, ten a request. The ledger is the truth: an event that cannot be put is lost, not retried."""

    client: Any
    name: str

    def tell(self, happened: Sequence[Happened]) -> int:
        """Returns how many events could not be put."""
        lost = 0
        for start in range(0, len(happened), BATCH):
            entries = [
                {
                    "Source": SOURCE,
                    "DetailType": fact.name,
                    "EventBusName": self.name,
                    "Detail": json.dumps({k: v for k, v in asdict(fact).items() if v not in ("", None)}),
                }
                for fact in happened[start : start + BATCH]
            ]
            try:
                answer = self.client.put_events(Entries=entries)
            except (ClientError, BotoCoreError):
                lost += len(entries)
            else:
                lost += answer.get("FailedEntryCount", 0)
        return lost
