"""Checks the body of a new order as strictly as the broker does, and reads it."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from adapters.simulator.refusals import authentication_error, bad_input, order_error
from adapters.simulator.simulator import OrderRequest
from commands.ports import Instruments
from domain.instrument import InstrumentKey, InstrumentUnknown, Segment
from domain.money import E4_PER_RUPEE
from domain.order import OrderType, Side, TimeInForce

CORRELATION_ID_LENGTH_MAX = 25
_CORRELATION_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_- ")
_SEGMENTS = {segment.value: segment for segment in Segment if segment is not Segment.INDEX}
_PRODUCTS = frozenset({"CNC", "INTRADAY", "MARGIN", "MTF"})
_STOP_TYPES = frozenset({"STOP_LOSS", "STOP_LOSS_MARKET"})
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
_NULLABLE = frozenset({"boProfitValue", "boStopLossValue"})
_DISCLOSED_PART_MIN = Decimal("0.3")


def read_order(body: Any, *, client_id: str, instruments: Instruments, market_time_ns: int) -> OrderRequest:
    """Return the order that *body* describes.

    Numbers may be strings and the security id a number, as with the broker. A missing correlation id becomes
    `<client>-<epoch ms>`.

    Raises:
        adapters.simulator.refusals.Refusal: anything about it is wrong.
    """
    fields = _checked_fields(body, client_id)
    quantity = _integer(fields.get("quantity"))
    if quantity <= 0:
        raise bad_input("quantity is required")
    order_type_word = _word(fields, "orderType")
    if order_type_word in _STOP_TYPES or fields.get("afterMarketOrder") is True:
        raise order_error("Stop and after market orders are not offered by this simulator")
    segment = _SEGMENTS.get(_word(fields, "exchangeSegment"))
    product = _word(fields, "productType")
    if segment is None or product not in _PRODUCTS:
        raise bad_input()
    try:
        side = Side(_word(fields, "transactionType"))
        order_type = OrderType(order_type_word)
        time_in_force = TimeInForce(_word(fields, "validity"))
        instrument = instruments.by_key(
            InstrumentKey(segment, str(fields.get("securityId", ""))), market_time_ns=market_time_ns
        )
    except (ValueError, InstrumentUnknown):
        raise bad_input() from None
    price_e4 = _price_e4(fields.get("price", 0))
    if order_type is OrderType.MARKET:
        price_e4 = 0
    elif price_e4 <= 0 or not instrument.is_on_tick(price_e4):
        raise bad_input()
    freeze = instrument.freeze_quantity
    if not instrument.tradable or quantity % instrument.lot or (freeze is not None and quantity > freeze):
        raise bad_input()
    _check_disclosed(fields, quantity)
    return OrderRequest(
        correlation_id=_correlation_id(fields, client_id, market_time_ns),
        instrument=instrument,
        side=side,
        order_type=order_type,
        product=product,
        time_in_force=time_in_force,
        quantity=quantity,
        limit_price_e4=price_e4,
    )


def _checked_fields(body: Any, client_id: str) -> Mapping[str, Any]:
    if not isinstance(body, dict) or not _FIELDS.issuperset(body):
        raise bad_input()
    if any(value == "" or (value is None and name not in _NULLABLE) for name, value in body.items()):
        raise bad_input()
    if str(body.get("dhanClientId", "")) != client_id:
        raise authentication_error()
    return body


def _word(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise bad_input()
    return value


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise bad_input()
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise bad_input() from None
    if not number.is_finite():
        raise bad_input()
    return number


def _integer(value: Any) -> int:
    if value is None:
        raise bad_input("quantity is required")
    number = _number(value)
    if number != number.to_integral_value():
        raise bad_input()
    return int(number)


def _price_e4(value: Any) -> int:
    scaled = _number(value) * E4_PER_RUPEE
    if scaled != scaled.to_integral_value():
        raise bad_input()
    return int(scaled)


def _check_disclosed(fields: Mapping[str, Any], quantity: int) -> None:
    disclosed = _integer(fields.get("disclosedQuantity", 0))
    if disclosed and not _DISCLOSED_PART_MIN * quantity < disclosed <= quantity:
        raise bad_input()


def _correlation_id(fields: Mapping[str, Any], client_id: str, market_time_ns: int) -> str:
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
