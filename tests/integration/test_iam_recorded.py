"""What the functions really ask of AWS is what their policies allow: nothing is missing, and nothing is left over.

Each function lives a whole life on the local stack. Every request that it makes through botocore is noted as the
action and the ARN on which IAM would judge it, and held against the policies of template.yaml.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

import pytest
from botocore.client import BaseClient

from local.bedrock import BedrockStandIn
from local.stack import LocalStack
from local.template import ACCOUNT, REGION, Template
from local.webhooks import build
from relance.bot import Bot
from relance.interaction import PAYLOAD_FORGET, PAYLOAD_WHY
from tests.cinema import CINEMA, DAY, HOUR, MINUTE, MOMENT, NOON, WORDS

EVENTS = Path(__file__).parents[2] / "events"
FUNCTIONS = tuple(Template().functions)
DRAFT = {
    "message": "You wanted to hear more about the lighthouse film. Shall I say what it is about?",
    "topic_quote": "more about the lighthouse film",
    "language": "en",
}
MESSENGER = replace(CINEMA, audience_zones=("Europe/Paris",), ai_is_incidental=True)
INSTAGRAM = replace(MESSENGER, id="17841400000000001", channel="instagram")
WHATSAPP = replace(MESSENGER, id="106", channel="whatsapp")
BOTS = (WHATSAPP, MESSENGER, INSTAGRAM)
# Who is written to, who said stop and is dropped, who wants everything forgotten, whose id changes.
READER, STOPPED, FORGOTTEN, RENAMED = range(4)
PEOPLE = {
    "whatsapp": ("33639980120", "33639980121", "33639980122", "33639980123"),
    "messenger": ("2000", "2001", "2002", "2003"),
    "instagram": ("3000", "3001", "3002", "3003"),
}

MODEL, PROFILE = "amazon.nova-micro-v1:0", "eu.amazon.nova-micro-v1:0"
DEPLOYMENTS: Mapping[str, Mapping[str, str]] = {
    "embedded": {},
    "profile and checks": {"Writer": "bedrock", "ModelId": PROFILE, "SecondLine": "checks"},
    "model and guardrail": {"Writer": "bedrock", "ModelId": MODEL, "SecondLine": "guardrail"},
}

# What is allowed and never asked for by code of ours, each with its reason. (Writing logs and taking messages off a
# queue stand in managed policies that SAM adds; Lambda itself uses them. tests/unit/test_template.py names those.)
NOT_BY_OUR_CODE: Mapping[tuple[str, str], str] = {
    ("Sender", "bedrock:InvokeModel on arn:aws:bedrock:*::foundation-model/*"): (
        "Bedrock's own step from an inference profile to the model behind it; its condition names the profile"
    ),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One thing that IAM judges: an action on an ARN (`*` for an operation without a resource to name)."""

    action: str
    resource: str


@dataclass(frozen=True, slots=True)
class Grant:
    """One action on one pattern of ARNs. `conditional`: only under circumstances that a role's own code cannot meet."""

    action: str
    pattern: str
    conditional: bool = False

    def covers(self, call: Call) -> bool:
        return self.action == call.action and not self.conditional and fnmatchcase(call.resource, self.pattern)


def granted(policies: Iterable[Mapping[str, Any]]) -> Iterator[Grant]:
    """The grants of a function's inline policies, with all intrinsics resolved."""
    for policy in policies:
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            actions, patterns = (
                each if isinstance(each, list) else [each] for each in (statement["Action"], statement["Resource"])
            )
            for action in actions:
                for pattern in patterns:
                    yield Grant(action, pattern, "Condition" in statement)


def refused(calls: Iterable[Call], grants: Iterable[Grant]) -> set[Call]:
    """The calls that IAM would answer with AccessDenied."""
    grants = tuple(grants)
    return {call for call in calls if not any(grant.covers(call) for grant in grants)}


def unasked(calls: Iterable[Call], grants: Iterable[Grant]) -> set[Grant]:
    """The grants that no call needs."""
    calls = tuple(calls)
    return {grant for grant in grants if not any(grant.covers(call) for call in calls)}


