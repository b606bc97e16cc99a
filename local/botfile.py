"""Reads a bot file, and says in plain words what is wrong with it: the file, the field, the problem, the remedy."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from itertools import accumulate
from pathlib import Path
from typing import Any
from unicodedata import category

import yaml
from jsonschema import Draft202012Validator, ValidationError

from relance.bot import OPT_IN_COUNTRIES, Bot, Hours, Template
from relance.botrow import to_settings
from relance.clock import utc_now
from relance.interaction import DAY, HOUR, MINUTE
from relance.persona import Persona
from relance.rules import PLATFORM_WINDOW, Rules
from relance.zones import common_hours, zones_of_country

BOTS = Path(__file__).parent.parent / "bots"
SCHEMA = BOTS / "bot.schema.json"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# An audience whose zones share less of the day than this cannot be written to decently (design.md rule 6).
LEAST_COMMON_HOURS = 2.0

# The examples have 3 KB and sixty values. A file far beyond is no bot file, and nobody should have to wait for it: with
# aliases of aliases a few lines of YAML say more values than memory holds.
MOST_BYTES = 256 * 1024
MOST_VALUES = 20_000
MOST_DEPTH = 20
# In texts a bracket may stand alone; so many do not.
_MOST_OPEN = 100
# So much of what stands in a file is repeated in a message about it.
_QUOTED = 300

# What Meta accepts as a template's time-to-live, by category (platforms.md 6.1).
TEMPLATE_TTL = {"UTILITY": (MINUTE, 12 * HOUR), "MARKETING": (12 * HOUR, 30 * DAY)}

_WRITING_MODES = ("review", "live")
_UNITS = {"d": DAY, "h": HOUR, "m": MINUTE}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a bot file, and what to write instead. `line` is 0 where no line is to blame."""

    file: str
    field: str
    problem: str
    remedy: str
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return (
            f"{where}: {self.field}: {self.problem}; {self.remedy}"
            if self.field
            else (f"{where}: {self.problem}; {self.remedy}")
        )


class BotFileError(ValueError):
    """A bot file that cannot be used; `problems` says why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


# --- reading YAML ------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of plain words: `off` and `NO` are text, not booleans, and `0123` keeps its zero."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (PyYAML's own name)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])

_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:str": str.strip,
    "tag:yaml.org,2002:bool": lambda text: text == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:null": lambda text: None,
}


@dataclass(slots=True)
class _File:
    """A bot file while it is read: its data, the line of each field, and what is wrong so far."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    values: int = 0

    def blame(self, where: str, problem: str, remedy: str, line: int = 0) -> None:
        """Add a problem. A field that is not there has the line of the field around it."""
        parent = where
        while not line and parent:
            line = self.lines.get(parent, 0)
            parent = re.sub(r"(\.[^.\[]*|\[\d+\]|^[^.\[]*)$", "", parent)
        self.problems.append(Problem(self.name, _printable(where), _printable(problem), _printable(remedy), line))


def _printable(text: str) -> str:
    """What a file says, fit for a terminal: no half characters, no control sequences, not pages of it."""
    shown = text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
    return "".join("\ufffd" if category(letter) in ("Cc", "Cs") else letter for letter in shown)


def _read(path: Path) -> _File:
    file = _File(str(path))
    try:
        with path.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            file.blame("", f"is larger than {MOST_BYTES // 1024} KB", "keep what a bot needs; the examples have 3 KB")
            return file
        text = raw.decode("utf-8-sig")
        if _open_brackets(text) > _MOST_OPEN:
            raise RecursionError
        root = yaml.compose(text, Loader=_Loader)
    except OSError as error:
        file.blame("", f"cannot be read: {error.strerror}", "check the path and the file's permissions")
    except UnicodeDecodeError:
        file.blame("", "is not UTF-8 text", "save it as UTF-8")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        remedy = "look at the indentation, the colons and the quotes there; text with `: ` or `#` in it needs quotes"
        file.blame("", f"is not readable YAML: {what}", remedy, mark.line + 1 if mark else 0)
    except RecursionError:
        file.blame("", "is nested too deeply", "a bot file is three levels deep; bots/ has examples")
    except (yaml.YAMLError, ValueError, OverflowError):
        file.blame("", "holds characters that YAML does not allow", "remove control characters; save it as UTF-8")
    else:
        if isinstance(root, yaml.MappingNode):
            file.data = _value(root, "", file, ())
        else:
            file.blame("", "has no fields", 'begin with `bot: "<account id>"`; bots/ has examples')
    return file


