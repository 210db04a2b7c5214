"""The executor and what the venue tells by itself: where to look and when, and never what happened."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace as but

import pytest

from commands.accounts import TradeIntent
from commands.book_watch import READS_AGAIN_MAX
from commands.executor import Executor, ExecutorSettings
from commands.ports import VenueFill
from domain.account.commands import ChangeTrade
from domain.account.events import (
    ForeignFillAllocated,
    OrderAcknowledged,
    OrderCanceled,
    OrderFilled,
    OrderModified,
    ProtectionMode,
    TradeOpened,
)
from domain.envelope import RecordedEvent
from domain.ids import AccountId
from domain.order import OrderInstruction, OrderStatus, OrderType, Product, Purpose, Side
from tests.support.desk import SETTINGS, Desk, buy, running
from tests.support.eventually import eventually
from tests.support.fake_broker import Answer, Row
from tests.support.fake_updates import FakeUpdates
from tests.support.specimens import ACCOUNT, LIVE_ACCOUNT, OWNER, RELIANCE, engage, market

PRICE_E4 = 2_849_0000
LIMIT = but(buy, order_type=OrderType.LIMIT, limit_price_e4=PRICE_E4)
GUARDED = but(LIMIT, protection=ProtectionMode.RESTING)
NEVER_MS = 10**9
TOLD = but(SETTINGS, told_poll_ms=NEVER_MS, idle_poll_ms=NEVER_MS, doubt_ms=NEVER_MS)
"""Whoever the venue tells of is read for that alone."""
RARELY = but(TOLD, told_poll_ms=100)


class HeldFeed:
    """The log of a desk, of which nothing comes any more once it is held."""

    def __init__(self, desk: Desk) -> None:
        self._feed = desk.feed
        self._may_come = asyncio.Event()
        self._may_come.set()

    def hold(self) -> None:
        self._may_come.clear()

    def let_come(self) -> None:
        self._may_come.set()

    async def follow(self, *, after_sequence: int) -> AsyncIterator[list[RecordedEvent]]:
        async for batch in self._feed.follow(after_sequence=after_sequence):
            await self._may_come.wait()
            yield batch


class Room:
    """An order of 100 shares that rests at the venue, which is believed to tell of it."""

    def __init__(self, desk: Desk, feed: HeldFeed, updates: FakeUpdates, executor: Executor) -> None:
        self.desk = desk
        self.feed = feed
        self.updates = updates
        self.executor = executor

    @property
    def row(self) -> Row:
        return self.desk.broker.row(0)

    @property
    def books(self) -> dict[str, int]:
        counts: dict[str, int] = self.executor.status()["books"]
        return counts

    @property
    def is_looked_at(self) -> bool:
        return self.executor._watch._of(ACCOUNT).is_looked_at

    def fill(self, quantity: int = 100) -> None:
        self.desk.broker.fill(self.row, quantity, PRICE_E4)

    def filled(self) -> list[int]:
        return [fill.last_quantity for fill in self.desk.events_of(OrderFilled)]

    async def record_unseen(self, account_id: AccountId) -> int:
        """Have the executor's process record something that the log does not bring back, and return its sequence."""
        self.feed.hold()
        recorded = await self.executor._accounts.carry_out(account_id, engage, self.desk.context())
        assert recorded.last_sequence > self.executor.status()["sequence"]
        return recorded.last_sequence

    async def rounds(self, number: int = 5) -> None:
        """Let so many rounds pass in which whoever is due is read."""
        last = self.updates.rounds + number
        await eventually(lambda: self.updates.rounds > last)


@asynccontextmanager
async def resting(
    settings: ExecutorSettings = TOLD, *, live: bool = True, intent: TradeIntent = LIMIT
) -> AsyncIterator[Room]:
    desk = Desk()
    await desk.open_account()
    updates = desk.updates = FakeUpdates(*([ACCOUNT] if live else []))
    executor = desk.executor(settings)
    feed = executor._log._feed = HeldFeed(desk)
    async with running(executor):
        await desk.open_trade(intent)
        await eventually(lambda: executor.status()["orders"] == {"acknowledged": 1})
        await eventually(lambda: executor._watch._of(ACCOUNT).read_at_ns is not None)
        room = Room(desk, feed, updates, executor)
        await room.rounds(1)
        yield room


# --- While all is well ------------------------------------------------------------------------------------------------


