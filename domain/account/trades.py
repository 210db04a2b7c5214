"""What people and strategies ask of trades: to open, change, cancel and close them."""

from functools import reduce
from typing import TypeVar

import msgspec

from domain.account.checks import denial_of, denial_of_change
from domain.account.commands import CancelTrade, ChangeTrade, CloseAll, ClosePosition, CloseTrade, OpenTrade
from domain.account.events import (
    AccountEvent,
    ExitCause,
    OrderDenied,
    OrderIntended,
    Role,
    TradeChanged,
    TradeOpened,
    Trailing,
)
from domain.account.evolve import evolve, on_day
from domain.account.exits import (
    begin_exit,
    free_quantity,
    modify,
    order_id_of,
    pursue,
    slices,
    with_closings,
    withdraw_entries,
)
from domain.account.refusals import (
    BelowFilled,
    EntryNotResting,
    LimitPriceMismatch,
    NothingHeld,
    PositionNotOpen,
    PriceOffTick,
    QuantityInvalid,
    TradeClosedAlready,
    TradeExternal,
    TradeNotFound,
    TriggerPriceMismatch,
    VersionMismatch,
    demand_role,
)
from domain.account.state import Account, Order, Trade
from domain.ids import BasketId, StrategyId, TradeId, UserId
from domain.instrument import Instrument
from domain.money import PriceInvalid, format_e4
from domain.order import (
    LIVE,
    ModifyCause,
    OrderInstruction,
    OrderType,
    Purpose,
)
from domain.refusals import InvalidInput
from domain.risk import BASIS_POINTS, Denial

Value = TypeVar("Value")

# --- Opening ----------------------------------------------------------------------------------------------------------


def open_trade(command: OpenTrade, state: Account) -> tuple[AccountEvent, ...]:
    """Close what the intent undoes, and open the rest as a trade, or deny that.

    What its strategy (or its person) holds the other way is closed first, oldest trade first: that part is an exit and
    faces no limit. Only what goes beyond it is an entry.
    """
    demand_role(state, command.user_id, Role.TRADER)
    if command.trade_id in state.trades:
        return ()  # The same intent again: the first decision stands.
    instrument = _instrument_of(command)
    demand_well_formed(command, instrument)
    # What counts by the day counts from zero on a new one, before its first event: a latched loss would latch for ever.
    today = on_day(state, command.market.trading_day)
    closing, closed = _undo(command, today)
    if not closed:
        return tuple(open_entry(command, today, instrument))
    left = command.quantity - sum(closed.values())
    if left:
        after = reduce(evolve, closing, today)
        closing += open_entry(msgspec.structs.replace(command, quantity=left), after, instrument)
    return with_closings(today, closing, closed)


def _instrument_of(command: OpenTrade | ChangeTrade) -> Instrument:
    instrument = command.market.instrument
    if instrument is None:
        raise InvalidInput("the intent names no instrument")
    return instrument


def _undo(command: OpenTrade, state: Account) -> tuple[list[AccountEvent], dict[TradeId, int]]:
    """Return the exits of what *command* undoes, and how many units of which trade they close."""
    instrument = _instrument_of(command)
    events: list[AccountEvent] = []
    closed: dict[TradeId, int] = {}
    if command.order_type is not OrderType.MARKET:
        return events, closed  # Priced orders the other way are denied while something is held: see the checks.
    left = command.quantity
    for trade in state.held_against(instrument.key, command.product, command.side, strategy_id=command.strategy_id):
        part = min(left, free_quantity(state, trade))
        if part <= 0:
            continue
        closed[trade.trade_id] = part
        after = reduce(evolve, events, state)
        events += begin_exit(after, after.trades[trade.trade_id], ExitCause.FLIP, quantity=part)
        left -= part
        if left == 0:
            break
    return events, closed


