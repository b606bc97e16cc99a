"""A promise broken on purpose must be seen: each test breaks relance from outside, and the demo's judge must say so.

The demo is believed only because of these: a judge that has never said no may be deaf.
"""

import contextlib
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from local import demo
from local.stack import LocalStack
from relance import disclosure, rules, zones
from relance.guard import conversation, signals
from relance.send import Sender
from relance.store.pairs import PairStore
from tests.journey.scene import a_stack, broken, excerpt


def judged(fortnight, stack=None):
    """The exit code of `relance demo --json` for these people, and the promises that its lines break."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = demo.show(fortnight, json_lines=True, stack=stack or a_stack(fortnight.start))
    return code, broken(map(json.loads, out.getvalue().splitlines()))


@pytest.fixture(scope="module")
def amelie():
    return excerpt(["Amélie Fournier"], days=1)


def test_unbroken_the_same_people_pass(amelie):
    """Else the tests below would prove nothing."""
    assert judged(amelie) == (0, [])


def test_a_platform_that_got_the_message_twice_is_seen(amelie):
    """Whoever sent it: the stand-in has two messages of one silence."""

    class Doubled(LocalStack):
        def __enter__(self):
            stack = super().__enter__()
            accept = stack.graph._accept

            def twice(now, request):
                accept(now, request)
                return accept(now, request)

            stack.graph._accept = twice
            return stack

    code, promises = judged(amelie, Doubled(start=amelie.start))
    assert code == 1
    assert {"never two", "not crowded"} <= set(promises)


def test_quiet_hours_that_are_ignored_are_seen(monkeypatch):
    """Jonas wrote at ten in the evening: his message would come at nine."""
    careless = SimpleNamespace(
        possible_zones=zones.possible_zones,
        countries_of_address=zones.countries_of_address,
        is_allowed=lambda *_, **__: True,
        allowed_intervals=lambda start, end, **_: [(start, end)],
    )
    monkeypatch.setattr(rules, "zones", careless)
    jonas = excerpt(["Jonas Wetterau"], days=3)
    assert judged(jonas) == (1, ["never in quiet hours"])


def test_a_stop_that_nobody_hears_is_seen(monkeypatch):
    monkeypatch.setattr(signals, "read", lambda *_: frozenset())
    monkeypatch.setattr(conversation, "_is_doubtful", lambda *_, **__: False)  # which knows a stop by how it looks
    lucia = excerpt(["Lucía Ferrer"], days=4)
    code, promises = judged(lucia)
    assert (code, "never after no" in promises) == (1, True)


def test_a_missing_disclosure_is_seen(monkeypatch, amelie):
    monkeypatch.setattr(disclosure, "compose", lambda body, **_: body)
    assert judged(amelie) == (1, ["says it is an AI and how to stop"])


def test_a_deployment_that_sends_nothing_is_seen(monkeypatch, amelie):
    """Silence is no way to keep promises: somebody who could be reached until the window closed was lost."""

    def nothing(*_, **__):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(Sender, "send", nothing)
    assert judged(amelie) == (1, ["reasons are true"])


def test_a_timer_that_never_starts_is_seen(monkeypatch, amelie):
    """The ledger is empty, so the demo calls it not earned; the judge has counted the messages itself."""
    monkeypatch.setattr(PairStore, "start_timer", lambda *_: True)
    assert judged(amelie) == (1, ["reasons are true"])


def test_a_cooldown_that_is_forgotten_is_seen(monkeypatch):
    """One person, two bots of the house, one fortnight."""
    read, reserve = PairStore.read, PairStore.reserve

    def forgetful(self, *given, **named):
        pairs, persons = read(self, *given, **named)
        return pairs, {user: replace(person, last_follow_up_at=None) for user, person in persons.items()}

    monkeypatch.setattr(PairStore, "read", forgetful)
    monkeypatch.setattr(PairStore, "reserve", lambda *given, **named: reserve(*given, **named | {"cooldown": 0}))
    assert judged(excerpt(["Dario Keller"], days=8)) == (1, ["not crowded"])
