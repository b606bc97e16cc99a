"""The local stack behaves as the deployment would: what the template says runs, in virtual time."""

import os

import botocore.session
import pytest

from local import webhooks
from local.stack import LocalStack, _client, _failed_ids
from local.template import ALARM, QUEUE, TABLE, Template, TemplateError, seconds_of
from relance.bot import Bot

# 2026-01-15T12:00:00Z, on the grid of every sweep
NOON = 1_768_478_400
MINUTE, HOUR, DAY = 60, 3_600, 86_400
SWEEP = 5 * MINUTE

PAGE, READER = "1001", "2002"

FILM_GUIDE = Bot(
    id=PAGE,
    channel="messenger",
    name="Lumen",
    operator="Lumen Cinema",
    mode="live",
    country="US",
    zone="Europe/London",
    audience_zones=("Europe/London",),
    languages=("en",),
    app_ids=(webhooks.OWN_APP,),
    consent="soft",
    soft_basis="people asked for film tips",
    notice=True,
    contact="hello@lumen.example",
)

SENTENCES = (
    "I loved the film about the lighthouse keeper",
    "The lighthouse scenes were beautiful, who shot them?",
    "I will watch the director's first film this weekend",
    "Do you know more films set at the sea?",
    "Thanks, the one with the lighthouse is still my favourite",
)


def write(stack, text="I liked the film about the lighthouse", *, id="m_1", at=None, **more):
    """The reader writes to the page, now."""
    body = webhooks.build(
        "messenger", "text", bot=PAGE, user=READER, at=stack.now if at is None else at, id=id, text=text
    )
    return stack.post("messenger", body, **more)


def earn_a_follow_up(stack):
    """Five messages, a minute apart; the last one an hour and four minutes from now."""
    for number, text in enumerate(SENTENCES):
        stack.run_until(NOON + HOUR + number * MINUTE)
        assert 200 == write(stack, text, id=f"m_{number}").status
    return stack.now


def heartbeat(stack):
    (row,) = [row for row in stack.bots() if row["id"] == "*"]
    return row["heartbeat_at"]


def make_webhooks_fail(stack):
    """Take a secret away and let the functions' copies of it grow old."""
    _client("ssm").delete_parameter(Name="/relance/pepper")
    stack.travel(stack.now + 10 * MINUTE)


