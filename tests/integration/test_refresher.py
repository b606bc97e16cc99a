"""Access tokens of Instagram Login are renewed long before they end, and nothing is lost when that fails."""

import json
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from local.graph import TOKEN_LIFE
from local.webhooks import build
from relance.persona import Persona
from tests.cinema import CINEMA, DAY

BOT = replace(
    CINEMA, id="17841400000000001", channel="instagram", persona=Persona(voice="A film guide who is brief and precise.")
)
PATH = f"/relance/bots/{BOT.id}"
EVENT = json.loads((Path(__file__).parents[2] / "events/refresher-schedule.json").read_text(encoding="utf-8"))
FIRST = f"token-of-{BOT.id}"


def ssm():
    return boto3.client("ssm", region_name="us-east-1")


def kept(path=PATH):
    """The token and its expiry as they stand in the parameter store."""
    found = ssm().get_parameters(Names=[f"{path}/token", f"{path}/token-expires-at"], WithDecryption=True)["Parameters"]
    values = {each["Name"].rpartition("/")[2]: each["Value"] for each in found}
    return values["token"], int(values["token-expires-at"]) if "token-expires-at" in values else None


def put(name, value, path=PATH):
    """What the operator does by hand."""
    ssm().put_parameter(Name=f"{path}/{name}", Value=value, Type="SecureString", Overwrite=True)


def look(stack):
    """One run of the refresher; None when it failed."""
    failures = len(stack.failures)
    try:
        return stack.invoke("Refresher", EVENT)
    except Exception:
        assert len(stack.failures) == failures + 1
        return None


@pytest.fixture
def day_old(stack):
    """An Instagram bot whose token was put a day ago, with no note of its end."""
    stack.publish(BOT, enabled_at=stack.now)
    stack.graph.register_token(FIRST, BOT.id, channel="instagram", issued=stack.now)
    stack.travel(stack.now + DAY)
    return stack


def days_left(stack):
    """The metric, as it stands in the logs."""
    lines = [json.loads(line) for line in stack.logs.splitlines() if "TokenDaysLeft" in line]
    return [(line["TokenDaysLeft"], line["FunctionName"]) for line in lines]


def test_a_token_whose_end_nobody_noted_is_renewed_and_noted(day_old):
    """The first run after the deployment: sixty days from now on, written down beside the token."""
    answer = look(day_old)

    token, expires_at = kept()
    assert token not in (FIRST, "")
    assert day_old.now + TOKEN_LIFE == expires_at
    assert {"tokens": {BOT.id: "renewed"}, "days_left": 59} == answer
    assert [([59.0], day_old.template.name("Refresher"))] == days_left(day_old)


@pytest.mark.parametrize(("left", "renewed"), [(40 * DAY, False), (40 * DAY - 1, True), (1, True), (-DAY, True)])
def test_a_token_is_renewed_when_fewer_than_forty_days_are_left(day_old, left, renewed):
    """Exactly forty days are enough."""
    put("token-expires-at", str(day_old.now + left))

    look(day_old)

    assert renewed == (kept()[0] != FIRST)
    assert int(renewed) == len(day_old.graph.renewals)


def test_a_bot_whose_row_nobody_can_read_costs_no_other_its_token(day_old):
    """An unreadable row is no bot; the tokens of the others must not lapse because of it."""
    row = {"id": {"S": "1"}, "settings": {"M": {"persona": {"L": []}, "hours": {"S": "always"}}}, "version": {"N": "1"}}
    boto3.client("dynamodb", region_name="us-east-1").put_item(TableName=day_old.template.name("Bots"), Item=row)

    assert {BOT.id: "renewed"} == look(day_old)["tokens"]


def test_a_token_that_was_put_less_than_a_day_ago_waits(stack):
    """Meta renews none that is younger; a day later it does."""
    stack.publish(BOT, enabled_at=stack.now)
    stack.graph.register_token(FIRST, BOT.id, channel="instagram", issued=stack.now)
    stack.travel(stack.now + DAY - 1)
    assert {"tokens": {BOT.id: "too_young"}, "days_left": None} == look(stack)
    stack.travel(stack.now + 1)
    assert "renewed" == look(stack)["tokens"][BOT.id]

    assert ["renewed"] == stack.graph.renewals


def test_a_note_that_is_older_than_its_token_is_not_believed(day_old):
    """An operator logged in anew: the note is of the token before."""
    put("token-expires-at", str(day_old.now + 50 * DAY))
    day_old.travel(day_old.now + 60)
    put("token", FIRST)
    day_old.travel(day_old.now + DAY)

    assert "renewed" == look(day_old)["tokens"][BOT.id]


