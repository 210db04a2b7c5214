"""Kill switches, limits on losses, and money moved: what stands over all trades of an account."""

from functools import reduce

from domain.account.commands import (
    ConfirmFlat,
    EngageKillSwitch,
    MoveCash,
    ObserveResult,
    RecordSuppressedIntents,
    ReleaseBreach,
    ReleaseInvariant,
    ReleaseKillSwitch,
)
from domain.account.events import (
    AccountEvent,
    CashMoved,
    ExitCause,
    FlattenFinished,
    IntentsSuppressed,
    InvariantReleased,
    KillMode,
    KillSwitchEngaged,
    KillSwitchReleased,
    RiskBreached,
    RiskBreachReleased,
    Role,
)
from domain.account.evolve import evolve, on_day
from domain.account.exits import begin_exit, with_closings, withdraw_entries
from domain.account.refusals import AmountInvalid, BreachNotLatched, InvariantNotBroken, demand_role
from domain.account.state import WHOLE_ACCOUNT, Account
from domain.account.trades import close_trades, trades_in_scope
from domain.ids import StrategyId
from domain.instrument import InstrumentKey
from domain.market import NS_PER_MS, trading_day
from domain.order import DELIVERY, LIVE, OrderStatus, Product
from domain.risk import BreachAction, BreachKind


def engage_kill_switch(command: EngageKillSwitch, state: Account) -> tuple[AccountEvent, ...]:
    """Block entries and take back those under way; in the mode that flattens, begin to close what is held.

    A switch that halts may be engaged again to flatten, and not the other way: that takes a release.
    """
    demand_role(state, command.user_id, Role.TRADER)
    return _engaged(state, command.strategy_id, command.mode, command.reason, ExitCause.KILL_SWITCH)


def _engaged(
    state: Account, strategy_id: StrategyId | None, mode: KillMode, reason: str, cause: ExitCause
) -> tuple[AccountEvent, ...]:
    scope = WHOLE_ACCOUNT if strategy_id is None else strategy_id
    present = state.kill_switches.get(scope)
    if present is mode or present is KillMode.FLATTEN:
        return ()
    events: list[AccountEvent] = [KillSwitchEngaged(reason=reason, strategy_id=strategy_id, mode=mode)]
    trades = trades_in_scope(state, strategy_id)
    for trade in trades:
        if mode is KillMode.FLATTEN or trade.order_count == 0:  # A basket's leg that waits has no turn any more.
            events += begin_exit(state, trade, cause)
        else:
            events += withdraw_entries(state, trade)
    return with_closings(state, events, [trade.trade_id for trade in trades])


def release_kill_switch(command: ReleaseKillSwitch, state: Account) -> tuple[AccountEvent, ...]:
    """Allow entries again. What the switch began to close is closed to the end."""
    demand_role(state, command.user_id, Role.OWNER)
    scope = WHOLE_ACCOUNT if command.strategy_id is None else command.strategy_id
    if scope not in state.kill_switches:
        return ()
    return (KillSwitchReleased(strategy_id=command.strategy_id),)


def confirm_flat(command: ConfirmFlat, state: Account) -> tuple[AccountEvent, ...]:
    """Keep what the venue's positions say of a flattening switch, once nothing of it is under way any more.

    What is left is listed: what is held, and what an order that is presumed absent may still bring about.
    """
    scope = WHOLE_ACCOUNT if command.strategy_id is None else command.strategy_id
    if scope not in state.flattening:
        return ()
    trades = trades_in_scope(state, command.strategy_id)
    statuses = {trade.trade_id: {order.status for order in state.orders_of(trade.trade_id)} for trade in trades}
    if any(LIVE & found for found in statuses.values()):
        return ()
    if scope == WHOLE_ACCOUNT and not _agree(command, state):
        return ()  # The books do not agree yet: nothing is confirmed by them.
    remaining = [
        trade.trade_id
        for trade in trades
        if trade.holding.net_quantity or OrderStatus.PRESUMED_ABSENT in statuses[trade.trade_id]
    ]
    return (FlattenFinished(strategy_id=command.strategy_id, remaining=tuple(remaining)),)


