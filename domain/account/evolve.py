"""How events change an account. Nothing is refused here: what happened is believed."""

from typing import assert_never

import msgspec

from domain.account.charging import foreign_order
from domain.account.differing import with_difference, without_difference
from domain.account.events import (
    AccountEvent,
    AccountOpened,
    BasketCompleted,
    BasketFailed,
    BasketOpened,
    BasketPolicy,
    CashMoved,
    ContractNoteReceived,
    CorporateActionApplied,
    DifferenceClosed,
    DifferenceFound,
    FlattenFinished,
    ForeignFillAllocated,
    IntentsSuppressed,
    InvariantBreached,
    InvariantReleased,
    KillMode,
    KillSwitchEngaged,
    KillSwitchReleased,
    MemberRemoved,
    MemberSet,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderLapsed,
    OrderModified,
    OrderModifyRefused,
    OrderModifyRequested,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderRejected,
    OrderResolution,
    OrderResolved,
    OrderSubmitting,
    PreopenChecked,
    ProtectionFailed,
    ProtectionLapsed,
    RiskBreached,
    RiskBreachReleased,
    RiskParametersChanged,
    Role,
    StopTrailed,
    TradeAdopted,
    TradeChanged,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
    TradeReductionAsked,
)
from domain.account.holding import FillEffect, after_fill, scaled_quantity
from domain.account.state import WHOLE_ACCOUNT, Account, Basket, BrokenInvariant, Order, PreopenSeen, Trade
from domain.account.totals import is_live, totals_of, with_order, with_trade
from domain.charges import NOTHING_ACCRUED
from domain.ids import OrderId, StrategyId, TradeId
from domain.market import trading_day
from domain.order import LIVE, ModifyCause, OrderInstruction, OrderStatus, OrderType, Purpose, status_after_fill
from domain.preopen import PointStanding
from domain.risk import BreachKind, DenialCode

_replace = msgspec.structs.replace

_LATCHED_BY = {
    DenialCode.DAY_LOSS_LIMIT_REACHED: BreachKind.DAY_LOSS,
    DenialCode.DRAWDOWN_LIMIT_REACHED: BreachKind.DRAWDOWN,
}
"""A denial for a limit on losses latches it, like the event of a breach: before there was one, it alone did."""


