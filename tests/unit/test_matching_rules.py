"""What a market's own rules change in the matching: depth, queues, slippage, participation, limits of the day."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.matching import (
    Depth,
    Execution,
    Level,
    Matching,
    MatchingOrder,
    MatchingRules,
    OfSession,
    ProportionalSlippage,
    Rejection,
    Slippage,
    SquareRootSlippage,
    TickSlippage,
    Withdrawn,
)
from domain.order import OrderType, Side, TimeInForce

TICK = 500
PRICE = 1_000_00_00
BUY = MatchingOrder(
    order_id="o-1", side=Side.BUY, order_type=OrderType.LIMIT, quantity=100, limit_price_e4=PRICE + 10 * TICK
)
SELL = replace(BUY, side=Side.SELL, limit_price_e4=PRICE - 10 * TICK)


def matching(*, participation_bp: int = 10_000, **rules: Any) -> Matching:
    book = Matching(
        tick_e4=TICK,
        lot=1,
        participation_bp=participation_bp,
        protection_bp=100,
        rules=MatchingRules(**rules),
    )
    book.on_print(price_e4=PRICE, volume=1_000, time_ns=1)
    return book


def depth(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> Depth:
    """Return levels by ticks from PRICE, and units."""
    return Depth(
        bids=tuple(Level(PRICE + steps * TICK, quantity) for steps, quantity in bids),
        asks=tuple(Level(PRICE + steps * TICK, quantity) for steps, quantity in asks),
    )


def quote(book: Matching, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> list[Any]:
    """Show a depth without a trade."""
    return list(book.on_print(price_e4=PRICE, volume=0, time_ns=2, depth=depth(bids, asks)))


def at(steps: int, quantity: int = 100, order_id: str = "o-1") -> MatchingOrder:
    return replace(BUY, order_id=order_id, quantity=quantity, limit_price_e4=PRICE + steps * TICK)


def test_a_marketable_order_walks_the_book_and_rests_with_what_is_left() -> None:
    book = matching()
    quote(book, [(-1, 50)], [(1, 30), (2, 40), (4, 500)])
    submission = book.submit(at(3), time_ns=3)
    assert submission.executions == (
        Execution("o-1", 30, PRICE + TICK, 3),
        Execution("o-1", 40, PRICE + 2 * TICK, 3),
    )
    assert submission.resting_quantity == 30


def test_what_was_taken_is_gone_until_the_next_depth() -> None:
    book = matching()
    quote(book, [], [(1, 30)])
    ioc = replace(at(1, 20), time_in_force=TimeInForce.IOC)
    assert [each.quantity for each in book.submit(ioc, time_ns=3).executions] == [20]
    second = book.submit(replace(ioc, order_id="o-2"), time_ns=4)
    assert ([each.quantity for each in second.executions], second.canceled_quantity) == ([10], 10)
    quote(book, [], [(1, 30)])
    assert [each.quantity for each in book.submit(replace(ioc, order_id="o-3"), time_ns=5).executions] == [20]


def test_a_sell_walks_the_bids_downwards() -> None:
    book = matching()
    quote(book, [(-1, 30), (-2, 40)], [(1, 10)])
    executions = book.submit(SELL, time_ns=3).executions
    assert [(each.quantity, each.price_e4) for each in executions] == [(30, PRICE - TICK), (40, PRICE - 2 * TICK)]


def test_a_resting_order_waits_for_the_queue_that_is_shown_before_it() -> None:
    book = matching()
    quote(book, [(-1, 500)], [(1, 500)])
    book.submit(at(-1), time_ns=3)
    assert book.on_print(price_e4=PRICE - TICK, volume=400, time_ns=4) == []
    assert book.queue_ahead("o-1") == 100
    assert book.on_print(price_e4=PRICE - TICK, volume=130, time_ns=5) == [Execution("o-1", 30, PRICE - TICK, 5)]


def test_two_of_ours_in_one_queue_come_one_after_the_other() -> None:
    book = matching()
    quote(book, [(-1, 100)], [(1, 500)])
    book.submit(at(-1), time_ns=3)
    book.submit(at(-1, order_id="o-2"), time_ns=4)
    assert book.on_print(price_e4=PRICE - TICK, volume=250, time_ns=5) == [
        Execution("o-1", 100, PRICE - TICK, 5),
        Execution("o-2", 50, PRICE - TICK, 5),
    ]


def test_the_share_of_a_print_holds_behind_the_queue_too() -> None:
    book = matching(participation_bp=1_000)
    quote(book, [(-1, 100)], [(1, 500)])
    book.submit(at(-1), time_ns=3)
    assert book.on_print(price_e4=PRICE - TICK, volume=600, time_ns=4) == [Execution("o-1", 60, PRICE - TICK, 4)]


def test_a_print_beyond_the_limit_has_gone_through_the_queue() -> None:
    book = matching()
    quote(book, [(-1, 500)], [(1, 500)])
    book.submit(at(-1), time_ns=3)
    assert book.on_print(price_e4=PRICE - 2 * TICK, volume=100, time_ns=4) == [
        Execution("o-1", 100, PRICE - 2 * TICK, 4)
    ]


def test_and_what_is_left_of_an_order_is_at_the_front_then() -> None:
    book = matching()
    quote(book, [(-1, 500)], [(1, 500)])
    book.submit(at(-1), time_ns=3)
    book.on_print(price_e4=PRICE - 2 * TICK, volume=60, time_ns=4)
    assert book.on_print(price_e4=PRICE - TICK, volume=30, time_ns=5) == [Execution("o-1", 30, PRICE - TICK, 5)]


def test_who_is_shown_no_more_has_canceled_and_who_is_added_stands_behind() -> None:
    book = matching()
    quote(book, [(-1, 500)], [(1, 500)])
    book.submit(at(-1), time_ns=3)
    quote(book, [(-1, 200)], [(1, 500)])
    assert book.queue_ahead("o-1") == 200
    quote(book, [(-1, 900)], [(1, 500)])
    assert book.queue_ahead("o-1") == 200


def test_an_order_beyond_what_is_shown_waits_until_its_queue_is_known() -> None:
    book = matching()
    quote(book, [(-1, 10), (-2, 10)], [(1, 500)])
    book.submit(at(-5), time_ns=3)
    assert book.queue_ahead("o-1") is None
    assert book.on_print(price_e4=PRICE - 5 * TICK, volume=1_000, time_ns=4) == []
    quote(book, [(-3, 10), (-5, 70)], [(1, 500)])
    assert book.queue_ahead("o-1") == 70


def test_between_and_before_what_is_shown_nobody_is_ahead() -> None:
    book = matching()
    quote(book, [(-1, 10), (-4, 10)], [(3, 500)])
    for steps in (0, -2):
        book.submit(at(steps, order_id=str(steps)), time_ns=3)
        assert book.queue_ahead(str(steps)) == 0


def test_depth_that_crosses_a_resting_order_executes_it_at_what_is_shown() -> None:
    book = matching()
    quote(book, [(-2, 10)], [(2, 10)])
    book.submit(at(0), time_ns=3)
    happened = quote(book, [(-3, 10)], [(-1, 40), (0, 30), (1, 500)])
    assert happened == [Execution("o-1", 40, PRICE - TICK, 2), Execution("o-1", 30, PRICE, 2)]


@pytest.mark.parametrize(
    ("model", "quantity", "ticks"),
    [
        (TickSlippage(3), 10, 3),
        (ProportionalSlippage(10), 10, 20),  # A thousandth of 1,000 rupees is 1 rupee: 20 ticks.
        (ProportionalSlippage(1), 10, 2),
        (SquareRootSlippage(20), 1_000, 40),  # The whole print: the whole impact.
        (SquareRootSlippage(20), 250, 20),  # A quarter: half of it.
    ],
)
@pytest.mark.parametrize("order", [BUY, SELL])
def test_slippage_makes_the_last_print_dearer(model: Slippage, quantity: int, ticks: int, order: MatchingOrder) -> None:
    book = matching(slippage=model)
    limit = PRICE + order.side.sign * 100 * TICK
    executions = book.submit(replace(order, quantity=quantity, limit_price_e4=limit), time_ns=2).executions
    assert [each.price_e4 for each in executions] == [PRICE + order.side.sign * ticks * TICK]


def test_slippage_ends_at_the_limit_and_what_rests_pays_none() -> None:
    book = matching(slippage=TickSlippage(30))
    assert book.submit(replace(BUY, quantity=1_000), time_ns=2).executions[0].price_e4 == BUY.limit_price_e4
    book.submit(at(-1, order_id="o-2"), time_ns=3)
    assert book.on_print(price_e4=PRICE - TICK, volume=500, time_ns=4) == [Execution("o-2", 100, PRICE - TICK, 4)]


def test_a_cancel_takes_out_that_order_and_no_other() -> None:
    book = matching()
    for number in range(3):
        book.submit(at(-1, order_id=f"o-{number}"), time_ns=2)
    assert book.cancel("o-1") == 100
    assert [each.order_id for each in book.on_print(price_e4=PRICE - TICK, volume=900, time_ns=3)] == ["o-0", "o-2"]


def test_one_with_a_cap_stays_in_front_of_those_that_the_print_fills() -> None:
    book = matching()
    book.submit(replace(at(-1), first_execution_max=10), time_ns=2)
    book.submit(at(-1, order_id="o-2"), time_ns=3)
    first = book.on_print(price_e4=PRICE - TICK, volume=300, time_ns=4)
    assert first == [Execution("o-1", 10, PRICE - TICK, 4), Execution("o-2", 100, PRICE - TICK, 4)]
    assert book.on_print(price_e4=PRICE - TICK, volume=300, time_ns=5) == [Execution("o-1", 90, PRICE - TICK, 5)]


def test_a_share_of_the_session_lets_what_was_left_be_taken_later() -> None:
    book = matching(participation_bp=1_000, participation=OfSession())
    book.on_print(price_e4=PRICE, volume=4_000, time_ns=2)
    assert [each.quantity for each in book.submit(replace(BUY, quantity=600), time_ns=3).executions] == [500]
    assert book.on_print(price_e4=PRICE, volume=300, time_ns=4) == [Execution("o-1", 30, PRICE, 4)]


def test_a_share_of_the_session_is_never_more_than_the_print() -> None:
    book = matching(participation_bp=5_000, participation=OfSession())
    book.on_print(price_e4=PRICE, volume=7, time_ns=2)
    assert [each.quantity for each in book.submit(BUY, time_ns=3).executions] == [7]


CIRCUITS = {"lower_circuit_e4": PRICE - 5 * TICK, "upper_circuit_e4": PRICE + 5 * TICK}


@pytest.mark.parametrize(
    ("rules", "order", "rejection"),
    [
        ({"freeze_quantity": 99}, BUY, Rejection.QUANTITY_ABOVE_FREEZE),
        (CIRCUITS, BUY, Rejection.PRICE_OUTSIDE_CIRCUITS),
        (CIRCUITS, SELL, Rejection.PRICE_OUTSIDE_CIRCUITS),
        (
            CIRCUITS,
            replace(at(5), order_type=OrderType.SL, trigger_price_e4=PRICE + 6 * TICK),
            Rejection.PRICE_OUTSIDE_CIRCUITS,
        ),
        ({"margin": lambda order, limit: order.quantity * limit < 100 * PRICE}, BUY, Rejection.MARGIN),
    ],
)
def test_an_order_that_the_market_does_not_take_is_rejected(
    rules: dict[str, Any], order: MatchingOrder, rejection: Rejection
) -> None:
    book = matching(**rules)
    submission = book.submit(order, time_ns=2)
    assert submission.rejection is rejection
    assert (submission.executions, submission.resting_quantity, book.leaves_quantity("o-1")) == ((), 0, 0)


def test_a_modification_that_the_market_does_not_take_leaves_the_order_as_it_was() -> None:
    book = matching(**CIRCUITS)
    book.submit(at(-2), time_ns=2)
    assert book.modify(at(-6), time_ns=3).rejection is Rejection.PRICE_OUTSIDE_CIRCUITS
    assert book.limit_of("o-1") == PRICE - 2 * TICK


def test_a_print_outside_the_circuits_is_passed_over() -> None:
    book = matching(**CIRCUITS)
    book.submit(at(-4), time_ns=2)
    assert book.on_print(price_e4=PRICE - 6 * TICK, volume=1_000, time_ns=3) == []
    assert book.last_price_e4 == PRICE


def test_a_market_order_is_protected_inside_the_circuits() -> None:
    book = matching(**CIRCUITS)
    assert book.protection_limit_e4(Side.BUY) == PRICE + 5 * TICK
    assert book.protection_limit_e4(Side.SELL) == PRICE - 5 * TICK


def test_an_order_of_before_is_let_in_again_whatever_the_rules_say_now() -> None:
    book = matching(freeze_quantity=10)
    assert book.restore(at(-4), time_ns=2).resting_quantity == 100


def test_a_new_session_has_rules_of_its_own_and_nothing_left_of_the_last_print() -> None:
    book = matching()
    book.submit(at(-4, order_id="o-2"), time_ns=2)
    book.begin_session(MatchingRules(**CIRCUITS))
    assert book.last_price_e4 is None
    assert book.submit(at(5), time_ns=3).executions == ()
    assert book.expire() == [Withdrawn("o-2", 100), Withdrawn("o-1", 100)]
