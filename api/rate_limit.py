"""Sliding windows, in memory: how often one client may do something."""

from collections import OrderedDict, deque

from commands.ports import Clock

_NS_PER_S = 1_000_000_000


class SlidingWindow:
    """At most *limit* events a key within any *window_s* seconds, by the monotonic clock.

    At most *keys_max* keys are remembered; beyond that the one that was quiet longest is forgotten, so that a flood
    from many addresses costs bounded memory.
    """

    def __init__(self, clock: Clock, *, limit: int, window_s: int, keys_max: int = 10_000) -> None:
        self._clock = clock
        self._limit = limit
        self._window_ns = window_s * _NS_PER_S
        self._keys_max = keys_max
        self._times: OrderedDict[str, deque[int]] = OrderedDict()

    def retry_after_s(self, key: str) -> int | None:
        """Return in how many whole seconds *key* is free again, None where it is free now."""
        times = self._recent(key)
        if len(times) < self._limit:
            return None
        return (times[0] + self._window_ns - self._clock.monotonic_ns()) // _NS_PER_S + 1

    def add(self, key: str) -> None:
        """Count one event of *key*."""
        times = self._recent(key)
        times.append(self._clock.monotonic_ns())
        self._times[key] = times
        self._times.move_to_end(key)
        if len(self._times) > self._keys_max:
            self._times.popitem(last=False)

    def clear(self, key: str) -> None:
        """Forget what was counted of *key*."""
        self._times.pop(key, None)

    def _recent(self, key: str) -> deque[int]:
        times = self._times.get(key, deque())
        since = self._clock.monotonic_ns() - self._window_ns
        while times and times[0] <= since:
            times.popleft()
        return times