def _open_brackets(text: str) -> int:
    """How many brackets are open at once: YAML's reader takes seconds for some hundreds before it gives up."""
    steps = (1 if letter in "[{" else -1 for letter in text if letter in "[]{}")
    return max(accumulate(steps), default=0)


def _value(node: yaml.Node, where: str, file: _File, around: tuple[yaml.Node, ...]) -> Any:
    """The plain value of a YAML node; `around` are the nodes it lies in."""
    line = node.start_mark.line + 1
    file.lines.setdefault(where, line)
    file.values += 1
    if file.values > MOST_VALUES:
        if file.values == MOST_VALUES + 1:
            file.blame(where, "is one value too many", "write the values out instead of aliases of aliases", line)
        return None
    if len(around) > MOST_DEPTH:
        file.blame(where, "is nested too deeply", "a bot file is three levels deep; bots/ has examples", line)
        return None
    if node in around:
        file.blame(where, "contains itself", "write the values out instead of an alias", line)
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, f"{where}[{i}]", file, (*around, node)) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        fields: dict[str, Any] = {}
        for key, value in node.value:
            if file.values > MOST_VALUES:
                break
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            inner = f"{where}.{name}" if where else name
            if name in fields:
                first = file.lines[inner]
                file.blame(inner, f"is written twice, first on line {first}", "keep one", key.start_mark.line + 1)
                continue
            file.lines[inner] = key.start_mark.line + 1
            fields[name] = _value(value, inner, file, (*around, node))
        return fields
    if node.tag not in _SCALARS:
        file.blame(where, f"uses the YAML tag {node.tag}", "write plain text, a number, true or false", line)
        return None
    if any(category(letter) in ("Cc", "Cs") and letter not in "\n\t" for letter in node.value):
        file.blame(
            where, "holds a control character or half a character", "write plain text, without \\x or \\u there", line
        )
        return None
    try:
        return _SCALARS[node.tag](node.value)
    except ValueError:
        file.blame(where, f"is a number of {len(node.value)} digits", "write ids in quotes, and shorter", line)
        return None


# --- the shape, by the schema ------------------------------------------------------------------------------------


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


_KINDS = {
    str: "text",
    bool: "true or false",
    int: "a number",
    list: "a list",
    dict: "a group of fields",
    type(None): "empty",
}
_WANTED = {
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "array": "a list in [brackets]",
    "object": "a group of indented fields",
}


