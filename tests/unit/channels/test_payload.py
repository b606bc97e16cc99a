"""What a body may be: bounded, strictly JSON, and safe to pass on."""

import base64
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relance.channels import payload
from relance.errors import BodyRefused, UnreadablePayload
from relance.interaction import Address, Effect, Event


def request(body: object, **changed: object) -> dict:
    return {"headers": {"content-type": "application/json"}, "body": body, "isBase64Encoded": False, **changed}


# ------------------------------------------------------------------------------------------------------ read_body


def test_a_base64_body_is_decoded_before_anything_looks_at_it():
    """A Function URL encodes whatever it does not take for text; the signature covers what was inside."""
    body = b'{"text":"\xc3\xa4"}'

    assert payload.read_body(request(base64.b64encode(body).decode(), isBase64Encoded=True)) == body
    assert payload.read_body(request(body.decode())) == body


@pytest.mark.parametrize("body", [None, ""])
def test_no_body_is_an_empty_body(body):
    """Then the signature fails, which is the right answer."""
    assert payload.read_body(request(body)) == b""


@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_is_413(encoded):
    """WhatsApp's payloads reach 3 MB."""

    def of(size: int) -> dict:
        text = base64.b64encode(b"a" * size).decode() if encoded else "a" * size
        return request(text, isBase64Encoded=encoded)

    assert len(payload.read_body(of(payload.MAX_BODY))) == payload.MAX_BODY
    with pytest.raises(BodyRefused) as refused:
        payload.read_body(of(payload.MAX_BODY + 1))
    assert refused.value.status == 413


def test_the_limit_is_in_bytes_and_not_in_characters():
    """Two million characters can be four megabytes."""
    with pytest.raises(BodyRefused) as refused:
        payload.read_body(request("ä" * (payload.MAX_BODY // 2 + 1)))
    assert refused.value.status == 413


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate", "identity, gzip"])
def test_a_compressed_body_is_415_and_never_unpacked(encoding):
    """Ten megabytes of zeros fit into ten kilobytes."""
    body = base64.b64encode(gzip.compress(b"{}")).decode()

    with pytest.raises(BodyRefused) as refused:
        payload.read_body(request(body, isBase64Encoded=True, headers={"Content-Encoding": encoding}))
    assert refused.value.status == 415


@pytest.mark.parametrize("encoding", ["identity", "Identity ", ""])
def test_identity_is_no_encoding(encoding):
    """Some proxies say so."""
    assert payload.read_body(request("{}", headers={"Content-Encoding": encoding})) == b"{}"


@pytest.mark.parametrize("body", ["not base64!", "a", "é"])
def test_a_body_that_is_not_the_base64_it_claims_to_be_is_400(body):
    """Refused, not a crash."""
    with pytest.raises(BodyRefused) as refused:
        payload.read_body(request(body, isBase64Encoded=True))
    assert refused.value.status == 400


@given(st.text())
def test_any_text_at_all_becomes_bytes(body):
    """Half a surrogate pair cannot have been signed, but it must not crash the webhook."""
    assert isinstance(payload.read_body(request(body)), bytes)


def test_a_header_is_found_whatever_its_case():
    """Function URLs send lower case, `sam local` and tests do not."""
    event = {"headers": {"X-Hub-Signature-256": "sha256=00"}}

    assert payload.header(event, "x-hub-signature-256") == "sha256=00"
    assert payload.header(event, "X-HUB-SIGNATURE-256") == "sha256=00"
    assert payload.header(event, "x-other") is None
    assert payload.header({}, "x-other") is None
    assert payload.header({"headers": None}, "x-other") is None


def test_a_header_that_is_there_twice_counts_as_absent():
    """Nobody can say which of two signatures holds."""
    assert payload.header({"headers": {"A": "1", "a": "2"}}, "a") is None


# ----------------------------------------------------------------------------------------------------------- load


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"1",
        b'"text"',
        b"[]",
        b"[1]",
        b"{",
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1,"a":2}',
        b'{"entry":[{"id":"1","id":"2"}]}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b'[{"object":"page"},{"object":"instagram"}]',
    ],
    ids=lambda body: repr(body)[:40],
)
def test_what_is_not_one_plain_json_object_is_unreadable(body):
    """Strict UTF-8, no constants of JavaScript, no second value for a key, no bottomless nesting."""
    with pytest.raises(UnreadablePayload):
        payload.load(body)


