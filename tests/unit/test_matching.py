"""Matching: each rule at the top of the module as a sentence."""

import pytest
from msgspec.structs import replace

from domain.matching import CannotModify, Execution, Matching, MatchingOrder, Triggered, Withdrawn
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


def stop(
    trigger_price_e4: int,
    price_e4: int,
    quantity: int = 10,
    *,
    side: Side = Side.SELL,
    order_id: str = "o-1",
    ioc: bool = False,
) -> MatchingOrder:
    return MatchingOrder(
        order_id=order_id,
        side=side,
        order_type=OrderType.SL,
        quantity=quantity,
        limit_price_e4=price_e4,
        trigger_price_e4=trigger_price_e4,
        time_in_force=TimeInForce.IOC if ioc else TimeInForce.DAY,
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


# --- Stops


@pytest.mark.parametrize("side", Side)
def test_a_stop_rests_unseen_until_a_print_reaches_its_trigger(side: Side) -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=1_000, time_ns=1)
    trigger = PRICE + side.sign * 10 * TICK
    submission = book.submit(stop(trigger, trigger + side.sign * 5 * TICK, side=side), time_ns=2)
    assert (submission.awaits_trigger, submission.executions, submission.resting_quantity) == (True, (), 10)
    assert book.on_print(price_e4=trigger - side.sign * TICK, volume=1_000, time_ns=3) == []
    assert book.on_print(price_e4=trigger, volume=1_000, time_ns=4) == [
        Triggered("o-1"),
        Execution("o-1", 10, trigger, 4),
    ]


def test_a_stop_that_the_price_jumped_over_is_a_limit_order_that_waits() -> None:
    book = matching()
    book.submit(stop(PRICE, PRICE - TICK), time_ns=1)
    gap = PRICE - 10 * TICK
    assert book.on_print(price_e4=gap, volume=1_000, time_ns=2) == [Triggered("o-1")]
    assert book.on_print(price_e4=gap, volume=1_000, time_ns=3) == []
    back = PRICE - TICK
    assert book.on_print(price_e4=back, volume=1_000, time_ns=4) == [Execution("o-1", 10, back, 4)]


def test_a_stop_whose_trigger_was_reached_before_it_came_triggers_at_once() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=1_000, time_ns=1)
    submission = book.submit(stop(PRICE + TICK, PRICE), time_ns=2)
    assert (submission.awaits_trigger, submission.executions) == (False, (Execution("o-1", 10, PRICE, 2),))


def test_a_triggered_stop_comes_after_all_that_rested_before_it() -> None:
    book = matching()
    book.submit(stop(PRICE, PRICE - 5 * TICK, order_id="stop"), time_ns=1)
    book.submit(limit(PRICE, side=Side.SELL, order_id="limit"), time_ns=2)
    assert book.on_print(price_e4=PRICE, volume=60, time_ns=3) == [
        Execution("limit", 10, PRICE, 3),
        Triggered("stop"),
        Execution("stop", 5, PRICE, 3),
    ]


def test_of_several_stops_the_one_that_the_price_reached_first_comes_first() -> None:
    book = matching()
    book.submit(stop(PRICE - 2 * TICK, PRICE - 9 * TICK, order_id="far"), time_ns=1)
    book.submit(stop(PRICE - TICK, PRICE - 9 * TICK, order_id="near and late"), time_ns=2)
    book.submit(stop(PRICE - 2 * TICK, PRICE - 9 * TICK, order_id="far and late"), time_ns=3)
    happened = book.on_print(price_e4=PRICE - 2 * TICK, volume=60, time_ns=4)
    assert [one.order_id for one in happened if isinstance(one, Triggered)] == ["near and late", "far", "far and late"]
    assert [one.quantity for one in happened if isinstance(one, Execution)] == [10, 5]


def test_an_ioc_stop_cancels_what_it_cannot_execute_when_it_triggers() -> None:
    book = matching()
    book.submit(stop(PRICE, PRICE - TICK, ioc=True), time_ns=1)
    assert book.on_print(price_e4=PRICE, volume=16, time_ns=2) == [
        Triggered("o-1"),
        Execution("o-1", 4, PRICE, 2),
        Withdrawn("o-1", 6),
    ]
    assert book.leaves_quantity("o-1") == 0


def test_a_stop_can_be_canceled_and_expires_at_the_close() -> None:
    book = matching()
    book.submit(stop(PRICE, PRICE - TICK, order_id="a"), time_ns=1)
    book.submit(stop(PRICE, PRICE - TICK, order_id="b"), time_ns=2)
    assert book.cancel("a") == 10
    assert book.expire() == [Withdrawn("b", 10)]
    assert book.on_print(price_e4=PRICE, volume=1_000, time_ns=3) == []


@pytest.mark.parametrize(
    "order",
    [
        replace(stop(PRICE, PRICE), trigger_price_e4=None),
        replace(stop(PRICE, PRICE), limit_price_e4=None),
        replace(stop(PRICE, PRICE), order_type=OrderType.SL_M),
        replace(limit(PRICE), trigger_price_e4=PRICE),
        replace(market(), limit_price_e4=PRICE),
        limit(PRICE, 0),
    ],
)
def test_an_order_that_makes_no_sense_is_not_taken(order: MatchingOrder) -> None:
    with pytest.raises(ValueError, match="expected a quantity above"):
        matching().submit(order, time_ns=1)