def evolve(state: Account, event: AccountEvent) -> Account:  # noqa: C901, PLR0911, PLR0912, PLR0915 - one arm per event
    """Return the account after *event*."""
    match event:
        case OrderIntended():
            return _order_intended(state, event)
        case OrderFilled():
            return _order_filled(state, event)
        case OrderSubmitting():
            sent = _with_status(state, event.order_id, OrderStatus.SUBMITTING)
            return _replace(sent, rates=sent.rates.sent(event.market_time_ns))
        case OrderNotSent():
            return _with_status(state, event.order_id, OrderStatus.INTENDED)
        case OrderAcknowledged():
            order = state.orders[event.order_id]
            status = OrderStatus.PARTLY_FILLED if order.cumulative_quantity else OrderStatus.ACKNOWLEDGED
            return _with_order(state, _replace(order, status=status, venue_order_id=event.venue_order_id))
        case OrderRejected():
            return _with_status(state, event.order_id, OrderStatus.REJECTED)
        case OrderOutcomeUnknown():
            # An operator may have named an id for it that the venue's book did not bear out.
            doubted = _replace(state.orders[event.order_id], status=OrderStatus.UNKNOWN, venue_order_id=None)
            return _with_order(state, doubted)
        case OrderPresumedAbsent():
            return _with_status(state, event.order_id, OrderStatus.PRESUMED_ABSENT)
        case OrderResolved():
            is_absent = event.resolution is OrderResolution.ABSENT
            return _with_status(state, event.order_id, OrderStatus.ABSENT) if is_absent else state
        case OrderLapsed():
            return _with_status(state, event.order_id, OrderStatus.LAPSED)
        case OrderBlocked():
            return _with_status(state, event.order_id, OrderStatus.BLOCKED)
        case OrderCanceled():
            return _with_status(state, event.order_id, OrderStatus.CANCELED)
        case OrderExpired():
            return _with_status(state, event.order_id, OrderStatus.EXPIRED)
        case OrderCancelRequested():
            return _with_order(state, _replace(state.orders[event.order_id], cancel_requested=True))
        case OrderModifyRequested():
            order = state.orders[event.order_id]
            steps = order.gap_steps + (event.cause is ModifyCause.GAP)
            wanted = _replace(order, wanted=event.instruction, modifications=event.number, gap_steps=steps)
            return _with_order(state, wanted)
        case OrderModified():
            return _order_modified(state, event)
        case OrderModifyRefused():
            order = state.orders[event.order_id]
            refused = _replace(order, wanted=None, refused_modifications=order.refused_modifications + 1)
            return _with_order(state, _over_if_filled(refused))
        case TradeOpened():
            return _trade_opened(state, event)
        case OrderDenied():
            return _order_denied(state, event)
        case TradeExitTriggered():
            return _with_trade(state, _replace(state.trades[event.trade_id], exit_cause=event.cause, reduction=0))
        case TradeClosed():
            return _with_trade(state, _replace(state.trades[event.trade_id], is_closed=True))
        case TradeChanged():
            return _trade_changed(state, event)
        case TradeReductionAsked():
            trade = state.trades[event.trade_id]
            return _with_trade(state, _replace(trade, reduction=trade.reduction + event.quantity))
        case StopTrailed():
            return _with_trade(state, _replace(state.trades[event.trade_id], stop_loss_e4=event.stop_loss_e4))
        case ProtectionLapsed():
            return _with_trade(state, _replace(state.trades[event.trade_id], is_lapsed=True))
        case ProtectionFailed():
            return _with_trade(state, _replace(state.trades[event.trade_id], has_failed_protection=True))
        case TradeAdopted():
            return _trade_adopted(state, event)
        case ForeignFillAllocated():
            return _foreign_fill(state, event)
        case CorporateActionApplied():
            return _corporate_action(state, event)
        case DifferenceFound():
            return with_difference(state, event)
        case DifferenceClosed():
            return without_difference(state, event)
        case BasketOpened():
            basket = Basket(basket_id=event.basket_id, legs=event.legs, policy=event.policy)
            return _replace(state, baskets={**state.baskets, event.basket_id: basket})
        case BasketFailed():
            return _basket_failed(state, event)
        case BasketCompleted():
            return _replace(state, baskets={k: v for k, v in state.baskets.items() if k != event.basket_id})
        case KillSwitchEngaged():
            scope = _scope_of(event.strategy_id)
            flattening = state.flattening | {scope} if event.mode is KillMode.FLATTEN else state.flattening
            return _replace(state, kill_switches={**state.kill_switches, scope: event.mode}, flattening=flattening)
        case KillSwitchReleased():
            scope = _scope_of(event.strategy_id)
            return _replace(
                state,
                kill_switches={name: mode for name, mode in state.kill_switches.items() if name != scope},
                flattening=state.flattening - {scope},
            )
        case FlattenFinished():
            return _replace(state, flattening=state.flattening - {_scope_of(event.strategy_id)})
        case RiskBreached():
            state = on_day(state, event.trading_day)
            acted = state.acted_breaches | {event.kind}
            return _replace(state, breaches=state.breaches | {event.kind}, acted_breaches=acted)
        case RiskBreachReleased():
            acted = state.acted_breaches - {event.kind}
            return _replace(state, breaches=state.breaches - {event.kind}, acted_breaches=acted)
        case InvariantBreached():
            broken = BrokenInvariant(invariant=event.invariant, subject=event.subject, version=event.version)
            return _replace(state, broken=(*state.broken, broken))
        case InvariantReleased():
            return _replace(state, broken=tuple(b for b in state.broken if b.invariant is not event.invariant))
        case PreopenChecked():
            failing = tuple(sorted(p.point for p in event.points if p.standing is PointStanding.FAILING))
            return _replace(
                state, preopen=PreopenSeen(trading_day=event.trading_day, number=event.number, failing=failing)
            )
        case CashMoved():
            state = on_day(state, event.trading_day)
            return _replace(state, cash_moved_paise=state.cash_moved_paise + event.amount_paise)
        case AccountOpened():
            return _replace(
                state,
                account_id=event.account_id,
                owner_id=event.owner_id,
                mode=event.mode,
                members={event.owner_id: Role.OWNER},
                parameters=event.parameters,
            )
        case MemberSet():
            return _replace(state, members={**state.members, event.member_id: event.role})
        case MemberRemoved():
            return _replace(state, members={k: v for k, v in state.members.items() if k != event.member_id})
        case RiskParametersChanged():
            return _replace(state, parameters=event.parameters)
        case IntentsSuppressed():
            return state  # For people: what was turned away changes nothing.
        case ContractNoteReceived():
            return state  # Likewise: charges stay as they were booked.
        case _:
            assert_never(event)


