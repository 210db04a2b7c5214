"""Matching: each rule at the top of the module as a sentence."""

import pytest

from domain.matching import Execution, Matching, MatchingOrder, Withdrawn
from domain.order import OrderType, Side, TimeInForce

PRICE = 1_310_00_00
TICK = 500


def matching(**changes: int) -> Matching:
    return Matching(**{"tick_e4": TICK, "lot": 1, "participation_bp": 2_500, "protection_bp": 100} | changes)


def limit(
    price_e4: int, quantity: int = 10, *, side: Side = Side.BUY, order_id: str = "o-1", ioc: bool = False
) -> MatchingOrder:
    return MatchingOrder(
        order_id=order_id,
        side=side,
        order_type=OrderType.LIMIT,
        quantity=quantity,
        limit_price_e4=price_e4,
        time_in_force=TimeInForce.IOC if ioc else TimeInForce.DAY,
    )


def market(
    quantity: int = 10, *, side: Side = Side.BUY, order_id: str = "o-1", first_execution_max: int | None = None
) -> MatchingOrder:
    return MatchingOrder(
        order_id=order_id,
        side=side,
        order_type=OrderType.MARKET,
        quantity=quantity,
        first_execution_max=first_execution_max,
    )


def test_a_marketable_limit_executes_on_arrival_at_the_last_print() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=1_000, time_ns=1)
    submission = book.submit(limit(PRICE + TICK), time_ns=2)
    assert submission.executions == (Execution("o-1", 10, PRICE, 2),)
    assert submission.resting_quantity == 0


@pytest.mark.parametrize("side", Side)
def test_a_resting_limit_executes_at_the_print_that_crosses_it_not_at_its_own_price(side: Side) -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=1_000, time_ns=1)
    book.submit(limit(PRICE - side.sign * 10 * TICK, side=side), time_ns=2)
    assert book.on_print(price_e4=PRICE - side.sign * 9 * TICK, volume=1_000, time_ns=3) == []
    crossing = PRICE - side.sign * 12 * TICK
    assert book.on_print(price_e4=crossing, volume=1_000, time_ns=4) == [Execution("o-1", 10, crossing, 4)]
    assert book.leaves_quantity("o-1") == 0


def test_a_large_order_fills_partly_over_several_prints() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=100, time_ns=1)
    first = book.submit(market(60), time_ns=2)
    second = book.on_print(price_e4=PRICE + TICK, volume=100, time_ns=3)
    third = book.on_print(price_e4=PRICE, volume=100, time_ns=4)
    assert [execution.quantity for execution in (*first.executions, *second, *third)] == [25, 25, 10]


def test_what_is_left_of_a_print_serves_later_orders_once() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=100, time_ns=1)
    assert book.submit(market(20, order_id="a"), time_ns=2).executions[0].quantity == 20
    assert book.submit(market(20, order_id="b"), time_ns=3).executions[0].quantity == 5
    assert book.submit(market(20, order_id="c"), time_ns=4).executions == ()


def test_buys_and_sells_have_a_share_of_a_print_each() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=100, time_ns=1)
    assert book.submit(market(25, order_id="a"), time_ns=2).resting_quantity == 0
    assert book.submit(market(25, order_id="b", side=Side.SELL), time_ns=3).resting_quantity == 0


def test_the_better_price_comes_first_then_the_earlier_arrival() -> None:
    book = matching()
    book.submit(limit(PRICE, order_id="late and low"), time_ns=1)
    book.submit(limit(PRICE + TICK, order_id="high"), time_ns=2)
    book.submit(limit(PRICE, order_id="last"), time_ns=3)
    executions = book.on_print(price_e4=PRICE, volume=100, time_ns=4)
    assert [(execution.order_id, execution.quantity) for execution in executions] == [
        ("high", 10),
        ("late and low", 10),
        ("last", 5),
    ]


def test_a_print_takes_a_lot_at_least_and_whole_lots_only() -> None:
    book = matching(lot=75)
    book.submit(limit(PRICE, 225), time_ns=1)
    assert book.on_print(price_e4=PRICE, volume=75, time_ns=2)[0].quantity == 75
    assert book.on_print(price_e4=PRICE, volume=500, time_ns=3)[0].quantity == 75


def test_a_print_without_volume_shows_a_price_and_executes_nothing() -> None:
    book = matching()
    book.submit(limit(PRICE), time_ns=1)
    assert book.on_print(price_e4=PRICE, volume=0, time_ns=2) == []
    assert book.last_price_e4 == PRICE


def test_a_market_order_rests_at_its_protection_limit_and_not_beyond() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=4, time_ns=1)
    submission = book.submit(market(10), time_ns=2)
    assert submission.limit_price_e4 == 1_323_10_00
    assert submission.resting_quantity == 9
    assert book.on_print(price_e4=1_323_15_00, volume=100, time_ns=3) == []
    assert book.on_print(price_e4=1_323_10_00, volume=100, time_ns=4)[0].quantity == 9


def test_a_protection_limit_lies_on_the_tick_and_within_reach() -> None:
    book = matching(tick_e4=1_000, protection_bp=1)
    book.on_print(price_e4=PRICE + 500, volume=0, time_ns=1)
    assert book.submit(market(side=Side.BUY, order_id="a"), time_ns=2).limit_price_e4 == PRICE + 1_000
    assert book.submit(market(side=Side.SELL, order_id="b"), time_ns=2).limit_price_e4 == PRICE


def test_a_market_order_before_the_first_print_waits_for_it() -> None:
    book = matching()
    assert book.submit(market(10), time_ns=1).limit_price_e4 is None
    assert book.leaves_quantity("o-1") == 10
    assert book.on_print(price_e4=PRICE, volume=100, time_ns=2) == [Execution("o-1", 10, PRICE, 2)]


def test_an_ioc_order_cancels_what_it_cannot_execute_on_arrival() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=16, time_ns=1)
    submission = book.submit(limit(PRICE, ioc=True), time_ns=2)
    assert (submission.executions[0].quantity, submission.canceled_quantity) == (4, 6)
    assert book.on_print(price_e4=PRICE, volume=100, time_ns=3) == []


def test_a_cap_holds_for_the_first_execution_alone() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=1_000, time_ns=1)
    assert book.submit(market(10, first_execution_max=3), time_ns=2).executions[0].quantity == 3
    assert book.on_print(price_e4=PRICE, volume=1_000, time_ns=3)[0].quantity == 7


def test_a_canceled_order_executes_no_more() -> None:
    book = matching()
    book.submit(limit(PRICE), time_ns=1)
    assert book.cancel("o-1") == 10
    assert book.cancel("o-1") == 0
    assert book.on_print(price_e4=PRICE, volume=100, time_ns=2) == []


def test_what_rests_at_the_close_expires_in_order_of_arrival() -> None:
    book = matching()
    book.submit(market(7, order_id="a"), time_ns=1)
    book.submit(limit(PRICE, 5, order_id="b", side=Side.SELL), time_ns=2)
    assert book.expire() == [Withdrawn("a", 7), Withdrawn("b", 5)]
    assert book.on_print(price_e4=PRICE, volume=100, time_ns=3) == []
