"""Reading ahead: while a batch is written, the next ones are read and decoded, and those that wait become one batch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from domain.envelope import RecordedEvent
from projections.batches import Reading, read_batch
from projections.tasks import end

_AHEAD_MAX = 4
"""Batches that are read ahead of the one that is worked on."""


class _Signal(Enum):
    NOTHING_YET = 1
    END = 2


_Item = Reading | Exception | _Signal


@asynccontextmanager
async def prefetched(
    feed: AsyncIterator[list[RecordedEvent]], *, events_max: int
) -> AsyncIterator[AsyncIterator[Reading]]:
    """Yield the batches of *feed*, decoded and put together up to *events_max* events; close *feed* at the end.

    What the feed raises is raised once everything before it was taken.
    """
    queue: asyncio.Queue[_Item] = asyncio.Queue(_AHEAD_MAX)

    async def read() -> None:
        try:
            async for batch in feed:
                await queue.put(read_batch(batch))
            await queue.put(_Signal.END)
        except Exception as error:  # noqa: BLE001 - handed to the one who takes the batches
            await queue.put(error)
        finally:
            if (close := getattr(feed, "aclose", None)) is not None:
                await close()

    reading = asyncio.create_task(read())
    try:
        yield _together(queue, events_max)
    finally:
        await end(reading)


async def _together(queue: asyncio.Queue[_Item], events_max: int) -> AsyncIterator[Reading]:
    item = await queue.get()
    while isinstance(item, Reading):
        batch = item
        item = _next(queue)
        while (
            isinstance(item, Reading)
            and batch.obstacle is None
            and len(batch.decoded) + len(item.decoded) <= events_max
        ):
            batch = Reading(batch.decoded + item.decoded, item.obstacle)
            item = _next(queue)
        yield batch
        if item is _Signal.NOTHING_YET:
            item = await queue.get()
    if isinstance(item, Exception):
        raise item


def _next(queue: asyncio.Queue[_Item]) -> _Item:
    return _Signal.NOTHING_YET if queue.empty() else queue.get_nowait()
