"""What is said of an order when its answer is none, and what may be done then."""

import pytest

from commands.ports import Accepted, ModifyAccepted, NotSent, OutcomeUnknown
from domain.order import OrderStatus, Purpose
from tests.support.conformance import (
    BUY,
    FALL,
    LOW_BUY,
    PRICE,
    OpenVenue,
    accepted,
    at,
    case,
    correlation,
    found,
    status,
)
from tests.support.eventually import eventually

DONE = (
    "its answer is lost when all is done",
    "a gateway fails when all is done",
    "the venue breaks when all is done",
    "its answer is torn",
    "its answer is cut short",
)
NOT_DONE = (
    "its answer is lost before anything is done",
    "a gateway is out",
    "the venue breaks",
    "its answer is a page",
)


@pytest.mark.parametrize("how", DONE)
@case("U-01")
async def test_an_order_whose_answer_fails_when_it_is_in_the_book_is_unknown_and_found(
    open_venue: OpenVenue, how: str
) -> None:
    async with open_venue() as venue:
        await venue.fail("place", how)
        placement = await venue.broker.place(venue.account, BUY, correlation(), Purpose.ENTRY)
        assert isinstance(placement, OutcomeUnknown)
        assert placement.sent_at_ns > 0
        assert await venue.book() == [correlation()]
        await venue.next_print()
        assert await status(venue) is OrderStatus.FILLED


@pytest.mark.parametrize("how", NOT_DONE)
@case("U-02")
async def test_an_order_whose_answer_fails_before_it_is_in_the_book_is_unknown_too(
    open_venue: OpenVenue, how: str
) -> None:
    async with open_venue() as venue:
        await venue.fail("place", how)
        placement = await venue.broker.place(venue.account, BUY, correlation(), Purpose.ENTRY)
        assert isinstance(placement, OutcomeUnknown)
        assert await venue.book() == []
        assert await venue.broker.find_order(venue.account, correlation()) is None


@case("U-03")
async def test_an_order_that_is_never_answered_is_unknown(open_venue: OpenVenue) -> None:
    async with open_venue(is_patient=False) as venue:
        await venue.fail("place", "it is never answered")
        placement = await venue.broker.place(venue.account, BUY, correlation(), Purpose.ENTRY)
        assert isinstance(placement, OutcomeUnknown)

        async def is_there() -> bool:
            return await venue.book() == [correlation()]

        await eventually(is_there)


@pytest.mark.parametrize("how", [*DONE, *NOT_DONE])
@case("U-04")
async def test_an_order_is_sent_once_whatever_comes_of_it(open_venue: OpenVenue, how: str) -> None:
    async with open_venue() as venue:
        await venue.fail("place", how)
        await venue.broker.place(venue.account, LOW_BUY, correlation(), Purpose.ENTRY)
        await accepted(venue, LOW_BUY, 2)
        assert await venue.book() == [*([correlation()] if how in DONE else []), correlation(2)]


@case("U-05")
async def test_an_order_for_which_nobody_listens_is_not_sent(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.stop_listening()
        placement = await venue.broker.place(venue.account, BUY, correlation(), Purpose.ENTRY)
        assert isinstance(placement, NotSent)
        assert not placement.breaker_open
        assert await venue.book() == []


@case("U-06")
async def test_an_order_that_was_not_sent_may_be_sent_again(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.stop_listening()
        first = await venue.broker.place(venue.account, BUY, correlation(), Purpose.ENTRY)
        await venue.listen()
        second = await venue.broker.place(venue.account, BUY, correlation(), Purpose.ENTRY)
        assert (isinstance(first, NotSent), isinstance(second, Accepted)) == (True, True)
        assert await venue.book() == [correlation()]


@case("U-07")
async def test_a_change_for_which_nobody_listens_is_not_sent(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        await venue.stop_listening()
        changed = at(LOW_BUY, PRICE - 2 * FALL)
        assert isinstance(await venue.broker.modify(venue.account, venue_order_id, changed, Purpose.ENTRY), NotSent)
        await venue.listen()
        assert (await found(venue)).limit_price_e4 == LOW_BUY.limit_price_e4


@pytest.mark.parametrize("how", DONE)
@case("U-08")
async def test_a_change_whose_answer_fails_is_unknown_and_asked_again_it_harms_nothing(
    open_venue: OpenVenue, how: str
) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        changed = at(LOW_BUY, PRICE - 2 * FALL)
        await venue.fail("modify", how)
        first = await venue.broker.modify(venue.account, venue_order_id, changed, Purpose.ENTRY)
        assert isinstance(first, OutcomeUnknown)
        assert (await found(venue)).limit_price_e4 == changed.limit_price_e4
        again = await venue.broker.modify(venue.account, venue_order_id, changed, Purpose.ENTRY)
        assert isinstance(again, ModifyAccepted)
        order = await found(venue)
        assert (order.limit_price_e4, order.quantity) == (changed.limit_price_e4, LOW_BUY.quantity)
