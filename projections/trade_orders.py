"""What a trade's row keeps of its orders: as much as tells how its entry stands and how much of it a stop guards."""

from collections.abc import Sequence

import msgspec

from domain.account.events import (
    OrderAcknowledged,
    OrderFilled,
    OrderIntended,
    OrderModified,
    OrderOutcomeUnknown,
    OrderRejected,
)
from domain.ids import OrderId, VenueOrderId
from domain.order import CLOSED, LIVE, OrderStatus, OrderType
from projections.order_status import OrderEvent, status_after

RESTING = frozenset({OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED})
"""States in which the venue's word is that the order lies in its book."""


class TradeOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order of a trade. An entry or stop above the freeze quantity is several.

    `venue_order_id` is the venue's own name of it, None before the venue has told it.
    """

    order_id: OrderId
    venue_order_id: VenueOrderId | None = None
    order_type: OrderType
    quantity: int
    status: OrderStatus = OrderStatus.INTENDED
    cumulative_quantity: int = 0

    @property
    def guards(self) -> int:
        """How many units it guards as a resting stop: none once it was made marketable."""
        if self.status not in RESTING or self.order_type is not OrderType.SL:
            return 0
        return max(0, self.quantity - self.cumulative_quantity)


def with_intended(orders: Sequence[TradeOrder], event: OrderIntended) -> tuple[TradeOrder, ...]:
    """Return *orders* with the one that was just intended."""
    told = event.instruction
    fresh = TradeOrder(order_id=event.order_id, order_type=told.order_type, quantity=told.quantity)
    return (*orders, fresh)


def after_event(orders: tuple[TradeOrder, ...], event: OrderEvent) -> tuple[TradeOrder, ...]:
    """Return *orders* after an event; the same object where it is about none of them."""
    for place, order in enumerate(orders):
        if order.order_id == event.order_id:
            return (*orders[:place], _after(order, event), *orders[place + 1 :])
    return orders


def _after(order: TradeOrder, event: OrderEvent) -> TradeOrder:
    status = status_after(
        event, status=order.status, quantity=order.quantity, cumulative_quantity=order.cumulative_quantity
    )
    if isinstance(event, OrderFilled):
        return msgspec.structs.replace(order, status=status, cumulative_quantity=event.cumulative_quantity)
    if isinstance(event, OrderAcknowledged | OrderRejected):
        # A refusal may name the order, or not: then it is known by the name it had.
        return msgspec.structs.replace(
            order, status=status, venue_order_id=event.venue_order_id or order.venue_order_id
        )
    if isinstance(event, OrderOutcomeUnknown):
        # An operator may have named an id for it that the venue's book did not bear out.
        return msgspec.structs.replace(order, status=status, venue_order_id=None)
    if isinstance(event, OrderModified):
        told = event.instruction
        return msgspec.structs.replace(order, status=status, order_type=told.order_type, quantity=told.quantity)
    return msgspec.structs.replace(order, status=status)


def not_over(orders: Sequence[TradeOrder]) -> tuple[TradeOrder, ...]:
    """Return those of *orders* of which something may still come."""
    return tuple(order for order in orders if order.status not in CLOSED)


def status_of(orders: Sequence[TradeOrder]) -> OrderStatus | None:
    """Return one word for *orders* that are parts of one: that of the first that is not over or not filled.

    None where there are none; filled only where all are.
    """
    if len(orders) == 1:  # Nearly always, and with every event of a trade's orders.
        return orders[0].status
    unfilled = [order.status for order in orders if order.status is not OrderStatus.FILLED]
    live = [status for status in unfilled if status in LIVE]
    if live or unfilled:
        return (live or unfilled)[0]
    return OrderStatus.FILLED if orders else None
