"""The demo as a test: the hand-made fortnight through the whole deployment, and what became of everybody."""

import contextlib
import io
import json
from collections.abc import Iterator

import pytest

from local import demo
from local.audit import Finding, Settings, audit
from local.checker import COUNTED, NOT_COUNTED
from local.demo import WHY
from local.fortnight import random_fortnight
from local.observer import KEYS
from local.stack import LocalStack
from relance.reason import Reason
from tests.journey.scene import broken, excerpt, first_days, lived, messages, outcomes

EXPECTED = {
    "Amélie Fournier": ["free_form"],
    "Imogen Hartley": ["free_form", "already_used"],
    "Marisol Iturbe": ["free_form"],
    "Rafaela Nogueira": ["free_form"],
    "Jonas Wetterau": ["free_form"],
    "Priya Nair": ["not_earned"],
    "Bastien Oriol": ["opted_out"],
    "Lucía Ferrer": ["opted_out"],
    "Kwame Mensah": ["user_returned", "free_form"],
    "Rowan Sayers": ["safety_hold"],
    "Noé Castel": ["minor"],
    "Inés Quiroga": ["unreachable"],
    "Solène Vidal": ["human_owns"],
    "Camila Duarte": ["human_owns"],
    "Dario Keller": ["free_form", "capped"],
    "Tomás Zubiri": ["heavy_use"],
    "Clémence Aubry": ["no_consent"],
    "Beatriz Lampreia": ["free_form"],
    "Elena Solís": ["paused"],
    "Maëlle Kervadec": ["before_enabled"],
    "Gaspard Tessier": ["free_form"],
    "Fernanda Robles": ["template"],
    "Teo Cárdenas": ["free_form", "already_used"],
    "Nadia Okafor": ["user_returned", "opted_out"],
    "Lukas Brandt": ["free_form", "answer"],
    "Marguerite Delorme": ["free_form"],
    "Émile Roussel": ["no_allowed_moment"],
    "Paola Ríos": ["free_form"],
}


class Remembered(LocalStack):
    """A stack whose ledger can be judged when it is gone."""

    findings: list[Finding]

    def __exit__(self, *error: object) -> None:
        settings = Settings.of(self.template.parameters)
        self.findings = audit(self.pairs(), self.bots(), settings, self.now)
        super().__exit__(*error)


@pytest.fixture(scope="module")
def stack() -> LocalStack:
    """The stack of the one run."""
    fortnight = demo.scenario_of(seed=None, people=None)
    return Remembered(start=fortnight.start)


