"""How an order's status follows from its events: the same for every read model that shows it."""

from collections.abc import Mapping
from typing import TypeGuard

from domain.account.events import (
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
    OrderExpired,
    OrderFilled,
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
)
from domain.events import Event
from domain.order import LIVE, OrderStatus, status_after_fill

OrderEvent = (
    OrderSubmitting
    | OrderNotSent
    | OrderAcknowledged
    | OrderRejected
    | OrderOutcomeUnknown
    | OrderPresumedAbsent
    | OrderResolved
    | OrderLapsed
    | OrderBlocked
    | OrderCancelRequested
    | OrderModifyRequested
    | OrderModified
    | OrderModifyRefused
    | OrderCanceled
    | OrderExpired
    | OrderFilled
)
"""What happens to an order after it was intended."""


# By the type of event, for a class pattern that does not match costs as much as a small fold: with twelve of them, arm
# by arm, a fold took three times as long. A test sees to it that no event is missing.
STATUS_AFTER: Mapping[type[OrderEvent], OrderStatus | None] = {
    OrderSubmitting: OrderStatus.SUBMITTING,
    OrderNotSent: OrderStatus.INTENDED,
    OrderAcknowledged: OrderStatus.ACKNOWLEDGED,
    OrderRejected: OrderStatus.REJECTED,
    OrderOutcomeUnknown: OrderStatus.UNKNOWN,
    OrderPresumedAbsent: OrderStatus.PRESUMED_ABSENT,
    OrderLapsed: OrderStatus.LAPSED,
    OrderBlocked: OrderStatus.BLOCKED,
    OrderCanceled: OrderStatus.CANCELED,
    OrderExpired: OrderStatus.EXPIRED,
    OrderResolved: None,
    OrderCancelRequested: None,
    OrderModifyRequested: None,
    OrderModified: None,
    OrderModifyRefused: None,
    OrderFilled: None,
}
"""What an event makes of an order; None: that depends."""


def is_order_event(event: Event) -> TypeGuard[OrderEvent]:
    """Tell whether *event* happens to an order after it was intended."""
    return type(event) in STATUS_AFTER


def status_after(event: OrderEvent, *, status: OrderStatus, quantity: int, cumulative_quantity: int) -> OrderStatus:
    """Return the status after *event* of an order of *quantity* units that was in *status*.

    *cumulative_quantity* is what it had filled before.
    """
    becomes = STATUS_AFTER[type(event)]
    if becomes is OrderStatus.ACKNOWLEDGED and cumulative_quantity:
        return OrderStatus.PARTLY_FILLED
    if becomes is not None:
        return becomes
    if isinstance(event, OrderFilled):
        return status_after_fill(
            status,
            cumulative_quantity=event.cumulative_quantity,
            quantity=quantity,
            leaves_quantity=event.leaves_quantity,
        )
    if isinstance(event, OrderResolved):
        # That the venue has it is said by the acknowledgement that follows.
        return OrderStatus.ABSENT if event.resolution is OrderResolution.ABSENT else status
    if isinstance(event, OrderModified | OrderModifyRefused) and status in LIVE:
        # A modification that ends with no more than had filled already leaves nothing to come.
        whole = event.instruction.quantity if isinstance(event, OrderModified) else quantity
        return OrderStatus.FILLED if cumulative_quantity >= whole else status
    return status


_REMARKED = frozenset({OrderRejected, OrderModifyRefused, OrderNotSent, OrderOutcomeUnknown, OrderResolved})


def remark_of(event: OrderEvent) -> str | None:
    """Return what the venue, the transport or an operator said where the order was not simply taken, None elsewhere."""
    if type(event) not in _REMARKED:
        return None
    match event:
        case OrderRejected() | OrderModifyRefused():
            return event.message or event.reason.value
        case OrderNotSent():
            return event.detail
        case OrderOutcomeUnknown():
            return event.cause
        case OrderResolved():
            return event.reason
        case _:
            return None