def on_day(state: Account, day: str, *, keep: TradeId | None = None) -> Account:
    """Return the account on *day*: its counts start at zero, and trades closed before it, but *keep*, are forgotten."""
    if day <= state.day:
        return state
    trades = {
        name: _replace(
            trade,
            carried_quantity=trade.holding.net_quantity,
            carried_cost_paise=trade.holding.cost_paise,
        )
        for name, trade in state.trades.items()
        # One that is absent by an operator's word may have turned up again although its trade is closed.
        if not trade.is_closed or trade.live_orders or name == keep
    }
    orders = {order_id: order for order_id, order in state.orders.items() if order.trade_id in trades}
    return _replace(
        state,
        day=day,
        trades_today=0,
        realised_today_paise=0,
        charges_today_paise=0,
        breaches=frozenset(),
        acted_breaches=frozenset(),
        foreign_fills=frozenset(),  # The venue's trade book is of one day.
        foreign_accruals={},
        debited=frozenset(),
        accepted_differences=frozenset(),  # Nor is its order book.
        trades=trades,
        orders=orders,
        totals=totals_of(trades, orders.values()),
        rates=_replace(state.rates, day_count=0),
        baskets={name: basket for name, basket in state.baskets.items() if _is_alive(basket, trades)},
    )


def _is_alive(basket: Basket, trades: dict[TradeId, Trade]) -> bool:
    return any(leg.trade_id in trades for leg in basket.legs)


def _scope_of(strategy_id: StrategyId | None) -> StrategyId:
    return WHOLE_ACCOUNT if strategy_id is None else strategy_id


def _with_order(state: Account, order: Order, trade: Trade | None = None) -> Account:
    """Put *order* in, and *trade* (None: as it is) with the count of its live orders."""
    before, was = state.orders.get(order.order_id), state.trades[order.trade_id]
    became_live = is_live(order) - is_live(before)
    trade = was if trade is None else trade
    if became_live:
        trade = _replace(trade, live_orders=trade.live_orders + became_live)
    orders = {**state.orders, order.order_id: order}
    if trade is was:
        return _replace(state, orders=orders, totals=with_order(state.totals, trade, before, order))
    totals = with_order(with_trade(state.totals, was, trade), trade, before, order)
    return _replace(state, orders=orders, trades={**state.trades, trade.trade_id: trade}, totals=totals)


def _with_trade(state: Account, trade: Trade) -> Account:
    totals = with_trade(state.totals, state.trades.get(trade.trade_id), trade)
    return _replace(state, trades={**state.trades, trade.trade_id: trade}, totals=totals)


def _with_status(state: Account, order_id: OrderId, status: OrderStatus) -> Account:
    return _with_order(state, _replace(state.orders[order_id], status=status))


def _order_denied(state: Account, event: OrderDenied) -> Account:
    state = on_day(state, trading_day(event.market.market_time_ns).isoformat())
    kind = _LATCHED_BY.get(event.code)
    return state if kind is None else _replace(state, breaches=state.breaches | {kind})


