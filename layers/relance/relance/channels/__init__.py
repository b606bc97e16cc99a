"""The three channels: how each one's webhooks are verified, read and translated into events."""

from collections.abc import Callable
from importlib import import_module

from relance.errors import ConfigurationError
from relance.interaction import CHANNELS, Event


def parser(channel: str) -> Callable[[dict], list[Event]]:
    """The function that translates a webhook body of `channel` into events.

    Only that channel's module is imported, so that a cold webhook function loads one parser and not three.
    Raises ConfigurationError for a channel that does not exist.
    """
    if channel not in CHANNELS:
        raise ConfigurationError(f"no such channel: {channel!r}")
    return import_module(f"relance.channels.{channel}").events
