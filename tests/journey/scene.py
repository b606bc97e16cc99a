"""Short fortnights for the journeys: a few of the demo's people, for as many days as their story needs."""

import random
from collections.abc import Iterable
from dataclasses import replace

from local.checker import check
from local.demo import Run
from local.observer import Line
from local.people import START, Act, Fortnight, the_fortnight
from local.stack import LocalStack

HOUR, DAY = 3_600, 86_400


def excerpt(names: Iterable[str], *, days: int) -> Fortnight:
    """The part of the hand-made fortnight that these people live through in the first days, from their first word."""
    whole, wanted, end = the_fortnight(), set(names), START + days * DAY
    humans = tuple(human for human in whole.humans if human.name in wanted)
    acts = tuple(act for act in whole.acts if act.at < end and (act.operator or act.user in wanted))
    bots = {act.bot for act in acts if not act.operator}
    accounts = tuple(account for account in whole.accounts if account.id in bots)
    acts = tuple(act for act in acts if act.bot in bots)
    known = {"accounts": accounts, "humans": humans, "undeliverable": whole.undeliverable & wanted}
    return replace(whole, start=acts[0].at - HOUR, end=end, acts=acts, **known)


def first_days(fortnight: Fortnight, days: int) -> Fortnight:
    """A fortnight that ends early."""
    end = START + days * DAY
    return replace(fortnight, end=end, acts=tuple(act for act in fortnight.acts if act.at < end))


def a_stack(start: int = START) -> LocalStack:
    """A fresh stack that sweeps every ten minutes: the longest the template allows, and half the work of five."""
    return LocalStack(start=start, parameters={"SweepMinutes": "10"})


def lived(fortnight: Fortnight, stack: LocalStack | None = None) -> list[Line]:
    """The lines of one run; on a stack of the test's own, if it has one."""
    with stack or a_stack(fortnight.start) as running:
        return Run(running, fortnight).live()


def messages(lines: Iterable[Line]) -> list[tuple[int, str, str, str, str]]:
    """What people received: when, who, from which bot, by which route, and the text."""
    return sorted(
        (line["at"], line["user"], line["bot"], line["kind"], line["text"])
        for line in lines
        if line["event"] == "accepted"
    )


def outcomes(lines: Iterable[Line]) -> dict[str, list[str]]:
    """By person, the outcomes of their silences in time order: a route, or a reason."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if line["event"] in ("accepted", "withheld"):
            found.setdefault(line["user"], []).append(line["reason"] or line["kind"])
    return found


def broken(lines: Iterable[Line]) -> list[str]:
    """The promises that the checker says were broken."""
    return [finding.promise for finding in check(lines) if not finding.ok]


def thrice_in_disorder(fortnight: Fortnight, seed: int) -> Fortnight:
    """Every webhook delivered three times within twenty minutes, in any order."""
    luck = random.Random(seed)

    def again(act: Act) -> Act:
        if act.operator or act.moment:
            return act
        return replace(act, arrives=tuple(act.at + luck.randrange(1, 1_200) for _ in range(3)))

    return replace(fortnight, acts=tuple(again(act) for act in fortnight.acts))
