"""What an account has left of its orders and their modifications: the gauges beside the checks of `repetition.py`."""

import msgspec

from domain.account.evolve import on_day
from domain.account.rates import HOUR_NS, MINUTE_NS, SECOND_NS
from domain.account.state import Account, Order
from domain.market import trading_day
from domain.order import MODIFICATIONS_MAX, OrderStatus

_SHOWN_TO_VENUE = frozenset({OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED})


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How many orders a limit allows, by the limit's name, and how many it has seen.

    `waiting` are intended and not sent yet: a check counts them as if they were. `reserved` of the limit are left to
    exits; of open orders nothing is, and none waits, for those that wait are open.
    """

    name: str
    limit: int
    used: int
    waiting: int = 0
    reserved: int = 0

    @property
    def left_for_entries(self) -> int:
        """How many orders of entries would pass now."""
        return max(0, self.limit - self.reserved - self.used - self.waiting)


class ModificationBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How often an order that rests at the venue was modified, and how often the venue takes it."""

    order: Order
    symbol: str
    used: int
    limit: int = MODIFICATIONS_MAX


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """All of an account. `rates` are of second, minute, hour and day; `modifications` of orders, oldest first."""

    rates: tuple[Budget, ...]
    open_orders: Budget
    modifications: tuple[ModificationBudget, ...]


def budgets_of(account: Account, *, market_time_ns: int) -> Budgets:
    """Return what *account* has used at *market_time_ns*, counted as its checks count it."""
    account = on_day(account, trading_day(market_time_ns).isoformat())
    limits, rates, totals = account.parameters, account.rates, account.totals
    sent = (
        ("orders_per_second_max", limits.orders_per_second_max, rates.second.count(market_time_ns, SECOND_NS)),
        ("orders_per_minute_max", limits.orders_per_minute_max, rates.minute.count(market_time_ns, MINUTE_NS)),
        ("orders_per_hour_max", limits.orders_per_hour_max, rates.hour.count(market_time_ns, HOUR_NS)),
        ("orders_per_day_max", limits.orders_per_day_max, rates.day_count),
    )
    return Budgets(
        rates=tuple(
            Budget(
                name=name,
                limit=limit,
                used=used,
                waiting=totals.intended_orders,
                reserved=min(limits.orders_reserved_for_exits, limit),
            )
            for name, limit, used in sent
        ),
        open_orders=Budget(name="open_orders_max", limit=limits.open_orders_max, used=totals.live_orders),
        modifications=tuple(
            ModificationBudget(order=order, symbol=account.trades[order.trade_id].symbol, used=order.modifications)
            for order in account.orders.values()
            if order.status in _SHOWN_TO_VENUE and not order.cancel_requested
        ),
    )