@pytest.fixture(scope="module")
def printed(stack: LocalStack) -> Iterator[tuple[int, str]]:
    """What `relance demo --json` prints and its exit code; run once for all tests here."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = demo.show(demo.scenario_of(seed=None, people=None), json_lines=True, stack=stack)
    return code, out.getvalue()


@pytest.fixture(scope="module")
def lines(printed: tuple[int, str]) -> list[dict]:
    return [json.loads(line) for line in printed[1].splitlines()]


def test_the_demo_keeps_every_promise(printed, lines):
    assert (broken(lines), printed[0]) == ([], 0)


def test_the_ledger_of_the_fortnight_is_clean_on_every_line(printed, stack):
    """`relance audit` finds nothing, and did look: every follow-up stands on every line."""
    assert [] == [finding for finding in stack.findings if not finding.ok]
    sent = sum(outcome in ("free_form", "template") for each in EXPECTED.values() for outcome in each)
    assert {sent} == {each.checked + each.untold for each in stack.findings if each.line in ("double", "opt_out")}


def test_everybody_has_the_outcome_their_story_is_told_for(lines):
    """Written to, moved, reached by a template, or left alone for each of the reasons one can see."""
    assert outcomes(lines) == EXPECTED


def test_nothing_but_json_lines_with_the_ten_keys_is_on_stdout(lines):
    """The first line has two keys more; nothing has fewer."""
    assert set(lines[0]) == {*KEYS, "rules", "bots"}
    assert {frozenset(line) for line in lines[1:]} == {frozenset(KEYS)}


def test_the_lines_are_in_time_order_and_begin_with_the_settings(lines):
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    assert [line["event"] for line in lines].index("settings") == 0


def test_the_kinds_of_what_came_in_are_those_of_the_contract(lines):
    kinds = {line["kind"] for line in lines if line["event"] == "inbound"}
    assert kinds <= COUNTED | NOT_COUNTED


def test_the_settings_name_every_rule_and_every_bot(lines):
    first = lines[0]
    assert {"MinInteractions", "WindowDays", "FollowUps", "UserCooldownDays"} <= set(first["rules"])
    assert {"bot", "channel", "hours", "min_silence", "mode", "enabled_at"} <= set(first["bots"][0])
    assert {line["bot"] for line in lines if line["bot"]} == {bot["bot"] for bot in first["bots"]}


def test_quiet_hours_move_a_message_to_the_nearest_decent_hour(lines):
    """Jonas wrote at ten in the evening; 23 hours later would be half past nine."""
    from local.demo import _local

    sent = next(line for line in lines if line["event"] == "accepted" and line["user"] == "Jonas Wetterau")
    assert _local(sent["at"], sent["zone"]) == "Thu 19 Mar 19:15"


def test_the_template_goes_out_on_day_three(lines):
    sent = next(line for line in lines if line["event"] == "accepted" and line["user"] == "Fernanda Robles")
    last = max(line["at"] for line in lines if line["user"] == "Fernanda Robles" and line["kind"] in COUNTED)
    assert 72 <= (sent["at"] - last) / 3600 < 73


def test_a_message_that_failed_later_is_reported_and_not_sent_again(lines):
    about = [
        line["kind"]
        for line in lines
        if line["user"] == "Paola Ríos" and line["kind"] in ("status_failed", "free_form")
    ]
    assert about == ["free_form", "status_failed"]


def test_who_taps_stop_is_answered_once_in_their_language(lines):
    """An answer is no follow-up: it goes only to somebody who has just asked."""
    answers = [(line["user"], line["text"]) for line in lines if line["kind"] == "answer"]
    assert [user for user, _ in answers] == ["Lukas Brandt"]
    assert answers[0][1].startswith("Verstanden.")


def test_each_person_is_written_to_in_the_language_of_their_conversation(lines):
    """The stop line is composed in it: one word of each tells which it is."""
    stop = {"Amélie": "Répondez", "Imogen": "Reply", "Marisol": "Responde", "Rafaela": "Responda", "Jonas": "STOPP"}
    texts = {text_of[1].split()[0]: text_of[4] for text_of in messages(lines)}
    assert {name: word for name, word in stop.items() if word not in texts[name]} == {}


def test_the_same_people_twice_are_the_same_lines():
    """Nothing in a run depends on chance, the time of day or the order of a set."""
    few = excerpt(["Amélie Fournier", "Imogen Hartley", "Noé Castel"], days=2)
    assert lived(few) == lived(few)


def test_the_same_seed_is_the_same_fortnight_and_another_seed_another():
    assert random_fortnight(7, 40) == random_fortnight(7, 40)
    assert random_fortnight(7, 40) != random_fortnight(8, 40)


def test_random_people_keep_every_promise_too():
    """Stops, holds, hand-overs, duplicates, delays: whoever has begun by the fifth day is followed to the end."""
    assert broken(lived(first_days(random_fortnight(11, 40), 5))) == []


def test_bad_use_is_told_apart_from_a_broken_promise():
    with contextlib.redirect_stderr(io.StringIO()):
        assert demo.run(seed=1, people=0, json_lines=True) == 2


def test_every_reason_has_words_for_people():
    """But those of modes the demo does not run."""
    unsaid = {reason.value for reason in Reason} - set(WHY)
    assert unsaid == {"too_soon", "quiet_hours", "ignored_before", "holdout", "shadow", "budget"}