# ─── What IAM judges of a request ─────────────────────────────────────────────────────────────────────────────────────

_ONE_BY_ONE = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}


def judged(service: str, operation: str, asked: Mapping[str, Any], template: Template) -> Iterator[Call]:
    """The actions and resources of one request, as the service authorization reference lists them.

    A transaction is judged item by item, a batch of messages as a message, Converse as InvokeModel. An operation that
    is not listed here raises: nobody may use a new one without deciding on its permission.
    """
    match service, operation:
        case "dynamodb", "TransactWriteItems" | "TransactGetItems":
            for item in asked["TransactItems"]:
                ((kind, request),) = item.items()
                yield Call(f"dynamodb:{_ONE_BY_ONE[kind]}", _arn("dynamodb", f"table/{request['TableName']}"))
        case "dynamodb", "BatchGetItem" | "BatchWriteItem":
            for table in asked["RequestItems"]:
                yield Call(f"dynamodb:{operation}", _arn("dynamodb", f"table/{table}"))
        case "dynamodb", "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" | "Query" | "Scan":
            index = f"/index/{asked['IndexName']}" if "IndexName" in asked else ""
            yield Call(f"dynamodb:{operation}", _arn("dynamodb", f"table/{asked['TableName']}{index}"))
        case "sqs", "SendMessage" | "SendMessageBatch":
            yield Call("sqs:SendMessage", _arn("sqs", asked["QueueUrl"].rpartition("/")[2]))
        case "ssm", "GetParameters" | "PutParameter":
            for name in asked.get("Names") or [asked["Name"]]:
                yield Call(f"ssm:{operation}", _arn("ssm", f"parameter/{name.removeprefix('/')}"))
        case "events", "PutEvents":
            for entry in asked["Entries"]:
                yield Call("events:PutEvents", _arn("events", f"event-bus/{entry['EventBusName']}"))
        case "cloudwatch", "DescribeAlarms":
            for name in asked["AlarmNames"]:
                yield Call("cloudwatch:DescribeAlarms", _arn("cloudwatch", f"alarm:{name}"))
        case "bedrock-runtime", "Converse":
            model = asked["modelId"]
            # A profile's id begins with where it routes to.
            where = f":{REGION}:{ACCOUNT}:inference-profile/" if model == PROFILE else f":{REGION}::foundation-model/"
            yield Call("bedrock:InvokeModel", f"arn:aws:bedrock{where}{model}")
        case "bedrock-runtime", "InvokeGuardrailChecks":
            yield Call("bedrock:InvokeGuardrailChecks", "*")
        case "bedrock-runtime", "ApplyGuardrail":
            assert asked["guardrailIdentifier"] == template.resolve({"Fn::GetAtt": "Guardrail.GuardrailId"})
            yield Call("bedrock:ApplyGuardrail", template.resolve({"Fn::GetAtt": "Guardrail.GuardrailArn"}))
        case _:
            raise AssertionError(f"{service}:{operation} is new here: which action does IAM judge it by?")


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


class RecordedStack(LocalStack):
    """A local stack that notes what each function asks of AWS, from its cold start on."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.calls: dict[str, set[Call]] = defaultdict(set)
        # DynamoDB may refuse a condition without showing the row: then the code reads it.
        self.rows_are_shown = True
        self._function = ""

    def __enter__(self) -> Self:
        ask = BaseClient._make_api_call
        stack = self

        def noted(client: BaseClient, operation: str, asked: dict[str, Any]) -> Any:
            if stack._function:
                service = client.meta.service_model.service_name
                stack.calls[stack._function].update(judged(service, operation, asked, stack.template))
                if not stack.rows_are_shown:
                    asked = {k: v for k, v in asked.items() if k != "ReturnValuesOnConditionCheckFailure"}
            return ask(client, operation, asked)

        self._patch = mock.patch.object(BaseClient, "_make_api_call", noted)
        super().__enter__()
        self._patch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._patch.stop()
        super().__exit__(kind, error, at)

    def invoke(self, function_id: str, event: Mapping[str, Any]) -> Any:
        """As the stack does, with the function's name on whatever it asks for."""
        before, self._function = self._function, function_id
        try:
            return super().invoke(function_id, event)
        finally:
            self._function = before

    def grants(self, function: str) -> tuple[Grant, ...]:
        """What the function's inline policies allow in this deployment."""
        return tuple(granted(self.template.resources[function]["Properties"]["Policies"]))


