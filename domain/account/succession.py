"""What takes the place of an exit or stop that is presumed absent.

Presumed absent is no proof: the order may come alive as long as the broker's day lasts. For an entry nothing follows
from that. A trade that shall be closed or guarded cannot wait so long, so its exit or stop gets a *successor*: an order
of its own, which names the one whose place it takes.

1. **It is for no more than is open at the venue**, by positions that were read just now, whatever our books say. The
   venue knows of no trades: what our other trades hold in the same position is not this one's to close.
2. **One at a time.** As long as it may fill, nothing else is added. It is an exit like any other: one that is itself
   presumed absent is succeeded, until `ABSENT_MAX` of a trade are; then a person has to look.
3. **The first one that turns up is taken back** (`withdraw_surplus`), and where it fills, its successor is. What fills
   of both is beyond what was held, and the trade is brought back to nothing like any other.
4. **It is what is needed now**: a stop that is missed while its trade is being closed is succeeded by an exit.
"""

from domain.account.commands import SucceedExit
from domain.account.events import AccountEvent, OrderIntended, OrderModifyRequested, ProtectionFailed
from domain.account.exits import Succession, absent_exits, pursue, with_closings
from domain.account.state import Account, Order, Trade
from domain.ids import TradeId
from domain.order import DELIVERY, OrderStatus, Purpose

ABSENT_MAX = 3
"""So many exits and stops of a trade may be presumed absent at once; each of them may still come alive."""


def owed_successors(state: Account) -> list[Trade]:
    """Return the trades of which an exit or stop is presumed absent and nothing stands in its place yet."""
    in_doubt = dict.fromkeys(
        order.trade_id
        for order in state.orders.values()
        if order.status is OrderStatus.PRESUMED_ABSENT and order.purpose.closes
    )
    trades = [state.trades[trade_id] for trade_id in in_doubt]
    return [trade for trade in trades if _succeed(state, trade, abs(trade.holding.net_quantity))]


def succeed_exit(command: SucceedExit, state: Account) -> tuple[AccountEvent, ...]:
    """Add what takes the place of what is presumed absent, as far as the venue's position is open."""
    trade = state.trades.get(command.trade_id)
    if trade is None:
        return ()
    events = _succeed(state, trade, _open_at_venue(state, trade, command.net_quantity))
    return with_closings(state, events, [trade.trade_id] if events else [])


def _succeed(state: Account, trade: Trade, quantity: int) -> list[AccountEvent]:
    absent = absent_exits(state, trade.trade_id)
    if not absent or quantity <= 0:
        return []
    unsucceeded = _unsucceeded(state, trade.trade_id, absent)
    succession = Succession(
        predecessor=(unsucceeded or absent)[-1].order_id,
        quantity=quantity,
        lost_quantity=sum(_unfilled(order) for order in unsucceeded if order.purpose is Purpose.EXIT),
    )
    events = pursue(state, trade, succession=succession)
    if not any(_adds(event) for event in events):
        return []
    if len(absent) < ABSENT_MAX:
        return events
    if trade.has_failed_protection:
        return []
    reason = f"{len(absent)} exits or stops are presumed absent, and each may still come alive"
    return [ProtectionFailed(trade_id=trade.trade_id, order_id=absent[-1].order_id, reason=reason)]


def _adds(event: AccountEvent) -> bool:
    return isinstance(event, OrderIntended | OrderModifyRequested)


def _unsucceeded(state: Account, trade_id: TradeId, absent: list[Order]) -> list[Order]:
    succeeded = {order.successor_of for order in state.orders_of(trade_id)}
    return [order for order in absent if order.order_id not in succeeded]


def _unfilled(order: Order) -> int:
    return max(0, order.instruction.quantity - order.cumulative_quantity)


def _open_at_venue(state: Account, trade: Trade, net_quantity: int) -> int:
    """Return how many units of the venue's position are this trade's: what other trades hold in it is theirs.

    Of what is delivered the positions show the day's change alone once the rest was moved to the holdings: what was
    carried over night lies there. Shares that are not there the venue does not sell.
    """
    is_delivered = trade.entry.product in DELIVERY
    left = net_quantity
    for other in state.trades_in(*trade.position):
        left += other.carried_quantity if is_delivered else 0
        left -= other.holding.net_quantity if other.trade_id != trade.trade_id else 0
    return max(0, -left * trade.exit_side.sign) - state.closing_leaves(trade.trade_id)
