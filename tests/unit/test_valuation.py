"""What an account made today, with numbers by hand: trades opened today, carried over night, and closed."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import MoveCash, ObserveResult, ReleaseBreach
from domain.account.events import (
    AccountEvent,
    CashMoved,
    CorporateAdjustment,
    KillSwitchEngaged,
    OrderDenied,
    OrderIntended,
    RiskBreached,
    RiskBreachReleased,
    TradeExitTriggered,
    TradeOpened,
)
from domain.account.refusals import BreachNotLatched
from domain.account.valuation import valuation_of
from domain.instrument import InstrumentKey
from domain.market import Mark, MarketSnapshot, Valuation
from domain.risk import BreachAction, BreachKind, DenialCode, RiskParameters
from tests.support.denials import BUSY
from tests.support.scenario import scenario
from tests.support.specimens import (
    DAY_NS,
    INFY,
    NOW_NS,
    NS_PER_MS,
    NS_PER_S,
    OTHER_TRADE,
    OWNER,
    RELIANCE,
    TODAY,
    TRADE,
    account_opened,
    cash_moved,
    corporate_action_applied,
    entry_instruction,
    exit_filled,
    exiting,
    held,
    infy_mark,
    mark,
    market_at,
    open_trade,
    order_filled,
    order_intended,
    trade_closed,
    trade_opened,
)

account = scenario(decider)
TOMORROW_NS = NOW_NS + DAY_NS
TOMORROW = "2026-11-21"


def marked(price_e4: int, *, at_ns: int = NOW_NS, close_e4: int | None = None) -> Mark:
    return replace(mark, last_price_e4=price_e4, exchange_time_ns=at_ns, previous_close_e4=close_e4)


def value(history: tuple[AccountEvent, ...], *marks: Mark, at_ns: int = NOW_NS) -> Valuation:
    known: dict[InstrumentKey, Mark] = {each.instrument: each for each in marks}
    return valuation_of(decider.fold(history), known.get, market_time_ns=at_ns)


def test_an_account_that_holds_nothing_made_nothing() -> None:
    assert value((account_opened,), marked(2_850_0000)) == Valuation()


def test_a_trade_of_today_counts_from_its_entry_whatever_the_close_before_was() -> None:
    """100 bought at 2,850.00, now at 2,860.00: 1,000.00."""
    assert value(held, marked(2_860_0000, close_e4=2_700_0000)) == Valuation(
        day_result_paise=1_000_00,
        open_result_paise=1_000_00,
        gross_exposure_paise=286_000_00,
        net_exposure_paise=286_000_00,
        oldest_mark_ns=NOW_NS,
    )


def test_a_short_trade_wins_when_the_price_falls_and_counts_against_the_net_exposure() -> None:
    """100 sold at 2,850.00, now at 2,840.00."""
    short = replace(order_filled, side=entry_instruction.side.opposite, opened_cost_paise=-285_000_00)
    valued = value((*held[:-1], short), marked(2_840_0000))
    assert (valued.day_result_paise, valued.open_result_paise) == (1_000_00, 1_000_00)
    assert (valued.gross_exposure_paise, valued.net_exposure_paise) == (284_000_00, -284_000_00)


def test_a_trade_closed_today_counts_with_what_it_realised() -> None:
    closed = (*exiting, exit_filled, trade_closed)
    assert value(closed, marked(2_900_0000)) == Valuation(day_result_paise=-5_000_00)


def test_a_carried_trade_counts_from_the_previous_official_close() -> None:
    """Bought at 2,850.00, closed the day at 2,870.00, now at 2,860.00: today lost 1,000.00, in all it won 1,000.00."""
    valued = value(held, marked(2_860_0000, at_ns=TOMORROW_NS, close_e4=2_870_0000), at_ns=TOMORROW_NS)
    assert (valued.day_result_paise, valued.open_result_paise) == (-1_000_00, 1_000_00)


def test_a_carried_trade_without_a_previous_close_counts_from_its_cost() -> None:
    valued = value(held, marked(2_860_0000, at_ns=TOMORROW_NS), at_ns=TOMORROW_NS)
    assert (valued.day_result_paise, valued.open_result_paise) == (1_000_00, 1_000_00)


def test_before_the_first_tick_of_the_day_nothing_was_won_or_lost_since_the_last_one() -> None:
    """The mark still is yesterday's: what it calls the previous close is that of the day before."""
    valued = value(held, marked(2_860_0000, close_e4=2_700_0000), at_ns=TOMORROW_NS)
    assert valued.day_result_paise == 0


