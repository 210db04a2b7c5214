"""Exposure, drawdown, value at risk, use of limits and what is unprotected, on holdings one can reckon by heart."""

import pytest
from msgspec.structs import replace

from domain.account.events import ProtectionMode, Trailing
from domain.ids import StrategyId
from domain.instrument import InstrumentKey
from domain.market import Mark
from domain.order import OrderStatus, OrderType, Product, Side, TimeInForce
from domain.risk import RiskParameters
from projections.cash_moves import CashMoveRow
from projections.daily_results import DailyResultRow
from projections.drawdown import Listing, drawdown_report
from projections.exposure import Exposure, exposures_of
from projections.limit_use import Unit, limit_uses, margin_used_paise
from projections.portfolio import Portfolio, value_portfolio
from projections.positions import PositionRow
from projections.queries import DailyRows
from projections.risk import RiskRow
from projections.trade_orders import TradeOrder
from projections.trades import ProtectionLoss, TradeRow, TradeStatus
from projections.trailed import Trailed, trailed
from projections.unprotected import WhyUnprotected, unprotected
from projections.value_at_risk import AtRisk, WhyUnknown, value_at_risk
from tests.support.memory_bars import bar, bars_until
from tests.support.specimens import (
    ACCOUNT,
    EXTERNAL_TRADE,
    INFY,
    OTHER_TRADE,
    OWNER,
    RELIANCE,
    STOP,
    TODAY,
    TRADE,
    account_opened,
    infy_mark,
    mark,
)

long = PositionRow(
    account_id=ACCOUNT,
    segment=RELIANCE.segment,
    security_id=RELIANCE.security_id,
    product=Product.INTRADAY,
    symbol="RELIANCE",
    multiplier=1,
    net_quantity=10,
    cost_paise=28_000_00,
    day=TODAY,
    changed_at_us=7,
    sequence=7,
)
short = replace(
    long, security_id=INFY.security_id, symbol="INFY", product=Product.CNC, net_quantity=-4, cost_paise=-6_100_00
)
trade = TradeRow(
    trade_id=TRADE,
    account_id=ACCOUNT,
    user_id=OWNER,
    symbol="RELIANCE",
    segment=RELIANCE.segment,
    security_id=RELIANCE.security_id,
    product=Product.INTRADAY,
    side=Side.BUY,
    quantity=10,
    multiplier=1,
    order_type=OrderType.MARKET,
    limit_price_e4=None,
    time_in_force=TimeInForce.DAY,
    stop_loss_e4=2_800_0000,
    target_e4=None,
    protection=ProtectionMode.RESTING,
    status=TradeStatus.OPEN,
    day=TODAY,
    opened_at_us=1,
    opened_sequence=2,
    net_quantity=10,
    cost_paise=28_000_00,
    sequence=7,
)
ONE, TWO = StrategyId("str_one"), StrategyId("str_two")
PRICES = {RELIANCE: mark.last_price_e4, INFY: infy_mark.last_price_e4}
risk = RiskRow(
    account_id=ACCOUNT,
    user_id=OWNER,
    mode=account_opened.mode,
    currency="INR",
    parameters=RiskParameters(),
    day=TODAY,
    opened_at_us=1,
    sequence=7,
)


class KnownMarks:
    """Implements `projections.ports.Marks` over a few marks."""

    def __init__(self, *marks: Mark) -> None:
        self._marks = {each.instrument: each for each in marks}

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        return self._marks.get(instrument)


def portfolio_of(*rows: PositionRow, day: str = TODAY) -> Portfolio:
    return value_portfolio(rows, KnownMarks(mark, infy_mark), day=day)


# --- Exposure ---


def test_exposure_is_told_long_short_gross_and_net() -> None:
    total = exposures_of(portfolio_of(long, short), [], PRICES.get).total
    assert (total.long_paise, total.short_paise) == (28_500_00, 6_000_00)
    assert (total.gross_paise, total.net_paise) == (34_500_00, 22_500_00)


