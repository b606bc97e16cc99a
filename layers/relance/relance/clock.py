"""The only place that reads the time."""

import time
from collections.abc import Callable

type Clock = Callable[[], int]


def utc_now() -> int:
    """Now, in whole epoch seconds."""
    return int(time.time())