async def test_what_is_told_is_looked_up_and_recorded_from_the_books() -> None:
    async with resting() as room:
        room.fill()
        room.updates.tell_what_is(room.row)
        await eventually(room.filled)
        assert room.filled() == [100]
        assert room.books["reads_told"] == 1


async def test_as_long_as_nothing_is_told_nothing_is_read() -> None:
    async with resting() as room:
        before = room.desk.broker.reads
        await room.rounds()
        assert room.desk.broker.reads == before
        assert (room.books["told"], room.books["polled"]) == (1, 0)


async def test_what_is_told_is_believed_only_when_the_books_show_it() -> None:
    async with resting() as room:
        room.updates.tell(room.row, OrderStatus.FILLED, 100)
        await eventually(lambda: not room.is_looked_at)
        assert room.books["reads_told"] == 1 + READS_AGAIN_MAX
        assert not room.filled()


async def test_what_is_told_before_the_books_show_it_is_looked_up_again() -> None:
    async with resting() as room:
        read, reads = room.desk.broker.fills, 0

        async def late(account_id: AccountId) -> list[VenueFill]:
            nonlocal reads
            reads += 1
            if reads == 4:
                room.fill()
            return list(await read(account_id))

        room.desk.broker.fills = late  # type: ignore[method-assign]
        room.updates.tell(room.row, OrderStatus.FILLED, 100)
        await eventually(room.filled)
        assert reads >= 4


async def test_an_order_that_is_on_its_way_is_watched_before_it_is_there() -> None:
    desk = Desk()
    await desk.open_account()
    updates = desk.updates = FakeUpdates()
    desk.broker.answers.append(Answer.ACCEPT_LATER)
    async with running(desk.executor(TOLD)):
        await desk.open_trade(LIMIT)
        await desk.broker.hanging.wait()
        await eventually(lambda: updates.watched == {ACCOUNT})
        desk.broker.may_answer.set()
        await eventually(lambda: desk.events_of(OrderAcknowledged))


@pytest.mark.parametrize(
    ("status", "cumulative", "is_news"),
    [
        (OrderStatus.SUBMITTING, 0, False),
        (OrderStatus.ACKNOWLEDGED, 0, False),
        (OrderStatus.PARTLY_FILLED, 0, False),
        (OrderStatus.PARTLY_FILLED, 1, True),
        (OrderStatus.ACKNOWLEDGED, 1, True),
        (OrderStatus.FILLED, 100, True),
        (OrderStatus.FILLED, 0, True),
        (OrderStatus.CANCELED, 0, True),
        (OrderStatus.EXPIRED, 0, True),
        (OrderStatus.REJECTED, 0, True),
        (None, 0, True),
    ],
)
async def test_only_what_the_log_does_not_have_is_news(
    status: OrderStatus | None, cumulative: int, *, is_news: bool
) -> None:
    async with resting() as room:
        room.updates.tell(room.row, status, cumulative)
        assert room.is_looked_at is is_news


async def test_what_is_told_twice_is_read_once() -> None:
    async with resting() as room:
        room.fill()
        room.updates.tell_what_is(room.row)
        room.updates.tell_what_is(room.row)
        await eventually(lambda: room.filled() and not room.is_looked_at)
        room.updates.tell_what_is(room.row)
        assert not room.is_looked_at
        assert room.books["reads_told"] == 1


async def test_a_cancel_is_told() -> None:
    async with resting() as room:
        room.desk.broker.ignores_cancels = True
        await room.desk.do(engage)
        await eventually(lambda: room.desk.broker.canceled)
        room.desk.broker.end(room.row, OrderStatus.CANCELED)
        room.updates.tell_what_is(room.row)
        await eventually(lambda: room.desk.events_of(OrderCanceled))


async def test_a_modification_that_arrived_is_told() -> None:
    async with resting() as room:
        room.desk.broker.modify_answers.append(Answer.TRAVEL)
        opened = room.desk.events_of(TradeOpened)[0]
        command = ChangeTrade(
            trade_id=opened.trade_id,
            user_id=OWNER,
            expected_version=1,
            market=market,
            limit_price_e4=PRICE_E4 - 1_0000,
        )
        await room.desk.do(command)
        await eventually(lambda: room.row.travels and room.executor._in_transit and not room.executor._asking)
        room.updates.tell(room.row, OrderStatus.SUBMITTING)
        assert not room.is_looked_at
        room.desk.broker.arrive(room.row)
        room.updates.tell(room.row, None)
        (modified,) = await eventually(lambda: room.desk.events_of(OrderModified))
        assert modified.instruction.limit_price_e4 == PRICE_E4 - 1_0000


