"""The adapter's calls beyond plain orders, at the simulator: two parts that share no code, over real HTTP."""

import msgspec

from adapters.dhan.calls import Done
from adapters.dhan.super_orders import ExitPrices, Leg
from commands.ports import Refused
from domain.ids import CorrelationId
from domain.order import OrderType, Product, Purpose
from tests.support import tape
from tests.support.dhan import ACCOUNT, LIMIT_BUY, RELIANCE
from tests.support.dhan_simulator import at_the_simulator, correlation

PRICE = 1_310_00_00
BUY = msgspec.structs.replace(LIMIT_BUY, limit_price_e4=PRICE, quantity=10)
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
