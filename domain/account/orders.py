"""What the sender and the venue report of an order, step by step through its life (`domain/order.py`)."""

from functools import reduce

from domain.account.commands import (
    BeginSubmission,
    PresumeAbsent,
    RecordAccepted,
    RecordFill,
    RecordNotSent,
    RecordRefused,
    RecordUnknown,
    RecordVenueOrder,
)
from domain.account.events import (
    AccountEvent,
    Evidence,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderLapsed,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderRejected,
    OrderSubmitting,
)
from domain.account.holding import effect_of_fill
from domain.account.refusals import FillInvalid, OrderNotFound
from domain.account.state import Account, Order, evolve
from domain.account.trades import further_exit, with_closings, withdraw_surplus_exits
from domain.ids import OrderId, split_fill_id
from domain.market import trading_day
from domain.money import value_paise
from domain.order import CLOSED, OrderStatus, Purpose, RefusalReason, may_follow


def _order(state: Account, order_id: OrderId) -> Order:
    order = state.orders.get(order_id)
    if order is None:
        raise OrderNotFound(f"the account has no order {order_id}")
    return order


def begin_submission(command: BeginSubmission, state: Account) -> tuple[AccountEvent, ...]:
    """Let the order be sent now, unless it is too old, blocked or no longer waits."""
    order = _order(state, command.order_id)
    if order.status is not OrderStatus.INTENDED:
        return ()
    if order.purpose is Purpose.ENTRY:
        if state.kill_switch_engaged:
            blocked = OrderBlocked(order_id=order.order_id, trade_id=order.trade_id)
            return with_closings(state, (blocked,), (order.trade_id,))
        if order.not_after_ns is not None and command.market_time_ns > order.not_after_ns:
            lapsed = OrderLapsed(order_id=order.order_id, trade_id=order.trade_id)
            return with_closings(state, (lapsed,), (order.trade_id,))
    submitting = OrderSubmitting(
        order_id=order.order_id,
        trade_id=order.trade_id,
        correlation_id=command.correlation_id,
        sender_epoch=command.sender_epoch,
    )
    return (submitting,)


def record_not_sent(command: RecordNotSent, state: Account) -> tuple[AccountEvent, ...]:
    """Return the order to where it waited; one that nobody wants any more is blocked."""
    order = _order(state, command.order_id)
    if order.status is not OrderStatus.SUBMITTING:
        return ()
    events: list[AccountEvent] = [
        OrderNotSent(order_id=order.order_id, trade_id=order.trade_id, reason=command.reason, detail=command.detail),
    ]
    if order.cancel_requested:
        events.append(OrderBlocked(order_id=order.order_id, trade_id=order.trade_id))
    return with_closings(state, events, (order.trade_id,))


def record_accepted(command: RecordAccepted, state: Account) -> tuple[AccountEvent, ...]:
    """Keep the venue's id."""
    order = _order(state, command.order_id)
    if not _is_first_word(order):
        return ()
    acknowledged = OrderAcknowledged(
        order_id=order.order_id,
        trade_id=order.trade_id,
        venue_order_id=command.venue_order_id,
        evidence=Evidence.ANSWER,
        sent_at_ns=command.sent_at_ns,
    )
    return _without_surplus(state, [acknowledged], order)


def _is_first_word(order: Order) -> bool:
    """Tell whether the venue's id for the order is news; a fill may have come before it."""
    may_begin = may_follow(order.status, OrderStatus.ACKNOWLEDGED) or order.status is OrderStatus.PARTLY_FILLED
    return order.venue_order_id is None and may_begin


def _without_surplus(state: Account, events: list[AccountEvent], order: Order) -> tuple[AccountEvent, ...]:
    """Return *events*, and what takes back the exits that they leave with more to fill than the trade holds."""
    after = reduce(evolve, events, state)
    surplus = withdraw_surplus_exits(after, after.trades[order.trade_id])
    return with_closings(state, events + surplus, (order.trade_id,))


def record_refused(command: RecordRefused, state: Account) -> tuple[AccountEvent, ...]:
    """Keep the venue's refusal."""
    order = _order(state, command.order_id)
    if not may_follow(order.status, OrderStatus.REJECTED):
        return ()
    rejected = OrderRejected(
        order_id=order.order_id,
        trade_id=order.trade_id,
        venue_order_id=None,
        reason=command.reason,
        message=command.message,
        evidence=Evidence.ANSWER,
    )
    return with_closings(state, (rejected,), (order.trade_id,))


