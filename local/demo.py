"""`relance demo`: a fortnight of conversations through the real deployment, and a judge who has seen all of it.

Signed webhooks go in, follow-ups come out, in virtual time. What happened is told as it goes, then as two tables:
who was written to, and who was not and why. At the end the promises are checked against what the platform received.
"""

import dataclasses
import heapq
import itertools
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from local import botfile, webhooks
from local.checker import COUNTED, FOLLOW_UPS, Finding, check, says_stop
from local.fortnight import random_fortnight
from local.observer import Line, Observer
from local.people import OWN_APPS, Account, Act, Fortnight, Human, the_fortnight
from local.stack import LocalStack
from relance.bot import Bot
from relance.interaction import DAY, HOUR, Address

KEPT, BROKEN, BAD_USE = 0, 1, 2

# The platform says "failed" about as late as this after it took a message.
_FAILS_AFTER = HOUR
# Meta delivers again what was not answered with 200.
_REDELIVERY = 60
# Nobody waits longer than this for a decision; else something is stuck, and the judge will say who was lost.
_PATIENCE = 45 * DAY

# From this many people on, one reads a summary rather than everybody's story.
_CROWD = 100
# moto looks at every row for each query of the index: with thousands of people, fewer shards and sweeps.
_FOR_CROWDS = {"DueShards": "1", "SweepMinutes": "10"}


# --- the fortnight -----------------------------------------------------------------------------------------------


def bot_of(account: Account) -> Bot:
    """The bot of an account: its example file with the account's changes, read and checked like any bot file."""
    data = yaml.safe_load((botfile.BOTS / account.file).read_text(encoding="utf-8"))
    data |= {"bot": account.id, "channel": account.channel, **account.changes}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / account.file
        path.write_text(json.dumps({name: value for name, value in data.items() if value is not None}), "utf-8")
        bot = botfile.load(path)
    if account.min_silence is not None:
        seconds = account.min_silence * HOUR
        bot = dataclasses.replace(bot, min_silence=seconds, preferred_silence=seconds)
    return bot


class Run:
    """Lets a fortnight happen to a stack. The stack may be any kind of LocalStack: the tests break theirs."""

    def __init__(
        self,
        stack: LocalStack,
        scenario: Fortnight,
        *,
        progress: Callable[[int], None] = lambda at: None,
    ) -> None:
        self.stack = stack
        self.scenario = scenario
        self.bots = {account.id: bot_of(account) for account in scenario.accounts}
        self.observer = Observer(stack, scenario, self.bots)
        self._accounts = {account.id: account for account in scenario.accounts}
        self._humans = {human.name: human for human in scenario.humans}
        self._progress = progress
        self._numbers: dict[str, str] = {}
        self._order = itertools.count()
        # Everybody's ledger is read at each look, so with thousands of people one looks less often.
        self._look_every = HOUR if len(scenario.humans) <= _CROWD else 4 * HOUR
        self._queued = [act for act in scenario.acts if act.moment == "queued"]

    def live(self) -> list[Line]:
        """The whole fortnight and what comes after it, until everybody is decided. Returns the lines."""
        self._begin()
        coming = [(at, next(self._order), act) for act in self.scenario.acts for at in act.arrives or (act.at,)]
        coming = [each for each in coming if each[2].moment != "queued"]
        heapq.heapify(coming)
        noted: set[int] = set()
        while coming:
            at, _, act = heapq.heappop(coming)
            self._advance(at)
            if id(act) not in noted:
                noted.add(id(act))
                self.observer.act(act, act.at)
            if self._do(act) != 200:
                heapq.heappush(coming, (self.stack.now + _REDELIVERY, next(self._order), act))
        self._settle()
        self.observer.close()
        return self.observer.lines

    def _begin(self) -> None:
        scenario = self.scenario
        enabled: dict[str, int | None] = {}
        for account in scenario.accounts:
            at = scenario.start + account.enabled
            enabled[account.id] = at if at <= scenario.start else None
            if at <= scenario.start:
                self.stack.publish(self.bots[account.id], enabled_at=at)
        self.observer.settings(scenario.start, enabled)
        for name in scenario.undeliverable:
            steps = [("sent", 1), ("failed", _FAILS_AFTER, 131026)]
            self.stack.graph.script(steps, channel="whatsapp", user=self._humans[name].number)

    def _advance(self, until: int) -> None:
        while self.stack.now < until:
            stop = min(until, self.stack.now + self._look_every)
            if act := self._next_in_queue(stop):
                self._meet_in_the_queue(act)
            else:
                self.stack.run_until(stop)
            self.observer.look()
            self._progress(self.stack.now)

    def _next_in_queue(self, until: int) -> Act | None:
        for act in self._queued:
            planned = self.observer.planned(act.user or "", act.bot or "")
            if planned is not None and self.stack.now < planned <= until:
                return act
        return None

    def _meet_in_the_queue(self, act: Act) -> None:
        """The act happens when the sweeper has enqueued this person's follow-up and the sender has not begun."""
        moment = self.observer.planned(act.user or "", act.bot or "") or self.stack.now
        self._queued.remove(act)
        self.stack.run_until(moment - 1)
        self.stack.travel(moment)
        self.stack.sweep()
        act = dataclasses.replace(act, at=moment)
        self.observer.act(act, moment)
        self._do(act)
        self.stack.drain()

    def _settle(self) -> None:
        limit = self.scenario.end + _PATIENCE
        self._advance(self.scenario.end)
        while self.stack.now < limit and (
            self.stack.queue_depth() or any("due_at" in row for row in self.stack.pairs())
        ):
            self._advance(self.stack.now + 4 * HOUR)
        # Receipts still under way.
        self._advance(self.stack.now + 2 * _FAILS_AFTER)

    def _do(self, act: Act) -> int:
        """Carry an act out; the HTTP status where a webhook carries it."""
        if act.operator:
            self._operate(act)
            return 200
        account, human = self._accounts[act.bot or ""], self._humans[act.user or ""]
        address = human.address(account)
        if account.channel == "whatsapp":
            address = self._numbers.get(human.name, address)
        if act.kind == "id_change":
            self._numbers[human.name] = act.new
        return self.stack.post(account.channel, _body(act, account, human, address)).status

    def _operate(self, act: Act) -> None:
        bot = act.bot or ""
        if act.kind == "enable":
            self.stack.publish(self.bots[bot], enabled_at=self.stack.now)
        elif act.kind == "pause":
            self.stack.pause(bot)
        elif act.kind == "resume":
            self.stack.resume(bot)
        else:
            raise ValueError(f"the demo's operator cannot {act.kind}")


