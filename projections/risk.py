"""Read model `risk`, which answers what an account is allowed, what of it is used up today, and what was denied."""

import msgspec

from domain.account.events import (
    AccountMode,
    AccountOpened,
    BasketCompleted,
    BasketFailed,
    BasketLeg,
    BasketOpened,
    BasketPolicy,
    CashMoved,
    CorporateActionApplied,
    FlattenFinished,
    ForeignFillAllocated,
    IntentsSuppressed,
    InvariantBreached,
    InvariantReleased,
    KillMode,
    KillSwitchEngaged,
    KillSwitchReleased,
    OrderDenied,
    OrderFilled,
    PreopenChecked,
    RiskBreached,
    RiskBreachReleased,
    RiskParametersChanged,
    TradeAdopted,
    TradeClosed,
    TradeOpened,
)
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId, BasketId, OrderId, StrategyId, TradeId, UserId
from domain.market import trading_day
from domain.preopen import CheckedPoint
from domain.risk import BreachAction, BreachKind, DenialCode, Invariant, RiskParameters
from projections.read_model import Key, OnPoison, ReadModel, RowMissing, account_of

_CONCERNED = (
    AccountOpened,
    RiskParametersChanged,
    KillSwitchEngaged,
    KillSwitchReleased,
    FlattenFinished,
    RiskBreached,
    RiskBreachReleased,
    InvariantBreached,
    InvariantReleased,
    PreopenChecked,
    CashMoved,
    IntentsSuppressed,
    CorporateActionApplied,
    BasketOpened,
    BasketFailed,
    BasketCompleted,
    TradeOpened,
    TradeAdopted,
    OrderDenied,
    OrderFilled,
    ForeignFillAllocated,
    TradeClosed,
)

_OF_ACCOUNT = frozenset(_CONCERNED)

_LATCHED_BY = {
    DenialCode.DAY_LOSS_LIMIT_REACHED: BreachKind.DAY_LOSS,
    DenialCode.DRAWDOWN_LIMIT_REACHED: BreachKind.DRAWDOWN,
}
"""A denial for a limit on losses latches it too: before there was an event of the breach, it alone did."""


class KillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """A kill switch that is engaged, of a strategy or (None) of the account."""

    strategy_id: StrategyId | None
    mode: KillMode
    reason: str
    engaged_at_us: int


