"""`relance people` against the local stack: what an operator does for one person, and what is never shown."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from local.cli_people import app
from local.stack import PEPPER
from local.webhooks import build
from relance.pair import user_key

NOON = 1_768_478_400  # 2026-01-15T12:00:00Z
NUMBER = "12015550123"
CANARY = "kanarienvogel"
KEY = user_key("whatsapp", NUMBER, PEPPER.encode())


class Stacks:
    """CloudFormation, as far as the command asks it: the outputs of one stack."""

    def __init__(self, outputs):
        self.outputs = outputs

    def describe_stacks(self, StackName):
        if StackName != "relance":
            error = {"Error": {"Code": "ValidationError", "Message": f"Stack with id {StackName} does not exist"}}
            raise ClientError(error, "DescribeStacks")
        listed = [{"OutputKey": name, "OutputValue": value} for name, value in self.outputs.items()]
        return {"Stacks": [{"StackName": StackName, "Outputs": listed}]}


class CloudFormation:
    """Knows one stack by its outputs (moto's own would need libraries that nothing else here does)."""

    def __init__(self, outputs):
        self.stacks = {"relance": [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()]}

    def describe_stacks(self, *, StackName):
        """As boto3 answers, or refuses."""
        if StackName not in self.stacks:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no such stack"}}, "DescribeStacks")
        return {"Stacks": [{"Outputs": self.stacks[StackName]}]}


@pytest.fixture
def deployed(stack, monkeypatch):
    """A deployment that is found by its stack's name, with one conversation."""
    client, cloudformation = boto3.client, CloudFormation(stack.template.outputs)
    monkeypatch.setattr(
        boto3, "client", lambda name, **where: cloudformation if name == "cloudformation" else client(name, **where)
    )
    for n in range(5):
        text = build("whatsapp", "text", bot="106", user=NUMBER, at=NOON - 90 + n, id=f"w{n}", text=CANARY)
        stack.post("whatsapp", text)
    return stack


def run(*words, answer=""):
    """The command's exit code and what it said."""
    done = CliRunner().invoke(app, [*words], input=answer, env={"COLUMNS": "200"})
    return done.exit_code, done.output


def person(stack):
    """The row that is true for all bots."""
    return next(row for row in stack.pairs() if row["bot"] == "*")


def everything(stack):
    """All that is kept of anybody."""
    return json.dumps([stack.pairs(), stack.interactions()], default=sorted)


@pytest.mark.parametrize("written", [NUMBER, "+1 201 555 0123", "+1 (201) 555-0123"])
def test_a_stop_by_the_operator_holds_however_the_number_is_written(deployed, written):
    """The key is that of the number as WhatsApp writes it."""
    code, said = run("opt-out", "whatsapp", written, "--stack-name", "relance", "--yes")

    assert (0, True) == (code, KEY in said)
    assert (KEY, NOON) == (person(deployed)["user"], person(deployed)["opted_out_at"])


def test_an_erasure_by_the_operator_stops_at_once_and_erases_within_a_minute(deployed):
    """The command asks; the eraser erases."""
    code, _ = run("erase", "whatsapp", NUMBER, "--stack-name", "relance", answer="y\n")
    stopped = person(deployed)["opted_out_at"]
    deployed.run_until(NOON + 60)

    assert (0, NOON) == (code, stopped)
    assert CANARY not in everything(deployed)
    assert NUMBER not in everything(deployed)


def test_whoever_answers_no_changes_nothing(deployed):
    """Exit code 1: it was not done."""
    before = everything(deployed)
    codes = [run(name, "whatsapp", NUMBER, "--stack-name", "relance", answer="n\n")[0] for name in ("erase", "opt-out")]

    assert [1, 1] == codes
    assert before == everything(deployed)


def test_a_yes_given_elsewhere_is_recorded_with_its_time(deployed):
    """As proof has it, not as of now."""
    given = "2026-01-15T11:00:00+01:00"
    code, _ = run("consent", "whatsapp", NUMBER, "--at", given, "--stack-name", "relance", "--yes")

    assert (0, NOON - 2 * 3600) == (code, person(deployed)["consent_at"])


def test_a_yes_that_is_older_than_the_stop_does_not_count_and_says_so(deployed):
    """A stop is undone by nothing but a younger yes."""
    run("opt-out", "whatsapp", NUMBER, "--stack-name", "relance", "--yes")
    code, said = run("consent", "whatsapp", NUMBER, "--at", "2026-01-15T11:00:00Z", "--stack-name", "relance", "-y")

    assert (1, True) == (code, "does not count" in said)


@pytest.mark.parametrize("written", ["yesterday", "2026-01-15T11:00:00", "2026-01-15T12:00:01Z"])
def test_a_time_that_is_none_or_has_no_zone_or_is_to_come_is_bad_use(deployed, written):
    """Exit code 2, and nothing is written."""
    code, _ = run("consent", "whatsapp", NUMBER, "--at", written, "--stack-name", "relance", "--yes")

    assert 2 == code
    assert "consent_at" not in everything(deployed)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_what_is_shown_holds_marks_and_the_ledger_and_neither_words_nor_the_address(deployed, options):
    """An operator may look; there is nothing to read."""
    run("opt-out", "whatsapp", NUMBER, "--stack-name", "relance", "--yes")
    code, said = run("show", "whatsapp", NUMBER, "--stack-name", "relance", *options)

    assert 0 == code
    assert KEY in said
    assert "opted_out_at" in said
    assert CANARY not in said
    assert NUMBER not in said


def test_somebody_unknown_is_said_to_be_unknown(deployed):
    """Exit code 1, and no row is made by looking."""
    code, said = run("show", "messenger", "4004", "--stack-name", "relance")

    assert (1, True) == (code, "nothing is known" in said)
    assert {KEY} == {row["user"] for row in deployed.pairs()}


@pytest.mark.parametrize(
    "words",
    [
        ("show", "telegram", NUMBER, "--stack-name", "relance"),
        ("show", "whatsapp", " ", "--stack-name", "relance"),
        ("show", "whatsapp", NUMBER, "--stack-name", "another"),
        ("show", "whatsapp", NUMBER),
    ],
)
def test_bad_use_ends_with_two(deployed, words):
    """A channel that is none, an empty address, a stack that is not there or not named."""
    assert 2 == run(*words)[0]
