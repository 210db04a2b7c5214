"""Appends beside a session that holds an old snapshot: what they look at does not grow with what that keeps."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from statistics import median
from typing import Any

import pytest
from psycopg import AsyncConnection, IsolationLevel, errors
from psycopg.abc import Params, Query

from adapters.postgres.arrays import register_arrays
from adapters.postgres.entries import APPEND, entry_of, parameters_of
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.reading import _READ_HEAD, _READ_STREAM
from adapters.postgres.snapshots import PostgresSnapshots
from commands.ports import Append, Appended, Snapshot, VersionConflict
from domain.envelope import leaf_of
from infra.database import DatabaseUrls
from tests.support.appends import command, on
from tests.support.eventually import eventually

STREAM = "account-1"
APPENDS = 1_200
_FEW = 8
_LEVELS = 12
_WAITS = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
_END = "SELECT version, snapshot_version FROM log.streams WHERE stream_id = %s"
_KEEP = "SELECT log.keep_snapshot(%s, %s, %s, %s, %s, %s)"


@pytest.fixture
async def admin(database: DatabaseUrls) -> AsyncIterator[AsyncConnection[Any]]:
    async with await AsyncConnection.connect(database.admin, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def writers(database: DatabaseUrls) -> AsyncIterator[tuple[AsyncConnection[Any], AsyncConnection[Any]]]:
    """Two sessions that append, each in transactions that end when the test says so."""
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(await AsyncConnection.connect(database.writer)) for _ in range(2)
        ]
        for connection in (first, second):
            register_arrays(connection)
        yield first, second


async def append(connection: AsyncConnection[Any], *appends: Append) -> list[str]:
    """Append in the connection's transaction; return what became of each."""
    row = await (await connection.execute(APPEND, parameters_of([entry_of(each) for each in appends]))).fetchone()
    assert row is not None
    statuses: list[str] = row[0]
    return statuses


async def blocks_touched(connection: AsyncConnection[Any], statement: Query, parameters: Params = ()) -> int:
    """Carry *statement* out and return how many blocks it looked at, those of the functions that it calls included."""
    if isinstance(statement, str):
        statement = statement.encode()
    assert isinstance(statement, bytes)
    cursor = await connection.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, parameters)
    row = await cursor.fetchone()
    assert row is not None
    answer = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    plan = answer[0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


async def rows(connection: AsyncConnection[Any], statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement.encode(), parameters)).fetchall()


async def is_waited(admin: AsyncConnection[Any]) -> bool:
    return bool(await rows(admin, _WAITS))


async def test_an_append_and_what_follows_it_touch_no_more_blocks_when_an_old_snapshot_keeps_every_version(
    database: DatabaseUrls, admin: AsyncConnection[Any]
) -> None:
    """Without eras, each of these grew with the appends: hundreds of blocks after some hundred appends."""
    version = 0

    def next_one() -> Append:
        nonlocal version
        version += 1
        return command(on(STREAM, version - 1), key=f"k{version}")

    async def measured() -> list[int]:
        return [await blocks_touched(writer, APPEND, parameters_of([entry_of(next_one())])) for _ in range(_FEW)]

    async def reads() -> dict[str, int]:
        return {
            "head": await blocks_touched(writer, _READ_HEAD),
            "epoch": await blocks_touched(writer, "SELECT log.current_epoch()"),
            "landmark": await blocks_touched(writer, _READ_STREAM, (STREAM, version, STREAM, version, 1)),
            "snapshot": await blocks_touched(writer, _KEEP, (STREAM, version, version, b"l" * 32, "account.v1", b"{}")),
        }

    async with (
        await AsyncConnection.connect(database.writer, autocommit=True) as writer,
        await AsyncConnection.connect(database.query) as reader,
    ):
        register_arrays(writer)
        await measured()
        # What is known of the tables now is that each of them has one row: plans are made for that, and kept.
        await admin.execute("VACUUM (ANALYZE) log.head, log.streams")
        for _ in range(2):
            await measured()
            await reads()
        await reader.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        assert await rows(reader, "SELECT sequence FROM log.head") == [(version,)]
        first, first_reads = await measured(), await reads()
        for _ in range(APPENDS):
            assert await append(writer, next_one()) == ["appended"]
        last, last_reads = await measured(), await reads()
        # The old snapshot is still held, and it sees what it saw.
        assert await rows(reader, "SELECT sequence FROM log.head") == [(3 * _FEW,)]
    assert await rows(admin, _END, STREAM) == [(version, version - 1)]
    # The indexes of the log grow by a level. One walk over what is kept of one row would touch more than that.
    assert median(last) <= median(first) + _LEVELS
    for name, touched in last_reads.items():
        assert touched <= first_reads[name] + _LEVELS, name


