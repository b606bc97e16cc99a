"""Who writes the message: one door for every writer, and the same guards behind it."""

from typing import Protocol

from relance.persona import Brief, Draft, Nothing


class Writer(Protocol):
    """Writes the body of one follow-up from a brief.

    Silence is a value (`Nothing`), never a magic string. A writer may raise `TemporaryFailure` (throttled, timed
    out: the queue brings the pair again, nothing has been spent) or `ConfigurationError` (no such model, no right
    to use it).
    """

    def write(self, brief: Brief) -> Draft | Nothing: ...
