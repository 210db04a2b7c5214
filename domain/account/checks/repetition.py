"""Repetition and rate."""

from typing import NamedTuple

from domain.account.checks.intent import Intent, denied, order_count
from domain.account.rates import HOUR_NS, MINUTE_NS, SECOND_NS, Window
from domain.account.state import Trade
from domain.market import NS_PER_MS
from domain.money import format_e4
from domain.order import OrderType, Product
from domain.risk import Denial, DenialCode

DUPLICATES_LOOKED_AT = 200
"""Newest trades among which a duplicate is looked for: a bound, should thousands come within the window."""
_RESTING = frozenset({OrderType.SL, OrderType.SL_M})


def duplicate(intent: Intent) -> Denial | None:
    """Demand that the same strategy did not ask for the same a moment ago."""
    window_ms = intent.limits.duplicate_window_ms
    if not window_ms:
        return None
    since_ns = intent.now_ns - window_ms * NS_PER_MS
    looked_at = 0
    for trade in reversed(intent.account.trades.values()):
        if trade.is_external:
            continue
        looked_at += 1
        if trade.opened_at_ns <= since_ns or looked_at > DUPLICATES_LOOKED_AT:
            return None
        if _is_same(trade, intent):
            age_ms = (intent.now_ns - trade.opened_at_ns) // NS_PER_MS
            return denied(
                DenialCode.DUPLICATE_INTENT,
                f"another one within {window_ms} ms",
                f"{trade.trade_id}, {age_ms} ms ago",
                f"the same in {window_ms - age_ms} ms",
            )
    return None


def _is_same(trade: Trade, intent: Intent) -> bool:
    told = trade.entry
    return (
        told.instrument == intent.instrument.key
        and told.side is intent.side
        and told.quantity == intent.quantity
        and told.product is intent.product
        and trade.strategy_id == intent.strategy_id
        and told.order_type is (OrderType.SL if intent.order_type is OrderType.SL_M else intent.order_type)
        and told.trigger_price_e4 == intent.trigger_e4
        and (told.limit_price_e4 == intent.limit_e4 or intent.order_type is OrderType.SL_M)
    )


def self_cross(intent: Intent) -> Denial | None:
    """Demand that an order does not meet one of the account's own that rests on the other side."""
    if not intent.totals.resting_limits or intent.limits.self_cross_allowed or intent.order_type in _RESTING:
        return None
    reach = intent.limit_e4
    if reach is None and intent.mark is not None:
        reach = intent.mark.ask_price_e4 if intent.is_buy else intent.mark.bid_price_e4
        reach = intent.mark.last_price_e4 if reach is None else reach
    if reach is None:
        return None
    for product in Product:
        for order_id, price in intent.account.exposure(intent.instrument.key, product).limits.items():
            # A price is positive where it buys: the other side's has the other sign, and is met from its own on.
            if price * intent.sign < 0 and (reach - abs(price)) * intent.sign >= 0:
                return denied(
                    DenialCode.SELF_CROSS,
                    f"{'below' if intent.is_buy else 'above'} {format_e4(abs(price))}",
                    format_e4(reach),
                    f"the same once {order_id} is canceled",
                )
    return None


class _Span(NamedTuple):
    name: str  # With its article: "a minute".
    code: DenialCode
    ns: int


_SECOND = _Span("a second", DenialCode.ORDERS_PER_SECOND_ABOVE_LIMIT, SECOND_NS)
_MINUTE = _Span("a minute", DenialCode.ORDERS_PER_MINUTE_ABOVE_LIMIT, MINUTE_NS)
_HOUR = _Span("an hour", DenialCode.ORDERS_PER_HOUR_ABOVE_LIMIT, HOUR_NS)
_DAY = _Span("a day", DenialCode.ORDERS_PER_DAY_ABOVE_LIMIT, 24 * HOUR_NS)


def _rate(intent: Intent, span: _Span, limit: int, sent: int) -> Denial | None:
    """Deny where the orders that were sent and those that wait leave no room below what is kept for exits."""
    kept = max(limit - intent.limits.orders_reserved_for_exits, 0)
    count = sent + intent.totals.intended_orders + order_count(intent)
    if count <= kept:
        return None
    return denied(span.code, f"{kept} {span.name} for entries, {limit} in all", count, f"the same {span.name} later")


def _in_window(intent: Intent, span: _Span, limit: int, window: Window) -> Denial | None:
    # What the window held when an order was last sent is at least what it holds now: mostly that is answer enough.
    denial = _rate(intent, span, limit, window.total)
    return None if denial is None else _rate(intent, span, limit, window.count(intent.now_ns, span.ns))


def per_second(intent: Intent) -> Denial | None:
    """Demand that orders of one second stay below this, those that wait among them, and leave some to exits."""
    return _in_window(intent, _SECOND, intent.limits.orders_per_second_max, intent.account.rates.second)


def per_minute(intent: Intent) -> Denial | None:
    """Demand that orders of one minute stay below this, likewise."""
    return _in_window(intent, _MINUTE, intent.limits.orders_per_minute_max, intent.account.rates.minute)


def per_hour(intent: Intent) -> Denial | None:
    """Demand that orders of one hour stay below this, likewise."""
    return _in_window(intent, _HOUR, intent.limits.orders_per_hour_max, intent.account.rates.hour)


def per_day(intent: Intent) -> Denial | None:
    """Demand that orders of one day stay below this, likewise."""
    return _rate(intent, _DAY, intent.limits.orders_per_day_max, intent.account.rates.day_count)
