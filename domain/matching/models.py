"""Choices of the matching: how much of what the market trades our orders may take, and how far a price slips for them.

A model is a pure function in an object that holds its parameters: the same question has the same answer.
"""

from dataclasses import dataclass
from math import isqrt
from typing import Protocol

_BP = 10_000
_BP_SQUARED = _BP * _BP


class Participation(Protocol):
    """How much of one print our orders on one side may take together."""

    def share_of(self, volume: int, *, session_volume: int, taken: int, share_bp: int, lot: int) -> int:
        """Return the units, in whole lots: at most the print's *volume*, unless that is less than a lot.

        *share_bp* is the share that is asked for, in basis points, *session_volume* what the session has traded with
        this print, and *taken* what our orders on the side took of it before.
        """
        ...


@dataclass(frozen=True, slots=True)
class OfPrint:
    """A share of each print by itself, one lot at least. What a print leaves is gone with it."""

    def share_of(self, volume: int, *, session_volume: int, taken: int, share_bp: int, lot: int) -> int:  # noqa: ARG002 - a model
        """Return the share of the print."""
        if volume <= 0:
            return 0
        share = volume * share_bp // _BP
        return max(share - share % lot, lot)


@dataclass(frozen=True, slots=True)
class OfSession:
    """A share of all that the session has traded: what was not taken of one print may be taken of later ones.

    Of one print it is its whole volume at most, and nothing as long as the share is no whole lot.
    """

    def share_of(self, volume: int, *, session_volume: int, taken: int, share_bp: int, lot: int) -> int:
        """Return what the session's share leaves to be had of the print."""
        share = min(session_volume * share_bp // _BP - taken, volume)
        return max(share - share % lot, 0)


class Slippage(Protocol):
    """How far from the last print an order executes that takes what is there, where the tape shows no depth."""

    def move_e4(self, *, price_e4: int, quantity: int, volume: int, tick_e4: int) -> int:
        """Return the distance, zero or more, in whole ticks: *quantity* is taken of a print of *volume* units."""
        ...


@dataclass(frozen=True, slots=True)
class TickSlippage:
    """So many ticks, whatever the price and quantity."""

    ticks: int

    def move_e4(self, *, price_e4: int, quantity: int, volume: int, tick_e4: int) -> int:  # noqa: ARG002 - a model
        """Return the ticks."""
        return self.ticks * tick_e4


@dataclass(frozen=True, slots=True)
class ProportionalSlippage:
    """So many basis points of the price, rounded up to the tick."""

    slippage_bp: int

    def move_e4(self, *, price_e4: int, quantity: int, volume: int, tick_e4: int) -> int:  # noqa: ARG002 - a model
        """Return the part of the price."""
        return _up(-(-price_e4 * self.slippage_bp // _BP), tick_e4)


@dataclass(frozen=True, slots=True)
class SquareRootSlippage:
    """The square root of the part that is taken of the print's volume, rounded up to the tick.

    Taking as much as the print moves the price by `impact_bp`, a quarter of it by half of that.

    Source: the square-root law of market impact, as in R. Almgren et al., Direct Estimation of Equity Market Impact
    (2005), and B. Tóth et al., Anomalous Price Impact (2011).
    """

    impact_bp: int

    def move_e4(self, *, price_e4: int, quantity: int, volume: int, tick_e4: int) -> int:
        """Return the impact of *quantity*."""
        if volume <= 0:
            return 0
        # In integers: price · impact · √(quantity / volume), rounded down to 1/10,000 rupee and then up to the tick.
        return _up(isqrt((price_e4 * self.impact_bp) ** 2 * quantity // (volume * _BP_SQUARED)), tick_e4)


def _up(distance_e4: int, tick_e4: int) -> int:
    return -(-distance_e4 // tick_e4) * tick_e4
