"""Read model `alerts`, which answers what somebody should look at: of an account's trades, switches and books.

What an alert is about lies in one row, from when it began to when it ended; the next time it begins anew. Alerts about
orders have a read model of their own, `order_doubts`, whose rows are of the same form: an order's events are many, and
they name it, not its trade.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from domain.account.events import (
    FlattenFinished,
    KillSwitchEngaged,
    KillSwitchReleased,
    OrderIntended,
    ProtectionFailed,
    ProtectionLapsed,
    TradeAdopted,
    TradeChanged,
    TradeClosed,
    TradeOpened,
)
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId, OrderId, StrategyId, TradeId
from domain.order import Purpose
from projections.read_model import Key, ReadModel, account_of


class AlertCode(StrEnum):
    """What an alert says, for programs: a code is stable."""

    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    """Nobody knows whether the broker has the order: it is looked for."""
    ORDER_PRESUMED_ABSENT = "ORDER_PRESUMED_ABSENT"
    """The order was looked for in vain, and is watched for."""
    PROTECTION_LAPSED = "PROTECTION_LAPSED"
    """The session ended and a trade's stop with it."""
    PROTECTION_FAILED = "PROTECTION_FAILED"
    """A trade's stop cannot be placed, moved or filled by rule."""
    KILL_SWITCH_ENGAGED = "KILL_SWITCH_ENGAGED"
    """Entries are blocked until the switch is released."""
    FLATTEN_INCOMPLETE = "FLATTEN_INCOMPLETE"
    """A switch that closes what is held could not close everything."""


class AlertRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What somebody should look at, from `since_us` on; `until_us`: until when, None while it goes on.

    `detail` is what was said: a cause, or somebody's reason. `trade_ids` are the trades that are left open. Of an order
    in doubt, `presumed_absent_at_us` is when it was given up and `lookups` how many answers had not shown it by then.
    """

    alert_id: str
    account_id: AccountId
    code: AlertCode
    trade_id: TradeId | None = None
    order_id: OrderId | None = None
    strategy_id: StrategyId | None = None
    trade_ids: tuple[TradeId, ...] = ()
    detail: str | None = None
    lookups: int | None = None
    presumed_absent_at_us: int | None = None
    since_us: int
    until_us: int | None = None
    began_sequence: int
    sequence: int

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self.until_us is None


Change = Callable[[Any, RecordedEvent, AlertRow | None], AlertRow | None]
"""What an event makes of an alert."""


def ended(row: AlertRow | None, recorded: RecordedEvent) -> AlertRow | None:
    """Return *row* with its end, as it was where it had ended before or never was."""
    if row is None or not row.is_open:
        return row
    return msgspec.structs.replace(row, until_us=recorded.recorded_at_us, sequence=recorded.sequence)


def begun(row: AlertRow | None, recorded: RecordedEvent, fresh: AlertRow) -> AlertRow:
    """Return *fresh*, which goes on from *row* where that has not ended: what it began with stays."""
    if row is None or not row.is_open:
        return fresh
    return msgspec.structs.replace(
        fresh, since_us=row.since_us, began_sequence=row.began_sequence, sequence=recorded.sequence
    )


def _protection(event: ProtectionLapsed | ProtectionFailed, recorded: RecordedEvent) -> AlertRow:
    reason = event.reason if isinstance(event, ProtectionFailed) else None
    return AlertRow(
        alert_id=f"protection:{event.trade_id}",
        account_id=AccountId(account_of(recorded)),
        code=AlertCode.PROTECTION_LAPSED if reason is None else AlertCode.PROTECTION_FAILED,
        trade_id=event.trade_id,
        order_id=event.order_id,
        detail=reason,
        since_us=recorded.recorded_at_us,
        began_sequence=recorded.sequence,
        sequence=recorded.sequence,
    )


def _switch(event: KillSwitchEngaged, recorded: RecordedEvent) -> AlertRow:
    account_id = AccountId(account_of(recorded))
    return AlertRow(
        alert_id=f"switch:{account_id}:{event.strategy_id or ''}",
        account_id=account_id,
        code=AlertCode.KILL_SWITCH_ENGAGED,
        strategy_id=event.strategy_id,
        detail=event.reason,
        since_us=recorded.recorded_at_us,
        began_sequence=recorded.sequence,
        sequence=recorded.sequence,
    )


def _protection_lost(
    event: ProtectionLapsed | ProtectionFailed, recorded: RecordedEvent, row: AlertRow | None
) -> AlertRow | None:
    return begun(row, recorded, _protection(event, recorded))


def _stop_intended(_: OrderIntended, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    is_lapsed = row is not None and row.code is AlertCode.PROTECTION_LAPSED
    return ended(row, recorded) if is_lapsed else row


def _levels_set(_: TradeChanged, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    # Somebody has looked: with other levels it is tried again.
    has_failed = row is not None and row.code is AlertCode.PROTECTION_FAILED
    return ended(row, recorded) if has_failed else row


def _engaged(event: KillSwitchEngaged, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    return begun(row, recorded, _switch(event, recorded))


def _flattened(event: FlattenFinished, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    if row is None or not event.remaining:
        return row
    return msgspec.structs.replace(
        row, code=AlertCode.FLATTEN_INCOMPLETE, trade_ids=event.remaining, sequence=recorded.sequence
    )


def _over(_: Event, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    return ended(row, recorded)


def _nothing_yet(_: Event, __: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    return row


_ABOUT_SWITCHES: Mapping[type[Event], Change] = {
    KillSwitchEngaged: _engaged,
    KillSwitchReleased: _over,
    FlattenFinished: _flattened,
}
_ABOUT_TRADES: Mapping[type[Event], Change] = {
    TradeOpened: _nothing_yet,
    TradeAdopted: _nothing_yet,
    OrderIntended: _stop_intended,
    TradeChanged: _levels_set,
    TradeClosed: _over,
    ProtectionLapsed: _protection_lost,
    ProtectionFailed: _protection_lost,
}
# By the type of the event, as in `order_status.py`: nearly all that is folded here changes nothing.
_CHANGES: Mapping[type[Event], Change] = {**_ABOUT_TRADES, **_ABOUT_SWITCHES}


def _key_of(event: Event, recorded: RecordedEvent) -> Key | None:
    kind = type(event)
    if kind in _ABOUT_TRADES:
        if isinstance(event, OrderIntended) and event.purpose is not Purpose.STOP:
            return None
        return ("protection:" + event.trade_id,)  # type: ignore[union-attr]
    if kind in _ABOUT_SWITCHES:
        return (f"switch:{account_of(recorded)}:{event.strategy_id or ''}",)  # type: ignore[union-attr]
    return None


def _apply(event: Event, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    change = _CHANGES.get(type(event))
    return row if change is None else change(event, recorded, row)


ALERTS = ReadModel(
    name="alerts",
    version=1,
    row=AlertRow,
    key=("alert_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=tuple(_CHANGES),
    fresh=(TradeOpened, TradeAdopted),
    indexes=(("account_id", "began_sequence"),),
)
