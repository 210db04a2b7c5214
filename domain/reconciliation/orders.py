"""Orders and executions, as the venue's books have them, against ours."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from domain.account.state import Order
from domain.books import VenueFill, VenueOrder
from domain.differences import DifferenceKind, Finding
from domain.ids import VenueOrderId
from domain.market import trading_day
from domain.money import format_e4
from domain.order import FINAL, OrderStatus
from domain.reconciliation.knowledge import Comparison

K = DifferenceKind
_OPEN = frozenset({OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED, OrderStatus.SUBMITTING})
_AT_VENUE = frozenset({OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED})
_UNSENT = frozenset({OrderStatus.INTENDED, OrderStatus.LAPSED, OrderStatus.BLOCKED})
_ENDED = FINAL - _UNSENT - {OrderStatus.FILLED}


def compare_orders(known: Comparison) -> Iterator[Finding]:
    """Yield what the order book shows otherwise, row by row, and which orders of ours it does not show."""
    rows = known.books.orders or ()
    fills = _by_order(known.books.fills or ())
    shown = set()
    yield from _duplicates(known, rows)
    for row in rows:
        order = known.order_of(row)
        if order is None:
            yield from _row_of_nobody(known, row, fills.get(row.venue_order_id, []))
            continue
        shown.add(order.order_id)
        if known.stood_still(order):
            yield from _row_of_ours(known, order, row, fills.get(row.venue_order_id, []))
    for order in known.now.orders.values():
        if order.order_id not in shown and order.status in _AT_VENUE and known.stood_still(order):
            yield _about(known, K.ORDER_MISSING, order, ours=order.status.value, theirs="not in the order book")


def _by_order(fills: Sequence[VenueFill]) -> dict[VenueOrderId, list[VenueFill]]:
    found: dict[VenueOrderId, list[VenueFill]] = defaultdict(list)
    for fill in fills:
        found[fill.venue_order_id].append(fill)
    return found


def _duplicates(known: Comparison, rows: Sequence[VenueOrder]) -> Iterator[Finding]:
    counts = Counter(row.correlation_id for row in rows if known.order_of(row) is not None)
    for correlation_id, count in counts.items():
        if count > 1 and correlation_id is not None:
            order = known.now.orders[known.order_ids[correlation_id]]
            yield _about(known, K.DUPLICATE_ORDER, order, ours="1 order", theirs=f"{count} orders")


def _row_of_nobody(known: Comparison, row: VenueOrder, fills: Sequence[VenueFill]) -> Iterator[Finding]:
    is_open = row.status in _OPEN
    if row.correlation_id is not None and known.is_ours(row.correlation_id):
        # One that is over may be of an earlier day, and forgotten for that: it concerns us if it did something today.
        concerns = is_open or any(_is_of_day(fill, known.day) for fill in fills)
        if concerns and not known.is_remembered(row):
            yield _about_row(known, K.UNREMEMBERED_ORDER, row, ours="not in the log")
    elif is_open:
        yield _about_row(known, K.FOREIGN_ORDER, row, ours="none")


def _row_of_ours(known: Comparison, order: Order, row: VenueOrder, fills: Sequence[VenueFill]) -> Iterator[Finding]:
    told = order.instruction
    sent = (told.instrument, told.side, told.product)
    is_other = any(
        theirs not in {None, ours} for ours, theirs in zip(sent, (row.instrument, row.side, row.product), strict=True)
    )
    if is_other:
        yield _about(
            known, K.ORDER_OTHER_THAN_SENT, order, ours=_words(*sent[1:]), theirs=_words(row.side, row.product)
        )
    if order.status in _UNSENT:
        yield _about(known, K.UNSENT_ORDER_FOUND, order, ours=order.status.value, theirs=row.status.value)
    elif order.status in _ENDED and row.status in _OPEN:
        yield _about(known, K.ORDER_REVIVED, order, ours=order.status.value, theirs=row.status.value)
    if order.venue_order_id not in {None, row.venue_order_id}:
        return  # The second of two rows: its executions are with the first.
    executed = sum(fill.quantity for fill in fills)
    if row.cumulative_quantity != executed:
        kind = K.ORDER_BEYOND_EXECUTIONS if row.cumulative_quantity > executed else K.ORDER_BEHIND_EXECUTIONS
        yield _about(known, kind, order, ours=f"{executed} executed", theirs=f"{row.cumulative_quantity} executed")


def _words(*words: object) -> str:
    return " ".join(str(word) for word in words)


def compare_executions(known: Comparison) -> Iterator[Finding]:
    """Yield what the trade book shows otherwise than is recorded."""
    rows = {row.venue_order_id: row for row in known.books.orders or ()}
    fills = _by_order(known.books.fills or ())
    by_venue_id = {order.venue_order_id: order for order in known.now.orders.values() if order.venue_order_id}
    executed: dict[str, list[VenueFill]] = defaultdict(list)
    for venue_order_id, found in fills.items():
        row = rows.get(venue_order_id)
        order = by_venue_id.get(venue_order_id) or (None if row is None else known.order_of(row))
        if order is not None:
            executed[order.order_id] += found
        elif row is None:
            for fill in found:
                if not known.is_recorded(fill.venue_fill_id) and _is_of_day(fill, known.day):
                    yield _execution(known, K.UNATTRIBUTED_EXECUTION, fill, ours="no order")
        elif row.correlation_id is None or not known.is_ours(row.correlation_id):
            yield from _of_others(known, found)
    shown = dict.fromkeys(order.order_id for row in rows.values() if (order := known.order_of(row)) is not None)
    for order_id in shown:
        order = known.now.orders[order_id]
        if known.stood_still(order):
            yield from _executions_of(known, order, executed[order_id])


def _of_others(known: Comparison, fills: Sequence[VenueFill]) -> Iterator[Finding]:
    for fill in fills:
        if known.is_recorded(fill.venue_fill_id) or fill.venue_fill_id in known.now.foreign_fills:
            continue
        if fill.instrument is None or fill.product is None or fill.side is None:
            yield _execution(known, K.UNTRADED_EXECUTION, fill, ours="not traded here")
        elif known.instrument_of(fill.instrument) is None:
            yield _execution(known, K.UNLISTED_EXECUTION, fill, ours="not in the instrument master")


def _executions_of(known: Comparison, order: Order, fills: Sequence[VenueFill]) -> Iterator[Finding]:
    shown = {fill.venue_fill_id for fill in fills}
    units = sum(fill.quantity for fill in fills)
    counts = {"ours": f"{order.cumulative_quantity} executed", "theirs": f"{units} executed"}
    if shown - order.fills:
        yield _about(known, K.EXECUTION_REFUSED, order, **counts)
    elif order.fills - shown:
        yield _about(known, K.EXECUTION_WITHDRAWN, order, **counts)
    elif units != order.cumulative_quantity:
        yield _about(known, K.EXECUTION_CHANGED, order, **counts)


def _is_of_day(fill: VenueFill, day: str) -> bool:
    return trading_day(fill.filled_at_ns).isoformat() >= day


def _about(known: Comparison, kind: DifferenceKind, order: Order, *, ours: str, theirs: str) -> Finding:
    told = order.instruction
    return Finding(
        kind=kind,
        subject=order.order_id,
        instrument=told.instrument,
        product=told.product,
        symbol=known.symbol_of(told.instrument),
        ours=ours,
        theirs=theirs,
    )


def _about_row(known: Comparison, kind: DifferenceKind, row: VenueOrder, *, ours: str) -> Finding:
    return Finding(
        kind=kind,
        subject=row.venue_order_id,
        instrument=row.instrument,
        product=row.product,
        symbol="" if row.instrument is None else known.symbol_of(row.instrument),
        ours=ours,
        theirs=f"{row.side or 'an order of'} {row.quantity}, {row.status.value}",
    )


def _execution(known: Comparison, kind: DifferenceKind, fill: VenueFill, *, ours: str) -> Finding:
    return Finding(
        kind=kind,
        subject=fill.venue_fill_id,
        instrument=fill.instrument,
        product=fill.product,
        symbol="" if fill.instrument is None else known.symbol_of(fill.instrument),
        ours=ours,
        theirs=f"{fill.side or 'an execution of'} {fill.quantity} at {format_e4(fill.price_e4)}",
    )
