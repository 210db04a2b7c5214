"""Read model `risk`, which answers what an account is allowed, what of it is used up today, and what was denied."""

import msgspec

from domain.account.events import (
    AccountMode,
    AccountOpened,
    KillSwitchEngaged,
    KillSwitchReleased,
    OrderDenied,
    OrderFilled,
    RiskParametersChanged,
    TradeClosed,
    TradeOpened,
)
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId, TradeId, UserId
from domain.market import trading_day
from domain.risk import DenialCode, RiskParameters
from projections.read_model import Key, OnPoison, ReadModel, RowMissing, account_of

_CONCERNED = (
    AccountOpened,
    RiskParametersChanged,
    KillSwitchEngaged,
    KillSwitchReleased,
    TradeOpened,
    OrderDenied,
    OrderFilled,
    TradeClosed,
)
_OF_ACCOUNT = frozenset(_CONCERNED)


class RiskRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One account. Amounts in paise. What ends in `_today` belongs to `day`, the exchange's newest day seen (ISO)."""

    account_id: AccountId
    user_id: UserId
    mode: AccountMode
    currency: str
    parameters: RiskParameters
    kill_switch_engaged: bool = False
    kill_switch_reason: str | None = None
    kill_switch_at_us: int | None = None
    """When it was engaged or released last."""
    day: str = ""
    trades_today: int = 0
    realised_today_paise: int = 0
    day_loss_latched: bool = False
    denials_today: dict[str, int] = {}
    """How often the risk check denied, by code."""
    trades: int = 0
    realised_paise: int = 0
    denials: dict[str, int] = {}
    open_trades: tuple[TradeId, ...] = ()
    opened_at_us: int
    sequence: int

    def on_day(self, day: str) -> "RiskRow":
        """Return the account as it stands on *day*: the counts of an earlier day are over."""
        if day <= self.day:
            return self
        return msgspec.structs.replace(
            self, day=day, trades_today=0, realised_today_paise=0, day_loss_latched=False, denials_today={}
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


def _changed(event: Event, recorded: RecordedEvent, row: RiskRow) -> RiskRow:  # noqa: PLR0911 - one arm per event
    match event:
        case OrderFilled():
            return _filled(event, row.on_day(event.trading_day))
        case TradeOpened():
            row = row.on_day(trading_day(event.market.market_time_ns).isoformat())
            return msgspec.structs.replace(
                row,
                trades_today=row.trades_today + 1,
                trades=row.trades + 1,
                open_trades=(*row.open_trades, event.trade_id),
            )
        case TradeClosed():
            return msgspec.structs.replace(
                row, open_trades=tuple(trade_id for trade_id in row.open_trades if trade_id != event.trade_id)
            )
        case OrderDenied():
            return _denied(event, row.on_day(trading_day(event.market.market_time_ns).isoformat()))
        case RiskParametersChanged():
            return msgspec.structs.replace(row, parameters=event.parameters)
        case KillSwitchEngaged():
            return msgspec.structs.replace(
                row,
                kill_switch_engaged=True,
                kill_switch_reason=event.reason,
                kill_switch_at_us=recorded.recorded_at_us,
            )
        case KillSwitchReleased():
            return msgspec.structs.replace(
                row, kill_switch_engaged=False, kill_switch_reason=None, kill_switch_at_us=recorded.recorded_at_us
            )
        case _:
            return row


def _denied(event: OrderDenied, row: RiskRow) -> RiskRow:
    return msgspec.structs.replace(
        row,
        denials=_one_more(row.denials, event.code),
        denials_today=_one_more(row.denials_today, event.code),
        day_loss_latched=row.day_loss_latched or event.code is DenialCode.DAY_LOSS_LIMIT_REACHED,
    )


def _one_more(counts: dict[str, int], code: DenialCode) -> dict[str, int]:
    return {**counts, code.value: counts.get(code.value, 0) + 1}


def _filled(event: OrderFilled, row: RiskRow) -> RiskRow:
    # A late fill opens a closed trade again.
    known = event.trade_id in row.open_trades
    return msgspec.structs.replace(
        row,
        realised_today_paise=row.realised_today_paise + event.realised_paise,
        realised_paise=row.realised_paise + event.realised_paise,
        open_trades=row.open_trades if known else (*row.open_trades, event.trade_id),
    )


RISK = ReadModel(
    name="risk",
    version=1,
    row=RiskRow,
    key=("account_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=_CONCERNED,
    makes=(AccountOpened,),
    on_poison=OnPoison.HALT,
)
