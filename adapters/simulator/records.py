"""What happens to the books, one record each: what the journal keeps and the ledger is made of.

Times are UTC nanoseconds of the market, prices 1/10,000 rupee, values quantity x 1/10,000 rupee.
"""

import msgspec

from adapters.simulator.books import Status
from domain.instrument import Instrument
from domain.order import OrderType, Side, TimeInForce


class BooksOpened(msgspec.Struct, frozen=True, tag="books", kw_only=True):
    """The books begin, with the numbers that the next order and the next trade get at least."""

    next_order_number: int
    next_trade_number: int


class CarriedHolding(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a holding from earlier days. `quantity` is below zero for a short one, `value_e4` is its cost."""

    instrument: Instrument
    product: str
    quantity: int
    value_e4: int


class AccountOpened(msgspec.Struct, frozen=True, tag="account", kw_only=True):
    """A client's books begin, with the money and the holdings of earlier days."""

    client_id: str
    balance_paise: int
    holdings: tuple[CarriedHolding, ...] = ()


class OrderAccepted(msgspec.Struct, frozen=True, tag="accepted", kw_only=True, omit_defaults=True):
    """An order is in TRANSIT. `limit_price_e4` is 0 for MARKET; the last two are faults still to come."""

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
    time_ns: int
    step: int
    first_execution_max: int | None = None
    reject_message: str | None = None


class OrderWorking(msgspec.Struct, frozen=True, tag="working", kw_only=True):
    """An order reached the exchange. `limit_price_e4` is 0 for a MARKET order that waits for a first print."""

    order_id: str
    limit_price_e4: int
    time_ns: int


class OrderPriced(msgspec.Struct, frozen=True, tag="priced", kw_only=True):
    """The first print came, and the MARKET order that waited for it has its limit."""

    order_id: str
    limit_price_e4: int


class OrderExecuted(msgspec.Struct, frozen=True, tag="executed", kw_only=True):
    """A quantity of an order traded."""

    order_id: str
    trade_id: str
    quantity: int
    price_e4: int
    time_ns: int
    step: int


class OrderClosed(msgspec.Struct, frozen=True, tag="closed", kw_only=True, omit_defaults=True):
    """Nothing more comes of an order: rejected, canceled or expired. Without a description its last one stays."""

    order_id: str
    status: Status
    time_ns: int
    description: str | None = None


OrderRecord = OrderAccepted | OrderWorking | OrderPriced | OrderExecuted | OrderClosed
Record = BooksOpened | AccountOpened | OrderRecord
