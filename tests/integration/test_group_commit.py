"""The writer sends a batch before the callers of the one before are told: neither is mistaken for the other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg import AsyncConnection

from adapters.postgres.entries import entry_of
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.waiting import Outcome
from commands.ports import Append, Appended, AppendOutcomeUnknown, StoreUnavailable, StreamAppend
from infra.database import DatabaseUrls
from infra.faults.link import Cut, PostgresLink
from tests.support.appends import command, new_event, on
from tests.support.eventually import eventually

# Whoever asks for a table's lock gets it in the order of asking. A row's lock keeps no order once the row was
# changed under it: those who wait look for its newest version, and a batch sent meanwhile may find that first.
_TAKE = "LOCK TABLE log.head IN EXCLUSIVE MODE"

_WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND usename = %s AND wait_event_type = 'Lock'
"""


class Locks:
    """Two who take the log's lock one after the other; what a writer sends in between comes between them."""

    def __init__(self, first: AsyncConnection[Any], second: AsyncConnection[Any], admin: AsyncConnection[Any]) -> None:
        self._first = first
        self._second = second
        self._admin = admin
        self._taking: asyncio.Task[Any] | None = None

    async def waiting(self, role: str = "khata_writer") -> int | None:
        row = await (await self._admin.execute(_WAITING, (role,))).fetchone()
        return row[0] if row else None

    async def take(self) -> None:
        await self._first.execute(_TAKE)

    async def let_one_batch_pass(self) -> None:
        """Call when a batch waits: it is stored, and the next one waits in its turn."""
        await eventually(self.waiting)
        self._taking = asyncio.create_task(self._second.execute(_TAKE))
        await eventually(lambda: self.waiting("khata_owner"))
        await self._first.rollback()
        await self._taking
        await eventually(self.waiting)

    async def let_go(self) -> None:
        await self._first.rollback()
        await self._second.rollback()

    async def end_statement(self, how: str) -> None:
        pid = await self.waiting()
        await self._admin.execute(f"SELECT pg_{how}_backend(%s)", (pid,))  # type: ignore[arg-type]


@pytest.fixture
async def locks(database: DatabaseUrls) -> AsyncIterator[Locks]:
    async with (
        await AsyncConnection.connect(database.owner) as first,
        await AsyncConnection.connect(database.owner) as second,
        await AsyncConnection.connect(database.admin, autocommit=True) as admin,
    ):
        yield Locks(first, second, admin)


async def stored(database: DatabaseUrls) -> list[str]:
    async with await AsyncConnection.connect(database.writer) as connection:
        cursor = await connection.execute("SELECT stream_id FROM log.events ORDER BY sequence")
        return [stream_id for (stream_id,) in await cursor.fetchall()]


@asynccontextmanager
async def one_by_one(conninfo: str) -> AsyncIterator[Callable[[Append], Awaitable[Appended]]]:
    """A store whose batches are of one command each."""
    async with PostgresEventStore(conninfo, commands_max=1) as store:
        yield store.append


async def test_who_is_stored_is_told_while_the_next_batch_is_under_way(database: DatabaseUrls, locks: Locks) -> None:
    async with one_by_one(database.writer) as append:
        await locks.take()
        first, second = (asyncio.ensure_future(append(command(on(f"account-{number}")))) for number in (1, 2))
        await locks.let_one_batch_pass()
        assert await first == Appended(first_sequence=1, last_sequence=1)
        assert not second.done()
        await locks.let_go()
        assert await second == Appended(first_sequence=2, last_sequence=2)


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_a_batch_that_was_sent_early_and_rolled_back_keeps_its_place(
    database: DatabaseUrls, locks: Locks, how: str
) -> None:
    async with one_by_one(database.writer) as append:
        await locks.take()
        first, *others = (asyncio.ensure_future(append(command(on(f"account-{number}")))) for number in (1, 2, 3, 4))
        await locks.let_one_batch_pass()
        pid = await locks.waiting()
        await locks.end_statement(how)
        if how == "terminate":
            await eventually(lambda: is_another(locks, pid))
        assert await first == Appended(first_sequence=1, last_sequence=1)
        assert not any(other.done() for other in others)
        await locks.let_go()
        assert [(await other).last_sequence for other in others] == [2, 3, 4]
    assert await stored(database) == ["account-1", "account-2", "account-3", "account-4"]


async def is_another(locks: Locks, pid: int | None) -> bool:
    return await locks.waiting() not in (None, pid)


