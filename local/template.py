"""Reads template.yaml as CloudFormation would, as far as one machine needs it: parameters, intrinsics, names.

Nothing is deployed here. The local stack and the tests ask this module what the template says, so that neither keeps
a second copy of a table, a queue, a timeout or an environment name.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PATH = ROOT / "template.yaml"

REGION = "us-east-1"
ACCOUNT = "123456789012"
PARTITION = "aws"

FUNCTION = "AWS::Serverless::Function"
TABLE = "AWS::DynamoDB::Table"
QUEUE = "AWS::SQS::Queue"
BUS = "AWS::Events::EventBus"
ALARM = "AWS::CloudWatch::Alarm"

_NO_VALUE = object()

# CloudFormation's own name for a resource, where it is not `<Type>Name`.
_NAME_PROPERTIES = {
    FUNCTION: "FunctionName",
    "AWS::Lambda::Function": "FunctionName",
    TABLE: "TableName",
    QUEUE: "QueueName",
    BUS: "Name",
    ALARM: "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::Scheduler::ScheduleGroup": "Name",
    "AWS::SSM::Parameter": "Name",
}

# (service, resource path) of an ARN; `{}` is the physical name.
_ARNS = {
    FUNCTION: ("lambda", "function:{}"),
    "AWS::Lambda::Function": ("lambda", "function:{}"),
    TABLE: ("dynamodb", "table/{}"),
    QUEUE: ("sqs", "{}"),
    BUS: ("events", "event-bus/{}"),
    ALARM: ("cloudwatch", "alarm:{}"),
    "AWS::CloudWatch::CompositeAlarm": ("cloudwatch", "alarm:{}"),
    "AWS::Logs::LogGroup": ("logs", "log-group:{}:*"),
    "AWS::SNS::Topic": ("sns", "{}"),
}


class TemplateError(ValueError):
    """The template, or a parameter given for it, cannot be used; the message names the spot."""


class _Loader(yaml.SafeLoader):
    """YAML that knows CloudFormation's short tags: `!Ref x` becomes `{"Ref": "x"}`."""


def _short_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_tag)
# A bare 2026-01-15 stays text, as CloudFormation reads it (AWSTemplateFormatVersion, policy versions).
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


def read(path: Path = PATH) -> dict[str, Any]:
    """The template as plain data, with every short tag in its long form."""
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise TemplateError(f"{path.name} is not YAML: {error}") from error
    if not isinstance(loaded, dict) or "Resources" not in loaded:
        raise TemplateError(f"{path.name} has no Resources")
    return loaded


@dataclass(frozen=True, slots=True)
class Schedule:
    """A scheduled invocation: every `period` seconds, on the grid of that period, with this event."""

    name: str
    function: str
    period: int
    input: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A queue that feeds a function (an event source mapping)."""

    function: str
    queue: str
    batch_size: int = 10
    partial_failures: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function as it would run: where its code is and what it is given. `timeout` in seconds, `memory` in MB."""

    id: str
    name: str
    arn: str
    code: Path
    handler: str
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: int = 3
    memory: int = 128
    url: bool = False

    @property
    def file(self) -> Path:
        """The source file of the handler."""
        return self.code / (self.handler.rpartition(".")[0].replace(".", "/") + ".py")

    @property
    def attribute(self) -> str:
        """The handler's name in that file."""
        return self.handler.rpartition(".")[2]


