"""Meta's callbacks and the status page: who is answered what, in which language, and what is never said."""

import base64
import hashlib
import hmac
import json
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relance import status_page
from relance.callbacks import Callbacks
from relance.errors import ConfigurationError
from relance.secrets import Secrets

NOW = 1_768_478_400
DAY = 86_400
SECRET, SECOND = "app-secret-for-tests", "another-secret-for-tests"
HOST = "example.lambda-url.eu-west-3.on.aws"


class Parameters:
    """SSM with these values."""

    def __init__(self, **values):
        self.values = {f"/relance/{channel}/app-secrets": value for channel, value in values.items()}

    def get_parameters(self, *, Names, WithDecryption):
        """As botocore answers: what does not exist is left out."""
        return {"Parameters": [{"Name": name, "Value": self.values[name]} for name in Names if name in self.values]}


def door(now=NOW, **secrets):
    """The callbacks of a deployment with these app secrets."""
    return Callbacks(Secrets(Parameters(**(secrets or {"messenger": SECRET})), lambda: now), "/relance", lambda: now)


def signed_request(secret=SECRET, **content):
    """What Meta posts."""
    told = {"algorithm": "HMAC-SHA256", "expires": NOW + 3600, "issued_at": NOW - 60, "user_id": "218471"} | content
    encoded = base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=")
    digest = hmac.digest(secret.encode(), encoded, hashlib.sha256)
    return (base64.urlsafe_b64encode(digest).rstrip(b"=") + b"." + encoded).decode()


def request(method, path, body=b"", *, headers=None, query=None, as_base64=True):
    """A request as a Function URL hands it on."""
    return {
        "rawPath": path,
        "headers": headers or {},
        "queryStringParameters": query,
        "requestContext": {"domainName": HOST, "http": {"method": method, "path": path}},
        "body": base64.b64encode(body).decode() if as_base64 else body.decode(),
        "isBase64Encoded": as_base64,
    }


def asked(callbacks, path="/deletion", request_=None):
    """The JSON that Meta is answered with."""
    answer = callbacks.answer(
        request("POST", path, urlencode({"signed_request": request_ or signed_request()}).encode())
    )
    assert 200 == answer["statusCode"]
    return json.loads(answer["body"])


def page(callbacks, code, language="en"):
    """The status page."""
    return callbacks.answer(request("GET", "/status", query={"code": code}, headers={"Accept-Language": language}))


@pytest.mark.parametrize("path", ["/deletion", "/deauthorize", "/deletion/"])
def test_a_request_of_metas_is_answered_with_a_page_and_a_code(path):
    """Letters and digits alone, and the page's address carries the same code."""
    told = asked(door(), path)
    url = urlsplit(told["url"])

    assert {"url", "confirmation_code"} == set(told)
    assert re.fullmatch("[a-z0-9]{41}", told["confirmation_code"])
    assert ("https", HOST, "/status") == (url.scheme, url.netloc, url.path)
    assert {"code": [told["confirmation_code"]]} == parse_qs(url.query)


def test_the_same_request_again_gets_the_same_code():
    """Meta repeats itself; whoever asks again, later, gets another."""
    again = signed_request(issued_at=NOW - 30)

    assert asked(door(), request_=signed_request()) == asked(door(now=NOW + 999), request_=signed_request())
    assert asked(door())["confirmation_code"] != asked(door(), request_=again)["confirmation_code"]


@pytest.mark.parametrize("issued_at", [None, "soon", -1, 10**30, NOW + DAY, NOW - 400 * DAY, [], True])
def test_an_absurd_time_is_replaced_by_now(issued_at):
    """The code says when the request came."""
    code = asked(door(), request_=signed_request(issued_at=issued_at))["confirmation_code"]

    assert NOW == int(code[1:9], 16)
    assert 200 == page(door(), code)["statusCode"]


def test_the_apps_of_all_channels_share_the_url():
    """Also two secrets of one channel while one is rotated."""
    callbacks = door(whatsapp="a-third-one", messenger=f"{SECRET},\n{SECOND}")

    for secret in (SECRET, SECOND, "a-third-one"):
        assert asked(callbacks, request_=signed_request(secret))["confirmation_code"]


def test_without_any_app_secret_nobody_is_believed():
    """An empty parameter must not accept a body signed with nothing."""
    for secrets in ({"messenger": " , "}, {"telegram": "x"}):
        with pytest.raises(ConfigurationError):
            asked(door(**secrets), request_=signed_request(""))


