"""When things happened here, by the machine's monotonic clock: for whoever measures how soon others know of them."""

from collections import deque
from typing import NamedTuple

KEPT = 20_000


class Stamp(NamedTuple):
    """Something that happened, by its name. Monotonic nanoseconds, the same in every process of the machine."""

    name: str
    at_ns: int


class Stamps:
    """The last orders that came and the last executions, oldest first.

    An order is named by its correlation id and came when its request began to be read; one that is refused or whose
    answer is lost came as well.
    """

    def __init__(self) -> None:
        self.arrived: deque[Stamp] = deque(maxlen=KEPT)
        self.executed: deque[Stamp] = deque(maxlen=KEPT)