class Flattened(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue's positions said a flattening had left open, of a strategy or (None) of the account."""

    strategy_id: StrategyId | None
    remaining: tuple[TradeId, ...]
    finished_at_us: int


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A limit on losses that was reached on the row's day, and who released it, None while it holds."""

    kind: BreachKind
    action: BreachAction
    limit_paise: int
    value_paise: int
    breached_at_us: int
    released_at_us: int | None = None
    released_by: UserId | None = None
    release_reason: str | None = None


class BrokenInvariant(msgspec.Struct, frozen=True, kw_only=True):
    """A breach of what always holds that nobody has released. `breached_sequence` is the event that broke it.

    Of a decision that was stopped (`is_prevented`) it is the last event before it.
    """

    invariant: Invariant
    subject: str
    expected: str
    seen: str
    is_prevented: bool
    trade_ids: tuple[TradeId, ...]
    order_ids: tuple[OrderId, ...]
    breached_sequence: int
    breached_at_us: int


class Preopen(msgspec.Struct, frozen=True, kw_only=True):
    """The newest record of a pre-open check, on its trading day (ISO)."""

    day: str
    number: int
    points: tuple[CheckedPoint, ...]
    checked_at_us: int


class OpenBasket(msgspec.Struct, frozen=True, kw_only=True):
    """A basket of which legs are still to come. `failed` names those that came to nothing or to a part."""

    basket_id: BasketId
    policy: BasketPolicy
    legs: tuple[BasketLeg, ...]
    failed: tuple[TradeId, ...] = ()
    opened_at_us: int


class RiskRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One account. Amounts in paise. What ends in `_today` belongs to `day`, the exchange's newest day seen (ISO)."""

    account_id: AccountId
    user_id: UserId
    mode: AccountMode
    currency: str
    parameters: RiskParameters
    kill_switch_engaged: bool = False
    """Whether that of the whole account is."""
    kill_switch_reason: str | None = None
    kill_switch_at_us: int | None = None
    """When it was engaged or released last."""
    kill_switches: tuple[KillSwitch, ...] = ()
    """All that are engaged, the account's first."""
    flattened: tuple[Flattened, ...] = ()
    """The newest of each scope since its switch was engaged last."""
    day: str = ""
    trades_today: int = 0
    realised_today_paise: int = 0
    charges_today_paise: int = 0
    latched: tuple[BreachKind, ...] = ()
    """Limits on losses that block entries today."""
    breaches_today: tuple[Breach, ...] = ()
    """The newest of each kind."""
    denials_today: dict[str, int] = {}
    """How often the risk check denied, by code."""
    suppressed_today: int = 0
    """Intents that met the intake limit."""
    trades: int = 0
    realised_paise: int = 0
    charges_paise: int = 0
    peak_net_paise: int = 0
    """The highest that `net_paise` ever was, 0 at least: from there the drawdown is told."""
    cash_moved_paise: int = 0
    denials: dict[str, int] = {}
    breaches: dict[str, int] = {}
    """How often a limit on losses was reached, by kind."""
    broken: tuple[BrokenInvariant, ...] = ()
    preopen: Preopen | None = None
    suppressed: int = 0
    corporate_actions: int = 0
    open_trades: tuple[TradeId, ...] = ()
    baskets: tuple[OpenBasket, ...] = ()
    baskets_completed: int = 0
    baskets_failed: int = 0
    opened_at_us: int
    sequence: int

    @property
    def net_paise(self) -> int:
        """What was ever realised, less all charges."""
        return self.realised_paise - self.charges_paise

    @property
    def day_loss_latched(self) -> bool:
        """Whether the day's loss blocks entries."""
        return BreachKind.DAY_LOSS in self.latched

    def on_day(self, day: str) -> "RiskRow":
        """Return the account as it stands on *day*: the counts of an earlier day are over."""
        if day <= self.day:
            return self
        return msgspec.structs.replace(
            self,
            day=day,
            trades_today=0,
            realised_today_paise=0,
            charges_today_paise=0,
            latched=(),
            breaches_today=(),
            denials_today={},
            suppressed_today=0,
        )


def _key_of(event: Event, recorded: RecordedEvent) -> Key | None:
    return (account_of(recorded),) if type(event) in _OF_ACCOUNT else None


def _apply(event: Event, recorded: RecordedEvent, row: RiskRow | None) -> RiskRow | None:
    if isinstance(event, AccountOpened):
        return RiskRow(
            account_id=event.account_id,
            user_id=event.owner_id,
            mode=event.mode,
            currency=event.currency,
            parameters=event.parameters,
            opened_at_us=recorded.recorded_at_us,
            sequence=recorded.sequence,
        )
    if row is None:
        raise RowMissing(event)
    return msgspec.structs.replace(_changed(event, recorded, row), sequence=recorded.sequence)


def _changed(  # noqa: C901, PLR0911, PLR0912 - one arm per event
    event: Event, recorded: RecordedEvent, row: RiskRow
) -> RiskRow:
    match event:  # What comes most often first: an arm that does not match costs as much as a small fold.
        case OrderFilled() | ForeignFillAllocated():
            return _filled(event, row.on_day(event.trading_day))
        case TradeClosed():
            return _trade_closed(event, row)
        case TradeOpened():
            row = row.on_day(trading_day(event.market.market_time_ns).isoformat())
            return msgspec.structs.replace(
                row,
                trades_today=row.trades_today + 1,
                trades=row.trades + 1,
                open_trades=(*row.open_trades, event.trade_id),
            )
        case TradeAdopted():
            row = row.on_day(event.trading_day)
            return msgspec.structs.replace(row, open_trades=(*row.open_trades, event.trade_id))
        case OrderDenied():
            return _denied(event, row.on_day(trading_day(event.market.market_time_ns).isoformat()))
        case RiskParametersChanged():
            return msgspec.structs.replace(row, parameters=event.parameters)
        case KillSwitchEngaged():
            return _engaged(event, recorded, row)
        case KillSwitchReleased():
            return _released(event, recorded, row)
        case FlattenFinished():
            finished = Flattened(
                strategy_id=event.strategy_id, remaining=event.remaining, finished_at_us=recorded.recorded_at_us
            )
            others = tuple(each for each in row.flattened if each.strategy_id != event.strategy_id)
            return msgspec.structs.replace(row, flattened=(*others, finished))
        case RiskBreached():
            return _breached(event, recorded, row.on_day(event.trading_day))
        case RiskBreachReleased():
            return _breach_released(event, recorded, row)
        case InvariantBreached():
            return msgspec.structs.replace(row, broken=(*row.broken, _broken(event, recorded)))
        case InvariantReleased():
            return msgspec.structs.replace(
                row, broken=tuple(each for each in row.broken if each.invariant is not event.invariant)
            )
        case PreopenChecked():
            checked = Preopen(
                day=event.trading_day,
                number=event.number,
                points=event.points,
                checked_at_us=recorded.recorded_at_us,
            )
            return msgspec.structs.replace(row, preopen=checked)
        case CashMoved():
            row = row.on_day(event.trading_day)
            return msgspec.structs.replace(row, cash_moved_paise=row.cash_moved_paise + event.amount_paise)
        case IntentsSuppressed():
            return msgspec.structs.replace(
                row, suppressed=row.suppressed + event.count, suppressed_today=row.suppressed_today + event.count
            )
        case CorporateActionApplied():
            return msgspec.structs.replace(row, corporate_actions=row.corporate_actions + 1)
        case BasketOpened() | BasketFailed() | BasketCompleted():
            return _with_basket(event, recorded, row)
        case _:
            return row


# --- Switches and breaches --------------------------------------------------------------------------------------------


def _engaged(event: KillSwitchEngaged, recorded: RecordedEvent, row: RiskRow) -> RiskRow:
    fresh = KillSwitch(
        strategy_id=event.strategy_id, mode=event.mode, reason=event.reason, engaged_at_us=recorded.recorded_at_us
    )
    others = [each for each in row.kill_switches if each.strategy_id != event.strategy_id]
    row = msgspec.structs.replace(
        row,
        kill_switches=tuple(sorted([*others, fresh], key=lambda each: each.strategy_id or "")),
        flattened=tuple(each for each in row.flattened if each.strategy_id != event.strategy_id),
    )
    if event.strategy_id is not None:
        return row
    return msgspec.structs.replace(
        row, kill_switch_engaged=True, kill_switch_reason=event.reason, kill_switch_at_us=recorded.recorded_at_us
    )


def _released(event: KillSwitchReleased, recorded: RecordedEvent, row: RiskRow) -> RiskRow:
    others = tuple(each for each in row.kill_switches if each.strategy_id != event.strategy_id)
    row = msgspec.structs.replace(row, kill_switches=others)
    if event.strategy_id is not None:
        return row
    return msgspec.structs.replace(
        row, kill_switch_engaged=False, kill_switch_reason=None, kill_switch_at_us=recorded.recorded_at_us
    )


def _breached(event: RiskBreached, recorded: RecordedEvent, row: RiskRow) -> RiskRow:
    fresh = Breach(
        kind=event.kind,
        action=event.action,
        limit_paise=event.limit_paise,
        value_paise=event.value_paise,
        breached_at_us=recorded.recorded_at_us,
    )
    others = tuple(each for each in row.breaches_today if each.kind is not event.kind)
    return msgspec.structs.replace(
        row,
        latched=_with_kind(row.latched, event.kind),
        breaches_today=(*others, fresh),
        breaches=_one_more(row.breaches, event.kind),
    )


def _breach_released(event: RiskBreachReleased, recorded: RecordedEvent, row: RiskRow) -> RiskRow:
    breaches = tuple(
        msgspec.structs.replace(
            each,
            released_at_us=recorded.recorded_at_us,
            released_by=event.user_id,
            release_reason=event.reason,
        )
        if each.kind is event.kind
        else each
        for each in row.breaches_today
    )
    latched = tuple(kind for kind in row.latched if kind is not event.kind)
    return msgspec.structs.replace(row, latched=latched, breaches_today=breaches)


def _broken(event: InvariantBreached, recorded: RecordedEvent) -> BrokenInvariant:
    return BrokenInvariant(
        invariant=event.invariant,
        subject=event.subject,
        expected=event.expected,
        seen=event.seen,
        is_prevented=event.is_prevented,
        trade_ids=event.trade_ids,
        order_ids=event.order_ids,
        # It lies in the same append, and the events of one follow each other in the log as they do in the stream.
        breached_sequence=recorded.sequence - (recorded.version - event.version),
        breached_at_us=recorded.recorded_at_us,
    )


def _with_kind(kinds: tuple[BreachKind, ...], kind: BreachKind) -> tuple[BreachKind, ...]:
    return tuple(sorted({*kinds, kind}))


# --- Intents, fills, trades -------------------------------------------------------------------------------------------


def _denied(event: OrderDenied, row: RiskRow) -> RiskRow:
    kind = _LATCHED_BY.get(event.code)
    return msgspec.structs.replace(
        row,
        denials=_one_more(row.denials, event.code),
        denials_today=_one_more(row.denials_today, event.code),
        latched=row.latched if kind is None else _with_kind(row.latched, kind),
    )


def _one_more(counts: dict[str, int], code: DenialCode | BreachKind) -> dict[str, int]:
    return {**counts, code.value: counts.get(code.value, 0) + 1}


def _filled(event: OrderFilled | ForeignFillAllocated, row: RiskRow) -> RiskRow:
    # A late fill opens a closed trade again.
    known = event.trade_id in row.open_trades
    realised, charged = row.realised_paise + event.realised_paise, event.charges.total_paise
    return msgspec.structs.replace(
        row,
        realised_today_paise=row.realised_today_paise + event.realised_paise,
        realised_paise=realised,
        charges_today_paise=row.charges_today_paise + charged,
        charges_paise=row.charges_paise + charged,
        peak_net_paise=max(row.peak_net_paise, realised - row.charges_paise - charged),
        open_trades=row.open_trades if known else (*row.open_trades, event.trade_id),
    )


def _trade_closed(event: TradeClosed, row: RiskRow) -> RiskRow:
    still_open = tuple(trade_id for trade_id in row.open_trades if trade_id != event.trade_id)
    baskets = row.baskets
    if baskets:
        # One that goes on after a failed leg has no last word: it ends with its trades.
        baskets = tuple(each for each in baskets if any(leg.trade_id in still_open for leg in each.legs))
    return msgspec.structs.replace(row, open_trades=still_open, baskets=baskets)


def _with_basket(
    event: BasketOpened | BasketFailed | BasketCompleted, recorded: RecordedEvent, row: RiskRow
) -> RiskRow:
    others = tuple(each for each in row.baskets if each.basket_id != event.basket_id)
    match event:
        case BasketOpened():
            fresh = OpenBasket(
                basket_id=event.basket_id,
                policy=event.policy,
                legs=event.legs,
                opened_at_us=recorded.recorded_at_us,
            )
            return msgspec.structs.replace(row, baskets=(*others, fresh))
        case BasketFailed():
            if event.policy is BasketPolicy.CONTINUE:
                return msgspec.structs.replace(row, baskets=tuple(_with_failed(each, event) for each in row.baskets))
            return msgspec.structs.replace(row, baskets=others, baskets_failed=row.baskets_failed + 1)
        case BasketCompleted():
            return msgspec.structs.replace(row, baskets=others, baskets_completed=row.baskets_completed + 1)


def _with_failed(basket: OpenBasket, event: BasketFailed) -> OpenBasket:
    if basket.basket_id != event.basket_id:
        return basket
    return msgspec.structs.replace(basket, failed=(*basket.failed, event.failed_trade_id))


RISK = ReadModel(
    name="risk",
    version=5,
    row=RiskRow,
    key=("account_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=_CONCERNED,
    makes=(AccountOpened,),
    on_poison=OnPoison.HALT,
)
