"""What can happen to our way to a venue. The streams are `venue-<host>`, of all accounts together."""

from enum import StrEnum

import msgspec


class BreakerState(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """It is being tried whether the venue is back."""


class BreakerChanged(msgspec.Struct, frozen=True, kw_only=True, tag="venue.breaker_changed.v1.ignorable"):
    """The breaker before one class of calls to a host opened, was tried, or closed.

    `call_class` is entries, exits, lookups, data or login. `cause` is the kind of the fault, or what ended it; it holds
    nothing that the venue or a customer said. A reader who does not know this loses a remark, nothing is decided on it.
    """

    host: str
    call_class: str
    from_state: BreakerState
    to_state: BreakerState
    cause: str
    changed_at_ns: int


VenueEvent = BreakerChanged
