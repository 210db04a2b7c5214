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
    DifferenceClosed,
    DifferenceFound,
    FlattenFinished,
    InvariantBreached,
    InvariantReleased,
    KillSwitchEngaged,
    KillSwitchReleased,
    OrderIntended,
    PreopenChecked,
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
from domain.preopen import PointStanding
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
    INVARIANT_BREACHED = "INVARIANT_BREACHED"
    """Something that always holds did not, and entries are denied until a person has looked."""
    BOOKS_DISAGREE = "BOOKS_DISAGREE"
    """The broker's books show what nothing explains, and entries are denied."""
    BOOKS_DIFFER = "BOOKS_DIFFER"
    """The broker's books show something otherwise than ours, and it is known why."""
    PREOPEN_CHECK_FAILING = "PREOPEN_CHECK_FAILING"
    """Something could keep the account from trading today."""


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


def alert(
    recorded: RecordedEvent,
    code: AlertCode,
    alert_id: str,
    *,
    detail: str | None = None,
    trade_id: TradeId | None = None,
    order_id: OrderId | None = None,
    strategy_id: StrategyId | None = None,
    trade_ids: tuple[TradeId, ...] = (),
) -> AlertRow:
    """Return an alert that begins with the event *recorded*, of the account in whose stream it lies."""
    return AlertRow(
        alert_id=alert_id,
        account_id=AccountId(account_of(recorded)),
        code=code,
        trade_id=trade_id,
        order_id=order_id,
        strategy_id=strategy_id,
        trade_ids=trade_ids,
        detail=detail,
        since_us=recorded.recorded_at_us,
        began_sequence=recorded.sequence,
        sequence=recorded.sequence,
    )


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