FORMS = {
    "forged": (401, b"signed_request=" + signed_request("guess").encode()),
    "no signature": (401, b"signed_request=abc"),
    "empty": (400, b""),
    "another field": (400, b"user_id=1"),
    "twice": (400, 2 * (b"&signed_request=" + signed_request().encode())),
    "JSON": (400, b'{"signed_request":"a.b"}'),
    "not ASCII": (400, "signed_request=é".encode()),
    "not UTF-8": (400, b"\xff\xfe"),
    "a thousand fields": (400, b"&".join(b"a%d=1" % n for n in range(1000))),
    "too large": (413, b"signed_request=" + b"A" * 20_000),
    "far too large": (413, b"A" * (3 * 1024 * 1024 + 1)),
    "percent signs": (400, b"%" * 1000),
    "encoded é": (401, b"signed_request=%C3%A9.%C3%A9"),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("path", ["/deletion", "/deauthorize"])
def test_odd_and_forged_bodies_are_refused_in_order(path, name):
    """Never an exception, and never a code."""
    status, form = FORMS[name]
    answer = door().answer(request("POST", path, form))

    assert status == answer["statusCode"]
    assert "code" not in answer["body"]


@given(st.binary(max_size=400))
def test_no_body_at_all_raises(form):
    """Whatever strangers send."""
    assert door().answer(request("POST", "/deletion", form))["statusCode"] in (400, 401)


def test_a_compressed_body_is_not_read():
    """It could be a bomb."""
    event = request("POST", "/deletion", b"signed_request=a", headers={"content-encoding": "gzip"})

    assert 415 == door().answer(event)["statusCode"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/deletion", 405),
        ("POST", "/status", 405),
        ("DELETE", "/deletion", 405),
        ("GET", "/", 404),
        ("POST", "/", 404),
        ("POST", "/deletion/../status", 404),
        ("GET", "/status", 404),
    ],
)
def test_other_doors_are_shut(method, path, status):
    """And a page without a code is one for a code that nobody knows."""
    assert status == door().answer(request(method, path))["statusCode"]


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("path", "word"), [("/deletion", "delete your data"), ("/deauthorize", "removed this app")])
def test_the_page_says_what_was_asked_when_and_how_to_erase_for_real(path, word):
    """Honestly: the id that Meta gave leads to nobody."""
    told = asked(door(), path)
    answer = page(door(now=NOW + DAY), told["confirmation_code"])

    assert 200 == answer["statusCode"]
    for part in (word, "2026-01-15", "forget me", "Facebook Login", told["confirmation_code"]):
        assert part in answer["body"]
    assert "218471" not in answer["body"]


def test_a_code_lives_for_ninety_days():
    """Then it is one that we do not know."""
    code = asked(door())["confirmation_code"]

    assert 200 == page(door(now=NOW - 60 + 90 * DAY - 1), code)["statusCode"]
    assert 404 == page(door(now=NOW - 60 + 90 * DAY), code)["statusCode"]


def test_a_code_cannot_be_made_up_or_changed():
    """One digit off, the other kind, another secret, markup."""
    code = asked(door())["confirmation_code"]
    wrong = ["r" + code[1:], code[:-1] + ("0" if code[-1] != "0" else "1"), code.upper(), code + "0", "", "<b>", "é"]

    assert [404] * len(wrong) == [page(door(), each)["statusCode"] for each in wrong]
    assert 404 == page(door(messenger=SECOND), code)["statusCode"]
    assert "<b>" not in page(door(), "<b>")["body"]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("fr-CA,fr;q=0.9,en;q=0.5", "fr"),
        ("ja, de;q=0.4, en;q=0.3", "de"),
        ("en;q=0.1, pt-BR;q=0.2", "pt"),
        ("ES", "es"),
        ("fr;q=0, de;q=0.1", "de"),
        ("fr;q=nan, de;q=0.1", "de"),
        ("*", "en"),
        ("zh", "en"),
    ],
)
def test_the_page_speaks_the_readers_language(header, language):
    """One of five, by the preference that the browser states."""
    answer = page(door(), asked(door())["confirmation_code"], header)

    assert language == answer["headers"]["content-language"]
    assert f'<html lang="{language}">' in answer["body"]


@given(st.text(max_size=300))
def test_no_language_header_raises(header):
    """It is a stranger's text."""
    assert status_page.choose_language(header) in ("en", "fr", "es", "pt", "de")


@pytest.mark.parametrize("language", ["en", "fr", "es", "pt", "de"])
def test_every_language_says_everything(language):
    """The same parts, each a paragraph; no script, nothing from elsewhere."""
    texts = [status_page.state(language, kind, NOW, code="d0") for kind in (True, False)]

    for text in (*texts, status_page.unknown(language)):
        assert "{" not in re.sub("<style>.*</style>", "", text)
        assert not re.search("<script|src=|href=|https?:", text)
        assert 1 == text.count("<h1>") == text.count("<title>")
    assert [5, 5] == [text.count("<p>") for text in texts]
    assert texts[0] != texts[1]


def test_the_page_is_neither_kept_nor_framed_nor_found():
    """Headers for a page that is for one person."""
    headers = page(door(), asked(door())["confirmation_code"])["headers"]

    assert "no-store" == headers["cache-control"]
    assert "noindex" == headers["x-robots-tag"]
    assert "no-referrer" == headers["referrer-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
