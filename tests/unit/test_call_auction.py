"""The call auction: at which price it clears, and who trades."""

import pytest

from domain.matching import Equilibrium, Interest, MatchingOrder, equilibrium
from domain.matching.auction import CallAuction
from domain.order import OrderType, Side

BUY, SELL = Side.BUY, Side.SELL
NOBODY: tuple[Interest, ...] = ()


def buys(*levels: tuple[int | None, int]) -> list[Interest]:
    return [Interest(BUY, price, quantity) for price, quantity in levels]


def sells(*levels: tuple[int | None, int]) -> list[Interest]:
    return [Interest(SELL, price, quantity) for price, quantity in levels]


def order(order_id: str, side: Side, price: int | None, quantity: int) -> MatchingOrder:
    return MatchingOrder(
        order_id=order_id,
        side=side,
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
        quantity=quantity,
        limit_price_e4=price,
    )


# The schedule with which the exchange explains its pre-open: 27,500 units trade at 105.
SCHEDULE = [
    *buys((103, 13_500), (104, 9_500), (105, 12_000), (106, 6_500), (107, 5_000), (108, 4_000)),
    *sells((103, 11_500), (104, 9_800), (105, 15_000), (106, 12_000), (107, 12_500)),
]


def test_the_exchanges_own_example_clears_where_it_says() -> None:
    assert equilibrium(SCHEDULE, base_price_e4=100) == Equilibrium(105, 27_500, -8_800)


@pytest.mark.parametrize(
    ("what", "interests", "base", "price"),
    [
        ("most units trade", [*buys((110, 50), (100, 100)), *sells((100, 100), (110, 10))], 110, 100),
        ("then the fewest are left over", [*buys((102, 100)), *sells((101, 100), (102, 30))], 102, 101),
        ("then the closest to the base price", [*buys((104, 100)), *sells((101, 100))], 103, 104),
        ("the same from below", [*buys((104, 100)), *sells((101, 100))], 90, 101),
        ("the base price midway between two", [*buys((104, 100)), *sells((100, 100))], 102, 102),
        ("market orders count at every price", [*buys((None, 80)), *sells((101, 50), (103, 40))], 101, 103),
        ("market orders alone trade at the base price", [*buys((None, 80)), *sells((None, 50))], 99, 99),
    ],
)
def test_the_price_is_where(what: str, interests: list[Interest], base: int, price: int) -> None:
    found = equilibrium(interests, base_price_e4=base)
    assert found is not None, what
    assert found.price_e4 == price, what


@pytest.mark.parametrize(
    ("interests", "base"),
    [
        ([], 100),
        (buys((105, 10)), 100),
        ([*buys((100, 10)), *sells((101, 10))], 100),
        ([*buys((None, 10)), *sells((None, 10))], None),
    ],
)
def test_nothing_clears_where_nobody_meets_or_no_price_is_known(interests: list[Interest], base: int | None) -> None:
    assert equilibrium(interests, base_price_e4=base) is None


def test_a_price_outside_the_band_is_none() -> None:
    assert equilibrium(SCHEDULE, base_price_e4=100, upper_e4=104) == Equilibrium(104, 21_300, 15_700)


def test_the_side_with_less_trades_in_full_and_the_other_by_price_then_time() -> None:
    auction = CallAuction(market_first=True)
    for each in (order("low", BUY, 105, 10), order("first", BUY, 106, 10), order("second", BUY, 106, 10)):
        auction.join(each)
    done = auction.clear(sells((104, 15)), Equilibrium(105, 15, 15), time_ns=7)
    assert [(each.order_id, each.quantity, each.price_e4, each.time_ns) for each in done[BUY]] == [
        ("first", 10, 105, 7),
        ("second", 5, 105, 7),
    ]
    assert done[SELL] == []
    assert [(left.order_id, left.filled_quantity) for left in auction.empty()] == [("low", 0), ("second", 5)]


@pytest.mark.parametrize(("market_first", "who"), [(True, "market"), (False, "limit")])
def test_who_comes_first_is_market_orders_or_limit_orders(market_first: bool, who: str) -> None:  # noqa: FBT001
    auction = CallAuction(market_first=market_first)
    auction.join(order("limit", SELL, 104, 10))
    auction.join(order("market", SELL, None, 10))
    done = auction.clear(buys((105, 10)), Equilibrium(104, 10, -10), time_ns=1)
    assert [each.order_id for each in done[SELL]] == [who]


def test_others_at_the_same_price_come_before_ours() -> None:
    auction = CallAuction(market_first=True)
    auction.join(order("ours", BUY, 105, 10))
    others = [*buys((105, 3), (105, 3), (105, 2)), *sells((105, 12))]
    done = auction.clear(others, Equilibrium(105, 12, 6), time_ns=1)
    assert [(each.order_id, each.quantity) for each in done[BUY]] == [("ours", 4)]


def test_ours_can_trade_with_one_another() -> None:
    auction = CallAuction(market_first=True)
    auction.join(order("bought", BUY, 105, 10))
    auction.join(order("sold", SELL, 104, 10))
    cleared = equilibrium(auction.interests(), base_price_e4=104)
    assert cleared is not None
    done = auction.clear(NOBODY, cleared, time_ns=1)
    assert [each.order_id for side in (BUY, SELL) for each in done[side]] == ["bought", "sold"]


def test_a_printed_outcome_is_shared_out_by_the_same_rules() -> None:
    auction = CallAuction(market_first=True)
    auction.join(order("beyond", BUY, 104, 10))
    auction.join(order("at", BUY, 105, 10))
    auction.join(order("market", BUY, None, 10))
    done = auction.settle(105, {BUY: 15, SELL: 15}, time_ns=1)
    assert [(each.order_id, each.quantity) for each in done[BUY]] == [("market", 10), ("at", 5)]


def test_fewer_units_keep_their_place_and_another_price_does_not() -> None:
    auction = CallAuction(market_first=True)
    auction.join(order("first", BUY, 105, 20))
    auction.join(order("second", BUY, 105, 10))
    assert auction.modify(order("first", BUY, 105, 10))
    assert [left.order_id for left in auction.empty()] == ["first", "second"]
    auction.join(order("first", BUY, 105, 20))
    auction.join(order("second", BUY, 105, 10))
    assert not auction.modify(order("first", BUY, 106, 20))
    assert [left.order_id for left in auction.empty()] == ["second", "first"]