def _agree(command: ConfirmFlat, state: Account) -> bool:
    """Tell whether the venue's positions are what our trades add up to, in every position that we have traded.

    Others, such as shares from before the account was ours to keep, are none of the switch's business. What delivery
    was carried over night the broker moves to its holdings: there the positions show the day's change alone.
    """
    shown = {(instrument, product): net for instrument, product, net in command.net_quantities}
    ours: dict[tuple[InstrumentKey, Product], tuple[int, int]] = {}
    for trade in state.trades.values():
        net, carried = ours.get(trade.position, (0, 0))
        ours[trade.position] = net + trade.holding.net_quantity, carried + trade.carried_quantity
    return all(
        shown.get(position, 0) in ({net, net - carried} if position[1] in DELIVERY else {net})
        for position, (net, carried) in ours.items()
    )


def observe_result(command: ObserveResult, state: Account) -> tuple[AccountEvent, ...]:
    """Latch a limit on losses that the valuation reaches; act on it once it is confirmed.

    A mark that is missing or stale fires nothing: the loss would be a guess.
    """
    market = command.market
    valuation = market.valuation
    if valuation is None or valuation.missing or state.owner_id is None:
        return ()
    if valuation.oldest_mark_ns is not None:
        age_ms = (market.market_time_ns - valuation.oldest_mark_ns) // NS_PER_MS
        if age_ms > state.parameters.mark_age_ms_max:
            return ()
    day = trading_day(market.market_time_ns).isoformat()
    today = on_day(state, day)
    limits = state.parameters
    results = {
        BreachKind.DAY_LOSS: (limits.day_loss_paise_max, -valuation.day_result_paise, limits.day_loss_action),
        BreachKind.DRAWDOWN: (
            limits.drawdown_paise_max,
            today.peak_net_paise - today.net_paise - valuation.open_result_paise,
            limits.drawdown_action,
        ),
    }
    events: list[AccountEvent] = []
    for kind, (limit, loss, action) in results.items():
        # A denial may have latched it before: what the breach does besides is still to be done.
        is_due = action is BreachAction.BLOCK or command.is_confirmed
        if loss < limit or kind in today.acted_breaches or not is_due:
            continue
        events.append(
            RiskBreached(
                kind=kind, action=action, limit_paise=limit, value_paise=loss, trading_day=day, marks=market.marks
            )
        )
        events += _acted(reduce(evolve, events, today), action, kind)
    return tuple(events)


def _acted(state: Account, action: BreachAction, kind: BreachKind) -> tuple[AccountEvent, ...]:
    match action:
        case BreachAction.BLOCK:
            return ()
        case BreachAction.FLATTEN:
            return close_trades(state, trades_in_scope(state, None), ExitCause.RISK_BREACH)
        case BreachAction.KILL:
            reason = f"the limit on {kind.value.replace('_', ' ')} was reached"
            return _engaged(state, None, KillMode.FLATTEN, reason, ExitCause.RISK_BREACH)


def release_breach(command: ReleaseBreach, state: Account) -> tuple[AccountEvent, ...]:
    """Take the latch off. As long as the loss itself stands beyond its limit, entries are denied all the same."""
    demand_role(state, command.user_id, Role.OWNER)
    if command.kind not in state.breaches:
        raise BreachNotLatched(f"the limit on {command.kind.value.replace('_', ' ')} is not latched")
    return (RiskBreachReleased(kind=command.kind, user_id=command.user_id, reason=command.reason),)


def release_invariant(command: ReleaseInvariant, state: Account) -> tuple[AccountEvent, ...]:
    """Let entries through again. What is still broken trips again when it is looked at next."""
    demand_role(state, command.user_id, Role.OWNER)
    if all(each.invariant is not command.invariant for each in state.broken):
        raise InvariantNotBroken(f"no breach of {command.invariant.value} waits for a release")
    return (InvariantReleased(invariant=command.invariant, user_id=command.user_id, reason=command.reason),)


def move_cash(command: MoveCash, state: Account) -> tuple[AccountEvent, ...]:
    """Keep that money came in or went out."""
    demand_role(state, command.user_id, Role.OWNER)
    if command.amount_paise == 0:
        raise AmountInvalid("received an amount of 0, expected money that moved")
    day = trading_day(command.market_time_ns).isoformat()
    return (CashMoved(amount_paise=command.amount_paise, reason=command.reason, trading_day=day),)


def record_suppressed(command: RecordSuppressedIntents, state: Account) -> tuple[AccountEvent, ...]:
    """Keep how many intents of a storm were turned away."""
    if state.owner_id is None or command.count <= 0:
        return ()
    return (IntentsSuppressed(count=command.count, since_ns=command.since_ns, until_ns=command.until_ns),)
