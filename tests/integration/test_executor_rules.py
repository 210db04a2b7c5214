"""What the executor promises, at the venue itself: through the production adapter, in virtual time.

An exit that is nowhere is succeeded once; a cancel is remembered; an entry that waits too long lapses; of two senders
one sends; a full budget leaves room for what takes risk away, and a restart does not empty it; what the day never
showed ends with it. And a life with a crash in it comes to what the same life comes to without one.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace as but

import pytest

from commands.executor import ExecutorSettings
from domain.account.commands import CancelTrade, CloseTrade, EngageKillSwitch
from domain.account.events import (
    BasketPolicy,
    Evidence,
    FlattenFinished,
    KillMode,
    OrderAcknowledged,
    OrderCanceled,
    OrderExpired,
    OrderIntended,
    OrderLapsed,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    ProtectionMode,
    TradeClosed,
    Trailing,
)
from domain.account.exits import order_id_of
from domain.ids import TradeId
from domain.market import trading_day
from domain.order import OrderStatus, OrderType, Product, Purpose
from tests.support.dealing_room import PRICE_E4, QUANTITY, STOCKS, DealingRoom, buy, dealing_room
from tests.support.specimens import ACCOUNT, NOW_NS, OWNER
from tests.support.virtual_time import in_virtual_time, within

STOCK, OTHER = STOCKS[0], STOCKS[1]
BELOW_E4 = 980_0000
HELD = {(STOCK.symbol, "INTRADAY"): QUANTITY}
SOON_OVER = ExecutorSettings(day_end_ms=500)


async def hold(room: DealingRoom) -> TradeId:
    """Hold a trade whose stop the engine watches."""
    trade_id = await room.open(symbol=STOCK.symbol, protection=ProtectionMode.ENGINE)
    await room.settled()
    await room.second()
    assert await room.held() == HELD
    return trade_id


async def rest(room: DealingRoom, symbol: str = STOCK.symbol) -> TradeId:
    """Rest an entry below the market."""
    return await room.open(symbol=symbol, order_type=OrderType.LIMIT, limit_price_e4=BELOW_E4, stop_loss_e4=None)


async def close(room: DealingRoom, trade_id: TradeId) -> None:
    await room.desk.do(CloseTrade(trade_id=trade_id, user_id=OWNER))


async def sides(room: DealingRoom) -> Counter[str]:
    return Counter(order["side"] for order in (await room.books())["orders"])


# --- Successors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crashes", [False, True])
@in_virtual_time
async def test_an_exit_that_is_nowhere_is_succeeded_once(crashes: bool) -> None:  # noqa: FBT001 - a column of the table
    async with dealing_room([STOCK]) as room:
        trade_id = await hold(room)
        await room.venue.fault("lose_answer_before_acceptance", side="SELL")
        await close(room, trade_id)
        await within(20, lambda: bool(room.desk.events_of(OrderPresumedAbsent)))
        if crashes:
            await room.crash()
        await room.seconds(3)
        await room.settled()
        assert await room.held() == {}
        assert (await sides(room))["SELL"] == 1
        first, successor = [e for e in room.desk.events_of(OrderIntended) if e.purpose is Purpose.EXIT]
        assert successor.successor_of == first.order_id
        assert room.executor.status()["overshoot"] == 0


@in_virtual_time
async def test_what_somebody_sold_meanwhile_is_not_sold_again() -> None:
    async with dealing_room([STOCK]) as room:
        trade_id = await hold(room)
        await room.venue.fault("lose_answer_before_acceptance", side="SELL")
        await close(room, trade_id)
        await room.by_hand(STOCK, buy.side.opposite, QUANTITY, Product.INTRADAY)
        await room.seconds(10)
        assert await room.held() == {}
        assert (await sides(room))["SELL"] == 1, "by hand, and by nobody else"
        assert room.state().trades[trade_id].holding.net_quantity == 0


# --- What is remembered, and what is too old --------------------------------------------------------------------------


@in_virtual_time
async def test_a_cancel_of_an_order_in_doubt_is_remembered_through_a_crash() -> None:
    async with dealing_room([STOCK]) as room:
        await hold(room)  # The gate is shut until the venue's books were read once.
        await room.venue.fault("unavailable", target="read", count=200)
        await room.venue.fault("lose_answer_after_acceptance")
        trade_id = await rest(room)
        await within(10, lambda: bool(room.desk.events_of(OrderOutcomeUnknown)))
        await room.desk.do(CancelTrade(trade_id=trade_id, user_id=OWNER))
        await room.crash()
        assert len(await room.resting()) == 1, "nobody could find it yet"
        await room.venue.admin("DELETE", "/faults")
        await within(30, lambda: bool(room.desk.events_of(OrderCanceled)))
        assert not await room.resting()
        assert room.desk.events_of(OrderAcknowledged)[-1].evidence is not Evidence.ANSWER
        assert room.desk.events_of(TradeClosed)


@in_virtual_time
async def test_an_entry_that_the_breaker_held_back_for_too_long_is_not_sent_any_more() -> None:
    async with dealing_room([STOCK, OTHER], dhan={"breaker_reset_s": 7.0}) as room:
        await room.venue.fault("unavailable", target="place", count=3)
        for _ in range(3):
            await rest(room)
        await within(10, lambda: len(room.desk.events_of(OrderOutcomeUnknown)) == 3)
        late = await rest(room, OTHER.symbol)
        await room.seconds(9)
        assert [event.trade_id for event in room.desk.events_of(OrderLapsed)] == [late]
        assert OTHER.symbol not in {order["symbol"] for order in (await room.books())["orders"]}


# --- One sender -------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_of_two_executors_the_one_with_the_lease_sends() -> None:
    async with dealing_room([STOCK, OTHER]) as room:
        first = room.desk.lease
        second = room.desk.executor()
        running = asyncio.create_task(second.run())
        assert not first.is_held()
        for _ in range(5):
            await rest(room)
            await rest(room, OTHER.symbol)
        await room.settled()
        orders = (await room.books())["orders"]
        assert len(orders) == len({order["correlation_id"] for order in orders}) == 10
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# --- Budgets ----------------------------------------------------------------------------------------------------------

A_MINUTE = 60
PER_MINUTE, RESERVE = 12, 4
TIGHT = {"requests_per_minute": PER_MINUTE, "order_reserve": RESERVE}


@in_virtual_time
async def test_a_full_budget_leaves_room_for_cancels_and_exits_before_any_entry() -> None:
    async with dealing_room([STOCK, OTHER], dhan=TIGHT) as room:
        held = await hold(room)
        for _ in range(PER_MINUTE - RESERVE - 1):
            resting = await rest(room)
        await room.settled()
        for _ in range(4):
            await rest(room, OTHER.symbol)
        await room.desk.do(CancelTrade(trade_id=resting, user_id=OWNER))
        await close(room, held)
        await room.seconds(4)
        assert await room.held() == {}
        assert room.state().orders[order_id_of(resting, 1)].status is OrderStatus.CANCELED
        assert OTHER.symbol not in {order["symbol"] for order in (await room.books())["orders"]}
        assert len(room.toll.order_requests_ns) == PER_MINUTE - RESERVE + 2
        assert room.toll.refused == 0


@in_virtual_time
async def test_what_was_spent_before_a_crash_is_spent_after_it() -> None:
    async with dealing_room([STOCK, OTHER], dhan=TIGHT) as room:
        held = await hold(room)
        for _ in range(PER_MINUTE - RESERVE - 1):
            await rest(room)
        await room.settled()
        await room.crash()
        for _ in range(4):
            await rest(room, OTHER.symbol)
        await close(room, held)
        await room.seconds(3)
        assert await room.held() == {}, "an exit has its reserve"
        assert OTHER.symbol not in {order["symbol"] for order in (await room.books())["orders"]}
        assert room.toll.most_in(A_MINUTE) == PER_MINUTE - RESERVE + 1


# --- The end of the day -----------------------------------------------------------------------------------------------


@in_virtual_time
async def test_what_the_day_never_showed_ends_with_it_and_its_book_is_kept() -> None:
    async with dealing_room([STOCK], executor=SOON_OVER) as room:
        await rest(room)
        await room.settled()
        await room.venue.fault("lose_answer_before_acceptance")
        lost = await rest(room)
        await within(20, lambda: bool(room.desk.events_of(OrderPresumedAbsent)))
        await room.close_session()
        await within(30, lambda: bool(room.kept_books.books))
        ended = {event.trade_id: event.evidence for event in room.desk.events_of(OrderExpired)}
        assert ended.pop(lost) is Evidence.DAY_END
        assert set(ended.values()) == {None}, "of the other one the venue said so itself"
        (((account_id, day), book),) = room.kept_books.books.items()
        assert (account_id, day) == (ACCOUNT, trading_day(NOW_NS))
        assert [row.status for row in book] == [OrderStatus.EXPIRED]


@pytest.mark.parametrize("arrives", [False, True])
@in_virtual_time
async def test_who_was_away_at_the_close_asks_the_history(arrives: bool) -> None:  # noqa: FBT001 - a column of the table
    async with dealing_room([STOCK], executor=SOON_OVER) as room:
        await hold(room)
        await room.venue.fault("unavailable", target="read", count=10_000)
        await room.venue.fault("lose_answer_after_acceptance" if arrives else "lose_answer_before_acceptance")
        await room.open(stop_loss_e4=None)
        await within(10, lambda: bool(room.desk.events_of(OrderOutcomeUnknown)))
        await room.second()
        await room.stop()
        await room.close_session()
        await room.venue.admin("DELETE", "/faults")
        room.next_day()
        await room.start()
        await room.seconds(20)
        expired = [event.evidence for event in room.desk.events_of(OrderExpired)]
        assert expired == ([] if arrives else [Evidence.DAY_END])


# --- A life with a crash in it ----------------------------------------------------------------------------------------

Step = Callable[[DealingRoom], Awaitable[object]]


async def a_basket_that_unwinds(room: DealingRoom) -> None:
    intents = [(but(buy, symbol=stock.symbol), rank) for stock, rank in zip(STOCKS[:3], (0, 0, 1), strict=True)]
    await room.venue.fault("refuse", security_id=STOCKS[2].key.security_id, side="BUY")
    await room.desk.accounts.open_basket(ACCOUNT, OWNER, intents, BasketPolicy.UNWIND, room.desk.context())
    # An entry that is lost on its way is not sent again by anybody: the first rank is at the venue, the last to come.
    await room.settled()
    await room.print_prices()


async def a_stop_that_trails(room: DealingRoom) -> None:
    await room.open(symbol=STOCK.symbol, trailing=Trailing(distance_e4=20_0000, step_e4=5_0000))
    await room.settled()
    await room.second({STOCK.key: PRICE_E4 + 30_0000})


async def a_halt(room: DealingRoom) -> None:
    await room.open(symbol=STOCK.symbol)
    await rest(room, OTHER.symbol)
    await room.settled()
    await room.desk.do(EngageKillSwitch(user_id=OWNER, reason="a look first", mode=KillMode.HALT))


async def a_flattening(room: DealingRoom) -> None:
    await room.open(symbol=STOCK.symbol)
    await room.open(symbol=OTHER.symbol, product=Product.CNC)
    await rest(room, STOCKS[2].symbol)
    await room.settled()
    await room.desk.do(EngageKillSwitch(user_id=OWNER, reason="enough", mode=KillMode.FLATTEN))


async def come_to_rest(begin: Step, *, turns: int | None) -> object:
    """Live a life, crash it *turns* steps of the loop after its middle (None: never), and return what it came to."""
    async with dealing_room(STOCKS[:3]) as room:
        await begin(room)
        if turns is not None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await room.crash()
        await room.seconds(8)
        await room.settled()
        state = room.state()
        trades = {
            (trade.symbol, trade.holding.net_quantity, trade.is_closed, trade.exit_cause, trade.stop_loss_e4)
            for trade in state.trades.values()
        }
        resting = sorted((o["symbol"], o["side"], o["quantity"], o["trigger_price_e4"]) for o in await room.resting())
        finished = [event.remaining for event in room.desk.events_of(FlattenFinished)]
        orders = (await room.books())["orders"]
        assert len(orders) == len({order["correlation_id"] for order in orders}), "no intent was sent twice"
        return trades, resting, finished, await room.held(), state.kill_switches


@pytest.mark.parametrize("begin", [a_basket_that_unwinds, a_stop_that_trails, a_halt, a_flattening])
@in_virtual_time
async def test_a_life_with_a_crash_comes_to_what_it_comes_to_without(begin: Step) -> None:
    undisturbed = await come_to_rest(begin, turns=None)
    for turns in (15, 60):
        assert await come_to_rest(begin, turns=turns) == undisturbed, f"crashed after {turns} turns"