def test_exposure_is_grouped_by_what_it_is_through_largest_first() -> None:
    found = exposures_of(portfolio_of(short, long), [], PRICES.get)
    assert [(each.name, each.exposure.gross_paise) for each in found.by_symbol] == [
        ("RELIANCE", 28_500_00),
        ("INFY", 6_000_00),
    ]
    assert [(each.name, each.exposure) for each in found.by_segment] == [
        ("NSE_EQ", Exposure(long_paise=28_500_00, short_paise=6_000_00))
    ]
    assert {each.name: each.exposure.net_paise for each in found.by_product} == {
        "INTRADAY": 28_500_00,
        "CNC": -6_000_00,
    }


def test_a_strategy_is_exposed_whatever_another_holds_against_it() -> None:
    flat = replace(long, net_quantity=0, cost_paise=0)
    trades = [
        replace(trade, strategy_id=ONE),
        replace(trade, strategy_id=TWO, trade_id=OTHER_TRADE, net_quantity=-10, cost_paise=-28_000_00),
        replace(trade, is_external=True, trade_id=EXTERNAL_TRADE, net_quantity=2),
    ]
    found = exposures_of(portfolio_of(flat), trades, PRICES.get)
    assert found.total == Exposure()
    assert {(each.name, each.is_external): each.exposure.net_paise for each in found.by_strategy} == {
        (ONE, False): 28_500_00,
        (TWO, False): -28_500_00,
        (None, True): 5_700_00,
    }


def test_what_has_no_mark_is_exposed_at_cost() -> None:
    unmarked = value_portfolio([long], KnownMarks(), day=TODAY)
    found = exposures_of(unmarked, [trade], {}.get)
    assert found.total.gross_paise == found.by_strategy[0].exposure.gross_paise == 28_000_00


# --- The day's result ---


def test_the_day_begins_at_the_previous_close_for_what_was_carried() -> None:
    closed = replace(mark, previous_close_e4=2_840_0000)
    carried = replace(long, day="2026-11-19")
    assert value_portfolio([carried], KnownMarks(closed), day=TODAY).day_result_paise == 28_500_00 - 28_400_00
    bought_today = replace(long, day=TODAY)
    assert value_portfolio([bought_today], KnownMarks(closed), day=TODAY).day_result_paise == 28_500_00 - 28_000_00


def test_without_a_previous_close_what_was_carried_counts_from_its_cost() -> None:
    carried = replace(long, day="2026-11-19")
    assert value_portfolio([carried], KnownMarks(mark), day=TODAY).day_result_paise == 28_500_00 - 28_000_00


def test_a_mark_of_an_earlier_day_is_the_close_before_this_one() -> None:
    carried = replace(long, day="2026-11-19")
    assert value_portfolio([carried], KnownMarks(mark), day="2026-11-21").day_result_paise == 0


def test_what_was_carried_and_sold_today_counts_from_the_previous_close() -> None:
    closed = replace(mark, previous_close_e4=2_840_0000)
    sold = replace(
        long,
        net_quantity=0,
        cost_paise=0,
        realised_day_paise=1_000_00,
        carried_quantity=10,
        carried_cost_paise=28_000_00,
    )
    # Sold for 29,000: 1,000 more than it cost, 600 more than it was worth when the day began.
    assert value_portfolio([sold], KnownMarks(closed), day=TODAY).day_result_paise == 600_00


# --- Use of limits ---


def test_limits_are_shown_with_what_is_used_of_them() -> None:
    portfolio = portfolio_of(long, short)
    exposures = exposures_of(portfolio, [], PRICES.get)
    account = replace(risk, trades_today=5, open_trades=(TRADE, OTHER_TRADE), peak_net_paise=900_00)
    uses = {each.name: each for each in limit_uses(account, portfolio, exposures)}
    assert (uses["gross_exposure_max"].used, uses["gross_exposure_max"].limit) == (34_500_00, 5_000_000_00)
    assert uses["trades_per_day_max"].share == 0.05
    assert (uses["open_trades_max"].used, uses["open_positions_max"].used) == (2, 2)
    assert uses["drawdown_max"].used == 900_00 - 600_00
    assert (uses["day_loss_max"].used, uses["day_loss_max"].unit) == (0, Unit.PAISE)
    assert "position_share_bp_max" not in uses, "without a capital there is no share of it"


