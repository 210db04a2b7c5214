"""The log's order and its walls, with more than one connection."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from psycopg import AsyncConnection

from adapters.postgres.arrays import register_arrays
from adapters.postgres.database import Database
from adapters.postgres.entries import APPEND, entry_of, parameters_of
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.reading import LogReads
from adapters.postgres.recorder import PostgresApplicationRecorder, SharedStore
from commands.ports import Append, Appended, VersionConflict
from domain.envelope import RecordedEvent, is_intact
from infra.database import DatabaseUrls
from tests.support.appends import command, on
from tests.support.eventually import eventually

ROOT = Path(__file__).resolve().parents[2]
WRITERS = 3
COMMANDS = 40
_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def admin(database: DatabaseUrls) -> AsyncIterator[AsyncConnection[Any]]:
    async with await AsyncConnection.connect(database.admin, autocommit=True) as connection:
        yield connection


async def open_append(connection: AsyncConnection[Any], append: Append) -> None:
    """Append in a transaction that stays open."""
    register_arrays(connection)
    await connection.execute(APPEND, parameters_of([entry_of(append)]))


async def somebody_waits(admin: AsyncConnection[Any]) -> bool:
    cursor = await admin.execute(_WAITS)
    row = await cursor.fetchone()
    return row is not None and row[0] > 0


class Tail:
    """Reads the log as readers do: what lies after the last sequence it has seen, again and again."""

    def __init__(self, database: DatabaseUrls) -> None:
        self.fed: list[int] = []
        self.polled: list[int] = []
        self.polls = 0
        self._database = database
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._poll())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def looked_again(self) -> None:
        """Wait until it has looked at the log once more, from beginning to end."""
        polls = self.polls
        await eventually(lambda: self.polls > polls + 1)

    async def reached(self, sequence: int) -> None:
        await eventually(lambda: self.fed[-1:] == self.polled[-1:] == [sequence])

    async def _follow(self) -> None:
        async for batch in PostgresFeed(self._database.projector).follow(after_sequence=0):
            self.fed.extend(event.sequence for event in batch)

    async def _poll(self) -> None:
        """Trust every row that is seen, as the simplest reader there is."""
        async with await AsyncConnection.connect(self._database.projector, autocommit=True) as connection:
            while True:
                cursor = await connection.execute(
                    "SELECT sequence FROM log.events WHERE sequence > %s ORDER BY sequence LIMIT 100",
                    (self.polled[-1] if self.polled else 0,),
                )
                self.polled.extend(sequence for (sequence,) in await cursor.fetchall())
                self.polls += 1
                await asyncio.sleep(0)


async def append_later(way: str, database: DatabaseUrls, store: PostgresEventStore) -> None:
    """Append two events to a stream of its own, in one of the ways there are."""
    if way == "load":
        await store.append_bulk([command(on("account-2", events=2))])
    elif way == "library":
        await asyncio.to_thread(append_by_library, database)
    else:
        await store.append(command(on("account-2", events=2)))


def append_by_library(database: DatabaseUrls) -> None:
    shared = SharedStore(database.writer)
    try:
        events = [
            StoredEvent(originator_id="account-2", originator_version=version, topic="topic", state=b"")
            for version in (1, 2)
        ]
        PostgresApplicationRecorder(shared).insert_events(events)
    finally:
        shared.close()


@pytest.mark.parametrize("way", ["append", "load", "library"])
@pytest.mark.parametrize("ending", ["commit", "rollback", "kill"])
async def test_a_later_append_waits_and_a_reader_skips_nothing(
    database: DatabaseUrls, store: PostgresEventStore, admin: AsyncConnection[Any], way: str, ending: str
) -> None:
    async with Tail(database) as tail, await AsyncConnection.connect(database.writer) as first:
        await open_append(first, command(on("account-1", events=3)))
        later = asyncio.create_task(append_later(way, database, store))
        await eventually(lambda: somebody_waits(admin))
        await tail.looked_again()
        # The first one has its numbers and nobody sees them; the later one can have none before that is decided.
        assert not later.done()
        assert (tail.fed, tail.polled) == ([], [])
        match ending:
            case "commit":
                await first.commit()
            case "rollback":
                await first.rollback()
            case _:
                await admin.execute("SELECT pg_terminate_backend(%s)", (first.info.backend_pid,))
                await first.close()
        await later
        last = 5 if ending == "commit" else 2
        await tail.reached(last)
        assert tail.fed == tail.polled == list(range(1, last + 1))


async def test_the_same_reader_loses_rows_that_a_database_sequence_numbers(admin: AsyncConnection[Any]) -> None:
    """What the log would be without its lock: why the test above can fail."""
    await admin.execute("CREATE TABLE numbered (number bigserial, name text)")
    async with await AsyncConnection.connect(admin.info.dsn, password=admin.info.password) as first:
        await first.execute("INSERT INTO numbered (name) VALUES ('first')")
        await admin.execute("INSERT INTO numbered (name) VALUES ('later')")
        seen: list[tuple[int, str]] = []
        for _ in range(2):
            cursor = await admin.execute(
                "SELECT number, name FROM numbered WHERE number > %s ORDER BY number", (seen[-1][0] if seen else 0,)
            )
            seen += await cursor.fetchall()
            await first.commit()
    assert [name for _, name in seen] == ["later"]


async def test_several_writing_processes_under_load_leave_no_hole_and_a_reader_skips_nothing(
    database: DatabaseUrls, store: PostgresEventStore
) -> None:
    async with Tail(database) as tail:
        written = await asyncio.gather(*(busy_writer(database, seed) for seed in range(WRITERS)))
        ranges = sorted(written_range for ranges in written for written_range in ranges)
        assert len(ranges) >= WRITERS * COMMANDS // 2
        last = (await store.head()).sequence
        await tail.reached(last)
    assert tail.fed == tail.polled == list(range(1, last + 1))
    # What the processes were told is what lies there: no sequence was given twice, and none to nobody.
    assert [first for first, _ in ranges] == [1, *(end + 1 for _, end in ranges[:-1])]
    assert ranges[-1][1] == last
    log = await whole_log(store)
    assert all(is_intact(event) for event in log)
    assert all(after.previous_hash == before.hash for before, after in pairwise(log))


async def busy_writer(database: DatabaseUrls, seed: int) -> list[tuple[int, int]]:
    """Run a writer in a process of its own and return the ranges of sequences that it was told."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.busy_writer",
        str(seed),
        str(COMMANDS),
        cwd=ROOT,
        env=os.environ | {"WRITER": database.writer, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    return [tuple(each) for each in json.loads(told)]


async def whole_log(store: PostgresEventStore) -> list[RecordedEvent]:
    log: list[RecordedEvent] = []
    while page := await store.read_all(after_sequence=len(log)):
        log += page
    return log


async def test_two_writers_make_one_chain(database: DatabaseUrls, store: PostgresEventStore) -> None:
    async with PostgresEventStore(database.writer) as other:
        appends = [
            side.append(command(on(f"account-{number % 20}", number // 20 % 3, events=1 + number % 4)))
            for number in range(200)
            for side in (store, other)
        ]
        done = await asyncio.gather(*appends, return_exceptions=True)
    assert {type(outcome) for outcome in done} == {Appended, VersionConflict}
    events = await store.read_all(after_sequence=0)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert all(is_intact(event) for event in events)
    assert all(after.previous_hash == before.hash for before, after in pairwise(events))
    assert all(after.recorded_at_us >= before.recorded_at_us for before, after in pairwise(events))
    by_stream: dict[str, list[RecordedEvent]] = {}
    for event in events:
        by_stream.setdefault(event.stream_id, []).append(event)
    for stream in by_stream.values():
        assert [event.version for event in stream] == list(range(1, len(stream) + 1))


@pytest.mark.parametrize("role", ["writer", "projector", "query"])
def test_nobody_changes_the_log_by_hand(database: DatabaseUrls, role: str) -> None:
    with psycopg.connect(getattr(database, role), autocommit=True) as connection:
        for table, column in {
            "events": "payload",
            "events_000000000000000": "payload",
            "head": "hash",
            "streams": "version",
            "commands": "status",
            "claims": "owner",
        }.items():
            for statement in (
                f"INSERT INTO log.{table} DEFAULT VALUES",
                f"UPDATE log.{table} SET {column} = NULL",  # noqa: S608 - no input
                f"DELETE FROM log.{table}",  # noqa: S608 - no input
                f"TRUNCATE log.{table}",
                f"DROP TABLE log.{table}",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())


@pytest.mark.parametrize("role", ["projector", "query"])
def test_only_the_writer_appends(database: DatabaseUrls, role: str) -> None:
    with psycopg.connect(getattr(database, role), autocommit=True) as connection:
        for function in ("prepare_partitions", "prepare_weeks", "forget_commands"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT log.{function}()".encode())
        for parameters in (19, 23):
            nothing = ", ".join(["NULL"] * parameters)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT log.append_batch({nothing})".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM keys.user_keys")


async def test_the_log_goes_on_where_nobody_prepared_a_partition(
    store: PostgresEventStore, admin: AsyncConnection[Any]
) -> None:
    await admin.execute("UPDATE log.head SET sequence = 3999998")
    assert await store.append(command(on("account-1", events=3))) == Appended(
        first_sequence=3_999_999, last_sequence=4_000_001
    )
    assert [event.version for event in await store.read_all(after_sequence=3_999_998)] == [1, 2, 3]
    assert [event.version for event in await store.read_stream("account-1")] == [1, 2, 3]


async def test_every_role_reads_the_same_epoch_and_a_restore_changes_it(
    database: DatabaseUrls, store: PostgresEventStore, admin: AsyncConnection[Any]
) -> None:
    before = (await store.head()).epoch
    for conninfo in (database.projector, database.query):
        async with Database(conninfo) as reader:
            assert (await LogReads(reader).head()).epoch == before
    await admin.execute("UPDATE log.head SET restore_count = restore_count + 1")
    assert (await store.head()).epoch != before


async def test_a_batch_takes_half_of_what_is_under_way(store: PostgresEventStore, admin: AsyncConnection[Any]) -> None:
    for first in (0, 100):
        await asyncio.gather(*(store.append(command(on(f"account-{first + number}"))) for number in range(64)))
    cursor = await admin.execute("SELECT count(*) FROM log.events GROUP BY recorded_at ORDER BY recorded_at")
    assert [size for (size,) in await cursor.fetchall()] == [32, 32, 48, 16]


async def test_a_few_commands_go_together(store: PostgresEventStore, admin: AsyncConnection[Any]) -> None:
    await asyncio.gather(*(store.append(command(on(f"account-{number}"))) for number in range(16)))
    cursor = await admin.execute("SELECT count(*) FROM log.events GROUP BY recorded_at")
    assert await cursor.fetchall() == [(16,)]
