"""Every event's stored name, and its way to bytes and back."""

from typing import get_args

import msgspec

from domain.account.events import AccountEvent
from domain.backtest.events import BacktestEvent
from domain.strategy.events import StrategyEvent
from domain.user.events import UserEvent

Event = AccountEvent | UserEvent | StrategyEvent | BacktestEvent


class EventUnknown(Exception):
    """A stored name that this release does not know: the reader stops and asks for an upgrade."""

    def __init__(self, name: str) -> None:
        super().__init__(f"event {name!r} is unknown to this release")
        self.name = name


def _stored_name(event_type: type) -> str:
    return str(event_type.__struct_config__.tag)  # type: ignore[attr-defined]


EVENT_TYPES: dict[str, type[Event]] = {_stored_name(event_type): event_type for event_type in get_args(Event)}
"""Event types by stored name, e.g. `order.filled.v1`."""

_NAMES = {event_type: name for name, event_type in EVENT_TYPES.items()}
_DECODERS = {name: msgspec.json.Decoder(event_type) for name, event_type in EVENT_TYPES.items()}
_ENCODER = msgspec.json.Encoder(order="deterministic")


def name_of(event: Event) -> str:
    """Return the stored name of *event*."""
    return _NAMES[type(event)]


def encode(event: Event) -> bytes:
    """Return *event* as the JSON that the log keeps."""
    return _ENCODER.encode(event)


def decode(name: str, payload: bytes) -> Event:
    """Return the event stored as *payload* under *name*.

    Raises:
        EventUnknown: this release has no event of that name.
    """
    decoder = _DECODERS.get(name)
    if decoder is None:
        raise EventUnknown(name)
    return decoder.decode(payload)