# --- Others -----------------------------------------------------------------------------------------------------------


async def test_an_execution_of_others_is_told_and_an_order_of_theirs_is_nobodys_business() -> None:
    async with resting() as room:
        room.fill()
        room.updates.tell_what_is(room.row)
        await eventually(lambda: room.filled() and not room.is_looked_at)
        room.updates.tell_of_another(0)
        assert not room.is_looked_at
        by_hand = OrderInstruction(
            instrument=RELIANCE,
            side=Side.SELL,
            quantity=40,
            order_type=OrderType.MARKET,
            limit_price_e4=None,
            product=Product.INTRADAY,
        )
        room.desk.broker.by_hand(ACCOUNT, by_hand, None, PRICE_E4)
        room.updates.tell_of_another(40)
        (foreign,) = await eventually(lambda: room.desk.events_of(ForeignFillAllocated))
        assert foreign.last_quantity == 40


# --- When something is wrong ------------------------------------------------------------------------------------------


async def test_what_nobody_told_is_found_and_the_account_is_doubted_until_something_is_told() -> None:
    async with resting(RARELY) as room:
        room.fill(40)
        await eventually(room.filled)
        await eventually(lambda: room.books["polled"] == 1)
        assert (room.books["told"], room.books["never_told"]) == (0, 1)
        room.updates.tell_what_is(room.row)
        assert (room.books["told"], room.books["polled"]) == (1, 0)


async def test_an_account_that_stays_silent_is_connected_anew_and_then_believed_again() -> None:
    async with resting(but(RARELY, doubt_ms=1)) as room:
        room.fill(40)
        await eventually(lambda: room.updates.doubted)
        assert room.updates.doubted == [ACCOUNT]
        assert room.books["polled"] == 1
        room.updates.reconnect()
        assert room.books["told"] == 1


async def test_while_the_connection_is_down_the_books_are_read_at_the_fast_rate() -> None:
    async with resting(live=False) as room:
        assert (room.books["told"], room.books["polled"]) == (0, 1)
        room.fill()
        await eventually(room.filled)
        assert room.books["reads_told"] == 0


async def test_a_connection_that_went_down_is_noticed_without_a_word() -> None:
    async with resting() as room:
        room.updates.live.clear()
        room.fill()
        await eventually(room.filled)


async def test_after_a_gap_the_books_are_read() -> None:
    async with resting() as room:
        room.fill()
        room.updates.reconnect()
        await eventually(room.filled)
        assert room.books["reads_told"] == 1


async def test_books_that_cannot_be_read_are_read_when_they_can_be() -> None:
    async with resting() as room:
        room.desk.broker.away.add("orders")
        room.fill()
        room.updates.tell_what_is(room.row)
        await eventually(lambda: not room.is_looked_at)
        assert not room.filled()
        room.desk.broker.away.clear()
        await eventually(room.filled)


async def test_an_unknown_order_that_turns_up_is_told() -> None:
    desk = Desk()
    await desk.open_account()
    updates = desk.updates = FakeUpdates(ACCOUNT)
    desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    desk.broker.away.add("find_order")
    executor = desk.executor(but(TOLD, lookup_window_ms=NEVER_MS))
    async with running(executor):
        await desk.open_trade(LIMIT)
        await eventually(lambda: executor.status()["orders"] == {"unknown": 1})
        await eventually(lambda: executor._watch._of(ACCOUNT).read_at_ns is not None)
        updates.tell_what_is(desk.broker.turn_up(0))
        await eventually(lambda: desk.events_of(OrderAcknowledged))


PARTLY, WHOLLY = (OrderStatus.PARTLY_FILLED, 40), (OrderStatus.FILLED, 100)
OPEN = (OrderStatus.ACKNOWLEDGED, 0)
Telling = tuple[OrderStatus, int]


