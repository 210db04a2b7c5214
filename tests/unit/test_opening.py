"""Opening a trade: what an intent turns into, and each reason for which it does not."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.checks.intent import Kind
from domain.account.checks.table import CHANGES_ONLY, CHECKS
from domain.account.commands import OpenTrade
from domain.account.events import AccountEvent, OrderDenied, OrderIntended, TradeOpened, Trailing
from domain.account.refusals import (
    AccountNotFound,
    LimitPriceMismatch,
    PriceOffTick,
    QuantityInvalid,
    TriggerPriceMismatch,
)
from domain.ids import OrderId, TradeId
from domain.market import MarketSnapshot
from domain.money import PriceInvalid
from domain.order import OrderType, Product, Side
from domain.refusals import InvalidInput, Refusal
from domain.risk import DenialCode, RiskParameters
from tests.support.denials import (
    ROWS,
    C,
    Row,
    a_loss_of_5_000_rupees,
    in_infy,
    limited,
    name_of_row,
    other_intent,
    stop_buy,
    stop_market,
    tomorrow,
)
from tests.support.scenario import scenario
from tests.support.specimens import (
    ENTRY,
    NOW_NS,
    NS_PER_MS,
    OTHER_TRADE,
    STRANGER,
    STRATEGY,
    TRADE,
    accepted,
    account_opened,
    adopted,
    begin,
    entry_instruction,
    fill,
    held,
    infy,
    infy_mark,
    intended,
    kill_switch_engaged,
    limits,
    mark,
    market,
    market_at,
    open_limit,
    open_short,
    open_trade,
    order_denied,
    order_intended,
    order_lapsed,
    presume_absent,
    reliance,
    session,
    trade_opened,
    unknown,
)

account = scenario(decider)


def test_a_market_buy_that_passes_every_check_opens_a_trade_and_intends_its_entry() -> None:
    account.given(account_opened).when(open_trade).then(trade_opened, order_intended)


def test_a_market_sell_opens_a_short_trade() -> None:
    entry = replace(entry_instruction, side=Side.SELL)
    account.given(account_opened).when(open_short).then(
        replace(trade_opened, entry=entry, stop_loss_e4=2_900_0000, target_e4=2_800_0000),
        replace(order_intended, instruction=entry),
    )


@pytest.mark.parametrize(("side", "intent"), [(Side.BUY, open_trade), (Side.SELL, open_short)])
def test_a_limit_intent_keeps_its_price(side: Side, intent: OpenTrade) -> None:
    entry = replace(entry_instruction, side=side, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
    limit_intent = replace(intent, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
    opened = replace(trade_opened, entry=entry, stop_loss_e4=intent.stop_loss_e4, target_e4=intent.target_e4)
    account.given(account_opened).when(limit_intent).then(opened, replace(order_intended, instruction=entry))


@pytest.mark.parametrize(
    ("side", "trigger_e4", "limit_e4"),
    [
        (Side.BUY, 2_860_0000, 2_874_3000),
        (Side.BUY, 2_860_1000, 2_874_4000),  # 2,874.4005: cut to the tick.
        (Side.SELL, 2_849_9000, 2_835_6000),  # 2,835.6505, likewise.
    ],
)
def test_a_stop_at_market_becomes_a_stop_with_a_limit_half_a_percent_behind(
    side: Side, trigger_e4: int, limit_e4: int
) -> None:
    intent = replace(stop_market, side=side, trigger_price_e4=trigger_e4)
    opened, intended_order = account.given(account_opened).when(intent).events
    assert isinstance(opened, TradeOpened)
    assert isinstance(intended_order, OrderIntended)
    told = intended_order.instruction
    assert told == opened.entry
    assert (told.order_type, told.trigger_price_e4, told.limit_price_e4) == (OrderType.SL, trigger_e4, limit_e4)


def test_a_trade_needs_neither_stop_loss_nor_target() -> None:
    bare = replace(open_trade, stop_loss_e4=None, target_e4=None)
    account.given(account_opened).when(bare).then(
        replace(trade_opened, stop_loss_e4=None, target_e4=None), order_intended
    )


def test_the_same_intent_again_changes_nothing() -> None:
    account.given(account_opened).after(open_trade).when(open_trade).then_nothing()


def test_a_denial_keeps_the_limit_the_value_and_what_the_check_saw() -> None:
    small = replace(account_opened, parameters=replace(limits, order_quantity_max=99))
    account.given(small).when(open_trade).then(replace(order_denied, passing="99 units"))


# --- One row for each reason of a denial ------------------------------------------------------------------------------


def denial_of(row: Row) -> OrderDenied:
    (denied,) = account.given(*row.given).when(row.intent).events
    assert isinstance(denied, OrderDenied)
    return denied


@pytest.mark.parametrize("row", ROWS, ids=name_of_row)
def test_an_intent_beyond_a_limit_is_denied(row: Row) -> None:
    denied = denial_of(row)
    assert (denied.code, denied.limit, denied.value) == (row.code, row.limit, row.value)


@pytest.mark.parametrize("row", [row for row in ROWS if row.passing is not None], ids=name_of_row)
def test_an_intent_that_meets_a_limit_exactly_passes(row: Row) -> None:
    assert row.passing is not None
    given = row.given if row.passing_given is None else row.passing_given
    account.given(*given).when(row.passing).then_kinds(TradeOpened, *[OrderIntended] * row.passing_orders)


ABOUT_ANOTHER_QUANTITY = DenialCode.DISCLOSED_QUANTITY_INVALID
TOLD_IN_UNITS = [
    row for row in ROWS if denial_of(row).passing.endswith(" units") and row.code is not ABOUT_ANOTHER_QUANTITY
]


@pytest.mark.parametrize("row", TOLD_IN_UNITS, ids=name_of_row)
def test_the_units_that_a_denial_tells_of_would_pass_and_no_unit_more(row: Row) -> None:
    given = account.given(*row.given)
    units = int(denial_of(row).passing.removesuffix(" units"))
    assert isinstance(given.when(replace(row.intent, quantity=units)).events[0], TradeOpened)
    given.when(replace(row.intent, quantity=units + 1)).then_kinds(OrderDenied)


def test_every_reason_of_a_denial_has_its_row() -> None:
    only_of_changes = {example.code for example in CHANGES_ONLY}
    assert {row.code for row in ROWS} == set(DenialCode) - only_of_changes


def test_each_example_of_the_table_is_how_the_denial_reads() -> None:
    told = set()
    for row in ROWS:
        denied = denial_of(row)
        told.add((denied.code, denied.limit, denied.value, denied.passing))
    examples = {(each.code, each.limit, each.value, each.passing) for check in CHECKS for each in check.examples}
    assert examples - told == set()


def test_every_reason_stands_in_one_row_of_the_table() -> None:
    codes = [code for check in CHECKS for code in check.codes] + [example.code for example in CHANGES_ONLY]
    assert sorted(codes) == sorted(DenialCode)
    assert len(CHECKS) >= 24


def test_every_limit_is_a_parameter_of_a_row_and_every_parameter_a_limit() -> None:
    named = {name for check in CHECKS for name, _ in check.parameters}
    of_the_stop_alone = {"trailing_modifications_max"}
    assert named | of_the_stop_alone == {each.name for each in msgspec.structs.fields(RiskParameters)}


def test_every_row_is_for_entries_and_for_the_changes_it_names_and_one_for_exits() -> None:
    assert all(Kind.ENTRY in check.applies_to and Kind.CANCEL not in check.applies_to for check in CHECKS)
    assert [check for check in CHECKS if Kind.CHANGE in check.applies_to] == [c for c in CHECKS if c.on_change]
    (for_exits,) = [check for check in CHECKS if Kind.EXIT in check.applies_to]
    assert for_exits.codes == (DenialCode.FREEZE_QUANTITY_EXCEEDED,)


def test_a_limit_that_may_be_none_limits_nothing_then() -> None:
    most = limited(
        position_quantity_max=1, position_value_paise_max=1, net_exposure_paise_max=1, trade_risk_paise_max=1
    )
    free = dict.fromkeys(("position_quantity_max", "position_value_paise_max", "net_exposure_paise_max"))
    for intent in (open_trade, replace(stop_buy, stop_loss_e4=2_000_0000)):
        account.given(most).when(intent).then_kinds(OrderDenied)
        none = limited(**free, trade_risk_paise_max=None, stop_loss_distance_bp_max=None, spread_bp_max=None)
        account.given(none).when(intent).then_kinds(TradeOpened, OrderIntended)


def test_an_external_trade_hides_no_duplicate() -> None:
    told_twice = limited(duplicate_window_ms=500)
    now = replace(market, market_time_ns=NOW_NS + 400 * NS_PER_MS, marks=(infy_mark, mark))
    again = replace(open_trade, trade_id=OTHER_TRADE, market=now)
    (denied,) = account.given(told_twice, *intended[1:], *adopted).when(again).events
    assert isinstance(denied, OrderDenied)
    assert denied.code is DenialCode.DUPLICATE_INTENT


def test_a_zero_limit_allows_nothing() -> None:
    nothing = RiskParameters(
        order_quantity_max=0,
        order_value_paise_max=0,
        open_trades_max=0,
        trades_per_day_max=0,
        gross_exposure_paise_max=0,
        day_loss_paise_max=0,
        price_collar_bp=0,
        mark_age_ms_max=0,
    )
    account.given(replace(account_opened, parameters=nothing)).when(open_trade).then_kinds(OrderDenied)


# --- What a check counts ----------------------------------------------------------------------------------------------


def test_a_trade_that_is_held_counts_with_its_mark_not_with_its_cost() -> None:
    limit = limited(gross_exposure_paise_max=570_000_00)
    market_fell = replace(other_intent, market=market_at(2_840_0000))
    market_rose = replace(other_intent, market=market_at(2_850_1000))
    account.given(limit, *held[1:]).when(market_fell).then_kinds(TradeOpened, OrderIntended)
    account.given(limit, *held[1:]).when(market_rose).then_kinds(OrderDenied)


@pytest.mark.parametrize(
    "other",
    [
        {"side": Side.SELL, "stop_loss_e4": None, "target_e4": None},
        {"quantity": 101},
        {"product": Product.CNC},
        {"order_type": OrderType.LIMIT, "limit_price_e4": 2_849_0000},
        {"strategy_id": STRATEGY},
        {"market": in_infy.market, "stop_loss_e4": None, "target_e4": None},
    ],
)
def test_an_intent_that_differs_in_anything_is_no_duplicate(other: dict[str, Any]) -> None:
    watched = account.given(limited(duplicate_window_ms=500), *intended[1:])
    watched.when(other_intent).then_kinds(OrderDenied)
    watched.when(replace(other_intent, **other)).then_kinds(TradeOpened, OrderIntended)


@pytest.mark.parametrize(("quantity_max", "is_denied"), [(199, True), (200, False)])
def test_a_short_that_is_held_counts_like_a_long(*, quantity_max: int, is_denied: bool) -> None:
    short = replace(open_short, stop_loss_e4=None, target_e4=None)
    shorted = account.given(limited(position_quantity_max=quantity_max)).after(short, begin, accepted, fill)
    events = shorted.when(replace(short, trade_id=OTHER_TRADE)).events
    assert isinstance(events[0], OrderDenied) is is_denied


@pytest.mark.parametrize(("quantity_max", "is_denied"), [(199, True), (200, False)])
def test_what_rests_to_be_sold_short_counts_towards_the_position(*, quantity_max: int, is_denied: bool) -> None:
    short = replace(open_short, stop_loss_e4=None, target_e4=None)
    waiting = account.given(limited(position_quantity_max=quantity_max)).after(short)
    events = waiting.when(replace(short, trade_id=OTHER_TRADE)).events
    assert isinstance(events[0], OrderDenied) is is_denied


def test_a_trade_whose_entry_was_never_sent_counts_no_longer() -> None:
    limit = limited(open_trades_max=1, gross_exposure_paise_max=285_000_00)
    given = account.given(limit, *intended[1:], order_lapsed)
    given.when(other_intent).then_kinds(TradeOpened, OrderIntended)


def test_an_unknown_entry_counts_as_if_it_rested() -> None:
    given = account.given(limited(open_trades_max=1)).after(open_trade, begin, unknown)
    given.when(other_intent).then_kinds(OrderDenied)


def test_the_mark_of_what_is_open_must_be_fresh_too() -> None:
    """Nobody can tell the exposure or the day's loss of an account without the marks of what it holds."""
    later_ns = NOW_NS + 20_000 * NS_PER_MS
    fresh = replace(infy_mark, exchange_time_ns=later_ns)
    stale = MarketSnapshot(market_time_ns=later_ns, instrument=infy, marks=(fresh, mark), session=session)
    missing = MarketSnapshot(market_time_ns=later_ns, instrument=infy, marks=(fresh,), session=session)
    assert _denial_code(held, replace(in_infy, market=stale)) is C.POSITION_MARK_STALE
    assert _denial_code(held, replace(in_infy, market=missing)) is C.POSITION_MARK_MISSING


