"""A deployment of template.yaml on this machine: `sam build`, `sam deploy`, and what somebody does after deploying."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import yaml

from local import webhooks
from local.graph import GraphStandIn
from relance.interaction import CHANNELS, DAY, Address
from relance.zones import zones_of_country
from tests import artifact
from tests.emulator import Emulator, emulator

STACK = "relance-rehearsal"
URLS = {channel: f"{name}Url" for name, channel in artifact.WEBHOOKS.items()}


def rehearsed(template: dict[str, Any]) -> dict[str, Any]:
    """The built template with the four things changed in which the emulator differs from AWS.

    It has no alarms over metric maths, it does not turn a parameter into a number for an event source, it judges
    requests for several parameters or alarms by `*`, and it asks a permission of its own for a batch of queue messages
    (on AWS `sqs:SendMessage` covers both). The exact permissions are held by tests/unit/test_template.py.
    """
    resources = template["Resources"]
    for resource in resources.values():
        if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in (alarm := resource["Properties"]):
            query = alarm.pop("Metrics")[1]["MetricStat"]
            alarm |= query["Metric"] | {"Period": query["Period"], "Statistic": query["Stat"]}
    scaling = resources["Sender"]["Properties"]["Events"]["FollowUps"]["Properties"]["ScalingConfig"]
    scaling["MaximumConcurrency"] = template["Parameters"]["SenderConcurrency"]["Default"]
    for function in artifact.FUNCTIONS:
        (policy,) = resources[function]["Properties"]["Policies"]
        for statement in policy["Statement"]:
            if {"ssm:GetParameters", "cloudwatch:DescribeAlarms"} & {*_listed(statement.get("Action", []))}:
                statement["Resource"] = "*"
            if statement.get("Action") == "sqs:SendMessage":
                statement["Action"] = ["sqs:SendMessage", "sqs:SendMessageBatch"]
    return template


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


# One country with a single time zone for about every hour of the day.
AROUND_THE_WORLD = "AS CK PN GT PE BO UY CV SN NG EG KE AE PK BD TH PH JP GU SB FJ TO".split()


def two_in_the_afternoon(now: float) -> tuple[str, str]:
    """A country where it is about 14:00, and its zone: far from every edge of the allowed hours."""

    def distance(country: str) -> float:
        local = datetime.fromtimestamp(now, ZoneInfo(zones_of_country(country)[0]))
        return abs(local.hour + local.minute / 60 - 14)

    country = min(AROUND_THE_WORLD, key=distance)
    assert distance(country) <= 2
    return country, zones_of_country(country)[0]


@dataclass(slots=True)
class Deployment:
    """The deployed stack, the world around it, and what a person or Meta can do to both."""

    aws: Emulator
    graph: GraphStandIn
    outputs: Mapping[str, str]
    country: str
    zone: str
    posted: int = 0

    def bot(self, channel: str) -> str:
        """The one bot of a channel."""
        return f"10000000000080{CHANNELS.index(channel)}"

    def person(self, channel: str, number: int) -> str:
        """An invented person: on WhatsApp their business-scoped id says in which country they are."""
        return (
            f"{self.country}.{900_000_000_000 + number}"
            if channel == "whatsapp"
            else str(9_000_000_000_000_000 + number)
        )

    def post(self, channel: str, user: str, text: str, at: int, *, times: int = 1, kind: str = "text") -> None:
        """Meta delivers a message of that moment to the deployed webhook, `times` times; each must be answered 200."""
        self.posted += 1
        body = webhooks.build(
            channel, kind, bot=self.bot(channel), user=Address(user), at=at, id=f"m.rehearsal.{self.posted}", text=text
        )
        raw = webhooks.encode(body)
        self.graph.inbound(channel, self.bot(channel), user, at)
        for _ in range(times):
            assert self.request(channel, raw, webhooks.sign(raw)) == 200

    def request(self, channel: str, raw: bytes, signature: str) -> int:
        """A POST to the Function URL of a channel: its host name, at the emulator's address. Returns the status."""
        host = urlsplit(self.outputs[URLS[channel]]).netloc
        headers = {"Host": host, "Content-Type": "application/json", "X-Hub-Signature-256": signature}
        request = urllib.request.Request(f"{self.aws.url}/", raw, headers)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def said_to(self, user: str) -> list[str]:
        """What really reached a person, by the stand-in's own record."""
        return [said.text for said in self.graph.accepted if said.to == user]

    def function(self, name: str) -> str:
        """The name that CloudFormation gave a function."""
        found = self.aws.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        return next(resource["PhysicalResourceId"] for resource in found if resource["LogicalResourceId"] == name)

    def invoke(self, name: str, payload: Mapping[str, Any]) -> Any:
        """Invoke a deployed function and return its answer; a failed invocation is a failure here."""
        done = self.aws.client("lambda").invoke(FunctionName=self.function(name), Payload=json.dumps(payload).encode())
        answer = json.loads(done["Payload"].read())
        assert "FunctionError" not in done, answer
        return answer

    def waiting(self, output: str) -> int:
        """How many messages a queue holds, whether hidden or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.aws.client("sqs").get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of a table, as plain values."""
        found = self.aws.client("dynamodb").scan(TableName=self.outputs[table])["Items"]
        return [{name: next(iter(value.values())) for name, value in item.items()} for item in found]

    def logs(self) -> str:
        """Every line that the functions logged."""
        client, lines = self.aws.client("logs"), []
        for group in client.describe_log_groups()["logGroups"]:
            for stream in client.describe_log_streams(logGroupName=group["logGroupName"])["logStreams"]:
                name = {"logGroupName": group["logGroupName"], "logStreamName": stream["logStreamName"]}
                lines += [line["message"] for line in client.get_log_events(**name, startFromHead=True)["events"]]
        return "\n".join(lines)

    def trouble(self) -> str:
        """For a failed test: the last lines of the logs that tell of an error, and what each pair was told."""
        lines = [line for line in self.logs().splitlines() if "rror" in line or "WARN" in line]
        verdicts = [{name: row.get(name) for name in TOLD} for row in self.rows("PairsTable")]
        return "\n".join([*lines[-20:], *map(str, verdicts), *map(str, self.graph.requests[-20:])])


