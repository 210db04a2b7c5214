"""What the venue's books prove about our orders, and what they do not.

*Acceptance* is proven only by a row of the order book, or an answer to a look-up, that carries our correlation id.
The id is a pure function of the order's own id, so nobody else's order can carry it; nothing is matched by quantity,
price or time. Once the venue's id of an order is known, its rows are found by that id. A well-formed refusal that
answers the request itself proves that it was not taken, and that no byte left the transport alone can prove.

*Nothing* is proven by an answer that is not well-formed: a time-out, a connection that breaks once the request's head
was written, any 5xx, a yes without an id. Nor by a look-up that could not be made, by what the venue tells of itself
(`book_watch.py`), by a trade row, which carries no id of ours, or by a position that is as if the order had filled.

*Absence* is never proven. A look-up that finds nothing may have been asked while the order was in transit, or before
the venue's own systems let go of it. After a window, and after enough fresh answers from two sources (the look-up by
our id and the whole order book), an unknown order is *presumed* absent: still watched in every later book, never sent
again.

*An operator's word* that the venue has an order, and under which id, counts once the book bears it out
(`operators_word.py`). That it is absent ends it; it is watched in every book of that day all the same, for whatever
shows of it outweighs who said so.

*Executions* come from the trade book only, by the venue's own fill id, each recorded once. Rows of the trade book carry
no id of ours. One whose order's row carries an id of ours that we do not remember is left alone, and so is one whose
order has no row at all: nothing is matched by guess. The row that names the venue's id of an order is recorded before
its executions, or a partly filled order could not be canceled. An execution is *foreign* where the order's row proves
that the order is not ours: it carries another id, or none.

*What an order is* (quantity, type, prices) is read from its row, except while it is in transit: then the row shows what
was, and a modification is on its way. It is recorded before the executions of the same book are, so that an order which
shrank is full with less, and one which grew is not full too early.

*A final word* (canceled, expired, rejected) counts only when every execution that the same book counts is recorded; so
executions are read before the orders' states are, and recorded first.

*The end of the broker's day* is what an order of the day cannot outlive. When trading is over and the book, read
afterwards as often as for presuming absence, still does not show an order in doubt, it is *expired*: not because
anybody said so, but because nothing can come of it any more. That book is kept, for the venue forgets it over night.
Who was away then asks the history of that day, which ends the doubt only if it has no execution that might be the
order's (`day_end.py`).

*Successors.* An exit or stop that is presumed absent is not sent again, and nothing takes its place by what we believe
to hold. One successor does, a new order that names it, for what the venue's positions show to be open just now
(`domain/account/succession.py`); or none, where a person shall decide: then their word that the first is absent gives
its room back. An entry has none.

*What can never be guaranteed*: that an intent arrives exactly once. Each is sent at most once; whether the last message
of a conversation got through nobody can know who has heard no answer. So a request may come alive at the venue after it
was presumed absent, and then an exit and its successor may both fill (*overshoot*: it is undone, and counted). Nobody
can see what the venue does not show, stop what is placed past us, or cancel what has been matched.

*How the user is told*: an order in doubt is `unknown` or `presumed_absent` wherever orders are shown, and
`/api/orders/in-doubt` says since when, why, what was asked, and what comes next. The executor's status has the exits
that wait for a person and what was overshot. A stop that is missing leaves its trade unprotected in the views; a trade
that cannot be closed by rule is listed by the switch that was to close it, and after three orders of it that were
looked for in vain its protection has failed, which says that a person has to look.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from commands.open_orders import OpenOrder, OpenOrders
from commands.ports import VenueFill, VenueOrder
from domain.account.commands import AccountCommand, RecordFill, RecordVenueOrder
from domain.account.events import Evidence
from domain.ids import AccountId
from domain.order import (
    FINAL,
    LOOKED_FOR,
    OrderStatus,
    OrderType,
    is_correlation_id_of_ours,
)

_FINAL = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED})
_UNNAMED = LOOKED_FOR | {OrderStatus.SUBMITTING, OrderStatus.PARTLY_FILLED}
"""States in which the venue may have an order without our knowing its id there."""


class Terms(NamedTuple):
    """What an order is at the venue, as far as it can be changed and its row tells it."""

    quantity: int
    order_type: OrderType
    limit_price_e4: int | None
    trigger_price_e4: int | None


class SearchAnswer(StrEnum):
    """What came of a question about an order that is looked for."""

    NOT_FOUND = "not_found"
    """The broker answered that it has no order with our id."""
    NOT_IN_BOOK = "not_in_book"
    """Its order book was read, and does not show the order."""
    NO_ANSWER = "no_answer"
    """The broker did not answer."""


@dataclass(slots=True)
class Search:
    """The search for one unknown order, and what answered in vain so far. Times in monotonic nanoseconds."""

    began_at_ns: int
    asked_at_ns: int | None = None
    by_correlation: int = 0
    by_order_book: int = 0
    answer: SearchAnswer | None = None
    """What came of the newest question, of whichever kind."""

    def is_exhausted(self, *, now_ns: int, window_ns: int, lookups_min: int) -> bool:
        """Tell whether the window is over and each of the two sources answered *lookups_min* times in vain."""
        asked_enough = min(self.by_correlation, self.by_order_book) >= lookups_min
        return asked_enough and now_ns - self.began_at_ns >= window_ns

    @property
    def lookups(self) -> int:
        """How many answers showed no such order."""
        return self.by_correlation + self.by_order_book


def order_of_row(orders: OpenOrders, account_id: AccountId, row: VenueOrder) -> OpenOrder | None:
    """Return our order that *row* is about, by the venue's id or by ours; None where it is not ours."""
    known = orders.by_venue_id(account_id, row.venue_order_id)
    if known is None and row.correlation_id is not None:
        known = orders.by_correlation(account_id, row.correlation_id)
    return known