def open_entry(
    command: OpenTrade,
    state: Account,
    instrument: Instrument,
    *,
    basket_id: BasketId | None = None,
    sends: bool = True,
) -> list[AccountEvent]:
    """Return the trade and its entry orders, or the denial. Without *sends* the entry waits for its turn."""
    denial = denial_of(command, state, instrument)
    entry = entry_of(command, instrument, buffer_bp=state.parameters.stop_limit_buffer_bp)
    if denial is not None:
        return [denied(command, entry, instrument, denial)]
    opened = TradeOpened(
        trade_id=command.trade_id,
        user_id=command.user_id,
        symbol=instrument.symbol,
        multiplier=instrument.multiplier,
        entry=entry,
        stop_loss_e4=command.stop_loss_e4,
        target_e4=command.target_e4,
        market=command.market,
        strategy_id=command.strategy_id,
        trailing=command.trailing,
        protection=command.protection,
        basket_id=basket_id,
    )
    if not sends:
        return [opened]
    not_after_ns = None if command.after_market else command.market.market_time_ns + command.entry_life_ns
    return [opened, *entry_orders(command.trade_id, entry, instrument.freeze_quantity, not_after_ns=not_after_ns)]


def entry_of(command: OpenTrade, instrument: Instrument, *, buffer_bp: int) -> OrderInstruction:
    """Return the order that *command* asks for; a stop at market becomes a stop with a limit behind it."""
    order_type, limit = command.order_type, command.limit_price_e4
    if order_type is OrderType.SL_M and command.trigger_price_e4 is not None:
        order_type = OrderType.SL
        behind = command.trigger_price_e4 * (BASIS_POINTS + command.side.sign * buffer_bp) // BASIS_POINTS
        limit = max(behind - behind % instrument.tick_e4, instrument.tick_e4)
    return OrderInstruction(
        instrument=instrument.key,
        side=command.side,
        quantity=command.quantity,
        order_type=order_type,
        limit_price_e4=limit,
        product=command.product,
        time_in_force=command.time_in_force,
        trigger_price_e4=command.trigger_price_e4,
        disclosed_quantity=command.disclosed_quantity,
        after_market=command.after_market,
    )


def entry_orders(
    trade_id: TradeId, entry: OrderInstruction, freeze_quantity: int | None, *, not_after_ns: int | None
) -> list[AccountEvent]:
    """Return the entry's orders: one, or as many as the venue's freeze quantity demands."""
    instructions = [entry]
    if freeze_quantity is not None and entry.quantity > freeze_quantity:
        instructions = [
            msgspec.structs.replace(entry, quantity=part, disclosed_quantity=min(entry.disclosed_quantity, part))
            for part in slices(entry.quantity, freeze_quantity)
        ]
    return [
        OrderIntended(
            order_id=order_id_of(trade_id, number),
            trade_id=trade_id,
            purpose=Purpose.ENTRY,
            instruction=instruction,
            not_after_ns=not_after_ns,
        )
        for number, instruction in enumerate(instructions, 1)
    ]


def denied(command: OpenTrade, entry: OrderInstruction, instrument: Instrument, denial: Denial) -> OrderDenied:
    """Return the event of a denial."""
    return OrderDenied(
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
        passing=denial.passing,
        strategy_id=command.strategy_id,
    )


def demand_well_formed(command: OpenTrade, instrument: Instrument) -> None:
    """Raise where the intent can never be right, whatever the account and the market."""
    _demand_quantity(command.quantity, instrument)
    _demand_prices_of_type(command.order_type, command.limit_price_e4, command.trigger_price_e4)
    _demand_on_tick(
        instrument,
        ("limit_price", command.limit_price_e4),
        ("trigger_price", command.trigger_price_e4),
        ("stop_loss", command.stop_loss_e4),
        ("target", command.target_e4),
    )
    if command.trailing is not None:
        _demand_trailing(command.trailing, instrument)


def _demand_quantity(quantity: int, instrument: Instrument) -> None:
    if quantity <= 0 or quantity % instrument.lot:
        raise QuantityInvalid(f"received quantity {quantity}, expected a positive multiple of {instrument.lot}")


def _demand_prices_of_type(order_type: OrderType, limit_e4: int | None, trigger_e4: int | None) -> None:
    if (order_type is OrderType.LIMIT or order_type is OrderType.SL) != (limit_e4 is not None):
        raise LimitPriceMismatch("a LIMIT or SL order needs a limit_price, a MARKET or SL-M order takes none")
    if (order_type is OrderType.SL or order_type is OrderType.SL_M) != (trigger_e4 is not None):
        raise TriggerPriceMismatch("an SL or SL-M order needs a trigger_price, a MARKET or LIMIT order takes none")


