"""A tape: what the market traded, second by second. Recorded and synthetic tapes look the same to the simulator."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from domain.instrument import InstrumentKey
from domain.matching import Depth


class Tick(NamedTuple):
    """One row of the tape: a price, the quantity traded at it since the row before (0 for an index), and when (UTC).

    `depth` is what the market shows behind it, None where the tape does not tell.
    """

    instrument: InstrumentKey
    last_price_e4: int
    volume: int
    exchange_time_ns: int
    depth: Depth | None = None


class TapeSecond(NamedTuple):
    """One second of market time and its ticks, in the order in which they happened."""

    market_time_ns: int
    ticks: Sequence[Tick]


class Tape(Protocol):
    """A stretch of market time that can be played once from its start."""

    @property
    def instruments(self) -> Sequence[InstrumentKey]:
        """What the tape holds."""
        ...

    @property
    def start_ns(self) -> int:
        """The market time (UTC nanoseconds) of the first second."""
        ...

    @property
    def seconds(self) -> int | None:
        """How many seconds there are, None for a tape without an end."""
        ...

    @property
    def previous_closes_e4(self) -> Mapping[InstrumentKey, int]:
        """The closing prices of the session before, as far as known."""
        ...

    def play(self) -> Iterator[TapeSecond]:
        """Yield every second in order, quiet ones too, from the first on."""
        ...
