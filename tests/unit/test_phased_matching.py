"""What becomes of an order in each phase of the session."""

from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from domain.market import NS_PER_S
from domain.matching import (
    CannotModify,
    Depth,
    Execution,
    Interest,
    Level,
    Matching,
    MatchingOrder,
    MatchingRules,
    PhasedMatching,
    Rejection,
    Withdrawn,
)
from domain.order import OrderType, Side, TimeInForce
from domain.session import PHASE_RULES, Phase

TICK = 500
PRICE = 1_000_00_00
MINUTE = 60 * NS_PER_S
BUY = MatchingOrder(order_id="o-1", side=Side.BUY, order_type=OrderType.LIMIT, quantity=100, limit_price_e4=PRICE)
MARKET = replace(BUY, order_type=OrderType.MARKET, limit_price_e4=None)
STOP = replace(BUY, order_type=OrderType.SL, trigger_price_e4=PRICE)
SPECIMENS = {OrderType.LIMIT: BUY, OrderType.MARKET: MARKET, OrderType.SL: STOP}
OTHERS = [Interest(Side.SELL, PRICE - TICK, 60), Interest(Side.BUY, PRICE - 2 * TICK, 500)]


def session(phase: Phase, *, previous_close_e4: int | None = PRICE, **rules: Any) -> PhasedMatching:
    book = Matching(tick_e4=TICK, lot=1, participation_bp=5_000, protection_bp=100, rules=MatchingRules(**rules))
    return PhasedMatching(book, phase=phase, previous_close_e4=previous_close_e4)


def after(*phases: Phase, **rules: Any) -> PhasedMatching:
    """Return a session that has gone through *phases*, with a print at PRICE in the continuous one."""
    day = session(phases[0], **rules)
    for number, phase in enumerate(phases):
        day.move_to(phase, time_ns=number * MINUTE)
        if phase is Phase.CONTINUOUS:
            day.on_print(price_e4=PRICE, volume=1_000, time_ns=number * MINUTE)
    return day


BEFORE = {
    Phase.CLOSED: (Phase.CLOSED,),
    Phase.PRE_OPEN: (Phase.PRE_OPEN,),
    Phase.PAUSED: (Phase.CONTINUOUS, Phase.PAUSED),
    Phase.CONTINUOUS: (Phase.CONTINUOUS,),
    Phase.CLOSING_AUCTION: (Phase.CONTINUOUS, Phase.PAUSED, Phase.CLOSING_AUCTION),
    Phase.CLOSING_AUCTION_END: (Phase.CONTINUOUS, Phase.PAUSED, Phase.CLOSING_AUCTION, Phase.CLOSING_AUCTION_END),
    Phase.POST_CLOSE: (Phase.CONTINUOUS, Phase.PAUSED, Phase.POST_CLOSE),
}


@pytest.mark.parametrize(("phase", "order_type", "time_in_force"), [*product(Phase, SPECIMENS, TimeInForce)])
def test_every_phase_takes_what_the_table_says(phase: Phase, order_type: OrderType, time_in_force: TimeInForce) -> None:
    day = after(*BEFORE[phase])
    submission = day.submit(replace(SPECIMENS[order_type], time_in_force=time_in_force), time_ns=9)
    rule = PHASE_RULES[phase]
    is_taken = order_type in rule.order_types and time_in_force in rule.times_in_force
    assert submission.rejection is (None if is_taken else Rejection.PHASE)
    done = sum(each.quantity for each in submission.executions) + submission.canceled_quantity
    assert day.leaves_quantity("o-1") == (100 - done if is_taken else 0)
    if phase is not Phase.CONTINUOUS:
        assert submission.executions == ()


def test_what_waits_at_night_goes_into_the_first_phase_that_takes_it() -> None:
    day = session(Phase.CLOSED)
    day.submit(BUY, time_ns=1)
    day.submit(replace(STOP, order_id="stop"), time_ns=2)
    day.move_to(Phase.PRE_OPEN, time_ns=3)
    day.on_interest(OTHERS)
    assert day.move_to(Phase.PAUSED, time_ns=4) == [Execution("o-1", 60, PRICE, 4)]
    day.move_to(Phase.CONTINUOUS, time_ns=5)
    assert day.leaves_quantity("stop") == 100
    assert [each.order_id for each in day.expire()] == ["o-1", "stop"]


def test_what_waits_is_looked_at_when_its_phase_comes() -> None:
    day = session(Phase.CLOSED, freeze_quantity=99)
    day.submit(BUY, time_ns=1)
    assert day.move_to(Phase.CONTINUOUS, time_ns=2) == [Withdrawn("o-1", 100)]


