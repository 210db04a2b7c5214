"""The Dhan adapter at the simulator: two parts that share no code, over real HTTP and a real websocket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from adapters.clock import SystemClock
from adapters.dhan.broker import DhanBroker
from adapters.dhan.client import HttpClient
from adapters.dhan.feed import DhanFeed
from adapters.dhan.tokens import PaperLogins, PinLogin
from adapters.simulator.synthetic import DEMO_START_NS
from commands.ports import Accepted, NotSent, OutcomeUnknown, Refused
from domain.ids import CorrelationId
from domain.order import OrderStatus, Product, Purpose, RefusalReason
from tests.support import tape
from tests.support.dhan import ACCOUNT, LIMIT_BUY, MARKET_SELL, RELIANCE, settings_for
from tests.support.eventually import eventually

S = 1_000_000_000
PRICE = 1_310_00_00
BUY = msgspec.structs.replace(LIMIT_BUY, limit_price_e4=PRICE, quantity=10)
SELL = msgspec.structs.replace(MARKET_SELL, quantity=4)


def correlation(number: int) -> CorrelationId:
    return CorrelationId(f"kh1{number:022d}")


@contextlib.asynccontextmanager
async def at_the_simulator(
    simulator_tape: tape.ScriptedTape, *, config: dict[str, Any] | None = None, **changes: Any
) -> AsyncIterator[tuple[tape.Venue, DhanBroker, DhanFeed]]:
    async with tape.venue(tape.config_of(simulator_tape, **(config or {})), logged_in=False) as venue:
        url = f"http://127.0.0.1:{venue.port}"
        settings = settings_for(url, feed_url=f"ws://127.0.0.1:{venue.port}/feed", **changes)
        clock = SystemClock()
        client = HttpClient(settings, clock)
        broker = DhanBroker(settings, PaperLogins(PinLogin(client, settings, clock), tape.SECRET), client, clock)
        try:
            yield venue, broker, DhanFeed(settings, broker.tokens, ACCOUNT, [RELIANCE])
        finally:
            await broker.aclose()


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
