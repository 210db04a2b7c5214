"""The adapter's calls beyond plain orders, at the simulator: two parts that share no code, over real HTTP."""

import asyncio
from datetime import date, datetime
from pathlib import Path

import msgspec
import pytest

from adapters.clock import SystemClock
from adapters.dhan.access.tokens import LoginRefused, PinLogin
from adapters.dhan.guard.calls import Done
from adapters.dhan.http.client import HttpClient
from adapters.dhan.readiness import DhanReadiness
from adapters.dhan.rest.account import Registration
from adapters.dhan.rest.scrip_files import ScripFiles, ScripLayout
from adapters.dhan.rest.super_orders import ExitPrices, Leg
from adapters.dhan.scrip_master import read_scrip_master
from adapters.dhan.words.codec import ist_text_of
from commands.ports import Accepted, NotSent, Refused
from domain.ids import CorrelationId
from domain.order import OrderType, Product, Purpose, RefusalReason
from tests.support import tape
from tests.support.dhan import ACCOUNT, LIMIT_BUY, RELIANCE, settings_for
from tests.support.dhan_simulator import at_the_simulator, correlation
from tests.support.option_market import CALL, OPTION_MARKET

PRICE = 1_310_00_00
BUY = msgspec.structs.replace(LIMIT_BUY, limit_price_e4=PRICE, quantity=10)
AWAY = "198.51.100.7"
EXITS = ExitPrices(target_e4=PRICE + 20_0000, stop_loss_e4=PRICE - 20_0000, trailing_jump_e4=1_0000)
SLICED = CorrelationId("kh1slicedslicedsliced0001")


async def test_a_super_order_is_placed_moved_filled_and_left() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        placed = await broker.super_orders.place(ACCOUNT, BUY, EXITS, correlation(1))
        assert isinstance(placed, Done)
        await venue.step()
        moved = await broker.super_orders.move_target(ACCOUNT, placed.value, target_e4=PRICE + 30_0000)
        assert isinstance(moved, Done)
        [order] = await broker.super_orders.all(ACCOUNT)
        legs = {leg.leg: leg for leg in order.legs}
        assert (order.entry.venue_order_id, order.entry.cumulative_quantity, order.is_closed) == (
            placed.value,
            10,
            False,
        )
        assert legs["TARGET_LEG"].price_e4 == PRICE + 30_0000
        assert legs["STOP_LOSS_LEG"].price_e4 == PRICE - 20_0000
        assert isinstance(await broker.super_orders.cancel(ACCOUNT, placed.value, Leg.TARGET), Done)
        [fill] = await broker.order_calls.fills_of(ACCOUNT, placed.value)
        assert (fill.quantity, fill.price_e4) == (10, PRICE)


async def test_a_forever_order_is_armed_listed_and_ended() -> None:
    limit_e4, trigger_e4 = PRICE + 20_0000, PRICE + 10_0000
    trigger = msgspec.structs.replace(
        BUY, product=Product.CNC, order_type=OrderType.SL, limit_price_e4=limit_e4, trigger_price_e4=trigger_e4
    )
    async with at_the_simulator(tape.steady(PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        placed = await broker.forever_orders.place(ACCOUNT, trigger, correlation(1), Purpose.ENTRY)
        assert isinstance(placed, Done)
        [order] = await broker.forever_orders.all(ACCOUNT)
        assert (order.venue_order_id, order.is_armed) == (placed.value, True)
        assert (order.limit_price_e4, order.trigger_price_e4) == (limit_e4, trigger_e4)
        assert isinstance(await broker.forever_orders.cancel(ACCOUNT, placed.value), Done)


async def test_slices_a_conversion_and_the_account_are_told() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE, PRICE)) as (venue, broker, _):
        await venue.step()
        sliced = await broker.order_calls.place_sliced(ACCOUNT, BUY, SLICED, Purpose.ENTRY)
        assert isinstance(sliced, Done)
        await venue.step()
        order = await broker.order_calls.order(ACCOUNT, sliced.value[0])
        assert order is not None
        assert order.correlation_id == SLICED
        [held] = await broker.portfolio.positions(ACCOUNT)
        assert (held.position.instrument, held.bought_average_e4) == (RELIANCE.key, PRICE)
        converted = await broker.portfolio.convert(ACCOUNT, held.position, to_product=Product.CNC, quantity=4)
        assert isinstance(converted, Done)
        now_held = {
            each.position.product: each.position.net_quantity for each in await broker.portfolio.positions(ACCOUNT)
        }
        assert now_held == {Product.INTRADAY: 6, Product.CNC: 4}
        money, profile = await broker.account.funds(ACCOUNT), await broker.account.profile(ACCOUNT)
        assert money.available_paise + money.utilized_paise == money.day_start_paise
        assert profile.token_valid_until_ns is not None
        assert not await broker.account.is_killed(ACCOUNT)
        assert isinstance(await broker.account.kill(ACCOUNT), Refused)  # Something is held.
        prices = await broker.market_data.last_prices(ACCOUNT, [RELIANCE.key])
        assert prices == {RELIANCE.key: PRICE}