def _one_of(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _did_you_mean(word: Any, known: Sequence[str], otherwise: str) -> str:
    folded = {name.lower(): name for name in known}
    close = get_close_matches(str(word).lower(), folded, n=1, cutoff=0.6)
    return f"did you mean `{folded[close[0]]}`?" if close else otherwise


def _example(schema: Mapping[str, Any]) -> str:
    """How to write a field, from the examples of its schema or of the definition it refers to."""
    if "examples" not in schema and "$ref" in schema:
        schema = _validator().schema["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return str(schema["examples"][0]) if "examples" in schema else ""


def _explain(error: ValidationError) -> tuple[str, str, str]:
    """A schema error as (field, problem, remedy), each in words for the person who writes the file."""
    where = ""
    for step in error.absolute_path:
        where += f"[{step}]" if isinstance(step, int) else f".{step}" if where else step
    schema, value, rule = error.schema, error.instance, error.validator
    write = f"write it like `{example}`" if (example := _example(schema)) else "correct it"
    match rule:
        case "enum":
            choice = _one_of(error.validator_value)
            if list(error.schema_path)[-2:-1] == ["propertyNames"]:
                return f"{where}.{value}", "is not a language relance speaks", f"write {choice}"
            return where, f"`{value}` is not known", _did_you_mean(value, error.validator_value, f"write {choice}")
        case "type":
            wanted = error.validator_value
            kind = _WANTED[wanted if isinstance(wanted, str) else wanted[0]]
            return where, f"must be {kind} and is {_KINDS.get(type(value), 'something else')}", write
        case "pattern":
            return where, f"`{value}` cannot be read", write
        case "minLength" | "minItems":
            return where, "is empty" if not value else f"`{value}` is too short", write
        case "maxLength":
            return where, f"is too long: {len(value)} characters", f"write at most {error.validator_value}"
        case "maxItems":
            return where, f"has too many entries: {len(value)}", f"keep at most {error.validator_value}"
        case "uniqueItems":
            return where, "names something twice", "name each once"
        case _:
            return where, f"`{value}` is not possible here", write


def _missing(error: ValidationError) -> Iterator[tuple[str, str, str]]:
    prefix = ".".join(map(str, error.absolute_path))
    for name in error.validator_value:
        if name not in error.instance:
            schema = error.schema["properties"][name]
            example = _example(schema) or _one_of(schema.get("enum", ["…"]))
            where = f"{prefix}.{name}" if prefix else name
            remedy = f"add `{name}:` with {example}" if "enum" in schema else f"add `{name}: {example}`"
            yield where, "is missing", f"{remedy} ({schema['description'].rstrip('.')})"


def _unknown(error: ValidationError) -> Iterator[tuple[str, str, str]]:
    prefix = ".".join(map(str, error.absolute_path))
    known = list(error.schema["properties"])
    for name in error.instance:
        if name not in known:
            where = f"{prefix}.{name}" if prefix else name
            yield where, "is not a field", _did_you_mean(name, known, f"remove it; the fields are {_one_of(known)}")


def _check_shape(file: _File) -> None:
    """Holds the file against the schema, and takes out the fields that are wrong, so that the rest can be judged."""
    wrong: set[str] = set()
    for error in _validator().iter_errors(file.data):
        found = {"required": _missing, "additionalProperties": _unknown}.get(error.validator)
        reported = {p.field for p in file.problems}
        for where, problem, remedy in list(found(error)) if found else [_explain(error)]:
            wrong.add(re.split(r"[.\[]", where)[0])
            if where not in reported:  # a required field is missing once, however the schema says it
                file.blame(where, problem, remedy)
                reported.add(where)
    for name in wrong:
        file.data.pop(name, None)


# --- the sense ---------------------------------------------------------------------------------------------------


def duration(text: str) -> int:
    """`23h`, `90m`, `2d` or `1d12h` as seconds. Raises ValueError for anything else."""
    if not re.fullmatch(r"(?=\d)(\d+d)?(\d+h)?(\d+m)?", text, re.ASCII):
        raise ValueError(f"not a duration: {text}")
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([dhm])", text))


def spoken(seconds: int) -> str:
    """Seconds as a bot file writes them: `23h`, `90m`."""
    return f"{seconds // HOUR}h" if seconds % HOUR == 0 else f"{seconds // MINUTE}m"


def hours_of(text: str) -> Hours:
    """`10:00-19:30` as seconds after midnight. Raises ValueError for anything else."""
    opens, closes = (int(h) * HOUR + int(m) * MINUTE for h, m in (part.split(":") for part in text.split("-")))
    return Hours(opens, closes)


def _clock_face(hours: Hours) -> str:
    return "-".join(f"{at // HOUR:02}:{at % HOUR // MINUTE:02}" for at in (hours.opens, hours.closes))


@cache
def _known_zones() -> list[str]:
    """The zones of the tzdata package: what the functions know, whatever else this machine has."""
    return files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()


type _Findings = Iterator[tuple[str, str, str]]


def _check_places(data: Mapping[str, Any], rules: Rules, year: int) -> _Findings:
    country, audience = data.get("country"), data.get("audience_zones", [])
    if country and not zones_of_country(country):
        remedy = {"UK": "write `GB`", "EL": "write `GR`"}.get(country, "write two capitals of ISO 3166, such as `FR`")
        yield "country", f"`{country}` is no country", remedy
    named = [("zone", data["zone"])] if "zone" in data else []
    named += [(f"audience_zones[{i}]", zone) for i, zone in enumerate(audience)]
    unknown = [(where, zone) for where, zone in named if zone not in _known_zones()]
    for where, zone in unknown:
        remedy = _did_you_mean(zone, _known_zones(), "write a tzdata name, such as `Europe/Paris`")
        yield where, f"`{zone}` is not a time zone", remedy
    hours = hours_of(data["hours"]) if "hours" in data else rules.hours
    if unknown or hours.opens >= hours.closes:
        return
    zones = audience or (zones_of_country(country or "") if data.get("channel") == "whatsapp" else ())
    if not zones:
        zones = [data["zone"]] if "zone" in data else []
    common = common_hours(zones, opens=hours.opens, closes=hours.closes, year=year)
    if zones and common < LEAST_COMMON_HOURS:
        where = "hours" if len(zones) == 1 else "audience_zones"
        share = f"{spoken(round(common * HOUR))} a day" if common else "no hour"
        if len(zones) == 1:
            yield where, f"leaves {share}, under two hours", "open at least two hours a day"
        elif audience:
            remedy = "name zones that lie closer together, or run one bot for each part of the audience"
            yield where, f"share {share} of {_clock_face(hours)}, under two hours", remedy
        else:
            remedy = "name the zones its users live in, such as `[Europe/Moscow]`"
            yield where, f"are missing: the zones of {country} share {share} of {_clock_face(hours)}", remedy


def _check_hours(data: Mapping[str, Any], rules: Rules) -> _Findings:
    if "hours" not in data:
        return
    hours, widest = hours_of(data["hours"]), rules.hours
    if hours.opens >= hours.closes:
        yield "hours", f"`{data['hours']}` ends before it begins", f"write it like `{_clock_face(widest)}`"
    elif hours.opens < widest.opens or hours.closes > widest.closes:
        yield (
            "hours",
            f"`{data['hours']}` is wider than the deployment's {_clock_face(widest)}",
            f"stay within {_clock_face(widest)}: a bot may be stricter, never laxer",
        )


def _check_silences(data: Mapping[str, Any], rules: Rules) -> _Findings:
    shortest = duration(data["min_silence"]) if "min_silence" in data else rules.min_silence
    preferred = duration(data["preferred_silence"]) if "preferred_silence" in data else rules.preferred_silence
    if shortest < rules.min_silence:
        least = spoken(rules.min_silence)
        yield (
            "min_silence",
            f"`{data['min_silence']}` is shorter than the deployment's {least}",
            f"write at least {least}: a bot may be stricter, never laxer",
        )
    longest = PLATFORM_WINDOW - rules.margin - rules.lead
    if shortest > longest and "template" not in data:
        yield (
            "min_silence",
            f"`{data['min_silence']}` is past the 24 hours in which the platform lets a bot write",
            f"write at most {spoken(longest // HOUR * HOUR)}, or on WhatsApp add a template",
        )
    elif preferred < shortest:
        yield (
            "preferred_silence",
            f"{spoken(preferred)} is shorter than the min_silence of {spoken(shortest)}",
            f"write `preferred_silence: {spoken(shortest)}` or longer",
        )
    if preferred > rules.window:
        yield "preferred_silence", "is longer than the time there is", f"write at most {spoken(rules.window)}"


def _check_consent(data: Mapping[str, Any]) -> _Findings:
    if data.get("consent") == "soft":
        if data.get("country") in OPT_IN_COUNTRIES:
            yield "consent", f"the law of {data['country']} asks for a recorded yes", "write `consent: opt-in`"
        elif not data.get("soft_basis"):
            yield (
                "soft_basis",
                "is missing, and consent is soft",
                "say in one sentence why the law of your country lets you, or write `consent: opt-in`",
            )
    if data.get("notice") is False and data.get("mode") != "off":
        yield "notice", "nobody was told that the bot may write", "tell people, then write `notice: true`"
    if data.get("channel") == "whatsapp" and data.get("mode") in _WRITING_MODES and not data.get("ai_is_incidental"):
        yield (
            "ai_is_incidental",
            "is not attested, and WhatsApp bars bots whose main purpose is to be an AI",
            "write `ai_is_incidental: true` if that is so, else `mode: shadow`",
        )


def _check_template(data: Mapping[str, Any], rules: Rules) -> _Findings:
    template = data.get("template")
    if not template:
        return
    if data.get("channel") in ("messenger", "instagram"):
        yield "template", f"there are none on {data['channel']}", "remove it: only WhatsApp has templates"
        return
    speaks = template["language"].split("_")[0]
    if "languages" in data and speaks not in data["languages"]:
        yield "template.language", f"the bot does not speak `{speaks}`", f"write one of {_one_of(data['languages'])}"
    ttl, category = duration(template["ttl"]), template["category"]
    least, most = TEMPLATE_TTL[category]
    most = min(most, rules.window - PLATFORM_WINDOW)
    if not least <= ttl <= most:
        reason = "would outlive the 14 days" if ttl > rules.window - PLATFORM_WINDOW else f"is not one for {category}"
        remedy = f"declare {spoken(least)} to {spoken(most)} at Meta, and write the same here"
        yield "template.ttl", f"`{template['ttl']}` {reason}", remedy
    american = set(zones_of_country("US"))
    audience = data.get("audience_zones") or zones_of_country(data.get("country", ""))
    if category == "MARKETING" and any(zone in american or zone.startswith("US/") for zone in audience):
        yield (
            "template.category",
            "marketing templates never reach numbers in the United States",
            "remove the template, or take the zones of the United States out of audience_zones",
        )


def _check_persona(data: Mapping[str, Any]) -> _Findings:
    persona, languages = data.get("persona", {}), data.get("languages")
    for kind in ("samples", "frames"):
        for language, texts in persona.get(kind, {}).items():
            if languages and language not in languages:
                remedy = f"remove it, or add `{language}` to languages"
                yield f"persona.{kind}.{language}", "the bot does not speak that language", remedy
            for i, text in enumerate(texts if kind == "frames" else ()):
                if text.count("{topic}") != 1 or re.search(r"[{}]", text.replace("{topic}", "")):
                    remedy = "write `{topic}` once, where the user's own words go, and no other braces"
                    yield f"persona.frames.{language}[{i}]", "does not have exactly one {topic}", remedy


def _check_sense(file: _File, rules: Rules, year: int) -> None:
    data = file.data
    for findings in (
        _check_places(data, rules, year),
        _check_hours(data, rules),
        _check_silences(data, rules),
        _check_consent(data),
        _check_template(data, rules),
        _check_persona(data),
    ):
        for where, problem, remedy in findings:
            file.blame(where, problem, remedy)


# --- what others call --------------------------------------------------------------------------------------------


def _checked(path: Path, rules: Rules, year: int | None) -> _File:
    file = _read(path)
    if not file.problems or file.data:
        _check_shape(file)
        _check_sense(file, rules, year or datetime.fromtimestamp(utc_now(), UTC).year)
    return file


def _bot(data: Mapping[str, Any]) -> Bot:
    """A bot from the data of a file in which nothing is wrong."""
    template, persona = data.get("template"), data["persona"]
    return Bot(
        id=str(data["bot"]),
        channel=data["channel"],
        name=data["name"],
        operator=data["operator"],
        mode=data["mode"],
        country=data["country"],
        zone=data["zone"],
        audience_zones=tuple(data.get("audience_zones", ())),
        languages=tuple(data["languages"]),
        app_ids=tuple(map(str, data.get("app_ids", ()))),
        hours=hours_of(data["hours"]) if "hours" in data else Hours(),
        quiet_days=tuple(sorted(WEEKDAYS.index(day) + 1 for day in data.get("quiet_days", ()))),
        min_silence=duration(data["min_silence"]) if "min_silence" in data else None,
        preferred_silence=duration(data["preferred_silence"]) if "preferred_silence" in data else None,
        consent=data["consent"],
        soft_basis=data.get("soft_basis", ""),
        notice=data["notice"],
        ai_is_incidental=data.get("ai_is_incidental", False),
        contact=data["contact"],
        template=Template(**template | {"ttl": duration(template["ttl"])}) if template else None,
        persona=Persona(
            voice=persona["voice"],
            address=persona["address"],
            may=tuple(persona.get("may", ())),
            never=tuple(persona.get("never", ())),
            samples={language: tuple(texts) for language, texts in persona.get("samples", {}).items()},
            frames={language: tuple(texts) for language, texts in persona.get("frames", {}).items()},
        ),
        secrets=data.get("secrets", ""),
    )


def read_all(
    paths: Sequence[str | Path], *, rules: Rules | None = None, year: int | None = None
) -> tuple[list[Bot], list[Problem]]:
    """The bots of some files, and all that is wrong with them; no bots if anything is.

    `rules` are the deployment's parameters, which a bot may not soften (default: those of template.yaml). The hours
    that an audience shares are measured over `year` (default: this one).
    """
    read = [_checked(path, rules or Rules(), year) for path in dict.fromkeys(map(Path, paths))]
    seen: dict[str, str] = {}
    for file in read:
        account = str(file.data.get("bot", ""))
        if account in seen:
            file.blame("bot", f"`{account}` is already in {seen[account]}", "one account has one file: merge the two")
        elif account:
            seen[account] = file.name
    problems = [problem for file in read for problem in sorted(file.problems, key=lambda p: p.line)]
    return ([] if problems else [_bot(file.data) for file in read]), problems


def validate(paths: Sequence[str | Path], *, rules: Rules | None = None, year: int | None = None) -> list[Problem]:
    """All that is wrong with some bot files, each alone and all together, in the order of files and lines."""
    return read_all(paths, rules=rules, year=year)[1]


def load(path: str | Path, *, rules: Rules | None = None, year: int | None = None) -> Bot:
    """The bot of one file. Raises BotFileError with everything that is wrong with it."""
    bots, problems = read_all([path], rules=rules, year=year)
    if problems:
        raise BotFileError(problems)
    return bots[0]


def as_row(bot: Bot) -> dict[str, Any]:
    """What publishing writes of a bot file: the account, the mode (conditions name it), and the settings."""
    return {"id": bot.id, "mode": bot.mode, "settings": to_settings(bot)}
