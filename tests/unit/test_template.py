"""template.yaml is code: what neither `sam validate` nor `sam build` checks is held here."""

import ast
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from relance import config
from relance.rules import Rules

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (ROOT / "template.yaml").read_text(encoding="utf-8")
TEMPLATE = yaml_parse(SOURCE)
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
PARAMETERS: dict[str, Any] = TEMPLATE["Parameters"]
GLOBALS: dict[str, Any] = TEMPLATE["Globals"]["Function"]

WEBHOOKS = {"WhatsAppWebhook": "whatsapp", "MessengerWebhook": "messenger", "InstagramWebhook": "instagram"}
PUBLIC = {*WEBHOOKS, "Eraser"}
SHARED = ("DependenciesLayer", "RelanceLayer")
LAYERS = (*SHARED, "EncoderLayer")
TABLES = ("Interactions", "Pairs", "Bots")


def of_type(kind: str) -> dict[str, Any]:
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")


def environment(function: str) -> dict[str, Any]:
    """Every variable that a function is given, as the template writes it."""
    return GLOBALS["Environment"]["Variables"] | FUNCTIONS[function]["Environment"]["Variables"]


def at_default(value: Any) -> str:
    """A value with parameters at their defaults, conditions untrue, any other reference as its name."""
    match value:
        case {"Ref": name}:
            return str(PARAMETERS[name]["Default"] if name in PARAMETERS else name)
        case {"Fn::If": [_, _, otherwise]}:
            return at_default(otherwise)
    return str(value)


def values(function: str) -> dict[str, str]:
    """The function's variables as a deployment at its defaults has them, all text as on Lambda."""
    return {name: at_default(value) for name, value in environment(function).items()}


def configuration(function: str) -> Any:
    """What reads the environment of that function."""
    readers = {
        "Sweeper": config.sweeper,
        "Sender": config.sender,
        "Eraser": config.eraser,
        "Refresher": config.refresher,
    }
    return readers.get(function, config.webhook)


# ─── Functions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_functions_are_a_webhook_per_channel_sweeper_sender_eraser_and_refresher() -> None:
    """Nothing else runs on Lambda."""
    assert set(FUNCTIONS) == {*WEBHOOKS, "Sweeper", "Sender", "Eraser", "Refresher"}


RULES_OF_ALL = {"MIN_INTERACTIONS", "WINDOW_DAYS", "MIN_SILENCE_HOURS", "DUE_SHARDS"}
NOT_FOR = {"Eraser": RULES_OF_ALL, "Refresher": {*RULES_OF_ALL, "PAIRS_TABLE"}}