def test_a_stale_mark_of_what_is_not_open_matters_to_nobody() -> None:
    old = replace(infy_mark, exchange_time_ns=NOW_NS - 3_600_000 * NS_PER_MS)
    intent = replace(open_trade, market=replace(market, marks=(mark, old)))
    account.given(account_opened).when(intent).then_kinds(TradeOpened, OrderIntended)


def test_an_open_loss_counts_towards_the_day() -> None:
    limit = limited(day_loss_paise_max=10_000_00)
    bare = replace(other_intent, stop_loss_e4=None, target_e4=None)
    at_the_limit = replace(bare, market=market_at(2_750_0000))
    above_it = replace(bare, market=market_at(2_750_1000))
    given = account.given(limit, *held[1:])
    given.when(above_it).then_kinds(TradeOpened, OrderIntended)
    assert _denial_code((limit, *held[1:]), at_the_limit) is C.DAY_LOSS_LIMIT_REACHED


def test_a_day_loss_once_reached_holds_although_the_result_recovers() -> None:
    limit = limited(day_loss_paise_max=10_000_00)
    bare = replace(other_intent, stop_loss_e4=None, target_e4=None)
    after_the_breach = account.given(limit, *held[1:]).after(replace(bare, market=market_at(2_700_0000)))
    (denied,) = after_the_breach.when(replace(bare, market=market_at(2_900_0000))).events
    assert isinstance(denied, OrderDenied)
    assert (denied.code, denied.value) == (C.DAY_LOSS_LIMIT_REACHED, "5000.00")


