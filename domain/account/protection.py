"""What the market and the session do to trades: stops and targets reached, stops trailed, repriced, placed again."""

from functools import reduce

import msgspec

from domain.account.commands import ProtectTrade, RepriceStop, SquareOff, TrailStop, TriggerExit
from domain.account.events import AccountEvent, ExitCause, ProtectionFailed, ProtectionMode, StopTrailed
from domain.account.evolve import evolve
from domain.account.exits import begin_exit, modify, on_tick, pursue, with_closings
from domain.account.state import Account, Order, Trade
from domain.ids import TradeId
from domain.market import Mark
from domain.order import MODIFICATIONS_MAX, ModifyCause, OrderType, Product, Purpose, Side
from domain.risk import BASIS_POINTS

GAP_STEPS_MAX = 5
"""So often a stop that the price went through gets another limit; then a person is called."""


def _open_trade(state: Account, trade_id: TradeId) -> Trade | None:
    trade = state.trades.get(trade_id)
    return trade if trade is not None and trade.is_open and not trade.is_external else None


def trigger_exit(command: TriggerExit, state: Account) -> tuple[AccountEvent, ...]:
    """Begin to close a trade whose stop or target the mark reached, or go on where its last exit failed."""
    trade = _open_trade(state, command.trade_id)
    if trade is None:
        return ()
    if trade.exit_cause is not None:
        return with_closings(state, pursue(state, trade), [trade.trade_id])
    cause = cause_of_exit(
        side=trade.entry.side,
        stop_loss_e4=trade.stop_loss_e4,
        target_e4=trade.target_e4,
        last_price_e4=command.mark.last_price_e4,
    )
    if cause is None or trade.holding.net_quantity == 0:
        return ()
    if cause is ExitCause.STOP_LOSS and _is_guarded(state, trade):
        return ()  # The stop rests at the venue at this very level: it is the venue's to execute.
    return with_closings(state, begin_exit(state, trade, cause, mark=command.mark), [trade.trade_id])


def cause_of_exit(
    *, side: Side, stop_loss_e4: int | None, target_e4: int | None, last_price_e4: int
) -> ExitCause | None:
    """Return why a trade with this stop and target is to be closed at *last_price_e4*, None where it is not."""
    if stop_loss_e4 is not None and (last_price_e4 - stop_loss_e4) * side.sign <= 0:
        return ExitCause.STOP_LOSS
    if target_e4 is not None and (last_price_e4 - target_e4) * side.sign >= 0:
        return ExitCause.TARGET
    return None


def _is_guarded(state: Account, trade: Trade) -> bool:
    """Tell whether stops that the venue has, or may have, cover all that is held at the trade's level."""
    covered = sum(
        order.leaves_quantity
        for order in state.orders_of(trade.trade_id)
        if order.purpose is Purpose.STOP and order.instruction.trigger_price_e4 == trade.stop_loss_e4
    )
    return trade.protection is ProtectionMode.RESTING and covered >= abs(trade.holding.net_quantity)


def trail_stop(command: TrailStop, state: Account) -> tuple[AccountEvent, ...]:
    """Move the stop after the price, a step at least, never back."""
    trade = _open_trade(state, command.trade_id)
    if trade is None or trade.trailing is None or trade.exit_cause is not None or trade.holding.net_quantity == 0:
        return ()
    stop = trailed_stop_e4(
        side=trade.entry.side,
        stop_loss_e4=trade.stop_loss_e4,
        distance_e4=trade.trailing.distance_e4,
        step_e4=trade.trailing.step_e4,
        last_price_e4=command.mark.last_price_e4,
    )
    if stop is None:
        return ()
    trailed = StopTrailed(
        trade_id=trade.trade_id,
        stop_loss_e4=on_tick(stop, tick_e4=trade.tick_e4, side=trade.entry.side.opposite),
        best_price_e4=command.mark.last_price_e4,
        mark=command.mark,
    )
    if trailed.stop_loss_e4 == trade.stop_loss_e4:
        return ()
    after = evolve(state, trailed)
    return (trailed, *pursue(after, after.trades[trade.trade_id]))


