"""How an order's status follows from its events: the same for every read model that shows it."""

from typing import assert_never

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
    OrderSubmitting,
)
from domain.order import OrderStatus, status_after_fill

OrderEvent = (
    OrderSubmitting
    | OrderNotSent
    | OrderAcknowledged
    | OrderRejected
    | OrderOutcomeUnknown
    | OrderPresumedAbsent
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


def status_after(  # noqa: C901, PLR0911, PLR0912 - one arm per event
    event: OrderEvent, *, status: OrderStatus, quantity: int, cumulative_quantity: int
) -> OrderStatus:
    """Return the status after *event* of an order of *quantity* units that was in *status*.

    *cumulative_quantity* is what it had filled before.
    """
    match event:
        case OrderSubmitting():
            return OrderStatus.SUBMITTING
        case OrderNotSent():
            return OrderStatus.INTENDED
        case OrderAcknowledged():
            return OrderStatus.PARTLY_FILLED if cumulative_quantity else OrderStatus.ACKNOWLEDGED
        case OrderRejected():
            return OrderStatus.REJECTED
        case OrderOutcomeUnknown():
            return OrderStatus.UNKNOWN
        case OrderPresumedAbsent():
            return OrderStatus.PRESUMED_ABSENT
        case OrderLapsed():
            return OrderStatus.LAPSED
        case OrderBlocked():
            return OrderStatus.BLOCKED
        case OrderCanceled():
            return OrderStatus.CANCELED
        case OrderExpired():
            return OrderStatus.EXPIRED
        case OrderCancelRequested() | OrderModifyRequested() | OrderModified() | OrderModifyRefused():
            return status
        case OrderFilled():
            return status_after_fill(status, cumulative_quantity=event.cumulative_quantity, quantity=quantity)
        case _:
            assert_never(event)


def remark_of(event: OrderEvent) -> str | None:
    """Return what the venue or the transport said where it did not simply take the order, None elsewhere."""
    match event:
        case OrderRejected() | OrderModifyRefused():
            return event.message or event.reason.value
        case OrderNotSent():
            return event.detail
        case OrderOutcomeUnknown():
            return event.cause
        case _:
            return None