# ─── A whole life ─────────────────────────────────────────────────────────────────────────────────────────────────────


def say(stack: RecordedStack, bot: Bot, user: str, kind: str = "text", *, at: int = 0, **more: Any) -> None:
    """One event of a conversation; now, unless another time is given."""
    at = at or stack.now
    body = build(bot.channel, kind, bot=bot.id, user=user, at=at, id=f"m-{user}-{at}-{kind}", **more)
    assert stack.post(bot.channel, body).status == 200


def talk(stack: RecordedStack, bot: Bot, user: str) -> None:
    """Five messages, the last of them at noon."""
    for number, text in enumerate(WORDS):
        say(stack, bot, user, at=NOON - (len(WORDS) - 1 - number) * 2 * MINUTE, text=text)


def live(stack: RecordedStack) -> None:
    """All that can happen: conversations, late and changed messages, stops, follow-ups, questions, wishes, tokens."""
    for bot in BOTS:
        stack.publish(bot, enabled_at=NOON - 30 * DAY)
        people = PEOPLE[bot.channel]
        for user in people:
            talk(stack, bot, user)
        stack.rows_are_shown = False
        say(stack, bot, people[READER], at=NOON - 3 * MINUTE, text="I like films that are set at the sea")
        stack.rows_are_shown = True
        say(stack, bot, people[STOPPED], at=NOON + 1, text="STOP")
    stack.graph.register_token(f"token-of-{INSTAGRAM.id}", INSTAGRAM.id, channel="instagram", issued=NOON)
    before, after = PEOPLE["whatsapp"][RENAMED], "33639980129"
    say(stack, WHATSAPP, before, "id_change", new=after)
    stack.run_until(MOMENT + 30 * MINUTE)
    assert {said.to for said in stack.graph.accepted} >= {PEOPLE[bot.channel][READER] for bot in BOTS}

    for bot in BOTS:
        people = PEOPLE[bot.channel]
        say(stack, bot, people[READER], "quick_reply", text="Why?", payload=PAYLOAD_WHY)
        say(stack, bot, people[READER], "deletion", target=f"m-{people[READER]}-{NOON}-text")
        say(stack, bot, people[FORGOTTEN], "quick_reply", text="Forget me", payload=PAYLOAD_FORGET)
    stack.run_until(stack.now + HOUR)
    for name in ("eraser-deletion", "eraser-status"):
        stack.invoke("Eraser", json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8")))

    # A token that the platform has revoked pauses its bot, and one that ends is renewed.
    stack.graph.fault(times=1, status=401, code=190)
    user = "2009"
    for number, text in enumerate(WORDS):
        say(stack, MESSENGER, user, at=stack.now - (len(WORDS) - number) * MINUTE, text=text)
    stack.run_until(stack.now + 23 * HOUR)
    assert "190" in next(row for row in stack.bots() if row["id"] == MESSENGER.id)["paused"]
    assert stack.graph.renewals
    assert stack.dead_letters() == stack.failures == []


def ask_a_model(stack: RecordedStack) -> None:
    """One follow-up that a model writes and a second line reads."""
    stack.publish(MESSENGER, enabled_at=NOON - 30 * DAY)
    talk(stack, MESSENGER, PEOPLE["messenger"][READER])
    stack.travel(MOMENT - 5 * MINUTE)
    stack.run_until(MOMENT + 10 * MINUTE)
    assert len(stack.graph.accepted) == 1


@dataclass(frozen=True, slots=True)
class Lived:
    """What one deployment allowed and what its functions asked for, by function."""

    grants: Mapping[str, tuple[Grant, ...]]
    calls: Mapping[str, set[Call]]


@pytest.fixture(scope="module")
def lives() -> dict[str, Lived]:
    """Every kind of deployment, lived through once."""
    found = {}
    with BedrockStandIn() as bedrock, mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url}):
        for name, parameters in DEPLOYMENTS.items():
            bedrock.reset()
            bedrock.says(DRAFT)
            with RecordedStack(start=NOON, parameters=parameters) as stack:
                (ask_a_model if parameters else live)(stack)
                found[name] = Lived({each: stack.grants(each) for each in FUNCTIONS}, dict(stack.calls))
    return found


