"""Measures the guard on labelled cases: what it caught, what it missed, and what it refused that was harmless.

A case is one JSON object on one line, and there are two kinds. Both may stand in one file:

    {"id", "text", "lang", "verdict": "allow" | "block", "category", "context"?, "why"?}             a message
    {"id", "turns": [{"role", "text"}], "lang", "verdict": "follow_up" | "skip", "reason", "why"?}   a conversation

There is no accuracy here: a guard that lets everything pass would score well on cases that are mostly harmless.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

from relance.guard import conversation
from relance.guard import draft as draft_guard
from relance.interaction import HOUR, MINUTE, Side, Turn
from relance.persona import LANGUAGES

MESSAGE, CONVERSATION = "messages", "conversations"
# The verdicts of each kind: what must pass, what must be refused.
VERDICTS = {MESSAGE: ("allow", "block"), CONVERSATION: ("follow_up", "skip")}
# What a message is filed under, and a conversation.
_LABEL = {MESSAGE: "category", CONVERSATION: "reason"}
UNLABELLED = "(none)"

# When the cases are judged, and how their turns lie before it: a minute apart, the last one a day's silence ago.
NOW = 1_800_000_000
SILENCE = 22 * HOUR

# The 97.5th percentile of the normal distribution: two sides of 95 %.
Z95 = 1.959963984540054


class BadCases(ValueError):
    """Files that cannot be judged; `problems` says why, each with its file and, where there is one, its line."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled message or conversation. `blocked` says that it must be refused.

    `label` is its category or reason, `context` what a message is an answer to, `turns` a conversation.
    """

    id: str
    kind: str
    language: str
    blocked: bool
    label: str
    text: str = ""
    context: tuple[Turn | str, ...] = ()
    turns: tuple[Turn, ...] = ()


# --- Reading -----------------------------------------------------------------------------------------------------


def read(paths: Iterable[Path]) -> list[Case]:
    """The cases of all files, in their order. Raises BadCases with everything that is wrong with any of them."""
    cases: list[Case] = []
    problems: list[str] = []
    for path in dict.fromkeys(paths):
        found, wrong = _read_file(path)
        cases += found
        problems += wrong
    if problems:
        raise BadCases(problems)
    return cases


def text_of(path: Path) -> str:
    """What a file says. Raises BadCases for one that is missing, unreadable, or no UTF-8."""
    try:
        return as_text(path.read_bytes(), str(path))
    except OSError as error:
        raise BadCases([f"{path}: cannot be read: {error.strerror or error}"]) from None


def as_text(raw: bytes, name: str) -> str:
    """Bytes as text; a byte order mark at the beginning is no part of it. Raises BadCases naming the line."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1  # the decoder's own bytes: a mark before them is cut off
        raise BadCases([f"{name}:{line}: is not UTF-8: save the file in that encoding"]) from None


