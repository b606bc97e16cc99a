"""What holds for every test: no way out of this machine, no real AWS account, and the same run twice."""

import os

import pytest
from hypothesis import settings

# Whatever the shell of the person who runs the tests holds, no test can reach an account with it.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

# The same examples in every run: a test that fails here fails for everybody. No deadline: machines differ.
settings.register_profile("relance", deadline=None, derandomize=True)
settings.load_profile("relance")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Loopback is as far as any test may go."""
    for item in items:
        item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1"]))
