"""A kill switch flattens the account at the broker's own books, whatever else goes wrong meanwhile.

Twenty positions in two products, each with a stop at the venue; resting entries; an entry whose answer was lost; the
breaker of entries open; the books unreadable for a while; a crash in the middle; an instrument whose exits the venue
refuses to the end; shares that others hold in the same account.
"""

import asyncio
from pathlib import Path

import pytest

from adapters.dhan.access.tokens import PaperLogins
from adapters.simulator.books.journal import Journal
from adapters.simulator.books.records import AccountOpened, BooksOpened, CarriedHolding
from commands.executor import ExecutorSettings
from domain.account.commands import EngageKillSwitch
from domain.account.events import (
    FlattenFinished,
    KillMode,
    OrderBlocked,
    OrderDenied,
    OrderPresumedAbsent,
    TradeAdopted,
    TradeClosed,
)
from domain.ids import StrategyId, TradeId
from domain.order import OrderStatus, OrderType, Product, Purpose, Side
from tests.support import tape
from tests.support.dealing_room import PRICE_E4, QUANTITY, STOCKS, DealingRoom, buy, dealing_room
from tests.support.specimens import ACCOUNT, OWNER
from tests.support.virtual_time import in_virtual_time

HELD = STOCKS[:10]
ENTERED = STOCKS[10:15]
LOST, ABSENT, HELD_BACK = STOCKS[15], STOCKS[16:18], STOCKS[18]
REFUSED = HELD[3]
BY_HAND, FROM_BEFORE = STOCKS[19], STOCKS[20]
ALL = STOCKS[:21]
BELOW_E4 = 980_0000
OTHERS = {(BY_HAND.symbol, "INTRADAY"): 7, (FROM_BEFORE.symbol, "CNC"): 40}
SETTINGS = ExecutorSettings(flat_patience_ms=5_000, poll_ms=500)
LIMITS = {1: 10, 60: 250, 3600: 1_000}
"""Most orders, modifications and cancels in so many seconds. Source: Dhan, rate limits of order APIs."""
TWO_STRATEGIES = (StrategyId("str_wanted"), StrategyId("str_other"))


def books_of_yesterday(folder: Path) -> Path:
    """Write the venue's books of an account that held shares before anybody wrote a log about it."""
    client_id = PaperLogins(None, tape.SECRET).client_id(ACCOUNT)  # type: ignore[arg-type] - nobody logs in with it
    held = CarriedHolding(instrument=FROM_BEFORE, product="CNC", quantity=40, value_e4=40 * PRICE_E4)
    path = folder / "books.jsonl"
    journal = Journal(path)
    journal.begin(
        [
            BooksOpened(next_order_number=1, next_trade_number=1),
            AccountOpened(client_id=client_id, balance_paise=10**12, holdings=(held,)),
        ]
    )
    journal.close()
    return path


async def invest(room: DealingRoom) -> None:
    """Hold ten instruments in two products, each with a stop, beside what others hold; and rest five entries."""
    for stock in HELD:
        await room.open(symbol=stock.symbol)
        await room.open(symbol=stock.symbol, product=Product.CNC)
    await room.by_hand(BY_HAND, Side.BUY, 7, Product.INTRADAY)
    for stock in ENTERED:
        await rest_entry(room, stock.symbol)
    await room.settled()
    await room.second()
    assert len(await room.resting("SL")) == 20
    assert len(await room.resting("LIMIT")) == 5
    assert len(await room.held()) == 20 + len(OTHERS)
    assert room.desk.events_of(TradeAdopted)


async def rest_entry(room: DealingRoom, symbol: str, strategy_id: StrategyId | None = None) -> TradeId:
    return await room.open(
        symbol=symbol, order_type=OrderType.LIMIT, limit_price_e4=BELOW_E4, strategy_id=strategy_id, stop_loss_e4=None
    )


async def go_wrong(room: DealingRoom) -> None:
    """Lose an entry's answer and hide its order, open the breaker of entries, and let one exit be refused for ever."""
    await room.venue.fault("unavailable", target="read", count=9)
    await room.venue.fault("lose_answer_after_acceptance", security_id=LOST.key.security_id)
    for stock in ABSENT:
        await room.venue.fault("unavailable", security_id=stock.key.security_id)
    for stock in (LOST, *ABSENT):
        await rest_entry(room, stock.symbol)
    await asyncio.sleep(1)
    assert room.broker.is_held_back(ACCOUNT, Purpose.ENTRY)
    await rest_entry(room, HELD_BACK.symbol)
    for target in ("place", "modify"):
        await room.venue.fault("refuse", target=target, security_id=REFUSED.key.security_id, side="SELL", count=1_000)
    statuses = [order.status for order in room.state().orders.values() if order.purpose is Purpose.ENTRY]
    assert statuses.count(OrderStatus.UNKNOWN) == 3
    assert statuses.count(OrderStatus.INTENDED) == 1