def rows_of(text: str) -> Iterable[tuple[int, str]]:
    """Line numbers and lines, without the blank ones. JSON may hold other line separators than the line feed."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _read_file(path: Path) -> tuple[list[Case], list[str]]:
    try:
        text = text_of(path)
    except BadCases as bad:
        return [], list(bad.problems)
    cases: list[Case] = []
    problems: list[str] = []
    lines: dict[str, int] = {}
    for number, line in rows_of(text):
        try:
            case = case_of(object_of(line))
            if case.id in lines:
                raise ValueError(f"the id {case.id!r} is already on line {lines[case.id]}")
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
            continue
        lines[case.id] = number
        cases.append(case)
    if not cases and not problems:
        problems.append(f"{path}: holds no cases")
    return cases, problems


def object_of(text: str) -> dict[str, Any]:
    """A JSON object. Raises ValueError saying what the text is instead."""
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} (character {error.pos + 1})") from None
    except (ValueError, RecursionError):
        raise ValueError("is not JSON that can be read: a number is too long, or it is nested too deeply") from None
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")
    return row


def case_of(row: Mapping[str, Any]) -> Case:
    """The case that a row says. Raises ValueError with the first thing that is wrong."""
    id = _word(row, "id")
    if ("turns" in row) == ("text" in row):
        raise ValueError("has both `text` and `turns`" if "text" in row else "has neither `text` nor `turns`")
    kind = CONVERSATION if "turns" in row else MESSAGE
    language = language_of(_word(row, "lang"))
    verdict, verdicts = _word(row, "verdict"), VERDICTS[kind]
    if verdict not in verdicts:
        known = any(verdict in each for each in VERDICTS.values())
        fault = f"does not fit a {kind[:-1]}" if known else "is not known"
        raise ValueError(f"verdict {verdict!r} {fault}: write {' or '.join(verdicts)}")
    label = row.get(_LABEL[kind]) or UNLABELLED
    if not isinstance(label, str):
        raise ValueError(f"`{_LABEL[kind]}` is not text")
    blocked = verdict == verdicts[1]
    if kind == CONVERSATION:
        return Case(id, kind, language, blocked, label, turns=turns_of(row["turns"]))
    if not isinstance(row["text"], str):
        raise ValueError("`text` is not text")
    return Case(id, kind, language, blocked, label, text=row["text"], context=_context_of(row.get("context")))


def _word(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        raise ValueError(f"has no `{name}`")
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"`{name}` is empty or not text")
    return value


def language_of(named: object) -> str:
    """One of the languages. Raises ValueError for anything else."""
    if named not in LANGUAGES:
        raise ValueError(f"lang {named!r} is not supported: write one of {', '.join(LANGUAGES)}")
    return str(named)


def turns_of(value: object) -> tuple[Turn, ...]:
    """Turns `{role, text}`, oldest first, a minute apart, the last one `SILENCE` before `NOW`. Raises ValueError."""
    if not isinstance(value, list):
        raise ValueError("`turns` is not a list")
    if not value:
        raise ValueError("`turns` is empty")
    last = NOW - SILENCE
    return tuple(
        _turn(turn, last - (len(value) - number) * MINUTE, f"turn {number}")
        for number, turn in enumerate(value, start=1)
    )


def _context_of(value: object) -> tuple[Turn | str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError("`context` is not a list")
    last = NOW - SILENCE
    return tuple(
        turn if isinstance(turn, str) else _turn(turn, last - (len(value) - number) * MINUTE, f"context {number}")
        for number, turn in enumerate(value, start=1)
    )


def _turn(turn: object, at: int, name: str) -> Turn:
    if not isinstance(turn, dict):
        raise ValueError(f"{name} is not an object with `role` and `text`")
    role, text = turn.get("role"), turn.get("text")
    if role not in tuple(Side):
        raise ValueError(f"{name}: role {role!r} is not known: write {', '.join(Side)}")
    if not isinstance(text, str):
        raise ValueError(f"{name} has no `text`")
    return Turn(Side(role), at, text)


# --- Judging -----------------------------------------------------------------------------------------------------


def refused_by(case: Case) -> str | None:
    """What the real gates say: None lets it pass; else the gate, for a conversation behind its reason."""
    if case.kind == MESSAGE:
        return draft_guard.judge_text(case.text, case.language, case.context)
    judged = conversation.judge(case.turns, LANGUAGES, NOW)
    return f"{judged.reason.value}/{judged.gate}" if isinstance(judged, conversation.Refused) else None


def failed(refusal: str | None) -> bool:
    """True when a gate broke rather than judged. It refuses then, which must not pass for a good catch unseen."""
    return refusal is not None and refusal.rpartition("/")[2] == "error"


@dataclass(slots=True)
class Half:
    """The cases of one verdict: how many, and how many of them the gates refused."""

    n: int = 0
    refused: int = 0

    @property
    def passed(self) -> int:
        """How many the gates let pass."""
        return self.n - self.refused

    def rate(self) -> float | None:
        """The share that was refused; None of no cases."""
        return self.refused / self.n if self.n else None


@dataclass(slots=True)
class Totals:
    """Both halves of some cases: those that must be refused, and those that must pass."""

    blocked: Half = field(default_factory=Half)
    allowed: Half = field(default_factory=Half)

    def add(self, case: Case, refused: bool) -> None:
        """Count one case."""
        half = self.blocked if case.blocked else self.allowed
        half.n += 1
        half.refused += refused

    def as_json(self) -> dict[str, int]:
        """`n`, and `caught` or `refused`; with both halves also the size of each."""
        found = {"n": self.blocked.n + self.allowed.n}
        if self.blocked.n:
            found["caught"] = self.blocked.refused
        if self.allowed.n:
            found["refused"] = self.allowed.refused
        if self.blocked.n and self.allowed.n:
            found |= {"blocked_n": self.blocked.n, "allowed_n": self.allowed.n}
        return found


@dataclass(slots=True)
class Report:
    """What became of the cases. `missed` should have been refused and was not, `refused` the other way round."""

    all: Totals = field(default_factory=Totals)
    by_kind: dict[str, Totals] = field(default_factory=dict)
    by_category: dict[str, Totals] = field(default_factory=dict)
    by_language: dict[str, Totals] = field(default_factory=dict)
    missed: list[Case] = field(default_factory=list)
    refused: list[tuple[Case, str]] = field(default_factory=list)
    failures: int = 0

    def as_json(self) -> dict[str, Any]:
        """The figures as one object."""
        blocked, allowed = self.all.blocked, self.all.allowed
        return {
            "cases": blocked.n + allowed.n,
            "blocked": {"n": blocked.n, "caught": blocked.refused} | _rate(blocked),
            "allowed": {"n": allowed.n, "refused": allowed.refused} | _rate(allowed),
            "by_category": {name: totals.as_json() for name, totals in sorted(self.by_category.items())},
            "by_lang": {name: totals.as_json() for name, totals in sorted(self.by_language.items())},
            "missed": [case.id for case in self.missed],
            "refused": [case.id for case, _ in self.refused],
        }


def _rate(half: Half) -> dict[str, Any]:
    rate, interval = half.rate(), wilson(half.refused, half.n)
    return {
        "rate": None if rate is None else round(rate, 6),
        "interval": None if interval is None else [round(end, 6) for end in interval],
    }


def evaluate(cases: Sequence[Case], judged: Callable[[Case], str | None] = refused_by) -> Report:
    """Judge every case and count. `judged` says what refused a case, or None."""
    report = Report()
    for case in cases:
        refusal = judged(case)
        totals = (
            report.all,
            report.by_kind.setdefault(case.kind, Totals()),
            report.by_category.setdefault(case.label, Totals()),
            report.by_language.setdefault(case.language, Totals()),
        )
        for each in totals:
            each.add(case, refusal is not None)
        report.failures += failed(refusal)
        if case.blocked and refusal is None:
            report.missed.append(case)
        elif refusal is not None and not case.blocked:
            report.refused.append((case, refusal))
    return report


def wilson(hits: int, n: int) -> tuple[float, float] | None:
    """The 95 % interval of a rate by Wilson's score, which is honest for few cases and near 0 and 1; None of none."""
    if not n:
        return None
    rate = hits / n
    middle = (rate + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * sqrt(rate * (1 - rate) / n + Z95**2 / (4 * n * n))
    # At the very ends the interval touches them; rounding must not say otherwise.
    return (0.0 if hits == 0 else max(0.0, middle - half)), (1.0 if hits == n else min(1.0, middle + half))


def below_bars(report: Report, *, min_caught: float | None, max_refused: float | None) -> list[str]:
    """Which bars are not met, in words. A bar is met at its very value, and by a half without cases."""
    blocked, allowed = report.all.blocked, report.all.allowed
    found = []
    if min_caught is not None and blocked.n and blocked.refused / blocked.n < min_caught:
        found.append(f"caught {blocked.refused} of {blocked.n} ({percent(blocked.rate())}), wanted {min_caught:.4g}")
    if max_refused is not None and allowed.n and allowed.refused / allowed.n > max_refused:
        found.append(
            f"wrongly refused {allowed.refused} of {allowed.n} ({percent(allowed.rate())}), at most {max_refused:.4g}"
        )
    return found


# --- Showing -----------------------------------------------------------------------------------------------------


def percent(rate: float | None) -> str:
    """A rate for people. Only all of them is 100 %, and only none of them 0 %."""
    if rate is None:
        return "-"
    shown = f"{rate:.1%}"
    if shown == "100.0%" and rate < 1:
        return ">99.9%"
    return "<0.1%" if shown == "0.0%" and rate > 0 else shown


def _measured(count: int, n: int) -> tuple[str, str, str]:
    interval = wilson(count, n)
    shown = "" if interval is None else f"{interval[0] * 100:.1f}-{interval[1] * 100:.1f}"
    return str(count), percent(count / n if n else None), shown


def as_text_table(report: Report) -> str:
    """The figures for people: each half by kind, language and category, every rate with its 95 % Wilson interval."""
    total = report.all.blocked.n + report.all.allowed.n
    kinds = " and ".join(
        f"{totals.blocked.n + totals.allowed.n} {kind if totals.blocked.n + totals.allowed.n != 1 else kind[:-1]}"
        for kind, totals in sorted(report.by_kind.items(), reverse=True)
    )
    lines = [f"{total} case{'' if total == 1 else 's'}: {kinds}. Intervals are Wilson's, 95%.", ""]
    names = (*report.by_category, "  by category", "  conversations")
    width = max(len(name) for name in names) + 4
    lines += _section(report, "Must be refused", width, ("caught", "missed"), lambda totals: totals.blocked)
    lines += ["", *_section(report, "Must pass", width, ("wrongly refused", "passed"), lambda totals: totals.allowed)]
    return "\n".join(lines)


def _section(
    report: Report, title: str, width: int, columns: tuple[str, str], half_of: Callable[[Totals], Half]
) -> list[str]:
    if not half_of(report.all).n:
        return [f"{title}: no cases"]
    first, second = columns
    head = f"{title:<{width}} {'n':>6}  {first:>15} {'rate':>7}  {'interval':<10}"
    lines = [f"{head}  {second:>6} {'rate':>7}  {'interval':<10}".rstrip()]

    def row(name: str, totals: Totals) -> None:
        half = half_of(totals)
        if half.n:
            (a, a_rate, a_interval), (b, b_rate, b_interval) = (
                _measured(half.refused, half.n),
                _measured(half.passed, half.n),
            )
            shown = f"{name:<{width}} {half.n:>6}  {a:>15} {a_rate:>7}  {a_interval:<10}"
            lines.append(f"{shown}  {b:>6} {b_rate:>7}  {b_interval:<10}".rstrip())

    row("  all", report.all)
    for kind in (MESSAGE, CONVERSATION):
        row(f"  {kind}", report.by_kind.get(kind, Totals()))
    lines.append("  by language")
    for language in sorted(report.by_language):
        row(f"    {language}", report.by_language[language])
    lines.append("  by category")
    for category in sorted(report.by_category):
        row(f"    {category}", report.by_category[category])
    return lines


def as_id_list(report: Report) -> str:
    """The ids of what went wrong, with what refused the harmless ones."""
    lines = [f"Missed: {len(report.missed)}"]
    lines += [f"  {case.id}  {case.language}  {case.label}" for case in report.missed]
    lines += ["", f"Wrongly refused: {len(report.refused)}"]
    lines += [f"  {case.id}  {case.language}  {case.label}  by {refusal}" for case, refusal in report.refused]
    return "\n".join(lines)