@pytest.mark.parametrize("denied_intents", [1, 2])
def test_a_day_loss_is_over_with_its_day(denied_intents: int) -> None:
    limit = limited(day_loss_paise_max=5_000_00)
    given = account.given(limit, *a_loss_of_5_000_rupees()[1:]).after(*[other_intent] * denied_intents)
    given.when(replace(other_intent, market=tomorrow)).then_kinds(TradeOpened, OrderIntended)


def test_the_count_of_trades_starts_anew_with_the_first_intent_of_a_day() -> None:
    given = account.given(limited(trades_per_day_max=1), *a_loss_of_5_000_rupees()[1:])
    given.when(replace(other_intent, market=tomorrow)).then_kinds(TradeOpened, OrderIntended)


def test_a_trade_carried_overnight_is_still_open_the_next_day() -> None:
    given = account.given(limited(open_trades_max=1), *held[1:])
    (denied,) = given.when(replace(other_intent, market=tomorrow)).events
    assert isinstance(denied, OrderDenied)
    assert denied.code is C.OPEN_TRADES_ABOVE_LIMIT


def test_the_first_reason_is_the_one_that_is_told() -> None:
    everything = replace(open_trade, quantity=20_000, stop_loss_e4=2_900_0000, target_e4=2_800_0000)
    assert _denial_code((limited(stop_loss_required=True),), everything) is C.QUANTITY_ABOVE_LIMIT
    assert _denial_code((account_opened, kill_switch_engaged), everything) is C.KILL_SWITCH_ENGAGED


