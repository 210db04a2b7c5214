"""Follows orders through events by the prose of `domain/order.py`, without the decider's own state."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from domain.account.events import (
    AccountEvent,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
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
)
from domain.ids import OrderId, TradeId
from domain.order import CLOSED, FINAL, OrderStatus, Purpose, Side

Step = tuple[OrderStatus, OrderStatus]

LEADS_TO: dict[type[AccountEvent], OrderStatus] = {
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
}

WITHOUT_A_STEP = (
    OrderFilled,
    OrderCancelRequested,
    OrderModifyRequested,
    OrderModified,
    OrderModifyRefused,
    OrderResolved,
)
"""What is about an order and is no step of its own, or one in some cases."""


@dataclass(slots=True)
class FollowedOrder:
    """One order, and every step it took."""

    order_id: OrderId
    trade_id: TradeId
    purpose: Purpose
    side: Side
    quantity: int
    filled: int = 0
    status: OrderStatus = OrderStatus.INTENDED
    wanted_quantity: int | None = None
    cancel_requested: bool = False
    submissions: int = 0
    returns: int = 0
    steps: list[Step] = field(default_factory=list)

    @property
    def leaves(self) -> int:
        """What may still fill of an order that is neither over nor presumed absent, whatever a modification does."""
        over = CLOSED | {OrderStatus.PRESUMED_ABSENT}
        most = max(self.quantity, self.wanted_quantity or 0)
        return 0 if self.status in over else max(0, most - self.filled)

    def take(self, event: AccountEvent) -> None:  # noqa: C901 - one arm an event
        """Take in an event about this order."""
        match event:
            case OrderCancelRequested():
                self.cancel_requested = True
            case OrderModifyRequested():
                self.wanted_quantity = event.instruction.quantity
            case OrderModified():
                self.quantity, self.wanted_quantity = event.instruction.quantity, None
            case OrderModifyRefused():
                self.wanted_quantity = None
            case OrderFilled():
                self.filled += event.last_quantity
                if self.filled >= self.quantity:
                    if self.status is not OrderStatus.FILLED:
                        self._step(OrderStatus.FILLED)
                elif self.status not in FINAL:
                    self._step(OrderStatus.PARTLY_FILLED)
            case OrderResolved():
                # That it is there is said by the acknowledgement that follows.
                if event.resolution is OrderResolution.ABSENT:
                    self._step(OrderStatus.ABSENT)
            case OrderAcknowledged() if self.filled:
                self._step(OrderStatus.PARTLY_FILLED)
            case _:
                self.submissions += isinstance(event, OrderSubmitting)
                self.returns += isinstance(event, OrderNotSent)
                self._step(LEADS_TO[type(event)])

    def _step(self, status: OrderStatus) -> None:
        self.steps.append((self.status, status))
        self.status = status


class FollowedOrders:
    """Every order of an account."""

    def __init__(self) -> None:
        self.by_id: dict[OrderId, FollowedOrder] = {}

    def take(self, events: Iterable[AccountEvent]) -> None:
        """Take in *events*, oldest first."""
        for event in events:
            if isinstance(event, OrderIntended):
                assert event.order_id not in self.by_id, "an order is intended once"
                self.by_id[event.order_id] = FollowedOrder(
                    order_id=event.order_id,
                    trade_id=event.trade_id,
                    purpose=event.purpose,
                    side=event.instruction.side,
                    quantity=event.instruction.quantity,
                )
            elif isinstance(event, WITHOUT_A_STEP) or type(event) in LEADS_TO:
                self.by_id[event.order_id].take(event)  # type: ignore[union-attr]

    def of(self, trade_id: TradeId) -> list[FollowedOrder]:
        """Return the orders of a trade."""
        return [order for order in self.by_id.values() if order.trade_id == trade_id]

    @property
    def steps(self) -> set[Step]:
        """Every step that any order took."""
        return {step for order in self.by_id.values() for step in order.steps}