def test_the_day_of_a_mark_begins_at_midnight_in_india() -> None:
    midnight_ns = int(datetime(2026, 11, 20, 18, 30, tzinfo=UTC).timestamp()) * NS_PER_S
    for at_ns, result_paise in ((midnight_ns - 1, 0), (midnight_ns, -1_000_00)):
        seen = marked(2_860_0000, at_ns=at_ns, close_e4=2_870_0000)
        assert value(held, seen, at_ns=midnight_ns + 3_600 * NS_PER_S).day_result_paise == result_paise


def test_what_a_ratio_leaves_of_a_carried_unit_is_cut_off_a_short_as_it_is_off_a_long() -> None:
    """3 sold at 2,850.00; one for two leaves 1, carried at a close of 5,700.00 and now at 5,690.00: 10.00 won.

    Of what is carried the half unit is cut off too: were it 2, today would have begun with 5,700.00 more owed.
    """
    sold = replace(
        order_filled,
        side=entry_instruction.side.opposite,
        last_quantity=3,
        cumulative_quantity=3,
        value_paise=8_550_00,
        opened_cost_paise=-8_550_00,
    )
    overnight = replace(cash_moved, trading_day=TOMORROW)
    halved = replace(
        corporate_action_applied,
        numerator=1,
        denominator=2,
        trades=(CorporateAdjustment(trade_id=TRADE, net_quantity=-1, stop_loss_e4=None, target_e4=None),),
    )
    history = (*held[:-1], sold, overnight, halved)
    seen = marked(5_690_0000, at_ns=TOMORROW_NS, close_e4=5_700_0000)
    valued = value(history, seen, at_ns=TOMORROW_NS)
    assert (valued.day_result_paise, valued.open_result_paise) == (10_00, 2_860_00)


def test_a_part_of_a_carried_trade_sold_today_and_the_rest_add_up() -> None:
    """100 carried at a close of 2,870.00; 40 sold at 2,880.00 (400.00), 60 stand at 2,860.00 (-600.00)."""
    sold = replace(
        exit_filled,
        last_quantity=40,
        last_price_e4=2_880_0000,
        value_paise=115_200_00,
        closed_quantity=40,
        closed_cost_paise=114_000_00,
        realised_paise=1_200_00,
        cumulative_quantity=40,
        leaves_quantity=60,
        filled_at_ns=TOMORROW_NS,
        trading_day=TOMORROW,
    )
    valued = value((*exiting, sold), marked(2_860_0000, at_ns=TOMORROW_NS, close_e4=2_870_0000), at_ns=TOMORROW_NS)
    assert valued.day_result_paise == 400_00 - 600_00
    assert valued.open_result_paise == 600_00


def test_a_carried_trade_that_was_closed_today_keeps_its_day() -> None:
    """100 carried at a close of 2,870.00, sold at 2,800.00: the day lost 7,000.00, the trade 5,000.00."""
    sold = replace(exit_filled, filled_at_ns=TOMORROW_NS, trading_day=TOMORROW)
    history = (*exiting, sold, trade_closed)
    valued = value(history, marked(2_860_0000, at_ns=TOMORROW_NS, close_e4=2_870_0000), at_ns=TOMORROW_NS)
    assert valued.day_result_paise == -7_000_00
    assert valued.gross_exposure_paise == 0


def test_what_has_no_mark_counts_at_its_cost_and_is_named() -> None:
    assert value(held) == Valuation(gross_exposure_paise=285_000_00, net_exposure_paise=285_000_00, missing=(RELIANCE,))


def test_the_oldest_mark_of_what_is_held_is_told() -> None:
    infy_entry = replace(entry_instruction, instrument=INFY)
    in_infy = (
        replace(trade_opened, trade_id=OTHER_TRADE, entry=infy_entry),
        replace(order_intended, trade_id=OTHER_TRADE, order_id=f"{OTHER_TRADE}.1", instruction=infy_entry),
        replace(
            order_filled, trade_id=OTHER_TRADE, order_id=f"{OTHER_TRADE}.1", venue_trade_number="f-9", instrument=INFY
        ),
    )
    older = replace(infy_mark, exchange_time_ns=NOW_NS - NS_PER_S)
    assert value((*held, *in_infy), marked(2_850_0000), older).oldest_mark_ns == NOW_NS - NS_PER_S
    assert value(held, marked(2_850_0000), older).oldest_mark_ns == NOW_NS


