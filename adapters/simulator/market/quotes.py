"""A quote: what a screen shows of an instrument, put together from the tape's record, the master and the models."""

from dataclasses import dataclass

from adapters.simulator.market.day_statistics import ist_day
from adapters.simulator.market.depth import NOBODY, Depth, depth_around, depth_told
from adapters.simulator.market.market_record import MarketRecord
from adapters.simulator.market.open_interest import DERIVATIVES, NONE_OPEN, OpenInterest, open_interest
from adapters.simulator.market.seeds import seed_of
from commands.ports import Instruments
from domain.instrument import Instrument, InstrumentKey, InstrumentUnknown, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Prices in 1/10,000 rupee, quantities in units, times in UTC nanoseconds; 0 is what nobody has told.

    `last_time_ns` is None before the first print.
    """

    instrument: Instrument
    last_e4: int
    last_quantity: int
    last_time_ns: int | None
    average_e4: int
    volume: int
    open_e4: int
    high_e4: int
    low_e4: int
    previous_close_e4: int
    depth: Depth
    open_interest: OpenInterest


class QuoteBoard:
    """Makes quotes. Open interest, and depth where the tape has none, are models seeded by instrument and second."""

    def __init__(self, record: MarketRecord, instruments: Instruments) -> None:
        self._record = record
        self._instruments = instruments

    def quote_of(self, key: InstrumentKey, *, market_time_ns: int) -> Quote | None:
        """Return the quote of an instrument, one of noughts before its first print; None where it is unknown."""
        try:
            instrument = self._instruments.by_key(key, market_time_ns=market_time_ns)
        except InstrumentUnknown:
            return None
        day = self._record.day_of(key)
        previous_close_e4 = self._record.previous_close_e4(key)
        if day is None:
            return Quote(
                instrument=instrument,
                last_e4=0,
                last_quantity=0,
                last_time_ns=None,
                average_e4=0,
                volume=0,
                open_e4=0,
                high_e4=0,
                low_e4=0,
                previous_close_e4=previous_close_e4,
                depth=NOBODY,
                open_interest=_open_interest_of(instrument, ist_day(market_time_ns), 0),
            )
        return Quote(
            instrument=instrument,
            last_e4=day.last_e4,
            last_quantity=day.last_quantity,
            last_time_ns=day.last_time_ns,
            average_e4=day.average_e4,
            volume=day.volume,
            open_e4=day.open_e4,
            high_e4=day.high_e4,
            low_e4=day.low_e4,
            previous_close_e4=previous_close_e4,
            depth=self._depth_of(instrument, day.last_e4, day.last_time_ns),
            open_interest=_open_interest_of(instrument, day.day, day.volume),
        )

    def _depth_of(self, instrument: Instrument, last_e4: int, time_ns: int) -> Depth:
        told = self._record.depth_of(instrument.key)
        if told is not None:
            return depth_told(told)
        if instrument.key.segment is Segment.INDEX:
            return NOBODY  # Nobody trades an index.
        return depth_around(
            last_e4, tick_e4=instrument.tick_e4, lot=instrument.lot, seed=seed_of(instrument.key, time_ns, last_e4)
        )


def _open_interest_of(instrument: Instrument, day: int, volume: int) -> OpenInterest:
    if instrument.key.segment not in DERIVATIVES:
        return NONE_OPEN
    return open_interest(lot=instrument.lot, volume=volume, seed=seed_of(instrument.key, day))
