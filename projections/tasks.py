"""Ending tasks for certain, and letting what must not be cut short come to its end."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN_S = 1.0
"""Longer than cleaning up takes, which another cancellation would interrupt."""


async def end(*tasks: asyncio.Task[Any], again_s: float = _AGAIN_S) -> None:
    """Cancel *tasks* and return once each of them is over, however it ended.

    Python 3.11's `asyncio.wait_for`, which the database and transport drivers use, swallows a cancellation that comes
    in the same moment as what it waits for. The task then goes on as if nothing had been asked, so it is asked
    again after *again_s*.
    """
    for task in tasks:
        task.add_done_callback(_see)  # Also where we are canceled ourselves before it is over.
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=again_s)


async def finish(work: Awaitable[T]) -> T:
    """Run *work* to its end however often the caller is canceled meanwhile; the cancellation is raised after it.

    For draining: `end` cancels again and again, and what drains has deadlines of its own.
    """
    task = asyncio.ensure_future(work)
    canceled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as asked:
            canceled = asked
    answer = task.result()
    if canceled is not None:
        raise canceled
    return answer


def _see(task: asyncio.Task[Any]) -> None:
    """Take note of what a task raised: it is no concern of the garbage collector's."""
    if not task.cancelled():
        task.exception()
