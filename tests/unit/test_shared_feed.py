"""One way through the log for many: each gets the whole of it in order, and it is read once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from adapters.shared_feed import SharedFeed
from domain.envelope import RecordedEvent
from projections.tasks import end
from tests.support.eventually import eventually


def event(sequence: int) -> RecordedEvent:
    return RecordedEvent(
        sequence=sequence,
        stream_id="account-acc_1",
        version=sequence,
        name="order.filled.v2",
        command_id="cmd",
        metadata=b"",
        payload=b"",
        recorded_at_us=sequence,
        previous_hash=b"",
        hash=b"",
    )


class GrowingLog:
    """Implements `EventFeed`. `readers` counts who follows it at present, `begun` from where each of them did."""

    def __init__(self, *, page: int = 3) -> None:
        self.head = 0
        self.readers = 0
        self.begun: list[int] = []
        self.fault: Exception | None = None
        self._page = page
        self._grown = asyncio.Event()

    def grow(self, count: int) -> None:
        self.head += count
        self._grown.set()

    def fail(self, fault: Exception) -> None:
        self.fault = fault
        self._grown.set()

    async def follow(self, *, after_sequence: int) -> AsyncGenerator[list[RecordedEvent], None]:
        self.readers += 1
        self.begun.append(after_sequence)
        try:
            while True:
                if self.fault is not None:
                    raise self.fault
                if after_sequence < self.head:
                    until = min(self.head, after_sequence + self._page)
                    yield [event(sequence) for sequence in range(after_sequence + 1, until + 1)]
                    after_sequence = until
                else:
                    self._grown.clear()
                    await self._grown.wait()
        finally:
            self.readers -= 1


class Follower:
    """Follows a feed, and keeps the sequences that it got. It takes nothing more in while it is `held`."""

    def __init__(self, feed: SharedFeed, *, after: int = 0) -> None:
        self.got: list[int] = []
        self._may = asyncio.Event()
        self._may.set()
        self.task = asyncio.create_task(self._follow(feed, after))

    async def _follow(self, feed: SharedFeed, after: int) -> None:
        async with aclosing(feed.follow(after_sequence=after)) as batches:
            async for batch in batches:
                self.got += [each.sequence for each in batch]
                await self._may.wait()

    def hold(self) -> None:
        self._may.clear()

    def let_go_on(self) -> None:
        self._may.set()

    async def has(self, first: int, last: int) -> None:
        await eventually(lambda: self.got[-1:] == [last])
        assert self.got == list(range(first, last + 1))


async def test_many_follow_and_the_log_is_read_once() -> None:
    log = GrowingLog()
    feed = SharedFeed(log)
    log.grow(10)
    followers = [Follower(feed) for _ in range(4)]
    for follower in followers:
        await follower.has(1, 10)
    log.grow(5)
    for follower in followers:
        await follower.has(1, 15)
    assert log.begun == [0]
    await end(*(follower.task for follower in followers))
    assert log.readers == 0


async def test_who_begins_further_back_goes_alone_until_it_is_there() -> None:
    log = GrowingLog()
    feed = SharedFeed(log)
    log.grow(20)
    first = Follower(feed, after=14)
    await first.has(15, 20)
    late = Follower(feed, after=2)
    await late.has(3, 20)
    assert log.begun == [14, 2]
    log.grow(2)
    await late.has(3, 22)
    await first.has(15, 22)
    assert log.readers == 1, "the way of its own is over"
    await end(first.task, late.task)


async def test_who_begins_further_on_gets_what_is_new_to_it_alone() -> None:
    log = GrowingLog()
    feed = SharedFeed(log)
    first = Follower(feed)
    ahead = Follower(feed, after=8)
    log.grow(8)
    await first.has(1, 8)
    log.grow(3)
    await ahead.has(9, 11)
    within = Follower(feed, after=4)
    await within.has(5, 11)
    assert log.begun == [0]
    await end(first.task, ahead.task, within.task)


async def test_who_falls_behind_what_is_kept_misses_nothing() -> None:
    log = GrowingLog()
    feed = SharedFeed(log, kept=4)
    quick, slow = Follower(feed), Follower(feed)
    log.grow(2)
    await slow.has(1, 2)
    slow.hold()
    for head in range(4, 40, 2):
        log.grow(2)
        await quick.has(1, head)
    slow.let_go_on()
    await slow.has(1, 38)
    log.grow(1)
    await slow.has(1, 39)
    await quick.has(1, 39)
    assert log.readers == 1
    await end(quick.task, slow.task)


async def test_a_fault_is_everybodys_and_who_comes_later_begins_anew() -> None:
    log = GrowingLog()
    feed = SharedFeed(log)
    log.grow(3)
    followers = [Follower(feed) for _ in range(2)]
    for follower in followers:
        await follower.has(1, 3)
    log.fail(LookupError("the log is another one"))
    for follower in followers:
        with pytest.raises(LookupError):
            await follower.task
    log.fault = None
    again = Follower(feed, after=1)
    await again.has(2, 3)
    assert log.begun == [0, 1]
    await end(again.task)


async def test_the_way_goes_on_when_the_first_leaves() -> None:
    log = GrowingLog()
    feed = SharedFeed(log)
    first, second = Follower(feed), Follower(feed)
    log.grow(3)
    await first.has(1, 3)
    await end(first.task)
    log.grow(3)
    await second.has(1, 6)
    assert log.begun == [0]
    await end(second.task)
    assert log.readers == 0
