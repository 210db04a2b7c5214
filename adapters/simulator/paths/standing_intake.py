"""Reads the bodies of super and forever orders, conversions and controls, as strictly as those of plain orders."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from adapters.simulator.books.account import OrderTerms
from adapters.simulator.books.standing_books import ForeverOrder, SuperOrder
from adapters.simulator.books.standing_records import (
    ENTRY_LEG,
    STOP_LOSS_LEG,
    TARGET_LEG,
    ForeverLeg,
    PositionConverted,
    ProfitExitSet,
    SuperTerms,
)
from adapters.simulator.paths.intake import (
    checked_fields,
    integer_of,
    is_nothing,
    number_of,
    price_on_tick,
    read_order,
    read_terms,
    word_of,
)
from adapters.simulator.standing.controls import PRODUCTS_OF
from adapters.simulator.standing.forever_orders import ForeverOrders
from adapters.simulator.trading.simulator import OrderRequest
from adapters.simulator.words.refusals import bad_input
from adapters.simulator.words.rows import segment_of, type_word
from commands.ports import Instruments
from domain.instrument import Instrument, InstrumentKey, InstrumentUnknown
from domain.money import E4_PER_RUPEE, PAISE_PER_RUPEE
from domain.order import OrderType, Side

_LEVELS = ("targetPrice", "stopLossPrice", "trailingJump")
_SECOND_LEG = {"price1": "price", "triggerPrice1": "triggerPrice", "quantity1": "quantity"}
_FOREVER_PRODUCTS = frozenset({"CNC", "MTF"})
_PLAIN_TYPES = frozenset({OrderType.LIMIT, OrderType.MARKET})
_CHANGED_BY_LEG = {
    ENTRY_LEG: frozenset({"orderType", "quantity", "price", *_LEVELS}),
    TARGET_LEG: frozenset({"targetPrice"}),
    STOP_LOSS_LEG: frozenset({"stopLossPrice", "trailingJump"}),
}
_FOREVER_CHANGE = frozenset(
    {
        "dhanClientId",
        "orderId",
        "orderFlag",
        "orderType",
        "legName",
        "quantity",
        "price",
        "disclosedQuantity",
        "triggerPrice",
        "validity",
    }
)
_CONVERSION = frozenset(
    {
        "dhanClientId",
        "fromProductType",
        "exchangeSegment",
        "positionType",
        "securityId",
        "tradingSymbol",
        "convertQty",
        "toProductType",
    }
)
_PROFIT_EXIT = frozenset({"dhanClientId", "profitValue", "lossValue", "productType", "enableKillSwitch"})


# --- Super orders


def read_super_order(
    body: Any, *, client_id: str, instruments: Instruments, market_time_ns: int
) -> tuple[OrderRequest, SuperTerms]:
    """Return the entry that *body* describes, and how the order ends.

    A leg whose price is 0 or not named is not there; one of them has to be.

    Raises:
        Refusal: anything about it is wrong.
    """
    fields = _dictionary(body)
    plain = {name: value for name, value in fields.items() if name not in _LEVELS}
    if not plain.keys().isdisjoint({"afterMarketOrder", "amoTime", "boProfitValue", "boStopLossValue", "triggerPrice"}):
        raise bad_input()
    request = read_order(
        {"validity": "DAY", **plain}, client_id=client_id, instruments=instruments, market_time_ns=market_time_ns
    )
    if request.order_type not in _PLAIN_TYPES:
        raise bad_input()
    return replace(request, leg=ENTRY_LEG), _super_terms(
        fields, request.instrument, request.side, request.limit_price_e4
    )


def read_super_change(body: Any, *, client_id: str, order: SuperOrder) -> tuple[str, OrderTerms | None, SuperTerms]:
    """Return which leg of *order* is to be changed, what the entry shall be where it is that, and how the order ends.

    What *body* does not name stays as it is; but a change of the stop that names no trail ends it.

    Raises:
        Refusal: anything about it is wrong.
    """
    fields = _dictionary(body)
    leg = word_of(fields, "legName")
    if leg not in _CHANGED_BY_LEG:
        raise bad_input()
    checked_fields(body, client_id, _CHANGED_BY_LEG[leg] | {"dhanClientId", "orderId", "legName"})
    if str(fields.get("orderId", order.entry.order_id)) != order.entry.order_id:
        raise bad_input()
    entry = order.entry
    standing = {
        "targetPrice": _rupees(order.terms.target_price_e4),
        "stopLossPrice": _rupees(order.terms.stop_loss_price_e4),
        "trailingJump": 0 if leg == STOP_LOSS_LEG else _rupees(order.terms.trailing_jump_e4),
    }
    if leg != ENTRY_LEG:
        price_e4 = 0 if entry.filled_quantity else entry.limit_price_e4
        return leg, None, _super_terms({**standing, **fields}, entry.instrument, entry.side, price_e4)
    asked = {
        "orderType": type_word(entry.order_type),
        "validity": entry.time_in_force.value,
        "price": _rupees(entry.limit_price_e4),
        **fields,
    }
    terms = read_terms(asked, integer_of(fields.get("quantity", entry.quantity)), entry.instrument, entry.side)
    if terms.order_type not in _PLAIN_TYPES or terms.quantity <= 0:
        raise bad_input()
    return leg, terms, _super_terms({**standing, **fields}, entry.instrument, entry.side, terms.limit_price_e4)


def _super_terms(fields: Mapping[str, Any], instrument: Instrument, side: Side, price_e4: int) -> SuperTerms:
    """Return how an order on *side* ends that enters at *price_e4* (0: at any price)."""
    target_e4, stop_e4, jump_e4 = (_level(fields.get(name, 0), instrument) for name in _LEVELS)
    levels_e4 = [level_e4 for level_e4 in (stop_e4, price_e4, target_e4) if level_e4]
    if not (target_e4 or stop_e4) or (jump_e4 and not stop_e4):
        raise bad_input()
    if levels_e4 != sorted(set(levels_e4), reverse=side is Side.SELL):
        raise bad_input()
    return SuperTerms(target_price_e4=target_e4, stop_loss_price_e4=stop_e4, trailing_jump_e4=jump_e4)


def _level(value: Any, instrument: Instrument) -> int:
    return 0 if number_of(value) == 0 else price_on_tick(value, instrument, is_used=True)


# --- Forever orders


def read_forever_order(
    body: Any, *, client_id: str, instruments: Instruments, market_time_ns: int, forever_orders: ForeverOrders
) -> tuple[OrderRequest, list[ForeverLeg]]:
    """Return what identifies the forever order in *body*, as an order, and its legs: one, or two of an OCO.

    Raises:
        Refusal: anything about it is wrong.
    """
    fields = _dictionary(body)
    flag = word_of(fields, "orderFlag")
    own = {*_SECOND_LEG, "orderFlag", "triggerPrice"}
    plain = {name: value for name, value in fields.items() if name not in own}
    if flag not in {"SINGLE", "OCO"} or not plain.keys().isdisjoint({"afterMarketOrder", "amoTime"}):
        raise bad_input()
    if any(is_nothing(fields[name]) for name in own & fields.keys()):
        raise bad_input()
    request = read_order(plain, client_id=client_id, instruments=instruments, market_time_ns=market_time_ns)
    if request.product not in _FOREVER_PRODUCTS:
        raise bad_input()
    instrument, side = request.instrument, request.side
    first = _forever_leg(TARGET_LEG, fields, instrument, side, fires_above=side is Side.SELL)
    if flag == "SINGLE":
        fires_above = forever_orders.fires_above(instrument, side, first.trigger_price_e4)
        return request, [_forever_leg(TARGET_LEG, fields, instrument, side, fires_above=fires_above)]
    named_second = {first_name: fields.get(second_name) for second_name, first_name in _SECOND_LEG.items()}
    second = _forever_leg(STOP_LOSS_LEG, {**fields, **named_second}, instrument, side, fires_above=side is Side.BUY)
    if side.sign * (second.trigger_price_e4 - first.trigger_price_e4) <= 0:
        raise bad_input()
    return request, [first, second]


def read_forever_change(body: Any, *, client_id: str, order: ForeverOrder, forever_orders: ForeverOrders) -> ForeverLeg:
    """Return what *body* makes of a leg of *order*; what it does not name stays as it is.

    Raises:
        Refusal: anything about it is wrong.
    """
    fields = checked_fields(body, client_id, _FOREVER_CHANGE)
    leg = order.legs.get(word_of(fields, "legName"))
    flag = "OCO" if len(order.legs) > 1 else "SINGLE"
    if leg is None or str(fields.get("orderId", order.order_id)) != order.order_id:
        raise bad_input()
    if fields.get("orderFlag", flag) != flag:
        raise bad_input()
    asked = {
        "orderType": type_word(leg.order_type),
        "validity": leg.time_in_force.value,
        "quantity": leg.quantity,
        "price": _rupees(leg.limit_price_e4),
        "triggerPrice": _rupees(leg.trigger_price_e4),
        "disclosedQuantity": leg.disclosed_quantity,
        **fields,
    }
    changed = _forever_leg(leg.leg, asked, order.instrument, order.side, fires_above=leg.fires_above)
    if flag == "OCO" or changed.trigger_price_e4 == leg.trigger_price_e4:
        return changed
    fires_above = forever_orders.fires_above(order.instrument, order.side, changed.trigger_price_e4)
    return _forever_leg(leg.leg, asked, order.instrument, order.side, fires_above=fires_above)


def _forever_leg(
    leg: str, fields: Mapping[str, Any], instrument: Instrument, side: Side, *, fires_above: bool
) -> ForeverLeg:
    quantity = integer_of(fields.get("quantity"))
    terms = read_terms(fields, quantity, instrument, side)
    if quantity <= 0 or terms.order_type not in _PLAIN_TYPES:
        raise bad_input()
    return ForeverLeg(
        leg=leg,
        order_type=terms.order_type,
        time_in_force=terms.time_in_force,
        quantity=quantity,
        limit_price_e4=terms.limit_price_e4,
        trigger_price_e4=price_on_tick(fields.get("triggerPrice"), instrument, is_used=True),
        fires_above=fires_above,
        disclosed_quantity=terms.disclosed_quantity,
    )


# --- Positions and controls


def read_conversion(body: Any, *, client_id: str, instruments: Instruments, market_time_ns: int) -> PositionConverted:
    """Return the conversion that *body* asks for.

    Raises:
        Refusal: anything about it is wrong.
    """
    fields = checked_fields(body, client_id, _CONVERSION)
    segment = segment_of(word_of(fields, "exchangeSegment"))
    quantity = integer_of(fields.get("convertQty"))
    position_type = word_of(fields, "positionType")
    if segment is None or quantity <= 0 or position_type not in {"LONG", "SHORT"}:
        raise bad_input()
    try:
        instrument = instruments.by_key(
            InstrumentKey(segment, str(fields.get("securityId", ""))), market_time_ns=market_time_ns
        )
    except InstrumentUnknown:
        raise bad_input() from None
    return PositionConverted(
        client_id=client_id,
        instrument=instrument,
        from_product=word_of(fields, "fromProductType"),
        to_product=word_of(fields, "toProductType"),
        quantity=quantity if position_type == "LONG" else -quantity,
        time_ns=market_time_ns,
    )


def read_profit_exit(body: Any, *, client_id: str, market_time_ns: int) -> ProfitExitSet:
    """Return the exit by profit or loss that *body* asks for; one of the two amounts may be missing.

    Raises:
        Refusal: anything about it is wrong.
    """
    fields = _dictionary(body)
    if "dhanClientId" not in fields:
        raise bad_input("dhanClientId is required")
    checked_fields(body, client_id, _PROFIT_EXIT)
    products = fields.get("productType", ["INTRADAY"])
    kills = fields.get("enableKillSwitch", False)
    if not isinstance(products, list) or not products or not isinstance(kills, bool):
        raise bad_input()
    if not all(isinstance(product, str) and product in PRODUCTS_OF for product in products):
        raise bad_input()
    profit_paise, loss_paise = (
        _amount(fields[name]) if name in fields else None for name in ("profitValue", "lossValue")
    )
    if profit_paise is None and loss_paise is None:
        raise bad_input()
    return ProfitExitSet(
        client_id=client_id,
        profit_paise=profit_paise,
        loss_paise=loss_paise,
        products=tuple(products),
        kills=kills,
        time_ns=market_time_ns,
    )


def _amount(value: Any) -> int:
    paise = number_of(value) * PAISE_PER_RUPEE
    if paise <= 0 or paise != paise.to_integral_value():
        raise bad_input()
    return int(paise)


def _dictionary(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise bad_input()
    return body


def _rupees(price_e4: int) -> Decimal:
    return Decimal(price_e4) / E4_PER_RUPEE