def test_a_share_of_the_capital_is_told_where_there_is_one() -> None:
    portfolio = portfolio_of(long)
    rich = replace(risk, parameters=replace(risk.parameters, capital_paise=1_00_000_00))
    uses = {each.name: each for each in limit_uses(rich, portfolio, exposures_of(portfolio, [], PRICES.get))}
    assert uses["position_share_bp_max"].used == 2_850
    none_allowed = replace(rich, parameters=replace(rich.parameters, open_trades_max=0))
    uses = {each.name: each for each in limit_uses(none_allowed, portfolio, exposures_of(portfolio, [], PRICES.get))}
    assert uses["open_trades_max"].share is None


def test_what_needs_an_unknown_price_is_not_told() -> None:
    portfolio = value_portfolio([long], KnownMarks(), day=TODAY)
    uses = {
        each.name: each.used
        for each in limit_uses(risk, portfolio, exposures_of(portfolio, [], {}.get), is_known=False)
    }
    assert (uses["gross_exposure_max"], uses["day_loss_max"], uses["open_positions_max"]) == (None, None, 1)


def test_margin_is_what_each_product_binds_of_the_cost() -> None:
    assert margin_used_paise(risk, portfolio_of(long, short)) == 28_000_00 // 5 + 6_100_00


# --- Where positions trail ---

trailing = replace(trade, trailing=Trailing(distance_e4=40_0000, step_e4=5_0000), best_price_e4=2_840_0000)
of_both = replace(long, holdings={TRADE: 10, OTHER_TRADE: 5})


def test_a_position_of_one_trade_trails_as_that_does() -> None:
    alone = replace(long, holdings={TRADE: 10})
    assert trailed(alone, {TRADE: trailing}) == Trailed(stop_e4=2_800_0000, best_price_e4=2_840_0000)
    assert trailed(alone, {TRADE: replace(trailing, trailing=None)}) == Trailed(stop_e4=None, best_price_e4=None)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (trailing, Trailed(stop_e4=2_800_0000, best_price_e4=2_840_0000)),
        (replace(trailing, best_price_e4=2_841_0000), Trailed(stop_e4=2_800_0000, best_price_e4=None)),
        (replace(trailing, stop_loss_e4=2_801_0000), Trailed(stop_e4=None, best_price_e4=2_840_0000)),
        (replace(trailing, trailing=None), Trailed(stop_e4=None, best_price_e4=None)),
    ],
)
def test_trades_of_one_position_tell_what_they_agree_on(other: TradeRow, expected: Trailed) -> None:
    assert trailed(of_both, {TRADE: trailing, OTHER_TRADE: other}) == expected


def test_what_a_trade_that_is_not_there_would_say_is_not_guessed() -> None:
    assert trailed(of_both, {TRADE: trailing}) == Trailed(stop_e4=None, best_price_e4=None)
    assert trailed(long, {TRADE: trailing}) == Trailed(stop_e4=None, best_price_e4=None), "it holds nothing of it"


# --- What is unprotected ---

stop = TradeOrder(order_id=STOP, order_type=OrderType.SL, quantity=10, status=OrderStatus.ACKNOWLEDGED)


@pytest.mark.parametrize(
    ("changed", "why", "quantity"),
    [
        ({}, WhyUnprotected.NOT_RESTING, 10),
        ({"stops": (replace(stop, quantity=6),)}, WhyUnprotected.NOT_RESTING, 4),
        ({"stops": (replace(stop, status=OrderStatus.UNKNOWN),)}, WhyUnprotected.NOT_RESTING, 10),
        ({"stop_loss_e4": None}, WhyUnprotected.NO_STOP_LOSS, 10),
        ({"protection_lost": ProtectionLoss.LAPSED}, WhyUnprotected.LAPSED, 10),
        ({"protection_lost": ProtectionLoss.FAILED, "stops": (stop,)}, WhyUnprotected.FAILED, 10),
        ({"status": TradeStatus.EXITING}, WhyUnprotected.EXITING, 10),
        ({"is_external": True, "protection": None, "stop_loss_e4": None}, WhyUnprotected.EXTERNAL, 10),
    ],
)
def test_a_trade_that_holds_more_than_its_stops_guard_is_unprotected(
    changed: dict[str, object], why: WhyUnprotected, quantity: int
) -> None:
    [found] = unprotected([replace(trade, **changed)])
    assert (found.why, found.quantity) == (why, quantity)


@pytest.mark.parametrize("changed", [{"stops": (stop,)}, {"protection": ProtectionMode.ENGINE}, {"net_quantity": 0}])
def test_a_trade_that_is_guarded_or_holds_nothing_is_not_listed(changed: dict[str, object]) -> None:
    assert unprotected([replace(trade, **changed)]) == []