def _demand_trailing(trailing: Trailing, instrument: Instrument) -> None:
    _demand_on_tick(instrument, ("trailing_distance", trailing.distance_e4), ("trailing_step", trailing.step_e4))


def _demand_on_tick(instrument: Instrument, *prices_e4: tuple[str, int | None]) -> None:
    tick_e4 = instrument.tick_e4
    for name, price in prices_e4:
        if price is None or (price > 0 and price % tick_e4 == 0):
            continue
        if price <= 0:
            raise PriceInvalid(f"received {name} {format_e4(price)}, expected more than 0")
        raise PriceOffTick(f"received {name} {format_e4(price)}, expected a multiple of {format_e4(tick_e4)}")


# --- Changing and canceling -------------------------------------------------------------------------------------------


def _trade_of(state: Account, user_id: UserId, trade_id: TradeId) -> Trade:
    demand_role(state, user_id, Role.TRADER)
    trade = state.trades.get(trade_id)
    if trade is None:
        raise TradeNotFound(f"received trade {trade_id}, expected one that is open or was closed today")
    if trade.is_closed:
        raise TradeClosedAlready(f"trade {trade_id} is closed")
    return trade


def change_trade(command: ChangeTrade, state: Account) -> tuple[AccountEvent, ...]:
    """Move a trade's levels and change its resting entry, at the version that the caller has seen."""
    trade = _trade_of(state, command.user_id, command.trade_id)
    if trade.is_external:
        raise TradeExternal(f"trade {trade.trade_id} came from outside, and can only be closed")
    if command.expected_version != trade.version:
        raise VersionMismatch(f"received expected_version {command.expected_version}, expected {trade.version}")
    instrument = _instrument_of(command)
    changed = TradeChanged(
        trade_id=trade.trade_id,
        user_id=command.user_id,
        version=trade.version + 1,
        stop_loss_e4=_or_kept(command.stop_loss_e4, trade.stop_loss_e4),
        target_e4=_or_kept(command.target_e4, trade.target_e4),
        trailing=_or_kept(command.trailing, trade.trailing),
    )
    _demand_on_tick(instrument, ("stop_loss", changed.stop_loss_e4), ("target", changed.target_e4))
    if changed.trailing is not None:
        _demand_trailing(changed.trailing, instrument)
    modifications = _modified_entry(command, state, trade, instrument)
    denial = denial_of_change(command, changed, modifications, state, instrument)
    if denial is not None:
        intent = _as_intent(command, changed, trade)
        entry = msgspec.structs.replace(trade.entry, quantity=intent.quantity)
        return (denied(intent, entry, instrument, denial),)
    events: list[AccountEvent] = [changed, *modifications]
    after = reduce(evolve, events, state)
    events += pursue(after, after.trades[trade.trade_id])
    return with_closings(state, events, (trade.trade_id,))


def _or_kept(value: Value | msgspec.UnsetType, kept: Value) -> Value:
    return kept if isinstance(value, msgspec.UnsetType) else value


def _modified_entry(command: ChangeTrade, state: Account, trade: Trade, instrument: Instrument) -> list[AccountEvent]:
    """Return the modification of the trade's resting entry order that *command* asks for."""
    asked = (command.quantity, command.order_type, command.limit_price_e4, command.trigger_price_e4)
    if all(value is msgspec.UNSET for value in asked):
        return []
    order = _resting_entry(state, trade)
    told = order.instruction
    wanted = msgspec.structs.replace(
        told,
        quantity=_or_kept(command.quantity, told.quantity),
        order_type=_or_kept(command.order_type, told.order_type),
        limit_price_e4=_or_kept(command.limit_price_e4, told.limit_price_e4),
        trigger_price_e4=_or_kept(command.trigger_price_e4, told.trigger_price_e4),
    )
    _demand_quantity(wanted.quantity, instrument)
    _demand_prices_of_type(wanted.order_type, wanted.limit_price_e4, wanted.trigger_price_e4)
    _demand_on_tick(instrument, ("limit_price", wanted.limit_price_e4), ("trigger_price", wanted.trigger_price_e4))
    if wanted.quantity <= order.cumulative_quantity:
        raise BelowFilled(f"received quantity {wanted.quantity}, of which {order.cumulative_quantity} have filled")
    return modify(order, wanted, ModifyCause.USER)


