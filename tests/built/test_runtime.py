"""Each built function under AWS's own runtime: the Lambda runtime interface client and emulator, no container.

`aws-lambda-rie` ships inside the aws-sam-cli package; `awslambdaric` lives in an environment that holds nothing else,
so that a library missing from the layer is missed here. The emulator crashes on two invocations at once: one by one.
"""

import json
import os
import platform
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import artifact
from tests.emulator import Emulator, emulator, eventually, free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="aws-lambda-rie is built for Linux alone")

EVENTS = artifact.ROOT / "events"
MACHINE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"

Invoke = Callable[[Mapping[str, Any]], Any]


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with emulator(tmp_path_factory.mktemp("ministack") / "ministack.log") as running:
        yield running


@pytest.fixture(scope="module")
def resources(aws: Emulator) -> dict[str, str]:
    """The template's tables, queue, bus and alarm, by logical id, and the secrets that the events were signed with."""
    declared = artifact.template()["Resources"]
    tables = ("Interactions", "Pairs", "Bots")
    shape = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    for table in tables:
        properties = declared[table]["Properties"]
        aws.client("dynamodb").create_table(
            TableName=table, **{name: properties[name] for name in shape if name in properties}
        )
    queue = aws.client("sqs").create_queue(QueueName="FollowUpsQueue")["QueueUrl"]
    aws.client("events").create_event_bus(Name="Bus")
    aws.client("cloudwatch").put_metric_alarm(
        AlarmName="WebhookFailures",
        Namespace="AWS/Lambda",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=60,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    secrets = {"/relance/pepper": "pepper-for-tests"}
    for channel in artifact.WEBHOOKS.values():
        secrets[f"/relance/{channel}/app-secrets"] = "app-secret-for-tests"
        secrets[f"/relance/{channel}/verify-token"] = "verify-token-for-tests"
    for name, value in secrets.items():
        aws.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString")
    return {**{table: table for table in tables}, "FollowUpsQueue": queue, "Bus": "Bus"}


@contextmanager
def runtime(function: str, aws: Emulator, resources: Mapping[str, str], log: Path) -> Iterator[Invoke]:
    """One execution environment of a built function: a callable that invokes it and returns its answer."""
    properties = artifact.template()["Resources"][function]["Properties"]
    defaults = artifact.template()["Globals"]["Function"]
    port, api = free_port(), free_port()
    rie = next(artifact.SAM.parent.glob(f"lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{MACHINE}"))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, artifact.search_path(function))),
        "LAMBDA_TASK_ROOT": str(artifact.build() / function),
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(properties.get("MemorySize", defaults["MemorySize"])),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(properties.get("Timeout", defaults["Timeout"])),
        **artifact.environment(function, resources),
        **aws.environment,
    }
    command = [
        *(str(rie), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{api}", "--log-level", "error"),
        *(str(artifact.RUNTIME), "-m", "awslambdaric", properties["Handler"]),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the suite's own command
            command, env=environment, cwd=artifact.build() / function, stdout=output, stderr=output
        )

    def invoke(payload: Mapping[str, Any]) -> Any:
        url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        request = urllib.request.Request(url, data=json.dumps(payload).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310 - loopback
            said = json.load(answer)
        # An exception is an answer like any other here: HTTP 200 and this shape.
        assert not (isinstance(said, dict) and "errorType" in said), (said, log.read_text(encoding="utf-8"))
        return said

    try:
        assert eventually(lambda: _listens(port), within=10), log.read_text(encoding="utf-8")
        yield invoke
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("function", "channel"), artifact.WEBHOOKS.items())
def test_a_webhook_shakes_hands_keeps_a_signed_message_and_refuses_any_other(
    function: str, channel: str, aws: Emulator, resources: Mapping[str, str], tmp_path: Path
) -> None:
    """The three answers Meta sees, and one message more in the table: never from a forged request."""

    def kept() -> int:
        return aws.client("dynamodb").scan(TableName="Interactions", Select="COUNT")["Count"]

    text = event(f"webhook-{channel}-text")
    forged = text | {"body": text["body"].replace("0", "1")}
    before = kept()
    with runtime(function, aws, resources, tmp_path / "rie.log") as invoke:
        handshake = invoke(event("webhook-handshake"))
        assert (handshake["statusCode"], handshake["body"]) == (200, "1158201444")
        assert invoke(forged)["statusCode"] == 401
        assert kept() == before
        assert [invoke(text)["statusCode"] for _ in range(2)] == [200, 200]
    assert kept() == before + 1


def test_the_sweeper_sweeps_when_its_schedule_fires_and_leaves_its_heartbeat(
    aws: Emulator, resources: Mapping[str, str], tmp_path: Path
) -> None:
    """With the very input of the template's schedule, and with a schedule's that asks for some shards."""
    schedule = artifact.template()["Resources"]["Sweeper"]["Properties"]["Events"]["Schedule"]["Properties"]
    with runtime("Sweeper", aws, resources, tmp_path / "rie.log") as invoke:
        reports = [invoke(json.loads(schedule["Input"])), invoke(event("sweeper-schedule"))]
    assert [(report["rang"], report["held"]) for report in reports] == [(0, "")] * 2
    row = aws.client("dynamodb").get_item(TableName="Bots", Key={"id": {"S": "*"}})["Item"]
    assert int(row["heartbeat_at"]["N"]) > 0


@pytest.mark.parametrize(("function", "batch"), [("Sender", "sender-follow-ups"), ("Eraser", "eraser-erasures")])
def test_a_batch_is_done_but_for_the_message_that_nobody_can_read(
    function: str, batch: str, aws: Emulator, resources: Mapping[str, str], tmp_path: Path
) -> None:
    """A pair or person that is gone is done with; the poison at the end goes back, alone, until the DLQ has it."""
    poison = event(batch)["Records"][-1]["messageId"]
    with runtime(function, aws, resources, tmp_path / "rie.log") as invoke:
        answer = invoke(event(batch))
    assert answer == {"batchItemFailures": [{"itemIdentifier": poison}]}


def test_the_eraser_answers_at_its_door(aws: Emulator, resources: Mapping[str, str], tmp_path: Path) -> None:
    """What Meta posts is confirmed with a code and a page, and the page answers."""
    with runtime("Eraser", aws, resources, tmp_path / "rie.log") as invoke:
        assert invoke(event("eraser-deauthorize"))["statusCode"] == 200
        confirmed = invoke(event("eraser-deletion"))
        assert confirmed["statusCode"] == 200
        code = json.loads(confirmed["body"])["confirmation_code"]
        asked = event("eraser-status") | {"queryStringParameters": {"code": code}, "rawQueryString": f"code={code}"}
        assert invoke(asked)["statusCode"] in (200, 404)
        assert invoke(event("eraser-status") | {"rawPath": "/nowhere"})["statusCode"] == 404


def test_the_refresher_looks_at_every_token(aws: Emulator, resources: Mapping[str, str], tmp_path: Path) -> None:
    """A deployment without Instagram bots has nothing to renew."""
    with runtime("Refresher", aws, resources, tmp_path / "rie.log") as invoke:
        assert isinstance(invoke(event("refresher-schedule")), dict)
