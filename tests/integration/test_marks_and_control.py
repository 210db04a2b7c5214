"""Marks between processes, and asking a role something."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.clock import SystemClock
from adapters.nats.connection import NatsConnection, connect
from adapters.nats.control import RoleFailed, RoleSilent, request, serve
from adapters.nats.marks import MarksMessage, MarksPublisher, NatsMarks
from tests.support.eventually import eventually
from tests.support.specimens import INFY, NOW_NS, NS_PER_S, RELIANCE, infy_mark, mark


@pytest.fixture
async def nats(nats_url: str) -> AsyncIterator[NatsConnection]:
    connection = await connect(nats_url)
    yield connection
    await connection.close()


def tape_marks(nats: NatsConnection) -> NatsMarks:
    return NatsMarks(nats, clock=SystemClock(), market_clock="tape")


async def test_a_mark_reaches_who_listens_and_moves_the_tapes_clock(nats: NatsConnection) -> None:
    async with MarksPublisher(nats) as publisher, tape_marks(nats) as marks:
        assert marks.mark_of(RELIANCE) is None
        assert marks.market_time_ns() == 0
        await publisher.publish(NOW_NS, [mark, infy_mark])
        await marks.wait_for_number(2, timeout_s=2)
        assert marks.mark_of(RELIANCE) == mark
        assert marks.mark_of(INFY) == infy_mark
        assert marks.market_time_ns() == NOW_NS
        await publisher.publish(NOW_NS + NS_PER_S, [])
        await eventually(lambda: marks.market_time_ns() == NOW_NS + NS_PER_S)


async def test_the_wall_clock_is_the_wall_clock_whatever_the_marks_say(nats: NatsConnection) -> None:
    clock = SystemClock()
    async with MarksPublisher(nats) as publisher, NatsMarks(nats, clock=clock, market_clock="wall") as marks:
        before = clock.wall_ns()
        await publisher.publish(1, [mark])
        await marks.wait_for_number(1, timeout_s=2)
        assert marks.market_time_ns() >= before


async def test_who_comes_late_asks_for_a_snapshot(nats: NatsConnection) -> None:
    async with MarksPublisher(nats) as publisher:
        await publisher.publish(NOW_NS, [mark])
        await publisher.publish(NOW_NS + 1, [infy_mark])
        async with tape_marks(nats) as late:
            await late.wait_for_number(2, timeout_s=2)
            assert late.mark_of(RELIANCE) == mark
            assert late.market_time_ns() == NOW_NS + 1


async def test_who_comes_before_the_market_role_gets_its_snapshot_later(nats: NatsConnection) -> None:
    async with tape_marks(nats) as early:
        publisher = MarksPublisher(nats)
        publisher._marks = {RELIANCE: mark}  # Seen before anybody could be told.
        async with publisher:
            await early.wait_for_number(1, timeout_s=3)
            assert early.mark_of(RELIANCE) == mark


async def test_a_snapshot_does_not_undo_a_newer_mark(nats: NatsConnection) -> None:
    newer = replace(mark, last_price_e4=1, received_at_ns=mark.received_at_ns + 1, number=9)
    async with tape_marks(nats) as marks:
        marks._marks[RELIANCE] = newer
        async with MarksPublisher(nats) as publisher:
            await publisher.publish(NOW_NS, [infy_mark])
            publisher._marks[RELIANCE] = mark
            await marks._ask()
        assert marks.mark_of(RELIANCE) == newer


async def test_after_a_reconnect_the_snapshot_is_asked_again(nats: NatsConnection) -> None:
    async with MarksPublisher(nats) as publisher, tape_marks(nats) as marks:
        await publisher.publish(NOW_NS, [mark])
        await marks.wait_for_number(1, timeout_s=2)
        publisher._marks[INFY] = infy_mark  # Published while we were away.
        await nats.reconnected()
        await eventually(lambda: marks.mark_of(INFY) == infy_mark)


async def test_handlers_see_every_message_after_it_was_taken_in(nats: NatsConnection) -> None:
    seen: list[MarksMessage] = []
    async with MarksPublisher(nats) as publisher, tape_marks(nats) as marks:

        async def note(message: MarksMessage) -> None:
            assert marks.mark_of(RELIANCE) == message.marks[-1]
            seen.append(message)

        marks.on_marks(note)
        for number in range(1, 4):
            await publisher.publish(NOW_NS + number, [replace(mark, number=number)])
        await eventually(lambda: len(seen) == 3)
        assert [message.market_time_ns - NOW_NS for message in seen] == [1, 2, 3]


async def test_waiting_for_a_mark_that_does_not_come_ends(nats: NatsConnection) -> None:
    async with tape_marks(nats) as marks:
        with pytest.raises(TimeoutError):
            await marks.wait_for_number(1, timeout_s=0.05)


async def test_a_role_answers_several_at_once(nats: NatsConnection) -> None:
    both = asyncio.Barrier(2)

    async def handler(question: dict[str, Any]) -> dict[str, Any]:
        await both.wait()
        return {"twice": question["number"] * 2}

    async with serve(nats, "khata.test.twice", handler):
        answers = await asyncio.gather(*(request(nats, "khata.test.twice", {"number": n}) for n in (1, 2)))
    assert answers == [{"twice": 2}, {"twice": 4}]


async def test_a_role_that_fails_says_so_and_goes_on(nats: NatsConnection) -> None:
    async def handler(question: dict[str, Any]) -> dict[str, Any]:
        return {"half": 1 / question["number"]}

    async with serve(nats, "khata.test.half", handler):
        with pytest.raises(RoleFailed, match="ZeroDivisionError"):
            await request(nats, "khata.test.half", {"number": 0})
        assert await request(nats, "khata.test.half", {"number": 2}) == {"half": 0.5}
    with pytest.raises(RoleSilent):
        await request(nats, "khata.test.half", {"number": 2})
