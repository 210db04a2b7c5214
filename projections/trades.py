"""Read model `trades`, which answers what became of each intent, from its entry or denial to its result."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from domain.account.events import (
    CorporateActionApplied,
    ExitCause,
    ForeignFillAllocated,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    OrderModified,
    ProtectionFailed,
    ProtectionLapsed,
    ProtectionMode,
    StopTrailed,
    TradeAdopted,
    TradeChanged,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
    TradeReductionAsked,
    Trailing,
)
from domain.charges import NO_CHARGES, Charges
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId, BasketId, OrderId, StrategyId, TradeId, UserId, VenueOrderId
from domain.instrument import InstrumentKey, Segment
from domain.market import trading_day
from domain.order import OrderInstruction, OrderStatus, OrderType, Product, Purpose, Side, TimeInForce
from domain.risk import DenialCode
from projections.order_status import OrderEvent, is_order_event, remark_of
from projections.read_model import Change, Key, ReadModel, RowMissing, account_of, events_with
from projections.trade_orders import TradeOrder, after_event, not_over, status_of, with_intended


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


class ProtectionLoss(StrEnum):
    """Why a trade's stop is not what it should be."""

    LAPSED = "lapsed"
    """The session ended and the stop with it; it is to be placed again."""
    FAILED = "failed"
    """It cannot be placed, moved or filled by rule: a person has to look."""


class TradeRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One trade. Prices in 1/10,000 rupee, amounts in paise, quantities in units.

    `entry_paise` and `exit_paise` are what the fills were worth, so an average is amount by quantity. `net_quantity`
    and `cost_paise` are what the trade holds and what that cost, both negative for a short. `realised_paise` is before
    `charges`, `net_paise` after them. An external trade, which keeps what came from outside, has nobody who asked for
    it and no order: user, order type and time in force are None.
    """

    trade_id: TradeId
    account_id: AccountId
    user_id: UserId | None
    strategy_id: StrategyId | None = None
    basket_id: BasketId | None = None
    is_external: bool = False
    symbol: str
    segment: Segment
    security_id: str
    product: Product
    side: Side
    quantity: int
    multiplier: int
    order_type: OrderType | None
    limit_price_e4: int | None
    trigger_price_e4: int | None = None
    disclosed_quantity: int = 0
    after_market: bool = False
    time_in_force: TimeInForce | None
    version: int = 1
    """How often its levels were set by a person or strategy."""
    stop_loss_e4: int | None
    target_e4: int | None
    trailing: Trailing | None = None
    best_price_e4: int | None = None
    """The best price that its trailing stop has seen, None before it trailed."""
    trail_count: int = 0
    protection: ProtectionMode | None = None
    protection_lost: ProtectionLoss | None = None
    protection_remark: str | None = None
    stops: tuple[TradeOrder, ...] = ()
    """Its stop, or what it is made of, and those before it of which something may still come."""
    status: TradeStatus
    day: str
    """The exchange's day on which it was intended, ISO."""
    opened_at_us: int
    opened_sequence: int
    entry_order_id: OrderId | None = None
    entry_status: OrderStatus | None = None
    entries: tuple[TradeOrder, ...] = ()
    entry_quantity: int = 0
    entry_paise: int = 0
    exit_quantity: int = 0
    exit_paise: int = 0
    exit_cause: ExitCause | None = None
    exit_mark_e4: int | None = None
    """The last price that set the exit off, None where a person asked."""
    reduction_quantity: int = 0
    """Units that shall be closed beyond those that exits were intended for."""
    reduction_cause: ExitCause | None = None
    net_quantity: int = 0
    cost_paise: int = 0
    realised_paise: int = 0
    charges: Charges = NO_CHARGES
    denial_code: DenialCode | None = None
    denial_limit: str | None = None
    denial_value: str | None = None
    denial_passing: str | None = None
    remark: str | None = None
    """What the venue or the transport said last, where it did not simply take an order or a modification."""
    first_filled_at_ns: int | None = None
    last_filled_at_ns: int | None = None
    exit_triggered_at_us: int | None = None
    closed_at_us: int | None = None
    sequence: int

    @property
    def instrument(self) -> InstrumentKey:
        """What is traded."""
        return InstrumentKey(segment=self.segment, security_id=self.security_id)

    @property
    def net_paise(self) -> int:
        """What it realised, less what it was charged."""
        return self.realised_paise - self.charges.total_paise

    @property
    def entry_venue_order_id(self) -> VenueOrderId | None:
        """The venue's own name of its entry (the first order, where it is several), None before it is known."""
        return self.entries[0].venue_order_id if self.entries else None

    @property
    def guarded_quantity(self) -> int:
        """How many units its resting stops guard."""
        return sum(stop.guards for stop in self.stops)


