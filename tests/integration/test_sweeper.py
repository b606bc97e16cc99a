"""The real sweeper on the local stack: leases, drops, waits, outages, shards, and what a sweep costs."""

from dataclasses import replace

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.endpoint import Endpoint

from local.webhooks import build
from tests.cinema import CINEMA, DAY, HOUR, NOON


@pytest.fixture(scope="module", autouse=True)
def credentials():
    """For the tests' own clients; they open nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield


@pytest.fixture
def stack(stack):
    """A fresh deployment with one live bot, at noon."""
    stack.publish(CINEMA, enabled_at=NOON - 30 * DAY)
    return stack


def talk(stack, user="2002", last=NOON - 60, messages=5, bot="1001"):
    """A conversation whose last message is at `last`."""
    for i in range(messages):
        at = last - (messages - 1 - i) * 60
        stack.post(
            "messenger",
            build("messenger", "text", bot=bot, user=user, at=at, id=f"{user}-{at}", text="tell me about the film"),
        )


def pair(stack, bot="1001"):
    """The only pair's row."""
    (row,) = [row for row in stack.pairs() if row["bot"] == bot]
    return row


def test_the_first_ring_plans_the_moment_and_moves_the_timer(stack):
    """Nothing is queued; the ledger says what is waited for."""
    talk(stack)
    stack.travel(NOON - 60 + 8 * HOUR)
    stack.sweep()

    row = pair(stack)
    assert NOON - 60 + 23 * HOUR == row["due_at"]
    assert ("wait", "too_soon") == (row["verdict"], row["reason"])
    assert 0 == stack.queue_depth()


def test_at_the_moment_the_timer_is_leased_and_the_pair_is_queued(stack):
    """Leased first: should the queue lose it, it rings again in ten minutes."""
    talk(stack)
    at = NOON - 60 + 23 * HOUR
    stack.travel(at)
    stack.sweep()

    assert at + 600 == pair(stack)["due_at"]
    assert 1 == stack.queue_depth()


def test_a_second_sweeper_finds_nothing_to_lease(stack):
    """Two sweepers at once do no harm."""
    talk(stack)
    stack.travel(NOON + 23 * HOUR)
    stack.sweep()
    stack.sweep()

    assert 1 == stack.queue_depth()


def test_a_queue_that_lost_the_message_gets_it_again(stack):
    """The lease ends, the timer rings."""
    talk(stack)
    stack.travel(NOON + 23 * HOUR)
    stack.sweep()
    stack.travel(NOON + 23 * HOUR + 600)
    stack.sweep()

    assert 2 == stack.queue_depth()


def test_an_account_without_a_published_bot_is_dropped_by_the_sweeper(stack):
    """The webhook looks nothing up; its rows go with their TTL."""
    talk(stack, bot="9999")
    stack.travel(NOON + 8 * HOUR)
    stack.sweep()

    row = pair(stack, "9999")
    assert ("drop", "unknown_bot") == (row["verdict"], row["reason"])
    assert "due_at" not in row


def test_a_drop_lasts_until_the_users_next_message(stack):
    """The timer stops; a redelivered old webhook does not start it again, a new message does."""
    stack.pause("1001")
    talk(stack)
    stack.travel(NOON + 8 * HOUR)
    stack.sweep()
    stopped = pair(stack)
    talk(stack)
    redelivered = pair(stack)
    talk(stack, last=stack.now - 5, messages=1)

    assert "due_at" not in stopped
    assert "due_at" not in redelivered
    assert stack.now - 5 + 8 * HOUR == pair(stack)["due_at"]


def test_somebody_who_came_back_after_a_moment_was_planned_is_noted(stack):
    """The earlier silence ended with their return."""
    talk(stack)
    first = pair(stack)["s1"]
    stack.run_until(NOON + 12 * HOUR)
    talk(stack, last=NOON + 12 * HOUR - 5, messages=1)
    stack.run_until(NOON + 23 * HOUR)

    row = pair(stack)
    assert (first, NOON + 23 * HOUR) == (row["returned_s1"], row["returned_at"])
    assert "used_at" not in row


