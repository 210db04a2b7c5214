"""Reading ahead: while a batch is written, the next ones are read and decoded, and those that wait become one batch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from domain.envelope import RecordedEvent
from projections.batches import Reading, read_batch
from projections.tasks import end


class _Signal(Enum):
    NOTHING_YET = 1
    END = 2


_Item = Reading | Exception | _Signal


class _Ahead:
    """What was read ahead: batches in order, as long as they have not *events_max* events together."""

    def __init__(self, events_max: int) -> None:
        self._events_max = events_max
        self._events = 0
        self._items: asyncio.Queue[_Item] = asyncio.Queue()
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def put(self, item: _Item) -> None:
        """Add a batch or the end, once there is room."""
        await self._has_room.wait()
        self._items.put_nowait(item)
        self._count(item, 1)

    async def take(self) -> _Item:
        """Return the next one, once there is one."""
        item = await self._items.get()
        self._count(item, -1)
        return item

    def take_now(self) -> _Item:
        """Return the next one if there is one."""
        if self._items.empty():
            return _Signal.NOTHING_YET
        item = self._items.get_nowait()
        self._count(item, -1)
        return item

    def _count(self, item: _Item, sign: int) -> None:
        if isinstance(item, Reading):
            self._events += sign * len(item.decoded)
        if self._events < self._events_max:
            self._has_room.set()
        else:
            self._has_room.clear()


@asynccontextmanager
async def prefetched(
    feed: AsyncIterator[list[RecordedEvent]], *, events_max: int
) -> AsyncIterator[AsyncIterator[Reading]]:
    """Yield the batches of *feed*, decoded and put together up to *events_max* events; close *feed* at the end.

    What the feed raises is raised once everything before it was taken.
    """
    ahead = _Ahead(events_max)

    async def read() -> None:
        try:
            async for batch in feed:
                await ahead.put(read_batch(batch))
            await ahead.put(_Signal.END)
        except Exception as error:  # noqa: BLE001 - handed to the one who takes the batches
            await ahead.put(error)
        finally:
            if (close := getattr(feed, "aclose", None)) is not None:
                await close()

    reading = asyncio.create_task(read())
    try:
        yield _together(ahead, events_max)
    finally:
        await end(reading)


async def _together(ahead: _Ahead, events_max: int) -> AsyncIterator[Reading]:
    item = await ahead.take()
    while isinstance(item, Reading):
        decoded, obstacle = item.decoded, item.obstacle
        item = ahead.take_now()
        while isinstance(item, Reading) and obstacle is None and len(decoded) + len(item.decoded) <= events_max:
            decoded = [*decoded, *item.decoded]
            obstacle = item.obstacle
            item = ahead.take_now()
        yield Reading(decoded, obstacle)
        if item is _Signal.NOTHING_YET:
            item = await ahead.take()
    if isinstance(item, Exception):
        raise item
