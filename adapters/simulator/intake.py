"""Checks the body of a new or a changed order as strictly as the broker does, and reads it."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from adapters.simulator.books import BookedOrder, OrderTerms
from adapters.simulator.margins import Leg
from adapters.simulator.refusals import (
    INCORRECT_REQUEST,
    TRIGGER_ABOVE_PRICE,
    TRIGGER_BELOW_PRICE,
    authentication_error,
    bad_input,
    order_error,
)
from adapters.simulator.rows import type_of
from adapters.simulator.simulator import AMO_DELAYS_S, OrderRequest
from commands.ports import Instruments
from domain.instrument import Instrument, InstrumentKey, InstrumentUnknown, Segment
from domain.money import E4_PER_RUPEE
from domain.order import OrderType, Side, TimeInForce

CORRELATION_ID_LENGTH_MAX = 25
_CORRELATION_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_- ")
_SEGMENTS = {segment.value: segment for segment in Segment if segment is not Segment.INDEX}
_PRODUCTS = frozenset({"CNC", "INTRADAY", "MARGIN", "MTF"})
_FIELDS = frozenset(
    {
        "dhanClientId",
        "correlationId",
        "transactionType",
        "exchangeSegment",
        "productType",
        "orderType",
        "validity",
        "securityId",
        "quantity",
        "disclosedQuantity",
        "price",
        "triggerPrice",
        "afterMarketOrder",
        "amoTime",
        "boProfitValue",
        "boStopLossValue",
    }
)
_CHANGE_FIELDS = frozenset(
    {
        "dhanClientId",
        "orderId",
        "orderType",
        "legName",
        "quantity",
        "price",
        "disclosedQuantity",
        "triggerPrice",
        "validity",
    }
)
_NULLABLE = frozenset({"boProfitValue", "boStopLossValue", "legName"})
_DISCLOSED_PART_MIN = Decimal("0.3")


def read_order(
    body: Any, *, client_id: str, instruments: Instruments, market_time_ns: int, is_sliced: bool = False
) -> OrderRequest:
    """Return the order that *body* describes; one that is to be sliced may be above the freeze quantity.

    Numbers may be strings and the security id a number, as with the broker. A missing correlation id becomes
    `<client>-<epoch ms>`.

    Raises:
        adapters.simulator.refusals.Refusal: anything about it is wrong.
    """
    fields = checked_fields(body, client_id, _FIELDS)
    quantity = integer_of(fields.get("quantity"))
    if quantity <= 0:
        raise bad_input("quantity is required")
    segment = _SEGMENTS.get(word_of(fields, "exchangeSegment"))
    product = word_of(fields, "productType")
    if segment is None or product not in _PRODUCTS:
        raise bad_input()
    try:
        side = Side(word_of(fields, "transactionType"))
        instrument = instruments.by_key(
            InstrumentKey(segment, str(fields.get("securityId", ""))), market_time_ns=market_time_ns
        )
    except (ValueError, InstrumentUnknown):
        raise bad_input() from None
    terms = read_terms(fields, quantity, instrument, side, is_sliced=is_sliced)
    return OrderRequest(
        correlation_id=correlation_id_of(fields, client_id, market_time_ns),
        instrument=instrument,
        side=side,
        order_type=terms.order_type,
        product=product,
        time_in_force=terms.time_in_force,
        quantity=terms.quantity,
        limit_price_e4=terms.limit_price_e4,
        trigger_price_e4=terms.trigger_price_e4,
        disclosed_quantity=terms.disclosed_quantity,
        amo_time=_amo_time(fields, terms),
    )


def read_leg(body: Any, *, client_id: str, instruments: Instruments, market_time_ns: int) -> Leg:
    """Return the order whose margin *body* asks for, whether it would be taken or not; its price is 0 at the market.

    Raises:
        adapters.simulator.refusals.Refusal: it cannot.
    """
    if not isinstance(body, dict):
        raise bad_input()
    if str(body.get("dhanClientId", client_id)) != client_id:
        raise authentication_error()
    segment, product = _SEGMENTS.get(word_of(body, "exchangeSegment")), word_of(body, "productType")
    quantity, price_e4 = integer_of(body.get("quantity")), price_of(body.get("price"))
    if segment is None or product not in _PRODUCTS or quantity <= 0 or price_e4 < 0:
        raise bad_input()
    key = InstrumentKey(segment, str(body.get("securityId", "")))
    try:
        side = Side(word_of(body, "transactionType"))
        instruments.by_key(key, market_time_ns=market_time_ns)
    except (ValueError, InstrumentUnknown):
        raise bad_input() from None
    return Leg(instrument=key, product=product, side=side, quantity=quantity, price_e4=price_e4)


def check_quantity(body: Any) -> None:
    """Look at the quantity of a new order alone, which the broker does before anything else.

    Raises:
        adapters.simulator.refusals.Refusal: there is none, or it is not above zero.
    """
    if not isinstance(body, dict):
        raise bad_input()
    if integer_of(body.get("quantity")) <= 0:
        raise bad_input("quantity is required")


def read_change(body: Any, *, client_id: str, order: BookedOrder) -> OrderTerms:
    """Return what *body* makes of *order*; what it does not name stays as it is.

    Raises:
        adapters.simulator.refusals.Refusal: anything about it is wrong.
    """
    fields = checked_fields(body, client_id, _CHANGE_FIELDS)
    if str(fields.get("orderId", "")) != order.order_id:
        raise bad_input()
    latest = order.changes[-1] if order.changes else order
    standing = {
        "price": Decimal(latest.limit_price_e4) / E4_PER_RUPEE,
        "triggerPrice": Decimal(latest.trigger_price_e4) / E4_PER_RUPEE,
        "disclosedQuantity": latest.disclosed_quantity,
    }
    quantity = integer_of(fields.get("quantity", latest.quantity))
    if quantity <= 0:
        raise bad_input("quantity is required")
    return read_terms({**standing, **fields}, quantity, order.instrument, order.side)


def read_terms(
    fields: Mapping[str, Any], quantity: int, instrument: Instrument, side: Side, *, is_sliced: bool = False
) -> OrderTerms:
    """Return what *fields* say of an order in *instrument* beside what identifies it.

    Raises:
        adapters.simulator.refusals.Refusal: anything about it is wrong.
    """
    order_type = type_of(word_of(fields, "orderType"))
    try:
        time_in_force = TimeInForce(word_of(fields, "validity"))
    except ValueError:
        raise bad_input() from None
    if order_type is None:
        raise bad_input()
    if order_type is OrderType.SL_M:
        raise order_error(INCORRECT_REQUEST)  # It does not rest at the broker since March 2026.
    freeze = None if is_sliced else instrument.freeze_quantity
    if not instrument.tradable or quantity % instrument.lot or (freeze is not None and quantity > freeze):
        raise bad_input()
    has_limit, is_stop = order_type is not OrderType.MARKET, order_type is OrderType.SL
    return OrderTerms(
        order_type=order_type,
        time_in_force=time_in_force,
        quantity=quantity,
        limit_price_e4=price_on_tick(fields.get("price", 0), instrument, is_used=has_limit),
        trigger_price_e4=_trigger(fields, instrument, side) if is_stop else 0,
        disclosed_quantity=_disclosed(fields, quantity),
    )


def _trigger(fields: Mapping[str, Any], instrument: Instrument, side: Side) -> int:
    trigger_e4 = price_on_tick(fields.get("triggerPrice", 0), instrument, is_used=True)
    beyond_e4 = side.sign * (trigger_e4 - price_of(fields.get("price", 0)))
    if beyond_e4 > 0:
        raise order_error(TRIGGER_ABOVE_PRICE if side is Side.BUY else TRIGGER_BELOW_PRICE)
    return trigger_e4


def price_on_tick(value: Any, instrument: Instrument, *, is_used: bool) -> int:
    """Return a price in 1/10,000 rupee, 0 for one that is not used.

    Raises:
        adapters.simulator.refusals.Refusal: it is no number, or off the tick.
    """
    price_e4 = price_of(value)
    if not is_used:
        return 0
    if price_e4 <= 0 or not instrument.is_on_tick(price_e4):
        raise bad_input()
    return price_e4


def _amo_time(fields: Mapping[str, Any], terms: OrderTerms) -> str:
    """Return when an after market order goes to the exchange, nothing for any other order."""
    is_after_market = fields.get("afterMarketOrder", False)
    if not isinstance(is_after_market, bool):
        raise bad_input()
    if not is_after_market:
        return ""
    amo_time = word_of(fields, "amoTime")
    if amo_time not in AMO_DELAYS_S or terms.time_in_force is TimeInForce.IOC:
        raise bad_input()
    return amo_time


def checked_fields(body: Any, client_id: str, allowed: frozenset[str]) -> Mapping[str, Any]:
    """Return the fields of *body*: none but those *allowed*, none empty, in the name of this client.

    Raises:
        adapters.simulator.refusals.Refusal: it is otherwise.
    """
    if not isinstance(body, dict) or not allowed.issuperset(body):
        raise bad_input()
    if any(is_nothing(value) and not (value is None and name in _NULLABLE) for name, value in body.items()):
        raise bad_input()
    if str(body.get("dhanClientId", "")) != client_id:
        raise authentication_error()
    return body


def is_nothing(value: Any) -> bool:
    """Tell whether a value stands for none: the broker takes no field that is empty or null."""
    return value is None or value == ""


def word_of(fields: Mapping[str, Any], name: str) -> str:
    """Return a field that has to be text.

    Raises:
        adapters.simulator.refusals.Refusal: it is not there, or no text.
    """
    value = fields.get(name)
    if not isinstance(value, str):
        raise bad_input()
    return value


def number_of(value: Any) -> Decimal:
    """Return a number, which may come as text.

    Raises:
        adapters.simulator.refusals.Refusal: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise bad_input()
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise bad_input() from None
    if not number.is_finite():
        raise bad_input()
    return number