def _key_of(event: Event, _: RecordedEvent) -> Key | None:
    trade_id = getattr(event, "trade_id", None)
    return None if trade_id is None else (trade_id,)


def _adjusted_keys(event: CorporateActionApplied, _: RecordedEvent) -> tuple[Key, ...]:
    return tuple((each.trade_id,) for each in event.trades)


def _apply(event: Event, recorded: RecordedEvent, row: TradeRow | None) -> TradeRow | None:
    if type(event) is TradeOpened or (type(event) is OrderDenied and row is None):
        return _begun(event, recorded)
    if type(event) is TradeAdopted:
        return _adopted(event, recorded)
    if row is None:
        raise RowMissing(event)
    if (change := _CHANGES.get(type(event))) is not None:
        return msgspec.structs.replace(row, sequence=recorded.sequence, **change(event, recorded, row))
    changed = _of_order(event, row) if is_order_event(event) else {}
    return msgspec.structs.replace(row, sequence=recorded.sequence, **changed)


def _begun(event: TradeOpened | OrderDenied, recorded: RecordedEvent) -> TradeRow:
    opened = event if isinstance(event, TradeOpened) else None
    denied = event if isinstance(event, OrderDenied) else None
    return TradeRow(
        trade_id=event.trade_id,
        account_id=AccountId(account_of(recorded)),
        user_id=event.user_id,
        strategy_id=event.strategy_id,
        basket_id=None if opened is None else opened.basket_id,
        symbol=event.symbol,
        segment=event.entry.instrument.segment,
        security_id=event.entry.instrument.security_id,
        product=event.entry.product,
        side=event.entry.side,
        quantity=event.entry.quantity,
        multiplier=_multiplier(event),
        order_type=event.entry.order_type,
        limit_price_e4=event.entry.limit_price_e4,
        trigger_price_e4=event.entry.trigger_price_e4,
        disclosed_quantity=event.entry.disclosed_quantity,
        after_market=event.entry.after_market,
        time_in_force=event.entry.time_in_force,
        stop_loss_e4=event.stop_loss_e4,
        target_e4=event.target_e4,
        trailing=None if opened is None else opened.trailing,
        protection=None if opened is None else opened.protection,
        status=TradeStatus.INTENDED if denied is None else TradeStatus.DENIED,
        day=trading_day(event.market.market_time_ns).isoformat(),
        opened_at_us=recorded.recorded_at_us,
        opened_sequence=recorded.sequence,
        denial_code=None if denied is None else denied.code,
        denial_limit=None if denied is None else denied.limit,
        denial_value=None if denied is None else denied.value,
        denial_passing=None if denied is None else denied.passing,
        closed_at_us=None if denied is None else recorded.recorded_at_us,
        sequence=recorded.sequence,
    )


def _multiplier(event: TradeOpened | OrderDenied) -> int:
    if isinstance(event, TradeOpened):
        return event.multiplier
    return event.market.instrument.multiplier if event.market.instrument is not None else 1


