"""A market's depth, five levels a side: the tape's where it tells one, else one around the last price, pure and seeded.

That one is there to be looked at. The last price is the best bid or the best ask, the other side lies one to three
ticks away, and each level further out holds more, in more orders. Nothing of it can be traded against: the matching
knows what the tape tells.
"""

from typing import NamedTuple

from adapters.simulator.market.seeds import mixed
from domain import matching
from domain.matching import Level

LEVELS = 5
_SPREAD_TICKS_MAX = 3
_LOTS_AT_BEST_MAX = 40
_LOTS_AN_ORDER = 7
_HIDDEN_BEHIND_MIN, _HIDDEN_BEHIND_SPAN = 8, 24
"""How many times the quantity of the five levels a whole side of the book holds: at least, and up to how much more."""


class Depth(NamedTuple):
    """The best five levels of each side, best first, and what each side holds in all. All 0: nobody is there."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    bid_quantity: int
    ask_quantity: int


NOBODY = Depth((Level(0, 0, 0),) * LEVELS, (Level(0, 0, 0),) * LEVELS, 0, 0)


def depth_told(depth: matching.Depth) -> Depth:
    """Return the depth that a tape tells: its best five levels, all of what it has for sale and for purchase."""
    bids, asks = depth.bids, depth.asks
    return Depth(_five(bids), _five(asks), sum(level.quantity for level in bids), sum(level.quantity for level in asks))


def depth_around(last_price_e4: int, *, tick_e4: int, lot: int, seed: int) -> Depth:
    """Return the depth that goes with a last price; the same *seed* gives the same depth."""
    chance = mixed(seed)
    spread_e4 = (1 + chance % _SPREAD_TICKS_MAX) * tick_e4
    was_bid = bool(chance >> 8 & 1)
    best_bid_e4 = last_price_e4 if was_bid else last_price_e4 - spread_e4
    best_ask_e4 = last_price_e4 + spread_e4 if was_bid else last_price_e4
    bids = _side(best_bid_e4, step_e4=-tick_e4, lot=lot, seed=mixed(chance))
    asks = _side(best_ask_e4, step_e4=tick_e4, lot=lot, seed=mixed(chance + 1))
    return Depth(bids, asks, _whole_side(bids, chance >> 16), _whole_side(asks, chance >> 32))


def _five(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    return (*levels, *NOBODY.bids)[:LEVELS]


def _side(best_e4: int, *, step_e4: int, lot: int, seed: int) -> tuple[Level, ...]:
    levels = []
    for number in range(LEVELS):
        seed = mixed(seed)
        price_e4 = best_e4 + number * step_e4
        lots = 1 + seed % (_LOTS_AT_BEST_MAX * (number + 1))
        levels.append(Level(price_e4, lots * lot, 1 + lots // _LOTS_AN_ORDER) if price_e4 > 0 else Level(0, 0, 0))
    return tuple(levels)


def _whole_side(levels: tuple[Level, ...], chance: int) -> int:
    return sum(level.quantity for level in levels) * (_HIDDEN_BEHIND_MIN + chance % _HIDDEN_BEHIND_SPAN)