def alert_model(
    name: str,
    changes: Mapping[type[Event], Change],
    *,
    key_of: Callable[[Event, RecordedEvent], Key | None],
    fresh: tuple[type[Event], ...],
) -> ReadModel[AlertRow]:
    """Return a read model of alerts on which events do what *changes* says, before which of them there are none."""

    # By the type of the event, as in `order_status.py`: nearly all that is folded here changes nothing.
    def apply(event: Event, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
        change = changes.get(type(event))
        return row if change is None else change(event, recorded, row)

    return ReadModel(
        name=name,
        version=1,
        row=AlertRow,
        key=("alert_id",),
        key_of=key_of,
        apply=apply,
        concerns=tuple(changes),
        fresh=fresh,
        indexes=(("account_id", "began_sequence"),),
    )


def over(_: Event, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    """Return what an event makes of an alert that ends whatever goes on."""
    return ended(row, recorded)


def unchanged(_: Event, __: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    """Return what an event makes of an alert of which it only tells that there is none yet."""
    return row


def _protection_lost(
    event: ProtectionLapsed | ProtectionFailed, recorded: RecordedEvent, row: AlertRow | None
) -> AlertRow | None:
    reason = event.reason if isinstance(event, ProtectionFailed) else None
    fresh = alert(
        recorded,
        AlertCode.PROTECTION_LAPSED if reason is None else AlertCode.PROTECTION_FAILED,
        f"protection:{event.trade_id}",
        trade_id=event.trade_id,
        order_id=event.order_id,
        detail=reason,
    )
    return begun(row, recorded, fresh)


def _stop_intended(_: OrderIntended, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    is_lapsed = row is not None and row.code is AlertCode.PROTECTION_LAPSED
    return ended(row, recorded) if is_lapsed else row


def _levels_set(_: TradeChanged, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    # Somebody has looked: with other levels it is tried again.
    has_failed = row is not None and row.code is AlertCode.PROTECTION_FAILED
    return ended(row, recorded) if has_failed else row


def _engaged(event: KillSwitchEngaged, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    alert_id = f"switch:{account_of(recorded)}:{event.strategy_id or ''}"
    fresh = alert(recorded, AlertCode.KILL_SWITCH_ENGAGED, alert_id, strategy_id=event.strategy_id, detail=event.reason)
    return begun(row, recorded, fresh)


def _flattened(event: FlattenFinished, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    if row is None or not event.remaining:
        return row
    return msgspec.structs.replace(
        row, code=AlertCode.FLATTEN_INCOMPLETE, trade_ids=event.remaining, sequence=recorded.sequence
    )


def _breached(event: InvariantBreached, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    alert_id = f"invariant:{account_of(recorded)}:{event.invariant.value}"
    said = f"{event.invariant.value} of {event.subject}: expected {event.expected}, seen {event.seen}"
    fresh = alert(recorded, AlertCode.INVARIANT_BREACHED, alert_id, trade_ids=event.trade_ids, detail=said)
    return begun(row, recorded, fresh)


def _difference(event: DifferenceFound, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    what = " ".join(part for part in (event.symbol, event.subject) if part)
    said = f"{event.kind.value} of {what}: ours {event.ours}, the broker's {event.theirs}. {event.cause}"
    code = AlertCode.BOOKS_DISAGREE if event.gates else AlertCode.BOOKS_DIFFER
    return begun(row, recorded, alert(recorded, code, event.difference_id, detail=said))


def _preopen(event: PreopenChecked, recorded: RecordedEvent, row: AlertRow | None) -> AlertRow | None:
    failing = [point for point in event.points if point.standing is PointStanding.FAILING]
    if not failing:
        return ended(row, recorded)
    said = " ".join(f"{point.point.value}: {point.detail}. {point.remedy}" for point in failing)
    fresh = alert(recorded, AlertCode.PREOPEN_CHECK_FAILING, f"preopen:{account_of(recorded)}", detail=said)
    return fresh if event.number == 1 else begun(row, recorded, fresh)


_ABOUT_SWITCHES: Mapping[type[Event], Change] = {
    KillSwitchEngaged: _engaged,
    KillSwitchReleased: over,
    FlattenFinished: _flattened,
}
_ABOUT_TRADES: Mapping[type[Event], Change] = {
    TradeOpened: unchanged,
    TradeAdopted: unchanged,
    OrderIntended: _stop_intended,
    TradeChanged: _levels_set,
    TradeClosed: over,
    ProtectionLapsed: _protection_lost,
    ProtectionFailed: _protection_lost,
}
_ABOUT_INVARIANTS: Mapping[type[Event], Change] = {InvariantBreached: _breached, InvariantReleased: over}
_ABOUT_BOOKS: Mapping[type[Event], Change] = {DifferenceFound: _difference, DifferenceClosed: over}
_CHANGES: Mapping[type[Event], Change] = {
    **_ABOUT_TRADES,
    **_ABOUT_SWITCHES,
    **_ABOUT_INVARIANTS,
    **_ABOUT_BOOKS,
    PreopenChecked: _preopen,
}


def _key_of(event: Event, recorded: RecordedEvent) -> Key | None:
    kind = type(event)
    if kind in _ABOUT_TRADES:
        if isinstance(event, OrderIntended) and event.purpose is not Purpose.STOP:
            return None
        return ("protection:" + event.trade_id,)  # type: ignore[union-attr]
    if kind in _ABOUT_SWITCHES:
        return (f"switch:{account_of(recorded)}:{event.strategy_id or ''}",)  # type: ignore[union-attr]
    if kind in _ABOUT_INVARIANTS:
        return (f"invariant:{account_of(recorded)}:{event.invariant.value}",)  # type: ignore[union-attr]
    if kind in _ABOUT_BOOKS:
        return (event.difference_id,)  # type: ignore[union-attr]
    return (f"preopen:{account_of(recorded)}",) if kind is PreopenChecked else None


ALERTS = alert_model("alerts", _CHANGES, key_of=_key_of, fresh=(TradeOpened, TradeAdopted))
