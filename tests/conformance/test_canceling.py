"""Asking for a cancellation: in every state of an order, and when the asking fails."""

import pytest
from msgspec.structs import replace

from commands.ports import BrokerUnavailable
from domain.ids import VenueOrderId
from domain.order import OrderStatus
from tests.support.conformance import BUY, FALL, LOW_BUY, PRICE, STOP, OpenVenue, accepted, case, found, status


@case("C-01")
async def test_a_resting_order_is_canceled(open_venue: OpenVenue) -> None:
    async with open_venue(PRICE, PRICE - 2 * FALL) as venue:
        await venue.broker.cancel(venue.account, await accepted(venue, LOW_BUY))
        await venue.next_print()  # A price at which it would have filled.
        order = await found(venue)
        assert (order.status, order.cumulative_quantity) == (OrderStatus.CANCELED, 0)


@case("C-02")
async def test_of_a_partly_filled_order_the_rest_is_canceled(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.fill_in_part(3)
        venue_order_id = await accepted(venue, BUY)
        assert await status(venue) is OrderStatus.PARTLY_FILLED
        await venue.broker.cancel(venue.account, venue_order_id)
        await venue.next_print()
        order = await found(venue)
        assert (order.status, order.cumulative_quantity) == (OrderStatus.CANCELED, 3)


@case("C-03")
async def test_a_stop_is_canceled(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        await venue.broker.cancel(venue.account, await accepted(venue, STOP, 2))
        assert await status(venue, 2) is OrderStatus.CANCELED


@case("C-04")
async def test_a_second_cancellation_harms_nothing(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        for _ in range(3):
            await venue.broker.cancel(venue.account, venue_order_id)
        assert await status(venue) is OrderStatus.CANCELED


@case("C-05")
async def test_a_filled_order_stays_filled(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, BUY)
        await venue.next_print()
        await venue.broker.cancel(venue.account, venue_order_id)
        assert await status(venue) is OrderStatus.FILLED


@case("C-06")
async def test_a_rejected_order_stays_rejected(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.reject_next("no")
        venue_order_id = await accepted(venue, BUY)
        await venue.broker.cancel(venue.account, venue_order_id)
        assert await status(venue) is OrderStatus.REJECTED


@case("C-07")
async def test_an_order_in_transit_cannot_be_canceled_yet(open_venue: OpenVenue) -> None:
    async with open_venue(in_transit=True) as venue:
        venue_order_id = await accepted(venue, BUY)
        with pytest.raises(BrokerUnavailable):
            await venue.broker.cancel(venue.account, venue_order_id)


@case("C-08")
async def test_an_order_that_is_not_there_cannot_be_canceled(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        with pytest.raises(BrokerUnavailable):
            await venue.broker.cancel(venue.account, VenueOrderId("112604150009999"))


@case("C-09")
async def test_an_order_of_another_account_cannot_be_canceled(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        with pytest.raises(BrokerUnavailable):
            await venue.broker.cancel(venue.other_account, venue_order_id)
        assert await status(venue) is OrderStatus.ACKNOWLEDGED


@pytest.mark.parametrize(
    "how",
    [
        "its answer is lost before anything is done",
        "its answer is lost when all is done",
        "a gateway is out",
        "a gateway fails when all is done",
        "its answer is torn",
        "there were too many",
    ],
)
@case("C-10")
async def test_a_cancellation_whose_answer_fails_is_asked_for_again(open_venue: OpenVenue, how: str) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        await venue.fail("cancel", how)
        await venue.broker.cancel(venue.account, venue_order_id)
        assert await status(venue) is OrderStatus.CANCELED


@case("C-11")
async def test_a_cancellation_for_which_nobody_listens_says_so(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        await venue.stop_listening()
        with pytest.raises(BrokerUnavailable):
            await venue.broker.cancel(venue.account, venue_order_id)
        await venue.listen()
        assert await status(venue) is OrderStatus.ACKNOWLEDGED


@case("C-12")
async def test_an_after_market_order_is_canceled_before_the_session(open_venue: OpenVenue) -> None:
    async with open_venue(is_open=False) as venue:
        await venue.broker.cancel(venue.account, await accepted(venue, replace(BUY, after_market=True)))
        await venue.next_print()
        assert await status(venue) is OrderStatus.CANCELED
