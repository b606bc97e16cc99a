"""Watches a running fortnight from outside and writes it down: one JSON line for each thing that was seen.

It sees what an operator and a platform could see: the webhooks as they were sent, what the Graph stand-in accepted,
its receipts, and the ledger in the pairs table. `zone` is where the person lives; no code of relance is told.
"""

import bisect
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from local.checker import COUNTED
from local.graph import Accepted
from local.people import Act, Fortnight, Human
from local.stack import PEPPER, LocalStack
from relance.bot import Bot
from relance.interaction import PAYLOAD_STOP
from relance.pair import EVERY_BOT, entry_time, user_key
from relance.rules import Rules, allowed_hours, silences

type Line = dict[str, Any]

KEYS = ("at", "event", "channel", "bot", "user", "id", "kind", "text", "zone", "reason")

# The parameters of template.yaml that are rules of the product.
RULES = (
    "MinInteractions",
    "WindowDays",
    "FollowUps",
    "UserCooldownDays",
    "MinSilenceHours",
    "PreferredSilenceHours",
    "AllowedHours",
    "MarginMinutes",
    "LeadMinutes",
    "SweepMinutes",
    "LeaseMinutes",
    "CatchUpMinutes",
    "TextTtlDays",
    "CrisisHoldDays",
)


class Observer:
    """Collects the lines of one run. `tell` hears of each as it happens; `lines` has them in time order."""

    def __init__(self, stack: LocalStack, fortnight: Fortnight, bots: Mapping[str, Bot]) -> None:
        self.tell: Callable[[Line], None] = lambda line: None
        self._stack = stack
        self._bots = bots
        self._channels = {account.id: account.channel for account in fortnight.accounts}
        self._humans = {human.name: human for human in fortnight.humans}
        self._by_address = {
            (account.id, human.address(account)): human for account in fortnight.accounts for human in fortnight.humans
        }
        self._by_key: dict[str, Human] = {}
        for (account, address), human in self._by_address.items():
            self._by_key[user_key(self._channels[account], address, PEPPER.encode())] = human
        self._written: list[Line] = []
        self._accepted = 0
        self._follow_ups: set[str] = set()
        self._answered: set[tuple[str, str]] = set()
        self._told: set[tuple[str, str, str, str]] = set()
        self._plans: dict[tuple[str, str], int] = {}
        self._heard: dict[tuple[str, str], list[int]] = {}
        self._ask_for_receipts()

    @property
    def lines(self) -> list[Line]:
        """Everything seen so far, in time order; of one second, in the order in which it was seen."""
        return sorted(self._written, key=lambda line: line["at"])

    # -- what happens ----------------------------------------------------------------------------------------------

    def settings(self, at: int, enabled: Mapping[str, int | None]) -> None:
        """The first line: every rule, and each bot with what is in force for it."""
        parameters = self._stack.template.parameters
        rules = {name: _number(parameters[name]) for name in RULES if name in parameters}
        bots = [_about(bot, enabled.get(bot.id), self._stack_rules()) for bot in self._bots.values()]
        self._write(at, "settings", rules=rules, bots=bots)

    def _stack_rules(self) -> Rules:
        parameters = self._stack.template.parameters
        hour = 3_600
        return Rules(
            min_silence=int(parameters["MinSilenceHours"]) * hour,
            preferred_silence=int(parameters["PreferredSilenceHours"]) * hour,
        )

    def act(self, act: Act, at: int) -> None:
        """Something was done: by a person, by the business, or by the operator."""
        if act.operator:
            self._write(
                at, "operator", channel=self._channels.get(act.bot or ""), bot=act.bot, user=act.user, kind=act.kind
            )
            return
        if act.kind == "id_change" and act.user and act.bot:
            self._moved_to(act)
        if act.kind in COUNTED and act.user and act.bot:
            bisect.insort(self._heard.setdefault((act.user, act.bot), []), act.at)
        text = "returned" if act.kind == "handover_back" else act.text or None
        kind = "handover" if act.kind == "handover_back" else act.kind
        self._about_human(at, "inbound", act.bot or "", self._humans[act.user or ""], id=act.id, kind=kind, text=text)

    def _moved_to(self, act: Act) -> None:
        human = self._humans[act.user or ""]
        for account, channel in self._channels.items():
            if channel == "whatsapp":
                self._by_address[account, act.new] = human
                self._by_key[user_key(channel, act.new, PEPPER.encode())] = human

    def look(self) -> None:
        """Note what the platform accepted and what the ledger says since the last look."""
        self._look_at_the_platform()
        self._look_at_the_ledger()

    def _look_at_the_platform(self) -> None:
        for said in self._stack.graph.accepted[self._accepted :]:
            human = self._by_address[said.bot, said.to]
            kind = "template" if said.kind == "template" else "answer" if _is_answer(said) else "free_form"
            if kind != "answer":
                self._follow_ups.add(said.follow_up_id)
                self._answered.add((human.name, said.bot))
            self._about_human(int(said.at), "accepted", said.bot, human, id=said.id, kind=kind, text=said.text)
        self._accepted = len(self._stack.graph.accepted)

    def _look_at_the_ledger(self) -> None:
        for row in self._stack.pairs():
            if row["bot"] == EVERY_BOT or row.get("alias") or row["bot"] not in self._channels:
                continue
            human = self._by_key[row["user"]]
            if row.get("returned_s1"):
                back = self._came_back(human.name, row["bot"], row["returned_s1"]) or int(row["returned_at"])
                self._withheld(human, row["bot"], row["returned_s1"], back, "user_returned")
            if row.get("verdict") == "drop":
                self._withheld(human, row["bot"], row["verdict_s1"], int(row["verdict_at"]), row["reason"])
            if row.get("verdict") == "wait" and "due_at" in row:
                self._plans[human.name, row["bot"]] = int(row["due_at"])

    def _came_back(self, name: str, bot: str, silence: str) -> int | None:
        """When the person ended that silence: the ledger learns of it only when the timer rings next."""
        return next((at for at in self._heard.get((name, bot), ()) if at > entry_time(silence)), None)

    def _withheld(self, human: Human, bot: str, silence: str, at: int, reason: str) -> None:
        """Once for each silence and way it ended."""
        key = (human.name, bot, silence, reason)
        if key not in self._told:
            self._told.add(key)
            self._answered.add((human.name, bot))
            self._about_human(at, "withheld", bot, human, reason=reason)

    def planned(self, name: str, bot: str) -> int | None:
        """When this person would be written to, if the sweeper has planned it."""
        return self._plans.get((name, bot))

    def close(self) -> None:
        """The end: what the platform refused or never answered, and everybody who never earned one."""
        self.look()
        now = self._stack.now
        for row in self._stack.pairs():
            if row["bot"] == EVERY_BOT or row.get("alias") or row["bot"] not in self._channels:
                continue
            human = self._by_key[row["user"]]
            spent = row.get("follow_up_id", "")
            if spent and spent not in self._follow_ups and row.get("outcome") in _NEVER_ARRIVED:
                at = int(row.get("outcome_at", now))
                self._withheld(human, row["bot"], row.get("closed_s1", ""), at, _NEVER_ARRIVED[row["outcome"]])
            if (human.name, row["bot"]) not in self._answered and row.get("s1"):
                self._about_human(now, "withheld", row["bot"], human, reason="not_earned")

    # -- receipts --------------------------------------------------------------------------------------------------

    def _ask_for_receipts(self) -> None:
        """Look over the stand-in's shoulder when it hands out receipts and echoes."""
        hand_out = self._stack.graph.statuses_due

        def overheard(now: float) -> list[tuple[str, bytes]]:
            due = hand_out(now)
            for channel, body in due:
                for kind, bot, address, message_id, at in _receipts(channel, json.loads(body)):
                    if human := self._by_address.get((bot, address)):
                        self._look_at_the_platform()
                        self._about_human(at, "inbound", bot, human, id=message_id, kind=kind)
            return due

        self._stack.graph.statuses_due = overheard  # type: ignore[method-assign]

    # -- writing ---------------------------------------------------------------------------------------------------

    def _about_human(self, at: int, event: str, bot: str, human: Human, **more: Any) -> None:
        self._write(at, event, channel=self._channels[bot], bot=bot, user=human.name, zone=human.zone, **more)

    def _write(self, at: int, event: str, **more: Any) -> None:
        line = dict.fromkeys(KEYS) | {"at": at, "event": event} | more
        self._written.append(line)
        self.tell(line)


