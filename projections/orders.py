"""Read model `orders`, which answers where each order is in its life and when it got there."""

from typing import assert_never, get_args

import msgspec

from domain.account.events import (
    Evidence,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderLapsed,
    OrderModified,
    OrderModifyRefused,
    OrderModifyRequested,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
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
from projections.order_status import OrderEvent, remark_of, status_after
from projections.read_model import Key, ReadModel, RowMissing, account_of


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
    if isinstance(event, OrderIntended):
        return _intended(event, recorded)
    if not isinstance(event, OrderEvent):
        return row
    if row is None:
        raise RowMissing(event)
    status = status_after(event, status=row.status, quantity=row.quantity, cumulative_quantity=row.cumulative_quantity)
    row = _changed(event, recorded, row)
    closed_at_us = None
    if status in CLOSED:
        closed_at_us = recorded.recorded_at_us if row.closed_at_us is None else row.closed_at_us
    most = row.quantity if row.wanted is None else max(row.quantity, row.wanted.quantity)
    return msgspec.structs.replace(
        row,
        status=status,
        leaves_quantity=max(0, most - row.cumulative_quantity) if status in LIVE else 0,
        remark=remark_of(event) or row.remark,
        closed_at_us=closed_at_us,
        sequence=recorded.sequence,
    )


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


def _changed(  # noqa: C901, PLR0911 - one arm per event
    event: OrderEvent, recorded: RecordedEvent, row: OrderRow
) -> OrderRow:
    match event:
        case OrderSubmitting():
            return msgspec.structs.replace(
                row,
                correlation_id=event.correlation_id,
                submissions=row.submissions + 1,
                submitting_at_us=recorded.recorded_at_us,
            )
        case OrderAcknowledged():
            return msgspec.structs.replace(
                row,
                venue_order_id=event.venue_order_id,
                evidence=event.evidence,
                sent_at_ns=row.sent_at_ns if event.sent_at_ns is None else event.sent_at_ns,
                acknowledged_at_us=recorded.recorded_at_us,
            )
        case OrderRejected():
            return msgspec.structs.replace(row, venue_order_id=event.venue_order_id or row.venue_order_id)
        case OrderOutcomeUnknown():
            return msgspec.structs.replace(row, was_unknown=True, sent_at_ns=event.sent_at_ns)
        case OrderCancelRequested():
            return msgspec.structs.replace(row, cancel_requested=True)
        case OrderModifyRequested():
            return msgspec.structs.replace(
                row, modifications=event.number, wanted=event.instruction, modify_cause=event.cause
            )
        case OrderModified():
            return _modified(event.instruction, recorded, row)
        case OrderModifyRefused():
            return msgspec.structs.replace(row, wanted=None)
        case OrderFilled():
            first = row.first_filled_at_ns
            return msgspec.structs.replace(
                row,
                cumulative_quantity=event.cumulative_quantity,
                filled_paise=row.filled_paise + event.value_paise,
                fill_count=row.fill_count + 1,
                first_filled_at_ns=event.filled_at_ns if first is None else first,
                last_filled_at_ns=event.filled_at_ns,
            )
        case OrderNotSent() | OrderPresumedAbsent() | OrderLapsed() | OrderBlocked() | OrderCanceled() | OrderExpired():
            return row
        case _:
            assert_never(event)


def _modified(told: OrderInstruction, recorded: RecordedEvent, row: OrderRow) -> OrderRow:
    return msgspec.structs.replace(
        row,
        quantity=told.quantity,
        order_type=told.order_type,
        limit_price_e4=told.limit_price_e4,
        trigger_price_e4=told.trigger_price_e4,
        time_in_force=told.time_in_force,
        disclosed_quantity=told.disclosed_quantity,
        wanted=None,
        modified_at_us=recorded.recorded_at_us,
    )


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