async def test_an_append_that_waits_for_another_goes_on_from_where_that_one_ended(
    admin: AsyncConnection[Any], writers: tuple[AsyncConnection[Any], AsyncConnection[Any]]
) -> None:
    """Both the head and the stream come into another era meanwhile, and the second stream is a new one."""
    first, second = writers
    assert await append(first, command(on(STREAM))) == ["appended"]
    await first.commit()
    assert await append(first, command(on(STREAM, 1, events=600)), command(on("account-2"))) == ["appended"] * 2
    waiting = asyncio.create_task(
        append(
            second,
            command(on(STREAM, 1)),
            command(on("account-2")),
            command(on(STREAM, 601)),
            command(on("account-2", 1)),
        )
    )
    await eventually(lambda: is_waited(admin))
    await first.commit()
    assert await waiting == ["conflict", "conflict", "appended", "appended"]
    await second.commit()
    assert await rows(admin, "SELECT sequence FROM log.head") == [(604,)]
    assert await rows(admin, "SELECT stream_id, version FROM log.streams ORDER BY 1") == [
        (STREAM, 602),
        ("account-2", 2),
    ]


async def test_a_landmark_set_while_an_append_waits_is_kept(
    database: DatabaseUrls, admin: AsyncConnection[Any], writers: tuple[AsyncConnection[Any], AsyncConnection[Any]]
) -> None:
    """The append moves the stream's row into another era."""
    keeping, appending = writers
    async with PostgresEventStore(database.writer) as store:
        await store.append(command(on(STREAM, events=15)))
    await keeping.execute(_KEEP, (STREAM, 15, 15, b"l" * 32, "account.v1", b"{}"))
    waiting = asyncio.create_task(append(appending, command(on(STREAM, 15))))
    await eventually(lambda: is_waited(admin))
    await keeping.commit()
    assert await waiting == ["appended"]
    await appending.commit()
    assert await rows(admin, _END, STREAM) == [(16, 14)]


async def test_a_landmark_that_waits_for_an_append_is_set_in_the_row_that_it_leaves(
    database: DatabaseUrls, admin: AsyncConnection[Any], writers: tuple[AsyncConnection[Any], AsyncConnection[Any]]
) -> None:
    keeping, appending = writers
    async with PostgresEventStore(database.writer) as store:
        await store.append(command(on(STREAM, events=15)))
    assert await append(appending, command(on(STREAM, 15, events=40))) == ["appended"]
    waiting = asyncio.create_task(keeping.execute(_KEEP, (STREAM, 15, 15, b"l" * 32, "account.v1", b"{}")))
    await eventually(lambda: is_waited(admin))
    await appending.commit()
    assert await (await waiting).fetchone() == (True,)
    await keeping.commit()
    assert await rows(admin, _END, STREAM) == [(55, 14)]


async def test_appends_that_were_rolled_back_leave_nothing_that_a_later_one_finds(
    database: DatabaseUrls, admin: AsyncConnection[Any], writers: tuple[AsyncConnection[Any], AsyncConnection[Any]]
) -> None:
    """What they left in the indexes is newer than what counts."""
    failing, _ = writers
    async with PostgresEventStore(database.writer) as store:
        await store.append(command(on(STREAM, events=15)))
        for _ in range(20):
            assert await append(failing, command(on(STREAM, 15, events=600)), command(on("account-2"))) == [
                "appended",
                "appended",
            ]
            await failing.rollback()
        assert (await store.head()).sequence == 15
        with pytest.raises(VersionConflict):
            await store.append(command(on(STREAM, 615)))
        assert await store.append(command(on(STREAM, 15), on("account-2"))) == Appended(
            first_sequence=16, last_sequence=17
        )
        snapshot_of = (await store.read_stream(STREAM))[-1]
        await PostgresSnapshots(store.database).keep(
            Snapshot(
                stream_id=STREAM, version=16, sequence=16, leaf=leaf_of(snapshot_of), schema="account.v1", state=b"{}"
            )
        )
        assert (await store.head()).sequence == 17
    assert await rows(admin, "SELECT stream_id, version, snapshot_version FROM log.streams ORDER BY 1") == [
        (STREAM, 16, 15),
        ("account-2", 1, 0),
    ]


async def test_the_log_has_one_head(admin: AsyncConnection[Any]) -> None:
    with pytest.raises(errors.UniqueViolation, match="one head"):
        await admin.execute("INSERT INTO log.head (sequence, hash, recorded_at) SELECT 300, hash, now() FROM log.head")
    assert await rows(admin, "SELECT sequence FROM log.head") == [(0,)]


async def test_an_append_whose_streams_row_is_gone_under_the_lock_is_rolled_back(
    database: DatabaseUrls, admin: AsyncConnection[Any], writers: tuple[AsyncConnection[Any], AsyncConnection[Any]]
) -> None:
    """Only somebody with the owner's rights can do that; nothing is stored beside a row that is not there."""
    appending, _ = writers
    async with PostgresEventStore(database.writer) as store:
        await store.append(command(on(STREAM)))
    async with await AsyncConnection.connect(database.owner) as owner:
        await owner.execute("DELETE FROM log.streams WHERE stream_id = %s", (STREAM,))
        waiting = asyncio.create_task(append(appending, command(on(STREAM, 1))))
        await eventually(lambda: is_waited(admin))
        await owner.commit()
        with pytest.raises(errors.SerializationFailure, match="under the lock"):
            await waiting
    await appending.rollback()
    assert await rows(admin, "SELECT sequence FROM log.head") == [(1,)]