class Recorder(Mapping[str, str]):
    """An environment that notes which names were asked for."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self.known = known
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.known[name]

    def __iter__(self) -> Any:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_is_given_exactly_the_names_its_configuration_reads(function: str) -> None:
    """A name too few fails at cold start, a name too many is a door left open: neither can be deployed."""
    recorder = Recorder(values(function))
    configuration(function)(recorder)
    read_by_libraries = ("POWERTOOLS_", "OPENBLAS_")
    declared = {name for name in environment(function) if not name.startswith(read_by_libraries)}
    # Globals reach every function, and these two know no rules.
    assert declared - NOT_FOR.get(function, set()) == recorder.asked


@pytest.mark.parametrize("function", ["Sweeper", "Sender"])
def test_a_deployment_left_at_its_defaults_has_the_rules_of_the_package(function: str) -> None:
    """The template and rules.py state each default; they cannot drift apart."""
    assert configuration(function)(values(function)).rules == Rules()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_names_itself_in_logs_and_metrics(function: str) -> None:
    """Its logs and metrics can be told from those of the others."""
    named = {name: values(name)["POWERTOOLS_SERVICE_NAME"] for name in FUNCTIONS}
    assert len(set(named.values())) == len(FUNCTIONS)
    assert values(function)["POWERTOOLS_METRICS_NAMESPACE"] == "relance"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_handler_is_a_function_of_a_file_in_its_folder(function: str) -> None:
    """`sam build` accepts a handler that does not exist. (tests/built imports and calls the real thing.)"""
    module, _, attribute = FUNCTIONS[function]["Handler"].rpartition(".")
    file = ROOT / FUNCTIONS[function]["CodeUri"] / f"{module}.py"
    defined = {
        node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    }
    assert attribute in defined


def test_no_handler_imports_a_file_beside_it() -> None:
    """Each artifact holds its own handler alone; whatever is shared lives in the layer."""
    for file in (ROOT / "functions").glob("*/*.py"):
        siblings = {other.stem for other in file.parent.glob("*.py")}
        imported = set(re.findall(r"^\s*(?:import|from)\s+\.?(\w+)", file.read_text(encoding="utf-8"), re.MULTILINE))
        assert imported & siblings == set(), file


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_makefile_of_a_function_builds_it_by_its_name(function: str) -> None:
    """SAM calls build-<LogicalId>; a renamed function would otherwise fail only when somebody builds."""
    assert RESOURCES[function]["Metadata"] == {"BuildMethod": "makefile"}
    assert f"build-{function}:" in (ROOT / FUNCTIONS[function]["CodeUri"] / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_logs_are_lean_and_end(function: str) -> None:
    """JSON, no line for a start or an end, and a group of its own with a retention."""
    assert GLOBALS["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "WARN",
    }
    group = FUNCTIONS[function]["LoggingConfig"]["LogGroup"]["Ref"]
    assert RESOURCES[group]["Properties"] == {"RetentionInDays": {"Ref": "LogRetentionDays"}}


def test_only_webhooks_and_the_eraser_have_a_url_and_concurrency_is_reserved_only_when_asked() -> None:
    """Public by design and judged by signature; new accounts have no concurrency to reserve."""
    public = {name for name, properties in FUNCTIONS.items() if "FunctionUrlConfig" in properties}
    assert public == PUBLIC
    for name in PUBLIC:
        assert FUNCTIONS[name]["FunctionUrlConfig"] == {"AuthType": "NONE"}
    for name in WEBHOOKS:
        assert FUNCTIONS[name]["ReservedConcurrentExecutions"] == {
            "Fn::If": ["ReservesConcurrency", {"Ref": "WebhookConcurrency"}, {"Ref": "AWS::NoValue"}]
        }
    assert PARAMETERS["WebhookConcurrency"]["Default"] == 0


# ─── Layers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_is_built_for_the_architecture_and_runtime_of_the_functions(layer: str) -> None:
    """Layers ignore the Globals: without their own word they are built for x86_64."""
    properties, metadata = RESOURCES[layer]["Properties"], RESOURCES[layer]["Metadata"]
    assert [metadata["BuildArchitecture"]] == GLOBALS["Architectures"] == properties["CompatibleArchitectures"]
    assert properties["CompatibleRuntimes"] == [GLOBALS["Runtime"]] == ["python3.13"]
    assert metadata["BuildMethod"] == "makefile"
    assert properties["RetentionPolicy"] == "Delete"
    assert f"build-{layer}:" in (ROOT / properties["ContentUri"] / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_has_both_layers_and_only_the_sender_the_encoder(
    function: str, translated: dict[str, Any]
) -> None:
    """As CloudFormation gets them: SAM puts a function's own layers behind the Globals', each name with its hash."""
    names = [layer["Ref"][:-10] for layer in translated[function]["Properties"]["Layers"]]
    assert names == [*(LAYERS if function == "Sender" else SHARED)]


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    split = [line.split("==") for line in lines if line.strip() and not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, version in split}


@pytest.mark.parametrize("lock", ["dev", "sam", "ministack", "runtime"])
def test_a_lock_is_complete(lock: str) -> None:
    """Every line is one exact version, so that an environment is the same wherever it is made."""
    assert pins(f"requirements/{lock}.txt")


@pytest.mark.parametrize(("layer", "lock"), [("dependencies", "dev"), ("encoder", "dev"), ("encoder", "learn")])
def test_what_is_tested_and_learned_with_is_what_runs_on_lambda(layer: str, lock: str) -> None:
    """What was tested is what is deployed, and weights are learned with the encoder that they are read with."""
    deployed, installed = pins(f"layers/{layer}/requirements.txt"), pins(f"requirements/{lock}.txt")
    assert {name: installed.get(name) for name in deployed} == deployed


def test_the_dependencies_layer_leaves_out_what_every_cold_start_would_pay_for() -> None:
    """performance: pydantic, requests, httpx, boto3 and the X-Ray SDK cost more than they give."""
    unwanted = {"boto3", "pydantic", "requests", "httpx", "aws-xray-sdk", "s3transfer"}
    assert set(pins("layers/dependencies/requirements.txt")) & unwanted == set()


# ─── Permissions ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="module")
def translated() -> dict[str, Any]:
    """What CloudFormation really gets: the SAM transform of the template, offline."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    template = yaml_parse(SOURCE)
    for resource in template["Resources"].values():
        for name in ("CodeUri", "ContentUri"):
            if name in resource.get("Properties", {}):
                resource["Properties"][name] = "s3://bucket/key"
    return transform(template, {}, _NoManagedPolicies())["Resources"]