@pytest.mark.parametrize(
    "told",
    [
        [OPEN, PARTLY, WHOLLY],
        [PARTLY, PARTLY, WHOLLY, WHOLLY],
        [WHOLLY, PARTLY, OPEN],
        [WHOLLY],
        [PARTLY],
        [OPEN],
        [PARTLY, WHOLLY, PARTLY, OPEN],
        [],
    ],
    ids=["in order", "twice", "backwards", "in sum", "the last lost", "the fills lost", "again and late", "all lost"],
)
@pytest.mark.parametrize("is_told_at_once", [True, False], ids=["each told at once", "all told at the end"])
async def test_however_it_is_told_the_books_come_out_the_same(told: list[Telling], *, is_told_at_once: bool) -> None:
    async with resting(RARELY) as room:
        await tell_and_fill(room, told if is_told_at_once else [])
        for status, cumulative in [] if is_told_at_once else told:
            room.updates.tell(room.row, status, cumulative)
        await eventually(lambda: sum(room.filled()) == 100)
        await eventually(lambda: not room.is_looked_at)
        fills = room.desk.events_of(OrderFilled)
        assert [fill.venue_fill_id for fill in fills] == ["fill-1", "fill-2"]
        assert [fill.cumulative_quantity for fill in fills] == [40, 100]
        assert room.desk.broker.net_quantity == 100
        assert len(room.desk.broker.placed) == 1


async def tell_and_fill(room: Room, told: list[Telling]) -> None:
    """Fill the order in two parts, each told of as *told* says before or after the other."""
    steps: list[Callable[[], None]] = [lambda: room.fill(40), lambda: room.fill(60)]
    for number, (status, cumulative) in enumerate(told):
        if number < len(steps):
            steps[number]()
        room.updates.tell(room.row, status, cumulative)
        await asyncio.sleep(0)
    for step in steps[len(told) :]:
        step()


# --- While the log is late --------------------------------------------------------------------------------------------


async def test_an_accounts_books_are_judged_while_the_log_owes_what_was_recorded_of_another() -> None:
    async with resting() as room:
        await room.desk.open_account(LIVE_ACCOUNT)
        owed = await room.record_unseen(LIVE_ACCOUNT)
        room.fill()
        room.updates.tell_what_is(room.row)
        await eventually(room.filled)
        assert room.executor.status()["sequence"] < owed
        room.feed.let_come()
        await eventually(lambda: room.executor.status()["orders"] == {})


async def test_an_accounts_books_are_judged_while_the_log_owes_what_was_recorded_here() -> None:
    async with resting() as room:
        owed = await room.record_unseen(ACCOUNT)
        room.fill()
        room.updates.tell_what_is(room.row)
        await eventually(room.filled)
        assert room.executor.status()["orders"] == {}, "what this process records it knows at once"
        assert room.executor.status()["sequence"] < owed
        room.feed.let_come()
        await eventually(lambda: room.executor.status()["sequence"] > owed)
        assert room.executor.status()["orders"] == {}
    assert room.filled() == [100]


async def test_they_are_not_judged_while_the_log_owes_what_others_recorded_before_that() -> None:
    async with resting() as room:
        room.feed.hold()
        await room.desk.accounts.carry_out(ACCOUNT, engage, room.desk.context())
        await room.record_unseen(ACCOUNT)
        room.fill()
        room.updates.tell_what_is(room.row)
        await room.rounds()
        assert room.is_looked_at
        assert room.filled() == []
        room.feed.let_come()
        await eventually(room.filled)


async def test_a_stop_goes_out_although_the_log_brings_nothing_back() -> None:
    async with resting(intent=GUARDED) as room:
        room.feed.hold()
        room.fill()
        room.updates.tell_what_is(room.row)
        await eventually(lambda: len(room.desk.broker.placed) == 2)
        await eventually(lambda: room.executor.status()["orders"] == {"acknowledged": 1})
        room.feed.let_come()
        await eventually(lambda: room.executor.status()["sequence"] == len(room.desk.store.events))
        assert room.executor.status()["orders"] == {"acknowledged": 1}
    assert room.desk.broker.placed[1].purpose is Purpose.STOP


# --- In lock-step -----------------------------------------------------------------------------------------------------


async def test_in_lock_step_nobody_listens() -> None:
    desk = Desk()
    await desk.open_account()
    updates = desk.updates = FakeUpdates(ACCOUNT)
    desk.broker.fill_price_e4 = PRICE_E4
    executor = desk.executor(but(TOLD, lock_step=True))
    async with running(executor), asyncio.timeout(5):
        await desk.open_trade()
        await executor.settle()
        assert desk.events_of(OrderFilled)
        assert not updates.is_running
