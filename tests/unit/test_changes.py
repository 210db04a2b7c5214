"""What a change of a trade is checked for: what raises a risk, and nothing that lowers one."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.checks.table import CHANGES_ONLY
from domain.account.commands import ChangeTrade
from domain.account.events import (
    AccountEvent,
    OrderDenied,
    OrderIntended,
    OrderModified,
    OrderModifyRequested,
    TradeChanged,
    TradeOpened,
    Trailing,
)
from domain.order import MODIFICATIONS_MAX, ModifyCause, OrderType, Product, Side
from domain.risk import DenialCode, RiskParameters
from tests.support.scenario import scenario
from tests.support.specimens import (
    ENTRY,
    NOW_NS,
    NS_PER_MS,
    OTHER_TRADE,
    OWNER,
    TRADE,
    account_opened,
    entry_instruction,
    held,
    kill_switch_engaged,
    market,
    market_at,
    open_trade,
    order_acknowledged,
    order_intended,
    order_submitting,
    trade_opened,
)

account = scenario(decider)
C = DenialCode

limit_entry = replace(entry_instruction, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
resting = (
    account_opened,
    replace(trade_opened, entry=limit_entry),
    replace(order_intended, instruction=limit_entry),
    order_submitting,
    order_acknowledged,
)
"""A limit order for 100 at 2,849 lies in the book, with a stop at 2,800."""
change = ChangeTrade(trade_id=TRADE, user_id=OWNER, expected_version=1, market=market)
more = replace(change, quantity=101)
fewer = replace(change, quantity=99)
dearer = replace(change, limit_price_e4=2_849_1000)
cheaper = replace(change, limit_price_e4=2_600_0000, stop_loss_e4=2_500_0000)
no_stop = replace(change, stop_loss_e4=None)
lower_stop = replace(change, stop_loss_e4=2_799_9000)
higher_stop = replace(change, stop_loss_e4=2_800_1000)


def with_limits(history: tuple[AccountEvent, ...], **changed: Any) -> tuple[AccountEvent, ...]:
    return (replace(account_opened, parameters=RiskParameters(**changed)), *history[1:])


def denied(history: tuple[AccountEvent, ...], command: ChangeTrade) -> OrderDenied:
    (event,) = account.given(*history).when(command).events
    assert isinstance(event, OrderDenied)
    return event


def passes(history: tuple[AccountEvent, ...], command: ChangeTrade) -> None:
    events = account.given(*history).when(command).events
    assert isinstance(events[0], TradeChanged)


LIMITS_ON_SIZE: list[tuple[dict[str, Any], DenialCode, str]] = [
    ({"order_quantity_max": 100}, C.QUANTITY_ABOVE_LIMIT, "101"),
    ({"order_value_paise_max": 284_900_00}, C.ORDER_VALUE_ABOVE_LIMIT, "287749.00"),
    ({"position_quantity_max": 100}, C.POSITION_QUANTITY_ABOVE_LIMIT, "101"),
    ({"position_value_paise_max": 284_900_00}, C.POSITION_VALUE_ABOVE_LIMIT, "287749.00"),
    ({"gross_exposure_paise_max": 284_900_00}, C.GROSS_EXPOSURE_ABOVE_LIMIT, "287749.00"),
    ({"net_exposure_paise_max": 284_900_00}, C.NET_EXPOSURE_ABOVE_LIMIT, "287749.00 long"),
    ({"trade_risk_paise_max": 4_900_00}, C.TRADE_RISK_ABOVE_LIMIT, "4949.00"),
    ({"capital_paise": 56_980_00, "position_share_bp_max": None}, C.FUNDS_INSUFFICIENT, "57549.80"),
    ({"concentration_bp_max": 569}, C.CONCENTRATION_ABOVE_LIMIT, "287749.00"),
]


@pytest.mark.parametrize(("limits", "code", "value"), LIMITS_ON_SIZE, ids=lambda each: str(each)[:40])
def test_more_of_an_entry_counts_in_place_of_what_rests_and_less_of_it_is_not_checked(
    limits: dict[str, Any], code: DenialCode, value: str
) -> None:
    history = with_limits(resting, **limits)
    denial = denied(history, more)
    assert (denial.code, denial.value) == (code, value)
    passes(history, fewer)
    passes(history, change)


@pytest.mark.parametrize(
    ("wanted", "rupees"),
    [
        ({"quantity": 120}, 120 * 2_849),
        ({"quantity": 80}, 100 * 2_849),
        ({"limit_price_e4": 2_850_0000}, 100 * 2_850),
        ({"limit_price_e4": 2_848_0000}, 100 * 2_849),
        ({"limit_price_e4": None, "order_type": OrderType.MARKET}, 100 * 2_849),
        ({"quantity": 120, "limit_price_e4": 2_848_0000}, 120 * 2_849),
    ],
)
def test_until_the_venue_has_confirmed_a_change_the_larger_quantity_and_the_higher_price_count(
    wanted: dict[str, Any], rupees: int
) -> None:
    """100 at 2,849.00 are asked to become something else; then 100 more are wanted at market, at 2,850.00."""
    total_paise = (rupees + 285_000) * 100
    another = replace(open_trade, trade_id=OTHER_TRADE)
    for limit_paise, kinds in ((total_paise, (TradeOpened, OrderIntended)), (total_paise - 1, (OrderDenied,))):
        history = with_limits(resting, gross_exposure_paise_max=limit_paise)
        account.given(*history).after(replace(change, **wanted)).when(another).then_kinds(*kinds)


def test_a_kill_switch_stops_what_adds_and_lets_pass_what_takes_away() -> None:
    history = (*resting, kill_switch_engaged)
    assert denied(history, more).code is C.KILL_SWITCH_ENGAGED
    assert denied(history, dearer).code is C.KILL_SWITCH_ENGAGED
    for lowering in (fewer, cheaper, higher_stop):
        passes(history, lowering)


def test_a_price_that_comes_closer_is_checked_and_one_that_goes_away_is_not() -> None:
    narrow = with_limits(resting, price_collar_bp=3)
    assert denied(narrow, dearer).code is C.PRICE_OUTSIDE_COLLAR
    passes(narrow, cheaper)


def test_an_old_price_keeps_nobody_from_taking_risk_off() -> None:
    late = market_at(2_850_0000)
    late = replace(late, market_time_ns=NOW_NS + 60_000 * NS_PER_MS)
    assert denied(resting, replace(more, market=late)).code is C.MARK_STALE
    for lowering in (fewer, cheaper, higher_stop):
        passes(resting, replace(lowering, market=late))


def test_a_change_to_another_order_type_faces_the_rules_of_its_price() -> None:
    trigger = replace(change, order_type=OrderType.SL, limit_price_e4=2_860_0000, trigger_price_e4=2_850_0000)
    assert denied(resting, trigger).code is C.TRIGGER_WRONG_SIDE
    passes(resting, replace(trigger, trigger_price_e4=2_850_1000))


def test_a_stop_may_not_be_taken_away_where_one_is_required() -> None:
    for history in (resting, held):
        required = with_limits(history, stop_loss_required=True)
        assert denied(required, no_stop).code is C.STOP_LOSS_REQUIRED
        passes(history, no_stop)


def test_a_stop_is_checked_where_it_is_moved_away_and_not_where_it_comes_closer() -> None:
    narrow = with_limits(held, stop_loss_distance_bp_max=100)
    assert denied(narrow, lower_stop).code is C.STOP_LOSS_TOO_FAR
    passes(narrow, higher_stop)


def test_what_a_held_trade_may_lose_is_told_from_the_price_now() -> None:
    history = with_limits(held, trade_risk_paise_max=6_000_00)
    fell = replace(lower_stop, market=market_at(2_859_9000))
    rose = replace(lower_stop, market=market_at(2_860_0000))
    passes(history, fell)
    denial = denied(history, rose)
    assert (denial.code, denial.value) == (C.TRADE_RISK_ABOVE_LIMIT, "6010.00")


def test_a_trailing_step_is_checked_where_it_gets_smaller() -> None:
    small = replace(change, trailing=Trailing(distance_e4=50_0000, step_e4=1_4000))
    assert denied(held, small).code is C.TRAILING_STEP_TOO_SMALL
    passes(held, replace(small, trailing=Trailing(distance_e4=50_0000, step_e4=1_5000)))


def test_an_order_is_not_changed_into_one_that_meets_its_own_account() -> None:
    sale = replace(limit_entry, side=Side.SELL, limit_price_e4=2_850_0000, product=Product.CNC)
    selling = (
        replace(trade_opened, trade_id=OTHER_TRADE, entry=sale, stop_loss_e4=None, target_e4=None),
        replace(order_intended, trade_id=OTHER_TRADE, order_id=f"{OTHER_TRADE}.1", instruction=sale),
    )
    history = (*resting, *selling)
    assert denied(history, replace(change, limit_price_e4=2_850_0000)).code is C.SELF_CROSS
    passes(history, dearer)


def test_an_entry_that_was_changed_25_times_is_not_changed_again() -> None:
    history = list(resting)
    for number in range(1, MODIFICATIONS_MAX + 1):
        wanted = replace(limit_entry, limit_price_e4=2_848_0000 + number * 1_000)
        history += [
            OrderModifyRequested(
                order_id=ENTRY, trade_id=TRADE, number=number, instruction=wanted, cause=ModifyCause.USER
            ),
            OrderModified(order_id=ENTRY, trade_id=TRADE, instruction=wanted),
        ]
    (example,) = CHANGES_ONLY
    denial = denied(tuple(history), fewer)
    assert (denial.code, denial.limit, denial.value, denial.passing) == example[:1] + example[2:]
    passes(tuple(history), higher_stop)
    passes(tuple(history[:-2]), fewer)


def test_a_denied_change_leaves_the_trade_as_it_was() -> None:
    history = with_limits(resting, order_quantity_max=100)
    given = account.given(*history).after(more)
    passes(given.history, fewer)
