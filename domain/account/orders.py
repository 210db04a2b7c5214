"""What the sender and the venue report of an order, step by step through its life (`domain/order.py`)."""

from functools import reduce

import msgspec

from domain.account.charging import charges_of
from domain.account.commands import (
    BeginSubmission,
    PresumeAbsent,
    RecordAccepted,
    RecordDayEnd,
    RecordFill,
    RecordModifyRefused,
    RecordNotSent,
    RecordRefused,
    RecordUnknown,
    RecordVenueOrder,
)
from domain.account.events import (
    AccountEvent,
    Evidence,
    ExitCause,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderLapsed,
    OrderModified,
    OrderModifyRefused,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderRejected,
    OrderSubmitting,
    ProtectionLapsed,
    TradeExitTriggered,
)
from domain.account.evolve import evolve, on_day
from domain.account.exits import with_closings, withdraw_entries
from domain.account.holding import effect_of_fill
from domain.account.protection import after_word
from domain.account.refusals import OrderNotFound, demand_execution
from domain.account.state import Account, Order
from domain.ids import OrderId, split_fill_id
from domain.market import trading_day
from domain.money import value_paise
from domain.order import (
    CLOSED,
    FINAL,
    IN_DOUBT,
    OrderInstruction,
    OrderStatus,
    OrderType,
    Purpose,
    RefusalReason,
    may_follow,
)


def _order(state: Account, order_id: OrderId) -> Order:
    order = state.orders.get(order_id)
    if order is None:
        raise OrderNotFound(f"the account has no order {order_id}")
    return order


