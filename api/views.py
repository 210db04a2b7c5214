"""What clients see of trades, orders, positions and risk: rows of the read models with money and times as text."""

import msgspec

from api.fields import (
    Amount,
    PositionId,
    Price,
    Sequence,
    SignedAmount,
    Time,
    amount_text,
    optional_amount_text,
    optional_price_text,
    position_id,
    time_text_ns,
    time_text_us,
)
from api.requests import RiskLimits
from domain.instrument import InstrumentKey
from domain.money import average_price_e4
from projections.orders import OrderRow
from projections.portfolio import Portfolio, ValuedPosition
from projections.ports import MarkSource
from projections.risk import RiskRow
from projections.trades import TradeRow


class DenialView(msgspec.Struct, frozen=True, kw_only=True):
    """Why risk denied an intent: the limit in force and the value that met it."""

    code: str
    limit: str
    value: str


class TradeView(msgspec.Struct, frozen=True, kw_only=True):
    """One trade. `entry_price` and `exit_price` are averages of the fills, null before the first.

    `net_quantity` and `cost` are what it holds and what that cost, negative for a short. `remark` is what the venue
    said last where it did not simply take an order.
    """

    trade_id: str
    position_id: PositionId
    symbol: str
    segment: str
    security_id: str
    product: str
    side: str
    quantity: int
    order_type: str | None
    limit_price: Price | None
    time_in_force: str | None
    stop_loss: Price | None
    target: Price | None
    status: str
    entry_order_id: str | None
    entry_status: str | None
    entry_quantity: int
    entry_price: Price | None
    exit_quantity: int
    exit_price: Price | None
    exit_cause: str | None
    exit_mark: Price | None
    net_quantity: int
    cost: SignedAmount
    realised: SignedAmount
    denial: DenialView | None
    remark: str | None
    day: str
    opened_at: Time
    first_filled_at: Time | None
    last_filled_at: Time | None
    exit_triggered_at: Time | None
    closed_at: Time | None

    @classmethod
    def of(cls, row: TradeRow) -> "TradeView":
        """Return what is shown of *row*."""
        instrument = InstrumentKey(row.segment, row.security_id)
        entry_e4 = average_price_e4(
            amount_paise=row.entry_paise, quantity=row.entry_quantity, multiplier=row.multiplier
        )
        exit_e4 = average_price_e4(amount_paise=row.exit_paise, quantity=row.exit_quantity, multiplier=row.multiplier)
        denial = None
        if row.denial_code is not None:
            denial = DenialView(code=row.denial_code.value, limit=row.denial_limit or "", value=row.denial_value or "")
        return cls(
            trade_id=row.trade_id,
            position_id=position_id(instrument, row.product),
            symbol=row.symbol,
            segment=row.segment.value,
            security_id=row.security_id,
            product=row.product.value,
            side=row.side.value,
            quantity=row.quantity,
            order_type=None if row.order_type is None else row.order_type.value,
            limit_price=optional_price_text(row.limit_price_e4),
            time_in_force=None if row.time_in_force is None else row.time_in_force.value,
            stop_loss=optional_price_text(row.stop_loss_e4),
            target=optional_price_text(row.target_e4),
            status=row.status.value,
            entry_order_id=row.entry_order_id,
            entry_status=None if row.entry_status is None else row.entry_status.value,
            entry_quantity=row.entry_quantity,
            entry_price=optional_price_text(entry_e4),
            exit_quantity=row.exit_quantity,
            exit_price=optional_price_text(exit_e4),
            exit_cause=None if row.exit_cause is None else row.exit_cause.value,
            exit_mark=optional_price_text(row.exit_mark_e4),
            net_quantity=row.net_quantity,
            cost=amount_text(row.cost_paise),
            realised=amount_text(row.realised_paise),
            denial=denial,
            remark=row.remark,
            day=row.day,
            opened_at=time_text_us(row.opened_at_us),
            first_filled_at=time_text_ns(row.first_filled_at_ns),
            last_filled_at=time_text_ns(row.last_filled_at_ns),
            exit_triggered_at=time_text_us(row.exit_triggered_at_us),
            closed_at=time_text_us(row.closed_at_us),
        )


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a trade. `correlation_id` is the name under which the venue knows it as ours."""

    order_id: str
    purpose: str
    side: str
    quantity: int
    order_type: str
    limit_price: Price | None
    time_in_force: str
    status: str
    cumulative_quantity: int
    leaves_quantity: int
    average_price: Price | None
    cancel_requested: bool
    correlation_id: str | None
    venue_order_id: str | None
    evidence: str | None
    was_unknown: bool
    remark: str | None
    intended_at: Time
    submitting_at: Time | None
    sent_at: Time | None
    acknowledged_at: Time | None
    first_filled_at: Time | None
    last_filled_at: Time | None
    closed_at: Time | None

    @classmethod
    def of(cls, row: OrderRow, *, multiplier: int) -> "OrderView":
        """Return what is shown of *row*; *multiplier* is its trade's."""
        average_e4 = average_price_e4(
            amount_paise=row.filled_paise, quantity=row.cumulative_quantity, multiplier=multiplier
        )
        return cls(
            order_id=row.order_id,
            purpose=row.purpose.value,
            side=row.side.value,
            quantity=row.quantity,
            order_type=row.order_type.value,
            limit_price=optional_price_text(row.limit_price_e4),
            time_in_force=row.time_in_force.value,
            status=row.status.value,
            cumulative_quantity=row.cumulative_quantity,
            leaves_quantity=row.leaves_quantity,
            average_price=optional_price_text(average_e4),
            cancel_requested=row.cancel_requested,
            correlation_id=row.correlation_id,
            venue_order_id=row.venue_order_id,
            evidence=None if row.evidence is None else row.evidence.value,
            was_unknown=row.was_unknown,
            remark=row.remark,
            intended_at=time_text_us(row.intended_at_us),
            submitting_at=time_text_us(row.submitting_at_us),
            sent_at=time_text_ns(row.sent_at_ns),
            acknowledged_at=time_text_us(row.acknowledged_at_us),
            first_filled_at=time_text_ns(row.first_filled_at_ns),
            last_filled_at=time_text_ns(row.last_filled_at_ns),
            closed_at=time_text_us(row.closed_at_us),
        )


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """The net holding in an instrument and product, at the last price that is known for the moment it is shown at.

    `mark_time` is the exchange's time of that price and `mark_source` says where it comes from: `market` is the market
    now, `event` a price that an event of the account recorded on that day. Without a price `mark_missing` is true, and
    the price and what follows from it are null.

    `net_quantity`, `cost` and `value` are negative for a short; what was bought and sold is totals since ever.
    """

    position_id: PositionId
    symbol: str
    segment: str
    security_id: str
    product: str
    net_quantity: int
    average_price: Price | None
    cost: SignedAmount
    bought_quantity: int
    bought: Amount
    sold_quantity: int
    sold: Amount
    realised: SignedAmount
    realised_today: SignedAmount
    mark: Price | None
    mark_time: Time | None
    mark_source: MarkSource | None
    mark_missing: bool
    value: SignedAmount | None
    open_result: SignedAmount | None
    last_filled_at: Time | None

    @classmethod
    def of(cls, valued: ValuedPosition, *, day: str) -> "PositionView":
        """Return what is shown of a position on the exchange's *day* (ISO)."""
        row = valued.row
        average_e4 = average_price_e4(amount_paise=row.cost_paise, quantity=row.net_quantity, multiplier=row.multiplier)
        return cls(
            position_id=position_id(row.instrument, row.product),
            symbol=row.symbol,
            segment=row.segment.value,
            security_id=row.security_id,
            product=row.product.value,
            net_quantity=row.net_quantity,
            average_price=optional_price_text(average_e4),
            cost=amount_text(row.cost_paise),
            bought_quantity=row.bought_quantity,
            bought=amount_text(row.bought_paise),
            sold_quantity=row.sold_quantity,
            sold=amount_text(row.sold_paise),
            realised=amount_text(row.realised_paise),
            realised_today=amount_text(row.realised_on(day)),
            mark=optional_price_text(valued.mark_price_e4),
            mark_time=time_text_ns(valued.mark_time_ns),
            mark_source=valued.mark_source,
            mark_missing=valued.mark_price_e4 is None,
            value=optional_amount_text(valued.value_paise),
            open_result=optional_amount_text(valued.open_result_paise),
            last_filled_at=time_text_ns(row.last_filled_at_ns),
        )


