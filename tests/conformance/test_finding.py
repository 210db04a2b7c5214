"""Finding an order by our id: what is shown, what is not, and what that proves."""

import pytest

from commands.ports import BrokerUnavailable
from domain.order import OrderStatus, OrderType, Product, Side
from tests.support.conformance import (
    BUY,
    LOW_BUY,
    PRICE,
    OpenVenue,
    accepted,
    case,
    correlation,
    found,
)


@case("F-01")
async def test_an_order_is_found_by_our_id_as_it_was_placed(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        order = await found(venue)
        assert (order.venue_order_id, order.correlation_id) == (venue_order_id, correlation())
        assert (order.instrument, order.product, order.side) == (BUY.instrument, Product.INTRADAY, Side.BUY)
        assert (order.order_type, order.limit_price_e4, order.trigger_price_e4) == (
            OrderType.LIMIT,
            LOW_BUY.limit_price_e4,
            None,
        )
        assert (order.quantity, order.cumulative_quantity) == (LOW_BUY.quantity, 0)


@case("F-02")
async def test_an_id_that_was_never_used_is_not_found(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, LOW_BUY)
        assert await venue.broker.find_order(venue.account, correlation(2)) is None


@case("F-03")
async def test_an_order_in_transit_is_not_found_and_shown_in_the_book(open_venue: OpenVenue) -> None:
    async with open_venue(in_transit=True) as venue:
        await accepted(venue, BUY)
        assert await venue.broker.find_order(venue.account, correlation()) is None
        (order,) = await venue.broker.orders(venue.account)
        assert (order.correlation_id, order.status) == (correlation(), OrderStatus.SUBMITTING)


@case("F-04")
async def test_an_order_of_another_account_is_not_found(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, LOW_BUY)
        assert await venue.broker.find_order(venue.other_account, correlation()) is None
        assert await venue.broker.orders(venue.other_account) == []


@case("F-05")
async def test_of_two_orders_under_one_id_the_one_that_did_most_is_found(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.fail("place", "it is entered twice")
        await accepted(venue, BUY)
        await venue.next_print()
        assert await venue.book() == [correlation(), correlation()]
        order = await found(venue)
        assert order.cumulative_quantity == BUY.quantity


@case("F-06")
async def test_both_orders_under_one_id_are_in_the_book(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.fail("place", "it is entered twice")
        await accepted(venue, LOW_BUY)
        orders = await venue.broker.orders(venue.account)
        assert [order.correlation_id for order in orders] == [correlation(), correlation()]
        assert len({order.venue_order_id for order in orders}) == 2


@case("F-07")
async def test_an_order_made_by_hand_is_shown_as_none_of_ours(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.trade_by_hand(Side.BUY, 3)
        (order,) = await venue.broker.orders(venue.account)
        assert (order.correlation_id, order.quantity, order.side) == (None, 3, Side.BUY)
        assert order.instrument == BUY.instrument


@pytest.mark.parametrize(
    "how",
    ["a gateway is out", "the venue breaks", "its answer is torn", "its answer is a page", "there were too many"],
)
@case("F-08")
async def test_a_look_up_that_fails_is_made_again(open_venue: OpenVenue, how: str) -> None:
    async with open_venue() as venue:
        await accepted(venue, LOW_BUY)
        await venue.fail("read", how)
        assert (await found(venue)).correlation_id == correlation()


@case("F-09")
async def test_a_look_up_that_fails_again_and_again_says_so(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, LOW_BUY)
        await venue.fail("read", "a gateway is out", count=50)
        with pytest.raises(BrokerUnavailable):
            await venue.broker.find_order(venue.account, correlation())


@case("F-10")
async def test_a_look_up_for_which_nobody_listens_says_so(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.stop_listening()
        with pytest.raises(BrokerUnavailable):
            await venue.broker.find_order(venue.account, correlation())


@case("F-11")
async def test_the_book_has_every_order_of_the_day_whatever_became_of_it(open_venue: OpenVenue) -> None:
    async with open_venue(PRICE, PRICE, PRICE) as venue:
        await accepted(venue, BUY, 1)
        canceled = await accepted(venue, LOW_BUY, 2)
        await venue.broker.cancel(venue.account, canceled)
        await venue.reject_next("no")
        await accepted(venue, LOW_BUY, 3)
        await accepted(venue, LOW_BUY, 4)
        await venue.next_print()
        shown = {order.correlation_id: order.status for order in await venue.broker.orders(venue.account)}
        assert shown == {
            correlation(1): OrderStatus.FILLED,
            correlation(2): OrderStatus.CANCELED,
            correlation(3): OrderStatus.REJECTED,
            correlation(4): OrderStatus.ACKNOWLEDGED,
        }


@case("F-12")
async def test_a_large_book_comes_whole(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        for number in range(30):
            await accepted(venue, LOW_BUY, number)
        orders = await venue.broker.orders(venue.account)
        assert {order.correlation_id for order in orders} == {correlation(number) for number in range(30)}
