"""Only Meta gets in: signatures, the handshake and signed requests."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relance.channels import signature
from relance.errors import ConfigurationError

SECRET = "app-secret-for-tests"
OTHER = "another-secret-for-tests"

# The platform's own example of its escaping: what is signed is `\u00e4`, never `ä`.
BODY = (
    rb'{"object":"page","entry":[{"id":"1","time":1,"messaging":[{"sender":{"id":"2"},"recipient":{"id":"1"},'
    rb'"timestamp":1,"message":{"mid":"m_1","text":"\u00e4\u00f6\u00e5 \ud83d\ude00"}}]}]}'
)
HEADER = "sha256=5b2d7c0475f5437041fbd442d09f000f97f06d6a6e70300196e9936bf7b8e4b2"
HEADER_OF_THE_REWRITTEN_BODY = "sha256=ecda1ae1619cfa75a269a26d539151be0fff443ca67478654e08a8f466b24254"

SIGNED_REQUEST = (
    "TWVvqDGhDijEiFTX5u3w-eXINWw7-P21p6QUH9OFHME."
    "eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsImV4cGlyZXMiOjEyOTE4NDA0MDAsImlzc3VlZF9hdCI6MTI5MTgzNjgwMCwidXNlcl9pZCI6"
    "IjIxODQ3MSJ9"
)


def signed_request(content: object, secret: str = SECRET) -> str:
    encoded = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
    digest = bytes.fromhex(signature.sign(encoded.encode(), secret).removeprefix("sha256="))
    return base64.urlsafe_b64encode(digest).decode().rstrip("=") + "." + encoded


def test_the_bytes_as_received_are_what_is_signed():
    """The golden vector holds; the same document re-serialised as UTF-8 does not."""
    rewritten = json.dumps(json.loads(BODY), ensure_ascii=False, separators=(",", ":")).encode()

    assert signature.sign(BODY, SECRET) == HEADER
    assert signature.verify(BODY, HEADER, [SECRET])
    assert not signature.verify(BODY, HEADER_OF_THE_REWRITTEN_BODY, [SECRET])
    assert not signature.verify(rewritten, HEADER, [SECRET])


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha256=",
        HEADER.removeprefix("sha256="),
        HEADER.replace("sha256=", "SHA256="),
        HEADER.replace("sha256=", "sha1="),
        HEADER.replace("sha256=", "sha256:"),
        HEADER[:-1],
        HEADER + "0",
        HEADER.upper(),
        " " + HEADER,
        HEADER + "\n",
        HEADER + "," + HEADER,
        HEADER.replace("5", "\uff15"),
        HEADER[:-1] + "é",
        HEADER[:-1] + "\ud800",
        "sha256=" + "0" * 64,
        "x" * 1_000_000,
    ],
    ids=lambda header: repr(header)[:40],
)
def test_a_header_that_is_not_exactly_the_signature_is_refused(header):
    """Prefix, length, case and alphabet are exact, and no header makes the comparison raise."""
    assert not signature.verify(BODY, header, [SECRET])


def test_any_of_the_accepted_secrets_will_do():
    """A secret can be rotated, and two apps can share a route."""
    assert signature.verify(BODY, HEADER, [OTHER, SECRET])
    assert signature.verify(BODY, HEADER, [SECRET, OTHER])
    assert not signature.verify(BODY, HEADER, [OTHER])


@pytest.mark.parametrize("secrets", [[], [""], ["", "  "], SECRET])
def test_without_a_usable_secret_nothing_is_verified(secrets):
    """A deployment without a secret must fail loudly; a lone string is not a list of secrets."""
    with pytest.raises(ConfigurationError):
        signature.verify(BODY, HEADER, secrets)
    with pytest.raises(ConfigurationError):
        signature.parse_signed_request(SIGNED_REQUEST, secrets)


def test_an_empty_secret_in_the_list_lets_nobody_in():
    """A body signed with the empty key is anybody's."""
    forged = signature.sign(BODY, "")

    assert not signature.verify(BODY, forged, ["", SECRET])
    assert signature.verify(BODY, HEADER, ["", SECRET])


