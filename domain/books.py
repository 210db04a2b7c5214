"""The venue's books of an account as they were read, in our words."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.ids import CorrelationId, VenueFillId, VenueOrderId
from domain.instrument import InstrumentKey
from domain.order import OrderStatus, OrderType, Product, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """A row of the venue's order book, in our words.

    `instrument`, `product` and `side` are None where the row names what we have no word for. `order_type` is None where
    type and prices are not told; a price is None where the order has none.
    """

    venue_order_id: VenueOrderId
    correlation_id: CorrelationId | None
    status: OrderStatus
    """One of acknowledged, partly_filled, filled, canceled, expired, rejected; `submitting` while in transit."""
    quantity: int
    cumulative_quantity: int
    message: str
    instrument: InstrumentKey | None = None
    product: Product | None = None
    side: Side | None = None
    order_type: OrderType | None = None
    limit_price_e4: int | None = None
    trigger_price_e4: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFill:
    """One execution, as the venue's trade book has it. `filled_at_ns`: UTC.

    `instrument`, `product` and `side` are None where the row names what we have no word for.
    """

    venue_fill_id: VenueFillId
    venue_order_id: VenueOrderId
    quantity: int
    price_e4: int
    filled_at_ns: int
    instrument: InstrumentKey | None = None
    product: Product | None = None
    side: Side | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePosition:
    """The venue's net holding in an instrument and product."""

    instrument: InstrumentKey
    product: Product
    net_quantity: int
    bought_quantity: int
    sold_quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueHolding:
    """Units of a share that the account holds for delivery since earlier days, sold ones of today among them."""

    instrument: InstrumentKey
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueBooks:
    """What was read at one look, None where a book could not be read, or was not asked for.

    Executions are read before orders, these before positions and those before holdings: each can only show more than
    the one before it.
    """

    fills: Sequence[VenueFill] | None = None
    orders: Sequence[VenueOrder] | None = None
    positions: Sequence[VenuePosition] | None = None
    holdings: Sequence[VenueHolding] | None = None
