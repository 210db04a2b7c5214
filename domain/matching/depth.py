"""The market's book as far as the tape shows it."""

from typing import NamedTuple


class Level(NamedTuple):
    """What is shown at one price: units, and the number of orders that they are in (0: not told)."""

    price_e4: int
    quantity: int
    orders: int = 0


class Depth(NamedTuple):
    """The best levels of both sides, best first, each price once. None of them is ours."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
