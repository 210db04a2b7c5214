"""The log's order and its walls, with more than one connection."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from adapters.postgres.arrays import register_arrays
from adapters.postgres.database import Database
from adapters.postgres.entries import entry_of, parameters_of
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.reading import LogReads
from commands.ports import Append, Appended, VersionConflict
from domain.envelope import RecordedEvent, is_intact
from infra.database import DatabaseUrls
from tests.support.appends import command, on
from tests.support.eventually import eventually

_APPEND = f"SELECT statuses, head_sequence FROM log.append_batch({', '.join(['%b'] * 19)})"  # noqa: S608 - no input
_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def admin(database: DatabaseUrls) -> AsyncIterator[AsyncConnection[Any]]:
    async with await AsyncConnection.connect(database.admin, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def store(database: DatabaseUrls) -> AsyncIterator[PostgresEventStore]:
    async with PostgresEventStore(database.writer) as opened:
        yield opened


async def open_append(connection: AsyncConnection[Any], append: Append) -> None:
    """Append in a transaction that stays open."""
    register_arrays(connection)
    await connection.execute(_APPEND, parameters_of([entry_of(append)]))


async def somebody_waits(admin: AsyncConnection[Any]) -> bool:
    cursor = await admin.execute(_WAITS)
    row = await cursor.fetchone()
    return row is not None and row[0] > 0


async def test_a_later_append_waits_and_a_reader_skips_nothing(
    database: DatabaseUrls, store: PostgresEventStore, admin: AsyncConnection[Any]
) -> None:
    read: list[int] = []

    async def tail() -> None:
        async for batch in PostgresFeed(database.writer).follow(after_sequence=0):
            read.extend(event.sequence for event in batch)

    tailing = asyncio.create_task(tail())
    async with await AsyncConnection.connect(database.writer) as first:
        await open_append(first, command(on("account-1")))
        later = asyncio.create_task(store.append(command(on("account-2"))))
        await eventually(lambda: somebody_waits(admin))
        assert not later.done()
        assert await store.read_all(after_sequence=0) == []
        assert read == []
        await first.commit()
    assert await later == Appended(first_sequence=2, last_sequence=2)
    await eventually(lambda: len(read) == 2)
    assert read == [1, 2]
    tailing.cancel()
    await asyncio.gather(tailing, return_exceptions=True)


async def test_a_rollback_leaves_no_hole(
    database: DatabaseUrls, store: PostgresEventStore, admin: AsyncConnection[Any]
) -> None:
    async with await AsyncConnection.connect(database.writer) as first:
        await open_append(first, command(on("account-1", events=7)))
        later = asyncio.create_task(store.append(command(on("account-1"))))
        await eventually(lambda: somebody_waits(admin))
        await first.rollback()
    assert await later == Appended(first_sequence=1, last_sequence=1)


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
        for function in ("prepare_partitions", "forget_commands"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT log.{function}()".encode())
        nothing = ", ".join(["NULL"] * 19)
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


async def test_an_outcome_is_forgotten_after_fourteen_days(
    store: PostgresEventStore, admin: AsyncConnection[Any]
) -> None:
    await store.append(command(on("account-1"), key="old"))
    await store.append(command(on("account-1", 1), key="young"))
    await admin.execute("UPDATE log.commands SET recorded_at = recorded_at - interval '15 days' WHERE key = 'old'")
    await store.database.fetch("SELECT log.forget_commands()")
    again = await store.append(command(on("account-1", 2), key="young"))
    assert again.repeated
    once_more = await store.append(command(on("account-1", 2), key="old"))
    assert not once_more.repeated


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
