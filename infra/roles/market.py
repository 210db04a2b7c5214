"""The market role: ticks in, marks out, protection in between."""

import asyncio
from typing import Any

import structlog

from adapters.dhan.feed import DhanFeed, FeedTick
from adapters.nats.marks import MarksPublisher
from commands.ports import Clock
from commands.protection import Protection
from domain.market import Mark

log = structlog.get_logger(__name__)


class MarketWatch:
    """Turns the feed's ticks into numbered marks, publishes them, and hands each to protection.

    A mark is published before protection acts on it, so that whoever decides next knows what protection knew.
    """

    def __init__(self, *, feed: DhanFeed, publisher: MarksPublisher, protection: Protection, clock: Clock) -> None:
        self._feed = feed
        self._publisher = publisher
        self._protection = protection
        self._clock = clock
        self._number = 0
        self._taken_in = 0
        self._advanced = asyncio.Event()
        self._market_time_ns = 0

    async def run(self) -> None:
        """Watch until canceled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._protection.run())
            group.create_task(self._feed.run(self._on_ticks))

    async def settle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return once every ticker packet up to number `packets` of this connection has had its effects."""
        while self._taken_in < request["packets"]:
            self._advanced.clear()
            await self._advanced.wait()
        await self._protection.catch_up()
        return {"number": self._number, "effects": self._protection.effects}

    def status(self) -> dict[str, Any]:
        """Return how far the feed and protection are, for people and probes."""
        return {
            "packets": self._feed.packets,
            "marks": self._number,
            "market_time_ns": self._market_time_ns,
            "protection": self._protection.status(),
        }

    async def _on_ticks(self, ticks: list[FeedTick]) -> None:
        packets = self._feed.packets
        received_at_ns = self._clock.wall_ns()
        marks = []
        for tick in ticks:
            self._number += 1
            marks.append(
                Mark(
                    instrument=tick.instrument,
                    last_price_e4=tick.last_price_e4,
                    exchange_time_ns=tick.exchange_time_ns,
                    received_at_ns=received_at_ns,
                    number=self._number,
                )
            )
        if marks:
            self._market_time_ns = max(self._market_time_ns, *(mark.exchange_time_ns for mark in marks))
            await self._publisher.publish(self._market_time_ns, marks)
            for mark in marks:
                await self._protection.on_mark(mark)
        self._taken_in = packets
        self._advanced.set()