def _is_answer(said: Accepted) -> bool:
    """Every follow-up carries its id or, on Instagram, the Stop button; an answer has neither."""
    return not said.follow_up_id and PAYLOAD_STOP not in json.dumps(said.body)


_NEVER_ARRIVED = {"refused": "refused_by_platform", "unknown": "unknown_outcome", "reserved": "unknown_outcome"}


def _about(bot: Bot, enabled_at: int | None, rules: Rules) -> dict[str, Any]:
    hours, (least, _) = allowed_hours(bot, rules), silences(bot, rules)
    return {
        "bot": bot.id,
        "channel": bot.channel,
        "hours": f"{_clock(hours.opens)}-{_clock(hours.closes)}",
        "quiet_days": list(bot.quiet_days),
        "min_silence": least,
        "mode": bot.mode,
        "enabled_at": enabled_at,
        "consent": "opt-in" if bot.needs_opt_in else "soft",
        "template_ttl": bot.template.ttl if bot.template else None,
    }


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}"


def _number(value: str) -> int | str:
    return int(value) if str(value).isdigit() else value


def _receipts(channel: str, body: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, int]]:
    """(kind, bot, address, message id, time) of each receipt and echo in a webhook of the stand-in."""
    for entry in body["entry"]:
        for change in entry.get("changes", ()):
            for status in change["value"].get("statuses", ()):
                kind = {"failed": "status_failed"}.get(status["status"], status["status"])
                if kind != "sent":
                    to = status.get("recipient_id") or status.get("recipient_user_id", "")
                    bot = change["value"]["metadata"]["phone_number_id"]
                    yield kind, bot, to, status["id"], int(status["timestamp"])
        for event in entry.get("messaging", ()):
            at = int(event["timestamp"]) // 1000
            if event.get("message", {}).get("is_echo"):
                yield "echo_bot", event["sender"]["id"], event["recipient"]["id"], event["message"]["mid"], at
            elif "delivery" in event:
                mid = (event["delivery"].get("mids") or [""])[0]
                yield "delivered", event["recipient"]["id"], event["sender"]["id"], mid, at