def test_an_opening_auction_clears_with_what_others_want_and_the_rest_goes_on() -> None:
    day = session(Phase.PRE_OPEN)
    day.submit(replace(BUY, limit_price_e4=PRICE - TICK), time_ns=1)
    day.submit(replace(MARKET, order_id="market"), time_ns=2)
    day.on_interest(OTHERS)
    assert day.move_to(Phase.PAUSED, time_ns=3) == [Execution("market", 60, PRICE - TICK, 3)]
    assert day.last_price_e4 == PRICE - TICK
    day.move_to(Phase.CONTINUOUS, time_ns=4)
    assert (day.limit_of("market"), day.leaves_quantity("market")) == (PRICE - TICK, 40)
    assert [each.order_id for each in day.on_print(price_e4=PRICE - TICK, volume=400, time_ns=5)] == ["o-1", "market"]


def test_depth_while_orders_are_collected_is_what_others_want() -> None:
    day = session(Phase.PRE_OPEN)
    day.submit(BUY, time_ns=1)
    depth = Depth(bids=(), asks=(Level(PRICE, 30),))
    assert day.on_print(price_e4=PRICE, volume=0, time_ns=2, depth=depth) == []
    assert day.move_to(Phase.PAUSED, time_ns=3) == [Execution("o-1", 30, PRICE, 3)]


def test_without_a_price_market_orders_go_on_at_the_previous_close() -> None:
    day = session(Phase.PRE_OPEN)
    day.submit(MARKET, time_ns=1)
    day.move_to(Phase.PAUSED, time_ns=2)
    day.move_to(Phase.CONTINUOUS, time_ns=3)
    assert day.limit_of("o-1") == PRICE


def test_the_first_print_behind_an_auction_is_its_outcome_and_only_the_first() -> None:
    day = session(Phase.PRE_OPEN)
    day.submit(BUY, time_ns=1)
    assert day.on_print(price_e4=PRICE, volume=500, time_ns=2) == []
    day.move_to(Phase.PAUSED, time_ns=3)
    assert day.on_print(price_e4=PRICE - TICK, volume=120, time_ns=4) == [Execution("o-1", 60, PRICE - TICK, 4)]
    assert day.on_print(price_e4=PRICE - TICK, volume=120, time_ns=5) == []


def test_what_continuous_trading_leaves_joins_the_closing_auction_without_the_stops() -> None:
    day = after(Phase.CONTINUOUS)
    day.submit(replace(BUY, limit_price_e4=PRICE - TICK), time_ns=1)
    day.submit(replace(STOP, order_id="stop", trigger_price_e4=PRICE + TICK, limit_price_e4=PRICE + TICK), time_ns=2)
    day.move_to(Phase.PAUSED, time_ns=3)
    assert day.on_print(price_e4=PRICE - TICK, volume=500, time_ns=4) == []
    assert day.move_to(Phase.CLOSING_AUCTION, time_ns=5) == [Withdrawn("stop", 100)]
    day.submit(replace(MARKET, order_id="market"), time_ns=6)
    assert day.move_to(Phase.CLOSING_AUCTION_END, time_ns=7) == []
    day.move_to(Phase.PAUSED, time_ns=8)
    assert day.on_print(price_e4=PRICE - 2 * TICK, volume=300, time_ns=9) == [
        Execution("market", 100, PRICE - 2 * TICK, 9),
        Execution("o-1", 50, PRICE - 2 * TICK, 9),
    ]
    assert day.move_to(Phase.POST_CLOSE, time_ns=10) == [Withdrawn("o-1", 50)]


def test_the_closing_auctions_base_price_is_the_average_of_the_last_fifteen_minutes() -> None:
    day = session(Phase.CONTINUOUS)
    day.on_print(price_e4=PRICE * 2, volume=900, time_ns=4 * MINUTE)
    day.on_print(price_e4=PRICE, volume=300, time_ns=6 * MINUTE)
    day.on_print(price_e4=PRICE + 4 * TICK, volume=100, time_ns=19 * MINUTE)
    day.move_to(Phase.PAUSED, time_ns=20 * MINUTE)
    day.move_to(Phase.CLOSING_AUCTION, time_ns=25 * MINUTE)
    assert day.base_price_e4 == PRICE + TICK