def _adopted(event: TradeAdopted, recorded: RecordedEvent) -> TradeRow:
    return TradeRow(
        trade_id=event.trade_id,
        account_id=AccountId(account_of(recorded)),
        user_id=None,
        is_external=True,
        symbol=event.symbol,
        segment=event.instrument.segment,
        security_id=event.instrument.security_id,
        product=event.product,
        side=event.side,
        quantity=0,
        multiplier=event.multiplier,
        order_type=None,
        limit_price_e4=None,
        time_in_force=None,
        stop_loss_e4=None,
        target_e4=None,
        status=TradeStatus.OPEN,
        day=event.trading_day,
        opened_at_us=recorded.recorded_at_us,
        opened_sequence=recorded.sequence,
        sequence=recorded.sequence,
    )


# --- Its orders -------------------------------------------------------------------------------------------------------


def _intended(event: OrderIntended, _: RecordedEvent, row: TradeRow) -> Change:
    match event.purpose:
        case Purpose.ENTRY:
            entries = with_intended(row.entries, event)
            return {"entries": entries, "entry_order_id": entries[0].order_id, "entry_status": status_of(entries)}
        case Purpose.STOP:
            is_back = row.protection_lost is ProtectionLoss.LAPSED
            return {
                "stops": with_intended(not_over(row.stops), event),
                "protection_lost": None if is_back else row.protection_lost,
            }
        case Purpose.EXIT:
            return {"reduction_quantity": max(0, row.reduction_quantity - event.instruction.quantity)}


def _of_order(event: OrderEvent, row: TradeRow) -> Change:
    changed: Change = {"remark": remark_of(event) or row.remark}
    entries = after_event(row.entries, event)
    if entries is row.entries:
        stops = after_event(row.stops, event) if row.stops else row.stops
        return changed if stops is row.stops else changed | {"stops": stops}
    if isinstance(event, OrderModified):
        changed |= _entry_modified(event.instruction, row, more=_total(entries) - _total(row.entries))
    return changed | {"entries": entries, "entry_status": status_of(entries)}


def _total(orders: tuple[TradeOrder, ...]) -> int:
    return sum(order.quantity for order in orders)


def _entry_modified(told: OrderInstruction, row: TradeRow, *, more: int) -> Change:
    return {
        "quantity": row.quantity + more,
        "order_type": told.order_type,
        "limit_price_e4": told.limit_price_e4,
        "trigger_price_e4": told.trigger_price_e4,
        "disclosed_quantity": told.disclosed_quantity,
        "time_in_force": told.time_in_force,
    }


# --- What it holds ----------------------------------------------------------------------------------------------------


def _filled(event: OrderFilled, _: RecordedEvent, row: TradeRow) -> Change:
    side = "entry" if event.purpose is Purpose.ENTRY else "exit"
    quantity, paise = (row.entry_quantity, row.entry_paise) if side == "entry" else (row.exit_quantity, row.exit_paise)
    return (
        _of_order(event, row)
        | _held(event, row)
        | {f"{side}_quantity": quantity + event.last_quantity, f"{side}_paise": paise + event.value_paise}
    )


def _filled_from_outside(event: ForeignFillAllocated, _: RecordedEvent, row: TradeRow) -> Change:
    opened_paise = abs(event.opened_cost_paise)
    return _held(event, row) | {
        "entry_quantity": row.entry_quantity + event.last_quantity - event.closed_quantity,
        "entry_paise": row.entry_paise + opened_paise,
        "exit_quantity": row.exit_quantity + event.closed_quantity,
        "exit_paise": row.exit_paise + event.value_paise - opened_paise,
    }


def _held(event: OrderFilled | ForeignFillAllocated, row: TradeRow) -> Change:
    net_quantity = row.net_quantity + event.side.sign * event.last_quantity
    return {
        "net_quantity": net_quantity,
        "cost_paise": row.cost_paise + event.opened_cost_paise - event.closed_cost_paise,
        "realised_paise": row.realised_paise + event.realised_paise,
        "charges": row.charges + event.charges,
        "reduction_quantity": min(row.reduction_quantity, abs(net_quantity)),
        # A late fill opens a closed trade again, until the rules have closed what it brought.
        "status": TradeStatus.OPEN if row.exit_cause is None else TradeStatus.EXITING,
        "closed_at_us": None,
        "first_filled_at_ns": event.filled_at_ns if row.first_filled_at_ns is None else row.first_filled_at_ns,
        "last_filled_at_ns": event.filled_at_ns,
    }