class Template:
    """template.yaml with its parameters filled in: ask it for resources, names, functions and their wiring.

    >>> Template(parameters={"SweepMinutes": "5"}).functions["SweeperFunction"].timeout  # doctest: +SKIP
    """

    def __init__(
        self,
        source: Mapping[str, Any] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        stack: str = "relance-local",
        root: Path = ROOT,
    ) -> None:
        self.source = source if source is not None else read()
        self.stack = stack
        self.root = root
        self.parameters = self._fill(self.source.get("Parameters", {}), parameters or {})
        self._conditions: dict[str, bool] = {}
        self.resources = self._resources()

    # --- what is in it

    def of_type(self, type_: str) -> dict[str, dict[str, Any]]:
        """The resolved properties of every resource of that type, by logical id, in template order."""
        return {id_: each["Properties"] for id_, each in self.resources.items() if each["Type"] == type_}

    def name(self, logical_id: str) -> str:
        """The physical name: the one the template fixes, else `<stack>-<logical id>`."""
        resource = self._raw(logical_id)
        fixed = resource.get("Properties", {}).get(_NAME_PROPERTIES.get(resource["Type"], ""))
        return str(self.resolve(fixed)) if fixed is not None else f"{self.stack}-{logical_id}"

    def arn(self, logical_id: str) -> str:
        """The ARN that AWS would give the resource in the local account."""
        type_ = self._raw(logical_id)["Type"]
        service, path = _ARNS.get(type_, (type_.split("::")[1].lower(), "{}"))
        return f"arn:{PARTITION}:{service}:{REGION}:{ACCOUNT}:{path.format(self.name(logical_id))}"

    def url(self, logical_id: str) -> str:
        """The Function URL of a function (it does not resolve in DNS: the local stack serves it by call)."""
        return f"https://{logical_id.lower()}.lambda-url.{REGION}.on.aws/"

    @property
    def outputs(self) -> dict[str, Any]:
        """The resolved outputs, by name."""
        declared = self.source.get("Outputs", {})
        return {
            name: self.resolve(each["Value"])
            for name, each in declared.items()
            if "Condition" not in each or self.holds(each["Condition"])
        }

    @property
    def functions(self) -> dict[str, Function]:
        """Every function, globals merged in, by logical id."""
        return {id_: self._function(id_, properties) for id_, properties in self.of_type(FUNCTION).items()}

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """Every enabled schedule, whether it stands in a function's events or as a resource of its own."""
        found = []
        for id_, properties in self.of_type(FUNCTION).items():
            for name, event in (properties.get("Events") or {}).items():
                if event["Type"] in ("Schedule", "ScheduleV2"):
                    found.append((f"{id_}{name}", id_, event["Properties"], "Schedule"))
        for id_, properties in self.of_type("AWS::Scheduler::Schedule").items():
            target = properties["Target"]
            function = self._function_of(target["Arn"])
            found.append((id_, function, {**properties, "Input": target.get("Input")}, "Schedule"))
        for id_, properties in self.of_type("AWS::Events::Rule").items():
            if "ScheduleExpression" in properties:
                for target in properties["Targets"]:
                    function = self._function_of(target["Arn"])
                    given = {**properties, "Input": target.get("Input")}
                    found.append((id_, function, given, "Schedule"))
        return tuple(
            Schedule(name, function, seconds_of(given.get(key) or given["ScheduleExpression"]), given.get("Input"))
            for name, function, given, key in found
            if str(given.get("State", "ENABLED")) == "ENABLED" and str(given.get("Enabled", True)).lower() != "false"
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every queue that feeds a function."""
        found = []
        for id_, properties in self.of_type(FUNCTION).items():
            for event in (properties.get("Events") or {}).values():
                if event["Type"] == "SQS":
                    found.append((id_, event["Properties"].get("Queue"), event["Properties"]))
        for properties in self.of_type("AWS::Lambda::EventSourceMapping").values():
            found.append((self._function_of(properties["FunctionName"]), properties["EventSourceArn"], properties))
        return tuple(
            Source(
                function=function,
                queue=self._queue_of(arn),
                batch_size=int(given.get("BatchSize", 10)),
                partial_failures="ReportBatchItemFailures" in (given.get("FunctionResponseTypes") or ()),
            )
            for function, arn, given in found
            if str(given.get("Enabled", True)).lower() != "false"
        )

    # --- how values resolve

    def holds(self, condition: str) -> bool:
        """Whether the named condition is true with these parameters."""
        if condition not in self._conditions:
            declared = self.source.get("Conditions", {})
            if condition not in declared:
                raise TemplateError(f"no condition named {condition}")
            self._conditions[condition] = _truth(self.resolve(declared[condition]))
        return self._conditions[condition]

    def resolve(self, value: Any) -> Any:
        """The value with every intrinsic function replaced by what it stands for."""
        resolved = self._resolve(value)
        return None if resolved is _NO_VALUE else resolved

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            if len(value) == 1:
                ((name, argument),) = value.items()
                if name in _INTRINSICS and (name != "Condition" or isinstance(argument, str)):
                    return _INTRINSICS[name](self, argument)
            pairs = ((key, self._resolve(each)) for key, each in value.items())
            return {key: each for key, each in pairs if each is not _NO_VALUE}
        if isinstance(value, list):
            return [each for each in map(self._resolve, value) if each is not _NO_VALUE]
        return value

    def _ref(self, name: str) -> Any:
        pseudo = {
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": PARTITION,
            "AWS::StackName": self.stack,
            "AWS::StackId": f"arn:{PARTITION}:cloudformation:{REGION}:{ACCOUNT}:stack/{self.stack}/local",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NotificationARNs": [],
            "AWS::NoValue": _NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        type_ = self._raw(name)["Type"]
        if type_ == QUEUE:
            return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{self.name(name)}"
        if type_ in ("AWS::SNS::Topic", "AWS::SecretsManager::Secret"):
            return self.arn(name)
        return self.name(name)

    def _get_att(self, argument: Any) -> Any:
        logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        attribute = self._resolve(attribute)
        if attribute == "FunctionUrl":
            # SAM makes the URL a resource of its own, named after its function.
            return self.url(logical_id.removesuffix("Url"))
        if attribute == "Arn":
            return self.arn(logical_id)
        if attribute.endswith("Name"):
            return self.name(logical_id)
        return f"{self.arn(logical_id)}/{attribute}"

    def _sub(self, argument: Any) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else (argument[0], self._resolve(argument[1]))

        def value_of(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in given:
                return str(given[name])
            found = self._get_att(name) if "." in name else self._ref(name)
            return ",".join(found) if isinstance(found, list) else str(found)

        return re.sub(r"\$\{([^}]*)\}", value_of, text)

    def _if(self, argument: list[Any]) -> Any:
        condition, then, otherwise = argument
        return self._resolve(then if self.holds(condition) else otherwise)

    def _find_in_map(self, argument: list[Any]) -> Any:
        mapping, first, second = (self._resolve(each) for each in argument[:3])
        try:
            return self._resolve(self.source["Mappings"][mapping][first][second])
        except KeyError:
            if len(argument) > 3 and "DefaultValue" in argument[3]:
                return self._resolve(argument[3]["DefaultValue"])
            raise TemplateError(f"Mappings has no {mapping}.{first}.{second}") from None

    # --- reading the parts

    def _raw(self, logical_id: str) -> Mapping[str, Any]:
        try:
            return self.source["Resources"][logical_id]
        except KeyError:
            raise TemplateError(f"nothing in the template is named {logical_id}") from None

    def _resources(self) -> dict[str, dict[str, Any]]:
        return {
            id_: {**each, "Properties": self._resolve(each.get("Properties") or {})}
            for id_, each in self.source["Resources"].items()
            if "Condition" not in each or self.holds(each["Condition"])
        }

    def _function(self, logical_id: str, properties: Mapping[str, Any]) -> Function:
        common = self._resolve((self.source.get("Globals") or {}).get("Function") or {})
        variables = {
            **(common.get("Environment") or {}).get("Variables", {}),
            **(properties.get("Environment") or {}).get("Variables", {}),
        }
        merged = {**common, **properties}
        return Function(
            id=logical_id,
            name=self.name(logical_id),
            arn=self.arn(logical_id),
            code=(self.root / merged["CodeUri"]).resolve(),
            handler=merged["Handler"],
            environment={name: _as_text(value) for name, value in variables.items()},
            timeout=int(merged.get("Timeout", 3)),
            memory=int(merged.get("MemorySize", 128)),
            url="FunctionUrlConfig" in merged,
        )

    def _function_of(self, arn_or_name: str) -> str:
        for logical_id in self.of_type(FUNCTION):
            if arn_or_name in (self.arn(logical_id), self.name(logical_id)):
                return logical_id
        raise TemplateError(f"no function in the template is {arn_or_name}")

    def _queue_of(self, arn: str) -> str:
        for logical_id in self.of_type(QUEUE):
            if arn == self.arn(logical_id):
                return logical_id
        raise TemplateError(f"no queue in the template is {arn}")

    def _fill(self, declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
        unknown = sorted(set(given) - set(declared))
        if unknown:
            raise TemplateError(f"the template has no parameter {', '.join(unknown)}")
        return {name: _parameter(name, each, given.get(name)) for name, each in declared.items()}


def seconds_of(expression: str) -> int:
    """The period of a `rate(...)` expression in seconds; a daily or hourly `cron(...)` counts as its period."""
    match = re.fullmatch(r"rate\((\d+)\s+(minute|hour|day)s?\)", expression.strip())
    if match:
        return int(match[1]) * {"minute": 60, "hour": 3_600, "day": 86_400}[match[2]]
    match = re.fullmatch(r"cron\((\S+)\s+(\S+)\s.*\)", expression.strip())
    if match:
        return 86_400 if match[2].isdigit() else 3_600
    raise TemplateError(f"cannot read the schedule {expression!r}")


def _parameter(name: str, declared: Mapping[str, Any], given: str | None) -> Any:
    """The value of one parameter after the checks that CloudFormation makes of it."""
    if given is None and "Default" not in declared:
        raise TemplateError(f"parameter {name} has no default and was not given")
    text = _as_text(declared["Default"] if given is None else given)
    type_ = str(declared.get("Type", "String"))
    faults: Iterable[tuple[bool, str]] = (
        ("AllowedValues" in declared and text not in map(_as_text, declared["AllowedValues"]), "is not allowed"),
        (
            "AllowedPattern" in declared and not re.fullmatch(declared["AllowedPattern"], text),
            f"does not match {declared.get('AllowedPattern')}",
        ),
        (type_ == "Number" and not re.fullmatch(r"-?\d+(\.\d+)?", text), "is not a number"),
        ("MinLength" in declared and len(text) < int(declared["MinLength"]), "is too short"),
        ("MaxLength" in declared and len(text) > int(declared["MaxLength"]), "is too long"),
    )
    for wrong, why in faults:
        if wrong:
            raise TemplateError(f"parameter {name}: {text!r} {why}")
    if type_ == "Number":
        low, high = declared.get("MinValue", text), declared.get("MaxValue", text)
        if not float(low) <= float(text) <= float(high):
            raise TemplateError(f"parameter {name}: {text} is outside {low} to {high}")
    if type_ == "CommaDelimitedList" or type_.startswith("List<"):
        return [each.strip() for each in text.split(",")] if text else []
    return text


def _as_text(value: Any) -> str:
    """As CloudFormation hands on a scalar: everything is text, and booleans are lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return str(value)


def _truth(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _equals(template: Template, argument: list[Any]) -> bool:
    left, right = (_as_text(template.resolve(each)) for each in argument)
    return left == right


def _join(template: Template, argument: list[Any]) -> str:
    separator, parts = argument
    return separator.join(_as_text(each) for each in template.resolve(parts))


def _split(template: Template, argument: list[Any]) -> list[str]:
    separator, text = argument
    return template.resolve(text).split(separator)


def _select(template: Template, argument: list[Any]) -> Any:
    index, parts = argument
    return template.resolve(parts)[int(template.resolve(index))]


_INTRINSICS = {
    "Ref": Template._ref,
    "Condition": Template.holds,
    "Fn::GetAtt": Template._get_att,
    "Fn::Sub": Template._sub,
    "Fn::If": Template._if,
    "Fn::FindInMap": Template._find_in_map,
    "Fn::Equals": _equals,
    "Fn::And": lambda template, argument: all(_truth(template.resolve(each)) for each in argument),
    "Fn::Or": lambda template, argument: any(_truth(template.resolve(each)) for each in argument),
    "Fn::Not": lambda template, argument: not _truth(template.resolve(argument[0])),
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": _select,
}
