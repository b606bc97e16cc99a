"""The demo's people are invented, and their stories are told without a slip."""

import re
from collections import Counter

from local.checker import COUNTED, LINK, NOT_COUNTED
from local.fortnight import random_fortnight
from local.people import ACCOUNTS, START, STORIES, the_fortnight

# Ranges kept for fiction: Ofcom's drama numbers, ARCEP's, the Bundesnetzagentur's, and Mexico's 5555-01xx; or an
# invented business-scoped id, which is no number at all.
FICTION = re.compile(r"^(447700900\d{3}|3363998\d{4}|49171392\d{4}|5255555501\d{2}|[A-Z]{2}\.555\d+)$")


def test_every_number_is_from_a_range_kept_for_fiction():
    numbers = [human.number for human, _ in STORIES if human.number]
    numbers += [act.new for act in the_fortnight().acts if act.new]
    assert [number for number in numbers if not FICTION.match(number)] == []


def test_nobody_shares_a_name_a_number_or_a_message_id():
    fortnight = the_fortnight()
    names = Counter(human.name for human in fortnight.humans)
    numbers = Counter(human.number for human in fortnight.humans if human.number)
    ids = Counter(act.id for act in fortnight.acts if act.id)
    assert [each for count in (names, numbers, ids) for each, times in count.items() if times > 1] == []


def test_somebody_lives_on_each_channel_and_writes_in_each_of_the_five_languages():
    """Told by a word that only one of them has."""
    fortnight = the_fortnight()
    said = " ".join(act.text for act in fortnight.acts)
    assert {account.channel for account in ACCOUNTS} == {"whatsapp", "messenger", "instagram"}
    assert [word for word in ("Bonjour", "Hello", "Guten Tag", "Hola", "Oi!") if word not in said] == []


def test_every_act_is_of_a_kind_the_lines_know_and_none_comes_before_the_start():
    fortnight = the_fortnight()
    operators = {"enable", "pause", "resume"}
    kinds = {act.kind for act in fortnight.acts if not act.operator}
    assert kinds <= COUNTED | NOT_COUNTED
    assert {act.kind for act in fortnight.acts if act.operator} <= operators
    assert min(act.at for act in fortnight.acts) > START


def test_no_conversation_has_a_link():
    assert [act.text for act in the_fortnight().acts if LINK.search(act.text)] == []


def test_what_a_bot_says_on_whatsapp_is_no_act():
    """WhatsApp echoes nothing that a bot sends: there is nothing to see."""
    whatsapp = {account.id for account in ACCOUNTS if account.channel == "whatsapp"}
    assert [act for act in the_fortnight().acts if act.bot in whatsapp and act.kind == "echo_bot"] == []


def test_random_people_do_nothing_before_the_fortnight_begins_wherever_they_live():
    """At midnight in Paris it is still the evening before in London; the settings are the first line of all."""
    for seed in range(5):
        fortnight = random_fortnight(seed, 200)
        assert min(act.at for act in fortnight.acts) > fortnight.start