def test_what_is_held_adds_up_over_trades_and_products() -> None:
    """Reliance: 100 long at 2,860.00, 40 short at 2,850.00, 10 long at 2,800.00; Infosys: 10 long; 500.00 were lost."""
    assert value(BUSY, marked(2_850_0000), infy_mark) == Valuation(
        day_result_paise=-1_000_00,
        open_result_paise=-500_00,
        gross_exposure_paise=442_500_00,
        net_exposure_paise=214_500_00,
        oldest_mark_ns=NOW_NS,
    )
    without = value(BUSY)
    assert (without.gross_exposure_paise, without.net_exposure_paise) == (443_000_00, 215_000_00)
    assert (without.day_result_paise, without.missing) == (-500_00, (INFY, RELIANCE))


# --- Limits on losses -------------------------------------------------------------------------------------------------


def with_limits(history: tuple[AccountEvent, ...], **changed: object) -> tuple[AccountEvent, ...]:
    return (replace(account_opened, parameters=RiskParameters(**changed)), *history[1:])  # type: ignore[arg-type]


def observe(
    history: tuple[AccountEvent, ...],
    price_e4: int,
    *,
    is_confirmed: bool = False,
    at_ns: int = NOW_NS,
    age_ms: int = 0,
) -> ObserveResult:
    seen = marked(price_e4, at_ns=at_ns - age_ms * NS_PER_MS)
    snapshot = MarketSnapshot(market_time_ns=at_ns, marks=(seen,), valuation=value(history, seen, at_ns=at_ns))
    return ObserveResult(market=snapshot, is_confirmed=is_confirmed)


losing = with_limits(held, day_loss_paise_max=5_000_00)
flattening = with_limits(held, day_loss_paise_max=5_000_00, day_loss_action=BreachAction.FLATTEN)
killing = with_limits(held, day_loss_paise_max=5_000_00, day_loss_action=BreachAction.KILL)
another = replace(open_trade, trade_id=OTHER_TRADE, stop_loss_e4=None, target_e4=None)


def test_a_loss_that_reaches_the_limit_blocks_at_once_and_keeps_its_marks() -> None:
    command = observe(losing, 2_800_0000)
    breached = RiskBreached(
        kind=BreachKind.DAY_LOSS,
        action=BreachAction.BLOCK,
        limit_paise=5_000_00,
        value_paise=5_000_00,
        trading_day=TODAY,
        marks=command.market.marks,
    )
    account.given(*losing).when(command).then(breached)
    account.given(*losing).when(observe(losing, 2_800_1000)).then_nothing()


def test_a_breach_is_told_once_a_day_and_holds_although_the_profit_returns() -> None:
    given = account.given(*losing).after(observe(losing, 2_790_0000))
    given.when(observe(losing, 2_780_0000)).then_nothing()
    (denied,) = given.when(replace(another, market=market_at(2_900_0000))).events
    assert isinstance(denied, OrderDenied)
    assert (denied.code, denied.value) == (DenialCode.DAY_LOSS_LIMIT_REACHED, "5000.00")
    next_day = replace(another, market=market_at(2_900_0000, at_ns=TOMORROW_NS))
    given.when(next_day).then_kinds(TradeOpened, OrderIntended)


def test_what_closes_trades_waits_for_a_second_look_and_is_not_forestalled_by_a_denial() -> None:
    given = account.given(*flattening)
    given.when(observe(flattening, 2_790_0000)).then_nothing()
    after_a_denial = given.after(replace(another, market=market_at(2_790_0000)))
    (denied,) = after_a_denial.history[len(flattening) :]
    assert isinstance(denied, OrderDenied)
    confirmed = observe(flattening, 2_790_0000, is_confirmed=True)
    for each in (given, after_a_denial):
        each.when(confirmed).then_kinds(RiskBreached, TradeExitTriggered, OrderIntended)
    account.given(*killing).when(confirmed).then_kinds(
        RiskBreached, KillSwitchEngaged, TradeExitTriggered, OrderIntended
    )
    given.after(confirmed).when(confirmed).then_nothing()


