"""Rows of super and forever orders and of a trader's controls, as the broker answers them."""

from typing import Any

from adapters.simulator.books.account import Status
from adapters.simulator.books.standing_books import ForeverOrder, SuperOrder
from adapters.simulator.books.standing_records import STOP_LOSS_LEG, TARGET_LEG, ForeverLeg, ProfitExitSet
from adapters.simulator.words.rows import ist_text, order_row, rupees, segment_word
from domain.money import format_paise

_CONFIRM = "CONFIRM"
_CLOSED = "CLOSED"
_TRIGGERED = "TRIGGERED"
_ENDED = frozenset({Status.REJECTED, Status.CANCELLED, Status.EXPIRED})


def super_order_row(order: SuperOrder, last_price_e4: int) -> dict[str, Any]:
    """Return a row of the super orders: the entry's, with the exit legs that the order has."""
    legs = [leg for leg in (STOP_LOSS_LEG, TARGET_LEG) if order.price_of(leg)]
    return {
        **order_row(order.entry),
        "orderStatus": _CLOSED if order.is_closed else order.entry.status.value,
        "ltp": rupees(last_price_e4),
        "legDetails": [_leg_row(order, leg) for leg in legs],
    }


def _leg_row(order: SuperOrder, leg: str) -> dict[str, Any]:
    made = order.exit_of(leg)
    waiting = order.held_quantity if order.waits(leg) else 0
    return {
        "orderId": order.entry.order_id if made is None else made.order_id,
        "legName": leg,
        "transactionType": order.entry.side.opposite.value,
        "totalQuatity": waiting if made is None else made.quantity,
        "remainingQuantity": waiting if made is None else made.leaves_quantity,
        "triggeredQuantity": 0 if made is None else made.quantity,
        "price": rupees(order.price_of(leg)),
        "orderStatus": _leg_status(order, leg),
        "trailingJump": rupees(order.terms.trailing_jump_e4) if leg == STOP_LOSS_LEG else 0.0,
    }


def _leg_status(order: SuperOrder, leg: str) -> str:
    made = order.exit_of(leg)
    if made is not None:
        return made.status.value if made.status in _ENDED else _TRIGGERED
    if order.waits(leg):
        return Status.PENDING.value
    ended_with_the_day = order.has_expired or order.entry.status is Status.EXPIRED
    is_canceled = order.is_closed or leg in order.canceled or not ended_with_the_day
    return (Status.CANCELLED if is_canceled else Status.EXPIRED).value


def forever_order_rows(order: ForeverOrder) -> list[dict[str, Any]]:
    """Return a row for each leg of a forever order."""
    return [_forever_row(order, leg) for leg in order.legs.values()]


def _forever_row(order: ForeverOrder, leg: ForeverLeg) -> dict[str, Any]:
    made = order.made if order.made is not None and order.made.leg == leg.leg else None
    return {
        "dhanClientId": order.client_id,
        "orderId": order.order_id,
        "correlationId": order.correlation_id,
        "orderStatus": _forever_status(order, leg),
        "transactionType": order.side.value,
        "exchangeSegment": segment_word(order.instrument.key.segment),
        "productType": order.product,
        "orderType": "OCO" if len(order.legs) > 1 else "SINGLE",
        "tradingSymbol": order.instrument.symbol,
        "securityId": order.instrument.key.security_id,
        "quantity": leg.quantity,
        "price": rupees(leg.limit_price_e4),
        "triggerPrice": rupees(leg.trigger_price_e4),
        "legName": leg.leg,
        "createTime": ist_text(order.created_ns),
        "updateTime": ist_text(order.updated_ns),
        "exchangeTime": None if made is None or made.reached_ns is None else ist_text(made.reached_ns),
        "drvExpiryDate": None,
        "drvOptionType": None,
        "drvStrikePrice": 0,
    }


def _forever_status(order: ForeverOrder, leg: ForeverLeg) -> str:
    if order.is_armed:
        return _CONFIRM
    if order.made is not None and order.made.leg == leg.leg:
        return order.made.status.value
    return (order.end or Status.CANCELLED).value


def kill_switch_row(client_id: str, *, is_active: bool) -> dict[str, Any]:
    """Return how a client's kill switch stands."""
    return {"dhanClientId": client_id, "killSwitchStatus": "ACTIVATE" if is_active else "DEACTIVATE"}


def profit_exit_row(wanted: ProfitExitSet | None) -> dict[str, Any]:
    """Return the profit or loss that will exit a client's positions; amounts are text, as the broker prints them."""
    return {
        "pnlExitStatus": "INACTIVE" if wanted is None else "ACTIVE",
        "profit": format_paise((wanted.profit_paise if wanted else None) or 0),
        "loss": format_paise((wanted.loss_paise if wanted else None) or 0),
        "productType": list(wanted.products) if wanted else [],
        "enable_kill_switch": wanted is not None and wanted.kills,
    }