def _trade_opened(state: Account, event: TradeOpened) -> Account:
    day = trading_day(event.market.market_time_ns).isoformat()
    state = on_day(state, day)
    instrument = event.market.instrument
    trade = Trade(
        trade_id=event.trade_id,
        symbol=event.symbol,
        multiplier=event.multiplier,
        entry=event.entry,
        stop_loss_e4=event.stop_loss_e4,
        target_e4=event.target_e4,
        opened_on=day,
        strategy_id=event.strategy_id,
        trailing=event.trailing,
        protection=event.protection,
        basket_id=event.basket_id,
        tick_e4=1 if instrument is None else instrument.tick_e4,
        freeze_quantity=None if instrument is None else instrument.freeze_quantity,
        reference_price_e4=_reference_price(event),
        opened_at_ns=event.market.market_time_ns,
    )
    return _with_trade(_replace(state, trades_today=state.trades_today + 1), trade)


def _reference_price(event: TradeOpened) -> int:
    mark = event.market.mark_of(event.entry.instrument)
    return 0 if mark is None else mark.last_price_e4


def _trade_changed(state: Account, event: TradeChanged) -> Account:
    trade = state.trades[event.trade_id]
    changed = _replace(
        trade,
        version=event.version,
        stop_loss_e4=event.stop_loss_e4,
        target_e4=event.target_e4,
        trailing=event.trailing,
        has_failed_protection=False,
        stops_forgiven=trade.stop_count,
    )
    return _with_trade(state, changed)


def _order_intended(state: Account, event: OrderIntended) -> Account:
    trade = state.trades[event.trade_id]
    closes = event.purpose is Purpose.EXIT
    trade = _replace(
        trade,
        order_count=trade.order_count + 1,
        exit_count=trade.exit_count + closes,
        stop_count=trade.stop_count + (event.purpose is Purpose.STOP),
        reduction=max(0, trade.reduction - event.instruction.quantity) if closes else trade.reduction,
        is_lapsed=trade.is_lapsed and event.purpose is not Purpose.STOP,
    )
    order = Order(
        order_id=event.order_id,
        trade_id=event.trade_id,
        purpose=event.purpose,
        instruction=event.instruction,
        not_after_ns=event.not_after_ns,
        successor_of=event.successor_of,
    )
    return _with_order(state, order, trade)


def _order_modified(state: Account, event: OrderModified) -> Account:
    order = state.orders[event.order_id]
    state = _with_order(state, _over_if_filled(_replace(order, instruction=event.instruction, wanted=None)))
    if order.purpose is not Purpose.ENTRY:
        return state
    trade = state.trades[order.trade_id]
    changed = event.instruction.quantity - order.instruction.quantity  # Of one slice: the others stay.
    told = _replace(event.instruction, quantity=trade.entry.quantity + changed)
    return _with_trade(state, _replace(trade, entry=told))


def _over_if_filled(order: Order) -> Order:
    """Return *order* filled, where the end of a modification leaves it no larger than what had filled already."""
    is_filled = order.status in LIVE and order.cumulative_quantity >= order.instruction.quantity
    return _replace(order, status=OrderStatus.FILLED) if is_filled else order


def _order_filled(state: Account, event: OrderFilled) -> Account:
    state = on_day(state, event.trading_day, keep=event.trade_id)  # A late fill may be of a trade closed before.
    order = state.orders[event.order_id]
    status = status_after_fill(
        order.status,
        cumulative_quantity=event.cumulative_quantity,
        quantity=order.instruction.quantity,
        leaves_quantity=event.leaves_quantity,
    )
    order = _replace(
        order,
        status=status,
        cumulative_quantity=event.cumulative_quantity,
        fills=order.fills | {event.venue_fill_id},
        accrual=order.accrual.after(value_paise=event.value_paise, charges=event.charges),
    )
    trade = _after_fill(state.trades[event.trade_id], event)
    if event.purpose is Purpose.ENTRY:
        trade = _replace(trade, entry_quantity=trade.entry_quantity + event.last_quantity)
    return _booked(_with_order(state, order, trade), event)


