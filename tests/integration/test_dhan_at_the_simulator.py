"""The Dhan adapter at the simulator: two parts that share no code, over real HTTP and a real websocket."""

import asyncio
import contextlib
from typing import Any

import msgspec

from adapters.simulator.tapes.synthetic import DEMO_START_NS
from commands.ports import Accepted, ModifyAccepted, NotSent, OutcomeUnknown, Refused
from domain.order import OrderStatus, OrderType, Product, Purpose, RefusalReason, Side
from tests.support import tape
from tests.support.dhan import ACCOUNT, LIMIT_BUY, MARKET_SELL, RELIANCE
from tests.support.dhan_simulator import at_the_simulator, correlation
from tests.support.eventually import eventually

S = 1_000_000_000
PRICE = 1_310_00_00
BUY = msgspec.structs.replace(LIMIT_BUY, limit_price_e4=PRICE, quantity=10)
SELL = msgspec.structs.replace(MARKET_SELL, quantity=4)


async def test_an_order_is_accepted_filled_and_held() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        placement = await broker.place(ACCOUNT, BUY, correlation(1), Purpose.ENTRY)
        assert isinstance(placement, Accepted)
        await venue.step()
        found = await broker.find_order(ACCOUNT, correlation(1))
        assert found is not None
        assert (found.venue_order_id, found.status) == (placement.venue_order_id, OrderStatus.FILLED)
        assert list(await broker.orders(ACCOUNT)) == [found]
        [fill] = await broker.fills(ACCOUNT)
        assert (fill.venue_order_id, fill.quantity, fill.price_e4) == (placement.venue_order_id, 10, PRICE)
        assert DEMO_START_NS <= fill.filled_at_ns <= DEMO_START_NS + 2 * S
        [position] = await broker.positions(ACCOUNT)
        assert (position.instrument, position.product) == (RELIANCE.key, Product.INTRADAY)
        assert (position.net_quantity, position.bought_quantity, position.sold_quantity) == (10, 10, 0)


async def test_a_market_exit_reduces_the_position() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        await broker.place(ACCOUNT, BUY, correlation(1), Purpose.ENTRY)
        await venue.step()
        assert isinstance(await broker.place(ACCOUNT, SELL, correlation(2), Purpose.EXIT), Accepted)
        await venue.step()
        [position] = await broker.positions(ACCOUNT)
        assert (position.net_quantity, position.sold_quantity) == (6, 4)


async def test_a_resting_order_is_canceled_and_a_second_cancel_harms_nothing() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        low = msgspec.structs.replace(BUY, limit_price_e4=PRICE - 50_000)
        placement = await broker.place(ACCOUNT, low, correlation(1), Purpose.ENTRY)
        assert isinstance(placement, Accepted)
        await broker.cancel(ACCOUNT, placement.venue_order_id)
        await broker.cancel(ACCOUNT, placement.venue_order_id)
        found = await broker.find_order(ACCOUNT, correlation(1))
        assert found is not None
        assert found.status is OrderStatus.CANCELED


STOP = msgspec.structs.replace(
    SELL, order_type=OrderType.SL, trigger_price_e4=PRICE - 20_000, limit_price_e4=PRICE - 40_000
)


async def test_a_stop_rests_is_moved_and_triggers() -> None:
    prices = (PRICE, PRICE, PRICE - 10_000)
    async with at_the_simulator(tape.steady(*prices)) as (venue, broker, _):
        await venue.step()
        await broker.place(ACCOUNT, BUY, correlation(1), Purpose.ENTRY)
        placement = await broker.place(ACCOUNT, STOP, correlation(2), Purpose.STOP)
        assert isinstance(placement, Accepted)
        resting = await broker.find_order(ACCOUNT, correlation(2))
        assert resting is not None
        assert (resting.status, resting.order_type) == (OrderStatus.ACKNOWLEDGED, OrderType.SL)
        assert (resting.trigger_price_e4, resting.limit_price_e4) == (PRICE - 20_000, PRICE - 40_000)
        raised = msgspec.structs.replace(STOP, trigger_price_e4=PRICE - 10_000, quantity=3)
        changed = await broker.modify(ACCOUNT, placement.venue_order_id, raised, Purpose.STOP)
        assert isinstance(changed, ModifyAccepted)
        moved = await broker.find_order(ACCOUNT, correlation(2))
        assert moved is not None
        assert (moved.trigger_price_e4, moved.quantity) == (PRICE - 10_000, 3)
        await venue.step(2)
        (_, stopped) = await broker.fills(ACCOUNT)
        assert (stopped.venue_order_id, stopped.quantity) == (placement.venue_order_id, 3)
        assert (stopped.instrument, stopped.product, stopped.side) == (RELIANCE.key, Product.INTRADAY, Side.SELL)


async def test_a_stop_is_made_marketable() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        await broker.place(ACCOUNT, BUY, correlation(1), Purpose.ENTRY)
        placement = await broker.place(ACCOUNT, STOP, correlation(2), Purpose.STOP)
        assert isinstance(placement, Accepted)
        await broker.modify(ACCOUNT, placement.venue_order_id, SELL, Purpose.STOP)
        found = await broker.find_order(ACCOUNT, correlation(2))
        assert found is not None
        assert (found.status, found.order_type) == (OrderStatus.FILLED, OrderType.LIMIT)


