"""One read for everybody who asks at the same time."""

import asyncio

import pytest

from commands.shared_read import SharedRead
from tests.support.eventually import eventually


class Table:
    """Something to read, whose reads take until they are let go."""

    def __init__(self) -> None:
        self.value = 0
        self.reads = 0
        self.may_end = asyncio.Event()

    async def read(self) -> int:
        self.reads += 1
        seen = self.value
        await self.may_end.wait()
        return seen


async def test_all_who_ask_at_once_share_one_read() -> None:
    table = Table()
    table.may_end.set()
    read = SharedRead(table.read)
    assert await asyncio.gather(*(read() for _ in range(50))) == [0] * 50
    assert table.reads == 1


async def test_who_asks_while_a_read_is_under_way_is_answered_by_a_later_one() -> None:
    table = Table()
    read = SharedRead(table.read)
    early = asyncio.create_task(read())
    await eventually(lambda: table.reads == 1)
    table.value = 1
    late = [asyncio.create_task(read()) for _ in range(20)]
    await asyncio.sleep(0)
    table.may_end.set()
    assert await early == 0
    assert await asyncio.gather(*late) == [1] * 20
    assert table.reads == 2


async def test_who_is_canceled_takes_the_answer_from_nobody() -> None:
    table = Table()
    read = SharedRead(table.read)
    hasty, patient = asyncio.create_task(read()), asyncio.create_task(read())
    await eventually(lambda: table.reads == 1)
    hasty.cancel()
    table.may_end.set()
    assert await patient == 0


async def test_a_read_that_failed_is_told_to_its_askers_alone() -> None:
    answers = iter([OSError("away"), None])

    async def fail_once() -> int:
        if (fault := next(answers)) is not None:
            raise fault
        return 7

    read = SharedRead(fail_once)
    with pytest.raises(OSError, match="away"):
        await read()
    assert await read() == 7
