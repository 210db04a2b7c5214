"""What clients see of trades, orders, positions and risk: rows of the read models with money and times as text."""

import msgspec

from api.fields import (
    Amount,
    PositionId,
    Price,
    Sequence,
    Share,
    SignedAmount,
    Time,
    amount_text,
    optional_amount_text,
    optional_price_text,
    optional_share_text,
    position_id,
    time_text_ns,
    time_text_us,
)
from api.requests import RiskLimits
from api.standing import Standing
from domain.account.events import KillMode, Trailing
from domain.charges import Charge, Charges
from domain.ids import StrategyId
from domain.instrument import InstrumentKey
from domain.money import average_price_e4, format_e4
from domain.order import OrderInstruction
from projections.limit_use import LimitUse, Unit, limit_uses, margin_used_paise
from projections.orders import OrderRow
from projections.portfolio import ValuedPosition
from projections.ports import MarkSource
from projections.risk import Breach, BrokenInvariant, KillSwitch, OpenBasket, Preopen, RiskRow
from projections.trades import TradeRow
from projections.trailed import Trailed, trailed
from projections.unprotected import Unprotected, WhyUnprotected, unprotected


class DenialView(msgspec.Struct, frozen=True, kw_only=True):
    """Why risk denied an intent: the limit in force, the value that met it, and what would have passed.

    `passing` is empty where nothing would have.
    """

    code: str
    limit: str
    value: str
    passing: str


class TrailingView(msgspec.Struct, frozen=True, kw_only=True):
    """A stop that follows the best price at a distance, in steps of a size at least."""

    distance: Price
    step: Price


class ChargesView(msgspec.Struct, frozen=True, kw_only=True):
    """What was charged, line by line. `dp` is the debit of the demat account, its tax included."""

    brokerage: SignedAmount
    exchange: SignedAmount
    ipft: SignedAmount
    sebi: SignedAmount
    stt: SignedAmount
    ctt: SignedAmount
    stamp_duty: SignedAmount
    gst: SignedAmount
    dp: SignedAmount
    total: SignedAmount

    @classmethod
    def of(cls, charges: Charges) -> "ChargesView":
        """Return what is shown of *charges*."""
        return cls(
            **{charge.value: amount_text(charges.of(charge)) for charge in Charge},
            total=amount_text(charges.total_paise),
        )