def record_unknown(command: RecordUnknown, state: Account) -> tuple[AccountEvent, ...]:
    """Keep that the venue may have the order."""
    order = _order(state, command.order_id)
    if not may_follow(order.status, OrderStatus.UNKNOWN):
        return ()
    unknown = OrderOutcomeUnknown(
        order_id=order.order_id, trade_id=order.trade_id, cause=command.cause, sent_at_ns=command.sent_at_ns
    )
    return (unknown,)


def record_venue_order(command: RecordVenueOrder, state: Account) -> tuple[AccountEvent, ...]:
    """Keep what the venue's books say of the order, where it is news."""
    order = _order(state, command.order_id)
    events: list[AccountEvent] = []
    if order.venue_order_id is None and command.status is not OrderStatus.REJECTED:
        if not _is_first_word(order):
            return ()
        acknowledged = OrderAcknowledged(
            order_id=order.order_id,
            trade_id=order.trade_id,
            venue_order_id=command.venue_order_id,
            evidence=command.evidence,
            sent_at_ns=None,
        )
        events.append(acknowledged)
        order = evolve(state, acknowledged).orders[order.order_id]
    # The venue's last word is final only when all of its fills are here: until then only they count.
    if command.cumulative_quantity <= order.cumulative_quantity and order.status not in CLOSED:
        events += _final_word(command, order)
    return _without_surplus(state, events, order)


def _final_word(command: RecordVenueOrder, order: Order) -> list[AccountEvent]:
    if not may_follow(order.status, command.status):
        return []
    match command.status:
        case OrderStatus.CANCELED:
            return [OrderCanceled(order_id=order.order_id, trade_id=order.trade_id)]
        case OrderStatus.EXPIRED:
            return [OrderExpired(order_id=order.order_id, trade_id=order.trade_id)]
        case OrderStatus.REJECTED:
            rejected = OrderRejected(
                order_id=order.order_id,
                trade_id=order.trade_id,
                venue_order_id=command.venue_order_id,
                reason=RefusalReason.OTHER,
                message=command.message,
                evidence=command.evidence,
            )
            return [rejected]
        case _:
            return []


def record_fill(command: RecordFill, state: Account) -> tuple[AccountEvent, ...]:
    """Keep an execution, once, and what it did to the trade."""
    order = _order(state, command.order_id)
    if command.quantity <= 0 or command.price_e4 <= 0:
        raise FillInvalid(f"received {command.quantity} units at price_e4={command.price_e4}, expected more than 0")
    if command.venue_fill_id in order.fills:
        return ()
    trade = state.trades[order.trade_id]
    instruction = order.instruction
    worth = value_paise(price_e4=command.price_e4, quantity=command.quantity, multiplier=trade.multiplier)
    effect = effect_of_fill(trade.holding, side=instruction.side, quantity=command.quantity, value_paise=worth)
    cumulative = order.cumulative_quantity + command.quantity
    leaves = 0 if order.status in CLOSED else max(0, instruction.quantity - cumulative)
    venue_segment, venue_trade_number, venue_order_id = split_fill_id(command.venue_fill_id)
    filled = OrderFilled(
        order_id=order.order_id,
        trade_id=order.trade_id,
        venue_segment=venue_segment,
        venue_trade_number=venue_trade_number,
        venue_order_id=venue_order_id,
        instrument=instruction.instrument,
        product=instruction.product,
        side=instruction.side,
        purpose=order.purpose,
        last_quantity=command.quantity,
        last_price_e4=command.price_e4,
        value_paise=worth,
        cumulative_quantity=cumulative,
        leaves_quantity=leaves,
        opened_cost_paise=effect.opened_cost_paise,
        closed_quantity=effect.closed_quantity,
        closed_cost_paise=effect.closed_cost_paise,
        realised_paise=effect.realised_paise,
        filled_at_ns=command.filled_at_ns,
        trading_day=trading_day(command.filled_at_ns).isoformat(),
    )
    events: list[AccountEvent] = [filled]
    after = evolve(state, filled)
    trade = after.trades[order.trade_id]
    if trade.exit_cause is not None:
        events += further_exit(after, trade)  # An entry that fills while its trade is being closed is closed too.
    return _without_surplus(state, events, order)


def presume_absent(command: PresumeAbsent, state: Account) -> tuple[AccountEvent, ...]:
    """Keep that the order was looked for in vain."""
    order = _order(state, command.order_id)
    if order.status is not OrderStatus.UNKNOWN:
        return ()
    return (OrderPresumedAbsent(order_id=order.order_id, trade_id=order.trade_id, lookups=command.lookups),)
