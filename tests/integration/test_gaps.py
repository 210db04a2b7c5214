"""A price that jumps past a stop and its limit is followed step by step inside the day's price band; then a person is
called, and when the price comes back the trade is closed.
"""

import itertools

from domain.account.events import ExitCause, OrderModifyRequested, ProtectionFailed, TradeClosed, TradeExitTriggered
from domain.account.protection import GAP_STEPS_MAX
from domain.order import ModifyCause, OrderType, Product
from tests.support.dealing_room import QUANTITY, STOCKS, STOP_E4, DealingRoom, dealing_room
from tests.support.virtual_time import in_virtual_time

STOCK = STOCKS[0]
LIMIT_E4 = STOP_E4 * 995 // 1000 // 500 * 500
BAND_E4 = (800_0000, 1_200_0000)
NOTHING_TRADES = 0


async def guarded(room: DealingRoom) -> None:
    await room.open(symbol=STOCK.symbol, product=Product.CNC)
    await room.settled()
    room.bands_e4[STOCK.key] = BAND_E4
    await room.second()
    (stop,) = await room.resting("SL")
    assert (stop["trigger_price_e4"], stop["limit_price_e4"]) == (STOP_E4, LIMIT_E4)


async def gap(room: DealingRoom, price_e4: int, seconds: int) -> None:
    """Print the price for so long, without anybody who would buy there."""
    for _ in range(seconds):
        await room.second({STOCK.key: price_e4}, volume=NOTHING_TRADES)


def steps(room: DealingRoom) -> list[int]:
    """Return the limits that the stop was given, in their order."""
    asked = [event for event in room.desk.events_of(OrderModifyRequested) if event.cause is ModifyCause.GAP]
    assert {event.instruction.order_type for event in asked} <= {OrderType.LIMIT}
    return [event.instruction.limit_price_e4 or 0 for event in asked]


@in_virtual_time
async def test_a_stop_is_repriced_below_a_gap_and_fills_there() -> None:
    async with dealing_room([STOCK]) as room:
        await guarded(room)
        below_e4 = 900_0000
        await gap(room, below_e4, 3)
        assert not steps(room), "the price may come back"
        await gap(room, below_e4, 2)
        (limit_e4,) = steps(room)
        assert BAND_E4[0] <= limit_e4 < below_e4
        (order,) = await room.resting()
        assert (order["limit_price_e4"], order["quantity"], order["modifications"]) == (limit_e4, QUANTITY, 1)
        await room.seconds(2)
        (closed,) = room.desk.events_of(TradeClosed)
        assert closed.cause is ExitCause.STOP_LOSS
        assert await room.held() == {}
        assert not await room.resting()
        assert not room.desk.events_of(ProtectionFailed)


@in_virtual_time
async def test_a_price_that_runs_away_is_followed_to_the_edge_of_the_band_and_then_a_person_is_called() -> None:
    async with dealing_room([STOCK]) as room:
        await guarded(room)
        # Each time the stop is within reach, the price is gone again.
        for price_e4 in range(930_0000, BAND_E4[0], -25_0000):
            await gap(room, price_e4, 5)
        await gap(room, BAND_E4[0], 8)
        limits = steps(room)
        assert 1 < len(limits) <= GAP_STEPS_MAX
        assert all(after < before for before, after in itertools.pairwise(limits))
        assert min(limits) >= BAND_E4[0], "the venue would take no other"
        assert len(room.desk.events_of(ProtectionFailed)) == 1
        asked = len(room.desk.events_of(OrderModifyRequested))
        await gap(room, BAND_E4[0], 10)
        assert len(room.desk.events_of(OrderModifyRequested)) == asked, "it is a person's turn"
        assert (await room.held()) == {(STOCK.symbol, "CNC"): QUANTITY}
        (order,) = await room.resting()
        assert order["limit_price_e4"] == limits[-1]

        await room.second({STOCK.key: 850_0000})
        await room.seconds(1)
        (closed,) = room.desk.events_of(TradeClosed)
        assert closed.cause is ExitCause.STOP_LOSS
        assert len(room.desk.events_of(TradeExitTriggered)) == 1
        assert await room.held() == {}


@in_virtual_time
async def test_the_next_process_goes_on_with_the_steps() -> None:
    async with dealing_room([STOCK]) as room:
        await guarded(room)
        await gap(room, 900_0000, 6)
        await room.crash()
        await gap(room, 850_0000, 6)
        first_e4, second_e4 = steps(room)
        assert second_e4 < 850_0000 < first_e4 < 900_0000
        await room.seconds(2)
        assert room.desk.events_of(TradeClosed)
        assert await room.held() == {}
