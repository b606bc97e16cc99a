"""A burst of webhooks at the deployed stack: real HTTP, real processes, many at once; counted once, written to once.

RELANCE_LONG=1 sends thousands. The emulator runs on the same machine as those who write, and is no Lambda: what is
printed says how long the test took, not how fast relance is.
"""

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from local import webhooks
from relance.interaction import CHANNELS, HOUR, Address
from relance.pair import user_key
from tests.e2e.deployment import Deployment, deployed
from tests.emulator import eventually
from tests.load.storm import NEEDED, POISON, POISON_MESSAGES, WORDS

LONG = os.environ.get("RELANCE_LONG", "") not in ("", "0")
SEED = int(os.environ.get("RELANCE_SEED", "20260115"))
PEOPLE, HOT = (300, 300) if LONG else (21, 160)
AT_ONCE = 8
# The emulator puts U+FFFD for bytes that are not UTF-8, which no signature survives: 401. Meta writes ASCII.
SOUND_BYTES = tuple(name for name in POISON if name != "not utf-8")
PEPPER = b"pepper-for-tests"


@dataclass(slots=True)
class Burst:
    """Who writes what, and how it went."""

    deployment: Deployment
    expected: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0

    @property
    def earned(self) -> set[str]:
        """Whom a follow-up is due to: five messages and more, and not hundreds of them."""
        return {user for (_, user), said in self.expected.items() if NEEDED <= len(said) < HOT}

    def write(self, channel: str, user: str, count: int, luck: random.Random) -> None:
        """A conversation that went quiet at least twelve hours ago."""
        quiet = int(time.time()) - 12 * HOUR
        times = sorted(quiet - luck.randrange(2 * HOUR) for _ in range(count))
        said = self.expected.setdefault((channel, user), [])
        for i, at in enumerate(times):
            id_ = f"m.burst.{user[-6:]}.{i}"
            text = WORDS[-1] if i == count - 1 else WORDS[i % (len(WORDS) - 1)]
            body = webhooks.build(
                channel, "text", bot=self.deployment.bot(channel), user=Address(user), at=at, id=id_, text=text
            )
            self.deployment.graph.inbound(channel, self.deployment.bot(channel), user, at)
            said.append((at, id_))
            self.bodies += [(channel, webhooks.encode(body))] * (2 if luck.random() < 0.1 else 1)

    def deliver(self, channel: str, raw: bytes) -> None:
        """As Meta: until it is answered 200."""
        for _ in range(10):
            try:
                status = self.deployment.request(channel, raw, webhooks.sign(raw))
            except OSError:  # the machine was too busy to answer: nobody knows, so it is delivered again
                status = 0
            self.statuses[status] += 1
            if status == 200:
                return
            time.sleep(0.5)
        raise AssertionError(f"never taken: {status}")


@pytest.fixture(scope="module")
def burst(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Burst]:
    """Deploy, and let the burst come in, eight requests at a time, in any order."""
    luck = random.Random(SEED)
    with deployed(tmp_path_factory.mktemp("burst")) as deployment:
        burst = Burst(deployment)
        for number in range(PEOPLE):
            channel = CHANNELS[number % 3]
            burst.write(channel, deployment.person(channel, 500 + number), luck.choice((4, 5, 5, 6, 7)), luck)
        burst.write("messenger", deployment.person("messenger", 9_000), HOT, luck)
        for number in range(max(len(SOUND_BYTES), len(burst.bodies) // 100)):
            channel, name = CHANNELS[number % 3], SOUND_BYTES[number % len(SOUND_BYTES)]
            burst.bodies.append((channel, POISON[name](channel, number)))
        luck.shuffle(burst.bodies)
        since = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(lambda each: burst.deliver(*each), burst.bodies))
        burst.seconds = time.monotonic() - since
        sys.stdout.write(
            f"\n{len(burst.bodies)} webhooks, {AT_ONCE} at once, in {burst.seconds:.0f} s on {os.cpu_count()} cores "
            f"that run everything; answers {dict(burst.statuses)}; seed {SEED}\n"
        )
        yield burst


def test_every_message_is_counted_once_whatever_the_order(burst: Burst) -> None:
    """The register is the newest five, and every message is remembered under its own time, once."""
    rows = {(row["user"], row["bot"]): row for row in burst.deployment.rows("PairsTable")}
    kept: Counter[tuple[str, str]] = Counter(
        (row["pair"], row["at_id"]) for row in burst.deployment.rows("InteractionsTable") if row["side"] == "user"
    )
    wrong = []
    for (channel, user), said in burst.expected.items():
        key, bot = user_key(channel, user, PEPPER), burst.deployment.bot(channel)
        row = rows.get((key, bot), {})
        register = [int(row[name][:10]) for name in ("s1", "s2", "s3", "s4", "s5") if row.get(name)]
        if register != sorted((at for at, _ in said), reverse=True)[:NEEDED]:
            wrong.append((user, register))
        wanted = {(f"{key}#{bot}", f"{at:010d}#{id_}") for at, id_ in said}
        if {each for each in kept if each[0] == f"{key}#{bot}"} != wanted:
            wrong.append((user, "interactions"))
    assert wrong == []


def test_whoever_earned_one_gets_one_and_poison_in_the_queue_hinders_nobody(burst: Burst) -> None:
    """Sweeper, queue and sender of the deployment, by themselves, with poison among the messages."""
    deployment, sqs = burst.deployment, burst.deployment.aws.client("sqs")
    queue, dead = (deployment.outputs[f"FollowUps{name}Url"] for name in ("Queue", "DeadLetters"))
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "5"})
    for body in filter(None, POISON_MESSAGES):
        sqs.send_message(QueueUrl=queue, MessageBody=body)

    eventually(lambda: {said.to for said in deployment.graph.accepted} >= burst.earned, within=240)
    received = Counter(said.to for said in deployment.graph.accepted)
    assert received == Counter(burst.earned), deployment.trouble()
    assert eventually(lambda: deployment.waiting("FollowUpsQueueUrl") == 0, within=120)

    # Everything in the dead-letter queue, and a copy for every pair there is, is sent to the queue again.
    redriven = 0
    while found := sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10).get("Messages"):
        for message in found:
            sqs.send_message(QueueUrl=queue, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
            redriven += 1
    for row in deployment.rows("PairsTable"):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"v": 1, "user": row["user"], "bot": row["bot"]}))
    deployment.invoke("Sweeper", {})
    assert eventually(lambda: deployment.waiting("FollowUpsQueueUrl") == 0, within=180)
    sys.stdout.write(f"\n{sum(received.values())} written to, {redriven} dead letters redriven\n")
    assert 5 <= redriven < len(POISON_MESSAGES) + 1
    assert Counter(said.to for said in deployment.graph.accepted) == received