def _resting_entry(state: Account, trade: Trade) -> Order:
    entries = [o for o in state.orders_of(trade.trade_id) if o.purpose is Purpose.ENTRY and o.status in LIVE]
    if len(entries) != 1 or not entries[0].is_modifiable:
        told = ", ".join(f"{order.order_id} {order.status.value}" for order in entries) or "none is live"
        raise EntryNotResting(f"expected one entry order that rests at the venue, unchanged so far; {told}")
    return entries[0]


def _as_intent(command: ChangeTrade, changed: TradeChanged, trade: Trade) -> OpenTrade:
    """Return the intent that a denied change comes to, so that its denial reads like any other."""
    quantity = _or_kept(command.quantity, trade.entry.quantity)
    return OpenTrade(
        trade_id=trade.trade_id,
        user_id=command.user_id,
        side=trade.entry.side,
        quantity=quantity,
        order_type=trade.entry.order_type,
        limit_price_e4=trade.entry.limit_price_e4,
        product=trade.entry.product,
        time_in_force=trade.entry.time_in_force,
        stop_loss_e4=changed.stop_loss_e4,
        target_e4=changed.target_e4,
        entry_life_ns=0,
        market=command.market,
        strategy_id=trade.strategy_id,
    )


def cancel_trade(command: CancelTrade, state: Account) -> tuple[AccountEvent, ...]:
    """Take back what of the trade's entry has not filled. What has filled stays, with its stop."""
    trade = _trade_of(state, command.user_id, command.trade_id)
    events = withdraw_entries(state, trade)
    if trade.order_count == 0:  # Its turn in a basket has not come: nothing of it is anywhere.
        events += begin_exit(state, trade, ExitCause.MANUAL)
    return with_closings(state, events, (trade.trade_id,))


# --- Closing ----------------------------------------------------------------------------------------------------------


def close_trade(command: CloseTrade, state: Account) -> tuple[AccountEvent, ...]:
    """Begin to close a trade, or a part of it."""
    trade = _trade_of(state, command.user_id, command.trade_id)
    if command.quantity is not None:
        free = free_quantity(state, trade)
        if trade.exit_cause is not None or free == 0:
            raise NothingHeld(f"trade {trade.trade_id} holds nothing that is not being closed")
        if not 0 < command.quantity <= free:
            raise QuantityInvalid(f"received quantity {command.quantity}, expected 1 to {free}")
    events = begin_exit(state, trade, ExitCause.MANUAL, quantity=command.quantity)
    return with_closings(state, events, (trade.trade_id,))


def close_position(command: ClosePosition, state: Account) -> tuple[AccountEvent, ...]:
    """Begin to close every trade in the instrument and product that is not closed, or those of one strategy."""
    demand_role(state, command.user_id, Role.TRADER)
    trades = state.trades_in(command.instrument, command.product)
    if command.strategy_id is not None:
        trades = [trade for trade in trades if trade.strategy_id == command.strategy_id]
    if not trades:
        raise PositionNotOpen(f"nothing is open in {command.instrument} {command.product.value}")
    return close_trades(state, trades, ExitCause.MANUAL)


def close_all(command: CloseAll, state: Account) -> tuple[AccountEvent, ...]:
    """Begin to close every trade that is not closed, or those of one strategy; external ones only where asked."""
    demand_role(state, command.user_id, Role.TRADER)
    trades = trades_in_scope(state, command.strategy_id, includes_external=command.includes_external)
    return close_trades(state, trades, ExitCause.MANUAL)


def trades_in_scope(state: Account, strategy_id: StrategyId | None, *, includes_external: bool = False) -> list[Trade]:
    """Return the trades that are not closed, of a strategy or (None) of the account, oldest first."""
    return [
        trade
        for trade in state.unclosed_trades()
        if (strategy_id is None or trade.strategy_id == strategy_id) and (includes_external or not trade.is_external)
    ]


def close_trades(state: Account, trades: list[Trade], cause: ExitCause) -> tuple[AccountEvent, ...]:
    """Return what begins to close *trades*, in their order."""
    events: list[AccountEvent] = []
    for trade in trades:
        events += begin_exit(state, trade, cause)
    return with_closings(state, events, [trade.trade_id for trade in trades])
