"""The executor and the outside: what others trade in an account, and the venue's word on a flattened one."""

import asyncio
from dataclasses import replace as but

import pytest
from msgspec.structs import replace

from commands.executor_log import OUTSIDE_WATERMARK, WATERMARK
from commands.open_orders import OpenOrders
from commands.outside import BOOK_LIFE_US, Outside
from domain.account.commands import EngageKillSwitch, ReleaseKillSwitch
from domain.account.events import (
    FlattenFinished,
    ForeignFillAllocated,
    KillMode,
    OrderFilled,
    OrderRejected,
    ProtectionMode,
    TradeAdopted,
    TradeClosed,
    TradeOpened,
)
from domain.ids import AccountId, OrderId
from domain.instrument import InstrumentKey, Segment
from domain.order import OrderInstruction, OrderStatus, OrderType, Product, Purpose, Side, correlation_id_of
from tests.support.desk import SETTINGS, Desk, buy, running
from tests.support.eventually import eventually
from tests.support.fake_broker import Answer
from tests.support.specimens import ACCOUNT, CODE, OWNER, RELIANCE

PRICE_E4 = 2_850_0000
LIMIT = but(buy, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
PROTECTED = but(buy, protection=ProtectionMode.RESTING)
IN_STEP = but(SETTINGS, lock_step=True)
BY_HAND = OrderInstruction(
    instrument=RELIANCE,
    side=Side.SELL,
    quantity=40,
    order_type=OrderType.MARKET,
    limit_price_e4=None,
    product=Product.INTRADAY,
)
FLATTEN = EngageKillSwitch(user_id=OWNER, reason="enough", mode=KillMode.FLATTEN)


@pytest.fixture
async def desk() -> Desk:
    """Return a desk that holds 100 shares, watched by the engine: no order of ours is at the venue."""
    desk = Desk()
    await desk.open_account()
    desk.broker.fill_price_e4 = PRICE_E4
    await desk.open_trade()
    await settled(desk)
    return desk


async def settled(desk: Desk) -> None:
    executor = desk.executor(IN_STEP)
    async with running(executor), asyncio.timeout(5):
        await executor.settle()


# --- What others trade ------------------------------------------------------------------------------------------------


async def test_what_others_sell_is_taken_from_what_is_held(desk: Desk) -> None:
    desk.broker.by_hand(ACCOUNT, BY_HAND, None, PRICE_E4)
    await settled(desk)
    (foreign,) = desk.events_of(ForeignFillAllocated)
    assert (foreign.trade_id, foreign.side, foreign.last_quantity) == (
        desk.events_of(TradeOpened)[0].trade_id,
        Side.SELL,
        40,
    )
    assert len(desk.events_of(OrderFilled)) == 1


async def test_what_others_buy_is_adopted_under_a_name_of_its_own(desk: Desk) -> None:
    desk.broker.by_hand(ACCOUNT, replace(BY_HAND, side=Side.BUY), None, PRICE_E4)
    await settled(desk)
    (adopted,) = desk.events_of(TradeAdopted)
    (foreign,) = desk.events_of(ForeignFillAllocated)
    assert adopted.symbol == "RELIANCE"
    assert foreign.trade_id == adopted.trade_id != desk.events_of(TradeOpened)[0].trade_id


async def test_the_loops_find_it_though_no_order_of_ours_is_open(desk: Desk) -> None:
    async with running(desk.executor()):
        desk.broker.by_hand(ACCOUNT, replace(BY_HAND, quantity=100), None, PRICE_E4)
        await eventually(lambda: desk.events_of(TradeClosed))


async def test_it_is_found_while_orders_of_ours_are_open_too(desk: Desk) -> None:
    desk.broker.fill_price_e4 = None
    await desk.open_trade(LIMIT)
    await settled(desk)
    desk.broker.by_hand(ACCOUNT, BY_HAND, None, PRICE_E4)
    await settled(desk)
    assert len(desk.events_of(ForeignFillAllocated)) == 1


async def test_it_is_recorded_once_whoever_looks_and_however_often(desk: Desk) -> None:
    desk.broker.by_hand(ACCOUNT, BY_HAND, None, PRICE_E4)
    for _ in range(3):
        await settled(desk)
    async with running(desk.executor()):
        await eventually(lambda: desk.watermarks.kept.get(OUTSIDE_WATERMARK))
        read = desk.broker.reads
        await eventually(lambda: desk.broker.reads > read + 20)
    await settled(desk)
    assert len(desk.events_of(ForeignFillAllocated)) == 1


async def test_a_stop_left_behind_a_manual_close_is_taken_back(desk: Desk) -> None:
    await desk.open_trade(but(PROTECTED, product=Product.CNC))
    await settled(desk)
    desk.broker.by_hand(ACCOUNT, replace(BY_HAND, product=Product.CNC, quantity=60), None, PRICE_E4)
    await settled(desk)
    stop = next(row for row in desk.broker.rows.values() if row.instruction.order_type is OrderType.SL)
    assert stop.instruction.quantity == 40
    desk.broker.by_hand(ACCOUNT, replace(BY_HAND, product=Product.CNC, quantity=40), None, PRICE_E4)
    await settled(desk)
    assert stop.status is OrderStatus.CANCELED
    assert desk.broker.net_quantity == 100, "the other trade is untouched"


@pytest.mark.parametrize("carried", [None, "1100000001-1795149000000", "somebody's own"])
async def test_whatever_id_but_ours_an_order_carries_it_is_foreign(desk: Desk, carried: str | None) -> None:
    desk.broker.by_hand(ACCOUNT, BY_HAND, carried, PRICE_E4)
    await settled(desk)
    assert len(desk.events_of(ForeignFillAllocated)) == 1


async def test_an_order_that_carries_an_id_of_ours_is_never_foreign(desk: Desk) -> None:
    forgotten = correlation_id_of(OrderId("trd_of_another_year.1"), code=CODE)
    desk.broker.by_hand(ACCOUNT, BY_HAND, forgotten, PRICE_E4)
    await settled(desk)
    assert not desk.events_of(ForeignFillAllocated)


async def test_an_execution_whose_order_is_in_no_book_is_passed_over_and_counted(desk: Desk) -> None:
    row = desk.broker.by_hand(ACCOUNT, BY_HAND, None, PRICE_E4)
    del desk.broker.rows[row.venue_order_id]
    executor = desk.executor(IN_STEP)
    async with running(executor), asyncio.timeout(5):
        await executor.settle()
        await executor.settle()
    assert executor.status()["passed_over"] == 1
    assert not desk.events_of(ForeignFillAllocated)


@pytest.mark.parametrize("unknown", ["instrument", "product"])
async def test_an_execution_of_what_we_do_not_know_is_passed_over(desk: Desk, unknown: str) -> None:
    instruction = BY_HAND
    if unknown == "instrument":
        instruction = replace(BY_HAND, instrument=InstrumentKey(Segment.MCX_COMM, "440938"))
    desk.broker.by_hand(ACCOUNT, instruction, None, PRICE_E4)
    if unknown == "product":
        owner, execution = desk.broker.executions.pop()
        desk.broker.executions.append((owner, but(execution, product=None)))
    desk.broker.by_hand(ACCOUNT, BY_HAND, None, PRICE_E4)
    await settled(desk)
    (foreign,) = desk.events_of(ForeignFillAllocated)
    assert foreign.instrument == RELIANCE


async def test_an_account_that_holds_nothing_is_left_alone(desk: Desk) -> None:
    await desk.close()
    await settled(desk)
    assert desk.events_of(TradeClosed)
    read = desk.broker.reads
    await settled(desk)
    assert desk.broker.reads == read


async def test_books_that_cannot_be_read_are_read_later(desk: Desk) -> None:
    desk.broker.by_hand(ACCOUNT, BY_HAND, None, PRICE_E4)
    desk.broker.away.add("orders")
    await settled(desk)
    assert not desk.events_of(ForeignFillAllocated)
    desk.broker.away.clear()
    await settled(desk)
    assert len(desk.events_of(ForeignFillAllocated)) == 1


# --- What a restart has to know ---------------------------------------------------------------------------------------


def fold_of(desk: Desk) -> Outside:
    outside = Outside()
    for recorded in desk.store.events:
        outside.apply(recorded)
    return outside


async def test_what_is_open_holds_the_watermark_and_what_is_closed_lets_it_go(desk: Desk) -> None:
    opened = next(recorded for recorded in desk.store.events if recorded.name.startswith("trade.opened"))
    assert fold_of(desk).low_water() == opened.sequence - 1
    assert fold_of(desk).accounts() == {ACCOUNT}
    await desk.close()
    await settled(desk)
    assert fold_of(desk).low_water() == len(desk.store.events)
    assert fold_of(desk).accounts() == set()


async def test_a_foreign_execution_is_remembered_as_long_as_the_book_shows_it(desk: Desk) -> None:
    desk.broker.by_hand(ACCOUNT, replace(BY_HAND, quantity=100), None, PRICE_E4)
    await settled(desk)
    outside = fold_of(desk)
    recorded = next(event for event in desk.store.events if event.name.startswith("trade.foreign_fill"))
    assert outside.low_water() == recorded.sequence - 1
    outside.forget_unshown(ACCOUNT, await desk.broker.fills(ACCOUNT))
    assert outside.low_water() == recorded.sequence - 1
    outside.forget_unshown(ACCOUNT, [])
    assert outside.low_water() == len(desk.store.events)


async def test_a_foreign_execution_is_forgotten_when_no_book_can_show_it_any_more(desk: Desk) -> None:
    desk.broker.by_hand(ACCOUNT, replace(BY_HAND, quantity=100), None, PRICE_E4)
    await settled(desk)
    outside = fold_of(desk)
    last = desk.store.events[-1]
    later = replace(last, sequence=last.sequence + 1, recorded_at_us=last.recorded_at_us + BOOK_LIFE_US)
    outside.apply(replace(later, stream_id="user-usr_1", name="user.registered.v1"))
    assert outside.low_water() == later.sequence


async def test_an_executor_sends_before_it_has_read_what_is_held_since_long_ago(desk: Desk) -> None:
    """The way through old trades is a way of its own: nobody waits for it who has an exit to send."""
    desk.watermarks.kept["executor"] = len(desk.store.events)
    executor = desk.executor()
    may_read = asyncio.Event()
    follow = executor._outside.follow

    async def late(*arguments: object, **named: object) -> None:
        await may_read.wait()
        await follow(*arguments, **named)  # type: ignore[arg-type]

    executor._outside.follow = late  # type: ignore[method-assign, assignment]
    async with running(executor):
        desk.broker.by_hand(ACCOUNT, BY_HAND, None, PRICE_E4)
        await desk.close()
        await eventually(lambda: [placed for placed in desk.broker.placed if placed.purpose is Purpose.EXIT])
        assert not desk.events_of(ForeignFillAllocated)
        may_read.set()
        await eventually(lambda: desk.events_of(ForeignFillAllocated))


async def test_what_others_do_today_in_an_account_that_was_flat_at_a_restart_is_found(desk: Desk) -> None:
    """Nothing of the account is open, so nothing of it is in the log that a new process would read for its orders."""
    desk.broker.fill_price_e4 = PRICE_E4
    async with running(desk.executor(but(SETTINGS, snapshot_events=1))):
        await desk.close()
        await eventually(lambda: desk.events_of(TradeClosed))
        await eventually(lambda: desk.watermarks.kept.get(WATERMARK) == len(desk.store.events))
        await eventually(lambda: desk.watermarks.snapshots[WATERMARK].sequence == len(desk.store.events))
    async with running(desk.executor()):
        await eventually(lambda: desk.broker.reads > 0)
        desk.broker.by_hand(ACCOUNT, BY_HAND, None, PRICE_E4)
    async with running(desk.executor()):
        await eventually(lambda: desk.events_of(ForeignFillAllocated))


async def test_an_account_that_was_active_too_long_ago_is_not_looked_at(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    await desk.close()
    await settled(desk)
    orders = OpenOrders()
    for recorded in desk.store.events:
        orders.apply(recorded)
    (last,) = (event for event in desk.store.events if event.name.startswith("trade.closed"))
    assert orders.active_us() == {ACCOUNT: last.recorded_at_us}
    orders.forget_quiet(before_us=last.recorded_at_us)
    assert orders.active_us()
    orders.forget_quiet(before_us=last.recorded_at_us + 1)
    assert not orders.active_us()


# --- Flattened accounts -----------------------------------------------------------------------------------------------


async def test_a_flattened_account_is_confirmed_by_the_venues_positions(desk: Desk) -> None:
    await desk.do(FLATTEN)
    await settled(desk)
    assert desk.events_of(TradeClosed)
    (finished,) = desk.events_of(FlattenFinished)
    assert finished.remaining == ()


async def test_the_loops_confirm_it_by_themselves(desk: Desk) -> None:
    async with running(desk.executor()):
        await desk.do(FLATTEN)
        await eventually(lambda: desk.events_of(FlattenFinished))


async def test_nothing_is_confirmed_while_something_is_held(desk: Desk) -> None:
    desk.broker.held_back.add(Purpose.EXIT)
    await desk.do(FLATTEN)
    await settled(desk)
    assert not desk.events_of(FlattenFinished)


async def test_what_came_from_outside_holds_no_switch_up(desk: Desk) -> None:
    desk.broker.by_hand(ACCOUNT, replace(BY_HAND, side=Side.BUY), None, PRICE_E4)
    await settled(desk)
    assert desk.events_of(TradeAdopted)
    await desk.do(FLATTEN)
    await settled(desk)
    (finished,) = desk.events_of(FlattenFinished)
    assert finished.remaining == ()
    assert desk.broker.net_quantity == 40, "what others bought is left alone"


async def test_another_account_holds_no_switch_up(desk: Desk) -> None:
    other = AccountId("acc_other")
    await desk.open_account(other)
    await desk.open_trade(account_id=other)
    await settled(desk)
    await desk.do(FLATTEN)
    await settled(desk)
    assert desk.events_of(FlattenFinished)
    assert fold_of(desk).accounts() == {other}


async def test_positions_that_cannot_be_read_confirm_nothing(desk: Desk) -> None:
    desk.broker.away.add("positions")
    await desk.do(FLATTEN)
    await settled(desk)
    assert not desk.events_of(FlattenFinished)
    desk.broker.away.clear()
    await settled(desk)
    assert desk.events_of(FlattenFinished)


async def test_what_cannot_be_closed_is_listed_after_a_while(desk: Desk) -> None:
    desk.broker.answers.append(Answer.REFUSE)
    await desk.do(FLATTEN)
    executor = desk.executor(but(SETTINGS, flat_patience_ms=60_000))
    async with running(executor):
        await eventually(lambda: desk.events_of(OrderRejected))
        turns = desk.clock.tick_ns
        await eventually(lambda: desk.clock.tick_ns > turns + 50 * 1_000_000)
        assert not desk.events_of(FlattenFinished), "the next tick may try again"
        desk.clock.tick_ns += 60_000 * 1_000_000
        (finished,) = await eventually(lambda: desk.events_of(FlattenFinished))
    assert finished.remaining == (desk.events_of(TradeOpened)[0].trade_id,)


async def test_a_switch_that_was_released_waits_for_nothing(desk: Desk) -> None:
    desk.broker.held_back.add(Purpose.EXIT)
    await desk.do(FLATTEN)
    await desk.do(ReleaseKillSwitch(user_id=OWNER))
    assert fold_of(desk).flattening() == []
    await settled(desk)
    assert not desk.events_of(FlattenFinished)