def test_a_denied_intent_counts_as_no_trade() -> None:
    given = account.given(limited(trades_per_day_max=1, order_quantity_max=100))
    too_large = replace(open_trade, trade_id=TradeId("trd_too_large"), quantity=101)
    given.after(too_large).when(open_trade).then_kinds(TradeOpened, OrderIntended)


def test_an_entry_presumed_absent_leaves_its_place_to_another() -> None:
    given = account.given(limited(open_trades_max=1)).after(open_trade, begin, unknown, presume_absent)
    given.when(other_intent).then_kinds(TradeOpened, OrderIntended)


def test_only_the_open_part_of_a_trade_counts_as_exposure() -> None:
    limit = limited(gross_exposure_paise_max=570_000_00)
    partly = account.given(limit).after(open_trade, begin, replace(fill, quantity=40))
    partly.when(other_intent).then_kinds(TradeOpened, OrderIntended)
    (denied,) = partly.when(replace(other_intent, quantity=101)).events
    assert isinstance(denied, OrderDenied)
    assert (denied.code, denied.value) == (C.GROSS_EXPOSURE_ABOVE_LIMIT, "572850.00")


def test_a_multiplier_counts_in_every_value() -> None:
    contract = replace(reliance, multiplier=10)
    limit = limited(order_value_paise_max=2_849_999_99, gross_exposure_paise_max=2_850_000_00)
    intent = replace(open_trade, market=replace(market, instrument=contract))
    assert _denial_code((limit,), intent) is C.ORDER_VALUE_ABOVE_LIMIT


