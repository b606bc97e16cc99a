"""What can go wrong, by what happens to the request or queue message.

RelanceError
├── ConfigurationError      the deployment is wrong          → raise at cold start, alarm
├── BadSignature            Meta did not send this           → 401, counted, nothing stored
├── UnreadablePayload       signed, but not readable         → 200 to Meta, counted (else Meta keeps retrying)
├── BodyRefused             too large, compressed            → 413 or 415, nothing stored
├── TemporaryFailure        throttled, 5xx before delivery   → 5xx to Meta, or batch item failure: it comes again
└── PoisonMessage           a queue message nobody can read  → batch item failure until the DLQ has it
"""


class RelanceError(Exception):
    """Base of all errors relance raises itself. Messages hold no personal data."""


class ConfigurationError(RelanceError):
    """A required setting is missing or wrong; the message names it."""


class BadSignature(RelanceError):
    """The body was not signed with any accepted app secret."""


class UnreadablePayload(RelanceError):
    """A signed body that is not the JSON we expect."""


class BodyRefused(RelanceError):
    """A body that is refused before it is read; `status` is the HTTP status to answer."""

    def __init__(self, message: str, status: int = 413) -> None:
        super().__init__(message)
        self.status = status


class TemporaryFailure(RelanceError):
    """Try again later; nothing was lost and nothing was delivered."""


class PoisonMessage(RelanceError):
    """A queue message that will never be readable."""