def trailed_stop_e4(
    *, side: Side, stop_loss_e4: int | None, distance_e4: int, step_e4: int, last_price_e4: int
) -> int | None:
    """Return where a trailing stop moves at *last_price_e4*, None where it stays."""
    wanted = last_price_e4 - side.sign * distance_e4
    if wanted <= 0:
        return None
    if stop_loss_e4 is not None and (wanted - stop_loss_e4) * side.sign < step_e4:
        return None
    return wanted


def reprice_stop(command: RepriceStop, state: Account) -> tuple[AccountEvent, ...]:
    """Give a stop that the price went through a limit nearer the market, step by step; then call a person."""
    trade = _open_trade(state, command.trade_id)
    if trade is None or trade.has_failed_protection:
        return ()
    events: list[AccountEvent] = []
    for order in state.orders_of(trade.trade_id):
        if order.purpose is Purpose.STOP and order.is_modifiable and _is_passed(order, command.mark):
            events += _reprice(state, trade, order, command.mark)
    return tuple(events)


def _is_passed(order: Order, mark: Mark) -> bool:
    limit = order.instruction.limit_price_e4
    return limit is not None and (mark.last_price_e4 - limit) * order.instruction.side.sign > 0


def _reprice(state: Account, trade: Trade, order: Order, mark: Mark) -> list[AccountEvent]:
    steps = order.gap_steps
    if steps >= GAP_STEPS_MAX or order.modifications >= MODIFICATIONS_MAX:
        reason = f"the stop was passed at {mark.last_price_e4} and did not fill in {steps} steps"
        return [ProtectionFailed(trade_id=trade.trade_id, order_id=order.order_id, reason=reason)]
    side = order.instruction.side
    buffer = mark.last_price_e4 * state.parameters.stop_limit_buffer_bp * (steps + 1) // BASIS_POINTS
    limit = on_tick(mark.last_price_e4 + side.sign * buffer, tick_e4=trade.tick_e4, side=side)
    if side is Side.SELL and mark.lower_circuit_e4 is not None:
        limit = max(limit, mark.lower_circuit_e4)
    if side is Side.BUY and mark.upper_circuit_e4 is not None:
        limit = min(limit, mark.upper_circuit_e4)
    repriced = msgspec.structs.replace(
        order.instruction, order_type=OrderType.LIMIT, limit_price_e4=limit, trigger_price_e4=None
    )
    if repriced == order.instruction:
        reason = "the stop rests at the edge of the price band and the price is beyond it"
        return [ProtectionFailed(trade_id=trade.trade_id, order_id=order.order_id, reason=reason)]
    return modify(order, repriced, ModifyCause.GAP, mark=mark)


def protect_trade(command: ProtectTrade, state: Account) -> tuple[AccountEvent, ...]:
    """Place the trade's stop again, or bring it to size and level; where the price gapped through, close the trade."""
    trade = _open_trade(state, command.trade_id)
    if trade is None or trade.exit_cause is not None or trade.protection is not ProtectionMode.RESTING:
        return ()
    mark = command.mark
    if mark is not None and not _is_guarded(state, trade) and trade.holding.net_quantity != 0:
        cause = cause_of_exit(
            side=trade.entry.side,
            stop_loss_e4=trade.stop_loss_e4,
            target_e4=None,
            last_price_e4=mark.last_price_e4,
        )
        if cause is not None:
            return with_closings(state, begin_exit(state, trade, cause, mark=mark), [trade.trade_id])
    renewed = msgspec.structs.replace(trade, is_lapsed=False)
    return tuple(pursue(state, renewed))


def square_off(command: SquareOff, state: Account) -> tuple[AccountEvent, ...]:
    """Begin to close an intraday trade before its session ends. No other product is ever squared off."""
    trade = _open_trade(state, command.trade_id)
    if trade is None or trade.exit_cause is not None or trade.entry.product is not Product.INTRADAY:
        return ()
    return with_closings(state, begin_exit(state, trade, ExitCause.SQUARE_OFF), [trade.trade_id])


def after_word(
    state: Account, events: list[AccountEvent], order: Order, *, places: bool = True
) -> tuple[AccountEvent, ...]:
    """Return *events* of the venue about *order*, and what follows from them for its trade."""
    after = reduce(evolve, events, state)
    trade = after.trades[order.trade_id]
    decided = [*events, *pursue(after, trade, places=places)]
    return with_closings(state, decided, (order.trade_id,))