def test_the_error_does_not_quote_the_document():
    """Nothing of a message may reach a log."""
    with pytest.raises(UnreadablePayload) as unreadable:
        payload.load(b'{"text": "a secret" oops}')

    assert "secret" not in str(unreadable.value)
    assert unreadable.value.__cause__ is None


def test_nesting_is_allowed_up_to_the_limit_and_brackets_in_texts_are_no_nesting():
    """64 levels pass; so do ten thousand brackets that somebody typed."""
    deep = b'{"a":' * 64 + b"1" + b"}" * 64
    typed = json.dumps({"a": '[{"' * 10_000 + "\\"}).encode()

    assert payload.load(deep)
    assert payload.load(typed)["a"].count("[") == 10_000


def test_a_batch_with_many_flat_items_is_not_deep():
    """A thousand updates in one POST are a thousand siblings."""
    batch = {"object": "page", "entry": [{"id": str(n), "messaging": [{}]} for n in range(1_000)]}

    assert payload.load(json.dumps(batch).encode()) == batch


def test_a_number_of_five_thousand_digits_does_not_cost_the_rest():
    """Python refuses to convert it; here it stays text."""
    loaded = payload.load(b'{"a":' + b"9" * 5_000 + b',"b":7}')

    assert loaded == {"a": "9" * 5_000, "b": 7}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"\ud800", "\ufffd"),
        (r"a\uDFFFb", "a\ufffdb"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\\ud800", r"\ud800"),
        (r"\\\ud800", "\\\ufffd"),
        (r"\u00e4\/", "ä/"),
    ],
)
def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_kept(written, read):
    """DynamoDB's client cannot encode the half: the webhook would fail, and Meta would retry for a week."""
    loaded = payload.load(f'{{"a":"{written}"}}'.encode())

    assert loaded == {"a": read}
    loaded["a"].encode()


def test_an_array_of_envelopes_is_joined():
    """Meta's documentation wraps some samples so."""
    body = b'[{"object":"page","entry":[{"id":"1"}]},{"object":"page","entry":[{"id":"2"}]}]'

    assert payload.load(body) == {"object": "page", "entry": [{"id": "1"}, {"id": "2"}]}


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0d8a1eNI-.', max_size=200).map(str.encode))
def test_any_bytes_are_a_dict_or_unreadable(body):
    """No other error leaves `load`, and what it returns can be written to DynamoDB."""
    try:
        loaded = payload.load(body)
    except UnreadablePayload:
        return
    assert isinstance(loaded, dict)
    json.dumps(loaded, ensure_ascii=False).encode()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.booleans())
def test_a_plain_object_is_loaded_as_it_is(document, escaped):
    """Strictness costs no honest document anything."""
    text = json.dumps(document, ensure_ascii=escaped)
    expected = json.loads(text)

    try:
        body = text.encode()
    except UnicodeEncodeError:
        return
    if "\\ud" not in text:  # half a pair is replaced, which another test proves
        assert payload.load(body) == expected