def _reduction_asked(event: TradeReductionAsked, _: RecordedEvent, row: TradeRow) -> Change:
    return {"reduction_quantity": row.reduction_quantity + event.quantity, "reduction_cause": event.cause}


def _exit_triggered(event: TradeExitTriggered, recorded: RecordedEvent, _: TradeRow) -> Change:
    return {
        "status": TradeStatus.EXITING,
        "exit_cause": event.cause,
        "exit_mark_e4": None if event.mark is None else event.mark.last_price_e4,
        "exit_triggered_at_us": recorded.recorded_at_us,
        "reduction_quantity": 0,
    }


def _closed(_: TradeClosed, recorded: RecordedEvent, __: TradeRow) -> Change:
    return {"status": TradeStatus.CLOSED, "closed_at_us": recorded.recorded_at_us}


# --- Its levels -------------------------------------------------------------------------------------------------------


def _levels_set(event: TradeChanged, _: RecordedEvent, row: TradeRow) -> Change:
    has_failed = row.protection_lost is ProtectionLoss.FAILED
    return {
        "version": event.version,
        "stop_loss_e4": event.stop_loss_e4,
        "target_e4": event.target_e4,
        "trailing": event.trailing,
        # Somebody has looked: with other levels it is tried again.
        "protection_lost": None if has_failed else row.protection_lost,
        "protection_remark": None if has_failed else row.protection_remark,
    }


def _trailed(event: StopTrailed, _: RecordedEvent, row: TradeRow) -> Change:
    return {
        "stop_loss_e4": event.stop_loss_e4,
        "best_price_e4": event.best_price_e4,
        "trail_count": row.trail_count + 1,
    }


def _protection_lapsed(_: ProtectionLapsed, __: RecordedEvent, ___: TradeRow) -> Change:
    return {"protection_lost": ProtectionLoss.LAPSED, "protection_remark": None}


def _protection_failed(event: ProtectionFailed, _: RecordedEvent, __: TradeRow) -> Change:
    return {"protection_lost": ProtectionLoss.FAILED, "protection_remark": event.reason}


def _adjusted(event: CorporateActionApplied, _: RecordedEvent, row: TradeRow) -> Change:
    [left] = [each for each in event.trades if each.trade_id == row.trade_id]
    best = row.best_price_e4
    return {
        "net_quantity": left.net_quantity,
        "stop_loss_e4": left.stop_loss_e4,
        "target_e4": left.target_e4,
        "best_price_e4": None if best is None else best * event.denominator // event.numerator,
    }


_CHANGES: dict[type[Event], Callable[[Any, RecordedEvent, TradeRow], Change]] = {
    OrderIntended: _intended,
    OrderFilled: _filled,
    ForeignFillAllocated: _filled_from_outside,
    TradeExitTriggered: _exit_triggered,
    TradeReductionAsked: _reduction_asked,
    TradeClosed: _closed,
    TradeChanged: _levels_set,
    StopTrailed: _trailed,
    ProtectionLapsed: _protection_lapsed,
    ProtectionFailed: _protection_failed,
    CorporateActionApplied: _adjusted,
}
"""What an event changes, by its type, beside what any event of an order does."""


TRADES = ReadModel(
    name="trades",
    version=3,
    row=TradeRow,
    key=("trade_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=(*events_with("trade_id"), CorporateActionApplied),
    makes=(TradeOpened, TradeAdopted),  # A denial may be of a change: then its trade is there and stays as it is.
    several={CorporateActionApplied: _adjusted_keys},
    indexes=(("account_id", "opened_sequence"),),
)
