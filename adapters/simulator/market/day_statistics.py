"""What a session has shown of an instrument so far: open, high, low, volume, average. Pure; one day of the exchange."""

from dataclasses import dataclass

from adapters.simulator.tapes.tape import Tick
from domain.market import NS_PER_S

_IST_SHIFT_NS = 19_800 * NS_PER_S
_DAY_NS = 86_400 * NS_PER_S


def ist_day(time_ns: int) -> int:
    """Return the exchange's day at UTC nanoseconds, counted from 1970-01-01: cheap enough for every tick."""
    return (time_ns + _IST_SHIFT_NS) // _DAY_NS


@dataclass(slots=True)
class DayStatistics:
    """One instrument's day. Prices in 1/10,000 rupee, `value_e4` is quantity x price of all that traded.

    `day` counts from 1970. `previous_close_e4` is the last price of the day before, 0 where nobody told one.
    """

    day: int
    previous_close_e4: int
    open_e4: int
    high_e4: int
    low_e4: int
    last_e4: int
    last_quantity: int
    last_time_ns: int
    volume: int
    value_e4: int

    @property
    def average_e4(self) -> int:
        """The average price of what traded, 0 where nothing did (an index)."""
        return self.value_e4 // self.volume if self.volume else 0


def begun_with(tick: Tick, *, previous_close_e4: int) -> DayStatistics:
    """Return the statistics of the day that *tick* opens."""
    price_e4 = tick.last_price_e4
    return DayStatistics(
        day=ist_day(tick.exchange_time_ns),
        previous_close_e4=previous_close_e4,
        open_e4=price_e4,
        high_e4=price_e4,
        low_e4=price_e4,
        last_e4=price_e4,
        last_quantity=tick.volume,
        last_time_ns=tick.exchange_time_ns,
        volume=tick.volume,
        value_e4=tick.volume * price_e4,
    )


def followed_by(so_far: DayStatistics, tick: Tick) -> DayStatistics:
    """Return the statistics after *tick*: *so_far*, changed, or those of a new day that it opens."""
    if ist_day(tick.exchange_time_ns) > so_far.day:
        return begun_with(tick, previous_close_e4=so_far.last_e4)
    price_e4 = tick.last_price_e4
    if price_e4 > so_far.high_e4:
        so_far.high_e4 = price_e4
    elif price_e4 < so_far.low_e4:
        so_far.low_e4 = price_e4
    so_far.last_e4 = price_e4
    so_far.last_time_ns = tick.exchange_time_ns
    if tick.volume:
        so_far.last_quantity = tick.volume
        so_far.volume += tick.volume
        so_far.value_e4 += tick.volume * price_e4
    return so_far
