"""Fixtures for tests against the local stack: the template's own resources and the real handlers, in virtual time."""

import pytest

from local.stack import LocalStack

# 2026-01-15T12:00:00Z, a Thursday
NOON = 1_768_478_400


@pytest.fixture(scope="module")
def warm_stack():
    """One stack for a module's tests: its containers stay warm, so that each test need not start cold."""
    with LocalStack(start=NOON) as running:
        yield running


@pytest.fixture
def stack(warm_stack):
    """A fresh deployment at noon: empty tables and queues, an idle stand-in, nobody published."""
    warm_stack.reset(NOON)
    return warm_stack
