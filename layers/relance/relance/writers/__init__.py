"""Those who can write the body of a follow-up: they get a brief and answer with a draft, or with nothing."""

from typing import Protocol

from relance.persona import Brief, Draft, Nothing


class Writer(Protocol):
    """Anything that writes a body. What it writes is judged by `guard.draft` before anyone sees it."""

    def write(self, brief: Brief) -> Draft | Nothing:
        """One attempt. May raise `relance.errors.TemporaryFailure`: then the follow-up is tried again later."""
        ...
