"""Every event's stored name, and its way to bytes and back.

What an earlier release wrote is read as what it means today: a past version is decoded as it was and handed from one
upcaster to the next (`domain.account.past_events`). What a later release wrote is not guessed at: a reader stops and
asks for an upgrade, unless the name itself says that it may be passed over. A name that ends in `.ignorable` says so,
e.g. `trade.annotated.v1.ignorable`: a reader that does not know it loses a remark, and no state.
"""

import re
from collections.abc import Callable
from typing import Any, get_args

import msgspec

from domain.account.events import AccountEvent
from domain.account.past_events import UPCASTERS
from domain.backtest.events import BacktestEvent
from domain.instrument_master import InstrumentMasterEvent
from domain.strategy.events import StrategyEvent
from domain.user.events import UserEvent
from domain.venue import VenueEvent

Event = AccountEvent | UserEvent | StrategyEvent | BacktestEvent | InstrumentMasterEvent | VenueEvent

IGNORABLE = ".ignorable"
"""What the name of an event ends in that a reader may pass over if it does not know it."""
_NAME_OF_OURS = re.compile(r"[a-z_]+(\.[a-z_]+)*\.v[0-9]+(\.ignorable)?")


class EventUnknown(Exception):
    """A stored name that this release does not know: the reader stops and asks for an upgrade."""

    def __init__(self, name: str) -> None:
        super().__init__(f"event {name!r} is unknown to this release")
        self.name = name


def _stored_name(event_type: type) -> str:
    return str(event_type.__struct_config__.tag)  # type: ignore[attr-defined]


EVENT_TYPES: dict[str, type[Event]] = {_stored_name(event_type): event_type for event_type in get_args(Event)}
"""Event types by stored name, e.g. `order.filled.v2`: what this release writes."""

PAST_TYPES: dict[str, type] = {_stored_name(past_type): past_type for past_type in UPCASTERS}
"""Types of past versions by stored name: what this release still reads, and will for ever."""

_NAMES = {event_type: name for name, event_type in EVENT_TYPES.items()}
_ENCODER = msgspec.json.Encoder(order="deterministic")


def _reader_of_past(past_type: type) -> Callable[[bytes], Event]:
    decode_past: Callable[[bytes], Any] = msgspec.json.Decoder(past_type).decode

    def read(payload: bytes) -> Event:
        event: Any = decode_past(payload)
        while (upcast := UPCASTERS.get(type(event))) is not None:
            event = upcast(event)
        return event  # type: ignore[no-any-return]

    return read


_READERS: dict[str, Callable[[bytes], Event]] = {
    **{name: _reader_of_past(past_type) for name, past_type in PAST_TYPES.items()},
    **{name: msgspec.json.Decoder(event_type).decode for name, event_type in EVENT_TYPES.items()},
}


def is_name_of_ours(name: str) -> bool:
    """Tell whether this engine gives such names, in this release or in another one.

    Applications of the `eventsourcing` library share the log and name their events by the class's place in the code.
    """
    return _NAME_OF_OURS.fullmatch(name) is not None


def is_ignorable(name: str) -> bool:
    """Tell whether a reader who does not know an event of this name may pass it over."""
    return name.endswith(IGNORABLE) or not is_name_of_ours(name)


def name_of(event: Event) -> str:
    """Return the stored name of *event*."""
    return _NAMES[type(event)]


def encode(event: Event) -> bytes:
    """Return *event* as the JSON that the log keeps."""
    return _ENCODER.encode(event)


def decode(name: str, payload: bytes) -> Event:
    """Return the event stored as *payload* under *name*, of a past version as what it means today.

    Raises:
        EventUnknown: this release has no event of that name.
    """
    reader = _READERS.get(name)
    if reader is None:
        raise EventUnknown(name)
    return reader(payload)


def decode_known(name: str, payload: bytes) -> Event | None:
    """Return the event, None where this release does not know it and may pass it over.

    Raises:
        EventUnknown: it is unknown and must not be passed over.
    """
    reader = _READERS.get(name)
    if reader is not None:
        return reader(payload)
    if is_ignorable(name):
        return None
    raise EventUnknown(name)