def _body(act: Act, account: Account, human: Human, address: str) -> dict[str, Any]:
    # A yes or a stop by tap is a quick reply with relance's own payload.
    kind = "quick_reply" if act.payload else act.kind
    app_id = OWN_APPS[0] if act.kind == "echo_bot" else ""
    return webhooks.build(
        account.channel,
        kind,
        bot=account.id,
        user=Address(address),
        at=act.at,
        id=act.id,
        text=act.text,
        payload=act.payload,
        app_id=app_id,
        new=Address(act.new) if act.new else None,
        name=human.name.split()[0],
    )


# --- telling -----------------------------------------------------------------------------------------------------

WHY = {
    "not_earned": "fewer than five messages of their own in two weeks",
    "too_late": "their last message is over two weeks old",
    "already_used": "had their one follow-up already",
    "already_written": "somebody of the business had written since",
    "no_allowed_moment": "no decent hour was left before the window closed",
    "unreachable": "the platform's 24 hours end before the bot may write, and it has no template",
    "life_too_long": "the template would have outlived the two weeks",
    "before_enabled": "went quiet before the bot was switched on",
    "disabled": "the bot was switched off",
    "paused": "the operator had paused the bot",
    "unknown_bot": "no such bot had been published",
    "not_attested": "the bot's file lacks an attestation",
    "opted_out": "asked not to be written to",
    "no_consent": "never said yes, and the law here asks for it",
    "minor": "said to be a minor",
    "safety_hold": "held for safety (no more is kept than that)",
    "heavy_use": "wrote so much that silence is kinder",
    "human_owns": "a person of the business has the conversation",
    "capped": "another bot of the house wrote within the fortnight",
    "user_returned": "came back before it was time",
    "no_open_thread": "nothing was left open",
    "user_pause": "asked to be left in peace for now",
    "language": "no language that the bot speaks well enough",
    "draft_refused": "no draft passed the guard",
    "writer_silent": "the writer found nothing worth saying",
    "refused_by_platform": "the platform refused the message",
    "unknown_outcome": "the platform never answered; it is not tried again",
    "outage": "the deployment had been restored from a backup",
    "erased": "had their data erased",
}
"""Every reason in words for people."""

_CHANNELS = {"whatsapp": "WhatsApp", "messenger": "Messenger", "instagram": "Instagram"}


