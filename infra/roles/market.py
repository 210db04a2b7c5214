"""The market role: ticks in, marks out, the watches over stops and losses in between."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from adapters.dhan.streams.feed import DhanFeed
from adapters.dhan.streams.ticks import FeedTick
from adapters.nats.control import serve as answer_on
from adapters.nats.marks import MarksPublisher
from commands.ports import Clock
from commands.protection import Protection
from commands.risk_watch import RiskWatch
from domain.instrument import InstrumentKey
from domain.market import Mark
from infra.wiring.process import Wiring
from infra.wiring.trading import make_market_feed, make_marks_publisher, make_protection, make_risk_watch
from projections.tasks import end

CONNECTED_WITHIN_S = 5.0
CONNECTION_POLL_S = 0.02
TIME_TOLD_S = 1.0


async def run_market(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Watch the market until canceled."""
    watch = MarketWatch(
        feed=await make_market_feed(wiring),
        publisher=await make_marks_publisher(wiring),
        protection=await make_protection(wiring),
        risk_watch=await make_risk_watch(wiring),
        clock=wiring.clock,
        is_tape=wiring.settings.market_clock == "tape",
    )
    nats = await wiring.nats()
    async with (
        answer_on(nats, "khata.settle.market", watch.settle),
        answer_on(nats, "khata.status.market", watch.status),
    ):
        running = asyncio.create_task(watch.run())
        try:
            # A moment for the first connection: an engine that is up but knows no price yet denies the first intents.
            with suppress(TimeoutError):
                async with asyncio.timeout(CONNECTED_WITHIN_S):
                    await watch.connected()
            ready()
            await running
        finally:
            await end(running)


class MarketWatch:
    """Turns the feed's ticks into numbered marks, publishes them, and hands each to protection and the risk watch.

    A mark is published before they act on it, so that whoever decides next knows what they knew. On a tape the market's
    time is that of the newest tick, and the next tick waits until all is done that the last one calls for. Else time
    goes on by itself, and protection is told of that as well; and marks go out however long it takes to act on them:
    one that comes late denies entries everywhere. Protection then sees every mark, in their order, and the risk watch
    the newest of each instrument among those that came meanwhile.
    """

    def __init__(
        self,
        *,
        feed: DhanFeed,
        publisher: MarksPublisher,
        protection: Protection,
        risk_watch: RiskWatch,
        clock: Clock,
        is_tape: bool,
    ) -> None:
        self._feed = feed
        self._publisher = publisher
        self._protection = protection
        self._risk_watch = risk_watch
        self._clock = clock
        self._is_tape = is_tape
        self._number = 0
        self._market_time_ns = 0
        self._to_act_on: asyncio.Queue[list[Mark]] = asyncio.Queue()

    async def run(self) -> None:
        """Watch until canceled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._protection.run())
            group.create_task(self._risk_watch.run())
            group.create_task(self._feed.run(self._on_ticks))
            if not self._is_tape:
                group.create_task(self._tell_time())
                group.create_task(self._act())

    async def connected(self) -> None:
        """Return once the feed's connection stands."""
        while not self._feed.is_connected:  # noqa: ASYNC110 - the feed has nothing to wait on, and it is soon
            await asyncio.sleep(CONNECTION_POLL_S)

    async def settle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return once every ticker packet up to number `packets` of this connection has had its effects."""
        await self._feed.wait_handled(request["packets"])
        await self._to_act_on.join()
        await self._protection.catch_up()
        await self._risk_watch.catch_up()
        return {"number": self._number, "effects": self._protection.effects + self._risk_watch.effects}

    async def status(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return how far the feed and protection are, for people and probes."""
        return {
            "feed": self._feed.status(),
            "marks": self._number,
            "market_time_ns": self._market_time_ns,
            "protection": self._protection.status(),
            "risk_watch": self._risk_watch.status(),
        }

    async def _on_ticks(self, ticks: Sequence[FeedTick]) -> None:
        received_at_ns = self._clock.wall_ns()
        marks = []
        for tick in ticks:
            self._number += 1
            mark = Mark(
                instrument=tick.instrument,
                last_price_e4=tick.last_price_e4,
                exchange_time_ns=tick.exchange_time_ns,
                received_at_ns=received_at_ns,
                number=self._number,
                previous_close_e4=tick.previous_close_e4,
            )
            marks.append(mark)
        self._market_time_ns = max([self._market_time_ns, *(mark.exchange_time_ns for mark in marks)])
        await self._publisher.publish(self._market_time_ns, marks)
        if not self._is_tape:
            self._to_act_on.put_nowait(marks)
            return
        for mark in marks:
            await self._protection.on_mark(mark)
            await self._risk_watch.on_mark(mark)
        await self._protection.on_time(self._market_time_ns)

    async def _act(self) -> None:
        """Act on marks, all that have come at a time, for ever."""
        while True:
            frames = [await self._to_act_on.get()]
            while not self._to_act_on.empty():
                frames.append(self._to_act_on.get_nowait())
            newest: dict[InstrumentKey, Mark] = {}
            for mark in chain.from_iterable(frames):
                newest[mark.instrument] = mark
                await self._protection.on_mark(mark)
            for mark in newest.values():
                await self._risk_watch.on_mark(mark)
            for _ in frames:
                self._to_act_on.task_done()

    async def _tell_time(self) -> None:
        while True:
            await self._protection.on_time(self._clock.wall_ns())
            await asyncio.sleep(TIME_TOLD_S)
