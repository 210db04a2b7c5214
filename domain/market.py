"""What the market shows at one moment: marks, and the snapshot a command carries."""

from datetime import date, datetime, timedelta, timezone

import msgspec

from domain.instrument import Instrument, InstrumentKey
from domain.session import SessionMoment

EXCHANGE_ZONE = timezone(timedelta(hours=5, minutes=30), "IST")
"""Asia/Kolkata has had no daylight saving since 1945, so a fixed offset is exact for every date we meet."""
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000


def trading_day(market_time_ns: int) -> date:
    """Return the exchange's calendar day at *market_time_ns* (UTC nanoseconds)."""
    return datetime.fromtimestamp(market_time_ns // NS_PER_S, EXCHANGE_ZONE).date()


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last traded price of an instrument.

    `exchange_time_ns` is the exchange's time of the trade, `received_at_ns` ours (both UTC nanoseconds). `number`
    counts the marks of all instruments in the order in which the market role saw them. `previous_close_e4` is the
    official close of the session before, `lower_circuit_e4` and `upper_circuit_e4` are the day's price band; None where
    the source tells none.
    """

    instrument: InstrumentKey
    last_price_e4: int
    exchange_time_ns: int
    received_at_ns: int
    number: int
    bid_price_e4: int | None = None
    ask_price_e4: int | None = None
    previous_close_e4: int | None = None
    lower_circuit_e4: int | None = None
    upper_circuit_e4: int | None = None


class Valuation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an account holds, valued at the marks of one moment. Amounts in paise.

    `day_result_paise` is what the day brought so far: realised, less charges, and the change of the open result since
    the later of entry and previous official close. `gross_exposure_paise` adds up what is held without regard to
    direction, `net_exposure_paise` with it; resting entries are not in them. `oldest_mark_ns` is the exchange's time of
    the oldest mark used, `missing` names the instruments held that have none (they count at cost, and not in the day's
    result).
    """

    day_result_paise: int = 0
    open_result_paise: int = 0
    gross_exposure_paise: int = 0
    net_exposure_paise: int = 0
    oldest_mark_ns: int | None = None
    missing: tuple[InstrumentKey, ...] = ()


class MarketSnapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The market as a decision sees it: stamped by the handler, never by the client.

    `market_time_ns` is the market clock (UTC nanoseconds). `instrument` is the definition in force for the instrument
    the command names, None where it names none. `marks` holds the command's instrument and every instrument the account
    has open, where a mark exists. `session` is the moment in the session of the instrument's segment, None where no
    table knows it. `valuation` is what the account holds at these marks, None where nobody stamped it (events of before
    it was).
    """

    market_time_ns: int
    instrument: Instrument | None = None
    marks: tuple[Mark, ...] = ()
    session: SessionMoment | None = None
    valuation: Valuation | None = None

    @property
    def trading_day(self) -> str:
        """The exchange's day (ISO)."""
        return trading_day(self.market_time_ns).isoformat() if self.session is None else self.session.trading_day

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        """Return the mark of *instrument*, None where there is none."""
        return next((mark for mark in self.marks if mark.instrument == instrument), None)