class Teller:
    """Tells the run to somebody at a terminal: a line for each notable thing, then tables and the verdict."""

    def __init__(self, console: Console, bots: dict[str, Bot], *, quiet: bool) -> None:
        self._console = console
        self._bots = bots
        self._quiet = quiet
        self._last_heard: dict[tuple[str, str], int] = {}

    def __call__(self, line: Line) -> None:
        """One line of the run; most say nothing."""
        words = self._notable(line)
        if line["event"] == "inbound" and line["kind"] in COUNTED:
            self._last_heard[line["user"], line["bot"]] = line["at"]
        if words is None or self._quiet:
            return
        mark, style, sentence = words
        when = _local(line["at"], line["zone"] or "UTC")
        self._console.print(Text.assemble((f"{when}  ", "dim"), (f"{mark} ", style), sentence), soft_wrap=True)

    def _notable(self, line: Line) -> tuple[str, str, str] | None:
        who, kind = line["user"], line["kind"]
        if line["event"] == "operator":
            return "■", "yellow", f"the operator: {kind} {self._name(line)}"
        if line["event"] == "accepted" and kind == "answer":
            return "↩", "dim", f"{self._name(line)} answers {who}: {' '.join(line['text'].split())}"
        if line["event"] == "accepted":
            route = f"{line['kind'].replace('_', ' ')} on {_CHANNELS[line['channel']]}"
            text = " ".join(line["text"].split())
            return "▶", "bold green", f"{who}, {_place(line['zone'])}, {route}: {text}"
        if line["event"] == "withheld":
            return "·", "cyan", f"{who}, {_place(line['zone'])}: none, {WHY.get(line['reason'], line['reason'])}"
        if line["event"] != "inbound":
            return None
        if kind == "opt_out" or (kind in COUNTED and says_stop(line["text"] or "")):
            return "✋", "red", f"{who} tells {self._name(line)} to stop"
        if kind == "echo_human":
            return "☎", "yellow", f"a person of the business answers {who}"
        if kind == "handover":
            return "☎", "yellow", f"{who} is handed to a person of the business"
        if kind == "id_change":
            return "↪", "yellow", f"{who} has a new number"
        if kind == "status_failed":
            return "✗", "red", f"the message to {who} could not be delivered after all"
        heard = self._last_heard.get((who, line["bot"]))
        if kind in COUNTED and (heard is None or line["at"] - heard > 6 * HOUR):
            return (
                " ",
                "dim",
                f"{who}, {_place(line['zone'])}, {'writes' if heard is None else 'is back'}: {self._name(line)}",
            )
        return None

    def _name(self, line: Line) -> str:
        return f"{self._bots[line['bot']].name} on {_CHANNELS[line['channel']]}"

    def tables(self, lines: list[Line]) -> None:
        """Who was written to, and who was not and why."""
        if self._quiet:
            self._summary(lines)
            return
        written = Table(title="Written to", title_justify="left", title_style="bold green", show_lines=True)
        for column in ("Who", "When, on their own clock", "After", "Route"):
            written.add_column(column, no_wrap=column == "After")
        written.add_column("Text", ratio=1)
        silent = Table(title="Not written to", title_justify="left", title_style="bold cyan")
        for column in ("Who", "Bot", "Decided, on their own clock", "Why"):
            silent.add_column(column)
        last: dict[tuple[str, str], int] = {}
        for line in lines:
            pair = (line["user"], line["bot"])
            if line["event"] == "inbound" and line["kind"] in COUNTED:
                last[pair] = line["at"]
            elif line["event"] == "accepted" and line["kind"] in FOLLOW_UPS:
                written.add_row(
                    f"{line['user']}\n[dim]{_place(line['zone'])}[/]",
                    _local(line["at"], line["zone"]) + self._moved(line, last[pair]),
                    _span(line["at"] - last[pair]),
                    f"{_CHANNELS[line['channel']]}\n[dim]{line['kind'].replace('_', ' ')}[/]",
                    Text(line["text"]),
                )
            elif line["event"] == "withheld":
                why = WHY.get(line["reason"], line["reason"])
                silent.add_row(line["user"], self._name(line), _local(line["at"], line["zone"]), why)
        self._console.print()
        self._console.print(written)
        self._console.print()
        self._console.print(silent)

    def _moved(self, line: Line, last: int) -> str:
        """Whether decent hours moved it away from the silence that the bot prefers."""
        preferred = self._bots[line["bot"]].preferred_silence or 23 * HOUR
        moved = line["kind"] == "free_form" and abs(line["at"] - last - preferred) > 20 * 60
        return "\n[dim]moved: quiet hours[/]" if moved else ""

    def _summary(self, lines: list[Line]) -> None:
        """With thousands of people: how many of what."""
        counts: dict[str, int] = defaultdict(int)
        for line in lines:
            if line["event"] == "accepted" and line["kind"] in FOLLOW_UPS:
                counts[f"written to, {_CHANNELS[line['channel']]}, {line['kind'].replace('_', ' ')}"] += 1
            elif line["event"] == "withheld":
                counts[WHY.get(line["reason"], line["reason"])] += 1
        table = Table(title="What became of them", title_justify="left", title_style="bold")
        table.add_column("Outcome")
        table.add_column("Silences", justify="right")
        for outcome, count in sorted(counts.items(), key=lambda each: -each[1]):
            table.add_row(outcome, f"{count:,}")
        self._console.print()
        self._console.print(table)

    def verdict(self, findings: list[Finding], seconds: float) -> None:
        """The promises, each with a tick and a count, then one line."""
        self._console.print()
        self._console.print("[bold]The promises, checked against what the platform received")
        for finding in findings:
            mark, style = ("✓", "green") if finding.ok else ("✗", "bold red")
            self._console.print(Text.assemble((f"  {mark} ", style), finding.detail))
            for offender in finding.offenders[:5]:
                self._console.print(Text(f"      {offender}", style="red"))
        broken = sum(not finding.ok for finding in findings)
        self._console.print()
        if broken:
            self._console.print(f"[bold red]{broken} of {len(findings)} promises broken[/], in {seconds:.0f} s.")
        else:
            self._console.print(f"[bold green]All {len(findings)} promises kept[/], in {seconds:.0f} s.")