def flat(value: Any) -> str:
    """A resource of a statement as one readable line."""
    match value:
        case {"Fn::GetAtt": [name, "Arn"]}:
            return name
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::GetAtt": str(path)}:
            return path.removesuffix(".Arn")
        case {"Fn::Sub": str(text)} | {"Fn::Sub": [str(text), _]}:
            for noise in ("arn:${AWS::Partition}:", "${AWS::Region}:", "${AWS::AccountId}:"):
                text = text.replace(noise, "")
            return text
    return str(value)


def allowed(role: dict[str, Any]) -> set[tuple[str, str]]:
    """Every (action, resource) of a role's own policies; a statement under a condition ends with its name."""
    found: set[tuple[str, str]] = set()
    for policy in role["Properties"].get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            when = ""
            if "Fn::If" in statement:
                name, statement, otherwise = statement["Fn::If"]
                assert otherwise == {"Ref": "AWS::NoValue"}
                when = f" if {name}"
            assert statement["Effect"] == "Allow"
            assert "NotAction" not in statement
            assert "NotResource" not in statement
            if "Condition" in statement:
                when += " by the profile" if "bedrock:InferenceProfileArn" in str(statement["Condition"]) else " ?"
            actions, resources = statement["Action"], statement["Resource"]
            for action in actions if isinstance(actions, list) else [actions]:
                for resource in resources if isinstance(resources, list) else [resources]:
                    found.add((action, flat(resource) + when))
    return found


def webhook_may(channel: str) -> set[tuple[str, str]]:
    # Only WhatsApp reports that somebody's id has changed: then all rows of the old one are looked up.
    changed_ids = {("dynamodb:Query", "Pairs")} if channel == "whatsapp" else set()
    return changed_ids | {
        ("dynamodb:PutItem", "Interactions"),
        ("dynamodb:UpdateItem", "Pairs"),
        ("dynamodb:GetItem", "Pairs"),
        ("sqs:SendMessage", "FollowUpsQueue"),
        ("sqs:SendMessage", "ErasuresQueue"),
        ("ssm:GetParameters", "ssm:parameter${SecretsPath}/pepper"),
        ("ssm:GetParameters", f"ssm:parameter${{SecretsPath}}/{channel}/app-secrets"),
        ("ssm:GetParameters", f"ssm:parameter${{SecretsPath}}/{channel}/verify-token"),
    }


