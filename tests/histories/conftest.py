"""One town for each module of tests."""

import logging
from collections.abc import Iterator

import pytest

from tests.histories.living import Starts
from tests.histories.machine import chapters
from tests.histories.town import Town


@pytest.fixture(scope="module", autouse=True)
def _no_logs() -> Iterator[None]:
    """Nobody reads them here, and pytest keeps every line of thousands of invocations."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """One town for the module: each history begins at a chapter of its story."""
    with Town() as running:
        yield running


@pytest.fixture(scope="module")
def starts(town: Town) -> Starts:
    """Where histories begin."""
    return town.do(chapters, town)
