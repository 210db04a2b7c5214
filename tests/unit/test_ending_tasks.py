"""Tasks end when they are told to, even where a driver swallows the telling."""

import asyncio
import gc
from typing import Any

from projections.tasks import end


async def test_a_task_that_swallows_a_cancellation_is_asked_again() -> None:
    swallowed = asyncio.Event()

    async def deaf_once() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(deaf_once())
    await asyncio.sleep(0)
    await end(task, again_s=0.01)
    assert swallowed.is_set()
    assert task.cancelled()


async def test_tasks_that_are_over_are_left_as_they_are() -> None:
    async def fail() -> None:
        raise ValueError

    done, failed = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(fail())
    await asyncio.wait({done, failed})
    await end(done, failed)
    assert not done.cancelled()
    assert isinstance(failed.exception(), ValueError)


async def test_what_a_task_raises_is_seen_although_its_end_was_not_waited_for() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    cleaning_up, cleaned_up = asyncio.Event(), asyncio.Event()

    async def fail_late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaning_up.set()
            await cleaned_up.wait()
            raise ValueError

    task = asyncio.create_task(fail_late())
    await asyncio.sleep(0)
    ending = asyncio.create_task(end(task))
    await cleaning_up.wait()
    ending.cancel()
    await asyncio.wait({ending})
    cleaned_up.set()
    await asyncio.wait({task})
    del task, ending
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
