"""Read model `order_doubts`, which answers of which orders nobody knows whether the broker has them, and why.

A row is an alert (`alerts.py`). It begins where an order's outcome is unknown, and any word on the order ends it: the
venue's, or an operator's. Orders of which it was always known have no row.
"""

from collections.abc import Mapping

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
from projections.alerts import AlertCode, AlertRow, Change, alert, alert_model, begun, over, unchanged
from projections.read_model import Key, RowMissing


def _unknown(event: OrderOutcomeUnknown, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    fresh = alert(
        recorded,
        AlertCode.ORDER_UNKNOWN,
        event.order_id,
        trade_id=event.trade_id,
        order_id=event.order_id,
        detail=event.cause,
    )
    return begun(row, recorded, fresh)


def _presumed_absent(event: OrderPresumedAbsent, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    if row is None:
        raise RowMissing(event)
    return msgspec.structs.replace(
        row,
        code=AlertCode.ORDER_PRESUMED_ABSENT,
        lookups=event.lookups,
        presumed_absent_at_us=recorded.recorded_at_us,
        sequence=recorded.sequence,
    )


_CHANGES: Mapping[type[Event], Change] = {
    OrderIntended: unchanged,
    OrderOutcomeUnknown: _unknown,
    OrderPresumedAbsent: _presumed_absent,
    OrderResolved: over,
    OrderAcknowledged: over,
    OrderRejected: over,
    OrderFilled: over,
    OrderExpired: over,
}


def _key_of(event: Event, _: RecordedEvent) -> Key | None:
    kind = type(event)
    if kind is OrderFilled:
        if event.cumulative_quantity != event.last_quantity:  # type: ignore[union-attr]
            return None  # Its first fill was word enough.
    elif kind is OrderExpired:
        if event.evidence is not Evidence.DAY_END:  # type: ignore[union-attr]
            return None  # The venue had it before it said so.
    elif kind not in _CHANGES:
        return None
    return (event.order_id,)  # type: ignore[union-attr,return-value]


ORDER_DOUBTS = alert_model("order_doubts", _CHANGES, key_of=_key_of, fresh=(OrderIntended,))
