"""Secrets are rotated under running functions: each takes up the new one within five minutes, and loses nothing."""

import boto3
import pytest

from local.stack import VERIFY_TOKEN
from local.webhooks import APP_SECRET, build, encode, sign

NOON = 1_768_478_400  # 2026-01-15T12:00:00Z
KEPT_FOR = 300
NEW = "new-app-secret-for-tests"
STRANGE = "strange-app-secret-for-tests"


def put(name, value):
    """What the operator does."""
    boto3.client("ssm", region_name="us-east-1").put_parameter(
        Name=f"/relance/{name}", Value=value, Type="SecureString", Overwrite=True
    )


def answers(stack, *secrets):
    """The status of one message under each of these secrets."""
    raw = encode(build("messenger", "text", bot="1001", user="2002", at=stack.now, id=f"m{stack.now}", text="Hello"))
    return [
        stack.post("messenger", raw, signature=None, headers={"x-hub-signature-256": sign(raw, secret)}).status
        for secret in secrets
    ]


def test_an_app_secret_is_rotated_without_losing_a_request(stack):
    """Both are accepted while both are listed; the old one is refused five minutes after it was taken off the list."""
    assert [200, 401] == answers(stack, APP_SECRET, NEW)

    put("messenger/app-secrets", f"{NEW},{APP_SECRET}")
    stack.travel(stack.now + KEPT_FOR)
    assert [200, 200, 401] == answers(stack, APP_SECRET, NEW, STRANGE)

    put("messenger/app-secrets", NEW)
    stack.travel(stack.now + KEPT_FOR - 1)
    assert [200, 200] == answers(stack, APP_SECRET, NEW)
    stack.travel(stack.now + 1)
    assert [401, 200] == answers(stack, APP_SECRET, NEW)


def test_a_verify_token_is_replaced(stack):
    """Only the handshake uses it."""
    assert 200 == stack.handshake("messenger", VERIFY_TOKEN, "1158201444").status

    put("messenger/verify-token", "new-verify-token-for-tests")
    stack.travel(stack.now + KEPT_FOR)

    assert 403 == stack.handshake("messenger", VERIFY_TOKEN, "1158201444").status
    assert 200 == stack.handshake("messenger", "new-verify-token-for-tests", "1158201444").status


@pytest.mark.parametrize("mistake", [" ", ","])
def test_an_emptied_app_secret_lets_nobody_in(stack, mistake):
    """A slip of the hand refuses all requests, and the right value is taken up within five minutes."""
    assert [200] == answers(stack, APP_SECRET)
    put("messenger/app-secrets", mistake)
    stack.travel(stack.now + KEPT_FOR)

    refused = answers(stack, APP_SECRET, "", mistake)
    put("messenger/app-secrets", APP_SECRET)
    stack.travel(stack.now + KEPT_FOR)

    assert 200 not in refused
    assert [200] == answers(stack, APP_SECRET)