class TradeView(msgspec.Struct, frozen=True, kw_only=True):
    """One trade, which `user_id` asked for; null: it came from outside.

    `entry_price` and `exit_price` are averages of the fills, null before the first.
    `net_quantity` and `cost` are what it holds and what that cost, negative for a short. `realised` is before charges,
    `net_realised` after them. `remark` is what the venue said last where it did not simply take an order or a
    modification.

    An external trade keeps what came from outside: it has no order of ours, so no order type and time in force.
    `guarded_quantity` is what of the holding its resting stop `stop_order_id` guards (the first, where it is several);
    `protection_lost` says that the stop `lapsed` with its session or `failed`, with `protection_remark`. `version`
    counts how often the levels were set. `reduction_quantity` is to be closed beyond what exits are under way for.
    """

    trade_id: str
    account_id: str
    user_id: str | None
    strategy_id: str | None
    basket_id: str | None
    is_external: bool
    version: int
    position_id: PositionId
    symbol: str
    segment: str
    security_id: str
    product: str
    side: str
    quantity: int
    order_type: str | None
    limit_price: Price | None
    trigger_price: Price | None
    disclosed_quantity: int
    after_market: bool
    time_in_force: str | None
    stop_loss: Price | None
    target: Price | None
    trailing: TrailingView | None
    best_price: Price | None
    trail_count: int
    protection: str | None
    protection_lost: str | None
    protection_remark: str | None
    stop_order_id: str | None
    guarded_quantity: int
    status: str
    entry_order_id: str | None
    entry_venue_order_id: str | None
    entry_status: str | None
    entry_quantity: int
    entry_price: Price | None
    exit_quantity: int
    exit_price: Price | None
    exit_cause: str | None
    exit_mark: Price | None
    reduction_quantity: int
    reduction_cause: str | None
    net_quantity: int
    cost: SignedAmount
    realised: SignedAmount
    charges: ChargesView
    net_realised: SignedAmount
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
            denial = DenialView(
                code=row.denial_code.value,
                limit=row.denial_limit or "",
                value=row.denial_value or "",
                passing=row.denial_passing or "",
            )
        return cls(
            trade_id=row.trade_id,
            account_id=row.account_id,
            user_id=row.user_id,
            strategy_id=row.strategy_id,
            basket_id=row.basket_id,
            is_external=row.is_external,
            version=row.version,
            position_id=position_id(instrument, row.product),
            symbol=row.symbol,
            segment=row.segment.value,
            security_id=row.security_id,
            product=row.product.value,
            side=row.side.value,
            quantity=row.quantity,
            order_type=None if row.order_type is None else row.order_type.value,
            limit_price=optional_price_text(row.limit_price_e4),
            trigger_price=optional_price_text(row.trigger_price_e4),
            disclosed_quantity=row.disclosed_quantity,
            after_market=row.after_market,
            time_in_force=None if row.time_in_force is None else row.time_in_force.value,
            stop_loss=optional_price_text(row.stop_loss_e4),
            target=optional_price_text(row.target_e4),
            trailing=_trailing_view(row.trailing),
            best_price=optional_price_text(row.best_price_e4),
            trail_count=row.trail_count,
            protection=None if row.protection is None else row.protection.value,
            protection_lost=None if row.protection_lost is None else row.protection_lost.value,
            protection_remark=row.protection_remark,
            stop_order_id=row.stops[0].order_id if row.stops else None,
            guarded_quantity=row.guarded_quantity,
            status=row.status.value,
            entry_order_id=row.entry_order_id,
            entry_venue_order_id=row.entry_venue_order_id,
            entry_status=None if row.entry_status is None else row.entry_status.value,
            entry_quantity=row.entry_quantity,
            entry_price=optional_price_text(entry_e4),
            exit_quantity=row.exit_quantity,
            exit_price=optional_price_text(exit_e4),
            exit_cause=None if row.exit_cause is None else row.exit_cause.value,
            exit_mark=optional_price_text(row.exit_mark_e4),
            reduction_quantity=row.reduction_quantity,
            reduction_cause=None if row.reduction_cause is None else row.reduction_cause.value,
            net_quantity=row.net_quantity,
            cost=amount_text(row.cost_paise),
            realised=amount_text(row.realised_paise),
            charges=ChargesView.of(row.charges),
            net_realised=amount_text(row.net_paise),
            denial=denial,
            remark=row.remark,
            day=row.day,
            opened_at=time_text_us(row.opened_at_us),
            first_filled_at=time_text_ns(row.first_filled_at_ns),
            last_filled_at=time_text_ns(row.last_filled_at_ns),
            exit_triggered_at=time_text_us(row.exit_triggered_at_us),
            closed_at=time_text_us(row.closed_at_us),
        )


def _trailing_view(trailing: Trailing | None) -> TrailingView | None:
    if trailing is None:
        return None
    return TrailingView(distance=format_e4(trailing.distance_e4), step=format_e4(trailing.step_e4))


