"""What the simulator asks of its instrument master beyond finding an instrument: all of it."""

from collections.abc import Sequence
from typing import Protocol

from commands.ports import Instruments
from domain.instrument import Instrument


class Listing(Instruments, Protocol):
    """An instrument master that can be listed."""

    def all(self, *, market_time_ns: int) -> Sequence[Instrument]:
        """Return every definition in force."""
        ...
