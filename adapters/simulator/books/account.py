"""One client's books at the simulator: orders, executions and positions, and what they leave of the money.

Margin is simple and on the careful side: for each instrument and product, the largest position that holdings and
open orders could lead to, at its price, divided by the leverage (5 for INTRADAY, 1 else). What a client has is the
opening balance and what closed quantities earned.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

import msgspec

from adapters.simulator.books.margins import margin_e4
from domain.instrument import Instrument, InstrumentKey
from domain.money import E4_PER_PAISA
from domain.order import OrderType, Side, TimeInForce


class Status(StrEnum):
    """An order's status in the broker's words."""

    TRANSIT = "TRANSIT"
    PENDING = "PENDING"
    PART_TRADED = "PART_TRADED"
    TRADED = "TRADED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


FROM_ELSEWHERE = "NA"
"""The correlation id of an order that came from the broker's own web or phone."""
DELIVERY = frozenset({"CNC", "MTF"})
"""Products of which the shares are delivered."""
OPEN = frozenset({Status.TRANSIT, Status.PENDING, Status.PART_TRADED})


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of an order can be changed. Prices are 0 where the order has none; of 0 disclosed units all are shown."""

    order_type: OrderType
    time_in_force: TimeInForce
    quantity: int
    limit_price_e4: int
    trigger_price_e4: int = 0
    disclosed_quantity: int = 0


@dataclass(slots=True, kw_only=True)
class BookedOrder:
    """One order and its state. `limit_price_e4` is 0 for a MARKET order that has no limit yet.

    `accepted_step` and `created_ns` are the tape's place and time when it was accepted, `reached_ns` when it reached
    the exchange (None: it never did). `amo_time` tells when an after market order goes there, in the broker's words,
    and is empty for every other order. `leg` is its part in a super or forever order, `parent_id` the id of that order
    where it is another. `awaits_trigger`: it rests unseen. `modifications` counts those asked for,
    `changes` are those that have not reached the exchange, oldest first.
    """

    order_id: str
    client_id: str
    correlation_id: str
    instrument: Instrument
    side: Side
    order_type: OrderType
    product: str
    time_in_force: TimeInForce
    quantity: int
    limit_price_e4: int
    accepted_step: int
    created_ns: int
    updated_ns: int
    trigger_price_e4: int = 0
    disclosed_quantity: int = 0
    amo_time: str = ""
    leg: str = ""
    parent_id: str = ""
    awaits_trigger: bool = False
    modifications: int = 0
    changes: list[OrderTerms] = field(default_factory=list)
    status: Status = Status.TRANSIT
    reached_ns: int | None = None
    exchange_order_id: str = "0"
    description: str = ""
    filled_quantity: int = 0
    filled_value_e4: int = 0
    first_execution_max: int | None = None
    reject_message: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether something may still come of it."""
        return self.status in OPEN

    @property
    def is_queued(self) -> bool:
        """Whether it waits at the broker for a session to begin."""
        return self.status is Status.PENDING and self.reached_ns is None

    @property
    def has_no_limit_yet(self) -> bool:
        """Whether it is a MARKET order at the exchange that waits for a print to price it."""
        return self.is_open and self.order_type is OrderType.MARKET and self.limit_price_e4 == 0

    @property
    def open_status(self) -> Status:
        """What an order at the broker or the exchange is, by what is on its way and by what has filled."""
        if self.changes:
            return Status.TRANSIT
        return Status.PART_TRADED if self.filled_quantity else Status.PENDING

    def changed(self, terms: OrderTerms) -> "BookedOrder":
        """Return the order as *terms* would make it; this one stays as it is."""
        return replace(
            self,
            order_type=terms.order_type,
            time_in_force=terms.time_in_force,
            quantity=terms.quantity,
            limit_price_e4=terms.limit_price_e4,
            trigger_price_e4=terms.trigger_price_e4,
            disclosed_quantity=terms.disclosed_quantity,
        )

    @property
    def leaves_quantity(self) -> int:
        """What it may still execute."""
        return self.quantity - self.filled_quantity if self.is_open else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedExecution:
    """One execution. `step` is the tape's place when it happened."""

    trade_id: str
    order: BookedOrder
    quantity: int
    price_e4: int
    time_ns: int
    step: int


