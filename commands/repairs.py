"""What was taken over from the venue's books that nobody here had asked for: differences that are repaired already."""

from collections.abc import Sequence

from commands.open_orders import OpenOrder
from commands.ports import VenueFill
from domain.account.commands import AccountCommand, RecordFill, RecordVenueOrder
from domain.account.events import AccountEvent, ForeignFillAllocated, OrderModified
from domain.differences import DifferenceKind, Finding
from domain.money import format_e4
from domain.order import FINAL, OrderInstruction, OrderStatus, OrderType, Product, TimeInForce

K = DifferenceKind
_UNSENT = frozenset({OrderStatus.INTENDED, OrderStatus.LAPSED, OrderStatus.BLOCKED})
_ABSENT = frozenset({OrderStatus.PRESUMED_ABSENT, OrderStatus.ABSENT})
_LIVE = frozenset({OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED})
SQUARE_OFF_NS = 20 * 60 * 1_000_000_000
"""In the last minutes of its session a broker closes what is intraday. Source: Dhan squares off from 15:15 to 15:20."""


def repairs_of(
    order: OpenOrder, command: AccountCommand, events: Sequence[AccountEvent], *, was_away: bool
) -> list[Finding]:
    """Return what *command*, which led to *events*, repaired of *order* as it was before.

    `was_away` tells that nobody had read the books for a while.
    """
    match command:
        case RecordFill():
            kind = _kind_of_fill(order, was_away=was_away)
            found = f"{command.quantity} at {format_e4(command.price_e4)}"
            return [] if kind is None else [_about(order, kind, ours=order.status.value, theirs=found)]
        case RecordVenueOrder() if order.status in _ABSENT:
            ours, theirs = order.status.value, command.status.value
            return [_about(order, K.ABSENT_ORDER_FOUND, ours=ours, theirs=theirs)]
        case RecordVenueOrder() if _is_canceled_outside(order, command):
            return [_about(order, K.CANCELED_OUTSIDE, ours=order.status.value, theirs=command.status.value)]
        case RecordVenueOrder() if order.wanted is None and order.instruction.order_type is not OrderType.MARKET:
            modified = [event.instruction for event in events if isinstance(event, OrderModified)]
            return [each for shown in modified for each in _changes(order, shown)]
        case _:
            return []


def repair_of_fill(
    fill: VenueFill, events: Sequence[AccountEvent], *, continuous_until_ns: int | None
) -> Finding | None:
    """Return what was repaired by recording an execution of somebody else's, None where it was recorded before."""
    allocated = [event for event in events if isinstance(event, ForeignFillAllocated)]
    if not allocated:
        return None
    closed = sum(event.closed_quantity for event in allocated)
    kind = K.FOREIGN_REDUCTION if closed else K.FOREIGN_TRADE
    is_late = continuous_until_ns is not None and 0 <= continuous_until_ns - fill.filled_at_ns <= SQUARE_OFF_NS
    if closed and is_late and fill.product is Product.INTRADAY:
        kind = K.BROKER_SQUARE_OFF
    return Finding(
        kind=kind,
        subject=fill.venue_fill_id,
        instrument=fill.instrument,
        product=fill.product,
        ours="none",
        theirs=f"{fill.side} {fill.quantity} at {format_e4(fill.price_e4)}",
    )


def _kind_of_fill(order: OpenOrder, *, was_away: bool) -> DifferenceKind | None:
    if order.status in _UNSENT:
        return K.UNSENT_FILL
    if order.status in FINAL:
        return K.LATE_FILL
    return K.MISSED_FILL if was_away and order.status in _LIVE else None


def _is_canceled_outside(order: OpenOrder, command: RecordVenueOrder) -> bool:
    """Tell whether the venue's word is a cancel that nobody here asked for; what IOC leaves is canceled by itself."""
    is_ioc = order.instruction.time_in_force is TimeInForce.IOC
    is_news = command.status is OrderStatus.CANCELED and order.status in _LIVE
    return is_news and not order.cancel_requested and not is_ioc


def _changes(order: OpenOrder, shown: OrderInstruction) -> list[Finding]:
    told = order.instruction
    differing = [
        (K.QUANTITY_CHANGED_OUTSIDE, str(told.quantity), str(shown.quantity)),
        (K.PRICE_CHANGED_OUTSIDE, _price(told.limit_price_e4), _price(shown.limit_price_e4)),
        (K.TRIGGER_CHANGED_OUTSIDE, _price(told.trigger_price_e4), _price(shown.trigger_price_e4)),
        (K.TYPE_CHANGED_OUTSIDE, told.order_type.value, shown.order_type.value),
    ]
    return [_about(order, kind, ours=ours, theirs=theirs) for kind, ours, theirs in differing if ours != theirs]


def _price(price_e4: int | None) -> str:
    return "none" if price_e4 is None else format_e4(price_e4)


def _about(order: OpenOrder, kind: DifferenceKind, *, ours: str, theirs: str) -> Finding:
    told = order.instruction
    return Finding(
        kind=kind,
        subject=order.order_id,
        instrument=told.instrument,
        product=told.product,
        ours=ours,
        theirs=theirs,
    )