class WantedView(msgspec.Struct, frozen=True, kw_only=True):
    """What a modification under way asks for."""

    quantity: int
    order_type: str
    limit_price: Price | None
    trigger_price: Price | None


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a trade. `correlation_id` is the name under which the venue knows it as ours.

    Quantity, type and prices are what the venue was last shown to have, `wanted` what a modification under way asks
    for. `modifications` counts them and `modify_cause` says why the newest was asked for. `symbol`, `strategy_id` and
    `average_price` are null as long as the order's trade is not known here.
    """

    order_id: str
    trade_id: str
    symbol: str | None
    strategy_id: str | None
    product: str
    purpose: str
    side: str
    quantity: int
    order_type: str
    limit_price: Price | None
    trigger_price: Price | None
    disclosed_quantity: int
    after_market: bool
    time_in_force: str
    status: str
    cumulative_quantity: int
    leaves_quantity: int
    average_price: Price | None
    cancel_requested: bool
    modifications: int
    wanted: WantedView | None
    modify_cause: str | None
    correlation_id: str | None
    venue_order_id: str | None
    evidence: str | None
    was_unknown: bool
    remark: str | None
    intended_at: Time
    submitting_at: Time | None
    sent_at: Time | None
    acknowledged_at: Time | None
    modified_at: Time | None
    first_filled_at: Time | None
    last_filled_at: Time | None
    closed_at: Time | None

    @classmethod
    def of(
        cls, row: OrderRow, *, symbol: str | None, multiplier: int | None, strategy_id: StrategyId | None
    ) -> "OrderView":
        """Return what is shown of *row*; the rest is what its trade says, None where that is not known."""
        average_e4 = None
        if multiplier is not None:
            average_e4 = average_price_e4(
                amount_paise=row.filled_paise, quantity=row.cumulative_quantity, multiplier=multiplier
            )
        return cls(
            order_id=row.order_id,
            trade_id=row.trade_id,
            symbol=symbol,
            strategy_id=strategy_id,
            product=row.product.value,
            purpose=row.purpose.value,
            side=row.side.value,
            quantity=row.quantity,
            order_type=row.order_type.value,
            limit_price=optional_price_text(row.limit_price_e4),
            trigger_price=optional_price_text(row.trigger_price_e4),
            disclosed_quantity=row.disclosed_quantity,
            after_market=row.after_market,
            time_in_force=row.time_in_force.value,
            status=row.status.value,
            cumulative_quantity=row.cumulative_quantity,
            leaves_quantity=row.leaves_quantity,
            average_price=optional_price_text(average_e4),
            cancel_requested=row.cancel_requested,
            modifications=row.modifications,
            wanted=_wanted_view(row.wanted),
            modify_cause=None if row.modify_cause is None else row.modify_cause.value,
            correlation_id=row.correlation_id,
            venue_order_id=row.venue_order_id,
            evidence=None if row.evidence is None else row.evidence.value,
            was_unknown=row.was_unknown,
            remark=row.remark,
            intended_at=time_text_us(row.intended_at_us),
            submitting_at=time_text_us(row.submitting_at_us),
            sent_at=time_text_ns(row.sent_at_ns),
            acknowledged_at=time_text_us(row.acknowledged_at_us),
            modified_at=time_text_us(row.modified_at_us),
            first_filled_at=time_text_ns(row.first_filled_at_ns),
            last_filled_at=time_text_ns(row.last_filled_at_ns),
            closed_at=time_text_us(row.closed_at_us),
        )

    @classmethod
    def of_trade(cls, row: OrderRow, trade: TradeRow) -> "OrderView":
        """Return what is shown of an order of *trade*."""
        return cls.of(row, symbol=trade.symbol, multiplier=trade.multiplier, strategy_id=trade.strategy_id)


def _wanted_view(wanted: OrderInstruction | None) -> WantedView | None:
    if wanted is None:
        return None
    return WantedView(
        quantity=wanted.quantity,
        order_type=wanted.order_type.value,
        limit_price=optional_price_text(wanted.limit_price_e4),
        trigger_price=optional_price_text(wanted.trigger_price_e4),
    )


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """The net holding in an instrument and product, at the last price that is known for the moment it is shown at.

    `mark_time` is the exchange's time of that price and `mark_source` says where it comes from: `market` is the market
    now, `event` a price that an event of the account recorded on that day, `bar` the last stored close known then.
    Without a price `mark_missing` is true, and
    the price and what follows from it are null.

    `user_id` is the owner of the account. `trailing_stop` and `best_price` are told where all trades that hold
    something of the position say the same of them, which is so where it is one trade; else they are null, and the
    trades tell them each for itself.

    `net_quantity`, `cost` and `value` are negative for a short; what was bought and sold is totals since ever.
    `realised` and `realised_today` are before the charges beside them, `net_realised` is after all of them.
    """

    position_id: PositionId
    account_id: str
    user_id: str
    symbol: str
    segment: str
    security_id: str
    product: str
    net_quantity: int
    average_price: Price | None
    cost: SignedAmount
    trailing_stop: Price | None
    best_price: Price | None
    bought_quantity: int
    bought: Amount
    sold_quantity: int
    sold: Amount
    realised: SignedAmount
    realised_today: SignedAmount
    charges: SignedAmount
    charges_today: SignedAmount
    net_realised: SignedAmount
    mark: Price | None
    mark_time: Time | None
    mark_source: MarkSource | None
    mark_missing: bool
    value: SignedAmount | None
    open_result: SignedAmount | None
    last_filled_at: Time | None
    updated_at: Time

    @classmethod
    def all_of(cls, standing: Standing, *, open_only: bool = False) -> list["PositionView"]:
        """Return what is shown of an account's positions, or of those of which something is held."""
        trades = standing.trades_by_id
        return [
            cls.of(each, standing.risk, trailed(each.row, trades))
            for each in standing.portfolio.positions
            if each.row.net_quantity or not open_only
        ]

    @classmethod
    def of(cls, valued: ValuedPosition, risk: RiskRow, levels: Trailed) -> "PositionView":
        """Return what is shown of a position on the day of its account's row."""
        row, day = valued.row, risk.day
        average_e4 = average_price_e4(amount_paise=row.cost_paise, quantity=row.net_quantity, multiplier=row.multiplier)
        return cls(
            position_id=position_id(row.instrument, row.product),
            account_id=row.account_id,
            user_id=risk.user_id,
            symbol=row.symbol,
            segment=row.segment.value,
            security_id=row.security_id,
            product=row.product.value,
            net_quantity=row.net_quantity,
            average_price=optional_price_text(average_e4),
            cost=amount_text(row.cost_paise),
            trailing_stop=optional_price_text(levels.stop_e4),
            best_price=optional_price_text(levels.best_price_e4),
            bought_quantity=row.bought_quantity,
            bought=amount_text(row.bought_paise),
            sold_quantity=row.sold_quantity,
            sold=amount_text(row.sold_paise),
            realised=amount_text(row.realised_paise),
            realised_today=amount_text(row.realised_on(day)),
            charges=amount_text(row.charges_paise),
            charges_today=amount_text(row.charges_on(day)),
            net_realised=amount_text(row.realised_paise - row.charges_paise),
            mark=optional_price_text(valued.mark_price_e4),
            mark_time=time_text_ns(valued.mark_time_ns),
            mark_source=valued.mark_source,
            mark_missing=valued.mark_price_e4 is None,
            value=optional_amount_text(valued.value_paise),
            open_result=optional_amount_text(valued.open_result_paise),
            last_filled_at=time_text_ns(row.last_filled_at_ns),
            updated_at=time_text_us(row.changed_at_us),
        )


