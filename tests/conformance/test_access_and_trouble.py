"""Tokens, addresses, rates, breakers, a venue that restarts: what passes, what is held back, what mends itself."""

import pytest

from commands.ports import Accepted, BrokerUnavailable, NotSent, OutcomeUnknown, Refused
from domain.order import NotSentReason, OrderStatus, Purpose, RefusalReason, Side
from tests.support.conformance import (
    BUY,
    LOW_BUY,
    MARKET_SELL,
    OpenVenue,
    VenueHarness,
    accepted,
    case,
    correlation,
    found,
    status,
)
from tests.support.eventually import eventually


async def enter(venue: VenueHarness, number: int = 1) -> object:
    return await venue.broker.place(venue.account, LOW_BUY, correlation(number), Purpose.ENTRY)


async def leave(venue: VenueHarness, number: int = 2) -> object:
    return await venue.broker.place(venue.account, MARKET_SELL, correlation(number), Purpose.EXIT)


@case("A-01")
async def test_a_dead_token_refuses_an_order_and_the_next_is_accepted(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.kill_token()
        refused = await enter(venue)
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.TOKEN
        assert isinstance(await enter(venue, 2), Accepted)
        assert await venue.book() == [correlation(2)]


@case("A-02")
async def test_a_token_that_dies_while_an_order_is_placed_leaves_it_accepted(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.fail("place", "the token dies meanwhile")
        assert isinstance(await enter(venue), Accepted)
        assert await status(venue) is OrderStatus.ACKNOWLEDGED


@case("A-03")
async def test_a_question_with_a_dead_token_is_asked_again_with_a_new_one(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, LOW_BUY)
        await venue.kill_token()
        assert (await found(venue)).correlation_id == correlation()


@case("A-04")
async def test_a_cancellation_with_a_dead_token_is_asked_for_again_with_a_new_one(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        await venue.kill_token()
        await venue.broker.cancel(venue.account, venue_order_id)
        assert await status(venue) is OrderStatus.CANCELED


@case("A-05")
async def test_a_token_that_dies_is_one_accounts_trouble(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.kill_token()
        other = await venue.broker.place(venue.other_account, LOW_BUY, correlation(), Purpose.ENTRY)
        assert isinstance(other, Accepted)


@case("A-06")
async def test_from_an_unknown_address_an_order_is_refused_and_questions_are_answered(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, LOW_BUY)
        await venue.fail("place", "the address is unknown")
        refused = await enter(venue, 2)
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.IP
        assert await venue.book() == [correlation()]
        assert [order.correlation_id for order in await venue.broker.orders(venue.account)] == [correlation()]


@case("A-07")
async def test_an_order_too_many_is_refused_with_nothing_in_the_book(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.fail("place", "there were too many")
        refused = await enter(venue)
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.RATE_LIMIT
        assert await venue.book() == []


@case("A-08")
async def test_an_id_that_the_venue_takes_once_only_is_refused_the_second_time(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, LOW_BUY)
        await venue.fail("place", "its id may not be used again")
        assert isinstance(await enter(venue), Refused)
        assert await venue.book() == [correlation()]


@case("A-09")
async def test_beyond_its_own_budget_an_entry_is_held_back_and_an_exit_is_not(open_venue: OpenVenue) -> None:
    async with open_venue(orders_a_second=3) as venue:
        entries = [await enter(venue, number) for number in (1, 2)]
        assert [isinstance(entry, Accepted) for entry in entries] == [True, True]
        held_back = await enter(venue, 3)
        left = await leave(venue, 4)
        assert isinstance(held_back, NotSent)
        assert held_back.reason is NotSentReason.HELD_BACK
        assert isinstance(left, Accepted)
        assert await venue.book() == [correlation(1), correlation(2), correlation(4)]


@case("A-10")
async def test_beyond_the_budget_of_entries_a_cancellation_passes(open_venue: OpenVenue) -> None:
    async with open_venue(orders_a_second=2) as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        assert isinstance(await enter(venue, 2), NotSent)
        await venue.broker.cancel(venue.account, venue_order_id)
        assert await status(venue) is OrderStatus.CANCELED


@case("A-11")
async def test_a_venue_that_fails_again_and_again_is_sent_no_more_entries(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.fail("place", "a gateway is out", count=3)
        assert [isinstance(await enter(venue, number), OutcomeUnknown) for number in range(3)] == [True] * 3
        held_back = await enter(venue, 4)
        assert isinstance(held_back, NotSent)
        assert held_back.breaker_open
        assert venue.broker.is_held_back(venue.account, Purpose.ENTRY)
        assert await venue.book() == []


@case("A-12")
async def test_while_entries_are_held_back_exits_cancellations_and_questions_pass(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        await venue.fail("place", "a gateway is out", count=3)
        for number in range(2, 5):
            await enter(venue, number)
        assert venue.broker.is_held_back(venue.account, Purpose.ENTRY)
        assert not venue.broker.is_held_back(venue.account, Purpose.EXIT)
        assert isinstance(await leave(venue, 9), Accepted)
        await venue.broker.cancel(venue.account, venue_order_id)
        assert await status(venue) is OrderStatus.CANCELED


@case("A-13")
async def test_a_venue_that_is_well_again_is_sent_entries_again(open_venue: OpenVenue) -> None:
    async with open_venue(breaker_reset_s=0.05) as venue:
        await venue.fail("place", "a gateway is out", count=3)
        for number in range(3):
            await enter(venue, number)
        await eventually(lambda: not venue.broker.is_held_back(venue.account, Purpose.ENTRY))
        assert isinstance(await enter(venue, 9), Accepted)
        assert await venue.book() == [correlation(9)]


@case("A-14")
async def test_refusals_hold_nothing_back(open_venue: OpenVenue) -> None:
    async with open_venue(is_open=False) as venue:
        for number in range(6):
            assert isinstance(await enter(venue, number), Refused)
        assert not venue.broker.is_held_back(venue.account, Purpose.ENTRY)


@case("A-15")
async def test_a_venue_that_restarts_knows_every_order_and_execution_again(open_venue: OpenVenue) -> None:
    async with open_venue(keeps_books=True) as venue:
        await accepted(venue, BUY)
        await accepted(venue, LOW_BUY, 2)
        await venue.next_print()
        orders = await venue.broker.orders(venue.account)
        fills = await venue.broker.fills(venue.account)
        positions = await venue.broker.positions(venue.account)
        await venue.restart()
        assert await venue.broker.orders(venue.account) == orders
        assert await venue.broker.fills(venue.account) == fills
        assert await venue.broker.positions(venue.account) == positions


@case("A-16")
async def test_an_order_that_rested_before_a_restart_goes_on_after_it(open_venue: OpenVenue) -> None:
    async with open_venue(keeps_books=True) as venue:
        venue_order_id = await accepted(venue, LOW_BUY)
        await venue.restart()
        await venue.broker.orders(venue.account)  # A question finds that the token is dead; an order would be refused.
        await venue.broker.cancel(venue.account, venue_order_id)
        assert await status(venue) is OrderStatus.CANCELED


@case("A-17")
async def test_what_is_traded_by_hand_shows_in_orders_executions_and_positions(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await accepted(venue, BUY)
        await venue.next_print()
        await venue.trade_by_hand(Side.SELL, 10)
        await venue.next_print()
        assert [order.correlation_id for order in await venue.broker.orders(venue.account)] == [correlation(), None]
        assert [fill.side for fill in await venue.broker.fills(venue.account)] == [Side.BUY, Side.SELL]
        assert sum(position.net_quantity for position in await venue.broker.positions(venue.account)) == 0


@case("A-18")
async def test_questions_that_cannot_be_answered_say_so(open_venue: OpenVenue) -> None:
    async with open_venue() as venue:
        await venue.fail("read", "a gateway is out", count=50)
        for ask in (venue.broker.orders, venue.broker.fills, venue.broker.positions):
            with pytest.raises(BrokerUnavailable):
                await ask(venue.account)
