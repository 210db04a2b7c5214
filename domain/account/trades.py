"""Opening and closing trades: what an intent, a close or a tick turns into."""

from collections.abc import Iterable
from functools import reduce

from domain.account.checks import denial_of
from domain.account.commands import ClosePosition, OpenTrade, TriggerExit
from domain.account.events import (
    AccountEvent,
    ExitCause,
    OrderBlocked,
    OrderCancelRequested,
    OrderDenied,
    OrderIntended,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
)
from domain.account.refusals import (
    LimitPriceMismatch,
    PositionNotOpen,
    PriceOffTick,
    QuantityInvalid,
    demand_owner,
)
from domain.account.state import Account, Trade, evolve, on_day
from domain.ids import OrderId, TradeId
from domain.instrument import Instrument
from domain.market import Mark, trading_day
from domain.money import PriceInvalid, format_e4
from domain.order import AT_VENUE, LIVE, OrderInstruction, OrderStatus, OrderType, Purpose, Side
from domain.refusals import InvalidInput

EXITS_MAX = 10
"""After so many exit orders of one trade the engine stops trying by itself: a person has to look."""


def open_trade(command: OpenTrade, state: Account) -> tuple[AccountEvent, ...]:
    """Open the trade and intend its entry, or deny it."""
    demand_owner(state, command.user_id)
    if command.trade_id in state.trades:
        return ()  # The same intent again: the first decision stands.
    instrument = command.market.instrument
    if instrument is None:
        raise InvalidInput("the intent names no instrument")
    _demand_well_formed(command, instrument)
    entry = OrderInstruction(
        instrument=instrument.key,
        side=command.side,
        quantity=command.quantity,
        order_type=command.order_type,
        limit_price_e4=command.limit_price_e4,
        product=command.product,
        time_in_force=command.time_in_force,
    )
    # What counts by the day counts from zero on a new one, before its first event: a latched loss would latch for ever.
    today = on_day(state, trading_day(command.market.market_time_ns).isoformat())
    denial = denial_of(command, today, instrument)
    if denial is not None:
        denied = OrderDenied(
            trade_id=command.trade_id,
            user_id=command.user_id,
            symbol=instrument.symbol,
            entry=entry,
            stop_loss_e4=command.stop_loss_e4,
            target_e4=command.target_e4,
            code=denial.code,
            limit=denial.limit,
            value=denial.value,
            market=command.market,
        )
        return (denied,)
    opened = TradeOpened(
        trade_id=command.trade_id,
        user_id=command.user_id,
        symbol=instrument.symbol,
        multiplier=instrument.multiplier,
        entry=entry,
        stop_loss_e4=command.stop_loss_e4,
        target_e4=command.target_e4,
        market=command.market,
    )
    intended = OrderIntended(
        order_id=_order_id(command.trade_id, 1),
        trade_id=command.trade_id,
        purpose=Purpose.ENTRY,
        instruction=entry,
        not_after_ns=command.market.market_time_ns + command.entry_life_ns,
    )
    return (opened, intended)


def _demand_well_formed(command: OpenTrade, instrument: Instrument) -> None:
    if command.quantity <= 0 or command.quantity % instrument.lot:
        raise QuantityInvalid(f"received quantity {command.quantity}, expected a positive multiple of {instrument.lot}")
    if (command.order_type is OrderType.LIMIT) != (command.limit_price_e4 is not None):
        raise LimitPriceMismatch("a LIMIT order needs a limit_price, a MARKET order takes none")
    prices = {
        "limit_price": command.limit_price_e4,
        "stop_loss": command.stop_loss_e4,
        "target": command.target_e4,
    }
    for name, price in prices.items():
        if price is None:
            continue
        if price <= 0:
            raise PriceInvalid(f"received {name} {format_e4(price)}, expected more than 0")
        if not instrument.is_on_tick(price):
            raise PriceOffTick(
                f"received {name} {format_e4(price)}, expected a multiple of {format_e4(instrument.tick_e4)}"
            )


def _order_id(trade_id: TradeId, number: int) -> OrderId:
    return OrderId(f"{trade_id}.{number}")


def close_position(command: ClosePosition, state: Account) -> tuple[AccountEvent, ...]:
    """Begin to close every trade in the instrument and product that is not closed."""
    demand_owner(state, command.user_id)
    trades = state.trades_in(command.instrument, command.product)
    if not trades:
        raise PositionNotOpen(f"nothing is open in {command.instrument} {command.product.value}")
    events: list[AccountEvent] = []
    for trade in trades:
        events += _begin_exit(state, trade, ExitCause.MANUAL, mark=None)
    return with_closings(state, events, [trade.trade_id for trade in trades])


def trigger_exit(command: TriggerExit, state: Account) -> tuple[AccountEvent, ...]:
    """Begin to close a trade whose stop or target the mark reached, or go on where its last exit failed."""
    trade = state.trades.get(command.trade_id)
    if trade is None or not state.is_open(trade):
        return ()
    if trade.exit_cause is not None:
        return with_closings(state, further_exit(state, trade), [trade.trade_id])
    cause = cause_of_exit(
        side=trade.entry.side,
        stop_loss_e4=trade.stop_loss_e4,
        target_e4=trade.target_e4,
        last_price_e4=command.mark.last_price_e4,
    )
    if cause is None or trade.holding.net_quantity == 0:
        return ()
    return with_closings(state, _begin_exit(state, trade, cause, mark=command.mark), [trade.trade_id])


