"""`relance audit` against the local stack: what it reads, how gently, what it says, and how it ends."""

import json
from dataclasses import replace

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.endpoint import Endpoint
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from local.audit import LINES
from local.cli_audit import Reader, app
from local.stack import PEPPER
from local.webhooks import build
from relance.pair import user_key
from tests.cinema import CINEMA, DAY, HOUR, NOON

PERSON = "20020020020020"
CANARY = "kanarienvogel"
KEY = user_key("messenger", PERSON, PEPPER.encode())
BOT = replace(CINEMA, languages=("en", "fr"))


class CloudFormation:
    """Knows one stack by its outputs and parameters (moto's own would need libraries that nothing else here does)."""

    def __init__(self, template):
        outputs = [{"OutputKey": name, "OutputValue": value} for name, value in template.outputs.items()]
        given = [{"ParameterKey": name, "ParameterValue": str(value)} for name, value in template.parameters.items()]
        self.stack = {"Outputs": outputs, "Parameters": given}

    def describe_stacks(self, *, StackName):
        """As boto3 answers, or refuses."""
        if StackName != "relance":
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no such stack"}}, "DescribeStacks")
        return {"Stacks": [self.stack]}


@pytest.fixture
def cloudformation(stack):
    """The deployment as its stack describes it."""
    return CloudFormation(stack.template)


@pytest.fixture
def deployed(stack, monkeypatch, cloudformation):
    """A deployment that is found by its stack's name, and somebody who was written to yesterday."""
    client = boto3.client
    monkeypatch.setattr(
        boto3, "client", lambda name, **where: cloudformation if name == "cloudformation" else client(name, **where)
    )
    stack.publish(BOT, enabled_at=NOON - 30 * DAY)
    for n in range(5):
        text = f"Tell me more about the {CANARY} film some time" if n == 4 else "And who is in it?"
        body = build("messenger", "text", bot="1001", user=PERSON, at=NOON - 90 + n, id=f"m{n}", text=text)
        assert 200 == stack.post("messenger", body).status
    stack.run_until(NOON + DAY + HOUR)
    assert 1 == len(stack.graph.accepted)
    return stack


def run(*words):
    """The command's exit code, what it said, and what it said about itself meanwhile."""
    done = CliRunner().invoke(app, ["--stack-name", "relance", *words], env={"COLUMNS": "200"})
    return done.exit_code, done.stdout, done.stderr


