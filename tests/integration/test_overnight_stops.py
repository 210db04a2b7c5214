"""What is carried over night is protected again in the morning: before any entry, once, and gaps are seen.

Whether nobody, we, or we and the venue begin anew in the night makes no difference.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.account.events import (
    ExitCause,
    OrderAcknowledged,
    OrderSubmitting,
    ProtectionLapsed,
    TradeClosed,
    TradeExitTriggered,
)
from domain.order import Product, Purpose
from tests.support.dealing_room import FUTURES, PRICE_E4, QUANTITY, STOCKS, STOP_E4, DealingRoom, dealing_room
from tests.support.specimens import DAY_NS, NOW_NS
from tests.support.virtual_time import in_virtual_time

CARRIED = dict.fromkeys(STOCKS[:4], Product.CNC) | dict.fromkeys(FUTURES[:2], Product.MARGIN)
GAPS = {STOCKS[0]: Product.CNC, FUTURES[0]: Product.MARGIN}
NEW = STOCKS[9]
ALL = (*CARRIED, NEW)
MORNING_E4 = {instrument.key: 940_0000 for instrument in GAPS}
"""Below the stops."""


@contextlib.asynccontextmanager
async def after_the_night(folder: Path, who_restarts: str) -> AsyncIterator[DealingRoom]:
    """Carry six trades to the next morning, whose first prices have just been printed."""
    journal = folder / "books.jsonl"
    async with dealing_room(ALL, journal=journal) as room:
        for instrument, product in CARRIED.items():
            await room.open(symbol=instrument.symbol, product=product)
        await room.settled()
        await room.second()
        assert len(await room.resting("SL")) == len(CARRIED)
        await room.close_session()
        sent = len(room.desk.events_of(OrderSubmitting))
        for hour in range(1, 16):
            if hour == 8 and who_restarts != "nobody":
                await room.crash()
            await room.protection.on_time(room.now_ns + hour * 3600 * 10**9)
            await asyncio.sleep(2)
        assert len(room.desk.events_of(ProtectionLapsed)) == len(CARRIED)
        assert len(room.desk.events_of(OrderSubmitting)) == sent, "nothing is sent at night"
        if who_restarts != "the venue and we":
            room.next_day()
            await room.print_prices(MORNING_E4)
            yield room
            return
    async with dealing_room(
        ALL, journal=journal, desk=room.desk, start_ns=NOW_NS + DAY_NS, prices_e4=MORNING_E4
    ) as room:
        yield room


@pytest.mark.parametrize("who_restarts", ["nobody", "we", "the venue and we"])
@in_virtual_time
async def test_carried_trades_have_their_stops_again_before_anything_else(tmp_path: Path, who_restarts: str) -> None:
    async with after_the_night(tmp_path, who_restarts) as room:
        events = room.desk.events()
        yesterday = max(place for place, event in enumerate(events) if isinstance(event, ProtectionLapsed))
        new = await room.open(symbol=NEW.symbol)
        await room.settled()
        await room.seconds(3)

        guarded = {instrument.symbol for instrument in CARRIED if instrument not in GAPS} | {NEW.symbol}
        stops = await room.resting("SL")
        assert {stop["symbol"] for stop in stops} == guarded
        assert len(stops) == len(guarded)
        assert {(stop["quantity"], stop["trigger_price_e4"]) for stop in stops} == {(QUANTITY, STOP_E4)}
        held = {(instrument.symbol, product.value): QUANTITY for instrument, product in CARRIED.items()}
        gone = {(instrument.symbol, product.value) for instrument, product in GAPS.items()}
        expected = {position: quantity for position, quantity in held.items() if position not in gone}
        assert await room.held() == expected | {(NEW.symbol, "INTRADAY"): QUANTITY}

        today = room.desk.events()[yesterday + 1 :]
        exits = [event for event in today if isinstance(event, TradeExitTriggered)]
        closed = [event for event in today if isinstance(event, TradeClosed)]
        assert [event.cause for event in exits] == [ExitCause.STOP_LOSS] * len(GAPS)
        assert {event.trade_id for event in closed} == {event.trade_id for event in exits}
        sent = [room.state().orders[event.order_id] for event in today if isinstance(event, OrderSubmitting)]
        assert len(sent) == len(CARRIED) + 2, "one stop or exit each, and the new trade's entry and stop"
        (entry,) = [place for place, order in enumerate(sent) if order.purpose is Purpose.ENTRY]
        assert (sent[entry].trade_id, entry) == (new, len(CARRIED))


@in_virtual_time
async def test_a_stop_that_the_venue_refuses_in_the_morning_is_placed_again() -> None:
    async with dealing_room(ALL) as room:
        await room.open(symbol=NEW.symbol, product=Product.CNC)
        await room.settled()
        await room.close_session()
        await asyncio.sleep(2)
        await room.venue.fault("refuse", side="SELL")
        room.next_day()
        await room.seconds(3)
        (stop,) = await room.resting("SL")
        assert (stop["quantity"], stop["trigger_price_e4"]) == (QUANTITY, STOP_E4)
        assert room.prices_e4[NEW.key] == PRICE_E4
        assert len(room.desk.events_of(OrderAcknowledged)) == 3
