"""What comes from outside: executions of orders that are not ours, and corporate actions."""

from collections.abc import Sequence

from domain.account.charging import charges_of, foreign_order
from domain.account.commands import ApplyCorporateAction, RecordForeignFill
from domain.account.events import (
    AccountEvent,
    CorporateActionApplied,
    CorporateAdjustment,
    ForeignFillAllocated,
    TradeAdopted,
)
from domain.account.evolve import evolve, on_day
from domain.account.exits import on_tick, pursue, with_closings
from domain.account.holding import effect_of_fill, scaled_quantity
from domain.account.refusals import RatioInvalid, demand_execution
from domain.account.state import Account, Trade
from domain.charges import NOTHING_ACCRUED
from domain.ids import TradeId, split_fill_id
from domain.market import trading_day
from domain.money import value_paise


def record_foreign_fill(command: RecordForeignFill, state: Account) -> tuple[AccountEvent, ...]:
    """Allocate an execution of somebody else's order: what reduces, to open trades, oldest first; the rest, outside.

    Stops and exits of the trades it reduced shrink with them at once: a stop left behind would open a new position.
    """
    demand_execution(quantity=command.quantity, price_e4=command.price_e4)
    if state.owner_id is None or command.venue_fill_id in state.foreign_fills:
        return ()
    events: list[AccountEvent] = []
    touched: list[TradeId] = []
    after = state
    left = command.quantity
    for trade in state.trades_in(command.instrument.key, command.product):
        held = trade.holding.net_quantity
        if held * command.side.sign >= 0:
            continue
        part = min(left, abs(held))
        touched.append(trade.trade_id)
        after = _take(events, after, _allocated(command, after, trade, part, number=len(touched)))
        left -= part
        if left == 0:
            break
    if left > 0:
        external = _external(after, command)
        if external is None:
            after = _take(events, after, _adopted(command))
            external = after.trades[command.adopted_as]
        touched.append(external.trade_id)
        after = _take(events, after, _allocated(command, after, external, left, number=len(touched)))
    return _with_what_follows(state, events, after, touched)


def _with_what_follows(
    state: Account, events: list[AccountEvent], after: Account, trade_ids: Sequence[TradeId]
) -> tuple[AccountEvent, ...]:
    """Return *events*, which lead from *state* to *after*, and what follows from them for stops, exits and trades."""
    for trade_id in trade_ids:
        for event in pursue(after, after.trades[trade_id]):
            after = _take(events, after, event)
    return with_closings(state, events, trade_ids)


def _take(events: list[AccountEvent], state: Account, event: AccountEvent) -> Account:
    events.append(event)
    return evolve(state, event)


def _external(state: Account, command: RecordForeignFill) -> Trade | None:
    trades = state.trades_in(command.instrument.key, command.product)
    return next((trade for trade in trades if trade.is_external), None)


def _adopted(command: RecordForeignFill) -> TradeAdopted:
    return TradeAdopted(
        trade_id=command.adopted_as,
        symbol=command.instrument.symbol,
        multiplier=command.instrument.multiplier,
        instrument=command.instrument.key,
        product=command.product,
        side=command.side,
        trading_day=trading_day(command.filled_at_ns).isoformat(),
        freeze_quantity=command.instrument.freeze_quantity,
    )


def _allocated(
    command: RecordForeignFill, state: Account, trade: Trade, quantity: int, *, number: int
) -> ForeignFillAllocated:
    worth = value_paise(price_e4=command.price_e4, quantity=quantity, multiplier=trade.multiplier)
    effect = effect_of_fill(trade.holding, side=command.side, quantity=quantity, value_paise=worth)
    venue_segment, venue_trade_number, venue_order_id = split_fill_id(command.venue_fill_id)
    day = trading_day(command.filled_at_ns).isoformat()
    today = on_day(state, day, keep=trade.trade_id)
    charges = charges_of(
        command.tariff,
        today,
        today.foreign_accruals.get(foreign_order(command.venue_fill_id, venue_order_id), NOTHING_ACCRUED),
        position=trade.position,
        side=command.side,
        quantity=quantity,
        value_paise=worth,
    )
    return ForeignFillAllocated(
        trade_id=trade.trade_id,
        venue_segment=venue_segment,
        venue_trade_number=venue_trade_number,
        venue_order_id=venue_order_id,
        part=number,
        instrument=command.instrument.key,
        product=command.product,
        side=command.side,
        last_quantity=quantity,
        last_price_e4=command.price_e4,
        value_paise=worth,
        opened_cost_paise=effect.opened_cost_paise,
        closed_quantity=effect.closed_quantity,
        closed_cost_paise=effect.closed_cost_paise,
        realised_paise=effect.realised_paise,
        filled_at_ns=command.filled_at_ns,
        trading_day=day,
        charges=charges,
    )


def apply_corporate_action(command: ApplyCorporateAction, state: Account) -> tuple[AccountEvent, ...]:
    """Adjust every trade that holds the instrument, its levels with it; resting stops follow.

    A level is divided as the price is and moved to the tick that lets it execute sooner. What the ratio leaves of a
    unit is cut off: the exchange pays for it in cash.
    """
    if state.owner_id is None or command.action_id in state.corporate_actions:
        return ()
    up, down = command.numerator, command.denominator
    if up <= 0 or down <= 0:
        raise RatioInvalid(f"received a ratio of {up} for {down}, expected two numbers above 0")
    trades = [
        trade
        for trade in state.unclosed_trades()
        if trade.entry.instrument == command.instrument.key and trade.holding.net_quantity
    ]
    if not trades:
        return ()
    applied = CorporateActionApplied(
        action_id=command.action_id,
        instrument=command.instrument.key,
        numerator=up,
        denominator=down,
        effective_on=command.effective_on,
        trades=tuple(_adjusted(trade, up, down, command.instrument.tick_e4) for trade in trades),
    )
    events: list[AccountEvent] = []
    after = _take(events, state, applied)
    return _with_what_follows(state, events, after, [trade.trade_id for trade in trades])


def _adjusted(trade: Trade, up: int, down: int, tick_e4: int) -> CorporateAdjustment:
    return CorporateAdjustment(
        trade_id=trade.trade_id,
        net_quantity=scaled_quantity(trade.holding.net_quantity, numerator=up, denominator=down),
        stop_loss_e4=_scaled(trade.stop_loss_e4, trade, up, down, tick_e4),
        target_e4=_scaled(trade.target_e4, trade, up, down, tick_e4),
    )


def _scaled(price_e4: int | None, trade: Trade, up: int, down: int, tick_e4: int) -> int | None:
    return None if price_e4 is None else on_tick(price_e4 * down // up, tick_e4=tick_e4, side=trade.exit_side)