def change(stack, expression, user=KEY, bot="1001", **values):
    """Break a row by hand."""
    boto3.client("dynamodb").update_item(
        TableName=stack.template.name("Pairs"),
        Key={"user": {"S": user}, "bot": {"S": bot}},
        UpdateExpression=expression,
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


# ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clean_deployment_ends_with_zero_and_every_line_at_zero(deployed):
    """Each line says how many rows it looked at."""
    code, said, _ = run()

    assert 0 == code, said
    assert all(f"✓     0  {words}" in said for words in LINES.values())
    assert "a second follow-up in one silence (of 1)" in said


def test_an_offender_is_listed_by_its_key_and_ends_with_one(deployed):
    """The line says what is wrong; the others stay clean."""
    change(deployed, "SET outcome = :o, outcome_at = :a", o={"S": "reserved"}, a={"N": str(NOON)})
    code, said, _ = run()

    assert 1 == code
    assert "✗     1  reservations without an outcome" in said
    assert f"{KEY} 1001: reserved 1 d 1 h ago, and nothing was recorded" in said
    assert 1 == said.count("✗")


def test_json_is_one_object_with_all_offenders(deployed):
    """For machines: every line, in order."""
    change(deployed, "SET due_shard = :s", s={"S": "00"})
    code, said, _ = run("--json")
    told = json.loads(said)

    assert (1, list(LINES)) == (code, [line["line"] for line in told["lines"]])
    assert [KEY] == [each["user"] for line in told["lines"] for each in line["offenders"]]
    assert (2, NOON + DAY + HOUR) == (told["rows"], told["at"])


def test_long_lists_are_cut_and_say_so(deployed):
    """`--show` is a number of offenders, of each line."""
    for n in range(3):
        change(deployed, "SET due_shard = :s, expires_at = :e", bot=f"200{n}", s={"S": "00"}, e={"N": str(10**10)})

    assert "and 2 more" in run("--show", "1")[1]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_neither_the_address_nor_a_word_is_ever_said(deployed, options):
    """Offenders are opaque keys, however wrong their rows."""
    change(deployed, "REMOVE keep_until SET outcome = :o", o={"S": "reserved"})
    code, *said = run(*options)

    assert 1 == code
    assert not any(secret in words for secret in (CANARY, PERSON) for words in said)


def test_it_writes_nothing(deployed):
    """Read-only: every row is what it was, and only reads were asked for."""
    asked = []
    client = boto3.client("dynamodb")
    client.meta.events.register("before-call.dynamodb", lambda model, **_: asked.append(model.name))
    before = (deployed.pairs(), deployed.bots(), deployed.interactions())
    reader = Reader(client, rate=10**6)
    list(reader.scan(deployed.template.name("Pairs"), "rows"))
    reader.kept_follow_ups(deployed.template.name("Interactions"), f"{KEY}#1001", NOON)
    run()

    assert before == (deployed.pairs(), deployed.bots(), deployed.interactions())
    assert {"Scan", "Query"} == set(asked)


def test_the_conversation_is_asked_how_many_follow_ups_it_keeps(deployed):
    """Two messages after one reservation leave one mark and two rows."""
    table = boto3.client("dynamodb")
    kept = next(row for row in deployed.interactions() if row["kind"] == "follow_up")
    again = {"pair": {"S": kept["pair"]}, "at_id": {"S": kept["at_id"] + "x"}, "kind": {"S": "follow_up"}}
    table.put_item(TableName=deployed.template.name("Interactions"), Item=again)

    code, said, _ = run()
    assert (1, True) == (code, "keeps 2 follow-ups" in said)
    assert 0 == run("--no-conversations")[0]


def test_since_passes_over_older_follow_ups(deployed):
    """What was dealt with need not be red for ever."""
    change(deployed, "SET outcome = :o, outcome_at = :a", o={"S": "reserved"}, a={"N": str(NOON)})

    assert 1 == run("--since", "2026-01-16T10:00:00Z")[0]
    assert 0 == run("--since", "2026-01-16T13:00:00+01:00")[0]


def test_a_restored_table_can_be_judged_before_it_is_used(deployed):
    """Another pairs table, with the deployment's own rules; one that does not exist is bad use."""
    table = boto3.client("dynamodb")
    keys = [{"AttributeName": "user", "KeyType": "HASH"}, {"AttributeName": "bot", "KeyType": "RANGE"}]
    kinds = [{"AttributeName": name, "AttributeType": "S"} for name in ("user", "bot")]
    table.create_table(TableName="restored", KeySchema=keys, AttributeDefinitions=kinds, BillingMode="PAY_PER_REQUEST")
    table.put_item(TableName="restored", Item={"user": {"S": KEY}, "bot": {"S": "1001"}, "due_at": {"N": "1"}})

    code, said, _ = run("--pairs-table", "restored", "--json")
    assert (1, 1) == (code, json.loads(said)["rows"])
    assert (2, "") == run("--pairs-table", "nowhere")[:2]


# ── bad use ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--stack-name", "another"), "no such stack"),
        (("--since", "yesterday"), "write it like 2026-01-15T12:00:00Z"),
        (("--since", "2026-01-15T12:00:00"), "names no zone"),
        (("--rate", "0"), "--rate"),
    ],
)
def test_bad_use_ends_with_two_and_says_what_to_do(deployed, words, what):
    """On standard error; nothing was judged."""
    code, said, complained = run(*words)

    assert (2, "") == (code, said)
    assert what in complained


@pytest.mark.parametrize(("part", "key"), [("Outputs", "PairsTable"), ("Parameters", "WindowDays")])
def test_a_stack_that_is_no_deployment_is_named(deployed, cloudformation, part, key):
    """Another stack of the same account."""
    listed = cloudformation.stack[part]
    cloudformation.stack[part] = [each for each in listed if key not in each.values()]
    code, _, complained = run()

    assert (2, True) == (code, f"has no {key}" in complained)


def test_without_a_stack_it_says_which_option_is_missing():
    """Exit code 2."""
    done = CliRunner().invoke(app, [])

    assert (2, True) == (done.exit_code, "--stack-name" in done.stderr)


# ── how it reads ─────────────────────────────────────────────────────────────────────────────────────────────


