"""Trades that are several orders: sliced above the venue's freeze quantity, and baskets that are sent rank by rank.

The venue refuses what is above its freeze quantity, so that nothing here could be one order.
"""

from dataclasses import replace as but

import pytest
from msgspec.structs import replace

from domain.account.commands import CloseTrade
from domain.account.events import (
    BasketCompleted,
    BasketFailed,
    BasketPolicy,
    ExitCause,
    OrderFilled,
    OrderIntended,
    OrderModifyRequested,
    OrderRejected,
    TradeClosed,
    TradeOpened,
)
from domain.order import ModifyCause, Purpose
from tests.support.dealing_room import QUANTITY, STOCKS, STOP_E4, DealingRoom, buy, dealing_room
from tests.support.specimens import ACCOUNT, OWNER
from tests.support.virtual_time import in_virtual_time

FREEZE = 100
FROZEN = replace(STOCKS[0], freeze_quantity=FREEZE)
WHOLE = 250
LEGS = STOCKS[1:5]
INTENTS = [(but(buy, symbol=leg.symbol), rank) for leg, rank in zip(LEGS, (0, 0, 1, 2), strict=True)]


# --- Slices -----------------------------------------------------------------------------------------------------------


async def sliced(room: DealingRoom) -> None:
    await room.open(symbol=FROZEN.symbol, quantity=WHOLE)
    await room.settled()
    await room.second()
    assert await room.held() == {(FROZEN.symbol, "INTRADAY"): WHOLE}


@in_virtual_time
async def test_a_large_trade_is_entered_guarded_and_closed_in_slices() -> None:
    async with dealing_room([FROZEN]) as room:
        await sliced(room)
        assert sorted(stop["quantity"] for stop in await room.resting("SL")) == [50, 100, 100]
        assert {stop["trigger_price_e4"] for stop in await room.resting("SL")} == {STOP_E4}
        (opened,) = room.desk.events_of(TradeOpened)
        await room.desk.do(CloseTrade(trade_id=opened.trade_id, user_id=OWNER))
        await room.settled()
        await room.seconds(2)
        assert await room.held() == {}
        assert not await room.resting()
        exits = [event for event in room.desk.events_of(OrderModifyRequested) if event.cause is ModifyCause.EXIT]
        assert sorted(event.instruction.quantity for event in exits) == [50, 100, 100]
        orders = (await room.books())["orders"]
        assert len({order["correlation_id"] for order in orders}) == len(orders) == 6
        assert max(order["quantity"] for order in orders) == FREEZE


@in_virtual_time
async def test_the_stops_of_a_large_trade_close_all_of_it() -> None:
    async with dealing_room([FROZEN]) as room:
        await sliced(room)
        await room.second({FROZEN.key: STOP_E4})
        await room.seconds(2)
        assert await room.held() == {}
        (closed,) = room.desk.events_of(TradeClosed)
        assert closed.cause is ExitCause.STOP_LOSS
        assert not await room.resting()


@in_virtual_time
async def test_a_part_of_a_large_trade_is_closed_and_the_rest_stays_guarded() -> None:
    async with dealing_room([FROZEN]) as room:
        await sliced(room)
        (opened,) = room.desk.events_of(TradeOpened)
        await room.desk.do(CloseTrade(trade_id=opened.trade_id, user_id=OWNER, quantity=170))
        await room.seconds(6)
        assert await room.held() == {(FROZEN.symbol, "INTRADAY"): WHOLE - 170}
        assert sum(stop["quantity"] for stop in await room.resting("SL")) == WHOLE - 170
        await room.second({FROZEN.key: STOP_E4})
        await room.seconds(2)
        assert await room.held() == {}


# --- Baskets ----------------------------------------------------------------------------------------------------------


async def open_basket(room: DealingRoom, policy: BasketPolicy) -> None:
    """Send two legs, then one, then one; the venue refuses the third."""
    await room.venue.fault("refuse", security_id=LEGS[2].key.security_id, side="BUY")
    await room.desk.accounts.open_basket(ACCOUNT, OWNER, INTENTS, policy, room.desk.context())
    await room.settled()
    await room.seconds(4)
    (rejected,) = room.desk.events_of(OrderRejected)
    (failed,) = room.desk.events_of(BasketFailed)
    assert failed.failed_trade_id == rejected.trade_id


@pytest.mark.parametrize(
    ("policy", "held"),
    [
        (BasketPolicy.CONTINUE, (0, 1, 3)),
        (BasketPolicy.STOP, (0, 1)),
        (BasketPolicy.UNWIND, ()),
    ],
)
@in_virtual_time
async def test_a_basket_does_with_a_refused_leg_what_its_policy_says(
    policy: BasketPolicy, held: tuple[int, ...]
) -> None:
    async with dealing_room(LEGS) as room:
        await open_basket(room, policy)
        assert await room.held() == {(LEGS[number].symbol, "INTRADAY"): QUANTITY for number in held}
        assert {stop["symbol"] for stop in await room.resting()} == {LEGS[number].symbol for number in held}
        bought = [order["symbol"] for order in (await room.books())["orders"] if order["side"] == "BUY"]
        sent = {0, 1} | ({3} if policy is BasketPolicy.CONTINUE else set())
        assert set(bought) == {LEGS[number].symbol for number in sent}
        closed = [event.cause for event in room.desk.events_of(TradeClosed)]
        assert closed.count(ExitCause.BASKET) == {"continue": 0}.get(policy.value, len(closed) - 1)


@in_virtual_time
async def test_a_rank_waits_for_the_one_before() -> None:
    async with dealing_room(LEGS) as room:
        await room.desk.accounts.open_basket(ACCOUNT, OWNER, INTENTS, BasketPolicy.STOP, room.desk.context())
        await room.crash()
        await room.settled()
        await room.seconds(4)
        assert len(await room.held()) == len(LEGS)
        assert room.desk.events_of(BasketCompleted)
        told = [event for event in room.desk.events() if isinstance(event, OrderIntended | OrderFilled)]
        of_entries = [(type(event), event.order_id.split(".")[0]) for event in told if event.purpose is Purpose.ENTRY]
        first, second, third, fourth = [event.trade_id for event in room.desk.events_of(TradeOpened)]
        assert set(of_entries[2:4]) == {(OrderFilled, first), (OrderFilled, second)}
        assert of_entries[4:] == [
            (OrderIntended, third),
            (OrderFilled, third),
            (OrderIntended, fourth),
            (OrderFilled, fourth),
        ]
