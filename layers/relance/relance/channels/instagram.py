"""What an Instagram webhook says; the shapes are those that Messenger and Instagram share."""

from relance.channels import messaging
from relance.interaction import Event

CHANNEL = "instagram"
OBJECT = "instagram"


def events(payload: dict) -> list[Event]:
    """Everything `payload` says, in its order. Never raises, whatever JSON value comes in."""
    return messaging.events(payload, channel=CHANNEL, kind_of_object=OBJECT)