def integer_of(value: Any) -> int:
    """Return a whole number, which may come as text.

    Raises:
        adapters.simulator.refusals.Refusal: it is none.
    """
    if value is None:
        raise bad_input("quantity is required")
    number = number_of(value)
    if number != number.to_integral_value():
        raise bad_input()
    return int(number)


def price_of(value: Any) -> int:
    """Return rupees, a number that may come as text, in 1/10,000 rupee.

    Raises:
        adapters.simulator.refusals.Refusal: it is none, or has more than four places.
    """
    scaled = number_of(value) * E4_PER_RUPEE
    if scaled != scaled.to_integral_value():
        raise bad_input()
    return int(scaled)


def _disclosed(fields: Mapping[str, Any], quantity: int) -> int:
    disclosed = integer_of(fields.get("disclosedQuantity", 0))
    if disclosed and not _DISCLOSED_PART_MIN * quantity < disclosed <= quantity:
        raise bad_input()
    return disclosed


def correlation_id_of(fields: Mapping[str, Any], client_id: str, market_time_ns: int) -> str:
    """Return the client's own id of an order, `<client>-<epoch ms>` where none is given.

    Raises:
        adapters.simulator.refusals.Refusal: it is too long, or has other characters than the broker takes.
    """
    given = fields.get("correlationId")
    if given is None:
        return f"{client_id}-{market_time_ns // 1_000_000}"
    if (
        not isinstance(given, str)
        or len(given) > CORRELATION_ID_LENGTH_MAX
        or not _CORRELATION_CHARACTERS.issuperset(given)
    ):
        raise bad_input()
    return given
