"""One contract, several engines: each test of this folder runs once for each engine that `RELANCE_ENGINES` names."""

import pytest

from tests.contract.engines import chosen, start


@pytest.fixture(scope="module", params=chosen())
def running(request, tmp_path_factory):
    """An engine, started once a module: a process has room for one local stack at a time."""
    with start(request.param, tmp_path_factory.mktemp(request.param)) as one:
        yield one


@pytest.fixture
def engine(running):
    """Empty tables on it."""
    with running.tables() as tables:
        yield tables


@pytest.fixture
def database(engine):
    """The one connection of a function. It waits long: on a busy machine a request that was given up comes late."""
    database = engine.database()
    # A story that comes to a transaction ends there, with a clear word, on an engine that has none.
    database.connection.client.meta.events.register(
        "before-call.dynamodb.TransactWriteItems", lambda **_: engine.needs("transactions")
    )
    return database


@pytest.fixture
def pairs(engine, database):
    """The store of pairs."""
    return engine.pairs(database)