async def test_quotes_candles_and_margins_are_told() -> None:
    played = tape.ScriptedTape(
        [(RELIANCE.key, PRICE, 10)],
        [(RELIANCE.key, PRICE + 1_0000, 30)],
        [(RELIANCE.key, PRICE - 2_0000, 10)],
        previous_closes_e4={RELIANCE.key: PRICE - 1_0000},
    )
    async with at_the_simulator(played, quotes_per_second=100) as (venue, broker, _):
        await venue.step(3)
        quote = (await broker.market_data.quotes(ACCOUNT, [RELIANCE.key]))[RELIANCE.key]
        day = (await broker.market_data.day_prices(ACCOUNT, [RELIANCE.key]))[RELIANCE.key]
        morning, evening = datetime(2026, 4, 15, 9, 15), datetime(2026, 4, 15, 15, 30)  # noqa: DTZ001 - Indian
        [candle] = await broker.market_data.intraday_candles(ACCOUNT, RELIANCE.key, "EQUITY", morning, evening)
        margin = await broker.account.margin(ACCOUNT, BUY)
    assert (day.last_price_e4, day.high_e4, day.previous_close_e4) == (PRICE - 2_0000, PRICE + 1_0000, PRICE - 1_0000)
    assert (quote.day, quote.volume, quote.last_quantity, len(quote.bids)) == (day, 50, 10, 5)
    assert (candle.open_e4, candle.close_e4, candle.volume) == (PRICE, PRICE - 2_0000, 50)
    assert ist_text_of(candle.opened_at_ns) == "2026-04-15 09:15:00"
    assert margin.total_paise > 0


async def test_an_option_chain_is_told() -> None:
    played = tape.ScriptedTape([(tape.NIFTY, 24_100_0000, 0), (CALL.key, 150_0000, 650)])
    async with at_the_simulator(played, config={"instruments": OPTION_MARKET}) as (venue, broker, _):
        await venue.step()
        expiries = await broker.market_data.expiries(ACCOUNT, tape.NIFTY)
        chain = await broker.market_data.option_chain(ACCOUNT, tape.NIFTY, expiries[0])
    quoted = {strike.call.security_id: strike.call for strike in chain.strikes if strike.call is not None}
    assert chain.last_price_e4 == 24_100_0000
    assert quoted[CALL.key.security_id].last_price_e4 == 150_0000


async def test_orders_from_an_address_that_is_not_registered_wait_until_it_is() -> None:
    async with at_the_simulator(tape.steady(PRICE, PRICE), address_check_s=0.0) as (venue, broker, _):
        await venue.step()
        assert await broker.account.addresses(ACCOUNT) is None
        ready = DhanReadiness(broker)
        assert await ready.is_address_registered(ACCOUNT) is None
        assert isinstance(await broker.account.register_address(ACCOUNT, AWAY, Registration.PRIMARY), Done)
        assert await ready.is_address_registered(ACCOUNT) is False
        refused = await broker.place(ACCOUNT, BUY, correlation(1), Purpose.ENTRY)
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.IP
        await broker.tend_once()
        held_back = await broker.place(ACCOUNT, BUY, correlation(2), Purpose.ENTRY)
        assert isinstance(held_back, NotSent)
        assert isinstance(await broker.account.register_address(ACCOUNT, "127.0.0.1", Registration.SECONDARY), Done)
        await broker.tend_once()
        assert isinstance(await broker.place(ACCOUNT, BUY, correlation(3), Purpose.ENTRY), Accepted)
        assert len(await broker.orders(ACCOUNT)) == 1
        assert await ready.is_address_registered(ACCOUNT) is True
        standing = await ready.standing(ACCOUNT)
        assert standing.available_paise == (await broker.account.funds(ACCOUNT)).available_paise > 0
        assert (standing.token_trouble, standing.token_ends_at_ns > SystemClock().wall_ns()) == ("", True)


async def test_the_scrip_master_is_downloaded(tmp_path: Path) -> None:
    async with tape.venue(tape.config_of(tape.steady(PRICE)), logged_in=False) as venue:
        settings = settings_for("http://unused", files_url=f"http://127.0.0.1:{venue.port}/api-data")
        client = HttpClient(settings, SystemClock())
        for layout in ScripLayout:
            path = await ScripFiles(client, settings).download(layout, tmp_path)
            read = await asyncio.to_thread(read_scrip_master, path, on=date(2026, 4, 15))
            assert read.layout == layout.name.lower()
            assert read.rows > 0
        await client.aclose()


async def test_a_renewed_token_serves_and_the_one_before_it_is_dead() -> None:
    async with at_the_simulator(tape.steady(PRICE)) as (venue, broker, _):
        before = await broker.tokens.session(ACCOUNT)
        settings = settings_for(f"http://127.0.0.1:{venue.port}")
        client = HttpClient(settings, SystemClock())
        login = PinLogin(client, settings, SystemClock())
        renewed = await login.renew(before)
        with pytest.raises(LoginRefused, match="Invalid Token"):
            await login.renew(before)
        await client.aclose()
        broker.tokens.put(ACCOUNT, renewed)
        assert (await broker.account.profile(ACCOUNT)).client_id == before.client_id
        assert await broker.tokens.session(ACCOUNT) == renewed