def _local(at: int, zone: str) -> str:
    return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%a %d %b %H:%M")


def _place(zone: str) -> str:
    return zone.rpartition("/")[2].replace("_", " ")


def _span(seconds: int) -> str:
    return f"{seconds // HOUR} h {seconds % HOUR // 60:02d}"


# --- the command -------------------------------------------------------------------------------------------------


def run(*, seed: int | None, people: int | None, json_lines: bool) -> int:
    """The whole demo. Without `seed` and `people` it is the hand-made fortnight; else random people, the same for
    the same seed. Returns the exit code: 0 kept, 1 a promise broken, 2 bad use.
    """
    if people is not None and people < 1:
        sys.stderr.write("--people needs at least one\n")
        return BAD_USE
    return show(scenario_of(seed=seed, people=people), json_lines=json_lines)


def scenario_of(*, seed: int | None, people: int | None) -> Fortnight:
    """The hand-made fortnight, or a random one."""
    if seed is None and people is None:
        return the_fortnight()
    return random_fortnight(seed or 0, people or 200)


def show(scenario: Fortnight, *, json_lines: bool, stack: LocalStack | None = None) -> int:
    """Run a scenario, print it, judge it. `stack` is a fresh LocalStack that is not entered yet (for the tests)."""
    began = time.perf_counter()
    console = Console(quiet=json_lines, highlight=False, width=None if sys.stdout.isatty() else 140)
    crowd = len(scenario.humans) > _CROWD
    stack = stack or LocalStack(start=scenario.start, parameters=_FOR_CROWDS if crowd else None)
    console.print(f"[bold]A fortnight of {len(scenario.humans):,} people, from {_local(scenario.start, 'UTC')} UTC.\n")
    with _Bar(scenario, shown=crowd) as moved, stack as running:
        life = Run(running, scenario, progress=moved)
        teller = Teller(console, life.bots, quiet=crowd)
        if not json_lines:
            # JSON comes at the end, in time order: the ledger tells of some things a little later.
            life.observer.tell = teller
        lines = life.live()
        for failure in running.failures[:5]:
            sys.stderr.write(f"{failure.function} failed at {failure.at}: {failure.error!r}\n")
    findings = check(lines)
    if json_lines:
        for line in lines:
            sys.stdout.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
        sys.stdout.flush()
    else:
        teller.tables(lines)
        teller.verdict(findings, time.perf_counter() - began)
    return KEPT if all(finding.ok for finding in findings) else BROKEN


class _Bar:
    """A bar on stderr for crowds, nothing otherwise."""

    def __init__(self, scenario: Fortnight, *, shown: bool) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not shown or bool(os.environ.get("CI")))
        self._start = scenario.start
        self._task = self._bar.add_task("a fortnight", total=scenario.end - scenario.start)

    def __enter__(self) -> Callable[[int], None]:
        self._bar.start()
        return lambda at: self._bar.update(self._task, completed=at - self._start)

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
