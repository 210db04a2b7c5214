"""A tape that goes on where it was when somebody plays it again: a broker that comes back finds the market moved on."""

from collections.abc import Iterator, Mapping, Sequence

from adapters.simulator.tapes.tape import Tape, TapeSecond
from domain.instrument import InstrumentKey


class ContinuedTape:
    """*tape*, of which each further `play` gets what is left. Implements `adapters.simulator.tapes.tape.Tape`."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._left = tape.play()

    @property
    def instruments(self) -> Sequence[InstrumentKey]:
        """What the tape holds."""
        return self._tape.instruments

    @property
    def start_ns(self) -> int:
        """The market time (UTC nanoseconds) of the tape's first second, whenever this one is played."""
        return self._tape.start_ns

    @property
    def seconds(self) -> int | None:
        """How many seconds the whole tape has, None without an end."""
        return self._tape.seconds

    @property
    def previous_closes_e4(self) -> Mapping[InstrumentKey, int]:
        """The closing prices of the session before, as far as known."""
        return self._tape.previous_closes_e4

    def play(self) -> Iterator[TapeSecond]:
        """Yield the seconds that nobody has played yet."""
        return self._left
