"""Candles of what was printed: kept by the minute, made longer when somebody asks.

Longer candles are counted from the open of the session, as the broker's are: those of 25 and 60 minutes begin at
09:15, 09:40 and at 09:15, 10:15; at the commodity exchange from 09:00.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from domain.instrument import Segment
from domain.market import NS_PER_S

_MINUTE_NS = 60 * NS_PER_S
_DAY_MINUTES = 24 * 60
_IST_SHIFT_MINUTES = 330
_KEPT_MAX = 20_000
"""Minutes of one instrument: more than fifty sessions."""
_OPEN_MINUTE = 9 * 60 + 15
_OPEN_MINUTES = {Segment.MCX_COMM: 9 * 60}


class Candle(NamedTuple):
    """One stretch of time with prints: when it began (UTC nanoseconds), prices in 1/10,000 rupee, units traded."""

    begins_ns: int
    open_e4: int
    high_e4: int
    low_e4: int
    close_e4: int
    volume: int


class Minutes:
    """The candles of one instrument, a minute each, the latest 20,000 of them. Minutes without a print have none."""

    def __init__(self) -> None:
        self._minutes = array("q")
        self._opens = array("q")
        self._highs = array("q")
        self._lows = array("q")
        self._closes = array("q")
        self._volumes = array("q")

    def add(self, price_e4: int, *, volume: int, time_ns: int) -> None:
        """Enter a print. One that is stamped with an earlier minute than the print before counts in that one's."""
        minute = time_ns // _MINUTE_NS
        if not self._minutes or minute > self._minutes[-1]:
            self._begin(minute, price_e4, volume)
            return
        if price_e4 > self._highs[-1]:
            self._highs[-1] = price_e4
        elif price_e4 < self._lows[-1]:
            self._lows[-1] = price_e4
        self._closes[-1] = price_e4
        self._volumes[-1] += volume

    def between(self, first_ns: int, end_ns: int) -> list[Candle]:
        """Return the minutes that began from *first_ns* to before *end_ns*, oldest first."""
        first = bisect_left(self._minutes, -(-first_ns // _MINUTE_NS))
        end = bisect_left(self._minutes, -(-end_ns // _MINUTE_NS))
        rows = zip(*(column[first:end] for column in self._columns), strict=True)
        return [Candle(minute * _MINUTE_NS, *rest) for minute, *rest in rows]

    @property
    def _columns(self) -> tuple["array[int]", ...]:
        return self._minutes, self._opens, self._highs, self._lows, self._closes, self._volumes

    def _begin(self, minute: int, price_e4: int, volume: int) -> None:
        if len(self._minutes) >= 2 * _KEPT_MAX:
            for column in self._columns:
                del column[:_KEPT_MAX]
        for column, value in zip(self._columns, (minute, price_e4, price_e4, price_e4, price_e4, volume), strict=True):
            column.append(value)


def joined(candles: Iterable[Candle], *, minutes: int, segment: Segment) -> list[Candle]:
    """Return candles of *minutes* each, made of shorter ones (oldest first) that lie within them."""
    anchor = (_OPEN_MINUTES.get(segment, _OPEN_MINUTE) - _IST_SHIFT_MINUTES) * _MINUTE_NS
    length_ns = minutes * _MINUTE_NS
    day_ns = _DAY_MINUTES * _MINUTE_NS

    def beginning(time_ns: int) -> int:
        # Each day counts anew from its open: 25 minutes do not divide a day.
        open_ns = (time_ns - anchor) // day_ns * day_ns + anchor
        return open_ns + (time_ns - open_ns) // length_ns * length_ns

    return list(_joined_by(candles, beginning))


def joined_by_day(candles: Iterable[Candle]) -> list[Candle]:
    """Return a candle for each day of the exchange, which begins at its midnight."""
    shift_ns, day_ns = _IST_SHIFT_MINUTES * _MINUTE_NS, _DAY_MINUTES * _MINUTE_NS
    return list(_joined_by(candles, lambda time_ns: (time_ns + shift_ns) // day_ns * day_ns - shift_ns))


def _joined_by(candles: Iterable[Candle], beginning: Callable[[int], int]) -> Iterator[Candle]:
    current: Candle | None = None
    for candle in candles:
        begins_ns = beginning(candle.begins_ns)
        if current is None or begins_ns != current.begins_ns:
            if current is not None:
                yield current
            current = candle._replace(begins_ns=begins_ns)
        else:
            current = Candle(
                begins_ns,
                current.open_e4,
                max(current.high_e4, candle.high_e4),
                min(current.low_e4, candle.low_e4),
                candle.close_e4,
                current.volume + candle.volume,
            )
    if current is not None:
        yield current
