"""Reads the bodies of alerts: one condition on a price, and the orders that it makes."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from adapters.simulator.books.standing_records import AlertCondition, AlertOrder
from adapters.simulator.paths.intake import checked_fields, is_nothing, price_of, read_order, word_of
from adapters.simulator.standing.alerts import OPERATORS
from adapters.simulator.words.refusals import bad_input
from adapters.simulator.words.rows import segment_of
from commands.ports import Instruments
from domain.instrument import InstrumentKey, InstrumentUnknown, Segment
from domain.market import trading_day

ORDERS_MAX = 15
PRICE_ALONE = "Conditions other than PRICE_WITH_VALUE are not simulated"
ONCE_ALONE = "A frequency other than ONCE is not simulated"
_SEGMENTS = frozenset({Segment.NSE_EQ, Segment.BSE_EQ, Segment.INDEX})
_BODY = frozenset({"dhanClientId", "alertId", "condition", "orders"})
_CONDITION = frozenset(
    {
        "comparisonType",
        "exchangeSegment",
        "securityId",
        "indicatorName",
        "timeFrame",
        "operator",
        "comparingValue",
        "comparingIndicatorName",
        "expDate",
        "frequency",
        "userNote",
    }
)
_ORDER = frozenset(
    {
        "transactionType",
        "exchangeSegment",
        "productType",
        "orderType",
        "securityId",
        "quantity",
        "validity",
        "price",
        "discQuantity",
        "triggerPrice",
    }
)
_A_YEAR = timedelta(days=365)
_LIFE_DAYS_MAX = 3_650


def read_alert(
    body: Any,
    *,
    client_id: str,
    instruments: Instruments,
    market_time_ns: int,
    standing_orders: tuple[AlertOrder, ...] = (),
) -> tuple[AlertCondition, tuple[AlertOrder, ...]]:
    """Return the condition in *body* and the orders it makes: *standing_orders* where none are named.

    Raises:
        Refusal: anything about it is wrong, or the simulator knows no such condition.
    """
    fields = checked_fields(body, client_id, _BODY)
    condition = _condition(fields.get("condition"), instruments, market_time_ns)
    if "orders" not in fields and standing_orders:
        return condition, standing_orders
    named = fields.get("orders")
    if not isinstance(named, list) or not 1 <= len(named) <= ORDERS_MAX:
        raise bad_input()
    orders = (
        _order(order, client_id=client_id, instruments=instruments, market_time_ns=market_time_ns) for order in named
    )
    return condition, tuple(orders)


def _condition(given: Any, instruments: Instruments, market_time_ns: int) -> AlertCondition:
    if not isinstance(given, dict) or not _CONDITION.issuperset(given):
        raise bad_input()
    if word_of(given, "comparisonType") != "PRICE_WITH_VALUE":
        raise bad_input(PRICE_ALONE)
    if given.get("frequency", "ONCE") != "ONCE":
        raise bad_input(ONCE_ALONE)
    segment, operator = segment_of(word_of(given, "exchangeSegment")), word_of(given, "operator")
    if segment not in _SEGMENTS or operator not in OPERATORS:
        raise bad_input()
    key = InstrumentKey(segment, str(given.get("securityId", "")))
    try:
        instruments.by_key(key, market_time_ns=market_time_ns)
    except InstrumentUnknown:
        raise bad_input() from None
    value_e4 = price_of(given.get("comparingValue"))
    if value_e4 <= 0:
        raise bad_input()
    note = given.get("userNote") or ""
    if not isinstance(note, str):
        raise bad_input()
    expires_on = _last_day(given, trading_day(market_time_ns))
    return AlertCondition(key=key, operator=operator, value_e4=value_e4, expires_on=expires_on, note=note)


def _last_day(given: Mapping[str, Any], today: date) -> str:
    try:
        last = date.fromisoformat(word_of(given, "expDate")) if given.get("expDate") else today + _A_YEAR
    except ValueError:
        raise bad_input() from None
    if not 0 <= (last - today).days <= _LIFE_DAYS_MAX:
        raise bad_input()
    return last.isoformat()


def _order(given: Any, *, client_id: str, instruments: Instruments, market_time_ns: int) -> AlertOrder:
    if not isinstance(given, dict) or not _ORDER.issuperset(given):
        raise bad_input()
    # Here alone the broker's library sends text of nothing for what an order has not.
    named = {name: value for name, value in given.items() if not is_nothing(value)}
    if "discQuantity" in named:
        named["disclosedQuantity"] = named.pop("discQuantity")
    request = read_order(
        {**named, "dhanClientId": client_id},
        client_id=client_id,
        instruments=instruments,
        market_time_ns=market_time_ns,
    )
    return AlertOrder(**{name: getattr(request, name) for name in AlertOrder.__struct_fields__})
