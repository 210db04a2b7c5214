"""A person's word on an order in doubt, and what becomes of it where the venue's book does not bear it out."""

from domain.account.commands import DoubtOrder, ResolveOrder
from domain.account.events import (
    AccountEvent,
    Evidence,
    OrderAcknowledged,
    OrderOutcomeUnknown,
    OrderResolution,
    OrderResolved,
    Role,
)
from domain.account.exits import withdraw
from domain.account.protection import after_word
from domain.account.refusals import OrderNotFound, OrderNotInDoubt, VenueOrderTaken, demand_role
from domain.account.state import Account, Order
from domain.ids import VenueOrderId
from domain.order import IN_DOUBT, OrderStatus


def resolve_order(command: ResolveOrder, state: Account) -> tuple[AccountEvent, ...]:
    """Take the person's word, and draw the consequences of any other last word.

    Of an order that is said to be absent a cancel is remembered: should it turn up after all, nobody wants it any more.
    """
    demand_role(state, command.user_id, Role.TRADER)
    order = state.orders.get(command.order_id)
    if order is None:
        raise OrderNotFound(f"received order {command.order_id}, expected one of a trade that is open or closed today")
    if order.status not in IN_DOUBT:
        raise OrderNotInDoubt(f"order {order.order_id} is {order.status.value}, expected one that is in doubt")
    resolved = OrderResolved(
        order_id=order.order_id,
        trade_id=order.trade_id,
        user_id=command.user_id,
        resolution=command.resolution,
        venue_order_id=command.venue_order_id,
        reason=command.reason,
    )
    if command.resolution is OrderResolution.ABSENT:
        return after_word(state, [*withdraw(order), resolved], order)
    assert command.venue_order_id is not None, "who says that the venue has an order names it"
    _demand_free(state, order, command.venue_order_id)
    acknowledged = OrderAcknowledged(
        order_id=order.order_id,
        trade_id=order.trade_id,
        venue_order_id=command.venue_order_id,
        evidence=Evidence.OPERATOR,
        sent_at_ns=None,
    )
    return after_word(state, [resolved, acknowledged], order)


def _demand_free(state: Account, order: Order, venue_order_id: VenueOrderId) -> None:
    for other in state.orders.values():
        if other.venue_order_id == venue_order_id and other.order_id != order.order_id:
            raise VenueOrderTaken(f"received venue order {venue_order_id}, which is {other.order_id} at the venue")


def doubt_order(command: DoubtOrder, state: Account) -> tuple[AccountEvent, ...]:
    """Make the order unknown again, unless something else has been learned of it meanwhile."""
    order = state.orders.get(command.order_id)
    is_as_said = (
        order is not None
        and order.status is OrderStatus.ACKNOWLEDGED
        and order.venue_order_id == command.venue_order_id
    )
    if order is None or not is_as_said:
        return ()
    unknown = OrderOutcomeUnknown(
        order_id=order.order_id, trade_id=order.trade_id, cause=command.cause, sent_at_ns=None
    )
    return (unknown,)