def readable(grant: Grant) -> str:
    """A grant without what differs between deployments."""
    for table in ("Interactions", "Pairs", "Bots"):
        if grant.pattern == _arn("dynamodb", f"table/relance-local-{table}"):
            return f"{grant.action} on {table.lower()}"
    named = grant.pattern.replace(PROFILE, "MODEL").replace(MODEL, "MODEL")
    return f"{grant.action} on {named}"


# ─── The two claims ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_whatever_a_function_asks_for_its_policies_allow(
    lives: dict[str, Lived], deployment: str, function: str
) -> None:
    """No AccessDenied in production: each action, on each table, index, queue, parameter, alarm, bus and model."""
    lived = lives[deployment]
    assert set() == refused(lived.calls.get(function, ()), lived.grants[function])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_whatever_a_function_is_allowed_it_asks_for(lives: dict[str, Lived], function: str) -> None:
    """Least privilege, by what happens and not by what we believe: a grant that nothing uses is a door left open."""
    asked = {
        readable(grant)
        for lived in lives.values()
        for grant in set(lived.grants[function]) - unasked(lived.calls.get(function, ()), lived.grants[function])
    }
    allowed = {readable(grant) for lived in lives.values() for grant in lived.grants[function]}
    excused = {grant for name, grant in NOT_BY_OUR_CODE if name == function}
    assert excused == allowed - asked


def test_every_function_was_really_recorded(lives: dict[str, Lived]) -> None:
    """An empty record would pass the first claim."""
    assert set(FUNCTIONS) == set(lives["embedded"].calls)


# ─── The judges can say no ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("function", FUNCTIONS)
def test_taking_any_one_used_grant_away_is_noticed(lives: dict[str, Lived], function: str) -> None:
    """Sabotage: a policy with one line too few is refused, whichever line it is."""
    lived = lives["embedded"]
    calls, grants = lived.calls[function], lived.grants[function]
    used = [grant for grant in grants if grant not in unasked(calls, grants)]
    assert used
    assert [] == [grant for grant in used if not refused(calls, (each for each in grants if each != grant))]


@pytest.mark.parametrize(
    "too_much",
    [
        Grant("dynamodb:DeleteItem", _arn("dynamodb", "table/relance-local-Pairs")),
        Grant("dynamodb:Query", _arn("dynamodb", "table/relance-local-Interactions/index/*")),
        Grant("ssm:GetParameters", _arn("ssm", "parameter/relance/bots/*")),
        Grant("sqs:SendMessage", _arn("sqs", "relance-local-FollowUpsDeadLetters")),
    ],
    ids=lambda grant: grant.action,
)
def test_one_grant_too_many_is_noticed(lives: dict[str, Lived], too_much: Grant) -> None:
    """Sabotage: a webhook that may do one thing more than it does."""
    lived = lives["embedded"]
    grants = (*lived.grants["WhatsAppWebhook"], too_much)
    assert {too_much} == unasked(lived.calls["WhatsAppWebhook"], grants)


def test_a_grant_on_the_table_does_not_cover_its_index_nor_another_table() -> None:
    """IAM matches whole ARNs: the pattern of a table ends with its name."""
    table = _arn("dynamodb", "table/relance-local-Pairs")
    calls = {Call("dynamodb:Query", f"{table}/index/due"), Call("dynamodb:Query", f"{table}2")}
    assert calls == refused(calls, [Grant("dynamodb:Query", table)])


def test_a_grant_under_a_condition_covers_nothing_that_code_asks_for() -> None:
    """A model may be asked through its profile only."""
    call = Call("bedrock:InvokeModel", f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}")
    grant = Grant("bedrock:InvokeModel", "arn:aws:bedrock:*::foundation-model/*", conditional=True)
    assert {call} == refused([call], [grant])
    assert set() == refused([call], [replace(grant, conditional=False)])
