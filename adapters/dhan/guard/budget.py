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


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most *count* requests in any *span_s* seconds, the last *reserve* of them for what is urgent."""

    count: int
    span_s: int
    reserve: int = 0


class Slot:
    """One request's place in every window; used as a context, it is over at the end of the block.

    `counted_ns` is the latest moment at which the venue may have counted the request.
    """

    __slots__ = ("_monotonic_ns", "counted_ns")

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self.counted_ns = monotonic_ns() + int(ON_ITS_WAY_S * NS_PER_S)

    @classmethod
    def counted_at(cls, counted_ns: int, monotonic_ns: Callable[[], int]) -> Self:
        """Return the place of a request of which it is known when the venue counted it at the latest."""
        slot = cls(monotonic_ns)
        slot.counted_ns = counted_ns
        return slot

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

    def wait_ns(self, now_ns: int, *, urgent: bool) -> int:
        """Return how long until a request fits (0: now). One that is not urgent leaves the reserve free."""
        self._forget(now_ns)
        room = max(1, self.limit.count - (0 if urgent else self.limit.reserve))
        if len(self._slots) < room:
            return 0
        # Answers come in any order.
        counted_ns = sorted(slot.counted_ns for slot in self._slots)
        return max(0, counted_ns[-room] + self._span_ns - now_ns)

    def take(self, slot: Slot) -> None:
        """Count a request."""
        self._slots.append(slot)

    def count_earlier(self, slots: Sequence[Slot]) -> None:
        """Count requests that were made, oldest first, before those that are counted already."""
        self._slots.extendleft(reversed(slots))

    def used(self, now_ns: int) -> int:
        """Return how many requests the last span saw."""
        self._forget(now_ns)
        return len(self._slots)

    def _forget(self, now_ns: int) -> None:
        while self._slots and self._slots[0].counted_ns <= now_ns - self._span_ns:
            self._slots.popleft()


class Budget:
    """Several windows that a request must fit into at once."""

    def __init__(self, limits: Sequence[Limit], *, monotonic_ns: Callable[[], int]) -> None:
        self._windows = [Window(limit) for limit in limits]
        self._monotonic_ns = monotonic_ns
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

    def count_earlier(self, sent_at_ns: Sequence[int]) -> None:
        """Count requests of an earlier process by when they were sent, oldest first (our monotonic clock)."""
        now_ns = self._monotonic_ns()
        slots = [Slot.counted_at(min(at_ns, now_ns), self._monotonic_ns) for at_ns in sent_at_ns]
        for window in self._windows:
            window.count_earlier(slots)

    def wait_ns(self, *, urgent: bool = False) -> int:
        """Return how long until a request fits (0: now)."""
        now_ns = self._monotonic_ns()
        waits = (window.wait_ns(now_ns, urgent=urgent) for window in self._windows)
        return max(*waits, self._paused_until_ns - now_ns, 0)

    def shortage(self, *, urgent: bool = False) -> str:
        """Tell what a request waits for, for people: `60 s: 250 of 250 used, 12.3 s to wait`. Empty where it fits."""
        now_ns = self._monotonic_ns()
        fullest = max(self._windows, key=lambda window: window.wait_ns(now_ns, urgent=urgent))
        wait_ns, pause_ns = fullest.wait_ns(now_ns, urgent=urgent), self._paused_until_ns - now_ns
        if max(wait_ns, pause_ns) <= 0:
            return ""
        if pause_ns > wait_ns:
            return f"the venue's own count is full, {pause_ns / NS_PER_S:.1f} s to wait"
        limit = fullest.limit
        kept = "" if urgent or not limit.reserve else f" with {limit.reserve} kept for exits and cancels"
        wait = f"{wait_ns / NS_PER_S:.1f} s to wait"
        return f"{limit.span_s} s: {fullest.used(now_ns)} of {limit.count} used{kept}, {wait}"

    @property
    def is_idle(self) -> bool:
        """Whether it holds nothing that a new one would not: no request in any window, and no pause."""
        now_ns = self._monotonic_ns()
        return now_ns >= self._paused_until_ns and not any(window.used(now_ns) for window in self._windows)

    @property
    def fullness(self) -> float:
        """The share of its fullest window that is used."""
        now_ns = self._monotonic_ns()
        return max(window.used(now_ns) / window.limit.count for window in self._windows)

    def pause(self, for_s: float) -> None:
        """Let nothing through for *for_s* seconds: the venue says that its own count is full."""
        self._paused_until_ns = self._monotonic_ns() + int(for_s * NS_PER_S)

    def status(self) -> dict[str, Any]:
        """Return how full each window is, and how long until one more request fits."""
        now_ns = self._monotonic_ns()
        return {f"{window.limit.span_s}s": self._gauge_of(window, now_ns) for window in self._windows}

    def _gauge_of(self, window: Window, now_ns: int) -> dict[str, Any]:
        wait_ns = max(window.wait_ns(now_ns, urgent=False), self._paused_until_ns - now_ns, 0)
        return {
            "used": window.used(now_ns),
            "limit": window.limit.count,
            "reserve": window.limit.reserve,
            "free_in_s": wait_ns / NS_PER_S,
        }
