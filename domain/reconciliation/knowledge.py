"""What a comparison knows beside the books."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from domain.account.state import Account, Order
from domain.books import VenueBooks, VenueOrder
from domain.differences import Book
from domain.ids import CorrelationId, OrderId, VenueFillId
from domain.instrument import Instrument, InstrumentKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The books, our account when they began to be read (`before`) and once they had been (`now`), and who knows what.

    `order_ids` has our orders by the ids that the venue knows them by. `is_ours` tells whether an id can only have been
    issued by this installation, `is_remembered` whether a row is of an order that is over and that the account's state
    no longer holds, `is_recorded` whether an execution of others is in the log. `day` is the exchange's. `unreadable`
    are the books that could not be read for too long.
    """

    books: VenueBooks
    before: Account
    now: Account
    day: str
    order_ids: Mapping[CorrelationId, OrderId]
    is_ours: Callable[[CorrelationId], bool]
    is_remembered: Callable[[VenueOrder], bool]
    is_recorded: Callable[[VenueFillId], bool]
    instrument_of: Callable[[InstrumentKey], Instrument | None]
    unreadable: Collection[Book] = field(default=frozenset())

    @property
    def read(self) -> frozenset[Book]:
        """The books that were read."""
        told = {
            Book.EXECUTIONS: self.books.fills,
            Book.ORDERS: self.books.orders,
            Book.POSITIONS: self.books.positions,
            Book.HOLDINGS: self.books.holdings,
        }
        return frozenset(book for book, rows in told.items() if rows is not None)

    def order_of(self, row: VenueOrder) -> Order | None:
        """Return our order that a row is about, None where it is none, or one of which the state is forgotten."""
        order_id = None if row.correlation_id is None else self.order_ids.get(row.correlation_id)
        return None if order_id is None else self.now.orders.get(order_id)

    def stood_still(self, order: Order) -> bool:
        """Tell whether nothing happened to an order in our books while the venue's were read."""
        return self.before.orders.get(order.order_id) is order or self.before.orders.get(order.order_id) == order

    def symbol_of(self, key: InstrumentKey) -> str:
        """Return what people call an instrument."""
        instrument = self.instrument_of(key)
        return key.security_id if instrument is None else instrument.symbol