def test_a_stale_or_missing_mark_fires_nothing() -> None:
    account.given(*killing).when(observe(killing, 2_700_0000, is_confirmed=True, age_ms=10_001)).then_nothing()
    assert account.given(*killing).when(observe(killing, 2_700_0000, is_confirmed=True, age_ms=10_000)).events
    nothing_seen = MarketSnapshot(market_time_ns=NOW_NS, valuation=value(killing))
    account.given(*killing).when(ObserveResult(market=nothing_seen, is_confirmed=True)).then_nothing()


def test_a_released_breach_lets_entries_pass_once_the_loss_is_below_its_limit_again() -> None:
    release = ReleaseBreach(user_id=OWNER, kind=BreachKind.DAY_LOSS, reason="a wrong tick")
    given = account.given(*losing).after(observe(losing, 2_790_0000))
    given.when(release).then_kinds(RiskBreachReleased)
    released = given.after(release)
    released.when(replace(another, market=market_at(2_850_0000))).then_kinds(TradeOpened, OrderIntended)
    released.when(replace(another, market=market_at(2_790_0000))).then_kinds(OrderDenied)
    released.when(observe(losing, 2_790_0000)).then_kinds(RiskBreached)
    released.when(release).then_refused(BreachNotLatched)


def test_drawdown_counts_from_the_highest_result_and_cash_that_moved_is_no_part_of_it() -> None:
    """5,000.00 lost of 0.00 at its highest; 100,000.00 paid in and out change nothing."""
    lost = with_limits((*exiting, exit_filled, trade_closed), drawdown_paise_max=5_000_00)
    paid_in = CashMoved(amount_paise=100_000_00, reason="savings", trading_day=TODAY)
    paid_out = replace(paid_in, amount_paise=-100_000_00)
    for history in (lost, (*lost, paid_in), (*lost, paid_out)):
        (breached,) = account.given(*history).when(observe(history, 2_850_0000)).events
        assert isinstance(breached, RiskBreached)
        assert (breached.kind, breached.value_paise) == (BreachKind.DRAWDOWN, 5_000_00)


def test_drawdown_counts_from_what_was_won_before_it_was_lost_and_what_is_open_is_in_it() -> None:
    """500.00 were won, then 1,000.00 lost, and what is open stands 500.00 below its cost."""
    for limit_paise, kinds in ((1_500_00, (RiskBreached,)), (1_500_01, ())):
        history = with_limits(BUSY, drawdown_paise_max=limit_paise)
        marks = (marked(2_850_0000), infy_mark)
        snapshot = MarketSnapshot(market_time_ns=NOW_NS, marks=marks, valuation=value(history, *marks))
        account.given(*history).when(ObserveResult(market=snapshot, is_confirmed=False)).then_kinds(*kinds)


def test_drawdown_lasts_over_the_night_and_what_is_open_is_in_it() -> None:
    """Nothing realised, 100 bought at 2,850.00: at 2,800.00 the result is 5,000.00 below its highest, on any day."""
    history = with_limits(held, drawdown_paise_max=5_000_00, day_loss_paise_max=10**9)
    for at_ns in (NOW_NS, TOMORROW_NS):
        (breached,) = account.given(*history).when(observe(history, 2_800_0000, at_ns=at_ns)).events
        assert isinstance(breached, RiskBreached)
        assert (breached.kind, breached.value_paise) == (BreachKind.DRAWDOWN, 5_000_00)
        account.given(*history).when(observe(history, 2_800_1000, at_ns=at_ns)).then_nothing()


@pytest.mark.parametrize(("moved_paise", "is_enough"), [(-1, False), (0, True), (1, True)])
def test_money_that_moved_and_was_lost_is_part_of_the_funds(moved_paise: int, is_enough: bool) -> None:  # noqa: FBT001
    """A trade of 285,000.00 binds a fifth, 57,000.00: a capital of 62,000.00 has 5,000.00 less since the last trade."""
    history = with_limits((*exiting, exit_filled, trade_closed), capital_paise=62_000_00, position_share_bp_max=None)
    given = account.given(*history)
    if moved_paise:
        given = given.after(MoveCash(user_id=OWNER, amount_paise=moved_paise, reason="fees", market_time_ns=NOW_NS))
    kinds = (TradeOpened, OrderIntended) if is_enough else (OrderDenied,)
    given.when(replace(another, market=market_at(2_850_0000))).then_kinds(*kinds)
