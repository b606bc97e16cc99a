"""The real deployment, rehearsed: `sam deploy` of template.yaml, signed webhooks in, one follow-up out, and never two.

The emulator runs the schedule, the queue and the functions by itself, each function in processes of its own and with
the permissions of its own role. Nothing here calls the code: it speaks HTTP, as Meta does, and reads what was said.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from local import webhooks
from relance.interaction import CHANNELS, HOUR
from tests.e2e.deployment import Deployment, deployed
from tests.emulator import eventually

TEXTS = (
    "Which film noir should I watch after The Third Man?",
    "I liked the photography of The Third Man, all those shadows.",
    "Does Carol Reed have other thrillers from those years?",
    "And who wrote the music, the one with the zither?",
    "I will look for more films by Carol Reed then.",
)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("rehearsal")) as running:
        yield running


def converse(deployment: Deployment, channel: str, user: str, count: int = 5, *, times: int = 1) -> None:
    """A conversation that went quiet twelve hours ago: `count` messages, dated 20 to 12 hours back."""
    now = int(time.time())
    for index, text in enumerate(TEXTS[:count]):
        deployment.post(channel, user, text, now - 20 * HOUR + index * 2 * HOUR, times=times)


def test_exactly_the_right_people_are_written_to_once(deployment: Deployment) -> None:
    """On each channel: who wrote five messages and fell silent gets one; four messages or a STOP get none."""
    eager = {channel: deployment.person(channel, 1) for channel in CHANNELS}
    for channel, user in eager.items():
        four, stopped = deployment.person(channel, 2), deployment.person(channel, 3)
        converse(deployment, channel, four, 4)
        converse(deployment, channel, stopped)
        deployment.post(channel, stopped, "STOP", int(time.time()) - 11 * HOUR)
        converse(deployment, channel, user, times=2)  # every webhook comes twice
    forged = webhooks.encode(
        webhooks.build("messenger", "text", bot=deployment.bot("messenger"), user="9000000000000009", at=1, id="m.f")
    )
    assert deployment.request("messenger", forged, webhooks.sign(forged, "another")) == 401

    # The deployed schedule fires within a minute; sweeper, queue and sender do the rest.
    eventually(lambda: len(deployment.graph.accepted) >= len(eager), within=150)
    told = Counter((said.channel, said.to) for said in deployment.graph.accepted)
    assert told == Counter(eager.items()), deployment.trouble()
    assert {said.bot for said in deployment.graph.accepted} == {deployment.bot(channel) for channel in CHANNELS}

    # Whatever happens now, nobody hears a second time: more sweeps, and each queue message three times again.
    queue = deployment.outputs["FollowUpsQueueUrl"]
    for row in deployment.rows("PairsTable"):
        body = json.dumps({"v": 1, "user": row["user"], "bot": row["bot"]})
        for _ in range(3):
            deployment.aws.client("sqs").send_message(QueueUrl=queue, MessageBody=body)
    for _ in range(2):
        deployment.invoke("Sweeper", {})
    assert eventually(lambda: deployment.waiting("FollowUpsQueueUrl") == 0, within=60)
    assert Counter((said.channel, said.to) for said in deployment.graph.accepted) == told
    assert deployment.waiting("FollowUpsDeadLettersUrl") == 0


def test_the_ledger_tells_what_happened_and_holds_no_words(deployment: Deployment) -> None:
    """One used mark per person who was written to; texts are in the interactions table and nowhere else."""
    used = [row for row in deployment.rows("PairsTable") if "used_at" in row]
    assert [row["outcome"] for row in used] == ["accepted"] * len(CHANNELS)
    rows = str(deployment.rows("PairsTable"))
    assert [text for text in TEXTS if text in rows] == []


def test_logs_hold_no_words_no_tokens_and_no_address(deployment: Deployment) -> None:
    """Keys and verdicts are all that anybody can read there."""
    logs = deployment.logs()
    secret = [*TEXTS, "EAA-rehearsal", webhooks.APP_SECRET, "pepper-for-tests"]
    people = [deployment.person(channel, number) for channel in CHANNELS for number in (1, 2, 3)]
    assert len(logs) > 0
    assert [word for word in (*secret, *people) if word in logs] == []


def test_nobody_hears_twice_when_functions_are_killed_in_the_middle_of_sending(deployment: Deployment) -> None:
    """Every function process is killed, twice, while messages are on their way; the queue brings the batch again.

    The stand-in takes a message at once and answers late: at each kill some messages have reached their person and
    nobody knows. Those count as delivered and are never sent again; all others are sent, once.
    """
    # Shorter than the deployed twelve minutes, so that the test need not wait so long for what a dead function held;
    # longer than a batch of ten takes, with a first judgement that loads the encoder.
    deployment.aws.client("sqs").set_queue_attributes(
        QueueUrl=deployment.outputs["FollowUpsQueueUrl"], Attributes={"VisibilityTimeout": "25"}
    )
    crowd = [deployment.person("messenger", number) for number in range(100, 110)]
    before = len(deployment.graph.accepted)
    deployment.graph.fault(times=1000, channel="messenger", delay=1.0)
    for user in crowd:
        converse(deployment, "messenger", user)
    deployment.invoke("Sweeper", {})

    for heard in (2, 5):
        assert eventually(lambda heard=heard: len(deployment.graph.accepted) - before >= heard, within=60, every=0.05)
        assert deployment.aws.kill_workers() > 0

    def is_over() -> bool:
        return all(deployment.said_to(user) for user in crowd) and deployment.waiting("FollowUpsQueueUrl") == 0

    eventually(is_over, within=240)
    assert {user: len(deployment.said_to(user)) for user in crowd} == dict.fromkeys(crowd, 1), deployment.trouble()
    used = [row for row in deployment.rows("PairsTable") if "used_at" in row]
    assert len(used) == len(CHANNELS) + len(crowd)
    # The kills hit somebody in the middle: reserved, delivered, and never recorded. Sent once all the same.
    outcomes = Counter(row["outcome"] for row in used)
    assert set(outcomes) == {"accepted", "reserved"}


def test_nobody_is_written_to_while_the_alarm_of_the_webhooks_rings(deployment: Deployment) -> None:
    """An opt-out may still sit in Meta's redelivery queue: the sweeper holds everything until it is over."""
    cloudwatch = deployment.aws.client("cloudwatch")
    (alarm,) = [each for each in cloudwatch.describe_alarms()["MetricAlarms"] if "WebhookFailures" in each["AlarmName"]]
    cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="a webhook failed")
    waiting = deployment.person("instagram", 200)
    converse(deployment, "instagram", waiting)
    report = deployment.invoke("Sweeper", {})
    assert report["held"] == "outage"
    time.sleep(3)
    assert deployment.said_to(waiting) == []
