"""Which orders an account takes on days out of the ordinary."""

from datetime import datetime

import pytest
from msgspec.structs import replace

from adapters.sessions import shipped_table
from domain.account import decider
from domain.account.commands import OpenTrade
from domain.account.events import OrderDenied
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.order import OrderType, Product, TimeInForce
from domain.risk import DenialCode
from tests.support.specimens import account_opened, mark, market, open_limit, open_trade, reliance

C = DenialCode
TABLE = shipped_table()
STOCK = replace(reliance, has_derivatives=True)
delivery = replace(open_trade, product=Product.CNC)
tomorrows = replace(delivery, after_market=True)
at_once = replace(delivery, time_in_force=TimeInForce.IOC)


def denial(intent: OpenTrade, when: str) -> DenialCode | None:
    """Return why an account denies *intent* at *when* (Indian time), None where it takes it."""
    at_ns = int(datetime.fromisoformat(when).replace(tzinfo=EXCHANGE_ZONE).timestamp()) * NS_PER_S
    shown = replace(
        market,
        market_time_ns=at_ns,
        instrument=STOCK,
        marks=(replace(mark, exchange_time_ns=at_ns),),
        session=TABLE.moment_of(STOCK, at_ns),
    )
    account = decider.fold((account_opened,))
    denied = [
        event for event in decider.decide(replace(intent, market=shown), account) if isinstance(event, OrderDenied)
    ]
    return denied[0].code if denied else None


@pytest.mark.parametrize(
    ("when", "intent", "code"),
    [
        # Muhurat in the evening: a day order of that hour, and one for it in the morning.
        ("2024-11-01 10:00", delivery, C.MARKET_CLOSED),
        ("2024-11-01 10:00", tomorrows, None),
        ("2024-11-01 18:30", delivery, None),
        ("2024-11-01 18:30", at_once, None),
        ("2024-11-01 18:30", tomorrows, C.AFTER_MARKET_NOT_ALLOWED),
        ("2024-11-01 18:30", open_trade, None),
        ("2024-11-01 18:59", open_trade, C.INTRADAY_ENTRY_TOO_LATE),
        ("2024-11-01 19:30", tomorrows, None),
        ("2025-10-21 14:00", delivery, None),
        ("2025-10-21 15:00", delivery, C.MARKET_CLOSED),
        # A Saturday in two parts.
        ("2024-03-02 09:59", open_trade, None),
        ("2024-03-02 10:30", delivery, C.MARKET_CLOSED),
        ("2024-03-02 10:30", tomorrows, C.AFTER_MARKET_NOT_ALLOWED),
        ("2024-03-02 12:29", open_trade, C.INTRADAY_ENTRY_TOO_LATE),
        # A longer day, a Sunday, a holiday.
        ("2021-02-24 16:30", open_trade, None),
        ("2026-02-01 10:00", open_trade, None),
        ("2026-01-15 10:00", delivery, C.MARKET_CLOSED),
        # What nobody knows: beyond the lists, and a Muhurat without hours.
        ("2027-01-04 10:00", delivery, C.CALENDAR_UNKNOWN),
        ("2027-01-04 18:00", tomorrows, C.CALENDAR_UNKNOWN),
        ("2026-11-08 18:30", delivery, C.CALENDAR_UNKNOWN),
        # An ordinary day, and the auction at its end.
        ("2026-11-20 15:22", replace(open_limit, product=Product.CNC), None),
        ("2026-11-20 15:22", at_once, C.TIME_IN_FORCE_NOT_ALLOWED),
        ("2026-11-20 15:26", replace(delivery, order_type=OrderType.MARKET), C.PHASE_ORDER_TYPE_NOT_ALLOWED),
    ],
)
def test_a_day_takes_the_orders_of_its_own_hours(when: str, intent: OpenTrade, code: DenialCode | None) -> None:
    assert denial(intent, when) == code
