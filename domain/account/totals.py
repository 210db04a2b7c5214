"""Sums over an account's trades and orders, moved by what changed and never added up anew within a day.

An order and a trade each have a part in the sums. `evolve` hands in what they were and what they became; the difference
of the parts moves the sums. `totals_of` adds everything up instead: for the start of a day, and to hold the moved sums
against.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from domain.account.state import NOTHING, Exposure, Order, Totals, Trade, exposure_key
from domain.ids import OrderId, TradeId
from domain.money import value_paise
from domain.order import LIVE, OrderStatus, OrderType, Product, Purpose, Side

_replace = msgspec.structs.replace


class _OrderPart(NamedTuple):
    """What an order adds. `limit_e4` is signed as in `Exposure.limits`, 0 where none rests."""

    live: int
    intended: int
    buying_quantity: int
    selling_quantity: int
    buying_paise: int
    selling_paise: int
    limit_e4: int


class _TradePart(NamedTuple):
    """What a trade adds beside its orders. Its entry is in it as long as it waits for its turn in a basket."""

    open_trades: int
    long_quantity: int
    short_quantity: int
    cost_paise: int
    buying_quantity: int
    selling_quantity: int
    buying_paise: int
    selling_paise: int


_NO_ORDER = _OrderPart(0, 0, 0, 0, 0, 0, 0)
_NO_TRADE = _TradePart(0, 0, 0, 0, 0, 0, 0, 0)


def is_live(order: Order | None) -> bool:
    """Tell whether an order may still fill."""
    return order is not None and order.status in LIVE


def _order_part(order: Order | None, trade: Trade) -> _OrderPart:
    if order is None or order.status not in LIVE:
        return _NO_ORDER
    told, leaves = order.instruction, order.leaves_quantity
    intended = 1 if order.status is OrderStatus.INTENDED else 0
    is_buy = told.side is Side.BUY
    price = told.limit_price_e4
    if order.wanted is not None and order.wanted.limit_price_e4 is not None:
        # Until the venue has confirmed, the higher of its prices counts, as the larger of its quantities does.
        price = order.wanted.limit_price_e4 if price is None else max(price, order.wanted.limit_price_e4)
    limit = 0
    if told.order_type is OrderType.LIMIT and price is not None and leaves:
        limit = price if is_buy else -price
    if order.purpose is not Purpose.ENTRY or not leaves:
        return _OrderPart(1, intended, 0, 0, 0, 0, limit)
    worth = value_paise(
        price_e4=trade.reference_price_e4 if price is None else price, quantity=leaves, multiplier=trade.multiplier
    )
    if is_buy:
        return _OrderPart(1, intended, leaves, 0, worth, 0, limit)
    return _OrderPart(1, intended, 0, leaves, 0, worth, limit)


def _trade_part(trade: Trade | None) -> _TradePart:
    if trade is None:
        return _NO_TRADE
    held = trade.holding.net_quantity
    is_open = 1 if trade.is_open else 0
    cost = abs(trade.holding.cost_paise)
    long, short = (held, 0) if held > 0 else (0, -held)
    if trade.order_count or trade.is_closed:
        return _TradePart(is_open, long, short, cost, 0, 0, 0, 0)
    price = trade.entry.limit_price_e4
    worth = value_paise(
        price_e4=trade.reference_price_e4 if price is None else price,
        quantity=trade.entry.quantity,
        multiplier=trade.multiplier,
    )
    if trade.entry.side is Side.BUY:
        return _TradePart(is_open, long, short, cost, trade.entry.quantity, 0, worth, 0)
    return _TradePart(is_open, long, short, cost, 0, trade.entry.quantity, 0, worth)


def with_order(totals: Totals, trade: Trade, before: Order | None, after: Order) -> Totals:
    """Return *totals* when an order of *trade* became *after*; *before* is None where it is new."""
    if before is not None and _fills_alike(before, after):
        return _waiting(totals, before, after)
    old, new = _order_part(before, trade), _order_part(after, trade)
    if old == new:
        return totals
    buying, selling = new.buying_paise - old.buying_paise, new.selling_paise - old.selling_paise
    exposures, committed = totals.exposures, totals.committed_paise
    if old[2:] != new[2:]:
        key = exposure_key(*trade.position)
        present = exposures.get(key, NOTHING)
        moved = _replace(
            present,
            buying_quantity=present.buying_quantity + new.buying_quantity - old.buying_quantity,
            selling_quantity=present.selling_quantity + new.selling_quantity - old.selling_quantity,
            buying_paise=present.buying_paise + buying,
            selling_paise=present.selling_paise + selling,
            limits=_limits(present.limits, after.order_id, new.limit_e4),
        )
        exposures = _with(exposures, key, moved)
        committed = _committed(committed, trade, buying + selling)
    return _replace(
        totals,
        live_orders=totals.live_orders + new.live - old.live,
        intended_orders=totals.intended_orders + new.intended - old.intended,
        resting_limits=totals.resting_limits + bool(new.limit_e4) - bool(old.limit_e4),
        buying_paise=totals.buying_paise + buying,
        selling_paise=totals.selling_paise + selling,
        committed_paise=committed,
        exposures=exposures,
    )


def _fills_alike(before: Order, after: Order) -> bool:
    """Tell whether an order may fill for as much as before, or for nothing as before."""
    was_live, is_live_now = before.status in LIVE, after.status in LIVE
    if not was_live and not is_live_now:
        return True
    return (
        was_live
        and is_live_now
        and before.instruction is after.instruction
        and before.wanted is after.wanted
        and before.cumulative_quantity == after.cumulative_quantity
    )


def _waiting(totals: Totals, before: Order, after: Order) -> Totals:
    change = (after.status is OrderStatus.INTENDED) - (before.status is OrderStatus.INTENDED)
    return _replace(totals, intended_orders=totals.intended_orders + change) if change else totals


def with_trade(totals: Totals, before: Trade | None, after: Trade) -> Totals:
    """Return *totals* when a trade became *after*; *before* is None where it is new."""
    if (
        before is not None
        and before.holding is after.holding
        and before.live_orders == after.live_orders
        and before.order_count == after.order_count > 0
        and before.is_closed is after.is_closed
    ):
        return totals
    old, new = _trade_part(before), _trade_part(after)
    if old == new:
        return totals
    key = exposure_key(*after.position)
    present = totals.exposures.get(key, NOTHING)
    buying, selling = new.buying_paise - old.buying_paise, new.selling_paise - old.selling_paise
    moved = Exposure(
        open_trades=present.open_trades + new.open_trades - old.open_trades,
        long_quantity=present.long_quantity + new.long_quantity - old.long_quantity,
        short_quantity=present.short_quantity + new.short_quantity - old.short_quantity,
        cost_paise=present.cost_paise + new.cost_paise - old.cost_paise,
        buying_quantity=present.buying_quantity + new.buying_quantity - old.buying_quantity,
        selling_quantity=present.selling_quantity + new.selling_quantity - old.selling_quantity,
        buying_paise=present.buying_paise + buying,
        selling_paise=present.selling_paise + selling,
        limits=present.limits,
    )
    return _replace(
        totals,
        open_trades=totals.open_trades + new.open_trades - old.open_trades,
        buying_paise=totals.buying_paise + buying,
        selling_paise=totals.selling_paise + selling,
        committed_paise=_committed(totals.committed_paise, after, new.cost_paise - old.cost_paise + buying + selling),
        exposures=_with(totals.exposures, key, moved),
    )


def totals_of(trades: Mapping[TradeId, Trade], orders: Iterable[Order]) -> Totals:
    """Return the sums over *trades* and their *orders*."""
    totals = Totals()
    for trade in trades.values():
        totals = with_trade(totals, None, trade)
    for order in orders:
        totals = with_order(totals, trades[order.trade_id], None, order)
    return totals


def _limits(limits: dict[OrderId, int], order_id: OrderId, limit_e4: int) -> dict[OrderId, int]:
    if limits.get(order_id, 0) == limit_e4:
        return limits
    others = {name: price for name, price in limits.items() if name != order_id}
    return {**others, order_id: limit_e4} if limit_e4 else others


def _with(exposures: dict[str, Exposure], key: str, exposure: Exposure) -> dict[str, Exposure]:
    if exposure == NOTHING:
        return {name: each for name, each in exposures.items() if name != key}
    return {**exposures, key: exposure}


def _committed(committed: dict[Product, int], trade: Trade, change: int) -> dict[Product, int]:
    if not change:
        return committed
    product = trade.entry.product
    amount = committed.get(product, 0) + change
    if not amount:
        return {name: each for name, each in committed.items() if name is not product}
    return {**committed, product: amount}
