"""The register, the keys of people, and the shards of the timers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relance.interaction import Address
from relance.pair import Person, entry, entry_time, identify, insert, shard_names, shard_of, user_key

PEPPER = b"pepper-for-tests"
NOW = 1_768_478_400  # 2026-01-15T12:00:00Z

messages = st.lists(
    st.tuples(st.integers(NOW - 50, NOW), st.integers(0, 9)).map(lambda m: entry(m[0], f"id-{m[1]}")), max_size=12
)


def test_an_entry_names_its_second_and_its_message():
    """Two messages of one second are two entries; one message delivered twice is one."""
    first, second = entry(NOW, "wamid.A"), entry(NOW, "wamid.B")

    assert first != second
    assert first == entry(NOW, "wamid.A")
    assert entry_time(first) == NOW


def test_entries_sort_as_text_the_way_they_sort_in_time():
    """DynamoDB compares strings: a time before September 2001 has nine digits and is padded."""
    assert entry(999_999_999, "z") < entry(1_000_000_000, "a")


@given(messages, st.randoms())
def test_the_register_depends_on_the_set_of_messages_not_on_their_order(entries, random):
    """Whatever the order and the repeats, the five newest distinct messages remain, newest first."""
    shuffled = entries + entries[:3]
    random.shuffle(shuffled)

    register = ()
    for value in shuffled:
        register = insert(register, value)

    assert tuple(sorted(set(entries), reverse=True)[:5]) == register


def test_a_user_key_tells_neither_number_nor_length():
    """Keys are 32 hex digits whatever the address, differ by channel, and need the pepper."""
    key = user_key("whatsapp", "12015550123", PEPPER)

    assert "whatsapp#" == key[:9]
    assert 41 == len(key)
    assert "12015550123" not in key
    assert key != user_key("messenger", "12015550123", PEPPER)
    assert key != user_key("whatsapp", "12015550123", b"another pepper")


def test_an_address_with_a_lone_surrogate_still_has_a_key():
    """Such text passes JSON; it must not become a webhook that fails for days."""
    assert user_key("messenger", "\ud800", PEPPER)


def test_a_person_with_number_and_scoped_id_has_two_keys():
    """The scoped id is canonical; the number's key lets later events with the number alone follow."""
    identity = identify("whatsapp", Address("US.1349000001", "12015550123"), PEPPER)

    assert user_key("whatsapp", "US.1349000001", PEPPER) == identity.user
    assert user_key("whatsapp", "12015550123", PEPPER) == identity.number_user


def test_shards_are_stable_and_within_range():
    """A pair's timer must be found by every later version of the code."""
    assert shard_of("whatsapp#00", 16) == shard_of("whatsapp#00", 16)
    assert {shard_of(f"user-{i}", 16) for i in range(400)} == set(shard_names("", 16))


@pytest.mark.parametrize(("asked", "names"), [("", ("00", "01", "02", "03")), ("1-2", ("01", "02")), ("3", ("03",))])
def test_a_sweeper_can_be_asked_for_a_part_of_the_shards(asked, names):
    """Several schedules split the shards between them."""
    assert names == shard_names(asked, 4)


@pytest.mark.parametrize("asked", ["4", "2-1", "x", "-1"])
def test_shards_that_do_not_exist_are_refused(asked):
    """A schedule that covers nothing would be a silent outage."""
    with pytest.raises(ValueError, match=r".+"):
        shard_names(asked, 4)


@pytest.mark.parametrize(
    ("opted_out_at", "consent_at", "out", "yes"),
    [
        (None, None, False, False),
        (None, 10, False, True),
        (10, None, True, False),
        (10, 9, True, False),
        (10, 10, True, False),
        (10, 11, False, True),
    ],
)
def test_only_a_younger_yes_of_their_own_undoes_a_stop(opted_out_at, consent_at, out, yes):
    """Of a stop and a yes in the same second the stop wins."""
    person = Person("whatsapp#0", opted_out_at=opted_out_at, consent_at=consent_at)

    assert (out, yes) == (person.opted_out, person.consented)