def begin_submission(command: BeginSubmission, state: Account) -> tuple[AccountEvent, ...]:
    """Let the order be sent now, unless it is too old, blocked, held by a difference, or no longer waits."""
    order = _order(state, command.order_id)
    if order.status is not OrderStatus.INTENDED:
        return ()
    if order.purpose is Purpose.ENTRY:
        if state.broken or state.is_killed(state.trades[order.trade_id].strategy_id):
            blocked = OrderBlocked(order_id=order.order_id, trade_id=order.trade_id)
            return with_closings(state, (blocked,), (order.trade_id,))
        if order.not_after_ns is not None and command.market_time_ns > order.not_after_ns:
            lapsed = OrderLapsed(order_id=order.order_id, trade_id=order.trade_id)
            return with_closings(state, (lapsed,), (order.trade_id,))
        if not command.may_enter or state.gating_difference is not None:
            return ()  # It waits as long as it may: the books may agree again in time.
    submitting = OrderSubmitting(
        order_id=order.order_id,
        trade_id=order.trade_id,
        correlation_id=command.correlation_id,
        sender_epoch=command.sender_epoch,
        market_time_ns=command.market_time_ns,
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
    return after_word(state, events, order, places=order.cancel_requested)


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
    return after_word(state, [acknowledged], order)


def _is_first_word(order: Order) -> bool:
    """Tell whether the venue's id for the order is news; a fill may have come before it."""
    may_begin = may_follow(order.status, OrderStatus.ACKNOWLEDGED) or order.status is OrderStatus.PARTLY_FILLED
    return order.venue_order_id is None and may_begin


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
    return after_word(state, [rejected], order, places=order.cancel_requested)


def record_modify_refused(command: RecordModifyRefused, state: Account) -> tuple[AccountEvent, ...]:
    """Keep that the order stands as it stood: what was wanted of it is sought another way."""
    order = _order(state, command.order_id)
    if order.wanted is None or command.number != order.modifications:
        return ()
    refused = OrderModifyRefused(
        order_id=order.order_id, trade_id=order.trade_id, reason=command.reason, message=command.message
    )
    return after_word(state, [refused], order)


def record_unknown(command: RecordUnknown, state: Account) -> tuple[AccountEvent, ...]:
    """Keep that the venue may have the order."""
    order = _order(state, command.order_id)
    if order.status is not OrderStatus.SUBMITTING:
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
    modified = _read_back(command, order)
    if modified is not None:
        events.append(modified)
        order = evolve(reduce(evolve, events[:-1], state), modified).orders[order.order_id]
    # The venue's last word is final only when all of its fills are here: until then only they count.
    final: list[AccountEvent] = []
    if command.cumulative_quantity <= order.cumulative_quantity and order.status not in FINAL:
        final = _final_word(command, order)
    if not events and not final:
        return ()
    # What ended without being asked to is not sent again at once: the process that watches it paces that.
    return after_word(state, events + final, order, places=order.cancel_requested or not final)


def _read_back(command: RecordVenueOrder, order: Order) -> OrderModified | None:
    """Return what the venue's books show of a modification: the one under way, or one that somebody else made."""
    is_over = command.status in CLOSED and command.status is not OrderStatus.FILLED
    if command.quantity is None or command.order_type is None or is_over:
        return None
    shown = msgspec.structs.replace(
        order.instruction,
        quantity=command.quantity,
        order_type=command.order_type,
        limit_price_e4=command.limit_price_e4,
        trigger_price_e4=command.trigger_price_e4,
    )
    wanted = order.wanted
    if wanted is not None:
        # A market order is shown with the limit that the broker gave it, and counts as what it was sent as.
        if _shows(shown, wanted, before=order.instruction) or _is_triggered(shown, wanted):
            return OrderModified(order_id=order.order_id, trade_id=order.trade_id, instruction=wanted)
        if command.status is not OrderStatus.FILLED:
            return None  # The venue has not taken it up yet.
        # It filled as it was: nothing will be taken up any more.
        return OrderModified(order_id=order.order_id, trade_id=order.trade_id, instruction=shown)
    if _shows(shown, order.instruction, before=order.instruction) or _is_triggered(shown, order.instruction):
        return None
    return OrderModified(order_id=order.order_id, trade_id=order.trade_id, instruction=shown)


def _shows(shown: OrderInstruction, told: OrderInstruction, *, before: OrderInstruction) -> bool:
    """Tell whether the venue's row shows an order as *told*; *before* is what it was shown as last."""
    if shown.quantity != told.quantity:
        return False
    if told.order_type is OrderType.MARKET:
        return shown.order_type is OrderType.MARKET or (
            # With the limit that the broker gave it. At the old one it is what it was, perhaps triggered meanwhile.
            shown.order_type is OrderType.LIMIT and shown.limit_price_e4 != before.limit_price_e4
        )
    return (shown.order_type, shown.limit_price_e4, shown.trigger_price_e4) == (
        told.order_type,
        told.limit_price_e4,
        told.trigger_price_e4,
    )


def _is_triggered(shown: OrderInstruction, told: OrderInstruction) -> bool:
    """Tell whether the row shows a stop order after its trigger: a limit order at the same limit."""
    return (
        told.order_type is OrderType.SL
        and shown.order_type is OrderType.LIMIT
        and shown.quantity == told.quantity
        and shown.limit_price_e4 == told.limit_price_e4
    )


def _final_word(command: RecordVenueOrder, order: Order) -> list[AccountEvent]:
    if not may_follow(order.status, command.status):
        return []
    match command.status:
        case OrderStatus.CANCELED:
            return [OrderCanceled(order_id=order.order_id, trade_id=order.trade_id)]
        case OrderStatus.EXPIRED:
            return _expired(order, evidence=None)
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


def _expired(order: Order, *, evidence: Evidence | None) -> list[AccountEvent]:
    expired: list[AccountEvent] = [
        OrderExpired(order_id=order.order_id, trade_id=order.trade_id, evidence=evidence),
    ]
    if order.purpose is Purpose.STOP:
        expired.append(ProtectionLapsed(trade_id=order.trade_id, order_id=order.order_id))
    return expired


def record_fill(command: RecordFill, state: Account) -> tuple[AccountEvent, ...]:
    """Keep an execution, once, and what it did to the trade."""
    order = _order(state, command.order_id)
    demand_execution(quantity=command.quantity, price_e4=command.price_e4)
    if command.venue_fill_id in order.fills:
        return ()
    trade = state.trades[order.trade_id]
    instruction = order.instruction
    worth = value_paise(price_e4=command.price_e4, quantity=command.quantity, multiplier=trade.multiplier)
    effect = effect_of_fill(trade.holding, side=instruction.side, quantity=command.quantity, value_paise=worth)
    cumulative = order.cumulative_quantity + command.quantity
    largest = instruction.quantity if order.wanted is None else max(instruction.quantity, order.wanted.quantity)
    leaves = 0 if order.status in FINAL else max(0, largest - cumulative)
    venue_segment, venue_trade_number, venue_order_id = split_fill_id(command.venue_fill_id)
    day = trading_day(command.filled_at_ns).isoformat()
    charges = charges_of(
        command.tariff,
        on_day(state, day, keep=order.trade_id),
        order.accrual,
        position=trade.position,
        side=instruction.side,
        quantity=command.quantity,
        value_paise=worth,
    )
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
        trading_day=day,
        charges=charges,
    )
    events: list[AccountEvent] = [filled]
    after = evolve(state, filled)
    trade = after.trades[order.trade_id]
    if order.purpose is Purpose.STOP and trade.exit_cause is None:
        events.append(TradeExitTriggered(trade_id=order.trade_id, cause=ExitCause.STOP_LOSS, mark=None))
        events += withdraw_entries(after, trade)
    return after_word(state, events, order)


def presume_absent(command: PresumeAbsent, state: Account) -> tuple[AccountEvent, ...]:
    """Keep that the order was looked for in vain."""
    order = _order(state, command.order_id)
    if order.status is not OrderStatus.UNKNOWN:
        return ()
    absent = OrderPresumedAbsent(order_id=order.order_id, trade_id=order.trade_id, lookups=command.lookups)
    return (absent,)


def record_day_end(command: RecordDayEnd, state: Account) -> tuple[AccountEvent, ...]:
    """Keep that an order in doubt can do nothing any more. A fill of it would be believed all the same."""
    order = _order(state, command.order_id)
    if order.status not in IN_DOUBT:
        return ()
    return after_word(state, _expired(order, evidence=Evidence.DAY_END), order, places=False)