class KillSwitchView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether entries are blocked, why, and since when (or since when not)."""

    engaged: bool
    reason: str | None
    changed_at: Time | None


class ScopedKillSwitchView(msgspec.Struct, frozen=True, kw_only=True):
    """A kill switch that is engaged: the account's, or (`strategy_id`) a strategy's.

    `mode` is `halt` or `flatten`. Of one that flattens, `flattening` is true until the venue's positions confirm what
    is left open; `remaining` are the trades it had to leave open then, null before.
    """

    scope: str
    strategy_id: str | None
    mode: str
    reason: str
    engaged_at: Time
    flattening: bool
    remaining: list[str] | None


class BreachView(msgspec.Struct, frozen=True, kw_only=True):
    """A limit on losses that was reached today. It blocks entries to the day's end unless somebody released it."""

    kind: str
    action: str
    limit: Amount
    value: SignedAmount
    breached_at: Time
    released_at: Time | None
    released_by: str | None
    release_reason: str | None


class LimitUseView(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of a limit, named as among `parameters`. `unit`: `count`, `units`, `rupees` or `basis_points`.

    `share` is 1 and more where the limit is reached, null where it is 0. What live entries may add is not in it.
    `used` is null where a price is missing.
    """

    name: str
    unit: str
    limit: str
    used: str | None
    share: Share | None

    @classmethod
    def of(cls, use: LimitUse) -> "LimitUseView":
        """Return what is shown of *use*."""
        is_money = use.unit is Unit.PAISE
        return cls(
            name=use.name,
            unit="rupees" if is_money else use.unit.value,
            limit=amount_text(use.limit) if is_money else str(use.limit),
            used=optional_amount_text(use.used) if is_money or use.used is None else str(use.used),
            share=optional_share_text(use.share),
        )


class UnprotectedView(msgspec.Struct, frozen=True, kw_only=True):
    """A trade that holds `quantity` units which no stop guards; `why` is one of a few words, `remark` is for people."""

    trade_id: str
    position_id: PositionId
    symbol: str
    strategy_id: str | None
    net_quantity: int
    quantity: int
    why: WhyUnprotected
    remark: str | None

    @classmethod
    def of(cls, found: Unprotected) -> "UnprotectedView":
        """Return what is shown of *found*."""
        trade = found.trade
        return cls(
            trade_id=trade.trade_id,
            position_id=position_id(trade.instrument, trade.product),
            symbol=trade.symbol,
            strategy_id=trade.strategy_id,
            net_quantity=trade.net_quantity,
            quantity=found.quantity,
            why=found.why,
            remark=found.remark,
        )


class BasketView(msgspec.Struct, frozen=True, kw_only=True):
    """A basket that goes on: its trades in their turns, and those that came to nothing or to a part."""

    basket_id: str
    policy: str
    trade_ids: list[str]
    failed_trade_ids: list[str]
    opened_at: Time


class BrokenInvariantView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that always holds and did not. It denies entries until an owner releases it, over nights too."""

    invariant: str
    subject: str
    expected: str
    seen: str
    is_prevented: bool
    trade_ids: list[str]
    order_ids: list[str]
    breached_sequence: int | None
    breached_at: Time


class PreopenPointView(msgspec.Struct, frozen=True, kw_only=True):
    """One of the points that are looked at before the market opens."""

    point: str
    standing: str
    detail: str
    remedy: str


class PreopenView(msgspec.Struct, frozen=True, kw_only=True):
    """The newest pre-open check: of each day the first is kept, and each later one in which other points fail."""

    day: str
    checked_at: Time
    points: list[PreopenPointView]


class PortfolioAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an account is allowed, what it used of that on `day`, and what it holds at the last prices.

    `day_result` is what was realised today, less charges, and the change of the open result since the day began: at the
    previous official close for what was carried over night, at the entry for the rest. Symbols without a price are in
    `mark_missing`: of now they are left out of the open result and counted at cost in the exposures; of the past what
    needs their price is null. Counts and results of today are zero on a new day. `as_of` is the time of the past that
    the answer stands for, null: now.

    `realised` is before `charges`, `net_realised` after them. `cash` is capital, cash moved and `net_realised`; `value`
    is that and the open result. `margin_used` is what the holdings bind of it. Without a capital among the limits it
    counts as zero. `peak_realised` is the highest that `net_realised` ever was, from which the drawdown limit is told.
    `kill_switches` are all that are engaged, `kill_switch` is the account's own. `unprotected` are the trades that hold
    more than their stops guard.
    """

    account_id: str
    mode: str
    currency: str
    day: str
    parameters: RiskLimits
    limits: list[LimitUseView]
    kill_switch: KillSwitchView
    kill_switches: list[ScopedKillSwitchView]
    day_loss_latched: bool
    latched: list[str]
    breaches_today: list[BreachView]
    breaches: dict[str, int]
    broken: list[BrokenInvariantView]
    preopen: PreopenView | None
    unprotected: list[UnprotectedView]
    baskets: list[BasketView]
    suppressed_today: int
    suppressed: int
    trades_today: int
    trades: int
    open_trades: int
    denials_today: dict[str, int]
    denials: dict[str, int]
    capital: Amount | None
    cash_moved: SignedAmount
    cash: SignedAmount
    margin_used: Amount
    value: SignedAmount | None
    realised_today: SignedAmount
    realised: SignedAmount
    charges_today: SignedAmount
    charges: SignedAmount
    net_realised: SignedAmount
    peak_realised: SignedAmount
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
    def of(cls, standing: Standing) -> "PortfolioAnswer":
        """Return what is shown of an account."""
        risk, portfolio, exposures = standing.risk, standing.portfolio, standing.exposures
        cash = (risk.parameters.capital_paise or 0) + risk.cash_moved_paise + portfolio.net_paise

        def at_mark(paise: int) -> str | None:
            return amount_text(paise) if standing.is_known else None

        uses = limit_uses(risk, portfolio, exposures, is_known=standing.is_known)
        return cls(
            account_id=risk.account_id,
            mode=risk.mode.value,
            currency=risk.currency,
            day=risk.day,
            parameters=RiskLimits.of(risk.parameters),
            limits=[LimitUseView.of(use) for use in uses],
            kill_switch=KillSwitchView(
                engaged=risk.kill_switch_engaged,
                reason=risk.kill_switch_reason,
                changed_at=time_text_us(risk.kill_switch_at_us),
            ),
            kill_switches=[_switch_view(each, risk) for each in risk.kill_switches],
            day_loss_latched=risk.day_loss_latched,
            latched=[kind.value for kind in risk.latched],
            breaches_today=[_breach_view(each) for each in risk.breaches_today],
            breaches=risk.breaches,
            broken=[_broken_view(each) for each in risk.broken],
            preopen=None if risk.preopen is None else _preopen_view(risk.preopen),
            unprotected=[UnprotectedView.of(each) for each in unprotected(standing.trades)],
            baskets=[_basket_view(each) for each in risk.baskets],
            suppressed_today=risk.suppressed_today,
            suppressed=risk.suppressed,
            trades_today=risk.trades_today,
            trades=risk.trades,
            open_trades=len(risk.open_trades),
            denials_today=risk.denials_today,
            denials=risk.denials,
            capital=optional_amount_text(risk.parameters.capital_paise),
            cash_moved=amount_text(risk.cash_moved_paise),
            cash=amount_text(cash),
            margin_used=amount_text(margin_used_paise(risk, portfolio)),
            value=at_mark(cash + portfolio.open_result_paise),
            realised_today=amount_text(portfolio.realised_today_paise),
            realised=amount_text(portfolio.realised_paise),
            charges_today=amount_text(portfolio.charges_today_paise),
            charges=amount_text(portfolio.charges_paise),
            net_realised=amount_text(portfolio.net_paise),
            peak_realised=amount_text(risk.peak_net_paise),
            open_result=at_mark(portfolio.open_result_paise),
            day_result=at_mark(portfolio.day_result_paise),
            total_result=at_mark(portfolio.total_paise),
            gross_exposure=at_mark(portfolio.gross_exposure_paise),
            net_exposure=at_mark(portfolio.net_exposure_paise),
            mark_missing=portfolio.mark_missing,
            positions=PositionView.all_of(standing),
            sequence=standing.sequence,
            as_of=standing.as_of,
        )


def _switch_view(switch: KillSwitch, risk: RiskRow) -> ScopedKillSwitchView:
    done = [each for each in risk.flattened if each.strategy_id == switch.strategy_id]
    flattens = switch.mode is KillMode.FLATTEN
    return ScopedKillSwitchView(
        scope="account" if switch.strategy_id is None else "strategy",
        strategy_id=switch.strategy_id,
        mode=switch.mode.value,
        reason=switch.reason,
        engaged_at=time_text_us(switch.engaged_at_us),
        flattening=flattens and not done,
        remaining=list(done[0].remaining) if flattens and done else None,
    )


def _breach_view(breach: Breach) -> BreachView:
    return BreachView(
        kind=breach.kind.value,
        action=breach.action.value,
        limit=amount_text(breach.limit_paise),
        value=amount_text(breach.value_paise),
        breached_at=time_text_us(breach.breached_at_us),
        released_at=time_text_us(breach.released_at_us),
        released_by=breach.released_by,
        release_reason=breach.release_reason,
    )


def _broken_view(broken: BrokenInvariant) -> BrokenInvariantView:
    return BrokenInvariantView(
        invariant=broken.invariant.value,
        subject=broken.subject,
        expected=broken.expected,
        seen=broken.seen,
        is_prevented=broken.is_prevented,
        trade_ids=list(broken.trade_ids),
        order_ids=list(broken.order_ids),
        breached_sequence=broken.breached_sequence,
        breached_at=time_text_us(broken.breached_at_us),
    )


def _preopen_view(preopen: Preopen) -> PreopenView:
    points = [
        PreopenPointView(point=each.point.value, standing=each.standing.value, detail=each.detail, remedy=each.remedy)
        for each in preopen.points
    ]
    return PreopenView(day=preopen.day, checked_at=time_text_us(preopen.checked_at_us), points=points)


def _basket_view(basket: OpenBasket) -> BasketView:
    return BasketView(
        basket_id=basket.basket_id,
        policy=basket.policy.value,
        trade_ids=[leg.trade_id for leg in basket.legs],
        failed_trade_ids=list(basket.failed),
        opened_at=time_text_us(basket.opened_at_us),
    )
