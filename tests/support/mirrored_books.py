"""The venue's books as they would be if they agreed with an account, for a test to plant what it wants to be found."""

from dataclasses import dataclass, field, replace
from typing import Any

from domain.account.state import Account, Order
from domain.books import VenueBooks, VenueFill, VenueHolding, VenueOrder, VenuePosition
from domain.differences import Book
from domain.ids import CorrelationId, VenueFillId, VenueOrderId
from domain.instrument import Instrument, InstrumentKey
from domain.order import OrderStatus, OrderType, Product, Side, correlation_id_of, is_correlation_id_of_ours
from domain.reconciliation import Comparison, compare
from tests.support.specimens import CODE, NOW_NS, TODAY, infy, reliance

_UNSEEN = frozenset({OrderStatus.INTENDED, OrderStatus.LAPSED, OrderStatus.BLOCKED, OrderStatus.PRESUMED_ABSENT})
_LISTED = {instrument.key: instrument for instrument in (reliance, infy)}


@dataclass
class MirroredBooks:
    """Books that agree with *account*, until a test changes them. What is None could not be read."""

    account: Account
    orders: list[VenueOrder] | None = field(default_factory=list)
    fills: list[VenueFill] | None = field(default_factory=list)
    positions: list[VenuePosition] | None = field(default_factory=list)
    holdings: list[VenueHolding] | None = field(default_factory=list)
    listed: dict[InstrumentKey, Instrument] = field(default_factory=lambda: dict(_LISTED))
    remembered: set[VenueOrderId] = field(default_factory=set)
    recorded: set[VenueFillId] = field(default_factory=set)
    before: Account | None = None
    """What the account was when the books began to be read; None: the same."""
    day: str = TODAY

    @staticmethod
    def of(account: Account) -> "MirroredBooks":
        books = MirroredBooks(account, day=max(account.day, TODAY))
        for order in account.orders.values():
            if order.status in _UNSEEN and not order.cumulative_quantity:
                continue
            if order.venue_order_id is None and not order.cumulative_quantity:
                continue  # The venue may have it, and shows nothing.
            books.add(order)
        held: dict[tuple[InstrumentKey, Product], tuple[int, int]] = {}
        for trade in account.trades.values():
            units, carried = held.get(trade.position, (0, 0))
            held[trade.position] = units + trade.holding.net_quantity, carried + trade.carried_quantity
        for (instrument, product), (units, carried) in held.items():
            in_demat = carried if product in {Product.CNC, Product.MTF} else 0
            books.hold(instrument, product, units - in_demat)
            if in_demat:
                books.deliver(instrument, in_demat)
        return books

    # --- What a test plants ---

    def add(self, order: Order, **changes: Any) -> None:
        """Show an order, with an execution for each that it had."""
        told = order.instruction
        name = order.venue_order_id or VenueOrderId(f"venue-of-{order.order_id}")
        row = VenueOrder(
            venue_order_id=name,
            correlation_id=correlation_id_of(order.order_id, code=CODE),
            status=OrderStatus.SUBMITTING if order.status is OrderStatus.UNKNOWN else order.status,
            quantity=told.quantity,
            cumulative_quantity=order.cumulative_quantity,
            message="",
            instrument=told.instrument,
            product=told.product,
            side=told.side,
            order_type=told.order_type,
            limit_price_e4=told.limit_price_e4,
            trigger_price_e4=told.trigger_price_e4,
        )
        assert self.orders is not None
        self.orders.append(replace(row, **changes))
        left = order.cumulative_quantity
        for number, fill_id in enumerate(sorted(order.fills), 1):
            units = left if number == len(order.fills) else 0
            self.execute(name, units, fill_id=fill_id, side=told.side)
            left -= units

    def execute(self, venue_order_id: str, quantity: int, *, fill_id: str = "f-planted", **changes: Any) -> None:
        """Show an execution."""
        fill = VenueFill(
            venue_fill_id=VenueFillId(fill_id),
            venue_order_id=VenueOrderId(venue_order_id),
            quantity=quantity,
            price_e4=2_850_0000,
            filled_at_ns=NOW_NS,
            instrument=reliance.key,
            product=Product.INTRADAY,
            side=Side.BUY,
        )
        assert self.fills is not None
        self.fills.append(replace(fill, **changes))

    def foreign(self, status: OrderStatus, *, name: str = "foreign-1", correlation_id: str | None = None) -> None:
        """Show an order of somebody else's, or one that carries *correlation_id*."""
        row = VenueOrder(
            venue_order_id=VenueOrderId(name),
            correlation_id=None if correlation_id is None else CorrelationId(correlation_id),
            status=status,
            quantity=5,
            cumulative_quantity=0,
            message="",
            instrument=infy.key,
            product=Product.INTRADAY,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            limit_price_e4=1_400_0000,
        )
        assert self.orders is not None
        self.orders.append(row)

    def change_order(self, number: int = 0, **changes: Any) -> None:
        """Change a row of the order book."""
        assert self.orders is not None
        self.orders[number] = replace(self.orders[number], **changes)

    def hold(self, instrument: InstrumentKey, product: Product, units: int) -> None:
        """Show a position of *units*, in place of what it was."""
        shown = [each for each in self.positions or () if (each.instrument, each.product) != (instrument, product)]
        bought, sold = max(units, 0), max(-units, 0)
        position = VenuePosition(
            instrument=instrument,
            product=product,
            net_quantity=units,
            bought_quantity=bought,
            sold_quantity=sold,
        )
        self.positions = [*shown, position]

    def deliver(self, instrument: InstrumentKey, units: int) -> None:
        """Show *units* in the holdings, in place of what was."""
        shown = [each for each in self.holdings or () if each.instrument != instrument]
        self.holdings = [*shown, VenueHolding(instrument=instrument, quantity=units)]

    # --- What is made of it ---

    def comparison(self, *unreadable: Book) -> Comparison:
        return Comparison(
            books=VenueBooks(fills=self.fills, orders=self.orders, positions=self.positions, holdings=self.holdings),
            before=self.account if self.before is None else self.before,
            now=self.account,
            day=self.day,
            order_ids={correlation_id_of(order_id, code=CODE): order_id for order_id in self.account.orders},
            is_ours=lambda text: is_correlation_id_of_ours(text, code=CODE),
            is_remembered=lambda row: row.venue_order_id in self.remembered,
            is_recorded=lambda fill_id: fill_id in self.recorded,
            instrument_of=self.listed.get,
            unreadable=frozenset(unreadable),
        )

    def differences(self) -> list[tuple[str, str, str]]:
        """Return what is otherwise: kind, ours, theirs."""
        return [(each.kind.value, each.ours, each.theirs) for each in compare(self.comparison())]