@pytest.mark.parametrize("cut", [Cut.UNHEARD, Cut.HEARD, Cut.UNTOLD])
async def test_a_batch_sent_early_whose_connection_is_lost_is_stored_once(database: DatabaseUrls, cut: Cut) -> None:
    async with PostgresLink(database.writer) as link, one_by_one(link.conninfo) as append:
        await append(command(on("account-0")))
        link.arm(cut, b"account-2")
        appends = [command(on(f"account-{number}"), key=f"k{number}" if number % 2 else None) for number in range(1, 5)]
        done = await asyncio.gather(*map(append, appends))
        assert link.has_struck.is_set()
    assert [(outcome.last_sequence, outcome.repeated) for outcome in done] == [(place, False) for place in range(2, 6)]
    assert await stored(database) == [f"account-{number}" for number in range(5)]


async def test_closing_tells_who_is_under_way_and_who_waits_behind(database: DatabaseUrls, locks: Locks) -> None:
    store = PostgresEventStore(database.writer, commands_max=1)
    await store.start()
    await locks.take()
    appends = [asyncio.ensure_future(store.append(command(on(f"account-{number}")))) for number in (1, 2, 3)]
    await locks.let_one_batch_pass()
    closing = asyncio.create_task(store.close())
    await asyncio.wait({closing}, timeout=0.1)
    assert not closing.done()
    await locks.let_go()
    await closing
    assert [(await append).last_sequence for append in appends] == [1, 2, 3]


async def test_an_early_batch_that_gets_no_answer_in_time_is_unknown_and_the_one_before_is_not(
    database: DatabaseUrls, locks: Locks
) -> None:
    async with PostgresEventStore(database.writer, commands_max=1, deadline_s=2.5) as store:
        await locks.take()
        first = asyncio.ensure_future(store.append(command(on("account-1"))))
        second = asyncio.ensure_future(store.append(command(on("account-2"))))
        await locks.let_one_batch_pass()
        assert await first == Appended(first_sequence=1, last_sequence=1)
        with pytest.raises(AppendOutcomeUnknown):
            await second
        await locks.let_go()


async def test_a_batch_larger_than_what_a_socket_takes_at_once_is_stored_whole(database: DatabaseUrls) -> None:
    large = tuple(new_event(bytes([number]) * 200_000) for number in range(30))
    async with PostgresEventStore(database.writer) as store:
        appended = await store.append(command(StreamAppend(stream_id="account-1", expected_version=0, events=large)))
        assert appended == Appended(first_sequence=1, last_sequence=30)
        events = await store.read_stream("account-1")
    assert [event.payload for event in events] == [event.payload for event in large]


@asynccontextmanager
async def gathering(database: DatabaseUrls) -> AsyncIterator[GroupCommit]:
    """A writer that has just written, and that gathers for longer than any test lasts."""
    writer = GroupCommit(database.writer, deadline_s=30, gather_s=3_600)
    await writer.start()
    try:
        await submitted(writer, 0)
        yield writer
    finally:
        await writer.close()


def submitted(writer: GroupCommit, number: int) -> asyncio.Future[Outcome]:
    return writer.submit(entry_of(command(on(f"account-{number}"))))


async def batches(database: DatabaseUrls) -> list[int]:
    """How many commands were stored together, oldest first."""
    async with await AsyncConnection.connect(database.admin) as connection:
        rows = await connection.execute("SELECT count(*) FROM log.events GROUP BY xmin ORDER BY min(sequence)")
        return [count for (count,) in await rows.fetchall()]


async def test_what_comes_one_by_one_is_gathered_and_a_writer_that_closes_waits_no_longer(
    database: DatabaseUrls,
) -> None:
    async with gathering(database) as writer:
        coming = []
        for number in range(1, 4):
            coming.append(submitted(writer, number))
            for _ in range(5):
                await asyncio.sleep(0)  # Nothing keeps the writer from sending it but that it gathers.
    assert [outcome.result().status for outcome in coming] == ["appended"] * 3
    assert await batches(database) == [1, 3]


async def test_a_batch_that_is_large_enough_is_not_waited_for(database: DatabaseUrls) -> None:
    async with gathering(database) as writer:
        await asyncio.gather(*(submitted(writer, number) for number in range(1, 17)))
    assert await batches(database) == [1, 16]


async def test_a_writer_that_is_stopped_leaves_nobody_waiting(database: DatabaseUrls, locks: Locks) -> None:
    writer = GroupCommit(database.writer, deadline_s=5, commands_max=1)
    await writer.start()
    await locks.take()
    first, second, third = (writer.submit(entry_of(command(on(f"account-{number}")))) for number in (1, 2, 3))
    await locks.let_one_batch_pass()
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "group commit")
    task.cancel()
    done = await asyncio.gather(first, second, third, return_exceptions=True)
    assert [type(each) for each in done] == [Outcome, AppendOutcomeUnknown, StoreUnavailable]
    await locks.let_go()
    with pytest.raises(asyncio.CancelledError):
        await writer.close()
