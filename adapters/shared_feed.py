"""One way through the log for all of a process that follow it.

Whoever has come to where the shared way is takes from it; who begins further back, or falls behind what is kept of it,
goes a way of its own until it gets there. So events are fetched, checked and unpacked once, however many follow.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import islice

from commands.ports import EventFeed
from domain.envelope import RecordedEvent
from projections.tasks import end

KEPT = 4_000
"""So many of the last events are kept for those who are slower than the others."""


class SharedFeed:
    """Implements `EventFeed` of commands and projections over *feed*. What it yields belongs to all: leave it as it is.

    The shared way begins with the first who follows and ends with the last.
    """

    def __init__(self, feed: EventFeed, *, kept: int = KEPT) -> None:
        self._feed = feed
        self._followers = 0
        self._shared: asyncio.Task[None] | None = None
        self._begin = 0
        self._recent: deque[RecordedEvent] = deque(maxlen=kept)
        self._last: list[RecordedEvent] = []
        self._news = asyncio.Event()

    async def follow(self, *, after_sequence: int) -> AsyncGenerator[list[RecordedEvent], None]:
        """Yield events in batches as they are recorded, starting after *after_sequence*. Raises as the feed does."""
        self._followers += 1
        place = after_sequence
        if self._shared is None:
            self._start(place)
        try:
            while True:
                if not self._reaches(place):
                    async with aclosing(self._alone(place)) as alone:
                        async for events in alone:
                            place = events[-1].sequence
                            yield events
                news = self._news
                if events := self._after(place):
                    place = events[-1].sequence
                    yield events
                else:
                    self._demand_running()
                    await news.wait()
        finally:
            self._followers -= 1
            if not self._followers:
                await self._stop()

    async def _alone(self, place: int) -> AsyncGenerator[list[RecordedEvent], None]:
        """Yield events until the shared way is reached."""
        async for events in self._feed.follow(after_sequence=place):
            yield events
            if self._reaches(events[-1].sequence):
                return

    # --- The shared way ---

    def _start(self, place: int) -> None:
        self._begin = place
        self._recent.clear()
        self._last = []
        self._shared = asyncio.create_task(self._go(place), name="shared way through the log")

    async def _stop(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            await end(shared)

    async def _go(self, place: int) -> None:
        try:
            async for events in self._feed.follow(after_sequence=place):
                self._recent.extend(events)
                self._last = events
                self._tell()
        finally:
            self._tell()  # Who waits finds that it has ended, and how.

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _demand_running(self) -> None:
        if self._shared is not None and self._shared.done():
            self._shared.result()

    def _reaches(self, place: int) -> bool:
        """Tell whether everything after *place* is kept or still to come."""
        return place >= (self._recent[0].sequence - 1 if self._recent else self._begin)

    def _after(self, place: int) -> list[RecordedEvent]:
        """Return what is kept after *place*: sequences have no holes."""
        if not self._recent or place >= self._recent[-1].sequence:
            return []
        if self._last[0].sequence == place + 1:
            return self._last
        return list(islice(self._recent, place + 1 - self._recent[0].sequence, None))