@pytest.mark.parametrize("seconds_to_crash", [1, 9])
@in_virtual_time
async def test_all_is_flat_at_the_venue_through_every_trouble(tmp_path: Path, seconds_to_crash: int) -> None:
    async with dealing_room(ALL, executor=SETTINGS, journal=books_of_yesterday(tmp_path)) as room:
        await invest(room)
        await go_wrong(room)
        await room.desk.do(EngageKillSwitch(user_id=OWNER, reason="enough", mode=KillMode.FLATTEN))
        await room.seconds(seconds_to_crash)
        await room.crash()
        await room.seconds_until(lambda: room.desk.events_of(FlattenFinished), most=60)

        refused = {(REFUSED.symbol, "INTRADAY"): QUANTITY, (REFUSED.symbol, "CNC"): QUANTITY}
        assert await room.held() == OTHERS | refused
        assert not await room.resting()
        state = room.state()
        absent = {event.trade_id for event in room.desk.events_of(OrderPresumedAbsent)}
        assert {state.trades[name].symbol for name in absent} == {stock.symbol for stock in ABSENT}
        kept = {trade.trade_id for trade in state.trades.values() if trade.symbol == REFUSED.symbol}
        (finished,) = room.desk.events_of(FlattenFinished)
        assert set(finished.remaining) == kept | absent
        assert len(finished.remaining) == 4
        (lost,) = [trade for trade in state.trades.values() if trade.symbol == LOST.symbol]
        assert lost.is_closed, "it turned up and was canceled"
        (held_back,) = room.desk.events_of(OrderBlocked)
        assert state.trades[held_back.trade_id].symbol == HELD_BACK.symbol
        assert room.toll.refused == 0, "the venue never had to say that it was too much"
        for seconds, most in LIMITS.items():
            assert room.toll.most_in(seconds) <= most


@in_virtual_time
async def test_a_halt_cancels_entries_and_leaves_stops(tmp_path: Path) -> None:
    async with dealing_room(ALL, executor=SETTINGS, journal=books_of_yesterday(tmp_path)) as room:
        await invest(room)
        before = await room.held()
        await room.desk.do(EngageKillSwitch(user_id=OWNER, reason="a look first", mode=KillMode.HALT))
        await room.crash()
        await room.seconds(8)
        assert await room.held() == before
        assert len(await room.resting("SL")) == 20
        assert not await room.resting("LIMIT")
        assert len(room.desk.events_of(TradeClosed)) == len(ENTERED)
        assert not room.desk.events_of(FlattenFinished)
        (denied,) = (await room.desk.open_trade(buy)).events
        assert isinstance(denied, OrderDenied)


@pytest.mark.parametrize("mode", [KillMode.HALT, KillMode.FLATTEN])
@in_virtual_time
async def test_a_strategys_switch_is_about_its_own_trades(mode: KillMode) -> None:
    async with dealing_room(ALL, executor=SETTINGS) as room:
        wanted, other = TWO_STRATEGIES
        for stock in HELD[:4]:
            for strategy_id in TWO_STRATEGIES:
                await room.open(symbol=stock.symbol, strategy_id=strategy_id)
            await rest_entry(room, stock.symbol, wanted)
            await rest_entry(room, stock.symbol, other)
        await room.settled()
        await room.desk.do(EngageKillSwitch(user_id=OWNER, reason="it went wild", strategy_id=wanted, mode=mode))
        await room.crash()
        await room.seconds(8)
        flattens = mode is KillMode.FLATTEN
        left = QUANTITY if flattens else 2 * QUANTITY
        assert await room.held() == {(stock.symbol, "INTRADAY"): left for stock in HELD[:4]}
        assert len(await room.resting("SL")) == (4 if flattens else 8)
        assert len(await room.resting("LIMIT")) == 4
        state = room.state()
        live = [order for order in state.orders.values() if order.status is OrderStatus.ACKNOWLEDGED]
        owners = {(order.purpose, state.trades[order.trade_id].strategy_id) for order in live}
        guarded = {(Purpose.STOP, other)} if flattens else {(Purpose.STOP, other), (Purpose.STOP, wanted)}
        assert owners == {(Purpose.ENTRY, other)} | guarded
        finished = [(event.strategy_id, event.remaining) for event in room.desk.events_of(FlattenFinished)]
        assert finished == ([(wanted, ())] if flattens else [])
