"""What every injection is, and what several of them need."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

from infra.faults.clients import Asking
from infra.faults.core import Core
from infra.faults.points import Point
from projections.tasks import end

REACHED_WITHIN_S = 30.0
POLL_S = 0.002

Injection = Callable[[Core, Asking, Random], AbstractAsyncContextManager[None]]


class NotReached(Exception):
    """A point was not got to, so nothing went wrong there."""


async def until(what: str, check: Callable[[], bool]) -> None:
    """Return once *check* holds.

    Raises:
        NotReached
    """
    try:
        async with asyncio.timeout(REACHED_WITHIN_S):
            while not check():  # noqa: ASYNC110 - not everything that is waited for has an event
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise NotReached(what) from None


async def happened(point: Point, event: asyncio.Event) -> None:
    """Return once *event* has happened, by which *point* is reached. Raises NotReached."""
    try:
        async with asyncio.timeout(REACHED_WITHIN_S):
            await event.wait()
    except TimeoutError:
        raise NotReached(point.name) from None


@asynccontextmanager
async def beside(what: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run something beside the wave, and see to it that it ends with it."""
    task = asyncio.ensure_future(what)
    try:
        yield
        async with asyncio.timeout(REACHED_WITHIN_S):
            await task
    finally:
        await end(task)
