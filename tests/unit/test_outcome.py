"""Every code of Meta's error pages has one meaning for the follow-up, and no answer makes two of one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relance.outcome import MESSENGER, RELEASED, WHATSAPP, OutcomeClass, classify, classify_status

RETRY, LATER, NEVER = OutcomeClass.RETRY, OutcomeClass.LATER, OutcomeClass.NEVER
OPT_OUT, STOP, UNKNOWN, ACCEPTED = OutcomeClass.OPT_OUT, OutcomeClass.STOP, OutcomeClass.UNKNOWN, OutcomeClass.ACCEPTED

# (kind, HTTP status, codes), as Meta documents them for the WhatsApp Cloud API.
WHATSAPP_CODES = [
    (STOP, 401, (0, 190)),
    (STOP, 500, (3, 131045, 133010, 33)),
    (STOP, 403, (10, 200, 210, 299, 131005, 368, 131031)),
    (STOP, 400, (131042, 131037, 131045, 133010, 131048, 131064, 131063, 132015, 132016, 134102)),
    (RETRY, 400, (4, 80007, 130429, 131056, 133016)),
    (RETRY, 500, (2, 133004, 131057, 134101)),
    (RETRY, 503, (2, 131016)),
    (RETRY, 400, (1, 131000, 135000)),
    (UNKNOWN, 500, (1, 131000, 135000)),
    (NEVER, 403, (130497,)),
    (NEVER, 400, (100, 131008, 131009, 131021, 131051, 131055)),
    (NEVER, 400, (131026, 131047, 130472, 131030, 131062, 131052, 131053, 134100, 137000)),
    (NEVER, 404, (132000, 132001, 132005, 132007, 132012, 132018)),
    (LATER, 400, (131049,)),
    (OPT_OUT, 400, (131050,)),
]

# (kind, code, subcodes), as Meta documents them for Messenger and Instagram.
MESSENGER_CODES = [
    (NEVER, 1, (None, 99)),
    (UNKNOWN, 1, (1357046,)),
    (RETRY, 2, (None, 1545133)),
    (RETRY, 4, (None,)),
    (RETRY, 17, (None,)),
    (RETRY, 32, (None,)),
    (RETRY, 613, (None, 2534040)),
    (STOP, 613, (2018338,)),
    (NEVER, 613, (1893016,)),
    (NEVER, 4, (2018354,)),
    (NEVER, 9, (2018352,)),
    (NEVER, 10, (2018278, 2534022, 2018065, 2018108, 1545041)),
    (OPT_OUT, 10, (1893015,)),
    (STOP, 10, (None, 1893063, 1404170, 2534077, 7)),
    (NEVER, 10, (2018300,)),
    (NEVER, 100, (None, 2018001, 2534014, 2534015, 2534037)),
    (STOP, 100, (33, 2534013, 2534029)),
    (NEVER, 2018300, (None,)),
    (LATER, 2018321, (None,)),
    (LATER, 100, (2018321,)),
    (STOP, 190, (None, 460)),
    (STOP, 200, (None, 2018028, 2018027, 2534041)),
    (NEVER, 200, (1545041,)),
    (NEVER, 551, (None, 1545041)),
    (NEVER, 230, (None,)),
    (NEVER, 9010, (None,)),
    (STOP, 368, (None,)),
    (STOP, 2022, (None,)),
    (NEVER, 9000001, (None,)),
]


def error_body(code: object, subcode: object = None) -> bytes:
    error = {"message": f"(#{code}) Something", "type": "OAuthException", "code": code, "fbtrace_id": "A"}
    return json.dumps({"error": error | ({} if subcode is None else {"error_subcode": subcode})}).encode()


@pytest.mark.parametrize(
    ("kind", "status", "code"), [(kind, status, code) for kind, status, codes in WHATSAPP_CODES for code in codes]
)
def test_each_whatsapp_code_means_one_thing(kind, status, code):
    """A documented code, with the status it is documented with, gives the documented class."""
    assert classify("whatsapp", status, error_body(code), {}).kind == kind


@pytest.mark.parametrize("channel", ["messenger", "instagram"])
@pytest.mark.parametrize(
    ("kind", "code", "subcode"), [(kind, code, sub) for kind, code, subs in MESSENGER_CODES for sub in subs]
)
def test_each_messenger_and_instagram_code_means_one_thing(channel, kind, code, subcode):
    """A documented pair of code and subcode gives the documented class, on both channels."""
    outcome = classify(channel, 400, error_body(code, subcode), {})

    assert (outcome.kind, outcome.code, outcome.subcode) == (kind, code, subcode)


def test_the_tables_hold_no_code_that_is_not_tested():
    """Nobody adds a code without saying here what it should mean."""
    tested = {code for _, _, codes in WHATSAPP_CODES for code in codes}
    pairs = {(code, sub) for _, code, subs in MESSENGER_CODES for sub in subs}

    assert {code for code in WHATSAPP if not 200 <= code < 300} <= tested
    assert {pair for pair in MESSENGER if pair[0] is not None} <= pairs


@pytest.mark.parametrize("channel", ["whatsapp", "messenger", "instagram"])
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_an_unknown_code_with_a_refusal_is_terminal(channel, status):
    """A code that nobody has seen is not tried again: losing a message is better than sending two."""
    outcome = classify(channel, status, error_body(424242), {})

    assert (outcome.kind, outcome.counts_as_used, outcome.alert) == (NEVER, True, True)


@pytest.mark.parametrize("channel", ["whatsapp", "messenger", "instagram"])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize(
    "body", [None, b"", b"<html>Bad gateway</html>", b"{", b"[]", error_body(424242), error_body(1)]
)
def test_a_server_error_that_explains_nothing_is_unknown(channel, status, body):
    """A 5xx without a documented refusal may have delivered, so it counts."""
    outcome = classify(channel, status, body, {})

    assert (outcome.kind, outcome.counts_as_used) == (UNKNOWN, True)


@pytest.mark.parametrize(
    ("channel", "body"),
    [
        (
            "whatsapp",
            b'{"messaging_product":"whatsapp","contacts":[{"input":"+12015550123"}],"messages":[{"id":"m1"}]}',
        ),
        ("messenger", b'{"recipient_id":"5551","message_id":"m1"}'),
        ("instagram", b'{"recipient_id":"5551","message_id":"m1"}'),
    ],
)
def test_an_answer_that_names_the_message_is_an_acceptance(channel, body):
    """200 with an id: the platform took it, and the id ties later receipts to it."""
    outcome = classify(channel, 200, body, {})

    assert (outcome.kind, outcome.message_id, outcome.counts_as_used) == (ACCEPTED, "m1", True)


@pytest.mark.parametrize("channel", ["whatsapp", "messenger", "instagram"])
@pytest.mark.parametrize(
    "body",
    [
        None, b"", b"{", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"message_id":7}', b'{"message_id":""}',
        b'{"messages":[]}', b'{"messages":[null]}', b'{"messages":[{"id":null}]}', b'{"messages":{"id":"m1"}}',
        error_body(2),
    ],
)  # fmt: skip
def test_an_acceptance_that_names_no_message_is_unknown(channel, body):
    """200 was said, so it counts, even if the rest cannot be read."""
    outcome = classify(channel, 200, body, {})

    assert (outcome.kind, outcome.counts_as_used) == (UNKNOWN, True)


def test_a_whatsapp_template_may_be_accepted_and_held():
    """A held message is accepted; the state is kept, because it explains a failure that comes later."""
    body = b'{"messages":[{"id":"wamid.X","message_status":"held_for_quality_assessment"}]}'

    assert classify("whatsapp", 200, body, {}).detail == "held_for_quality_assessment"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, RETRY), (401, STOP), (400, NEVER), (404, NEVER), (408, UNKNOWN), (302, UNKNOWN), (100, UNKNOWN)],
)
def test_without_a_graph_error_the_status_alone_decides(status, kind):
    """A 429 is a throttle, a 401 the token; a 4xx was refused; anything else may have gone through."""
    assert classify("messenger", status, b"", {}).kind == kind


def test_a_throttle_with_a_code_that_nobody_knows_is_still_a_throttle():
    """HTTP 429 says by itself that the request was not taken."""
    assert classify("whatsapp", 429, error_body(424242), {}).kind == RETRY


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 4),
        ({"Retry-After": "90"}, 90),
        ({"retry-after": "1"}, 4),
        ({"Retry-After": "Wed, 25 Nov 2026 10:00:00 GMT"}, 4),
        ({"Retry-After": "99999999"}, 86_400),
        ({"X-Business-Use-Case-Usage": '{"1":[{"estimated_time_to_regain_access":7}]}'}, 420),
        ({"X-Business-Use-Case-Usage": '{"1":7}'}, 4),
        ({"X-Business-Use-Case-Usage": "{"}, 4),
    ],
)
def test_a_retry_waits_as_long_as_the_platform_asks(headers, seconds):
    """The longer of the table's pause and the platform's own, a day at most."""
    assert classify("whatsapp", 400, error_body(130429), headers).retry_after == seconds


@pytest.mark.parametrize(
    ("channel", "code", "subcode", "suppressed"),
    [
        ("whatsapp", 131050, None, True),
        ("whatsapp", 131026, None, False),
        ("messenger", 10, 1893015, True),
        ("messenger", 551, None, True),
        ("messenger", 200, 1545041, True),
        ("messenger", 10, 1545041, False),
        ("instagram", 100, 2534014, True),
        ("messenger", 10, 2018278, False),
    ],
)
def test_who_said_no_or_left_is_suppressed(channel, code, subcode, suppressed):
    """A stop and a person who is gone end all writing; a closed window does not."""
    assert classify(channel, 400, error_body(code, subcode), {}).suppress is suppressed


@pytest.mark.parametrize(("code", "what"), [(190, "bot"), (131031, "bot"), (132015, "template"), (132016, "template")])
def test_a_stop_says_how_much_it_stops(code, what):
    """A paused template is no reason to silence the bot inside its windows."""
    assert classify("whatsapp", 400, error_body(code), {}).stops == what


def test_a_code_written_as_text_is_read():
    """Graph has sent numbers as strings."""
    assert classify("messenger", 400, error_body("10", "2018278"), {}).detail == "the 24-hour window is closed"


@pytest.mark.parametrize(
    ("channel", "code", "kind"),
    [
        ("whatsapp", 131026, NEVER),
        ("whatsapp", 131047, NEVER),
        ("whatsapp", 131049, LATER),
        ("whatsapp", 131050, OPT_OUT),
        ("whatsapp", 132015, STOP),
        ("whatsapp", 130429, NEVER),
        ("whatsapp", 131000, NEVER),
        ("whatsapp", None, NEVER),
        ("whatsapp", 424242, NEVER),
        ("messenger", 551, NEVER),
        ("messenger", 2, NEVER),
    ],
)
def test_a_failure_after_an_acceptance_is_never_a_reason_to_send_again(channel, code, kind):
    """A failed status keeps what it says of person and account, and the follow-up stays used."""
    outcome = classify_status(channel, code)

    assert (outcome.kind, outcome.counts_as_used) == (kind, True)


@given(
    channel=st.sampled_from(["whatsapp", "messenger", "instagram"]),
    status=st.integers(100, 599),
    body=st.none()
    | st.binary()
    | st.builds(error_body, st.integers() | st.text(), st.none() | st.integers() | st.text()),
    headers=st.dictionaries(st.sampled_from(["Retry-After", "X-Business-Use-Case-Usage", "X"]), st.text()),
)
def test_any_answer_has_an_outcome_and_only_clean_refusals_release(channel, status, body, headers):
    """Nothing a server can say raises, and a reservation is released only for a RETRY or a STOP."""
    outcome = classify(channel, status, body, headers)

    assert outcome.counts_as_used == (outcome.kind not in RELEASED)
    assert (outcome.retry_after is not None) == (outcome.kind is RETRY)
    assert outcome.kind is not RETRY or 0 < outcome.retry_after <= 86_400


@given(code=st.sampled_from(sorted(WHATSAPP)), status=st.sampled_from([400, 403, 500]))
def test_the_platforms_own_words_are_not_repeated(code, status):
    """An error's text may quote a number; the outcome holds only our own words."""
    body = json.dumps(
        {"error": {"message": "not +12015550123", "code": code, "error_data": {"details": "12015550123"}}}
    )

    assert "12015550123" not in repr(classify("whatsapp", status, body.encode(), {}))
