"""What a person sells with the broker's own app takes its stop along: none is left behind that could open anything."""

import pytest

from domain.account.events import ForeignFillAllocated, TradeAdopted, TradeClosed
from domain.order import Product, Side
from tests.support.dealing_room import QUANTITY, STOCKS, STOP_E4, DealingRoom, dealing_room
from tests.support.virtual_time import in_virtual_time

STOCK = STOCKS[0]
BELOW = {STOCK.key: STOP_E4 - 4_0000}


async def guarded(room: DealingRoom, trades: int = 1) -> None:
    for _ in range(trades):
        await room.open(symbol=STOCK.symbol)
    await room.settled()
    await room.second()
    assert len(await room.resting("SL")) == trades


@pytest.mark.parametrize("crashes", [False, True])
@in_virtual_time
async def test_a_stop_goes_with_the_trade_that_somebody_closed(crashes: bool) -> None:  # noqa: FBT001 - a case
    async with dealing_room([STOCK]) as room:
        await guarded(room)
        await room.by_hand(STOCK, Side.SELL, QUANTITY, Product.INTRADAY)
        if crashes:
            await room.crash()
        await room.seconds_until(lambda: room.desk.events_of(TradeClosed), most=10)
        assert not await room.resting()
        for _ in range(3):
            await room.second(BELOW)
        assert await room.held() == {}, "no stop was left behind to sell once more"
        assert not room.desk.events_of(TradeAdopted)


@in_virtual_time
async def test_a_stop_shrinks_with_what_somebody_sold_of_the_trade() -> None:
    async with dealing_room([STOCK]) as room:
        await guarded(room)
        await room.by_hand(STOCK, Side.SELL, 4, Product.INTRADAY)
        await room.seconds(3)
        (stop,) = await room.resting("SL")
        assert stop["quantity"] == QUANTITY - 4
        await room.second(BELOW)
        await room.seconds(2)
        assert room.desk.events_of(TradeClosed)
        assert await room.held() == {}


@in_virtual_time
async def test_the_oldest_of_two_trades_is_what_somebody_sold_first() -> None:
    async with dealing_room([STOCK]) as room:
        await guarded(room, 2)
        await room.by_hand(STOCK, Side.SELL, QUANTITY + 3, Product.INTRADAY)
        await room.seconds(3)
        (stop,) = await room.resting("SL")
        assert stop["quantity"] == QUANTITY - 3
        assert [event.last_quantity for event in room.desk.events_of(ForeignFillAllocated)] == [QUANTITY, 3]
        assert len(room.desk.events_of(TradeClosed)) == 1
        await room.second(BELOW)
        await room.seconds(2)
        assert len(room.desk.events_of(TradeClosed)) == 2
        assert await room.held() == {}


@in_virtual_time
async def test_who_sells_more_than_we_hold_has_a_position_of_their_own() -> None:
    async with dealing_room([STOCK]) as room:
        await guarded(room)
        await room.by_hand(STOCK, Side.SELL, QUANTITY + 5, Product.INTRADAY)
        await room.seconds(3)
        assert not await room.resting()
        assert await room.held() == {(STOCK.symbol, "INTRADAY"): -5}
        assert room.desk.events_of(TradeClosed)
        (adopted,) = room.desk.events_of(TradeAdopted)
        assert room.state().trades[adopted.trade_id].holding.net_quantity == -5
        await room.by_hand(STOCK, Side.BUY, 5, Product.INTRADAY)
        await room.seconds(3)
        assert room.state().trades[adopted.trade_id].is_closed
        assert await room.held() == {}
