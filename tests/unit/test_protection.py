"""Protection: a tick that reaches a level has the trade closed, once, and again only where the exit came to nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace as but

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from commands.executor import Executor
from commands.ports import StoreUnavailable
from commands.protection import Protection
from commands.watched_trades import ClosingOrder, WatchedTrade
from domain.account.events import (
    ExitCause,
    OrderFilled,
    OrderIntended,
    OrderModifyRequested,
    ProtectionMode,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
    Trailing,
)
from domain.ids import OrderId, TradeId
from domain.market import Mark
from domain.order import OrderInstruction, OrderStatus, OrderType, Product, Purpose, Side
from tests.support.desk import SETTINGS, Desk, buy, running
from tests.support.eventually import eventually
from tests.support.fake_broker import Answer
from tests.support.specimens import ACCOUNT, NOW_NS, NS_PER_S, RELIANCE, canceled_by_venue, infy_mark, mark_at

PRICE_E4 = 2_850_0000
STOP = mark_at(2_800_0000)
TARGET = mark_at(2_900_0000)
IN_STEP = but(SETTINGS, lock_step=True)


def later(milliseconds: int, price_e4: int = 2_800_0000) -> Mark:
    return mark_at(price_e4, later_ms=milliseconds)


class Watch:
    """A desk with a protection and an executor at work."""

    def __init__(self, desk: Desk, protection: Protection, executor: Executor) -> None:
        self.desk = desk
        self.protection = protection
        self.executor = executor

    async def tick(self, mark: Mark) -> None:
        async with asyncio.timeout(5):
            await self.protection.catch_up()
            await self.protection.on_mark(mark)
            await self.executor.settle()
            await self.protection.catch_up()

    async def settle(self) -> None:
        async with asyncio.timeout(5):
            await self.executor.settle()
            await self.protection.catch_up()

    @property
    def exits(self) -> list[OrderIntended]:
        return [event for event in self.desk.events_of(OrderIntended) if event.purpose is Purpose.EXIT]


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    desk = Desk()
    await desk.open_account()
    desk.broker.fill_price_e4 = PRICE_E4
    protection, executor = desk.protection(), desk.executor(IN_STEP)
    async with running(protection), running(executor):
        yield Watch(desk, protection, executor)


async def test_a_stop_loss_that_is_reached_closes_the_trade(watch: Watch) -> None:
    await watch.desk.open_trade()
    await watch.settle()
    watch.desk.broker.fill_price_e4 = 2_799_0000
    await watch.tick(STOP)
    (triggered,) = watch.desk.events_of(TradeExitTriggered)
    (closed,) = watch.desk.events_of(TradeClosed)
    assert (triggered.cause, triggered.mark) == (ExitCause.STOP_LOSS, STOP)
    assert closed.realised_paise == -5_100_00
    assert watch.desk.broker.net_quantity == 0
    assert len(watch.protection._trades) == 0


async def test_a_target_that_is_reached_closes_the_trade(watch: Watch) -> None:
    await watch.desk.open_trade()
    await watch.settle()
    await watch.tick(TARGET)
    (triggered,) = watch.desk.events_of(TradeExitTriggered)
    assert triggered.cause is ExitCause.TARGET


async def test_a_short_trade_is_watched_the_other_way_round(watch: Watch) -> None:
    await watch.desk.open_trade(but(buy, side=Side.SELL, stop_loss_e4=2_900_0000, target_e4=2_800_0000))
    await watch.settle()
    await watch.tick(mark_at(2_850_0000))
    assert not watch.exits
    await watch.tick(TARGET)
    (triggered,) = watch.desk.events_of(TradeExitTriggered)
    assert triggered.cause is ExitCause.STOP_LOSS
    assert watch.desk.broker.net_quantity == 0


async def test_ticks_between_the_levels_or_elsewhere_close_nothing(watch: Watch) -> None:
    await watch.desk.open_trade()
    await watch.settle()
    for tick in (mark_at(2_800_1000), mark_at(2_899_9000), replace(infy_mark, last_price_e4=1_000)):
        await watch.tick(tick)
    assert not watch.exits


async def test_nothing_is_closed_before_it_is_held(watch: Watch) -> None:
    watch.desk.broker.fill_price_e4 = None
    await watch.desk.open_trade(but(buy, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000))
    await watch.settle()
    await watch.tick(STOP)
    assert not watch.desk.events_of(TradeExitTriggered)


async def test_ten_ticks_beyond_the_stop_make_one_exit(watch: Watch) -> None:
    await watch.desk.open_trade()
    await watch.settle()
    watch.desk.broker.fill_price_e4 = None
    for seconds in range(10):
        await watch.tick(later(seconds * 1000))
    assert len(watch.exits) == 1
    assert len(watch.desk.events_of(TradeExitTriggered)) == 1


async def test_ticks_at_once_make_one_exit_before_the_first_is_in_the_log(watch: Watch) -> None:
    await watch.desk.open_trade()
    await watch.settle()
    await asyncio.gather(*(watch.protection.on_mark(later(seconds * 5000)) for seconds in range(10)))
    assert len(watch.exits) == 1


async def test_every_trade_that_is_reached_is_closed_by_the_same_tick(watch: Watch) -> None:
    for _ in range(3):
        await watch.desk.open_trade()
    await watch.desk.open_trade(but(buy, stop_loss_e4=2_700_0000))
    await watch.settle()
    await watch.tick(STOP)
    assert len(watch.desk.events_of(TradeClosed)) == 3
    assert len(watch.protection._trades) == 1


async def test_a_refused_exit_is_tried_again_after_a_second_of_the_exchanges_time(watch: Watch) -> None:
    await watch.desk.open_trade()
    await watch.settle()
    watch.desk.broker.answers += [Answer.REFUSE, Answer.REFUSE]
    await watch.tick(later(0))
    assert len(watch.exits) == 1
    watch.desk.clock.tick_ns += 3_600 * NS_PER_S  # Our own clock has no say.
    await watch.tick(later(999))
    assert len(watch.exits) == 1
    await watch.tick(later(1_000, price_e4=2_850_0000))
    assert len(watch.exits) == 2, "once begun, an exit goes on whatever the price"
    await watch.tick(later(1_999))
    assert len(watch.exits) == 2
    await watch.tick(later(2_000))
    assert len(watch.exits) == 3
    assert watch.desk.events_of(TradeClosed)
    assert len(watch.desk.events_of(TradeExitTriggered)) == 1


async def test_an_exit_that_the_venue_canceled_in_part_is_followed_by_one_for_the_rest(watch: Watch) -> None:
    await watch.desk.open_trade()
    await watch.settle()
    watch.desk.broker.fill_price_e4 = None
    await watch.tick(later(0))
    row = watch.desk.broker.row(1)
    watch.desk.broker.fill(row, 30, 2_799_0000)
    watch.desk.broker.end(row, OrderStatus.CANCELED)
    watch.desk.broker.fill_price_e4 = 2_799_0000
    await watch.settle()
    await watch.tick(later(1_000))
    assert [order.instruction.quantity for order in watch.exits] == [100, 70]
    assert watch.desk.broker.net_quantity == 0
    assert watch.desk.events_of(TradeClosed)


async def test_an_exit_that_is_nowhere_is_succeeded_once_and_then_waited_for(watch: Watch) -> None:
    await watch.desk.open_trade()
    await watch.settle()
    watch.desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    await watch.tick(later(0))
    for seconds in range(2, 5):
        await watch.tick(later(seconds * 1000))
    first, successor = watch.exits
    assert successor.successor_of == first.order_id
    watch.desk.broker.fill(watch.desk.broker.turn_up(1), 100, 2_800_0000)
    await watch.settle()
    assert watch.desk.events_of(TradeClosed)


async def test_a_log_that_was_away_is_asked_again_at_the_next_tick(watch: Watch) -> None:
    await watch.desk.open_trade()
    await watch.settle()
    watch.desk.store.fail_next(StoreUnavailable("away"))
    await watch.tick(later(0))
    assert not watch.exits
    await watch.tick(later(1))
    assert len(watch.exits) == 1


async def test_a_late_fill_of_a_closed_trade_is_protected(watch: Watch) -> None:
    """An entry was canceled and its trade closed; the exchange had matched it all the same."""
    watch.desk.broker.fill_price_e4 = None
    outcome = await watch.desk.open_trade(but(buy, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000))
    (opened, entry) = outcome.events
    assert isinstance(opened, TradeOpened)
    assert isinstance(entry, OrderIntended)
    await watch.settle()
    await watch.desk.do(replace(canceled_by_venue, order_id=entry.order_id))
    assert watch.desk.events_of(TradeClosed)
    await watch.protection.catch_up()
    assert len(watch.protection._trades) == 0
    await watch.desk.open_trade()  # So that the account is still watched.
    watch.desk.broker.fill(watch.desk.broker.row(0), 40, 2_849_0000)
    await watch.settle()
    assert watch.desk.events_of(OrderFilled)
    watch.desk.broker.fill_price_e4 = 2_800_0000
    await watch.tick(STOP)
    assert [order.instruction.quantity for order in watch.exits] == [40]
    assert watch.desk.broker.net_quantity == 0


async def test_a_restart_forgets_no_trade(watch: Watch) -> None:
    await watch.desk.open_trade()
    await watch.settle()
    trades = watch.protection._trades
    watch.desk.watermarks.kept["protection"] = trades.low_water()
    assert trades.low_water() == watch.desk.store.events[0].sequence, "the account was opened first, then the trade"
    fresh = watch.desk.protection()
    async with running(fresh), asyncio.timeout(5):
        await fresh.catch_up()
        assert fresh.status()["trades"] == 1
        await fresh.on_mark(STOP)
    assert len(watch.exits) == 1


async def test_the_oldest_closed_trades_are_forgotten(watch: Watch) -> None:
    for _ in range(3):
        await watch.desk.open_trade()
        await watch.settle()
        await watch.desk.close()
        await watch.settle()
    trades = watch.protection._trades
    trades.forget_past(keep=1, market_time_ns=NOW_NS + 61 * NS_PER_S)
    assert len(trades._trades) == 1
    assert trades.low_water() == len(watch.desk.store.events)


async def test_what_was_done_is_counted_for_whoever_waits(watch: Watch) -> None:
    await watch.desk.open_trade()
    await watch.settle()
    before = watch.protection.effects
    await watch.tick(STOP)
    assert watch.protection.effects == before + 2
    assert await eventually(lambda: watch.protection.status()["sequence"] == len(watch.desk.store.events))


# --- Who need not be looked at ----------------------------------------------------------------------------------------

PRICES = st.integers(1, 12)
LEVELS = st.none() | PRICES
QUANTITIES = st.integers(-4, 4)
SIDES = st.sampled_from(Side)


def instruction(
    side: Side, trigger_price_e4: int | None, limit_price_e4: int | None, quantity: int
) -> OrderInstruction:
    return OrderInstruction(
        instrument=RELIANCE,
        side=side,
        quantity=quantity,
        order_type=OrderType.SL if trigger_price_e4 is not None else OrderType.LIMIT,
        limit_price_e4=limit_price_e4,
        trigger_price_e4=trigger_price_e4,
        product=Product.INTRADAY,
    )


closing_orders = st.builds(
    ClosingOrder,
    order_id=st.sampled_from([OrderId(f"ord_{number}") for number in range(3)]),
    purpose=st.sampled_from([Purpose.STOP, Purpose.EXIT]),
    instruction=st.builds(instruction, SIDES, LEVELS, LEVELS, st.integers(1, 4)),
    wanted=st.none() | st.builds(instruction, SIDES, LEVELS, LEVELS, st.integers(1, 4)),
    cumulative_quantity=st.integers(0, 2),
    is_acknowledged=st.booleans(),
    is_absent=st.booleans(),
)
watched_trades = st.builds(
    WatchedTrade,
    account_id=st.just(ACCOUNT),
    trade_id=st.just(TradeId("trd_1")),
    instrument=st.just(RELIANCE),
    side=SIDES,
    product=st.sampled_from(Product),
    first_sequence=st.just(1),
    stop_loss_e4=LEVELS,
    target_e4=LEVELS,
    trailing=st.none() | st.builds(Trailing, distance_e4=st.integers(1, 4), step_e4=st.integers(1, 3)),
    protection=st.sampled_from(ProtectionMode),
    is_external=st.just(False),
    net_quantity=QUANTITIES,
    is_exiting=st.booleans(),
    has_failed=st.booleans(),
    closing=st.lists(closing_orders, max_size=3).map(tuple),
)


@settings(max_examples=600)
@given(trade=watched_trades, price_e4=PRICES)
def test_no_price_at_which_a_trade_is_calm_calls_for_anything(trade: WatchedTrade, price_e4: int) -> None:
    """Between its bounds nothing is proposed, no stop counts as passed, and no moment calls for anything."""
    calm = trade.calm_between
    assume(calm is not None)
    assert calm is not None
    assume(calm[0] < price_e4 < calm[1])
    protection, mark = Desk().protection(), mark_at(price_e4)
    protection._marks[RELIANCE] = mark
    assert protection._by_mark(trade, mark) is None
    assert not protection._passed_since
    assert protection._by_time(trade, NOW_NS) is None


@pytest.mark.parametrize("side", Side)
def test_a_trade_with_its_levels_alone_is_calm_between_them(side: Side) -> None:
    low, high = (2_800_0000, 2_900_0000) if side is Side.BUY else (2_900_0000, 2_800_0000)
    trade = WatchedTrade(
        account_id=ACCOUNT,
        trade_id=TradeId("trd_1"),
        instrument=RELIANCE,
        side=side,
        product=Product.INTRADAY,
        first_sequence=1,
        stop_loss_e4=low,
        target_e4=high,
        net_quantity=100 * side.sign,
    )
    assert trade.calm_between == (2_800_0000, 2_900_0000)
    assert replace(trade, net_quantity=0).calm_between == (-1, 2**63)
    assert replace(trade, trailing=Trailing(distance_e4=1, step_e4=1)).calm_between is None
    assert replace(trade, is_exiting=True).calm_between is None, "its exit has to go on"
    assert replace(trade, protection=ProtectionMode.RESTING).calm_between is None, "it lacks a stop"


async def test_a_stop_that_the_price_passed_and_came_back_from_begins_to_wait_anew(watch: Watch) -> None:
    """While it is passed the trade is not calm; when the price is back, it has to be looked at once more to forget."""
    await watch.desk.open_trade(but(buy, protection=ProtectionMode.RESTING, target_e4=None))
    await watch.settle()
    limit_e4 = watch.desk.broker.row(1).instruction.limit_price_e4
    assert limit_e4 is not None
    below = limit_e4 - 1_0000
    await watch.tick(later(0, below))
    await watch.tick(later(2_000, PRICE_E4))
    await watch.tick(later(4_000, below))
    await watch.tick(later(6_000, below))
    assert not watch.desk.events_of(OrderModifyRequested), "two seconds below it, then back, then two again"
    await watch.tick(later(7_500, below))
    assert watch.desk.events_of(OrderModifyRequested)