def fills_to_record(
    orders: OpenOrders, account_id: AccountId, rows: Sequence[VenueOrder], fills: Iterable[VenueFill]
) -> list[tuple[OpenOrder, AccountCommand]]:
    """Return a command for each execution that is ours and not recorded yet, in the venue's order."""
    rows_by_id = {row.venue_order_id: row for row in rows}
    found: list[tuple[OpenOrder, AccountCommand]] = []
    for fill in fills:
        row = rows_by_id.get(fill.venue_order_id)
        order = orders.by_venue_id(account_id, fill.venue_order_id)
        if order is None and row is not None:
            order = order_of_row(orders, account_id, row)
        if order is None or fill.venue_fill_id in order.fills:
            continue
        command = RecordFill(
            order_id=order.order_id,
            venue_fill_id=fill.venue_fill_id,
            quantity=fill.quantity,
            price_e4=fill.price_e4,
            filled_at_ns=fill.filled_at_ns,
        )
        found.append((order, command))
    return found


def foreign_fills(
    orders: OpenOrders,
    account_id: AccountId,
    rows: Sequence[VenueOrder],
    fills: Iterable[VenueFill],
    *,
    installation_code: str,
) -> list[VenueFill]:
    """Return the executions of orders that are proven not to be ours, in the venue's order."""
    not_ours = {
        row.venue_order_id
        for row in rows
        if order_of_row(orders, account_id, row) is None
        and (row.correlation_id is None or not is_correlation_id_of_ours(row.correlation_id, code=installation_code))
    }
    return [fill for fill in fills if fill.venue_order_id in not_ours]


def terms_of_row(row: VenueOrder) -> Terms | None:
    """Return what *row* shows the order to be, None where it does not tell: in transit, or of an unknown type."""
    if row.status is OrderStatus.SUBMITTING or row.order_type is None:
        return None
    return Terms(row.quantity, row.order_type, row.limit_price_e4, row.trigger_price_e4)


def record_of_terms(order: OpenOrder, row: VenueOrder) -> RecordVenueOrder | None:
    """Return the command that keeps what *row* shows the order to be, None where that is as the log has it."""
    terms = terms_of_row(row)
    if terms is None or not order.is_at_venue or row.status in _FINAL or _is_as_told(terms, order):
        return None
    return _venue_order(order, row, Evidence.ORDER_BOOK)


def _is_as_told(terms: Terms, order: OpenOrder) -> bool:
    """Tell whether an order still is what it was told to be.

    A stop that triggered may be shown as a limit order, and a market order with the limit that the broker gave it; but
    where another one is wanted instead of a market order, a limit may be that one's.
    """
    told = order.instruction
    if terms.quantity != told.quantity:
        return False
    if terms.order_type is OrderType.LIMIT and told.order_type is OrderType.MARKET:
        return order.wanted is None
    is_triggered = told.order_type is OrderType.SL and terms.order_type is OrderType.LIMIT
    return terms.limit_price_e4 == told.limit_price_e4 and (
        is_triggered or (terms.order_type, terms.trigger_price_e4) == (told.order_type, told.trigger_price_e4)
    )


def record_of_row(order: OpenOrder, row: VenueOrder, evidence: Evidence) -> RecordVenueOrder | None:
    """Return the command that keeps what *row* says of *order*, None where that is no news."""
    if row.status is OrderStatus.SUBMITTING and order.status not in LOOKED_FOR:
        return None  # In transit at the venue, as we know.
    is_first_word = order.venue_order_id is None and order.status in _UNNAMED
    is_last_word = row.status in _FINAL and order.status not in FINAL
    if not is_first_word and not is_last_word:
        return None
    return _venue_order(order, row, evidence)


def _venue_order(order: OpenOrder, row: VenueOrder, evidence: Evidence) -> RecordVenueOrder:
    terms = terms_of_row(row)
    return RecordVenueOrder(
        order_id=order.order_id,
        venue_order_id=row.venue_order_id,
        status=row.status,
        cumulative_quantity=row.cumulative_quantity,
        message=row.message,
        evidence=evidence,
        quantity=None if terms is None else terms.quantity,
        order_type=None if terms is None else terms.order_type,
        limit_price_e4=None if terms is None else terms.limit_price_e4,
        trigger_price_e4=None if terms is None else terms.trigger_price_e4,
    )
