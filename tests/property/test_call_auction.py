"""The call auction against the plainest reading of its rules: every price on the tick is tried."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.matching import Interest, MatchingOrder, equilibrium
from domain.matching.auction import CallAuction
from domain.order import OrderType, Side

LOWEST, HIGHEST = 90, 110
bounded = settings(max_examples=100, deadline=None)

limits = st.none() | st.integers(LOWEST, HIGHEST)
interests = st.lists(st.builds(Interest, st.sampled_from(Side), limits, st.integers(1, 30)), min_size=1, max_size=14)
bases = st.integers(LOWEST - 5, HIGHEST + 5)


def trades(interest: Interest, price: int) -> bool:
    limit = interest.limit_price_e4
    return limit is None or (price <= limit if interest.side is Side.BUY else price >= limit)


def sums(given_interests: list[Interest], price: int) -> tuple[int, int]:
    """Return the volume that trades at *price* and how many units it leaves over."""
    wanted: Counter[Side] = Counter()
    for interest in given_interests:
        wanted[interest.side] += interest.quantity * trades(interest, price)
    return min(wanted.values(), default=0) if len(wanted) > 1 else 0, abs(wanted[Side.BUY] - wanted[Side.SELL])


@bounded
@given(interests, bases)
def test_an_auction_clears_at_the_price_of_the_largest_volume_with_the_exchanges_ties(
    given_interests: list[Interest], base: int
) -> None:
    found = equilibrium(given_interests, base_price_e4=base)
    every = range(LOWEST - 6, HIGHEST + 7)
    volume = max(sums(given_interests, price)[0] for price in every)
    if volume == 0:
        assert found is None
        return
    assert found is not None
    assert found.volume == volume == sums(given_interests, found.price_e4)[0], "no price trades more"

    named = sorted({one.limit_price_e4 for one in given_interests if one.limit_price_e4 is not None}) or [base]
    best = [price for price in named if sums(given_interests, price)[0] == volume]
    least = min(sums(given_interests, price)[1] for price in best)
    best = [price for price in best if sums(given_interests, price)[1] == least]
    closest = [price for price in best if abs(price - base) == min(abs(one - base) for one in best)]
    assert found.price_e4 == (closest[0] if len(closest) == 1 else base)


@bounded
@given(interests, interests, bases, st.booleans())
def test_an_auction_gives_each_side_what_clears_and_nobody_more_than_they_want(
    others: list[Interest],
    ours: list[Interest],
    base: int,
    market_first: bool,  # noqa: FBT001 - a strategy's value
) -> None:
    auction = CallAuction(market_first=market_first)
    orders = {
        str(number): MatchingOrder(
            order_id=str(number),
            side=one.side,
            order_type=OrderType.MARKET if one.limit_price_e4 is None else OrderType.LIMIT,
            quantity=one.quantity,
            limit_price_e4=one.limit_price_e4,
        )
        for number, one in enumerate(ours)
    }
    for order in orders.values():
        auction.join(order)
    cleared = equilibrium([*others, *auction.interests()], base_price_e4=base)
    if cleared is None:
        return
    done = auction.clear(others, cleared, time_ns=1)
    for side in Side:
        got = Counter({each.order_id: each.quantity for each in done[side]})
        eligible = [one for one in orders.values() if one.side is side and trades(as_interest(one), cleared.price_e4)]
        assert set(got) <= {one.order_id for one in eligible}, "nobody beyond their limit, nobody twice"
        assert all(got[one.order_id] <= one.quantity for one in eligible)
        theirs = sum(one.quantity for one in others if one.side is side and trades(one, cleared.price_e4))
        assert cleared.volume - theirs <= got.total() <= cleared.volume
        unfilled = [one for one in eligible if got[one.order_id] < one.quantity]
        for one in unfilled:
            behind = [other for other in eligible if comes_before(one, other, market_first=market_first)]
            assert all(got[other.order_id] == 0 for other in behind), "who comes later waits"
    kept = sum(order.quantity - order.filled_quantity for order in auction.empty())
    executed = sum(each.quantity for side in Side for each in done[side])
    assert kept + executed == sum(one.quantity for one in ours), "nothing is lost"


def as_interest(order: MatchingOrder) -> Interest:
    return Interest(order.side, order.limit_price_e4, order.quantity)


def comes_before(one: MatchingOrder, other: MatchingOrder, *, market_first: bool) -> bool:
    """Tell whether *one* comes before *other*, of the same side."""
    if (one.limit_price_e4 is None) is not (other.limit_price_e4 is None):
        return (one.limit_price_e4 is None) is market_first
    if one.limit_price_e4 != other.limit_price_e4:
        assert one.limit_price_e4 is not None
        assert other.limit_price_e4 is not None
        return one.side.sign * (one.limit_price_e4 - other.limit_price_e4) > 0
    return int(one.order_id) < int(other.order_id)