def test_several_schedules_can_split_the_shards(stack):
    """Each sweeps its own part; together they are complete."""
    for i in range(8):
        talk(stack, user=f"20{i:02d}")
    stack.travel(NOON + 23 * HOUR)
    asked = [stack.invoke("Sweeper", {"shards": part})["rang"] for part in ("0", "1")]

    assert 8 == sum(asked)
    assert all(asked)


def test_a_sweep_that_runs_out_of_time_stops_cleanly(stack, monkeypatch):
    """What still rings, rings for the next one."""
    talk(stack)
    stack.travel(NOON + 23 * HOUR)
    from local.stack import LambdaContext

    with monkeypatch.context() as patch:
        patch.setattr(LambdaContext, "get_remaining_time_in_millis", lambda self: 14_999)
        report = stack.invoke("Sweeper", {})
    again = stack.invoke("Sweeper", {})

    assert (True, 0) == (report["unfinished"], report["enqueued"])
    assert 1 == again["enqueued"]


# ── outages ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_mere_quiet_is_never_an_outage(stack):
    """A deployment with one user who is silent for days still serves that user."""
    stack.run_until(NOON + DAY)
    talk(stack, last=stack.now)
    stack.run_until(stack.now + 23 * HOUR)

    assert NOON + DAY + 23 * HOUR == pair(stack)["used_at"]
    assert "catch_up_until" not in next(row for row in stack.bots() if row["id"] == "*")


def test_a_sweeper_that_was_down_catches_up_before_anybody_is_written_to(stack):
    """Opt-outs may still sit in Meta's redelivery queue."""
    stack.sweep()
    talk(stack)
    stack.travel(NOON + 23 * HOUR)
    held = stack.invoke("Sweeper", {})
    stack.run_until(stack.now + 59 * 60)
    still = stack.queue_depth()
    stack.run_until(stack.now + 6 * 60)

    assert "outage" == held["held"]
    assert 0 == still
    assert NOON + 24 * HOUR <= pair(stack)["verdict_at"] <= NOON + 24 * HOUR + 360


def test_failing_webhooks_hold_everything_until_an_hour_after_the_last_error(stack, monkeypatch):
    """The alarm over the webhook functions' errors is the sweeper's eye."""
    talk(stack)
    stack.run_until(NOON + 22 * HOUR + 30 * 60)
    from relance.store.pairs import PairStore

    with monkeypatch.context() as patch:
        patch.setattr(PairStore, "count", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("down")))
        talk(stack, user="3003", last=stack.now, messages=1)
    failed_at = stack.now
    stack.travel(NOON + 23 * HOUR)
    held = stack.invoke("Sweeper", {})

    assert "outage" == held["held"]
    assert failed_at + 3600 > stack.now


def restored_at(stack, epoch):
    """What docs/operations.md tells the operator to do after a restore."""
    boto3.client("dynamodb").update_item(
        TableName=stack.template.name("Bots"),
        Key={"id": {"S": "*"}},
        UpdateExpression="SET epoch = :epoch",
        ExpressionAttributeValues={":epoch": {"N": str(epoch)}},
    )


def test_after_a_restore_only_pairs_that_write_again_are_eligible(stack):
    """The epoch in the deployment's row."""
    talk(stack)
    restored_at(stack, NOON)
    stack.travel(NOON + 8 * HOUR)
    stack.sweep()

    assert ("drop", "outage") == (pair(stack)["verdict"], pair(stack)["reason"])


# ── one harms no other ───────────────────────────────────────────────────────────────────────────────────────


