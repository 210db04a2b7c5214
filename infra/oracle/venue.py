"""The venue of the made-up lives: an order book of its own, which has what reached it and nothing else."""

from collections import defaultdict
from dataclasses import dataclass, field

import msgspec

from domain.ids import OrderId, TradeId, VenueFillId, VenueOrderId
from domain.order import OrderInstruction, OrderStatus, OrderType, Purpose


@dataclass(slots=True)
class Execution:
    """One fill as the venue made it."""

    fill_id: VenueFillId
    quantity: int
    price_e4: int


@dataclass(slots=True)
class VenueSide:
    """An order as the venue has it. `told` counts the executions that the engine has recorded."""

    order_id: OrderId
    trade_id: TradeId
    purpose: Purpose
    instruction: OrderInstruction
    status: OrderStatus = OrderStatus.ACKNOWLEDGED
    executions: list[Execution] = field(default_factory=list)
    told: int = 0
    has_failed_to_modify: bool = False

    @property
    def cumulative_quantity(self) -> int:
        """Units executed."""
        return sum(execution.quantity for execution in self.executions)

    @property
    def is_live(self) -> bool:
        """Whether it may still execute."""
        return self.status is OrderStatus.ACKNOWLEDGED

    @property
    def leaves_quantity(self) -> int:
        """Units that may still execute."""
        return self.instruction.quantity - self.cumulative_quantity if self.is_live else 0

    @property
    def venue_order_id(self) -> VenueOrderId:
        """The venue's name for it."""
        return VenueOrderId(f"v-{self.order_id}")

    @property
    def shown_status(self) -> OrderStatus:
        """The word in the venue's order book."""
        if self.is_live:
            return OrderStatus.PARTLY_FILLED if self.executions else OrderStatus.ACKNOWLEDGED
        return self.status


class Venue:
    """Every order that reached the venue, by our id."""

    def __init__(self) -> None:
        self.orders: dict[OrderId, VenueSide] = {}
        self._of_trade: defaultdict[TradeId, list[VenueSide]] = defaultdict(list)
        self._fills = 0

    def take(self, order_id: OrderId, trade_id: TradeId, purpose: Purpose, instruction: OrderInstruction) -> VenueSide:
        """Take an order in."""
        order = VenueSide(order_id=order_id, trade_id=trade_id, purpose=purpose, instruction=instruction)
        self.orders[order_id] = order
        self._of_trade[trade_id].append(order)
        return order

    def of_trade(self, trade_id: TradeId) -> list[VenueSide]:
        """Return a trade's orders."""
        return self._of_trade[trade_id]

    def fill(self, order: VenueSide, quantity: int, price_e4: int) -> None:
        """Execute *quantity* units of *order*; a stop that executes has been triggered before."""
        self._fills += 1
        order.executions.append(Execution(VenueFillId(f"f-{self._fills}"), quantity, price_e4))
        if order.instruction.order_type is OrderType.SL:
            order.instruction = msgspec.structs.replace(
                order.instruction, order_type=OrderType.LIMIT, trigger_price_e4=None
            )
        if order.leaves_quantity <= 0:
            order.status = OrderStatus.FILLED

    def modify(self, order: VenueSide, wanted: OrderInstruction) -> bool:
        """Change a live order, and tell whether that was possible."""
        if not order.is_live or wanted.quantity <= order.cumulative_quantity:
            return False
        order.instruction = wanted
        return True

    def foreign_fill_id(self) -> VenueFillId:
        """Return the name of an execution that no order of ours made."""
        self._fills += 1
        return VenueFillId(f"x-{self._fills}")

    def live(self) -> list[VenueSide]:
        """Return the orders that may still execute."""
        return [order for order in self.orders.values() if order.is_live]