@pytest.mark.parametrize(
    ("traded", "base"), [([(PRICE - TICK, 2)], PRICE - TICK), ([], PRICE)], ids=["last price", "previous close"]
)
def test_without_trades_in_them_it_is(traded: list[tuple[int, int]], base: int) -> None:
    day = session(Phase.CONTINUOUS)
    for price, minute in traded:
        day.on_print(price_e4=price, volume=10, time_ns=minute * MINUTE)
    day.move_to(Phase.PAUSED, time_ns=40 * MINUTE)
    day.move_to(Phase.CLOSING_AUCTION, time_ns=45 * MINUTE)
    assert day.base_price_e4 == base


def test_the_closing_auction_takes_no_limit_further_than_its_band_and_finds_no_price_there() -> None:
    day = after(*BEFORE[Phase.CLOSING_AUCTION])
    assert day.submit(replace(BUY, limit_price_e4=PRICE * 103 // 100), time_ns=9).rejection is None
    outside = replace(BUY, order_id="o-2", limit_price_e4=PRICE * 103 // 100 + TICK)
    assert day.submit(outside, time_ns=9).rejection is Rejection.PRICE_OUTSIDE_CIRCUITS
    day.move_to(Phase.PAUSED, time_ns=10)
    assert day.on_print(price_e4=PRICE * 96 // 100, volume=500, time_ns=11) == []


def test_in_the_post_close_market_orders_trade_at_the_closing_price_alone() -> None:
    day = after(*BEFORE[Phase.CLOSING_AUCTION_END], Phase.PAUSED)
    day.on_print(price_e4=PRICE + TICK, volume=500, time_ns=9)
    day.move_to(Phase.POST_CLOSE, time_ns=10)
    assert day.submit(MARKET, time_ns=11).limit_price_e4 == PRICE + TICK
    assert day.on_print(price_e4=PRICE, volume=500, time_ns=12) == []
    assert day.on_print(price_e4=PRICE + TICK, volume=50, time_ns=13) == [Execution("o-1", 25, PRICE + TICK, 13)]


def test_no_queue_of_continuous_trading_is_before_an_order_in_the_post_close() -> None:
    day = session(Phase.CONTINUOUS)
    depth = Depth(bids=(Level(PRICE - TICK, 500),), asks=(Level(PRICE + TICK, 500),))
    day.on_print(price_e4=PRICE - TICK, volume=10, time_ns=1, depth=depth)
    day.move_to(Phase.PAUSED, time_ns=2)
    day.move_to(Phase.POST_CLOSE, time_ns=3)
    day.submit(MARKET, time_ns=4)
    assert day.on_print(price_e4=PRICE - TICK, volume=200, time_ns=5) == [Execution("o-1", 100, PRICE - TICK, 5)]


def test_nothing_of_the_last_continuous_print_is_left_for_later_phases() -> None:
    day = after(Phase.CONTINUOUS, Phase.PAUSED, Phase.CONTINUOUS, Phase.PAUSED)
    day.move_to(Phase.CONTINUOUS, time_ns=8)
    assert day.submit(BUY, time_ns=9).executions == ()


@pytest.mark.parametrize("phase", [Phase.CLOSED, Phase.PRE_OPEN, Phase.CONTINUOUS, Phase.CLOSING_AUCTION])
def test_an_order_can_be_changed_and_canceled_where_it_is(phase: Phase) -> None:
    day = after(*BEFORE[phase])
    resting = replace(BUY, limit_price_e4=PRICE - TICK)
    day.submit(resting, time_ns=8)
    assert day.modify(replace(resting, quantity=40), time_ns=9).resting_quantity == 40
    assert day.cancel("o-1") == 40
    assert day.cancel("o-1") == 0
    with pytest.raises(CannotModify):
        day.modify(resting, time_ns=10)


def test_in_a_pause_an_order_stays_as_it_is_but_for_a_cancel() -> None:
    day = after(Phase.CONTINUOUS)
    resting = replace(BUY, limit_price_e4=PRICE - TICK)
    day.submit(resting, time_ns=1)
    day.move_to(Phase.PAUSED, time_ns=2)
    assert day.modify(replace(resting, quantity=40), time_ns=3).rejection is Rejection.PHASE
    assert day.cancel("o-1") == 100


def test_a_new_day_knows_nothing_of_the_one_before() -> None:
    day = after(*BEFORE[Phase.POST_CLOSE], Phase.CLOSED)
    day.begin_session(MatchingRules(), previous_close_e4=PRICE + TICK)
    day.move_to(Phase.PRE_OPEN, time_ns=30 * MINUTE)
    assert (day.last_price_e4, day.base_price_e4) == (None, PRICE + TICK)
