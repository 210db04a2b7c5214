"""How many contracts of a derivative are open, where the tape tells none: pure and seeded.

A day begins with a number of lots that the contract and the day give, and every tenth unit that trades opens one more.
"""

from typing import NamedTuple

from adapters.simulator.market.seeds import mixed
from domain.instrument import Segment

DERIVATIVES = frozenset(
    {Segment.NSE_FNO, Segment.NSE_CURRENCY, Segment.BSE_FNO, Segment.BSE_CURRENCY, Segment.MCX_COMM}
)
_LOTS_MIN, _LOTS_SPAN = 500, 100_000
_TRADED_FOR_ONE_OPENED = 10


class OpenInterest(NamedTuple):
    """Units open now, and at most and at least today; `previous` is what the day before ended with."""

    now: int
    high: int
    low: int
    previous: int


NONE_OPEN = OpenInterest(0, 0, 0, 0)


def open_interest(*, lot: int, volume: int, seed: int) -> OpenInterest:
    """Return what is open after *volume* units were traded today; *seed* is the contract's for the day."""
    begun = (_LOTS_MIN + mixed(seed) % _LOTS_SPAN) * lot
    now = begun + volume // _TRADED_FOR_ONE_OPENED // lot * lot
    return OpenInterest(now, now, begun, begun)