TOLD = ("user", "bot", "s1", "s5", "due_at", "verdict", "reason", "used_at", "outcome")


def bot_file(deployment: Deployment, channel: str) -> dict[str, Any]:
    """A bot as its operator would write it: the example of this repository, live, for the people of this rehearsal."""
    example = yaml.safe_load((artifact.ROOT / "bots/cinema-film-guide.yaml").read_text(encoding="utf-8"))
    for name in ("hours", "quiet_days", "min_silence", "preferred_silence", "secrets", "app_ids"):
        example.pop(name, None)
    return example | {
        "bot": deployment.bot(channel),
        "channel": channel,
        "mode": "live",
        "country": "MX",
        "zone": deployment.zone,
        "audience_zones": [deployment.zone],
        "languages": ["en", "fr"],
        "consent": "soft",
        "soft_basis": "These people are invented.",
        "notice": True,
        "ai_is_incidental": True,
    }


@contextmanager
def deployed(folder: Path) -> Iterator[Deployment]:
    """Deploy to a fresh emulator that enforces permissions, publish one bot per channel, and end it all."""
    file = artifact.build() / "rehearsal.yaml"
    file.write_text(yaml.safe_dump(rehearsed(artifact.template()), sort_keys=False), encoding="utf-8")
    with emulator(folder / "ministack.log", enforce_permissions=True) as aws, GraphStandIn() as graph:
        country, zone = two_in_the_afternoon(time.time())
        deployment = Deployment(aws, graph, {}, country, zone)
        _put_secrets(deployment)
        parameters = {
            "GraphUrl": graph.url,
            "InstagramGraphUrl": graph.url,
            "SweepMinutes": 1,
            "LeaseMinutes": 1,
            "PreferredSilenceHours": 8,  # so that people silent for twelve hours are due now, whatever the hour is
        }
        artifact.run(
            [
                *(str(artifact.SAM / "sam"), "deploy", "--template-file", str(file), "--stack-name", STACK),
                *("--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset"),
                *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
            ],
            environment=aws.environment,
        )
        stack = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        deployment.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        _publish(deployment, folder)
        yield deployment


def _put_secrets(deployment: Deployment) -> None:
    secrets = {"/relance/pepper": "pepper-for-tests"}
    for channel in CHANNELS:
        token = f"EAA-rehearsal-{channel}"
        deployment.graph.register_token(token, deployment.bot(channel), channel=channel)
        secrets |= {
            f"/relance/{channel}/app-secrets": webhooks.APP_SECRET,
            f"/relance/{channel}/verify-token": "verify-token-for-tests",
            f"/relance/bots/{deployment.bot(channel)}/token": token,
        }
    for name, value in secrets.items():
        deployment.aws.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString")


def _publish(deployment: Deployment, folder: Path) -> None:
    """Publish as an operator does; then move `enabled_at` back, so that silences of yesterday count."""
    for channel in CHANNELS:
        file = folder / f"{channel}.yaml"
        file.write_text(yaml.safe_dump(bot_file(deployment, channel), allow_unicode=True), encoding="utf-8")
        artifact.run(
            [str(artifact.ROOT / ".venv/bin/relance"), "bots", "publish", str(file), "--stack-name", STACK],
            environment=deployment.aws.environment,
        )
        deployment.aws.client("dynamodb").update_item(
            TableName=deployment.outputs["BotsTable"],
            Key={"id": {"S": deployment.bot(channel)}},
            UpdateExpression="SET enabled_at = :then",
            ConditionExpression="attribute_exists(enabled_at)",
            ExpressionAttributeValues={":then": {"N": str(int(datetime.now(UTC).timestamp()) - 2 * DAY)}},
        )