# --- Modifying


def queue_of_two(book: Matching) -> None:
    book.submit(limit(PRICE, order_id="first"), time_ns=1)
    book.submit(limit(PRICE, order_id="second"), time_ns=2)


def turns(book: Matching) -> list[str]:
    return [one.order_id for one in book.on_print(price_e4=PRICE, volume=1_000, time_ns=9)]


def test_fewer_units_keep_their_place() -> None:
    book = matching()
    queue_of_two(book)
    assert book.modify(limit(PRICE, 4, order_id="first"), time_ns=3).keeps_place
    assert book.leaves_quantity("first") == 4
    assert turns(book) == ["first", "second"]


@pytest.mark.parametrize(
    "change",
    [limit(PRICE, 11), limit(PRICE + TICK), stop(PRICE, PRICE, side=Side.BUY), market()],
    ids=["more units", "another price", "a stop", "market"],
)
def test_what_asks_for_more_goes_to_the_back(change: MatchingOrder) -> None:
    book = matching()
    queue_of_two(book)
    assert not book.modify(replace(change, order_id="first"), time_ns=3).keeps_place
    book.modify(limit(PRICE, order_id="first"), time_ns=4)
    assert turns(book) == ["second", "first"]


def test_a_modified_order_arrives_anew_at_the_last_print() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=1_000, time_ns=1)
    book.submit(limit(PRICE - TICK), time_ns=2)
    assert book.modify(limit(PRICE), time_ns=3).executions == (Execution("o-1", 10, PRICE, 3),)


def test_a_stop_becomes_marketable_by_modification() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=40, time_ns=1)
    book.submit(stop(PRICE - 9 * TICK, PRICE - 10 * TICK, 16), time_ns=2)
    submission = book.modify(market(16, side=Side.SELL), time_ns=3)
    assert (submission.executions, submission.resting_quantity) == ((Execution("o-1", 10, PRICE, 3),), 6)
    assert submission.limit_price_e4 == 1_296_90_00
    assert book.on_print(price_e4=PRICE, volume=1_000, time_ns=4) == [Execution("o-1", 6, PRICE, 4)]


def test_a_moved_trigger_is_the_one_that_counts() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=1_000, time_ns=1)
    book.submit(stop(PRICE - 9 * TICK, PRICE - 10 * TICK), time_ns=2)
    assert book.modify(stop(PRICE - 5 * TICK, PRICE - 10 * TICK), time_ns=3).awaits_trigger
    happened = book.on_print(price_e4=PRICE - 5 * TICK, volume=1_000, time_ns=4)
    assert happened == [Triggered("o-1"), Execution("o-1", 10, PRICE - 5 * TICK, 4)]


def test_a_triggered_stop_stays_triggered_unless_its_trigger_is_another_one() -> None:
    book = matching()
    book.submit(stop(PRICE, PRICE - TICK), time_ns=1)
    book.on_print(price_e4=PRICE - 9 * TICK, volume=1_000, time_ns=2)
    book.on_print(price_e4=PRICE + 9 * TICK, volume=0, time_ns=3)
    assert not book.modify(stop(PRICE, PRICE + 20 * TICK), time_ns=4).awaits_trigger
    assert book.modify(stop(PRICE + TICK, PRICE), time_ns=5).awaits_trigger


def test_the_quantity_counts_what_has_executed() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=16, time_ns=1)
    book.submit(limit(PRICE), time_ns=2)
    assert book.modify(limit(PRICE, 6), time_ns=3).resting_quantity == 2
    with pytest.raises(CannotModify):
        book.modify(limit(PRICE, 4), time_ns=4)
    assert book.leaves_quantity("o-1") == 2


def test_an_order_that_executed_before_it_came_into_the_book_has_the_rest_to_do() -> None:
    book = matching()
    book.submit(replace(limit(PRICE), filled_quantity=7), time_ns=1)
    assert book.leaves_quantity("o-1") == 3
    with pytest.raises(CannotModify):
        book.modify(limit(PRICE, 7), time_ns=2)


def test_a_change_to_ioc_executes_what_it_can_and_cancels_the_rest() -> None:
    book = matching()
    book.on_print(price_e4=PRICE, volume=16, time_ns=1)
    book.submit(limit(PRICE - TICK), time_ns=2)
    submission = book.modify(limit(PRICE, ioc=True), time_ns=3)
    assert (submission.executions[0].quantity, submission.canceled_quantity) == (4, 6)
    assert book.leaves_quantity("o-1") == 0


def test_what_is_not_in_the_book_cannot_be_modified() -> None:
    book = matching()
    with pytest.raises(CannotModify):
        book.modify(limit(PRICE), time_ns=1)
    book.submit(limit(PRICE), time_ns=2)
    with pytest.raises(CannotModify):
        book.modify(limit(PRICE, side=Side.SELL), time_ns=3)


def test_a_disclosed_quantity_changes_nothing() -> None:
    book = matching()
    book.submit(replace(limit(PRICE), disclosed_quantity=4), time_ns=1)
    assert book.on_print(price_e4=PRICE, volume=1_000, time_ns=2) == [Execution("o-1", 10, PRICE, 2)]
