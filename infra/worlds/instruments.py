"""What is traded in a world."""

from datetime import date

from adapters.instruments import InstrumentMaster
from adapters.tariffs import TariffTable
from domain.instrument import Instrument, InstrumentKey, Segment
from domain.risk import RiskParameters

PRICE_E4 = 1_000_0000
TICK_E4 = 500
STOCKS = tuple(
    Instrument(
        key=InstrumentKey(Segment.NSE_EQ, str(100 + number)),
        symbol=f"STOCK{number}",
        name=f"Stock {number}",
        tradable=True,
        tick_e4=TICK_E4,
        lot=1,
    )
    for number in range(2)
)
MASTER = InstrumentMaster((date.min, instrument) for instrument in STOCKS)
TARIFFS = TariffTable.load()
PARAMETERS = RiskParameters(
    day_loss_paise_max=10**12,
    drawdown_paise_max=10**12,
    intraday_entry_cutoff_minutes=0,
    duplicate_window_ms=0,
    self_cross_allowed=True,
)
"""Limits that deny little: what is to be tried is the way of what they let through."""
