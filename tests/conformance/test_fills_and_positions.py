"""Executions and what is held by them: as the venue's books have it, once each, for ever the same."""

from collections import Counter

from msgspec.structs import replace

from domain.market import NS_PER_S
from domain.order import OrderStatus, Product, Side
from tests.support.conformance import (
    BUY,
    FALL,
    LOW_BUY,
    OPENED_AT_NS,
    PRICE,
    SELL,
    OpenVenue,
    accepted,
    case,
    found,
    status,
)


@case("E-01")
async def test_an_execution_tells_what_traded(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, BUY)
        await venue.next_print()
        (fill,) = await venue.broker.fills(venue.account)
        assert (fill.venue_order_id, fill.quantity, fill.price_e4) == (venue_order_id, BUY.quantity, PRICE)
        assert (fill.instrument, fill.product, fill.side) == (BUY.instrument, Product.INTRADAY, Side.BUY)


@case("E-02")
async def test_the_time_of_an_execution_is_that_of_the_market_in_utc(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        await venue.next_print()
        (fill,) = await venue.broker.fills(venue.account)
        assert OPENED_AT_NS <= fill.filled_at_ns <= OPENED_AT_NS + 2 * NS_PER_S


@case("E-03")
async def test_executions_of_one_order_add_up_to_what_it_filled(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.fill_in_part(3)
        await accepted(venue, BUY)
        order = await found(venue)
        assert (order.status, order.cumulative_quantity) == (OrderStatus.PARTLY_FILLED, 3)
        assert [fill.quantity for fill in await venue.broker.fills(venue.account)] == [3]
        await venue.next_print()
        fills = await venue.broker.fills(venue.account)
        assert sum(fill.quantity for fill in fills) == (await found(venue)).cumulative_quantity == BUY.quantity
        assert len(fills) > 1


@case("E-04")
async def test_every_execution_has_a_name_of_its_own(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        for number in range(1, 6):
            await accepted(venue, BUY, number)
        await venue.next_print()
        names = Counter(fill.venue_fill_id for fill in await venue.broker.fills(venue.account))
        assert len(names) >= 5
        assert set(names.values()) == {1}


@case("E-05")
async def test_an_execution_keeps_its_name(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        await venue.next_print()
        before = await venue.broker.fills(venue.account)
        await accepted(venue, SELL, 2)
        await venue.next_print()
        after = await venue.broker.fills(venue.account)
        assert after[: len(before)] == before
        assert len(after) > len(before)


@case("E-06")
async def test_executions_come_oldest_first(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        placed = []
        for number in range(1, 5):
            placed.append(await accepted(venue, BUY, number))
            await venue.next_print()
        fills = await venue.broker.fills(venue.account)
        assert [fill.venue_order_id for fill in fills] == placed
        times = [fill.filled_at_ns for fill in fills]
        assert times == sorted(times)


@case("E-07")
async def test_an_order_that_filled_before_its_cancellation_keeps_its_executions(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.fill_in_part(3)
        await venue.broker.cancel(venue.account, await accepted(venue, BUY))
        assert [fill.quantity for fill in await venue.broker.fills(venue.account)] == [3]


@case("E-08")
async def test_what_never_traded_has_no_execution(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.broker.cancel(venue.account, await accepted(venue, LOW_BUY))
        await venue.reject_next("no")
        await accepted(venue, BUY, 2)
        await venue.next_print()
        assert await venue.broker.fills(venue.account) == []


@case("E-09")
async def test_an_execution_of_an_order_by_hand_is_shown_under_that_order(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.trade_by_hand(Side.BUY, 3)
        await venue.next_print()
        (order,) = await venue.broker.orders(venue.account)
        (fill,) = await venue.broker.fills(venue.account)
        assert (fill.venue_order_id, fill.quantity) == (order.venue_order_id, 3)


@case("E-10")
async def test_an_account_that_never_traded_has_nothing(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        assert await venue.broker.orders(venue.account) == []
        assert await venue.broker.fills(venue.account) == []
        assert await venue.broker.positions(venue.account) == []


@case("E-11")
async def test_what_was_bought_is_held(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        await venue.next_print()
        (position,) = await venue.broker.positions(venue.account)
        assert (position.instrument, position.product) == (BUY.instrument, Product.INTRADAY)
        assert (position.net_quantity, position.bought_quantity, position.sold_quantity) == (10, 10, 0)


@case("E-12")
async def test_what_was_sold_short_is_owed(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, SELL)
        await venue.next_print()
        (position,) = await venue.broker.positions(venue.account)
        assert (position.net_quantity, position.bought_quantity, position.sold_quantity) == (-10, 0, 10)


@case("E-13")
async def test_what_was_bought_and_sold_is_closed(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        await venue.next_print()
        await accepted(venue, SELL, 2)
        await venue.next_print()
        positions = await venue.broker.positions(venue.account)
        assert sum(abs(position.net_quantity) for position in positions) == 0


@case("E-14")
async def test_products_are_held_apart(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        await accepted(venue, replace(BUY, product=Product.CNC, quantity=4), 2)
        await venue.next_print()
        held = {position.product: position.net_quantity for position in await venue.broker.positions(venue.account)}
        assert held == {Product.INTRADAY: 10, Product.CNC: 4}


@case("E-15")
async def test_a_position_is_the_sum_of_the_executions(open_venue: OpenVenue) -> None:
    async with open_venue(PRICE, PRICE, PRICE - FALL, PRICE) as venue:
        await accepted(venue, BUY)
        await accepted(venue, replace(LOW_BUY, quantity=7), 2)
        await venue.next_print()
        await venue.next_print()
        await accepted(venue, replace(SELL, limit_price_e4=PRICE - FALL, quantity=5), 3)
        await venue.trade_by_hand(Side.BUY, 2)
        await venue.next_print()
        fills = await venue.broker.fills(venue.account)
        (position,) = await venue.broker.positions(venue.account)
        assert position.net_quantity == sum(fill.side.sign * fill.quantity for fill in fills if fill.side) == 14


@case("E-16")
async def test_accounts_are_held_apart(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        await venue.next_print()
        assert await status(venue) is OrderStatus.FILLED
        assert await venue.broker.positions(venue.other_account) == []
        assert await venue.broker.fills(venue.other_account) == []
