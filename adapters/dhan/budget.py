"""Our own rate budget: the venue's limits, kept before it has to refuse.

Windows slide: at no moment were more than *limit* requests made in the last *span*. (A bucket that refills would allow
twice its size within one span.) The last part of each window of order writes is kept for exits and cancels.

The venue counts a request when it arrives there, some time between our sending and its answer. So a request keeps its
place for a span from its answer on: seven that were held up on their way, and seven more sent a second after them, may
all arrive within one second of the venue's.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from domain.market import NS_PER_S

ON_ITS_WAY_S = 1.0
"""So long a request may take to the venue. One that hangs longer is held up behind the place where it is counted."""
_HOUR_S = 3_600
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most *count* requests in any *span_s* seconds."""

    count: int
    span_s: int


class Slot:
    """One request's place in every window; used as a context, it is over at the end of the block.

    `counted_ns` is the latest moment at which the venue may have counted the request.
    """

    __slots__ = ("_monotonic_ns", "counted_ns")

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self.counted_ns = monotonic_ns() + int(ON_ITS_WAY_S * NS_PER_S)

    def end(self) -> None:
        """Say that the answer is there, or that nothing will be sent."""
        self.counted_ns = min(self.counted_ns, self._monotonic_ns())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Window:
    """The requests of the last span."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._span_ns = limit.span_s * NS_PER_S
        self._slots: deque[Slot] = deque()

    def wait_ns(self, now_ns: int, *, reserve: int) -> int:
        """Return how long until a request fits that leaves *reserve* free (0: now)."""
        self._forget(now_ns)
        room = max(1, self.limit.count - reserve)
        if len(self._slots) < room:
            return 0
        # Answers come in any order.
        counted_ns = sorted(slot.counted_ns for slot in self._slots)
        return max(0, counted_ns[-room] + self._span_ns - now_ns)

    def take(self, slot: Slot) -> None:
        """Count a request."""
        self._slots.append(slot)

    def used(self, now_ns: int) -> int:
        """Return how many requests the last span saw."""
        self._forget(now_ns)
        return len(self._slots)

    def _forget(self, now_ns: int) -> None:
        while self._slots and self._slots[0].counted_ns <= now_ns - self._span_ns:
            self._slots.popleft()


class Budget:
    """Several windows that a request must fit into at once."""

    def __init__(self, limits: Sequence[Limit], *, monotonic_ns: Callable[[], int], reserve: int = 0) -> None:
        self._windows = [Window(limit) for limit in limits]
        self._monotonic_ns = monotonic_ns
        self._reserve = reserve
        self._paused_until_ns = 0

    async def take(self, *, within_s: float, urgent: bool = False) -> Slot | None:
        """Count a request as soon as it fits, and return its place; None where it did not within *within_s* seconds.

        Urgent requests (exits, cancels) may use the reserve.
        """
        deadline_ns = self._monotonic_ns() + int(within_s * NS_PER_S)
        while True:
            wait_ns = self.wait_ns(urgent=urgent)
            if wait_ns <= 0:
                slot = Slot(self._monotonic_ns)
                for window in self._windows:
                    window.take(slot)
                return slot
            if self._monotonic_ns() + wait_ns > deadline_ns:
                return None
            await asyncio.sleep(wait_ns / NS_PER_S)

    def wait_ns(self, *, urgent: bool = False) -> int:
        """Return how long until a request fits (0: now)."""
        now_ns = self._monotonic_ns()
        reserve = 0 if urgent else self._reserve
        waits = (window.wait_ns(now_ns, reserve=reserve) for window in self._windows)
        return max(*waits, self._paused_until_ns - now_ns, 0)

    def pause(self, for_s: float) -> None:
        """Let nothing through for *for_s* seconds: the venue says that its own count is full."""
        self._paused_until_ns = self._monotonic_ns() + int(for_s * NS_PER_S)

    def status(self) -> dict[str, Any]:
        """Return how full each window is."""
        now_ns = self._monotonic_ns()
        return {
            f"{window.limit.span_s}s": {"used": window.used(now_ns), "limit": window.limit.count}
            for window in self._windows
        }


def order_limits(*, burst: int, per_minute: int, per_hour: int, per_day: int) -> tuple[Limit, ...]:
    """Return the limits of order writes."""
    return (
        Limit(count=burst, span_s=1),
        Limit(count=per_minute, span_s=60),
        Limit(count=per_hour, span_s=_HOUR_S),
        Limit(count=per_day, span_s=_DAY_S),
    )
