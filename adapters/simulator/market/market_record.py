"""What the tape has shown so far of each instrument, beyond its last price: the day's statistics and the candles."""

from collections.abc import Mapping

from adapters.simulator.market.candles import Candle, Minutes
from adapters.simulator.market.day_statistics import DayStatistics, begun_with, followed_by
from adapters.simulator.tapes.tape import Tick
from domain.instrument import InstrumentKey
from domain.matching import Depth


class MarketRecord:
    """The record of one tape. It begins anew with every start of the simulator."""

    def __init__(self, previous_closes_e4: Mapping[InstrumentKey, int]) -> None:
        self._previous_closes_e4 = previous_closes_e4
        self._days: dict[InstrumentKey, DayStatistics] = {}
        self._minutes: dict[InstrumentKey, Minutes] = {}
        self._depths: dict[InstrumentKey, Depth | None] = {}

    def add(self, tick: Tick) -> None:
        """Enter a print."""
        key = tick.instrument
        day = self._days.get(key)
        if day is None:
            self._days[key] = begun_with(tick, previous_close_e4=self._previous_closes_e4.get(key, 0))
            self._minutes[key] = Minutes()
        else:
            self._days[key] = followed_by(day, tick)
        self._depths[key] = tick.depth
        self._minutes[key].add(tick.last_price_e4, volume=tick.volume, time_ns=tick.exchange_time_ns)

    def day_of(self, key: InstrumentKey) -> DayStatistics | None:
        """Return the statistics of the last day with a print, None where nothing was printed yet."""
        return self._days.get(key)

    def previous_close_e4(self, key: InstrumentKey) -> int:
        """Return the last price of the day before, 0 where nobody told one."""
        day = self._days.get(key)
        return day.previous_close_e4 if day is not None else self._previous_closes_e4.get(key, 0)

    def depth_of(self, key: InstrumentKey) -> Depth | None:
        """Return what the last print of an instrument told to be behind it, None where it told nothing."""
        return self._depths.get(key)

    def minutes_between(self, key: InstrumentKey, first_ns: int, end_ns: int) -> list[Candle]:
        """Return the minutes with prints that began from *first_ns* to before *end_ns*, oldest first."""
        minutes = self._minutes.get(key)
        return minutes.between(first_ns, end_ns) if minutes is not None else []