# --------------------------------------------------------------------------------------------------- single values


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("1768502640", 1768502640),
        (1768502640, 1768502640),
        (1768502640123, 1768502640),
        ("1768502640123", 1768502640),
        (1768502640.9, 1768502640),
        (999_999_999_999, None),
        (1_000_000_000_000, 1_000_000_000),
        ("2026-01-15T18:44:00+0000", 1768502640),
        ("2026-01-15T18:44:00Z", 1768502640),
        ("2026-01-15T19:44:00+01:00", 1768502640),
        ("2026-01-15T18:44:00", 1768502640),
        (4_102_444_799, 4_102_444_799),
        (4_102_444_800, None),
        (0, None),
        (-1, None),
        ("-1768502640", None),
        (True, None),
        (None, None),
        ([], None),
        ({}, None),
        ("", None),
        ("soon", None),
        ("1e9", None),
        ("٣٣٣", None),
        ("9" * 5_000, None),
        (10**400, None),
        (float("inf"), None),
        (float("nan"), None),
        ("9999-12-31T23:59:59+00:00", None),
        ("0001-01-01T00:00:00+23:59", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_timestamp_is_seconds_milliseconds_or_iso_and_else_nothing(stamp, expected):
    """Never clamped, never guessed: an absurd time is no time."""
    assert payload.seconds(stamp) == expected


def test_a_long_text_is_cut_at_the_limit_and_not_inside_an_emoji():
    """A family of four is one character to whoever typed it."""
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"

    assert payload.words("a" * 4_096) == "a" * 4_096
    assert payload.words("a" * 4_097) == "a" * 4_096
    assert payload.words("a" * 4_094 + family) == "a" * 4_094
    assert payload.words("a" * 4_095 + "e\u0301" + "x") == "a" * 4_095
    assert len(payload.words("\u200d" * 5_000)) >= 4_080


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12015550123", "12015550123"),
        (12015550123, "12015550123"),
        (True, ""),
        (None, ""),
        (1.5, ""),
        ([], ""),
        ("a" * 900, "a" * 900),
        ("a" * 901, ""),
        ("ä" * 450, "ä" * 450),
        ("ä" * 451, ""),
        (10**400, ""),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_id_is_text_and_fits_into_a_key(value, expected):
    """DynamoDB allows a range key 1,024 bytes; a longer one would be a poison webhook."""
    assert payload.ident(value) == expected


@pytest.mark.parametrize("value", ["Hello Robin, call me", "12015550123", "", None, {}, "a" * 41, "é"])
def test_a_word_for_a_metric_is_never_a_persons_words(value):
    """Only what looks like a platform's own identifier gets through."""
    assert payload.word(value) == ""


def test_a_made_id_is_the_same_for_the_same_message_and_for_no_other():
    """Redelivery must be a no-op also where the platform sent no id."""
    first = payload.made_id("1", "2", 3, {"text": "a", "seq": 1})

    assert payload.made_id("1", "2", 3, {"seq": 1, "text": "a"}) == first
    others = {payload.made_id(*args) for args in [("0", "2", 3, {}), ("1", "0", 3, {}), ("1", "2", 0, {})]}
    assert first not in others
    assert len(others) == 3


@pytest.mark.parametrize(
    ("pressed", "effect"),
    [
        ("RELANCE_YES", Effect.OPT_IN),
        ("RELANCE_STOP", Effect.OPT_OUT),
        ("RELANCE_WHY", Effect.WINDOW_OPENED),
        ("RELANCE_", Effect.WINDOW_OPENED),
        ("relance_yes", None),
        ("XRELANCE_YES", None),
        ("", None),
    ],
)
def test_relances_own_buttons_take_effect_and_others_are_not_its_business(pressed, effect):
    """The prefix decides, exactly."""
    assert payload.own_button(pressed) is effect


def test_an_event_about_nobody_in_particular_is_unreadable():
    """No store is ever asked for the pair of nobody."""
    nobody = Event("whatsapp", "1", "text", 1, text="a", counts=True)

    assert payload.sound(nobody) == Event("whatsapp", "1", "unreadable", 1, effect=Effect.UNKNOWN, detail="text")
    somebody = Event("whatsapp", "1", "text", 1, user=Address("2"), counts=True)
    assert payload.sound(somebody) is somebody
