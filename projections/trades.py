"""Read model `trades`, which answers what became of each intent, from its entry or denial to its result."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from domain.account.events import (
    ExitCause,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
)
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId, OrderId, TradeId, UserId
from domain.instrument import Segment
from domain.market import trading_day
from domain.order import OrderStatus, OrderType, Product, Purpose, Side, TimeInForce
from domain.risk import DenialCode
from projections.order_status import OrderEvent, is_order_event, remark_of, status_after
from projections.read_model import Change, Key, ReadModel, RowMissing, account_of, events_with


class TradeStatus(StrEnum):
    """Where a trade is, in one word. The order's own life is in the read model `orders`."""

    DENIED = "denied"
    """Our risk check refused it: no order ever was."""
    INTENDED = "intended"
    """Its entry is under way and has filled nothing yet."""
    OPEN = "open"
    """It holds something."""
    EXITING = "exiting"
    """A stop, a target or a person asked for its end, and it is not there yet."""
    CLOSED = "closed"
    """It holds nothing and nothing can fill. Without a fill, `entry_status` says why."""


class TradeRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One trade. Prices in 1/10,000 rupee, amounts in paise, quantities in units.

    `entry_paise` and `exit_paise` are what the fills were worth, so an average is amount by quantity. `net_quantity`
    and `cost_paise` are what the trade holds and what that cost, both negative for a short.
    """

    trade_id: TradeId
    account_id: AccountId
    user_id: UserId
    symbol: str
    segment: Segment
    security_id: str
    product: Product
    side: Side
    quantity: int
    multiplier: int
    order_type: OrderType
    limit_price_e4: int | None
    time_in_force: TimeInForce
    stop_loss_e4: int | None
    target_e4: int | None
    status: TradeStatus
    day: str
    """The exchange's day on which it was intended, ISO."""
    opened_at_us: int
    opened_sequence: int
    entry_order_id: OrderId | None = None
    entry_status: OrderStatus | None = None
    entry_quantity: int = 0
    entry_paise: int = 0
    exit_quantity: int = 0
    exit_paise: int = 0
    exit_cause: ExitCause | None = None
    exit_mark_e4: int | None = None
    """The last price that set the exit off, None where a person asked."""
    net_quantity: int = 0
    cost_paise: int = 0
    realised_paise: int = 0
    denial_code: DenialCode | None = None
    denial_limit: str | None = None
    denial_value: str | None = None
    remark: str | None = None
    """What the venue or the transport said last, where it did not simply take an order."""
    first_filled_at_ns: int | None = None
    last_filled_at_ns: int | None = None
    exit_triggered_at_us: int | None = None
    closed_at_us: int | None = None
    sequence: int


def _key_of(event: Event, _: RecordedEvent) -> Key | None:
    trade_id = getattr(event, "trade_id", None)
    return None if trade_id is None else (trade_id,)


def _apply(event: Event, recorded: RecordedEvent, row: TradeRow | None) -> TradeRow | None:
    if type(event) is TradeOpened or (type(event) is OrderDenied and row is None):
        return _begun(event, recorded)
    if row is None:
        raise RowMissing(event)
    if (change := _CHANGES.get(type(event))) is not None:
        return msgspec.structs.replace(row, sequence=recorded.sequence, **change(event, recorded, row))
    changed = _of_order(event, row) if is_order_event(event) else {}
    return msgspec.structs.replace(row, sequence=recorded.sequence, **changed)