MAY = {name: webhook_may(channel) for name, channel in WEBHOOKS.items()} | {
    "Sweeper": {
        ("dynamodb:Query", "${Pairs.Arn}/index/due"),
        ("dynamodb:BatchGetItem", "Pairs"),
        ("dynamodb:UpdateItem", "Pairs"),
        ("dynamodb:BatchGetItem", "Bots"),
        ("dynamodb:UpdateItem", "Bots"),
        ("sqs:SendMessage", "FollowUpsQueue"),
        ("events:PutEvents", "Bus"),
        ("cloudwatch:DescribeAlarms", "WebhookFailures"),
    },
    "Sender": {
        ("dynamodb:BatchGetItem", "Pairs"),
        ("dynamodb:ConditionCheckItem", "Pairs"),
        ("dynamodb:UpdateItem", "Pairs"),
        ("dynamodb:BatchGetItem", "Bots"),
        ("dynamodb:ConditionCheckItem", "Bots"),
        ("dynamodb:UpdateItem", "Bots"),
        ("dynamodb:Query", "Interactions"),
        ("dynamodb:PutItem", "Interactions"),
        ("ssm:GetParameters", "ssm:parameter${SecretsPath}/bots/*"),
        ("events:PutEvents", "Bus"),
        ("bedrock:InvokeModel", "bedrock:${There}::foundation-model/${ModelId} if UsesBedrock"),
        ("bedrock:InvokeModel", "bedrock:${There}:inference-profile/${ModelId} if UsesBedrock"),
        ("bedrock:InvokeModel", "bedrock:*::foundation-model/* if UsesBedrock by the profile"),
        ("bedrock:InvokeGuardrailChecks", "* if UsesChecks"),
        ("bedrock:ApplyGuardrail", "Guardrail.GuardrailArn if UsesGuardrail"),
    },
    "Refresher": {
        ("dynamodb:Scan", "Bots"),
        ("ssm:GetParameters", "ssm:parameter${SecretsPath}/bots/*"),
        ("ssm:PutParameter", "ssm:parameter${SecretsPath}/bots/*"),
    },
    "Eraser": {
        ("dynamodb:Query", "Pairs"),
        ("dynamodb:GetItem", "Pairs"),
        ("dynamodb:UpdateItem", "Pairs"),
        ("dynamodb:Query", "Interactions"),
        ("dynamodb:UpdateItem", "Interactions"),
        ("dynamodb:Scan", "Bots"),
        *(("ssm:GetParameters", f"ssm:parameter${{SecretsPath}}/{name}/app-secrets") for name in WEBHOOKS.values()),
    },
}
LOGS_ONLY = {"AWSLambdaBasicExecutionRole"}
TAKES_FROM_A_QUEUE = LOGS_ONLY | {"AWSLambdaSQSQueueExecutionRole"}
MANAGED = dict.fromkeys(FUNCTIONS, LOGS_ONLY) | dict.fromkeys(("Sender", "Eraser"), TAKES_FROM_A_QUEUE)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_do_this_and_nothing_else(function: str, translated: dict[str, Any]) -> None:
    """The exact allow-list, from the roles that are really made. A webhook may write a conversation, never read one."""
    assert allowed(translated[f"{function}Role"]) == MAY[function]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_managed_policies_are_those_for_logs_and_for_the_queue(function: str, translated: dict[str, Any]) -> None:
    """SAM adds them: writing logs, and for sender and eraser taking messages off their queue."""
    arns = translated[f"{function}Role"]["Properties"]["ManagedPolicyArns"]
    assert {str(arn).rpartition("/")[2] for arn in arns} == MANAGED[function]


def test_a_schedule_may_only_start_its_own_function(translated: dict[str, Any]) -> None:
    """Besides one role per function there is one more per schedule, for EventBridge Scheduler."""
    roles = {name for name, resource in translated.items() if resource["Type"] == "AWS::IAM::Role"}
    scheduled = ("Sweeper", "Refresher")
    assert roles - {f"{name}Role" for name in FUNCTIONS} == {f"{name}ScheduleRole" for name in scheduled}
    for name in scheduled:
        assert allowed(translated[f"{name}ScheduleRole"]) == {("lambda:InvokeFunction", name)}


def test_a_public_url_can_really_be_called(translated: dict[str, Any]) -> None:
    """Since October 2025 AWS asks for two permissions per Function URL; with one it answers 403."""
    granted = {
        (resource["Properties"]["FunctionName"]["Ref"], resource["Properties"]["Action"])
        for resource in translated.values()
        if resource["Type"] == "AWS::Lambda::Permission" and resource["Properties"]["Principal"] == "*"
    }
    actions = ("lambda:InvokeFunctionUrl", "lambda:InvokeFunction")
    assert granted == {(name, action) for name in PUBLIC for action in actions}


