"""What the market shows at one moment: marks, and the snapshot a command carries."""

from datetime import date, datetime, timedelta, timezone

import msgspec

from domain.instrument import Instrument, InstrumentKey

EXCHANGE_ZONE = timezone(timedelta(hours=5, minutes=30), "IST")
"""Asia/Kolkata has had no daylight saving since 1945, so a fixed offset is exact for every date we meet."""
NS_PER_S = 1_000_000_000


def trading_day(market_time_ns: int) -> date:
    """Return the exchange's calendar day at *market_time_ns* (UTC nanoseconds)."""
    return datetime.fromtimestamp(market_time_ns // NS_PER_S, EXCHANGE_ZONE).date()


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The last traded price of an instrument.

    `exchange_time_ns` is the exchange's time of the trade, `received_at_ns` ours (both UTC nanoseconds). `number`
    counts the marks of all instruments in the order in which the market role saw them.
    """

    instrument: InstrumentKey
    last_price_e4: int
    exchange_time_ns: int
    received_at_ns: int
    number: int


class MarketSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The market as a decision sees it: stamped by the handler, never by the client.

    `market_time_ns` is the market clock (UTC nanoseconds). `instrument` is the definition in force for the instrument
    the command names, None where it names none. `marks` holds the command's instrument and every instrument the account
    has open, where a mark exists.
    """

    market_time_ns: int
    instrument: Instrument | None = None
    marks: tuple[Mark, ...] = ()

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        """Return the mark of *instrument*, None where there is none."""
        return next((mark for mark in self.marks if mark.instrument == instrument), None)
