"""Read model `orders`, which answers where each order is in its life and when it got there."""

from collections.abc import Callable
from typing import Any, get_args

import msgspec

from domain.account.events import (
    Evidence,
    OrderAcknowledged,
    OrderCancelRequested,
    OrderFilled,
    OrderIntended,
    OrderModified,
    OrderModifyRefused,
    OrderModifyRequested,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderSubmitting,
)
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId, CorrelationId, OrderId, TradeId, VenueOrderId
from domain.instrument import Segment
from domain.order import (
    CLOSED,
    LIVE,
    ModifyCause,
    OrderInstruction,
    OrderStatus,
    OrderType,
    Product,
    Purpose,
    Side,
    TimeInForce,
)
from projections.order_status import OrderEvent, is_order_event, remark_of, status_after
from projections.read_model import Change, Key, ReadModel, RowMissing, account_of


class OrderRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order. Prices in 1/10,000 rupee, amounts in paise; `filled_paise` is what its fills were worth.

    Quantity, type and prices are what the venue was last shown to have. `wanted` is what a modification under way asks
    for and `modify_cause` why the newest was asked for; `modifications` counts them. While one is under way,
    `leaves_quantity` tells the larger of both.

    Times in `_us` are the log's (when it was recorded), those in `_ns` the sender's and the venue's.
    """

    order_id: OrderId
    trade_id: TradeId
    account_id: AccountId
    purpose: Purpose
    segment: Segment
    security_id: str
    product: Product
    side: Side
    quantity: int
    order_type: OrderType
    limit_price_e4: int | None
    time_in_force: TimeInForce
    trigger_price_e4: int | None = None
    disclosed_quantity: int = 0
    after_market: bool = False
    status: OrderStatus
    not_after_ns: int | None
    cumulative_quantity: int = 0
    leaves_quantity: int
    filled_paise: int = 0
    fill_count: int = 0
    cancel_requested: bool = False
    modifications: int = 0
    wanted: OrderInstruction | None = None
    modify_cause: ModifyCause | None = None
    modified_at_us: int | None = None
    correlation_id: CorrelationId | None = None
    venue_order_id: VenueOrderId | None = None
    evidence: Evidence | None = None
    submissions: int = 0
    was_unknown: bool = False
    remark: str | None = None
    intended_at_us: int
    submitting_at_us: int | None = None
    sent_at_ns: int | None = None
    acknowledged_at_us: int | None = None
    first_filled_at_ns: int | None = None
    last_filled_at_ns: int | None = None
    closed_at_us: int | None = None
    intended_sequence: int
    sequence: int


_CONCERNED: tuple[type[Event], ...] = (OrderIntended, *get_args(OrderEvent))
_KINDS = frozenset(_CONCERNED)


def _key_of(event: Event, _: RecordedEvent) -> Key | None:
    # Others name an order too, and say nothing of it.
    return (event.order_id,) if type(event) in _KINDS else None  # type: ignore[union-attr,return-value]


def _apply(event: Event, recorded: RecordedEvent, row: OrderRow | None) -> OrderRow | None:
    if type(event) is OrderIntended:
        return _intended(event, recorded)
    if not is_order_event(event):
        return row
    if row is None:
        raise RowMissing(event)
    status = status_after(event, status=row.status, quantity=row.quantity, cumulative_quantity=row.cumulative_quantity)
    closed_at_us = None
    if status in CLOSED:
        closed_at_us = recorded.recorded_at_us if row.closed_at_us is None else row.closed_at_us
    change = _CHANGES.get(type(event))
    changed = {} if change is None else change(event, recorded, row)
    filled = changed.get("cumulative_quantity", row.cumulative_quantity)
    return msgspec.structs.replace(
        row,
        status=status,
        leaves_quantity=max(0, _most(row, changed) - filled) if status in LIVE else 0,
        remark=remark_of(event) or row.remark,
        closed_at_us=closed_at_us,
        sequence=recorded.sequence,
        **changed,
    )


def _most(row: OrderRow, changed: Change) -> int:
    """Return how many units the venue may have been asked for, whatever becomes of a modification under way."""
    quantity: int = changed.get("quantity", row.quantity)
    wanted: OrderInstruction | None = changed.get("wanted", row.wanted)
    return quantity if wanted is None else max(quantity, wanted.quantity)


def _intended(event: OrderIntended, recorded: RecordedEvent) -> OrderRow:
    told = event.instruction
    return OrderRow(
        order_id=event.order_id,
        trade_id=event.trade_id,
        account_id=AccountId(account_of(recorded)),
        purpose=event.purpose,
        segment=told.instrument.segment,
        security_id=told.instrument.security_id,
        product=told.product,
        side=told.side,
        quantity=told.quantity,
        order_type=told.order_type,
        limit_price_e4=told.limit_price_e4,
        time_in_force=told.time_in_force,
        trigger_price_e4=told.trigger_price_e4,
        disclosed_quantity=told.disclosed_quantity,
        after_market=told.after_market,
        status=OrderStatus.INTENDED,
        not_after_ns=event.not_after_ns,
        leaves_quantity=told.quantity,
        intended_at_us=recorded.recorded_at_us,
        intended_sequence=recorded.sequence,
        sequence=recorded.sequence,
    )


def _submitting(event: OrderSubmitting, recorded: RecordedEvent, row: OrderRow) -> Change:
    return {
        "correlation_id": event.correlation_id,
        "submissions": row.submissions + 1,
        "submitting_at_us": recorded.recorded_at_us,
    }


def _acknowledged(event: OrderAcknowledged, recorded: RecordedEvent, row: OrderRow) -> Change:
    return {
        "venue_order_id": event.venue_order_id,
        "evidence": event.evidence,
        "sent_at_ns": row.sent_at_ns if event.sent_at_ns is None else event.sent_at_ns,
        "acknowledged_at_us": recorded.recorded_at_us,
    }


def _rejected(event: OrderRejected, _: RecordedEvent, row: OrderRow) -> Change:
    return {"venue_order_id": event.venue_order_id or row.venue_order_id}


def _unknown(event: OrderOutcomeUnknown, _: RecordedEvent, row: OrderRow) -> Change:
    # Where an operator had named an id that the venue's book did not bear out, it is none any more.
    named = row.evidence is Evidence.OPERATOR
    return {
        "was_unknown": True,
        "sent_at_ns": row.sent_at_ns if named else event.sent_at_ns,
        "venue_order_id": None,
        "evidence": None,
        "acknowledged_at_us": None,
    }


def _cancel_requested(_: OrderCancelRequested, __: RecordedEvent, ___: OrderRow) -> Change:
    return {"cancel_requested": True}


def _filled(event: OrderFilled, _: RecordedEvent, row: OrderRow) -> Change:
    first = row.first_filled_at_ns
    return {
        "cumulative_quantity": event.cumulative_quantity,
        "filled_paise": row.filled_paise + event.value_paise,
        "fill_count": row.fill_count + 1,
        "first_filled_at_ns": event.filled_at_ns if first is None else first,
        "last_filled_at_ns": event.filled_at_ns,
    }


def _modify_requested(event: OrderModifyRequested, _: RecordedEvent, __: OrderRow) -> Change:
    return {"modifications": event.number, "wanted": event.instruction, "modify_cause": event.cause}


def _modified(event: OrderModified, recorded: RecordedEvent, _: OrderRow) -> Change:
    told = event.instruction
    return {
        "quantity": told.quantity,
        "order_type": told.order_type,
        "limit_price_e4": told.limit_price_e4,
        "trigger_price_e4": told.trigger_price_e4,
        "time_in_force": told.time_in_force,
        "disclosed_quantity": told.disclosed_quantity,
        "wanted": None,
        "modified_at_us": recorded.recorded_at_us,
    }


def _modify_refused(_: OrderModifyRefused, __: RecordedEvent, ___: OrderRow) -> Change:
    return {"wanted": None}


_CHANGES: dict[type[OrderEvent], Callable[[Any, RecordedEvent, OrderRow], Change]] = {
    OrderSubmitting: _submitting,
    OrderAcknowledged: _acknowledged,
    OrderRejected: _rejected,
    OrderOutcomeUnknown: _unknown,
    OrderCancelRequested: _cancel_requested,
    OrderModifyRequested: _modify_requested,
    OrderModified: _modified,
    OrderModifyRefused: _modify_refused,
    OrderFilled: _filled,
}
"""What an event changes beside what every event does: looked up by its type, as the status is."""


ORDERS = ReadModel(
    name="orders",
    version=2,
    row=OrderRow,
    key=("order_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=_CONCERNED,
    makes=(OrderIntended,),
    indexes=(("trade_id",), ("account_id", "intended_sequence")),
)
