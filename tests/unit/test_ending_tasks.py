"""Tasks end when they are told to, even where a driver swallows the telling."""

import asyncio

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
