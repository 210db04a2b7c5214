"""What an account must remember to decide, and how events change it."""

from collections.abc import Iterator
from typing import assert_never

import msgspec

from domain.account.events import (
    AccountEvent,
    AccountOpened,
    ExitCause,
    KillSwitchEngaged,
    KillSwitchReleased,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderLapsed,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderRejected,
    OrderSubmitting,
    RiskParametersChanged,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
)
from domain.account.holding import FillEffect, Holding, after_fill
from domain.ids import AccountId, OrderId, TradeId, UserId, VenueFillId, VenueOrderId
from domain.instrument import InstrumentKey
from domain.market import trading_day
from domain.order import LIVE, OrderInstruction, OrderStatus, Product, Purpose, status_after_fill
from domain.risk import DenialCode, RiskParameters


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a trade that still matters."""

    order_id: OrderId
    trade_id: TradeId
    purpose: Purpose
    instruction: OrderInstruction
    not_after_ns: int | None
    status: OrderStatus = OrderStatus.INTENDED
    venue_order_id: VenueOrderId | None = None
    cumulative_quantity: int = 0
    fills: frozenset[VenueFillId] = frozenset()
    cancel_requested: bool = False

    @property
    def leaves_quantity(self) -> int:
        """Units that may still fill."""
        return max(0, self.instruction.quantity - self.cumulative_quantity) if self.status in LIVE else 0


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip: from its entry to the last fill that closes it."""

    trade_id: TradeId
    symbol: str
    multiplier: int
    entry: OrderInstruction
    stop_loss_e4: int | None
    target_e4: int | None
    opened_on: str
    holding: Holding = Holding()
    entry_quantity: int = 0
    order_count: int = 0
    exit_count: int = 0
    exit_cause: ExitCause | None = None
    is_closed: bool = False


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account as its events left it. Trades that were closed on an earlier day are forgotten."""

    account_id: AccountId | None = None
    owner_id: UserId | None = None
    parameters: RiskParameters = RiskParameters()
    kill_switch_engaged: bool = False
    day: str = ""
    trades_today: int = 0
    realised_today_paise: int = 0
    day_loss_latched: bool = False
    trades: dict[TradeId, Trade] = {}
    orders: dict[OrderId, Order] = {}

    def orders_of(self, trade_id: TradeId) -> Iterator[Order]:
        """Yield the orders of a trade, oldest first."""
        return (order for order in self.orders.values() if order.trade_id == trade_id)

    def unclosed_trades(self) -> Iterator[Trade]:
        """Yield the trades that are not closed: those that are open, and those of which an order is presumed absent."""
        return (trade for trade in self.trades.values() if not trade.is_closed)

    def open_trades(self) -> Iterator[Trade]:
        """Yield the trades that hold something or may come to."""
        return (trade for trade in self.trades.values() if self.is_open(trade))

    def is_open(self, trade: Trade) -> bool:
        """Tell whether a trade holds something or one of its orders may still fill."""
        if trade.is_closed:
            return False
        return trade.holding.net_quantity != 0 or any(o.status in LIVE for o in self.orders_of(trade.trade_id))

    def exit_leaves(self, trade_id: TradeId) -> int:
        """Return how many units the trade's exits may still fill, unknown ones counted as live."""
        return sum(o.leaves_quantity for o in self.orders_of(trade_id) if o.purpose is Purpose.EXIT)

    def open_instruments(self) -> frozenset[InstrumentKey]:
        """Return the instruments in which a trade is open."""
        return frozenset(trade.entry.instrument for trade in self.open_trades())

    def trades_in(self, instrument: InstrumentKey, product: Product) -> list[Trade]:
        """Return the trades in one instrument and product that are not closed, oldest first."""
        wanted = (instrument, product)
        return [trade for trade in self.unclosed_trades() if (trade.entry.instrument, trade.entry.product) == wanted]


