"""Whether the webhooks have failed lately: the state of the deployment's own CloudWatch alarm."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from relance.errors import TemporaryFailure


@dataclass(frozen=True, slots=True)
class WebhookAlarm:
    """The alarm over errors and throttles of the webhook functions within the last `CatchUpMinutes`."""

    client: Any
    name: str

    def rings(self) -> bool:
        """True while messages, STOPs among them, may still sit in Meta's redelivery queue.

        Raises TemporaryFailure when the state cannot be read: a doubt, so nobody is written to in this sweep.
        """
        try:
            answer = self.client.describe_alarms(AlarmNames=[self.name])
        except (ClientError, BotoCoreError) as error:
            raise TemporaryFailure(f"CloudWatch DescribeAlarms: {type(error).__name__}") from None
        alarms = answer.get("MetricAlarms", ())
        if not alarms:
            raise TemporaryFailure("the alarm over the webhooks does not exist: deploy the template again")
        return any(alarm["StateValue"] == "ALARM" for alarm in alarms)
