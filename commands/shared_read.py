"""One read for everybody who asks at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedRead(Generic[T]):
    """Makes one read after the other, however many ask; every answer is of a read that began after its question.

    Who asks while a read is under way shares the next one with all who ask meanwhile. A read that had begun before the
    question may not show what the asker has just written.
    """

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._running: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """Return what was read, or raise what the read raised; who is canceled takes nothing from the others."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._running))
        return await asyncio.shield(self._next)

    async def _after(self, earlier: "asyncio.Task[T] | None") -> T:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._running, self._next = self._next, None  # From here on a question would come too late for this read.
        return await self._read()
