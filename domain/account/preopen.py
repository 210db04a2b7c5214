"""The record of a pre-open check, and what the account itself has to say to it."""

from domain.account.commands import RecordPreopenCheck
from domain.account.events import AccountEvent, PreopenChecked, ProtectionMode
from domain.account.state import Account, Trade
from domain.order import Purpose
from domain.preopen import CheckedPoint, PointStanding, PreopenPoint


def record_preopen_check(command: RecordPreopenCheck, state: Account) -> tuple[AccountEvent, ...]:
    """Keep the first check of a day, and each later one that fails in other points."""
    seen = state.preopen
    failing = failing_in(command.points)
    if state.owner_id is None or (command.trading_day == seen.trading_day and failing == seen.failing):
        return ()
    number = seen.number + 1 if command.trading_day == seen.trading_day else 1
    return (PreopenChecked(trading_day=command.trading_day, number=number, points=command.points),)


def failing_in(points: tuple[CheckedPoint, ...]) -> tuple[PreopenPoint, ...]:
    """Return the points that fail, in the order of their names."""
    return tuple(sorted(each.point for each in points if each.standing is PointStanding.FAILING))


def stops_point(state: Account) -> CheckedPoint:
    """Return how the stops of the trades that hold something stand.

    A stop that lapsed with its session is placed again by the protection when the next one opens. Who asked for no stop
    has none: that is told, and fails nothing.
    """
    holding = [trade for trade in state.unclosed_trades() if trade.holding.net_quantity and not trade.is_external]
    if not holding:
        return CheckedPoint(
            point=PreopenPoint.STOPS, standing=PointStanding.NOT_APPLICABLE, detail="nothing was carried"
        )
    unguarded = [trade for trade in holding if not _is_looked_after(state, trade)]
    bare = sum(trade.stop_loss_e4 is None for trade in holding)
    remark = f", {bare} of them without a stop by wish" if bare else ""
    if not unguarded:
        return CheckedPoint(
            point=PreopenPoint.STOPS, standing=PointStanding.OK, detail=f"{len(holding)} trades carried{remark}"
        )
    named = ", ".join(f"{trade.symbol} ({trade.trade_id})" for trade in unguarded[:5])
    return CheckedPoint(
        point=PreopenPoint.STOPS,
        standing=PointStanding.FAILING,
        detail=f"{len(unguarded)} of {len(holding)} trades are not guarded: {named}",
        remedy="Change the trade's stop loss, which has it placed anew, or close the trade.",
    )


def books_point(state: Account) -> CheckedPoint:
    """Return whether a difference from the broker's books holds the account's entries."""
    gating = state.gating_difference
    if gating is None:
        count = len(state.differences)
        detail = f"{count} differences are open, and none holds entries" if count else "no difference is open"
        return CheckedPoint(point=PreopenPoint.BOOKS, standing=PointStanding.OK, detail=detail)
    return CheckedPoint(
        point=PreopenPoint.BOOKS,
        standing=PointStanding.FAILING,
        detail=f"{gating.kind.value} of {gating.symbol}: ours {gating.ours}, the broker's {gating.theirs}",
        remedy="`khata reconcile` tells all of them; an owner resolves what is as the broker shows it.",
    )


def _is_looked_after(state: Account, trade: Trade) -> bool:
    if trade.stop_loss_e4 is None:
        return True
    if trade.has_failed_protection:
        return False
    if trade.protection is ProtectionMode.ENGINE or trade.is_lapsed or trade.exit_cause is not None:
        return True
    covered = sum(o.leaves_quantity for o in state.orders_of(trade.trade_id) if o.purpose is not Purpose.ENTRY)
    return covered >= abs(trade.holding.net_quantity)