# ─── Tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_on_demand_and_encrypted(table: str) -> None:
    """Nobody plans capacity, and the key is the account's own."""
    properties = RESOURCES[table]["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["SSESpecification"] == {"SSEEnabled": True}


@pytest.mark.parametrize(("table", "kept"), [("Interactions", False), ("Pairs", True), ("Bots", True)])
def test_what_must_survive_is_retained_and_what_must_not_is_not(table: str, kept: bool) -> None:
    """Opt-outs survive every mistake; conversations never outlive the deployment or come back from a backup."""
    resource = RESOURCES[table]
    policy = "Retain" if kept else "Delete"
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == (policy, policy)
    recovery = {"PointInTimeRecoveryEnabled": True} if kept else None
    assert resource["Properties"].get("PointInTimeRecoverySpecification") == recovery


@pytest.mark.parametrize("table", ["Interactions", "Pairs"])
def test_what_is_said_of_people_expires(table: str) -> None:
    """One attribute says when, everywhere."""
    assert RESOURCES[table]["Properties"]["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_the_due_index_holds_keys_only() -> None:
    """Else every message would rewrite the index; who is due is read from the table anyway."""
    (index,) = RESOURCES["Pairs"]["Properties"]["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "due"
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["due_shard", "due_at"]


NAMES = (
    "FunctionName",
    "TableName",
    "QueueName",
    "LogGroupName",
    "AlarmName",
    "LayerName",
    "RoleName",
)


def test_nothing_has_a_fixed_name() -> None:
    """Two deployments fit into one account. A bus must have a name: it is made from the stack's."""
    fixed = [(name, key) for name, resource in RESOURCES.items() for key in NAMES if key in resource["Properties"]]
    assert fixed == []
    assert RESOURCES["Bus"]["Properties"] == {"Name": {"Fn::Sub": "${AWS::StackName}-events"}}


# ─── Schedule, queue, alarms ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_sweep_is_on_schedule_in_good_grammar() -> None:
    """EventBridge takes `rate(1 minute)` and `rate(5 minutes)`, and neither `rate(1 minutes)` nor `rate(5 minute)`."""
    schedule = FUNCTIONS["Sweeper"]["Events"]["Schedule"]
    assert schedule["Type"] == "ScheduleV2"
    assert schedule["Properties"]["ScheduleExpression"] == {
        "Fn::If": ["SweepsEveryMinute", "rate(1 minute)", {"Fn::Sub": "rate(${SweepMinutes} minutes)"}]
    }
    assert schedule["Properties"]["Input"] == "{}"


def test_tokens_are_looked_at_daily_and_two_alarms_ring_long_before_one_ends() -> None:
    """Instagram Login's tokens live for 60 days; a failure is seen within three of them, an end two weeks ahead."""
    schedule = FUNCTIONS["Refresher"]["Events"]["Schedule"]
    assert (schedule["Type"], schedule["Properties"]["ScheduleExpression"]) == ("ScheduleV2", "rate(1 day)")
    soon, failing = (RESOURCES[name]["Properties"] for name in ("TokenEndsSoon", "TokenRefreshFailures"))
    assert (soon["MetricName"], soon["ComparisonOperator"], soon["Threshold"]) == (
        "TokenDaysLeft",
        "LessThanThreshold",
        14,
    )
    assert (failing["MetricName"], failing["EvaluationPeriods"], failing["DatapointsToAlarm"]) == ("Errors", 3, 3)
    for alarm in (soon, failing):
        assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "Refresher"}}]
        assert alarm["Period"] == 86_400
        # AWS: periods of an hour and more may look back for seven days at most.
        assert alarm["EvaluationPeriods"] * alarm["Period"] <= 7 * 86_400


def test_a_sweep_ends_before_the_next_begins() -> None:
    """At the default; when they overlap all the same, leases keep them apart."""
    assert FUNCTIONS["Sweeper"]["Timeout"] < PARAMETERS["SweepMinutes"]["Default"] * 60


@pytest.mark.parametrize(("queue", "function"), [("FollowUpsQueue", "Sender"), ("ErasuresQueue", "Eraser")])
def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_run(queue: str, function: str) -> None:
    """AWS asks for it: else a message that is being worked on is handed out again."""
    assert RESOURCES[queue]["Properties"]["VisibilityTimeout"] >= 6 * FUNCTIONS[function]["Timeout"]


def test_the_sender_reports_what_failed_and_is_limited_in_number() -> None:
    """One poison message harms no other, and Meta is never flooded."""
    (event,) = FUNCTIONS["Sender"]["Events"].values()
    assert event["Type"] == "SQS"
    assert event["Properties"] == {
        "Queue": {"Fn::GetAtt": ["FollowUpsQueue", "Arn"]},
        "BatchSize": 10,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": {"Ref": "SenderConcurrency"}},
    }


@pytest.mark.parametrize("work", ["FollowUps", "Erasures"])
def test_what_fails_five_times_waits_two_weeks_and_rings(work: str) -> None:
    """Behind each queue stands another, and an alarm on it."""
    properties = RESOURCES[f"{work}Queue"]["Properties"]
    assert properties["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": [f"{work}DeadLetters", "Arn"]},
        "maxReceiveCount": 5,
    }
    dead = RESOURCES[f"{work}DeadLetters"]["Properties"]
    assert dead["MessageRetentionPeriod"] == 14 * 86_400
    assert properties["SqsManagedSseEnabled"] is dead["SqsManagedSseEnabled"] is True
    alarm = RESOURCES[f"{work}DeadLettersNotEmpty"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [f"{work}DeadLetters", "QueueName"]}}]
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)