class KillSwitchView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether entries are blocked, why, and since when (or since when not)."""

    engaged: bool
    reason: str | None
    changed_at: Time | None


class PortfolioAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an account is allowed, what it used of that on `day`, and what it holds at the last prices.

    `day_result` is what was realised today plus the open result. Symbols without a price are in `mark_missing`: of now
    they are left out of the open result and counted at cost in the exposures; of the past what needs their price is
    null. Counts and results of today are zero on a new day. `as_of` is the time of the past that the answer stands for,
    null: now.
    """

    account_id: str
    mode: str
    currency: str
    day: str
    parameters: RiskLimits
    kill_switch: KillSwitchView
    day_loss_latched: bool
    trades_today: int
    trades: int
    open_trades: int
    denials_today: dict[str, int]
    denials: dict[str, int]
    realised_today: SignedAmount
    realised: SignedAmount
    open_result: SignedAmount | None
    day_result: SignedAmount | None
    total_result: SignedAmount | None
    gross_exposure: Amount | None
    net_exposure: SignedAmount | None
    mark_missing: list[str]
    positions: list[PositionView]
    sequence: Sequence
    as_of: Time | None

    @classmethod
    def of(cls, risk: RiskRow, portfolio: Portfolio, *, sequence: int, as_of: str | None = None) -> "PortfolioAnswer":
        """Return what is shown of an account; *risk* and *portfolio* are of one day."""
        # Of now a part is better than nothing, and it is told which; of the past nobody could mend it by waiting.
        is_known = as_of is None or not portfolio.mark_missing

        def at_mark(paise: int) -> str | None:
            return amount_text(paise) if is_known else None

        return cls(
            account_id=risk.account_id,
            mode=risk.mode.value,
            currency=risk.currency,
            day=risk.day,
            parameters=RiskLimits.of(risk.parameters),
            kill_switch=KillSwitchView(
                engaged=risk.kill_switch_engaged,
                reason=risk.kill_switch_reason,
                changed_at=time_text_us(risk.kill_switch_at_us),
            ),
            day_loss_latched=risk.day_loss_latched,
            trades_today=risk.trades_today,
            trades=risk.trades,
            open_trades=len(risk.open_trades),
            denials_today=risk.denials_today,
            denials=risk.denials,
            realised_today=amount_text(portfolio.realised_today_paise),
            realised=amount_text(portfolio.realised_paise),
            open_result=at_mark(portfolio.open_result_paise),
            day_result=at_mark(portfolio.realised_today_paise + portfolio.open_result_paise),
            total_result=at_mark(portfolio.total_paise),
            gross_exposure=at_mark(portfolio.gross_exposure_paise),
            net_exposure=at_mark(portfolio.net_exposure_paise),
            mark_missing=portfolio.mark_missing,
            positions=[PositionView.of(position, day=risk.day) for position in portfolio.positions],
            sequence=sequence,
            as_of=as_of,
        )
