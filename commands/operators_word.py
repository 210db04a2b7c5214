"""What an operator said of an order at the venue, held against the venue's book.

Who looked at the broker by other means may say that it has an order of ours, and under which id. Nothing of ours says
so, and a slip of the finger would name somebody else's order. So the book has to bear it out before anything is asked
of the venue about it, and before an execution under that id counts: a row with the id that carries our own id or none,
of the same instrument, product and side. A row that shows another order, our own id at another row, or, for a while, no
row at all makes the order unknown again: it is looked for as before, and an operator may say something else.
"""

from collections.abc import Sequence

from commands.open_orders import OpenOrder, OpenOrders
from commands.ports import Clock, VenueOrder
from domain.account.commands import DoubtOrder
from domain.ids import AccountId, OrderId
from domain.market import NS_PER_MS


class OperatorsWord:
    """Knows which words of operators the venue's books bore out, since this process began."""

    def __init__(self, *, orders: OpenOrders, clock: Clock, window_ms: int, reads_min: int) -> None:
        self._orders = orders
        self._clock = clock
        self._window_ns = window_ms * NS_PER_MS
        self._reads_min = reads_min
        self._borne_out: set[OrderId] = set()
        self._missed: dict[OrderId, tuple[int, int]] = {}

    def is_to_be_believed(self, order: OpenOrder) -> bool:
        """Tell whether the venue may be asked for something about *order* by the id that is known of it."""
        return not order.is_said_to_be_there or order.order_id in self._borne_out

    def hold_against(self, account_id: AccountId, rows: Sequence[VenueOrder]) -> list[tuple[OpenOrder, DoubtOrder]]:
        """Hold what was said of an account's orders against its book, and return what it does not bear out."""
        said = [order for order in self._orders.said_to_be_there() if order.account_id == account_id]
        doubts = []
        for order in said:
            cause = self._doubt_of(order, rows)
            if cause is not None and order.venue_order_id is not None:
                self._borne_out.discard(order.order_id)
                self._missed.pop(order.order_id, None)
                command = DoubtOrder(order_id=order.order_id, venue_order_id=order.venue_order_id, cause=cause)
                doubts.append((order, command))
        return doubts

    def forget_all_but(self, order_ids: set[OrderId]) -> None:
        """Forget the orders of which nothing more is expected."""
        self._borne_out &= order_ids
        self._missed = {order_id: missed for order_id, missed in self._missed.items() if order_id in order_ids}

    def _doubt_of(self, order: OpenOrder, rows: Sequence[VenueOrder]) -> str | None:
        elsewhere = [row for row in rows if row.correlation_id == order.correlation_id]
        if elsewhere and all(row.venue_order_id != order.venue_order_id for row in elsewhere):
            return f"the broker's book shows it as {elsewhere[0].venue_order_id}, not as {order.venue_order_id}"
        named = next((row for row in rows if row.venue_order_id == order.venue_order_id), None)
        if named is None:
            return (
                None
                if order.order_id in self._borne_out or not self._is_missed(order)
                else (f"the broker's book does not show {order.venue_order_id}")
            )
        if not _may_be(order, named):
            return f"the broker's book shows another order as {order.venue_order_id}"
        self._borne_out.add(order.order_id)
        return None

    def _is_missed(self, order: OpenOrder) -> bool:
        """Count that the book does not show it, and tell whether that is enough."""
        now = self._clock.monotonic_ns()
        since, reads = self._missed.get(order.order_id, (now, 0))
        self._missed[order.order_id] = (since, reads + 1)
        return reads + 1 >= self._reads_min and now - since >= self._window_ns


def _may_be(order: OpenOrder, row: VenueOrder) -> bool:
    """Tell whether a row may be that of *order*; what it does not tell contradicts nothing."""
    told = order.instruction
    pairs = (
        (row.correlation_id, order.correlation_id),
        (row.instrument, told.instrument),
        (row.product, told.product),
        (row.side, told.side),
    )
    return all(shown is None or shown == expected for shown, expected in pairs)
