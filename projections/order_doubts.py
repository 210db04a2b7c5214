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
from domain.ids import AccountId
from projections.alerts import AlertCode, AlertRow, Change, begun, ended
from projections.read_model import Key, ReadModel, RowMissing, account_of


def _unknown(event: OrderOutcomeUnknown, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    fresh = AlertRow(
        alert_id=event.order_id,
        account_id=AccountId(account_of(recorded)),
        code=AlertCode.ORDER_UNKNOWN,
        trade_id=event.trade_id,
        order_id=event.order_id,
        detail=event.cause,
        since_us=recorded.recorded_at_us,
        began_sequence=recorded.sequence,
        sequence=recorded.sequence,
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


def _word(_: Event, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    return ended(row, recorded)


def _nothing_yet(_: OrderIntended, __: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    return row


_CHANGES: Mapping[type[Event], Change] = {
    OrderIntended: _nothing_yet,
    OrderOutcomeUnknown: _unknown,
    OrderPresumedAbsent: _presumed_absent,
    OrderResolved: _word,
    OrderAcknowledged: _word,
    OrderRejected: _word,
    OrderFilled: _word,
    OrderExpired: _word,
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


def _apply(event: Event, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    change = _CHANGES.get(type(event))
    return row if change is None else change(event, recorded, row)


ORDER_DOUBTS = ReadModel(
    name="order_doubts",
    version=1,
    row=AlertRow,
    key=("alert_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=tuple(_CHANGES),
    fresh=(OrderIntended,),
    indexes=(("account_id", "began_sequence"),),
)