def cause_of_exit(
    *, side: Side, stop_loss_e4: int | None, target_e4: int | None, last_price_e4: int
) -> ExitCause | None:
    """Return why a trade with this stop and target is to be closed at *last_price_e4*, None where it is not."""
    if stop_loss_e4 is not None and (last_price_e4 - stop_loss_e4) * side.sign <= 0:
        return ExitCause.STOP_LOSS
    if target_e4 is not None and (last_price_e4 - target_e4) * side.sign >= 0:
        return ExitCause.TARGET
    return None


def _begin_exit(state: Account, trade: Trade, cause: ExitCause, *, mark: Mark | None) -> list[AccountEvent]:
    events: list[AccountEvent] = []
    if trade.exit_cause is None:
        events.append(TradeExitTriggered(trade_id=trade.trade_id, cause=cause, mark=mark))
    events += withdraw_entries(state, trade)
    events += further_exit(state, trade, exits_max=None if cause is ExitCause.MANUAL else EXITS_MAX)
    return events


def withdraw_entries(state: Account, trade: Trade) -> list[AccountEvent]:
    """Take back what of the trade's entry has not filled: never sent, or canceled as soon as the venue has it."""
    events: list[AccountEvent] = []
    for order in state.orders_of(trade.trade_id):
        if order.purpose is not Purpose.ENTRY:
            continue
        if order.status is OrderStatus.INTENDED:
            events.append(OrderBlocked(order_id=order.order_id, trade_id=trade.trade_id))
        elif order.status in AT_VENUE | {OrderStatus.PRESUMED_ABSENT} and not order.cancel_requested:
            events.append(OrderCancelRequested(order_id=order.order_id, trade_id=trade.trade_id))
    return events


def withdraw_surplus_exits(state: Account, trade: Trade) -> list[AccountEvent]:
    """Take back live exits that could fill more than the trade holds, the older ones first.

    They come about when an exit that was given up for absent turns up beside its successor, or when an exit fills late,
    after it was canceled and another one took its place.
    """
    held = trade.holding.net_quantity
    room = abs(held)
    events: list[AccountEvent] = []
    for order in reversed(list(state.orders_of(trade.trade_id))):
        if order.purpose is not Purpose.EXIT or order.status not in LIVE:
            continue
        if order.instruction.side.sign * held < 0 and order.leaves_quantity <= room:
            room -= order.leaves_quantity
        elif order.status is OrderStatus.INTENDED:
            events.append(OrderBlocked(order_id=order.order_id, trade_id=trade.trade_id))
        elif not order.cancel_requested:
            events.append(OrderCancelRequested(order_id=order.order_id, trade_id=trade.trade_id))
    return events


def further_exit(state: Account, trade: Trade, *, exits_max: int | None = EXITS_MAX) -> list[AccountEvent]:
    """Intend an exit for what the trade holds and no live or unknown exit can fill: never more than is held.

    Not beyond *exits_max* exits of the trade; None where a person asks, whom nothing may keep in.
    """
    held = trade.holding.net_quantity
    quantity = abs(held) - state.exit_leaves(trade.trade_id)
    if quantity <= 0 or (exits_max is not None and trade.exit_count >= exits_max):
        return []
    instruction = OrderInstruction(
        instrument=trade.entry.instrument,
        side=Side.SELL if held > 0 else Side.BUY,
        quantity=quantity,
        order_type=OrderType.MARKET,
        limit_price_e4=None,
        product=trade.entry.product,
    )
    intended = OrderIntended(
        order_id=_order_id(trade.trade_id, trade.order_count + 1),
        trade_id=trade.trade_id,
        purpose=Purpose.EXIT,
        instruction=instruction,
        not_after_ns=None,
    )
    return [intended]


def with_closings(
    state: Account, events: Iterable[AccountEvent], trade_ids: Iterable[TradeId]
) -> tuple[AccountEvent, ...]:
    """Return *events*, and after them a `TradeClosed` for each of the trades that they leave with nothing to come."""
    decided = tuple(events)
    after = reduce(evolve, decided, state)
    closings = tuple(_closing(after.trades[trade_id]) for trade_id in trade_ids if _is_done(after, trade_id))
    return decided + closings


def _is_done(state: Account, trade_id: TradeId) -> bool:
    trade = state.trades[trade_id]
    waiting = LIVE | {OrderStatus.PRESUMED_ABSENT}
    return (
        not trade.is_closed
        and trade.holding.net_quantity == 0
        and not any(order.status in waiting for order in state.orders_of(trade_id))
    )


def _closing(trade: Trade) -> TradeClosed:
    return TradeClosed(
        trade_id=trade.trade_id,
        cause=trade.exit_cause,
        entry_quantity=trade.entry_quantity,
        realised_paise=trade.holding.realised_paise,
    )
