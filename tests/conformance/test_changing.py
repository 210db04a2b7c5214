"""Changing an order: what it shall be, in total, and when it cannot be that."""

import pytest
from msgspec.structs import replace

from commands.ports import ModifyAccepted, NotSent, Refused
from domain.ids import VenueOrderId
from domain.order import MODIFICATIONS_MAX, OrderStatus, OrderType, Purpose
from tests.support.conformance import (
    BUY,
    FALL,
    LOW_BUY,
    MARKET_SELL,
    PRICE,
    STOP,
    OpenVenue,
    VenueHarness,
    accepted,
    at,
    case,
    found,
    status,
)


async def change(venue: VenueHarness, venue_order_id: VenueOrderId, instruction: object) -> object:
    return await venue.broker.modify(venue.account, venue_order_id, instruction, Purpose.ENTRY)  # type: ignore[arg-type]


@case("M-01")
async def test_an_order_gets_another_price(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        assert isinstance(await change(venue, venue_order_id, at(LOW_BUY, PRICE - 2 * FALL)), ModifyAccepted)
        order = await found(venue)
        assert (order.limit_price_e4, order.status) == (PRICE - 2 * FALL, OrderStatus.ACKNOWLEDGED)


@case("M-02")
async def test_an_order_that_is_moved_to_the_market_fills(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        await change(venue, venue_order_id, at(LOW_BUY, PRICE))
        await venue.next_print()
        assert await status(venue) is OrderStatus.FILLED


@pytest.mark.parametrize("quantity", [4, 40])
@case("M-03")
async def test_a_quantity_is_the_whole_orders(open_venue: OpenVenue, quantity: int) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        await change(venue, venue_order_id, replace(LOW_BUY, quantity=quantity))
        assert (await found(venue)).quantity == quantity


@case("M-04")
async def test_a_partly_filled_orders_new_quantity_counts_what_has_filled(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.fill_in_part(3)
        venue_order_id = await accepted(venue, BUY)
        await change(venue, venue_order_id, replace(BUY, quantity=5))
        await venue.next_print()
        order = await found(venue)
        assert (order.status, order.quantity, order.cumulative_quantity) == (OrderStatus.FILLED, 5, 5)


@case("M-05")
async def test_no_order_shrinks_below_what_has_filled(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.fill_in_part(3)
        venue_order_id = await accepted(venue, BUY)
        assert isinstance(await change(venue, venue_order_id, replace(BUY, quantity=3)), Refused)
        assert (await found(venue)).quantity == BUY.quantity


@case("M-06")
async def test_a_stop_is_moved(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        venue_order_id = await accepted(venue, STOP, 2)
        moved = replace(STOP, trigger_price_e4=PRICE - FALL // 2)
        assert isinstance(await venue.broker.modify(venue.account, venue_order_id, moved, Purpose.STOP), ModifyAccepted)
        order = await found(venue, 2)
        assert (order.trigger_price_e4, order.status) == (PRICE - FALL // 2, OrderStatus.ACKNOWLEDGED)


@case("M-07")
async def test_a_stop_is_made_marketable(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        venue_order_id = await accepted(venue, STOP, 2)
        await venue.broker.modify(venue.account, venue_order_id, MARKET_SELL, Purpose.STOP)
        await venue.next_print()
        order = await found(venue, 2)
        assert order.status is OrderStatus.FILLED
        assert order.order_type in {OrderType.MARKET, OrderType.LIMIT}  # The venue may protect it by a limit.


@case("M-08")
async def test_a_change_of_a_filled_order_is_refused(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, BUY)
        await venue.next_print()
        assert isinstance(await change(venue, venue_order_id, LOW_BUY), Refused)


@case("M-09")
async def test_a_change_of_a_canceled_order_is_refused(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        await venue.broker.cancel(venue.account, venue_order_id)
        assert isinstance(await change(venue, venue_order_id, at(LOW_BUY, PRICE)), Refused)
        assert await status(venue) is OrderStatus.CANCELED


@case("M-10")
async def test_a_change_of_an_order_that_is_not_there_is_refused(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        assert isinstance(await change(venue, VenueOrderId("112604150009999"), LOW_BUY), Refused)


@case("M-11")
async def test_a_change_to_a_price_between_two_ticks_is_refused(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        assert isinstance(await change(venue, venue_order_id, at(LOW_BUY, PRICE - FALL + 1)), Refused)
        assert (await found(venue)).limit_price_e4 == LOW_BUY.limit_price_e4


@case("M-12")
async def test_an_order_in_transit_may_be_changed(open_venue: OpenVenue) -> None:
    async with open_venue(in_transit=True) as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        assert isinstance(await change(venue, venue_order_id, at(LOW_BUY, PRICE - 2 * FALL)), ModifyAccepted)


@case("M-13")
async def test_an_order_is_changed_as_often_as_the_venue_allows_and_no_more(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        for number in range(MODIFICATIONS_MAX):
            changed = at(LOW_BUY, PRICE - FALL - number * 10_000)
            assert isinstance(await change(venue, venue_order_id, changed), ModifyAccepted)
        last = (await found(venue)).limit_price_e4
        assert isinstance(await change(venue, venue_order_id, at(LOW_BUY, PRICE - 2 * FALL)), Refused | NotSent)
        assert (await found(venue)).limit_price_e4 == last
