"""Placing an order: what is accepted, what becomes of it, and what is refused with nothing in the book."""

import time

import pytest
from msgspec.structs import replace

from commands.ports import Accepted, Refused
from domain.instrument import InstrumentKey, Segment
from domain.order import OrderInstruction, OrderStatus, OrderType, Product, Purpose, RefusalReason, Side, TimeInForce
from tests.support.conformance import (
    BUY,
    FALL,
    LOW_BUY,
    MARKET_SELL,
    PRICE,
    SELL,
    STOP,
    OpenVenue,
    accepted,
    case,
    correlation,
    found,
    status,
)


async def refusal(open_venue: OpenVenue, instruction: OrderInstruction, *, is_open: bool = True) -> Refused:
    """Return how an order is refused, which leaves nothing in the book."""
    async with open_venue(is_open=is_open) as venue:
        placement = await venue.broker.place(venue.account, instruction, correlation(), Purpose.ENTRY)
        assert isinstance(placement, Refused), placement
        assert placement.message
        assert await venue.book() == []
        return placement


@case("P-01")
async def test_a_limit_order_below_the_market_rests(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        await venue.next_print()
        order = await found(venue)
        assert (order.venue_order_id, order.status) == (venue_order_id, OrderStatus.ACKNOWLEDGED)
        assert order.cumulative_quantity == 0


@case("P-02")
async def test_a_limit_order_at_the_market_fills(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        await venue.next_print()
        order = await found(venue)
        assert (order.status, order.cumulative_quantity) == (OrderStatus.FILLED, BUY.quantity)


@case("P-03")
async def test_a_market_order_fills(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, replace(BUY, order_type=OrderType.MARKET, limit_price_e4=None))
        await venue.next_print()
        assert await status(venue) is OrderStatus.FILLED


@case("P-04")
async def test_a_stop_rests_until_its_trigger_is_reached(open_venue: OpenVenue) -> None:
    async with open_venue(PRICE, PRICE, PRICE - FALL, PRICE - FALL) as venue:
        await accepted(venue, BUY)
        await accepted(venue, STOP, 2)
        await venue.next_print()
        order = await found(venue, 2)
        assert (order.status, order.order_type) == (OrderStatus.ACKNOWLEDGED, OrderType.SL)
        assert (order.trigger_price_e4, order.limit_price_e4) == (STOP.trigger_price_e4, STOP.limit_price_e4)
        await venue.next_print()
        await venue.next_print()
        assert await status(venue, 2) is OrderStatus.FILLED


@case("P-05")
async def test_a_stop_that_buys_rests_above_the_market(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        stop = replace(STOP, side=Side.BUY, trigger_price_e4=PRICE + FALL, limit_price_e4=PRICE + 2 * FALL)
        await accepted(venue, stop)
        await venue.next_print()
        assert await status(venue) is OrderStatus.ACKNOWLEDGED


@case("P-06")
async def test_a_stop_without_a_limit_is_refused(open_venue: OpenVenue) -> None:
    await refusal(open_venue, replace(STOP, order_type=OrderType.SL_M, limit_price_e4=None))


@case("P-07")
async def test_a_short_sale_fills(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, SELL)
        await venue.next_print()
        assert (await found(venue)).side is Side.SELL
        assert await status(venue) is OrderStatus.FILLED


@case("P-08")
async def test_an_order_for_delivery_fills(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, replace(BUY, product=Product.CNC))
        await venue.next_print()
        order = await found(venue)
        assert (order.status, order.product) == (OrderStatus.FILLED, Product.CNC)


@case("P-09")
async def test_an_order_on_margin_trading_facility_fills(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, replace(BUY, product=Product.MTF))
        await venue.next_print()
        order = await found(venue)
        assert (order.status, order.product) == (OrderStatus.FILLED, Product.MTF)


@case("P-10")
async def test_a_delivery_that_is_not_held_cannot_be_sold(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, replace(SELL, product=Product.CNC))
        order = await found(venue)
        assert order.status is OrderStatus.REJECTED
        assert "holdings" in order.message


@case("P-11")
async def test_a_product_that_the_segment_has_not_is_rejected(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, replace(BUY, product=Product.MARGIN))
        assert await status(venue) is OrderStatus.REJECTED


@case("P-12")
async def test_an_immediate_order_that_cannot_trade_is_canceled(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, replace(LOW_BUY, time_in_force=TimeInForce.IOC))
        await venue.next_print()
        order = await found(venue)
        assert (order.status, order.cumulative_quantity) == (OrderStatus.CANCELED, 0)


@case("P-13")
async def test_an_immediate_order_that_can_trade_fills(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, replace(BUY, time_in_force=TimeInForce.IOC))
        await venue.next_print()
        assert await status(venue) is OrderStatus.FILLED


@case("P-14")
async def test_what_rests_at_the_end_of_the_day_expires(open_venue: OpenVenue) -> None:
    async with open_venue(PRICE, PRICE) as venue:
        await accepted(venue, LOW_BUY)
        await venue.next_print()
        await venue.next_print()
        assert await status(venue) is OrderStatus.EXPIRED


@case("P-15")
async def test_an_order_may_show_a_part_of_itself(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, replace(LOW_BUY, disclosed_quantity=4))
        order = await found(venue)
        assert (order.status, order.quantity) == (OrderStatus.ACKNOWLEDGED, LOW_BUY.quantity)


@case("P-16")
async def test_an_after_market_order_waits_and_fills_in_the_session(open_venue: OpenVenue) -> None:
    async with open_venue(is_open=False) as venue:
        await accepted(venue, replace(BUY, after_market=True))
        assert await status(venue) is OrderStatus.ACKNOWLEDGED
        await venue.next_print()
        await venue.next_print()
        assert await status(venue) is OrderStatus.FILLED


@case("P-17")
async def test_an_after_market_order_in_the_session_is_refused(open_venue: OpenVenue) -> None:
    await refusal(open_venue, replace(BUY, after_market=True))


@case("P-18")
async def test_an_order_while_the_market_is_closed_is_refused(open_venue: OpenVenue) -> None:
    assert (await refusal(open_venue, BUY, is_open=False)).reason is RefusalReason.MARKET_CLOSED


@case("P-19")
async def test_an_instrument_that_is_not_there_is_refused(open_venue: OpenVenue) -> None:
    unknown = replace(BUY, instrument=InstrumentKey(Segment.NSE_EQ, "999999999"))
    assert (await refusal(open_venue, unknown)).reason is RefusalReason.INPUT


@case("P-20")
async def test_an_order_of_nothing_is_refused(open_venue: OpenVenue) -> None:
    assert (await refusal(open_venue, replace(BUY, quantity=0))).reason is RefusalReason.INPUT


@case("P-21")
async def test_a_price_between_two_ticks_is_refused(open_venue: OpenVenue) -> None:
    assert (await refusal(open_venue, replace(BUY, limit_price_e4=PRICE + 1))).reason is RefusalReason.INPUT


@case("P-22")
async def test_a_limit_order_without_a_price_is_refused(open_venue: OpenVenue) -> None:
    assert (await refusal(open_venue, replace(BUY, limit_price_e4=None))).reason is RefusalReason.INPUT


@case("P-23")
async def test_a_stop_whose_limit_is_on_the_wrong_side_is_refused(open_venue: OpenVenue) -> None:
    backwards = replace(STOP, limit_price_e4=PRICE, trigger_price_e4=PRICE - FALL)
    assert (await refusal(open_venue, backwards)).reason is RefusalReason.INPUT


@case("P-24")
async def test_an_order_beyond_the_funds_is_accepted_and_rejected_with_its_reason(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, replace(BUY, quantity=1_000_000))
        order = await found(venue)
        assert (order.status, order.cumulative_quantity) == (OrderStatus.REJECTED, 0)
        assert "insufficient funds" in order.message


@case("P-25")
async def test_the_venues_own_reason_of_a_rejection_is_told(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.reject_next("Order Price needs to be Circuit Limits")
        await accepted(venue, BUY)
        order = await found(venue)
        assert order.status is OrderStatus.REJECTED
        assert "Order Price needs to be Circuit Limits" in order.message


@case("P-26")
async def test_every_order_has_a_name_of_its_own(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        names = [await accepted(venue, LOW_BUY, number) for number in range(1, 6)]
        assert len(set(names)) == 5
        assert {order.venue_order_id for order in await venue.broker.orders(venue.account)} == set(names)


@case("P-27")
async def test_it_is_told_when_an_order_was_sent(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        before_ns = time.time_ns()
        placement = await venue.broker.place(venue.account, BUY, correlation(), Purpose.ENTRY)
        assert isinstance(placement, Accepted)
        assert before_ns <= placement.sent_at_ns <= time.time_ns()


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose.closes])
@case("P-28")
async def test_an_order_that_closes_is_placed_as_any_other(open_venue: OpenVenue, purpose: Purpose) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        placement = await venue.broker.place(venue.account, MARKET_SELL, correlation(2), purpose)
        assert isinstance(placement, Accepted)
        await venue.next_print()
        assert await status(venue, 2) is OrderStatus.FILLED