# --- Drawdown ---


def day(
    date: str, realised: int = 0, *, quantity: int = 0, cost: int = 0, adjusted_to: int | None = None
) -> DailyResultRow:
    return DailyResultRow(
        account_id=ACCOUNT,
        day=date,
        segment=RELIANCE.segment,
        security_id=RELIANCE.security_id,
        realised_paise=realised,
        quantity_change=quantity,
        cost_change_paise=cost,
        adjusted_to=adjusted_to,
        born_sequence=1,
        sequence=1,
    )


def cash(date: str, amount: int) -> CashMoveRow:
    return CashMoveRow(sequence=1, account_id=ACCOUNT, amount_paise=amount, reason="", day=date, moved_at_us=1)


def test_the_drawdown_is_told_from_the_peak_with_its_days() -> None:
    rows = DailyRows(
        results=[day("2026-11-02", 1_000_00), day("2026-11-03", -400_00), day("2026-11-05", 100_00)], cash=[]
    )
    report = drawdown_report(rows, {}, capital_paise=9_000_00, today="2026-11-06", open_today_paise=0)
    assert [point.equity_paise for point in report.points] == [10_000_00, 9_600_00, 9_700_00, 9_700_00]
    assert report.current is not None
    assert report.deepest is not None
    assert (report.current.amount_paise, report.current.peak_day) == (300_00, "2026-11-02")
    assert (report.deepest.amount_paise, report.deepest.share, report.deepest.day) == (400_00, 0.04, "2026-11-03")
    assert (report.under_water_days, report.under_water_days_max, report.is_complete) == (4, 4, True)


def test_a_new_peak_ends_the_time_under_water() -> None:
    rows = DailyRows(results=[day("2026-11-02", -400_00), day("2026-11-09", 900_00)], cash=[])
    report = drawdown_report(rows, {}, capital_paise=0, today="2026-11-10", open_today_paise=0)
    assert report.current is not None
    assert (report.current.amount_paise, report.under_water_days, report.under_water_days_max) == (0, 0, 0)
    assert report.deepest is not None
    assert (report.deepest.peak_day, report.deepest.share) == (None, None)


def test_cash_that_moves_changes_the_equity_and_no_drawdown() -> None:
    results = [day("2026-11-02", 1_000_00), day("2026-11-04", -500_00)]
    moved = DailyRows(results=results, cash=[cash("2026-11-03", -6_000_00)])
    report = drawdown_report(moved, {}, capital_paise=9_000_00, today="2026-11-04", open_today_paise=0)
    assert [point.equity_paise for point in report.points] == [10_000_00, 4_000_00, 3_500_00]
    assert [point.drawdown_paise for point in report.points] == [0, 0, 500_00]
    assert report.points[-1].drawdown_share == 0.125, "of 4,000: what the peak would mean with the money that is left"


def test_what_is_held_over_night_counts_at_stored_closes() -> None:
    bars = [bar("2026-11-02", 2_800_0000), bar("2026-11-03", 2_750_0000), bar("2026-11-04", 2_900_0000)]
    listings = {RELIANCE: Listing(symbol="RELIANCE", multiplier=1, bars=bars)}
    rows = DailyRows(results=[day("2026-11-02", quantity=10, cost=28_000_00)], cash=[])
    report = drawdown_report(rows, listings, capital_paise=0, today="2026-11-05", open_today_paise=700_00)
    assert [(point.day, point.open_result_paise) for point in report.points] == [
        ("2026-11-02", 0),
        ("2026-11-03", -500_00),
        ("2026-11-04", 1_000_00),
        ("2026-11-05", 700_00),
    ]
    assert [point.drawdown_paise for point in report.points] == [0, 500_00, 0, 300_00]


def test_a_day_without_a_close_near_enough_has_no_equity() -> None:
    bars = [bar("2026-11-02", 2_800_0000)]
    listings = {RELIANCE: Listing(symbol="RELIANCE", multiplier=1, bars=bars)}
    rows = DailyRows(results=[day("2026-11-02", quantity=10, cost=28_000_00), day("2026-11-25", 5)], cash=[])
    report = drawdown_report(rows, listings, capital_paise=0, today="2026-11-26", open_today_paise=None)
    assert [(point.equity_paise, point.mark_missing) for point in report.points] == [
        (0, ()),
        (None, ("RELIANCE",)),
        (None, ()),
    ]
    assert not report.is_complete
    assert report.current is not None
    assert report.current.day == "2026-11-02"


