"""How many orders an account sent in the last second, minute, hour and on this day.

Each window slides over buckets of time and counts every bucket that reaches into it: one bucket too much at most, never
too little. So what is remembered is bounded, however many orders there are.
"""

import msgspec

from domain.market import NS_PER_S

SECOND_NS, MINUTE_NS, HOUR_NS = NS_PER_S, 60 * NS_PER_S, 3_600 * NS_PER_S
BUCKETS = 20


class Window(msgspec.Struct, frozen=True, array_like=True):
    """Counts by bucket, oldest first. `total` is their sum, so at least what the window holds at any later time."""

    buckets: tuple[tuple[int, int], ...] = ()
    total: int = 0

    def counted(self, at_ns: int, span_ns: int) -> "Window":
        """Return the window after one more order at *at_ns*; a clock that stepped back counts as standing still."""
        bucket = at_ns // (span_ns // BUCKETS)
        buckets = self.buckets
        if not buckets:
            return Window(((bucket, 1),), 1)
        newest, count = buckets[-1]
        if bucket <= newest:
            return Window((*buckets[:-1], (newest, count + 1)), self.total + 1)
        oldest = bucket - BUCKETS
        total = self.total
        while buckets and buckets[0][0] < oldest:
            total -= buckets[0][1]
            buckets = buckets[1:]
        return Window((*buckets, (bucket, 1)), total + 1)

    def count(self, at_ns: int, span_ns: int) -> int:
        """Return how many orders fall into the last *span_ns* before *at_ns*."""
        first = at_ns // (span_ns // BUCKETS) - BUCKETS
        return sum(count for bucket, count in self.buckets if bucket >= first)


class OrderRates(msgspec.Struct, frozen=True, kw_only=True):
    """The windows, and the count of the account's day."""

    second: Window = Window()
    minute: Window = Window()
    hour: Window = Window()
    day_count: int = 0

    def sent(self, at_ns: int) -> "OrderRates":
        """Return the rates after an order was sent at *at_ns* (market clock; 0: not known, and only the day counts)."""
        if at_ns == 0:
            return msgspec.structs.replace(self, day_count=self.day_count + 1)
        return OrderRates(
            second=self.second.counted(at_ns, SECOND_NS),
            minute=self.minute.counted(at_ns, MINUTE_NS),
            hour=self.hour.counted(at_ns, HOUR_NS),
            day_count=self.day_count + 1,
        )
