"""The market role: marks go out first, whatever is to be done about them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from adapters.dhan.streams.ticks import FeedTick
from domain.instrument import InstrumentKey, Segment
from domain.market import NS_PER_S, Mark
from infra.roles.market import MarketWatch
from tests.support.eventually import eventually
from tests.support.security import ManualClock

RELIANCE = InstrumentKey(Segment.NSE_EQ, "2885")
TCS = InstrumentKey(Segment.NSE_EQ, "11536")


class Feed:
    """Hands over the ticks of a test, as a connection does: one frame after another."""

    is_connected = True

    def __init__(self) -> None:
        self._frames: asyncio.Queue[list[FeedTick]] = asyncio.Queue()
        self.handled = 0

    def send(self, *prices_e4: int, instrument: InstrumentKey = RELIANCE) -> None:
        ticks = [
            FeedTick(instrument=instrument, last_price_e4=price, exchange_time_ns=NS_PER_S, previous_close_e4=None)
            for price in prices_e4
        ]
        self._frames.put_nowait(ticks)

    async def run(self, on_ticks: Any) -> None:
        while True:
            await on_ticks(await self._frames.get())
            self.handled += 1

    async def wait_handled(self, packets: int) -> None:
        await eventually(lambda: self.handled >= packets)


class Publisher:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.prices_e4: list[int] = []

    async def publish(self, _: int, marks: Sequence[Mark]) -> None:
        self.prices_e4 += [mark.last_price_e4 for mark in marks]


class Watcher:
    """Keeps what it was told, one thing after another; *free* lets it go on."""

    effects = 0

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.times: list[int] = []
        self.free = asyncio.Event()
        self.free.set()

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def catch_up(self) -> None:
        """Have no log to follow."""

    async def on_mark(self, mark: Mark) -> None:
        self.seen.append(mark.last_price_e4)
        await self.free.wait()

    async def on_time(self, now_ns: int) -> None:
        self.times.append(now_ns)


class Room:
    """A market role over fakes."""

    def __init__(self, *, is_tape: bool) -> None:
        self.feed, self.publisher = Feed(), Publisher()
        self.protection, self.risk_watch = Watcher(), Watcher()
        self.watch = MarketWatch(
            feed=cast("Any", self.feed),
            publisher=cast("Any", self.publisher),
            protection=cast("Any", self.protection),
            risk_watch=cast("Any", self.risk_watch),
            clock=ManualClock(),
            is_tape=is_tape,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.watch.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_marks_go_out_however_long_a_look_takes() -> None:
    room = Room(is_tape=False)
    room.risk_watch.free.clear()
    async with room.running():
        room.feed.send(100)
        await eventually(lambda: room.risk_watch.seen)
        room.feed.send(101, 102)
        room.feed.send(103)
        room.feed.send(900, instrument=TCS)
        await eventually(lambda: room.publisher.prices_e4 == [100, 101, 102, 103, 900])
        assert room.risk_watch.seen == [100]
        assert room.protection.seen == [100]
        room.risk_watch.free.set()
        await room.watch.settle({"packets": 4})
    # Protection has to see them all; of a result only the newest prices tell.
    assert room.protection.seen == [100, 101, 102, 103, 900]
    assert room.risk_watch.seen == [100, 103, 900]


async def test_marks_go_out_however_long_an_exit_takes() -> None:
    room = Room(is_tape=False)
    room.protection.free.clear()
    async with room.running():
        room.feed.send(100)
        await eventually(lambda: room.protection.seen)
        room.feed.send(101)
        await eventually(lambda: room.publisher.prices_e4 == [100, 101])
        assert (room.protection.seen, room.risk_watch.seen) == ([100], [])


async def test_what_is_settled_has_been_acted_on() -> None:
    room = Room(is_tape=False)
    room.risk_watch.free.clear()
    async with room.running():
        room.feed.send(100)
        settling = asyncio.create_task(room.watch.settle({"packets": 1}))
        await eventually(lambda: room.risk_watch.seen)
        assert room.feed.handled == 1
        assert not settling.done()
        room.risk_watch.free.set()
        assert await settling == {"number": 1, "effects": 0}


async def test_on_a_tape_a_tick_waits_until_all_is_done_that_the_last_one_calls_for() -> None:
    room = Room(is_tape=True)
    room.risk_watch.free.clear()
    async with room.running():
        room.feed.send(100, 101)
        room.feed.send(102)
        await eventually(lambda: room.risk_watch.seen)
        assert (room.protection.seen, room.risk_watch.seen, room.protection.times) == ([100], [100], [])
        assert room.publisher.prices_e4 == [100, 101]
        room.risk_watch.free.set()
        await room.watch.settle({"packets": 2})
    assert room.protection.seen == room.risk_watch.seen == room.publisher.prices_e4 == [100, 101, 102]
    assert room.protection.times == [NS_PER_S, NS_PER_S]