class TestResources:
    """Everything is made from template.yaml."""

    def test_tables_have_the_keys_and_indexes_of_the_template(self, stack):
        """A key renamed in the template is renamed here."""
        for id_, declared in stack.template.of_type(TABLE).items():
            made = _client("dynamodb").describe_table(TableName=stack.template.name(id_))["Table"]

            assert declared["KeySchema"] == made["KeySchema"]
            assert [each["IndexName"] for each in declared.get("GlobalSecondaryIndexes", [])] == [
                each["IndexName"] for each in made.get("GlobalSecondaryIndexes", [])
            ]

    def test_queues_have_the_timeouts_and_the_redrive_of_the_template(self, stack):
        """Visibility timeout and maxReceiveCount are the deployed ones."""
        declared = stack.template.of_type(QUEUE)["FollowUpsQueue"]
        url = stack.template.resolve({"Ref": "FollowUpsQueue"})

        made = _client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

        assert str(declared["VisibilityTimeout"]) == made["VisibilityTimeout"]
        assert str(declared["RedrivePolicy"]["maxReceiveCount"]) in made["RedrivePolicy"]

    def test_alarms_exist_and_are_quiet(self, stack):
        """A fresh deployment has nothing to ring about."""
        made = _client("cloudwatch").describe_alarms()["MetricAlarms"]

        assert len(stack.template.of_type(ALARM)) == len(made)
        assert {"OK"} == {each["StateValue"] for each in made}

    def test_every_output_of_the_template_resolves(self, stack):
        """No output is left with an intrinsic function in it."""
        assert all(isinstance(value, str) and value for value in stack.template.outputs.values())

    def test_a_parameter_outside_its_range_is_refused(self):
        """CloudFormation would refuse it, too."""
        with pytest.raises(TemplateError, match="MinInteractions"):
            Template(parameters={"MinInteractions": "6"})

    def test_an_unknown_parameter_is_refused(self):
        """A slip of the pen changes nothing silently."""
        with pytest.raises(TemplateError, match="MinInteraction"):
            Template(parameters={"MinInteraction": "5"})

    def test_parameters_reach_the_functions_environment(self):
        """What the operator sets is what the function reads."""
        template = Template(parameters={"SweepMinutes": "1"})

        assert "1" == template.functions["Sweeper"].environment["SWEEP_MINUTES"]
        assert {"Sweeper": MINUTE, "Refresher": DAY} == {each.function: each.period for each in template.schedules}

    @pytest.mark.parametrize(
        ("expression", "seconds"), [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(2 days)", 2 * DAY)]
    )
    def test_schedules_are_read_in_seconds(self, expression, seconds):
        """The three units of a rate."""
        assert seconds == seconds_of(expression)

    def test_only_one_stack_runs_at_a_time(self, stack):
        """moto's state is the process's: a second stack would share it."""
        with pytest.raises(RuntimeError, match="another LocalStack"), LocalStack(start=NOON):
            pass


class TestWebhooks:
    """A POST reaches the function that the template wires to the channel's URL, as Lambda would hand it on."""

    def test_a_signed_message_is_stored(self, stack):
        """One pair, one interaction, in the handler's own tables."""
        response = write(stack)

        assert 200 == response.status
        assert [PAGE] == [row["bot"] for row in stack.pairs()]
        assert ["I liked the film about the lighthouse"] == [row["text"] for row in stack.interactions()]

    @pytest.mark.parametrize("signature", ["bad", None])
    def test_an_unsigned_or_wrongly_signed_message_is_refused(self, stack, signature):
        """401, and nothing is stored."""
        response = write(stack, signature=signature)

        assert 401 == response.status
        assert [] == stack.pairs() + stack.interactions()

    def test_a_base64_body_is_the_same_body(self, stack):
        """Lambda encodes what is not text; the signature is over what was sent."""
        write(stack)
        once = stack.pairs()
        stack.reset(NOON)

        write(stack, base64=True)

        assert once == stack.pairs()

    def test_bytes_that_are_no_text_are_handed_over_encoded(self, stack):
        """The handler gets them as base64, and answers."""
        assert 200 == stack.post("messenger", b"\xff\xfe{").status

    def test_the_handshake_answers_with_the_challenge(self, stack):
        """And with 403 to a wrong token."""
        right = stack.handshake("whatsapp", "verify-token-for-tests", "1158201444")
        wrong = stack.handshake("whatsapp", "guess", "1158201444")

        assert (200, "1158201444") == (right.status, right.body)
        assert 403 == wrong.status

    def test_a_handler_that_raises_is_answered_502(self, stack):
        """As Function URLs do; what was raised is kept."""
        make_webhooks_fail(stack)

        response = write(stack)

        assert 502 == response.status
        assert ["MessengerWebhook"] == [each.function for each in stack.failures]

    def test_no_environment_of_a_function_leaks_into_the_process(self, stack):
        """Nor does moto's make-believe account."""
        before = dict(os.environ)

        write(stack)

        assert before == dict(os.environ)

    def test_logs_are_kept_off_the_console_and_hold_no_text(self, stack, capsys):
        """The functions' standard output goes to `logs`."""
        write(stack, "the word is marzipan")

        assert "" == capsys.readouterr().out
        assert "marzipan" not in stack.logs
        assert READER not in stack.logs


class TestTime:
    """Time passes when `run_until` says so, and only then."""

    def test_a_silence_is_followed_up_once(self, stack):
        """Webhook, timer, sweep, queue, sender, platform, echo: the whole way, and never again."""
        stack.publish(FILM_GUIDE, enabled_at=NOON)
        last = earn_a_follow_up(stack)

        stack.run_until(NOON + 4 * DAY)

        (said,) = stack.graph.accepted
        assert 8 * HOUR <= said.at - last <= DAY
        assert 0 == said.at % SWEEP
        assert [] == stack.failures
        (pair,) = [row for row in stack.pairs() if row["bot"] == PAGE]
        assert said.follow_up_id == pair["follow_up_id"]
        assert ["FollowUpSent"] == [each["detail-type"] for each in stack.events() if "Sent" in each["detail-type"]]

    def test_the_same_fortnight_gives_the_same_result(self, stack):
        """Same people, same texts, same moments."""
        results = []
        for _ in range(2):
            stack.reset(NOON)
            stack.publish(FILM_GUIDE, enabled_at=NOON)
            earn_a_follow_up(stack)
            stack.run_until(NOON + 30 * HOUR)
            results.append([(said.at, said.to, said.text) for said in stack.graph.accepted])

        first, second = results
        assert first == second
        assert 1 == len(first)

    def test_the_heartbeat_never_looks_stale_however_quiet_it_is(self, stack):
        """Sweeps are left out, but never two in a row: an outage is a heartbeat older than three schedules."""
        stack.run_until(NOON)
        for moment in range(NOON, NOON + 8 * HOUR, 7 * MINUTE):
            stack.run_until(moment)

            assert stack.now - heartbeat(stack) < 2 * SWEEP

    def test_quiet_sweeps_are_left_out_and_due_ones_are_not(self, stack):
        """Half of the sweeps of a quiet time run; with a ringing timer each one does."""
        fired = []
        fire = stack._fire
        stack._fire = lambda schedule: (
            fired.append(stack.now) if schedule.function == "Sweeper" else 0,
            fire(schedule),
        )
        try:
            stack.run_until(NOON + 6 * HOUR)
            quiet = len(fired)
            write(stack)
            _client("dynamodb").update_item(
                TableName=stack.template.name("Pairs"),
                Key={name: {"S": stack.pairs()[0][name]} for name in ("user", "bot")},
                UpdateExpression="SET due_shard = :nowhere, due_at = :now",
                ExpressionAttributeValues={":nowhere": {"S": "99"}, ":now": {"N": str(stack.now)}},
            )
            stack.run_until(NOON + 12 * HOUR)
        finally:
            del stack._fire

        assert 6 * HOUR // SWEEP // 2 + 1 == quiet
        assert 6 * HOUR // SWEEP == len(fired) - quiet

    def test_travelling_misses_what_was_due_and_the_deployment_notices(self, stack):
        """A clock that jumps is an outage: the next sweep holds everything until it has caught up."""
        stack.publish(FILM_GUIDE, enabled_at=NOON)
        earn_a_follow_up(stack)
        stack.run_until(NOON + 3 * HOUR)

        stack.travel(NOON + 12 * HOUR)
        stack.sweep()

        (row,) = [row for row in stack.bots() if row["id"] == "*"]
        assert row["catch_up_until"] > stack.now
        assert [] == stack.graph.accepted

    def test_a_failing_webhook_rings_the_alarm_until_the_catch_up_is_over(self, stack):
        """The metric that Lambda would count makes the template's own alarm ring, and then end."""
        make_webhooks_fail(stack)
        write(stack)
        name = stack.template.name("WebhookFailures")

        states = []
        for minutes in (0, 59, 60):
            stack.travel(NOON + (10 + minutes) * MINUTE)
            (alarm,) = _client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
            states.append(alarm["StateValue"])

        assert ["ALARM", "ALARM", "OK"] == states

    def test_what_the_platform_tells_is_told_again_until_it_is_taken(self, stack):
        """An echo that met a failing webhook arrives later."""
        stack.publish(FILM_GUIDE, enabled_at=NOON)
        earn_a_follow_up(stack)
        while not stack.graph.accepted:
            stack.run_until(stack.now + 1)
        _client("ssm").delete_parameter(Name="/relance/pepper")
        stack.travel(stack.now + 10 * MINUTE)
        stack.run_until(stack.now + 1)
        refused = len(stack.failures)
        kept = len(stack.interactions())
        stack._put_secrets()

        stack.run_until(stack.now + 5 * MINUTE)

        assert refused > 0
        assert refused == len(stack.failures)
        assert len(stack.interactions()) >= kept


class TestQueue:
    """The queue feeds the sender as an event source mapping does."""

    def put(self, stack, body):
        url = stack.template.resolve({"Ref": "FollowUpsQueue"})
        _client("sqs").send_message(QueueUrl=url, MessageBody=body)

    def test_a_poison_message_ends_among_the_dead_letters(self, stack):
        """After five receives, each when the visibility timeout of the last is over."""
        self.put(stack, "nobody can read this")

        stack.run_until(NOON + 4 * 721)
        before = stack.dead_letters()
        stack.run_until(NOON + 6 * 721)

        assert [] == before
        assert [{"body": "nobody can read this"}] == stack.dead_letters()

    def test_a_dead_letter_that_nests_without_end_is_shown_as_it_came(self, stack):
        """Python's reader of JSON gives up on it with a RecursionError, which is no ValueError."""
        deep = "[" * 20_000
        url = stack.template.resolve({"Ref": "FollowUpsDeadLetters"})
        _client("sqs").send_message(QueueUrl=url, MessageBody=deep)

        assert [{"body": deep}] == stack.dead_letters()
        assert 0 == stack.queue_depth()

    def test_a_message_that_failed_is_hidden_for_its_visibility_timeout(self, stack):
        """In virtual time."""
        self.put(stack, "nobody can read this")

        tried = [stack.drain(), stack.drain()]
        stack.travel(NOON + 721)
        tried.append(stack.drain())

        assert [1, 0, 1] == tried

    def test_a_poison_message_harms_no_other_in_its_batch(self, stack):
        """Only what failed stays in the queue."""
        self.put(stack, "nobody can read this")
        self.put(stack, '{"v":1,"user":"messenger#0","bot":"1001"}')

        stack.drain()

        assert 1 == stack.queue_depth()

    def test_a_message_older_than_the_queue_keeps_is_gone(self, stack):
        """Neither tried nor dead: SQS forgets it."""
        self.put(stack, "nobody can read this")
        stack.travel(NOON + DAY + 1)

        assert 0 == stack.drain()
        assert (0, []) == (stack.queue_depth(), stack.dead_letters())


class TestOperator:
    """What an operator does to a bot."""

    def test_a_paused_bot_writes_to_nobody(self, stack):
        """Off means off now; the timer's verdict names the pause."""
        stack.publish(FILM_GUIDE, enabled_at=NOON)
        earn_a_follow_up(stack)

        stack.pause(PAGE)
        stack.run_until(NOON + 2 * DAY)

        assert [] == stack.graph.accepted
        assert ["operator"] == [row.get("paused") for row in stack.bots() if row["id"] == PAGE]

    def test_a_resumed_bot_is_as_it_was(self, stack):
        """The mark is gone, the settings are not."""
        stack.publish(FILM_GUIDE, enabled_at=NOON)
        before = stack.bots()

        stack.pause(PAGE)
        stack.resume(PAGE)

        assert before == stack.bots()

    def test_publishing_again_makes_a_new_version(self, stack):
        """A reservation names the version it was judged by."""
        for _ in range(2):
            stack.publish(FILM_GUIDE, enabled_at=NOON)

        assert [2] == [row["version"] for row in stack.bots()]

    def test_nobody_can_pause_a_bot_that_does_not_exist(self, stack):
        """No ghost row is made."""
        with pytest.raises(botocore.exceptions.ClientError):
            stack.pause("9999")

        assert [] == stack.bots()

    def test_what_outlived_its_time_is_deleted_on_request(self, stack):
        """moto never does it by itself."""
        write(stack)
        stack.travel(NOON + 400 * DAY)

        assert stack.expire() >= 1
        assert [] == stack.interactions()


@pytest.mark.parametrize(
    ("answer", "stay"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": "stranger"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{"id": "a"}]}, {"a", "b"}),
        ({"failures": []}, {"a", "b"}),
        ("done", {"a", "b"}),
    ],
)
def test_an_answer_that_lambda_cannot_read_fails_the_whole_batch(answer, stay):
    """AWS: an empty or null list is success; a wrong id, a wrong key or no JSON object is complete failure."""
    assert stay == _failed_ids(answer, {"a", "b"})


def test_a_refused_transaction_leaves_no_trace(stack):
    """The quick way of rolling back gives what moto's own gives: each item as it was, and no new one."""
    table = stack.template.name("Bots")
    client = _client("dynamodb")
    client.put_item(TableName=table, Item={"id": {"S": "old"}, "count": {"N": "1"}})

    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(
            TransactItems=[
                {
                    "Update": {
                        "TableName": table,
                        "Key": {"id": {"S": "old"}},
                        "UpdateExpression": "SET #count = :two",
                        "ExpressionAttributeNames": {"#count": "count"},
                        "ExpressionAttributeValues": {":two": {"N": "2"}},
                    }
                },
                {"Put": {"TableName": table, "Item": {"id": {"S": "new"}}}},
                {
                    "ConditionCheck": {
                        "TableName": table,
                        "Key": {"id": {"S": "absent"}},
                        "ConditionExpression": "attribute_exists(id)",
                    }
                },
            ]
        )

    assert [{"version": 0, "id": "old", "count": 1}] == stack.bots()


def test_a_refused_transaction_restores_a_pair(stack):
    """Also in a table with a range key."""
    write(stack)
    (before,) = stack.pairs()
    key = {name: {"S": before[name]} for name in ("user", "bot")}
    client = _client("dynamodb")
    table = stack.template.name("Pairs")

    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(
            TransactItems=[
                {"Delete": {"TableName": table, "Key": key}},
                {
                    "ConditionCheck": {
                        "TableName": table,
                        "Key": {**key, "bot": {"S": "absent"}},
                        "ConditionExpression": "attribute_exists(s1)",
                    }
                },
            ]
        )

    assert [before] == stack.pairs()
