"""What happens to the books, one record each: what the journal keeps and the ledger is made of.

Times are UTC nanoseconds of the market, prices 1/10,000 rupee, values quantity x 1/10,000 rupee.
"""

import msgspec

from adapters.simulator.books.account import OrderTerms, Status
from adapters.simulator.books.kept_trades import TradeKept
from adapters.simulator.books.standing_records import StandingRecord
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
    """An order is in TRANSIT. Prices are 0 where it has none; the last two are faults still to come."""

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
    trigger_price_e4: int = 0
    disclosed_quantity: int = 0
    amo_time: str = ""
    leg: str = ""
    parent_id: str = ""
    first_execution_max: int | None = None
    reject_message: str | None = None


class OrderQueued(msgspec.Struct, frozen=True, tag="queued", kw_only=True):
    """An after market order waits at the broker for the next session."""

    order_id: str
    time_ns: int


class OrderWorking(msgspec.Struct, frozen=True, tag="working", kw_only=True, omit_defaults=True):
    """An order reached the exchange. `limit_price_e4` is 0 for a MARKET order that waits for a first print."""

    order_id: str
    limit_price_e4: int
    time_ns: int
    awaits_trigger: bool = False


class OrderTriggered(msgspec.Struct, frozen=True, tag="triggered", kw_only=True):
    """A stop's trigger was reached: it is a limit order from now on, behind all that rest already."""

    order_id: str
    time_ns: int


class OrderModifying(msgspec.Struct, frozen=True, tag="modifying", kw_only=True):
    """A modification is on its way to the exchange, where the order stands as it was until it arrives."""

    order_id: str
    terms: OrderTerms
    time_ns: int


class OrderModified(msgspec.Struct, frozen=True, tag="modified", kw_only=True, omit_defaults=True):
    """The oldest modification on its way arrived. `limit_price_e4` is the limit that the order works under since."""

    order_id: str
    limit_price_e4: int
    time_ns: int
    awaits_trigger: bool = False
    keeps_place: bool = False


class OrderUnmodified(msgspec.Struct, frozen=True, tag="unmodified", kw_only=True):
    """The oldest modification on its way was turned down: the order stands as it stood."""

    order_id: str
    time_ns: int
    description: str


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


OrderRecord = (
    OrderAccepted
    | OrderQueued
    | OrderWorking
    | OrderPriced
    | OrderTriggered
    | OrderModifying
    | OrderModified
    | OrderUnmodified
    | OrderExecuted
    | OrderClosed
)
Record = BooksOpened | AccountOpened | TradeKept | OrderRecord | StandingRecord