def evolve(state: Account, event: AccountEvent) -> Account:  # noqa: C901, PLR0911, PLR0912 - one arm per event
    """Return the account after *event*."""
    match event:
        case AccountOpened():
            return msgspec.structs.replace(
                state, account_id=event.account_id, owner_id=event.owner_id, parameters=event.parameters
            )
        case RiskParametersChanged():
            return msgspec.structs.replace(state, parameters=event.parameters)
        case KillSwitchEngaged():
            return msgspec.structs.replace(state, kill_switch_engaged=True)
        case KillSwitchReleased():
            return msgspec.structs.replace(state, kill_switch_engaged=False)
        case OrderDenied():
            state = on_day(state, trading_day(event.market.market_time_ns).isoformat())
            latched = state.day_loss_latched or event.code is DenialCode.DAY_LOSS_LIMIT_REACHED
            return msgspec.structs.replace(state, day_loss_latched=latched)
        case TradeOpened():
            return _trade_opened(state, event)
        case OrderIntended():
            return _order_intended(state, event)
        case OrderFilled():
            return _order_filled(state, event)
        case OrderSubmitting():
            return _with_status(state, event.order_id, OrderStatus.SUBMITTING)
        case OrderNotSent():
            return _with_status(state, event.order_id, OrderStatus.INTENDED)
        case OrderAcknowledged():
            order = state.orders[event.order_id]
            status = OrderStatus.PARTLY_FILLED if order.cumulative_quantity else OrderStatus.ACKNOWLEDGED
            return _with_order(
                state, msgspec.structs.replace(order, status=status, venue_order_id=event.venue_order_id)
            )
        case OrderRejected():
            return _with_status(state, event.order_id, OrderStatus.REJECTED)
        case OrderOutcomeUnknown():
            return _with_status(state, event.order_id, OrderStatus.UNKNOWN)
        case OrderPresumedAbsent():
            return _with_status(state, event.order_id, OrderStatus.PRESUMED_ABSENT)
        case OrderLapsed():
            return _with_status(state, event.order_id, OrderStatus.LAPSED)
        case OrderBlocked():
            return _with_status(state, event.order_id, OrderStatus.BLOCKED)
        case OrderCanceled():
            return _with_status(state, event.order_id, OrderStatus.CANCELED)
        case OrderExpired():
            return _with_status(state, event.order_id, OrderStatus.EXPIRED)
        case OrderCancelRequested():
            return _with_order(state, msgspec.structs.replace(state.orders[event.order_id], cancel_requested=True))
        case TradeExitTriggered():
            trade = state.trades[event.trade_id]
            return _with_trade(state, msgspec.structs.replace(trade, exit_cause=event.cause))
        case TradeClosed():
            trade = state.trades[event.trade_id]
            return _with_trade(state, msgspec.structs.replace(trade, is_closed=True))
        case _:
            assert_never(event)


def _with_order(state: Account, order: Order) -> Account:
    return msgspec.structs.replace(state, orders={**state.orders, order.order_id: order})


def _with_trade(state: Account, trade: Trade) -> Account:
    return msgspec.structs.replace(state, trades={**state.trades, trade.trade_id: trade})


def _with_status(state: Account, order_id: OrderId, status: OrderStatus) -> Account:
    return _with_order(state, msgspec.structs.replace(state.orders[order_id], status=status))


def on_day(state: Account, day: str, *, keep: TradeId | None = None) -> Account:
    """Return the account on *day*: its counts start at zero, and trades closed before it, but *keep*, are forgotten."""
    if day <= state.day:
        return state
    trades = {name: trade for name, trade in state.trades.items() if not trade.is_closed or name == keep}
    orders = {order_id: order for order_id, order in state.orders.items() if order.trade_id in trades}
    return msgspec.structs.replace(
        state, day=day, trades_today=0, realised_today_paise=0, day_loss_latched=False, trades=trades, orders=orders
    )


def _trade_opened(state: Account, event: TradeOpened) -> Account:
    day = trading_day(event.market.market_time_ns).isoformat()
    state = on_day(state, day)
    trade = Trade(
        trade_id=event.trade_id,
        symbol=event.symbol,
        multiplier=event.multiplier,
        entry=event.entry,
        stop_loss_e4=event.stop_loss_e4,
        target_e4=event.target_e4,
        opened_on=day,
    )
    return msgspec.structs.replace(
        state, trades_today=state.trades_today + 1, trades={**state.trades, trade.trade_id: trade}
    )


def _order_intended(state: Account, event: OrderIntended) -> Account:
    trade = state.trades[event.trade_id]
    trade = msgspec.structs.replace(
        trade,
        order_count=trade.order_count + 1,
        exit_count=trade.exit_count + (event.purpose is Purpose.EXIT),
    )
    order = Order(
        order_id=event.order_id,
        trade_id=event.trade_id,
        purpose=event.purpose,
        instruction=event.instruction,
        not_after_ns=event.not_after_ns,
    )
    return _with_order(_with_trade(state, trade), order)


def _order_filled(state: Account, event: OrderFilled) -> Account:
    state = on_day(state, event.trading_day, keep=event.trade_id)  # A late fill may be of a trade closed before.
    order = state.orders[event.order_id]
    status = status_after_fill(
        order.status, cumulative_quantity=event.cumulative_quantity, quantity=order.instruction.quantity
    )
    order = msgspec.structs.replace(
        order,
        status=status,
        cumulative_quantity=event.cumulative_quantity,
        fills=order.fills | {event.venue_fill_id},
    )
    trade = state.trades[event.trade_id]
    effect = FillEffect(
        opened_cost_paise=event.opened_cost_paise,
        closed_quantity=event.closed_quantity,
        closed_cost_paise=event.closed_cost_paise,
        realised_paise=event.realised_paise,
    )
    trade = msgspec.structs.replace(
        trade,
        holding=after_fill(trade.holding, effect, side=event.side, quantity=event.last_quantity),
        entry_quantity=trade.entry_quantity + (event.last_quantity if event.purpose is Purpose.ENTRY else 0),
        is_closed=False,  # A late fill opens a trade again, so that it is closed by the rules and not forgotten.
    )
    state = _with_trade(_with_order(state, order), trade)
    return msgspec.structs.replace(state, realised_today_paise=state.realised_today_paise + event.realised_paise)