def test_a_bot_row_that_nobody_can_read_keeps_no_other_from_being_judged(stack):
    """It is no bot; the others are served."""
    row = {"id": {"S": "666"}, "settings": {"M": {"min_silence": {"S": "soon"}}}, "version": {"N": "1"}}
    boto3.client("dynamodb").put_item(TableName=stack.template.name("Bots"), Item=row)
    talk(stack)
    talk(stack, user="2003", bot="666")
    stack.travel(NOON + 23 * HOUR)
    report = stack.invoke("Sweeper", {})

    assert (1, {"send": 1, "unknown_bot": 1}) == (report["enqueued"], report["verdicts"])


def test_a_queue_that_takes_nothing_is_a_failed_sweep_and_loses_nobody(stack, monkeypatch):
    """An alarm rings, the leases end, and the timers ring again."""
    talk(stack)
    stack.travel(NOON + 23 * HOUR)
    attempt = Endpoint._get_response

    def denied(self, request, operation, context):
        if operation.name == "SendMessageBatch":
            error = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
            return (AWSResponse(request.url, 403, {}, None), error), None
        return attempt(self, request, operation, context)

    with monkeypatch.context() as patch:
        patch.setattr(Endpoint, "_get_response", denied)
        stack.sweep()
    stack.travel(NOON + 23 * HOUR + 600)
    stack.sweep()

    assert ["Sweeper"] == [failure.function for failure in stack.failures]
    assert 1 == stack.queue_depth()


def test_an_alarm_that_does_not_exist_is_a_doubt(stack):
    """Nobody is written to while nobody can tell whether webhooks fail."""
    talk(stack)
    boto3.client("cloudwatch").delete_alarms(AlarmNames=[stack.template.name("WebhookFailures")])
    stack.travel(NOON + 23 * HOUR)
    stack.sweep()

    assert 0 == stack.queue_depth()
    assert 1 == len(stack.failures)


# ── costs ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def calls(monkeypatch):
    """Every AWS request by name."""
    made = []
    attempt = Endpoint._get_response

    def counted(self, request, operation, context):
        made.append(operation.name)
        return attempt(self, request, operation, context)

    monkeypatch.setattr(Endpoint, "_get_response", counted)
    return made


@pytest.mark.parametrize("others", [0, 60])
def test_a_sweep_reads_who_rings_and_nobody_else(stack, calls, others):
    """Requests depend on the due pairs and the shards, never on how many pairs there are; and never a Scan."""
    for i in range(3):
        talk(stack, user=f"20{i:02d}")
    for i in range(others):
        talk(stack, user=f"30{i:02d}", messages=1)
    stack.travel(NOON + 23 * HOUR)
    calls.clear()
    stack.invoke("Sweeper", {})

    rings = sorted(name for name in calls if name != "UpdateItem")
    assert 2 == calls.count("Query")
    assert "Scan" not in calls
    assert 3 + 1 == calls.count("UpdateItem")
    assert len(rings) <= 2 + 2 * 2 + 1 + 2 + 1 + 2


def test_a_quiet_sweep_costs_a_heartbeat_a_look_at_the_alarm_and_one_query_a_shard(stack, calls):
    """Nothing rings."""
    stack.sweep()
    calls.clear()
    stack.sweep()

    assert ["UpdateItem", "DescribeAlarms", "Query", "Query"] == calls


def test_ten_pairs_go_into_one_queue_request(stack, calls):
    """Batches of ten."""
    for i in range(12):
        talk(stack, user=f"20{i:02d}")
    stack.travel(NOON + 23 * HOUR)
    calls.clear()
    stack.invoke("Sweeper", {})

    assert 12 == stack.queue_depth()
    assert calls.count("SendMessageBatch") <= 4


def test_a_bot_that_changed_is_judged_as_it_is_now(stack):
    """Settings are read at each sweep."""
    talk(stack)
    stack.publish(replace(CINEMA, mode="off"), enabled_at=0)
    stack.travel(NOON + 8 * HOUR)
    stack.sweep()

    assert "disabled" == pair(stack)["reason"]