async def test_a_lost_answer_to_a_change_is_unknown_and_asked_again_harms_nothing() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        low = msgspec.structs.replace(BUY, limit_price_e4=PRICE - 50_000)
        placement = await broker.place(ACCOUNT, low, correlation(1), Purpose.ENTRY)
        assert isinstance(placement, Accepted)
        lower = msgspec.structs.replace(low, limit_price_e4=PRICE - 60_000)
        await venue.fault("lose_answer_after_acceptance", target="modify")
        lost = await broker.modify(ACCOUNT, placement.venue_order_id, lower, Purpose.ENTRY)
        assert isinstance(lost, OutcomeUnknown)
        again = await broker.modify(ACCOUNT, placement.venue_order_id, lower, Purpose.ENTRY)
        assert isinstance(again, ModifyAccepted)
        [row] = await broker.orders(ACCOUNT)
        assert (row.limit_price_e4, row.quantity) == (PRICE - 60_000, 10)


async def test_a_change_of_what_is_done_is_refused() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        placement = await broker.place(ACCOUNT, BUY, correlation(1), Purpose.ENTRY)
        assert isinstance(placement, Accepted)
        outcome = await broker.modify(ACCOUNT, placement.venue_order_id, BUY, Purpose.ENTRY)
        assert isinstance(outcome, Refused)


async def test_an_after_market_order_waits_for_the_session() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE)) as (venue, broker, _):
        waiting = msgspec.structs.replace(BUY, after_market=True)
        assert isinstance(await broker.place(ACCOUNT, waiting, correlation(1), Purpose.ENTRY), Accepted)
        [row] = await broker.orders(ACCOUNT)
        assert row.status is OrderStatus.ACKNOWLEDGED
        await venue.step()
        [row] = await broker.orders(ACCOUNT)
        assert row.status is OrderStatus.FILLED


async def test_what_was_traded_by_hand_is_told_from_what_is_ours() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        await broker.place(ACCOUNT, BUY, correlation(1), Purpose.ENTRY)
        session = await broker.tokens.session(ACCOUNT)
        body = {name: value for name, value in tape.ORDER.items() if name != "correlationId"}
        made = await venue.admin("POST", "/orders", json={**body, "dhanClientId": session.client_id})
        ours, foreign = await broker.orders(ACCOUNT)
        assert (ours.correlation_id, foreign.correlation_id) == (correlation(1), None)
        assert foreign.venue_order_id == made["orderId"]
        assert (foreign.instrument, foreign.side, foreign.product) == (RELIANCE.key, Side.BUY, Product.INTRADAY)
        assert [fill.venue_order_id for fill in await broker.fills(ACCOUNT)] == [
            ours.venue_order_id,
            foreign.venue_order_id,
        ]


async def test_a_lost_answer_is_unknown_and_the_order_is_found_by_our_id() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        await venue.fault("lose_answer_after_acceptance")
        assert isinstance(await broker.place(ACCOUNT, BUY, correlation(1), Purpose.ENTRY), OutcomeUnknown)
        assert await broker.find_order(ACCOUNT, correlation(1)) is not None
        await venue.fault("lose_answer_before_acceptance")
        assert isinstance(await broker.place(ACCOUNT, BUY, correlation(2), Purpose.ENTRY), OutcomeUnknown)
        assert await broker.find_order(ACCOUNT, correlation(2)) is None


async def test_refusals_of_the_simulator_have_their_reasons() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        huge = msgspec.structs.replace(BUY, quantity=0)
        placement = await broker.place(ACCOUNT, huge, correlation(1), Purpose.ENTRY)
        assert isinstance(placement, Refused)
        assert placement.reason is RefusalReason.INPUT


async def test_a_revoked_token_is_renewed() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE)) as (venue, broker, _):
        session = await broker.tokens.session(ACCOUNT)
        await venue.fault("revoke_token", client_id=session.client_id)
        placement = await broker.place(ACCOUNT, BUY, correlation(1), Purpose.ENTRY)
        assert isinstance(placement, Refused)
        assert placement.reason is RefusalReason.TOKEN
        assert await broker.orders(ACCOUNT) == []
        assert await broker.tokens.session(ACCOUNT) != session


async def test_a_breaker_opens_lets_an_exit_pass_and_closes() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        await venue.fault("unavailable", count=3)
        for number in range(3):
            assert isinstance(await broker.place(ACCOUNT, BUY, correlation(number), Purpose.ENTRY), OutcomeUnknown)
        held_back = await broker.place(ACCOUNT, BUY, correlation(4), Purpose.ENTRY)
        assert isinstance(held_back, NotSent)
        assert held_back.breaker_open
        assert isinstance(await broker.place(ACCOUNT, SELL, correlation(5), Purpose.EXIT), Accepted)
        await eventually(lambda: not broker.is_held_back(ACCOUNT, Purpose.ENTRY))
        assert isinstance(await broker.place(ACCOUNT, BUY, correlation(6), Purpose.ENTRY), Accepted)


async def test_the_feed_brings_every_tick_in_step() -> None:
    prices = [PRICE + 500 * number for number in range(5)]
    async with at_the_simulator(tape.steady(*prices)) as (venue, _, feed):
        seen: list[tuple[int, int]] = []

        async def keep(ticks: list[Any]) -> None:
            seen.extend((tick.last_price_e4, tick.exchange_time_ns) for tick in ticks)

        running = asyncio.create_task(feed.run(keep))
        await eventually(lambda: feed.is_connected)
        for _ in prices:
            progress = await venue.step()
            await asyncio.wait_for(feed.wait_handled(progress["packets"]), 2)
        assert seen == [(price, DEMO_START_NS + number * S) for number, price in enumerate(prices)]
        await venue.fault("cut_feed")
        await eventually(lambda: feed.status()["connections"] == 2)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
