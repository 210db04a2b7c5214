"""The broker's rate limits: sliding windows per client and family of paths."""

from collections import deque
from enum import StrEnum

from domain.market import NS_PER_S


class Family(StrEnum):
    """Paths that share a budget."""

    ORDERS = "orders"
    QUOTES = "quotes"
    OPTION_CHAIN = "option chain"
    CHARTS = "charts"
    READS = "reads"


_WINDOWS: dict[Family, tuple[tuple[int, int], ...]] = {
    Family.ORDERS: ((1, 10), (60, 250), (3600, 1000), (86_400, 7000)),
    Family.QUOTES: ((1, 1),),
    Family.OPTION_CHAIN: ((3, 1),),
    Family.CHARTS: ((1, 5), (86_400, 100_000)),
    Family.READS: ((1, 20),),
}
"""Per family: window in seconds, requests allowed in it."""


class RateLimits:
    """Counts requests. A refused request does not count."""

    def __init__(self, *, scale: float) -> None:
        self._windows = {
            family: tuple((seconds * NS_PER_S, max(round(most * scale), 1)) for seconds, most in windows)
            for family, windows in _WINDOWS.items()
        }
        self._taken: dict[tuple[str, Family, str], list[deque[int]]] = {}

    def take(self, client_id: str, family: Family, *, now_ns: int, subject: str = "") -> bool:
        """Count a request of *client_id* at *now_ns* (monotonic) and tell whether it is within every window.

        Requests that name different subjects do not count for each other.
        """
        windows = self._windows[family]
        taken = self._taken.get((client_id, family, subject))
        if taken is None:
            taken = self._taken[client_id, family, subject] = [deque() for _ in windows]
        for (length_ns, _), times in zip(windows, taken, strict=True):
            while times and times[0] <= now_ns - length_ns:
                times.popleft()
        if any(len(times) >= most for (_, most), times in zip(windows, taken, strict=True)):
            return False
        for times in taken:
            times.append(now_ns)
        return True