@given(body=st.binary(max_size=300), at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_breaks_the_signature(body, at, bit):
    """In the body or in the header: neither survives a single bit."""
    header = signature.sign(body, SECRET)
    assert signature.verify(body, header, [SECRET])

    changed = bytearray(header.encode())
    changed[at % len(changed)] ^= 1 << bit
    assert not signature.verify(body, changed.decode("latin-1"), [SECRET])
    if body:
        changed = bytearray(body)
        changed[at % len(changed)] ^= 1 << bit
        assert not signature.verify(bytes(changed), header, [SECRET])


@given(body=st.binary(max_size=100), header=st.none() | st.text(max_size=100))
def test_no_body_and_no_header_makes_verify_raise(body, header):
    """Whatever a stranger sends, the answer is a plain no."""
    assert signature.verify(body, header, [SECRET]) is False


# ------------------------------------------------------------------------------------------------------- handshake

TOKEN = "verify-token-for-tests"
HANDSHAKE = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": TOKEN}


def test_the_handshake_is_answered_with_the_challenge_as_it_came():
    """Meta wants the value alone, unchanged."""
    assert signature.challenge(HANDSHAKE, TOKEN) == "1158201444"


@pytest.mark.parametrize(
    "changed",
    [
        {"hub.mode": "unsubscribe"},
        {"hub.mode": None},
        {"hub.verify_token": "wrong"},
        {"hub.verify_token": ""},
        {"hub.verify_token": None},
        {"hub.verify_token": "é\ud800"},
        {"hub.challenge": None},
        {"hub.challenge": ""},
        {"hub.challenge": "<script>alert(1)</script>"},
        {"hub.challenge": "1\r\nset-cookie: a=b"},
        {"hub.challenge": "1" * 129},
        {"hub.challenge": "1" * 1_000_000},
        {"hub.challenge": "\u0661\u0662"},
    ],
    ids=lambda changed: repr(changed)[:40],
)
def test_a_handshake_that_is_not_metas_gets_no_answer(changed):
    """Mode and token must match; and what would be reflected must be short and plain."""
    assert signature.challenge({**HANDSHAKE, **changed}, TOKEN) is None


def test_an_empty_verify_token_is_a_broken_deployment():
    """Anybody knows the empty token."""
    with pytest.raises(ConfigurationError):
        signature.challenge({**HANDSHAKE, "hub.verify_token": ""}, "")


# -------------------------------------------------------------------------------------------------- signed requests


def test_a_genuine_signed_request_is_opened():
    """The golden vector of a data deletion request."""
    assert signature.parse_signed_request(SIGNED_REQUEST, [OTHER, SECRET]) == {
        "algorithm": "HMAC-SHA256",
        "expires": 1291840400,
        "issued_at": 1291836800,
        "user_id": "218471",
    }


def test_padding_does_not_matter():
    """Meta sends none; some libraries add it."""
    given_, encoded = SIGNED_REQUEST.split(".")

    assert signature.parse_signed_request(f"{given_}=.{encoded}", [SECRET]) is not None


@pytest.mark.parametrize(
    "request_",
    [
        "",
        ".",
        "a.b",
        SIGNED_REQUEST.replace(".", ""),
        SIGNED_REQUEST[:-1],
        SIGNED_REQUEST + ".x",
        "x" + SIGNED_REQUEST,
        SIGNED_REQUEST.replace("TWV", "TWW"),
        "é.é",
        "x" * 100_000,
        None,
        signed_request({"algorithm": "HMAC-SHA256", "user_id": "1"}, OTHER),
        signed_request({"algorithm": "none", "user_id": "1"}),
        signed_request({"user_id": "1"}),
        signed_request(["algorithm", "HMAC-SHA256"]),
        signed_request("HMAC-SHA256"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_signed_request_that_is_not_genuine_is_none(request_):
    """Signature, algorithm and shape must all be right; nothing raises."""
    assert signature.parse_signed_request(request_, [SECRET]) is None