def test_a_split_changes_the_units_and_not_the_cost() -> None:
    bars = [bar("2026-11-02", 2_800_0000), bar("2026-11-03", 1_410_0000)]
    listings = {RELIANCE: Listing(symbol="RELIANCE", multiplier=1, bars=bars)}
    rows = DailyRows(
        results=[day("2026-11-02", quantity=10, cost=28_000_00), day("2026-11-03", adjusted_to=20)], cash=[]
    )
    report = drawdown_report(rows, listings, capital_paise=0, today="2026-11-04", open_today_paise=0)
    assert report.points[1].open_result_paise == 200_00


# --- Value at risk ---


def test_the_past_is_applied_to_what_is_held_now() -> None:
    closes = [100**10]  # A hundredth less, ten times, and no rest.
    for number in range(100):
        closes.append(closes[-1] * 99 // 100 if number % 10 == 0 else closes[-1])
    bars = {RELIANCE: bars_until("2026-11-19", closes)}
    found = value_at_risk({RELIANCE: AtRisk(symbol="RELIANCE", value_paise=1_00_000_00)}, bars, day=TODAY)
    assert (found.scenarios, found.last_day, found.missing) == (100, "2026-11-19", [])
    [level, certain] = found.levels
    assert (level.value_at_risk_paise, level.expected_shortfall_paise, level.reason) == (1_000_00, 1_000_00, None)
    assert certain.value_at_risk_paise == 1_000_00
    gained = value_at_risk({RELIANCE: AtRisk(symbol="RELIANCE", value_paise=-1_00_000_00)}, bars, day=TODAY)
    assert gained.levels[0].value_at_risk_paise == 0, "a short does not lose when the price falls"


def test_long_and_short_of_one_course_cancel_out() -> None:
    closes = [1_000_0000 + 7_0000 * (number % 9) for number in range(120)]
    bars = {key: bars_until("2026-11-19", closes) for key in (RELIANCE, INFY)}
    holdings = {RELIANCE: AtRisk(symbol="R", value_paise=500_00), INFY: AtRisk(symbol="I", value_paise=-500_00)}
    assert {level.value_at_risk_paise for level in value_at_risk(holdings, bars, day=TODAY).levels} == {0}


def test_why_there_is_no_figure_is_told() -> None:
    held = {RELIANCE: AtRisk(symbol="RELIANCE", value_paise=500_00)}

    def reasons(bars: object) -> list[WhyUnknown | None]:
        return [level.reason for level in value_at_risk(held, {RELIANCE: bars}, day=TODAY).levels]  # type: ignore[dict-item]

    assert reasons([]) == [WhyUnknown.BARS_MISSING] * 2
    assert reasons(bars_until("2026-11-19", [1_0000] * 40)) == [WhyUnknown.HISTORY_TOO_SHORT] * 2
    assert reasons(bars_until("2026-11-19", [1_0000] * 70)) == [None, WhyUnknown.HISTORY_TOO_SHORT]
    assert reasons(bars_until("2026-10-19", [1_0000] * 200)) == [WhyUnknown.BARS_OUTDATED] * 2
    assert value_at_risk(held, {}, day=TODAY).missing == ["RELIANCE"]


def test_who_holds_nothing_risks_nothing() -> None:
    found = value_at_risk({}, {}, day=TODAY)
    assert [(level.value_at_risk_paise, level.reason) for level in found.levels] == [(0, None), (0, None)]


def test_only_returns_after_splits_are_taken_out_count() -> None:
    before = [
        bar(each.day, each.close_e4, adjusted_close_e4=each.close_e4 // 2)
        for each in bars_until("2026-08-31", [2_000_0000] * 70)
    ]
    after = bars_until("2026-11-19", [1_000_0000] * 80)
    found = value_at_risk(
        {RELIANCE: AtRisk(symbol="RELIANCE", value_paise=1_000_00)}, {RELIANCE: [*before, *after]}, day=TODAY
    )
    assert {level.value_at_risk_paise for level in found.levels} == {0}