def _begun(event: TradeOpened | OrderDenied, recorded: RecordedEvent) -> TradeRow:
    denied = isinstance(event, OrderDenied)
    return TradeRow(
        trade_id=event.trade_id,
        account_id=AccountId(account_of(recorded)),
        user_id=event.user_id,
        symbol=event.symbol,
        segment=event.entry.instrument.segment,
        security_id=event.entry.instrument.security_id,
        product=event.entry.product,
        side=event.entry.side,
        quantity=event.entry.quantity,
        multiplier=_multiplier(event),
        order_type=event.entry.order_type,
        limit_price_e4=event.entry.limit_price_e4,
        time_in_force=event.entry.time_in_force,
        stop_loss_e4=event.stop_loss_e4,
        target_e4=event.target_e4,
        status=TradeStatus.DENIED if denied else TradeStatus.INTENDED,
        day=trading_day(event.market.market_time_ns).isoformat(),
        opened_at_us=recorded.recorded_at_us,
        opened_sequence=recorded.sequence,
        denial_code=event.code if isinstance(event, OrderDenied) else None,
        denial_limit=event.limit if isinstance(event, OrderDenied) else None,
        denial_value=event.value if isinstance(event, OrderDenied) else None,
        closed_at_us=recorded.recorded_at_us if denied else None,
        sequence=recorded.sequence,
    )


def _multiplier(event: TradeOpened | OrderDenied) -> int:
    if isinstance(event, TradeOpened):
        return event.multiplier
    return event.market.instrument.multiplier if event.market.instrument is not None else 1


def _intended(event: OrderIntended, _: RecordedEvent, __: TradeRow) -> Change:
    if event.purpose is not Purpose.ENTRY:
        return {}
    return {"entry_order_id": event.order_id, "entry_status": OrderStatus.INTENDED}


def _exit_triggered(event: TradeExitTriggered, recorded: RecordedEvent, _: TradeRow) -> Change:
    return {
        "status": TradeStatus.EXITING,
        "exit_cause": event.cause,
        "exit_mark_e4": None if event.mark is None else event.mark.last_price_e4,
        "exit_triggered_at_us": recorded.recorded_at_us,
    }


def _closed(_: TradeClosed, recorded: RecordedEvent, __: TradeRow) -> Change:
    return {"status": TradeStatus.CLOSED, "closed_at_us": recorded.recorded_at_us}


def _of_order(event: OrderEvent, row: TradeRow) -> Change:
    remark = remark_of(event) or row.remark
    if event.order_id != row.entry_order_id or row.entry_status is None:
        return {"remark": remark}
    status = status_after(event, status=row.entry_status, quantity=row.quantity, cumulative_quantity=row.entry_quantity)
    return {"remark": remark, "entry_status": status}


def _filled(event: OrderFilled, _: RecordedEvent, row: TradeRow) -> Change:
    side = "entry" if event.purpose is Purpose.ENTRY else "exit"
    quantity, paise = (row.entry_quantity, row.entry_paise) if side == "entry" else (row.exit_quantity, row.exit_paise)
    return _of_order(event, row) | {
        "net_quantity": row.net_quantity + event.side.sign * event.last_quantity,
        "cost_paise": row.cost_paise + event.opened_cost_paise - event.closed_cost_paise,
        "realised_paise": row.realised_paise + event.realised_paise,
        # A late fill opens a closed trade again, until the rules have closed what it brought.
        "status": TradeStatus.OPEN if row.exit_cause is None else TradeStatus.EXITING,
        "closed_at_us": None,
        "first_filled_at_ns": event.filled_at_ns if row.first_filled_at_ns is None else row.first_filled_at_ns,
        "last_filled_at_ns": event.filled_at_ns,
        f"{side}_quantity": quantity + event.last_quantity,
        f"{side}_paise": paise + event.value_paise,
    }


_CHANGES: dict[type[Event], Callable[[Any, RecordedEvent, TradeRow], Change]] = {
    OrderIntended: _intended,
    OrderFilled: _filled,
    TradeExitTriggered: _exit_triggered,
    TradeClosed: _closed,
}
"""What an event changes, by its type, beside what any event of an order does."""


TRADES = ReadModel(
    name="trades",
    version=1,
    row=TradeRow,
    key=("trade_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=events_with("trade_id"),
    makes=(TradeOpened,),  # A denial may be of a change: then its trade is there and stays as it is.
    indexes=(("account_id", "opened_sequence"),),
)