@pytest.mark.parametrize(
    ("channel", "token"),
    [("instagram", "EAAtest"), ("messenger", "EAAtest"), ("messenger", "anything"), ("whatsapp", "EAAtest")],
)
def test_page_tokens_and_those_of_system_users_are_left_alone(stack, channel, token):
    """They do not end by themselves."""
    stack.publish(replace(BOT, channel=channel), enabled_at=stack.now)
    put("token", token)
    stack.travel(stack.now + 30 * DAY)

    assert {"tokens": {}, "days_left": None} == look(stack)
    assert [] == stack.graph.renewals
    assert (token, None) == kept()


@pytest.mark.parametrize("mode", ["off", "shadow", "live"])
def test_a_bot_that_is_off_or_paused_keeps_its_token_alive(day_old, mode):
    """Else resuming it after two months would need a new login."""
    day_old.publish(replace(BOT, mode=mode, paused="operator"), enabled_at=day_old.now)
    put("token", FIRST)
    day_old.travel(day_old.now + DAY)

    assert "renewed" == look(day_old)["tokens"][BOT.id]


@pytest.mark.parametrize(
    "fault",
    [
        {"code": 190},
        {"code": 2, "status": 503},
        {"status": 500, "body": "<html>"},
        {"status": 200, "body": "{"},
        {"status": 200, "body": '{"access_token":"IGAAnew"}'},
        {"status": 200, "body": '{"access_token":"two words","expires_in":5183944}'},
        {"drop": "after_read"},
    ],
)
def test_a_failure_loses_nothing_and_is_seen(day_old, fault):
    """The old token stays, the function fails, so that its alarm counts the day; tomorrow is another attempt."""
    put("token-expires-at", str(day_old.now + 20 * DAY))
    day_old.graph.renewal_fault(1, **fault)

    assert look(day_old) is None
    assert (FIRST, day_old.now + 20 * DAY) == kept()
    assert 20 == days_left(day_old)[-1][0][0]
    day_old.travel(day_old.now + DAY)
    assert "renewed" == look(day_old)["tokens"][BOT.id]


def test_one_bots_failure_is_no_others(day_old):
    """All are looked at, then the function fails; the metric is that of the token which ends first."""
    other = replace(BOT, id="17841400000000002")
    day_old.publish(other, enabled_at=day_old.now)
    put("token", "IGAA-unknown-to-the-platform", "/relance/bots/17841400000000000")
    day_old.publish(replace(BOT, id="17841400000000003", secrets="/relance/bots/17841400000000000"), enabled_at=0)
    put("token", "IGAA-unknown-to-the-platform", "/relance/bots/17841400000000000")
    day_old.travel(day_old.now + DAY)
    put("token-expires-at", str(day_old.now + 3 * DAY), "/relance/bots/17841400000000000")

    assert look(day_old) is None
    assert ["refused 190", "renewed", "renewed"] == sorted(day_old.graph.renewals)
    assert 3 == days_left(day_old)[-1][0][0]


def test_an_operators_own_change_wins_over_a_renewal(day_old, monkeypatch):
    """A new login while Meta is being asked: the renewed token is of the old login and is thrown away."""
    renew = day_old.graph.renew

    def meanwhile(query):
        put("token", "IGAA-from-a-new-login")
        return renew(query)

    monkeypatch.setattr(day_old.graph, "renew", meanwhile)

    assert "changed" == look(day_old)["tokens"][BOT.id]
    assert ("IGAA-from-a-new-login", None) == kept()


def test_no_token_is_in_logs_errors_or_answers(day_old):
    """The only documented way puts the token into the address, so no address may be told."""
    day_old.graph.renewal_fault(1, drop="after_read")
    answers = [look(day_old), look(day_old)]

    said = day_old.logs + json.dumps(answers) + "".join(repr(each.error) for each in day_old.failures)
    assert BOT.id in said
    for token in (FIRST, kept()[0]):
        assert token not in said


def test_months_pass_and_the_bot_still_writes(stack):
    """The schedule alone keeps the token alive; the stand-in ends each one after sixty days."""
    stack.publish(BOT, enabled_at=stack.now)
    stack.graph.register_token(FIRST, BOT.id, channel="instagram", issued=stack.now)
    for _ in range(100):
        stack.travel(stack.now + DAY)
        look(stack)
    # After the first day, then whenever twenty of its sixty days have passed.
    assert ["renewed"] * (1 + 99 // 20) == stack.graph.renewals

    words = (
        "Which films are on?",
        "One with a lighthouse?",
        "The old one",
        "A matinee?",
        "Tell me about the lighthouse film",
    )
    for i, text in enumerate(words):
        at = stack.now - 600 + i * 120
        stack.post("instagram", build("instagram", "text", bot=BOT.id, user="2002", at=at, id=f"m{i}", text=text))
    stack.run_until(stack.now + 2 * DAY)

    assert 1 == len(stack.graph.accepted)
    assert [] == stack.failures
