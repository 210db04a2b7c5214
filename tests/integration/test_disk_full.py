"""The log's disk fills up: a clear error, nothing half-written, and appends again as soon as there is room.

Three ways to run out of room. A file system that is full where the tables lie: the append is refused, at once, and the
server goes on. One that is full where the write-ahead log lies: PostgreSQL panics, cannot recover and ends; the append
under way is in doubt until it is started again with room. A limit on the size of a file, which needs no mounting.
"""

import os
import resource
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from commands.ports import Append, AppendOutcomeUnknown, LogFull, NewEvent, StoreUnavailable, StreamAppend
from domain.envelope import RecordedEvent
from infra.database import DatabaseUrls
from infra.embedded.postgres import EmbeddedPostgres
from infra.faults.oracle import Findings, check_log
from infra.keys import ensure_keys
from infra.kills import small_disk
from infra.migrations.runner import migrate
from tests.support.appends import command
from tests.support.servers import make_test_home, remove_test_home

PAYLOAD_BYTES = 100_000
APPENDS_MAX = 500
FILE_BYTES_MAX = 20 * 1024 * 1024
"""Room for a segment of the write-ahead log, and soon too little for a table."""
MEBIBYTE = 1024 * 1024
PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'log.events'::regclass"


class Appender:
    """Appends large events to one stream, one after another, each under a key of its own."""

    def __init__(self) -> None:
        self.version = 0

    def next(self) -> Append:
        # Random bytes, which the server cannot compress.
        event = NewEvent(name="thing.happened.v1", payload=os.urandom(PAYLOAD_BYTES))
        part = StreamAppend(stream_id="account-1", expected_version=self.version, events=(event,))
        return command(part, key=f"key-{self.version}")

    async def fill(self, store: PostgresEventStore) -> tuple[Append, Exception]:
        """Append until it is refused; return what was refused, and how."""
        for _ in range(APPENDS_MAX):
            append = self.next()
            try:
                await store.append(append)
            except (StoreUnavailable, AppendOutcomeUnknown) as refused:
                return append, refused
            self.version += 1
        raise AssertionError("there was room for everything")


@contextmanager
def small_file_system(folder: Path, postgres: EmbeddedPostgres, mebibytes: int) -> Iterator[None]:
    """Mount one on *folder*, for the server's user; skip the test, and say so, where that is not allowed."""
    with ExitStack() as mounted:
        try:
            mounted.enter_context(small_disk.small_file_system(folder, postgres.place.user, mebibytes))
        except small_disk.MountRefused as refused:
            pytest.skip(f"no file system can be mounted here ({refused}); the limit on files is tried instead")
        yield


def give_room(folder: Path) -> None:
    """Make the file system on *folder* a large one."""
    subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)  # noqa: S607 - the system's


@contextmanager
def limited_files() -> Iterator[None]:
    """Let what is started within write no file larger than `FILE_BYTES_MAX`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@asynccontextmanager
async def own_server() -> AsyncIterator[tuple[EmbeddedPostgres, Path]]:
    """A server of the test's own, not started yet, and a folder beside its home."""
    home = make_test_home()
    home.prepare()
    postgres = EmbeddedPostgres(home, ensure_keys(home, tell=False))
    try:
        yield postgres, home.path.parent
    finally:
        await postgres.stop()
        remove_test_home(home)


async def whole_log(database: DatabaseUrls) -> list[RecordedEvent]:
    """Return the log, which is sound from its first event to its head."""
    findings = Findings()
    async with (
        PostgresEventStore(database.writer) as store,
        await psycopg.AsyncConnection.connect(database.admin, autocommit=True) as admin,
    ):
        events = await store.read_all(after_sequence=0, limit=APPENDS_MAX)
        await check_log(admin, events, findings)
        row = await (await admin.execute("SELECT count(*), max(last_sequence) FROM log.commands")).fetchone()
    assert not findings, str(findings)
    assert row == (len(events), len(events)), "every key has its one outcome"
    return events


async def test_a_full_disk_under_the_tables_refuses_appends_until_there_is_room() -> None:
    async with own_server() as (postgres, beside):
        database = await postgres.start()
        migrate(database.owner)
        with small_file_system(beside / "small", postgres, mebibytes=4):
            async with await psycopg.AsyncConnection.connect(database.admin, autocommit=True) as admin:
                await admin.execute(f"CREATE TABLESPACE small LOCATION '{beside / 'small'}'")
                for (partition,) in await (await admin.execute(PARTITIONS)).fetchall():
                    await admin.execute(f"ALTER TABLE {partition} SET TABLESPACE small")
            async with PostgresEventStore(database.writer, deadline_s=30) as store:
                appender = Appender()
                append, refused = await appender.fill(store)
                assert isinstance(refused, LogFull)
                assert "No space left" in str(refused)
                assert appender.version > 10
                with pytest.raises(LogFull):
                    await store.append(append)
                assert len(await whole_log(database)) == appender.version

                give_room(beside / "small")
                appended = await store.append(append)
                assert (appended.last_sequence, appended.repeated) == (appender.version + 1, False)
                assert (await store.append(append)).repeated
            assert [event.version for event in await whole_log(database)] == [*range(1, appender.version + 2)]
            await postgres.stop()


async def test_a_full_disk_under_the_write_ahead_log_costs_a_restart_and_nothing_else() -> None:
    async with own_server() as (postgres, beside):
        database = await postgres.start()
        migrate(database.owner)
        await postgres.stop()
        with small_file_system(beside / "small", postgres, mebibytes=64):
            move(postgres.data / "pg_wal", beside / "small" / "pg_wal")
            await postgres.start()
            filler = beside / "small" / "filler"
            fill_up(filler)
            async with PostgresEventStore(database.writer, deadline_s=2) as store:
                appender = Appender()
                append, refused = await appender.fill(store)
                # The one under way: it was not answered, and there is nobody left to ask.
                assert isinstance(refused, AppendOutcomeUnknown)
                assert postgres.process is not None
                assert await postgres.process.wait(within_s=30) == 1
                with pytest.raises(StoreUnavailable):
                    await store.append(append)

                filler.unlink()
                await postgres.start()
                appended = await store.append(append)
                assert appended.last_sequence == appender.version + 1
            events = await whole_log(database)
            assert [event.version for event in events] == [*range(1, appender.version + 2)]
            assert events[-1].payload == append.streams[0].events[0].payload
            await postgres.stop()


async def test_a_limit_on_files_refuses_appends_until_it_is_lifted() -> None:
    async with own_server() as (postgres, _):
        with limited_files():
            database = await postgres.start()
        migrate(database.owner)
        async with PostgresEventStore(database.writer, deadline_s=30) as store:
            appender = Appender()
            append, refused = await appender.fill(store)
            assert isinstance(refused, LogFull)
            assert "File too large" in str(refused)
            assert len(await whole_log(database)) == appender.version > 10
            await postgres.stop()
            await postgres.start()
            assert (await store.append(append)).last_sequence == appender.version + 1
        assert len(await whole_log(database)) == appender.version + 1


def move(folder: Path, target: Path) -> None:
    """Move what the server has in *folder* to *target*, and leave a link."""
    status = folder.stat()
    shutil.copytree(folder, target)
    for path in (target, *target.rglob("*")):
        os.chown(path, status.st_uid, status.st_gid)
    shutil.rmtree(folder)
    folder.symlink_to(target)


def fill_up(filler: Path) -> None:
    """Leave no room beside *filler*."""
    left = shutil.disk_usage(filler.parent).free
    filler.write_bytes(bytes(left))
    assert shutil.disk_usage(filler.parent).free < MEBIBYTE