def test_one_failed_minute_of_any_webhook_rings_for_the_whole_catch_up_time() -> None:
    """The outage rule reads this alarm: errors, throttles and 5xx answers of all three webhooks; quiet is no fault."""
    alarm = RESOURCES["WebhookFailures"]["Properties"]
    assert alarm["EvaluationPeriods"] == {"Ref": "CatchUpMinutes"}
    assert (alarm["DatapointsToAlarm"], alarm["Threshold"]) == (1, 0)
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    assert alarm["TreatMissingData"] == "notBreaching"
    total, *queries = alarm["Metrics"]
    assert (total["Expression"], total["ReturnData"]) == ("SUM(METRICS())", True)
    assert {query["ReturnData"] for query in queries} == {False}
    assert {query["MetricStat"]["Period"] for query in queries} == {60}
    watched = {
        (dimension["Value"]["Ref"], metric["MetricName"])
        for metric in (query["MetricStat"]["Metric"] for query in queries)
        for dimension in metric["Dimensions"]
    }
    assert watched == {(name, metric) for name in WEBHOOKS for metric in ("Errors", "Throttles")}
    assert len(queries) <= 10  # the most metrics that one alarm may combine


def test_the_sweeper_reads_the_alarm_that_it_may_read() -> None:
    """By its real name, which CloudFormation makes up."""
    assert environment("Sweeper")["WEBHOOK_ALARM"] == {"Ref": "WebhookFailures"}


def test_an_erasure_is_kept_as_long_as_a_queue_can() -> None:
    """A person is owed it, however long an outage lasts; and nobody but the eraser may shorten a conversation."""
    assert RESOURCES["ErasuresQueue"]["Properties"]["MessageRetentionPeriod"] == 14 * 86_400
    shorteners = {name for name in FUNCTIONS if ("dynamodb:UpdateItem", "Interactions") in MAY[name]}
    assert shorteners == {"Eraser"}
    assert not [action for allowed_ in MAY.values() for action, _ in allowed_ if action == "dynamodb:DeleteItem"]


def test_every_alarm_tells_the_topic_if_there_is_one() -> None:
    """An alarm that nobody hears is a note to oneself."""
    for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
        actions = {"Fn::If": ["TellsOfAlarms", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
        assert alarm["AlarmActions"] == actions, name


# ─── Parameters and outputs ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_a_parameter_says_what_it_is_what_it_may_be_and_has_a_default(parameter: str) -> None:
    """`sam deploy --guided` can be answered with Enter alone, and a typing error is refused before anything changes."""
    told = PARAMETERS[parameter]
    assert told["Description"].isascii()
    assert "Default" in told
    if told["Type"] == "Number" and "AllowedValues" not in told:
        assert told["MinValue"] <= told["Default"] <= told["MaxValue"]
        assert f"{told['MinValue']} to {told['MaxValue']}" in told["Description"]
    elif "AllowedValues" in told:
        assert told["Default"] in told["AllowedValues"]
    else:
        assert re.search(told["AllowedPattern"], told["Default"])


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_every_parameter_is_used(parameter: str) -> None:
    """A parameter that does nothing is a promise broken."""
    body = str({key: TEMPLATE[key] for key in ("Globals", "Conditions", "Resources")})
    assert f"{{'Ref': '{parameter}'}}" in body or f"${{{parameter}}}" in body


def test_outputs_are_described_and_begin_with_the_three_urls() -> None:
    """They are what somebody needs next: Meta's dashboard asks for them."""
    outputs = TEMPLATE["Outputs"]
    assert list(outputs)[:3] == [f"{name}Url" for name in WEBHOOKS]
    assert all(output["Description"].isascii() for output in outputs.values())
    assert {"InteractionsTable", "PairsTable", "BotsTable", "FollowUpsQueueUrl", "FollowUpsDeadLettersUrl"} < set(
        outputs
    )
    assert {"SecretsPath", "BusName", "EraserUrl", "ErasuresQueueUrl", "ErasuresDeadLettersUrl"} < set(outputs)