def _denial_code(given: tuple[AccountEvent, ...], intent: OpenTrade) -> DenialCode:
    (denied,) = account.given(*given).when(intent).events
    assert isinstance(denied, OrderDenied)
    return denied.code


# --- What can never be right ------------------------------------------------------------------------------------------

in_lots = replace(open_trade, market=replace(market, instrument=replace(reliance, lot=75)))
MALFORMED: list[tuple[str, OpenTrade, type[Refusal]]] = [
    ("zero quantity", replace(open_trade, quantity=0), QuantityInvalid),
    ("negative quantity", replace(open_trade, quantity=-1), QuantityInvalid),
    ("half a lot", replace(in_lots, quantity=100), QuantityInvalid),
    ("LIMIT without a price", replace(open_trade, order_type=OrderType.LIMIT), LimitPriceMismatch),
    ("MARKET with a price", replace(open_trade, limit_price_e4=2_849_0000), LimitPriceMismatch),
    ("SL without a limit", replace(stop_buy, limit_price_e4=None), LimitPriceMismatch),
    ("SL-M with a limit", replace(stop_market, limit_price_e4=2_860_0000), LimitPriceMismatch),
    ("SL without a trigger", replace(stop_buy, trigger_price_e4=None), TriggerPriceMismatch),
    ("SL-M without a trigger", replace(stop_market, trigger_price_e4=None), TriggerPriceMismatch),
    ("LIMIT with a trigger", replace(open_limit, trigger_price_e4=2_849_0000), TriggerPriceMismatch),
    ("MARKET with a trigger", replace(open_trade, trigger_price_e4=2_849_0000), TriggerPriceMismatch),
    ("trigger off tick", replace(stop_buy, trigger_price_e4=2_860_0500), PriceOffTick),
    (
        "trailing distance off tick",
        replace(open_trade, trailing=Trailing(distance_e4=500, step_e4=1_000)),
        PriceOffTick,
    ),
    ("trailing step of nothing", replace(open_trade, trailing=Trailing(distance_e4=1_000, step_e4=0)), PriceInvalid),
    ("limit off tick", replace(open_limit, limit_price_e4=2_849_0500), PriceOffTick),
    ("stop loss off tick", replace(open_trade, stop_loss_e4=2_800_0001), PriceOffTick),
    ("target off tick", replace(open_trade, target_e4=2_900_0999), PriceOffTick),
    ("limit of nothing", replace(open_limit, limit_price_e4=0), PriceInvalid),
    ("stop loss of nothing", replace(open_trade, stop_loss_e4=0), PriceInvalid),
    ("stop loss below nothing", replace(open_trade, stop_loss_e4=-1_000), PriceInvalid),
    ("target of nothing", replace(open_short, target_e4=0), PriceInvalid),
    ("no instrument", replace(open_trade, market=replace(market, instrument=None)), InvalidInput),
    ("not the owner", replace(open_trade, user_id=STRANGER), AccountNotFound),
]


@pytest.mark.parametrize(("intent", "refusal"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_a_malformed_intent_is_refused(intent: OpenTrade, refusal: type[Refusal]) -> None:
    account.given(account_opened).when(intent).then_refused(refusal)


def test_whole_lots_are_taken() -> None:
    account.given(account_opened).when(replace(in_lots, quantity=150)).then_kinds(TradeOpened, OrderIntended)


def test_an_account_that_was_never_opened_has_no_trades() -> None:
    account.given().when(open_trade).then_refused(AccountNotFound)


@pytest.mark.parametrize("malformed", [replace(open_trade, user_id=STRANGER), replace(open_trade, quantity=0)])
def test_a_refusal_comes_before_any_denial(malformed: OpenTrade) -> None:
    with pytest.raises(Refusal):
        _ = account.given(account_opened, kill_switch_engaged).when(malformed).events


def test_ids_of_orders_are_the_trades_id_and_a_number() -> None:
    _, first = account.given(account_opened).when(open_trade).events
    assert isinstance(first, OrderIntended)
    assert first.order_id == ENTRY == OrderId(f"{TRADE}.1")