def _after_fill(trade: Trade, event: OrderFilled | ForeignFillAllocated) -> Trade:
    effect = FillEffect(
        opened_cost_paise=event.opened_cost_paise,
        closed_quantity=event.closed_quantity,
        closed_cost_paise=event.closed_cost_paise,
        realised_paise=event.realised_paise,
    )
    holding = after_fill(trade.holding, effect, side=event.side, quantity=event.last_quantity)
    return _replace(
        trade,
        holding=holding,
        reduction=min(trade.reduction, abs(holding.net_quantity)),
        is_closed=False,  # A late fill opens a trade again, so that it is closed by the rules and not forgotten.
    )


def _booked(state: Account, event: OrderFilled | ForeignFillAllocated) -> Account:
    """Return the account with what a fill realised and what it was charged."""
    charged = event.charges.total_paise
    realised, charges = state.realised_paise + event.realised_paise, state.charges_paise + charged
    return _replace(
        state,
        realised_today_paise=state.realised_today_paise + event.realised_paise,
        realised_paise=realised,
        charges_today_paise=state.charges_today_paise + charged,
        charges_paise=charges,
        peak_net_paise=max(state.peak_net_paise, realised - charges),
        debited=state.debited | {event.instrument} if event.charges.dp_paise else state.debited,
    )


def _trade_adopted(state: Account, event: TradeAdopted) -> Account:
    state = on_day(state, event.trading_day)
    trade = Trade(
        trade_id=event.trade_id,
        symbol=event.symbol,
        multiplier=event.multiplier,
        entry=OrderInstruction(
            instrument=event.instrument,
            side=event.side,
            quantity=0,
            order_type=OrderType.MARKET,
            limit_price_e4=None,
            product=event.product,
        ),
        stop_loss_e4=None,
        target_e4=None,
        opened_on=event.trading_day,
        is_external=True,
        freeze_quantity=event.freeze_quantity,
        order_count=1,  # Its orders are not ours, but it waits for none.
    )
    return _with_trade(state, trade)


def _foreign_fill(state: Account, event: ForeignFillAllocated) -> Account:
    state = on_day(state, event.trading_day, keep=event.trade_id)
    trade = _after_fill(state.trades[event.trade_id], event)
    if trade.is_external and event.opened_cost_paise:
        opened = event.last_quantity - event.closed_quantity
        trade = _replace(trade, entry_quantity=trade.entry_quantity + opened)
    order = foreign_order(event.venue_fill_id, event.venue_order_id)
    accrual = state.foreign_accruals.get(order, NOTHING_ACCRUED)
    state = _replace(
        _with_trade(state, trade),
        foreign_fills=state.foreign_fills | {event.venue_fill_id},
        foreign_accruals={
            **state.foreign_accruals,
            order: accrual.after(value_paise=event.value_paise, charges=event.charges),
        },
    )
    return _booked(state, event)


def _corporate_action(state: Account, event: CorporateActionApplied) -> Account:
    trades = dict(state.trades)
    for each in event.trades:
        trade = trades[each.trade_id]
        up, down = event.numerator, event.denominator
        trades[each.trade_id] = _replace(
            trade,
            holding=_replace(trade.holding, net_quantity=each.net_quantity),
            carried_quantity=scaled_quantity(trade.carried_quantity, numerator=up, denominator=down),
            stop_loss_e4=each.stop_loss_e4,
            target_e4=each.target_e4,
        )
    applied = state.corporate_actions | {event.action_id}
    # What is held changes in many trades at once; this is rare enough to add everything up anew.
    return _replace(state, trades=trades, totals=totals_of(trades, state.orders.values()), corporate_actions=applied)


def _basket_failed(state: Account, event: BasketFailed) -> Account:
    basket = state.baskets.get(event.basket_id)
    if basket is None:
        return state
    if event.policy is not BasketPolicy.CONTINUE:
        return _replace(state, baskets={name: b for name, b in state.baskets.items() if name != event.basket_id})
    failed = _replace(basket, failed=basket.failed | {event.failed_trade_id})
    return _replace(state, baskets={**state.baskets, event.basket_id: failed})
