"""Read model `order_doubts`, which answers of which orders nobody knows whether the broker has them, and why.

A row is an alert (`alerts.py`). It begins where an order's outcome is unknown, and any word on the order ends it: the
venue's, or an operator's. Orders of which it was always known have no row.
"""

import msgspec

from domain.account.events import (
    Evidence,
    OrderAcknowledged,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderRejected,
    OrderResolved,
)
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId
from projections.alerts import AlertCode, AlertRow, begun, ended
from projections.read_model import Key, ReadModel, RowMissing, account_of

_CONCERNED = (
    OrderIntended,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderResolved,
    OrderAcknowledged,
    OrderRejected,
    OrderFilled,
    OrderExpired,
)
_KINDS = frozenset(_CONCERNED)


def _key_of(event: Event, _: RecordedEvent) -> Key | None:
    if type(event) not in _KINDS:
        return None
    if isinstance(event, OrderFilled) and event.cumulative_quantity != event.last_quantity:
        return None  # Its first fill was word enough.
    if isinstance(event, OrderExpired) and event.evidence is not Evidence.DAY_END:
        return None  # The venue had it before it said so.
    return (f"order:{event.order_id}",)  # type: ignore[union-attr]


def _apply(event: Event, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    match event:
        case OrderOutcomeUnknown():
            return begun(row, recorded, _unknown(event, recorded))
        case OrderPresumedAbsent():
            if row is None:
                raise RowMissing(event)
            return msgspec.structs.replace(
                row,
                code=AlertCode.ORDER_PRESUMED_ABSENT,
                lookups=event.lookups,
                presumed_absent_at_us=recorded.recorded_at_us,
                sequence=recorded.sequence,
            )
        case OrderResolved() | OrderAcknowledged() | OrderRejected() | OrderFilled() | OrderExpired():
            return ended(row, recorded)
        case _:
            return row


def _unknown(event: OrderOutcomeUnknown, recorded: RecordedEvent) -> AlertRow:
    return AlertRow(
        alert_id=f"order:{event.order_id}",
        account_id=AccountId(account_of(recorded)),
        code=AlertCode.ORDER_UNKNOWN,
        trade_id=event.trade_id,
        order_id=event.order_id,
        detail=event.cause,
        since_us=recorded.recorded_at_us,
        began_sequence=recorded.sequence,
        sequence=recorded.sequence,
    )


ORDER_DOUBTS = ReadModel(
    name="order_doubts",
    version=1,
    row=AlertRow,
    key=("alert_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=_CONCERNED,
    fresh=(OrderIntended,),
    indexes=(("account_id", "began_sequence"),),
)
