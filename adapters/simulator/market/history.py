"""What an instrument printed in which step: for checking executions against the tape afterwards."""

from array import array
from bisect import bisect_left, bisect_right
from typing import NamedTuple

_STEPS_MAX = 50_000


class PrintRange(NamedTuple):
    """The lowest and highest print of a stretch, and how many steps of it had prints."""

    low_e4: int
    high_e4: int
    steps: int


class PrintHistory:
    """The prints of one instrument, the latest 50,000 steps of them."""

    def __init__(self) -> None:
        self._steps = array("q")
        self._lows = array("q")
        self._highs = array("q")

    def add(self, step: int, price_e4: int) -> None:
        """Enter a print; steps never fall."""
        if self._steps and self._steps[-1] == step:
            self._lows[-1] = min(self._lows[-1], price_e4)
            self._highs[-1] = max(self._highs[-1], price_e4)
            return
        if len(self._steps) >= 2 * _STEPS_MAX:
            for column in (self._steps, self._lows, self._highs):
                del column[:_STEPS_MAX]
        self._steps.append(step)
        self._lows.append(price_e4)
        self._highs.append(price_e4)

    def between(self, first_step: int, last_step: int) -> PrintRange | None:
        """Return the range of the prints an order working from *first_step* to *last_step* could meet.

        Where *first_step* itself had no print, the last one before it was still in force and counts.
        """
        end = bisect_right(self._steps, last_step)
        start = bisect_left(self._steps, first_step)
        in_force_before = start > 0 and (start == len(self._steps) or self._steps[start] != first_step)
        start -= in_force_before
        if start >= end:
            return None
        return PrintRange(min(self._lows[start:end]), max(self._highs[start:end]), end - start)