@dataclass(slots=True)
class Holding:
    """What one client bought and sold of an instrument under one product. Values in quantity x 1/10,000 rupee.

    What is carried from earlier days (`carried_quantity` is below zero for a short holding) is part of what was bought
    or sold.
    """

    instrument: Instrument
    product: str
    bought_quantity: int = 0
    bought_value_e4: int = 0
    sold_quantity: int = 0
    sold_value_e4: int = 0
    carried_quantity: int = 0
    carried_value_e4: int = 0

    def carry(self, quantity: int, value_e4: int) -> None:
        """Begin with what is left of earlier days."""
        self.carried_quantity, self.carried_value_e4 = quantity, value_e4
        if quantity > 0:
            self.bought_quantity, self.bought_value_e4 = quantity, value_e4
        else:
            self.sold_quantity, self.sold_value_e4 = -quantity, value_e4

    @property
    def is_delivered(self) -> bool:
        """Whether what is carried of it lies in the demat account."""
        return self.product in DELIVERY and self.carried_quantity > 0

    @property
    def of_the_day(self) -> "Holding":
        """What was bought and sold today alone."""
        return Holding(
            self.instrument,
            self.product,
            bought_quantity=self.bought_quantity - self.carried_quantity,
            bought_value_e4=self.bought_value_e4 - self.carried_value_e4,
            sold_quantity=self.sold_quantity,
            sold_value_e4=self.sold_value_e4,
        )

    @property
    def is_traded(self) -> bool:
        """Whether anything of it was bought or sold."""
        return bool(self.bought_quantity or self.sold_quantity)

    @property
    def net_quantity(self) -> int:
        """Bought less sold."""
        return self.bought_quantity - self.sold_quantity

    @property
    def average_e4(self) -> int:
        """What a unit of the open quantity cost, or brought where it is short; 0 where nothing is open."""
        if self.net_quantity > 0:
            return self.bought_value_e4 // self.bought_quantity
        return self.sold_value_e4 // self.sold_quantity if self.net_quantity < 0 else 0

    @property
    def realised_e4(self) -> int:
        """What the closed quantity earned, at day averages as the broker reckons."""
        closed = min(self.bought_quantity, self.sold_quantity)
        if closed == 0:
            return 0
        return self.sold_value_e4 * closed // self.sold_quantity - self.bought_value_e4 * closed // self.bought_quantity


@dataclass(slots=True)
class Account:
    """One client's books."""

    client_id: str
    opening_balance_paise: int
    orders: dict[str, BookedOrder] = field(default_factory=dict)
    executions: list[BookedExecution] = field(default_factory=list)
    holdings: dict[tuple[InstrumentKey, str], Holding] = field(default_factory=dict)
    open_orders: dict[str, BookedOrder] = field(default_factory=dict)

    def by_correlation_id(self, correlation_id: str) -> BookedOrder | None:
        """Return the newest order with this correlation id."""
        return next((order for order in reversed(self.orders.values()) if order.correlation_id == correlation_id), None)

    def add(self, order: BookedOrder) -> None:
        """Enter a new order."""
        self.orders[order.order_id] = order
        self.open_orders[order.order_id] = order

    def close(self, order: BookedOrder, status: Status) -> None:
        """Set an order's final status."""
        order.status = status
        self.open_orders.pop(order.order_id, None)

    def execute(self, execution: BookedExecution) -> None:
        """Enter an execution into order and holding."""
        order = execution.order
        self.executions.append(execution)
        order.filled_quantity += execution.quantity
        order.filled_value_e4 += execution.quantity * execution.price_e4
        key = (order.instrument.key, order.product)
        holding = self.holdings.setdefault(key, Holding(order.instrument, order.product))
        value_e4 = execution.quantity * execution.price_e4
        if order.side is Side.BUY:
            holding.bought_quantity += execution.quantity
            holding.bought_value_e4 += value_e4
        else:
            holding.sold_quantity += execution.quantity
            holding.sold_value_e4 += value_e4
        if order.filled_quantity == order.quantity:
            self.close(order, Status.TRADED)
        else:
            order.status = order.open_status

    def available_paise(
        self,
        prices_e4: "Prices",
        *,
        leverage: int,
        without: BookedOrder | None = None,
        instead: BookedOrder | None = None,
    ) -> int:
        """Return what new orders may use; *without* leaves one open order out of the reckoning, *instead* adds one."""
        realised_e4 = sum(holding.realised_e4 for holding in self.holdings.values())
        bound_e4 = sum(
            margin_e4(product, quantity=quantity, price_e4=price_e4, intraday_leverage=leverage)
            for product, quantity, price_e4 in self._exposures(prices_e4, without, instead)
        )
        return self.opening_balance_paise + (realised_e4 - bound_e4) // E4_PER_PAISA

    def _exposures(
        self, prices_e4: "Prices", without: BookedOrder | None, instead: BookedOrder | None
    ) -> Iterator[tuple[str, int, int]]:
        """Yield product, largest possible |net| and price of each instrument and product in play."""
        working: dict[tuple[InstrumentKey, str], list[BookedOrder]] = {}
        for order in (*self.open_orders.values(), *([instead] if instead is not None else [])):
            if order is not without:
                working.setdefault((order.instrument.key, order.product), []).append(order)
        for key in self.holdings.keys() | working.keys():
            held = self.holdings.get(key)
            net = held.net_quantity if held else 0
            orders = working.get(key, [])
            buys = sum(order.leaves_quantity for order in orders if order.side is Side.BUY)
            sells = sum(order.leaves_quantity for order in orders if order.side is Side.SELL)
            # After a restart an instrument may be held or asked for before it printed.
            known_e4 = max((order.limit_price_e4 for order in orders), default=0) or (held.average_e4 if held else 0)
            yield key[1], max(abs(net + buys), abs(net - sells)), prices_e4.get(key[0], 0) or known_e4


Prices = dict[InstrumentKey, int]
"""Last prices by instrument."""