class Table:
    """A DynamoDB client that holds numbered rows, answers a page at a time, and is busy when told to be."""

    def __init__(self, rows, *, units=10.0, busy=()):
        self.rows = [{"user": {"S": f"u{n}"}, "bot": {"S": "1001"}, "used_at": {"N": str(n)}} for n in range(rows)]
        self.units, self.busy, self.asked = units, list(busy), []

    def scan(self, **request):
        """One page of at most `Limit` rows."""
        self.asked.append(request)
        if self.busy and (code := self.busy.pop(0)):
            raise ClientError({"Error": {"Code": code, "Message": "slower, please"}}, "Scan")
        start = request.get("ExclusiveStartKey", {}).get("n", 0)
        end = start + request["Limit"]
        more = {"LastEvaluatedKey": {"n": end}} if end < len(self.rows) else {}
        return {"Items": self.rows[start:end], "ConsumedCapacity": {"CapacityUnits": self.units}, **more}


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.at, self.slept = 0.0, []

    def sleep(self, seconds):
        """Sleep, at once."""
        self.slept.append(seconds)
        self.at += seconds

    def clock(self):
        """Seconds since it was made."""
        return self.at


def reader(table, rate):
    """A reader of that table with a clock of its own, and what it tells."""
    time, told = Time(), []
    return Reader(table, rate, told.append, time.sleep, time.clock), time, told


def test_every_page_is_read_once_and_in_order():
    """The last key of a page begins the next one."""
    table = Table(25)
    read, _, told = reader(table, rate=1)

    assert [f"u{n}" for n in range(25)] == [row["user"] for row in read.scan("Pairs", "rows")]
    assert [10, 10, 10] == [request["Limit"] for request in table.asked]
    assert [None, {"n": 10}, {"n": 20}] == [request.get("ExclusiveStartKey") for request in table.asked]
    assert ["10 rows read, 10 read units", "20 rows read, 20 read units", "25 rows read, 30 read units"] == told


def test_pages_come_no_faster_than_the_units_allow():
    """Ten units at two a second: five seconds between two pages, and none after the last."""
    read, time, _ = reader(Table(60), rate=2)
    list(read.scan("Pairs", "rows"))

    assert [5.0, 5.0] == time.slept


def test_a_busy_table_is_asked_again_later_and_more_slowly():
    """Longer and longer, and from then on at half the rate each time."""
    table = Table(3, busy=["ProvisionedThroughputExceededException", "ThrottlingException", ""])
    read, time, told = reader(table, rate=100)

    assert 3 == len(list(read.scan("Pairs", "rows")))
    assert ([1.0, 2.0], 25.0) == (time.slept, read.rate)
    assert "the table is busy: again in 1 s, and slower from now on" == told[0]


def test_a_table_that_stays_busy_is_given_up_after_a_while():
    """An audit of half a table would be none."""
    read, time, _ = reader(Table(3, busy=["ThrottlingException"] * 99), rate=100)

    with pytest.raises(ClientError, match="slower, please"):
        list(read.scan("Pairs", "rows"))
    assert 30.0 == max(time.slept)


def test_another_error_is_not_tried_again():
    """No permission stays no permission."""
    table = Table(3, busy=["AccessDeniedException"])
    read, _, _ = reader(table, rate=100)

    with pytest.raises(ClientError):
        list(read.scan("Pairs", "rows"))
    assert 1 == len(table.asked)


def test_a_live_table_of_several_pages_is_read_to_its_end_through_throttling(deployed, monkeypatch):
    """As DynamoDB refuses, in the middle of a table: the page is asked for again, and none is lost or read twice."""
    for n in range(30):
        change(deployed, "SET expires_at = :e", bot=f"3{n:03d}", e={"N": str(10**10)})
    attempt, refused = Endpoint._get_response, []

    def throttled(endpoint, request, operation, context):
        if "ExclusiveStartKey" in str(request.body) and len(refused) < 2:
            refused.append(operation.name)
            error = {"Code": "ProvisionedThroughputExceededException", "Message": "slower"}
            answer = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}
            return (AWSResponse(request.url, 400, {}, None), answer), None
        return attempt(endpoint, request, operation, context)

    monkeypatch.setattr(Endpoint, "_get_response", throttled)
    client = boto3.client("dynamodb", config=Config(retries={"mode": "standard", "total_max_attempts": 1}))
    read, time, _ = reader(client, rate=1)
    bots = [row["bot"] for row in read.scan(deployed.template.name("Pairs"), "rows")]

    assert (32, 32, ["Scan"] * 2) == (len(bots), len(set(bots)), refused)
    assert {1.0, 2.0} <= set(time.slept)


def test_progress_goes_to_standard_error_and_only_now_and_then(deployed, monkeypatch):
    """Standard output holds the findings alone, so that they can be piped."""
    monkeypatch.setattr("local.cli_audit._TOLD_EVERY", 0.0)
    _, said, meanwhile = run("--json")

    assert "2 rows read" in meanwhile
    assert [json.loads(said)] == [json.loads(line) for line in said.splitlines()]
