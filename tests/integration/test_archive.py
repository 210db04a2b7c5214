"""Archiving partitions, and reading the log as if nothing had happened."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace
from psycopg import AsyncConnection

from adapters.archive.parquet import ArchiveUnreadable, ParquetArchive
from adapters.clock import SystemClock
from adapters.ids import SystemIds
from adapters.postgres.archiver import Archiver
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.recorder import PostgresApplicationRecorder, SharedStore
from adapters.postgres.view_store import PostgresViewStore
from commands.ports import Appended
from domain.envelope import RecordedEvent
from domain.integrity.anchors import CheckedAnchors
from infra.database import DatabaseUrls
from infra.wiring.integrity import archive_log, verify_log
from tests.support.anchored_logs import STREAMS, LogWriter, anchor
from tests.support.appends import command, on
from tests.support.servers import Servers
from tests.support.small_partitions import make_partitions_small

WIDTH = 120
EVENTS = 3 * WIDTH + 50
FILE_EVENTS = 50
ROW_GROUP = 20
ANCHOR_EVENTS = 40
STEPS = (
    "write the file",
    "read the file again",
    "note the file",
    "follow the chain to an anchor",
    "detach the partition",
    "let the files count",
    "drop the partition",
)


@dataclass(frozen=True, slots=True)
class Log:
    """A log of three closed partitions and a bit, anchored to its end, and everything that is in it."""

    database: DatabaseUrls
    folder: Path
    anchors: CheckedAnchors
    events: list[RecordedEvent]
    store: PostgresEventStore

    def archive(self, keep: int = 1) -> list[int]:
        outcome = archive_log(
            self.database.owner, self.folder, anchors=self.anchors, keep=keep, file_events=FILE_EVENTS
        )
        return [partition.last for partition in outcome.archived]


@pytest.fixture
async def log(database: DatabaseUrls, servers: Servers, tmp_path: Path) -> AsyncIterator[Log]:
    make_partitions_small(database, WIDTH)
    folder = tmp_path / "archive"
    async with PostgresEventStore(database.writer, archive=ParquetArchive(folder, row_group=ROW_GROUP)) as store:
        named = SystemIds(SystemClock()).new("cmd")
        await store.append(replace(command(on("account-named", events=2)), command_id=named))
        await LogWriter(store).write_to(EVENTS)
        events = await store.read_all(after_sequence=0, limit=EVENTS + 1)
        anchors = await anchor(database, servers.keys, tmp_path / "anchors.jsonl", every_events=ANCHOR_EVENTS)
        yield Log(database, folder, anchors, events, store)


def of_stream(events: list[RecordedEvent], stream_id: str) -> list[RecordedEvent]:
    return [event for event in events if event.stream_id == stream_id]


async def test_every_read_is_the_same_after_archiving(log: Log) -> None:
    assert log.archive() == [WIDTH - 1, 2 * WIDTH - 1]

    assert await log.store.read_all(after_sequence=0, limit=EVENTS) == log.events
    for after in (0, 1, 49, 50, WIDTH - 1, 2 * WIDTH - 2, 2 * WIDTH, EVENTS - 1, EVENTS):
        assert await log.store.read_all(after_sequence=after, limit=27) == log.events[after : after + 27]
    for stream_id in STREAMS:
        own = of_stream(log.events, stream_id)
        for after in (0, 1, len(own) // 2, len(own) - 1, len(own)):
            assert await log.store.read_stream(stream_id, after_version=after) == own[after:]
    assert await log.store.read_stream("account-none") == []


async def test_an_outcome_is_found_by_its_command_id_after_archiving_too(log: Log) -> None:
    named = log.events[0].command_id
    found = await log.store.find_outcome(named)
    assert found == Appended(first_sequence=1, last_sequence=2, repeated=True)
    log.archive()
    assert await log.store.find_outcome(named) == found
    assert await log.store.find_outcome(SystemIds(SystemClock()).new("cmd")) is None


async def test_a_span_of_a_stream_is_the_same_after_archiving(log: Log) -> None:
    log.archive()
    for own in (of_stream(log.events, stream_id) for stream_id in STREAMS):
        for first, last in ((0, 1), (0, len(own) - 1), (1, len(own) // 2), (len(own) // 2, len(own) - 1)):
            read = partial(
                log.store.read_span,
                own[0].stream_id,
                after_version=own[first].version,
                after_sequence=own[first].sequence,
            )
            assert await read(last_sequence=own[last].sequence) == own[first + 1 : last + 1]
            assert await read(last_sequence=own[last].sequence - 1) == own[first + 1 : last]
            assert await read(last_sequence=EVENTS, limit=2) == own[first + 1 : first + 3]


async def test_what_a_snapshot_covers_is_not_read_from_archives_either(log: Log) -> None:
    log.archive()
    own = of_stream(log.events, STREAMS[2])
    covered = own[4]
    async with await AsyncConnection.connect(log.database.admin, autocommit=True) as admin:
        await admin.execute(
            "UPDATE log.streams SET snapshot_sequence = %s WHERE stream_id = %s", (covered.sequence, STREAMS[2])
        )

    assert await log.store.read_stream(STREAMS[2]) == own[5:]
    assert await log.store.read_stream(STREAMS[2], after_version=covered.version) == own[5:]


async def test_a_feed_goes_from_the_archive_into_the_database(log: Log) -> None:
    log.archive()
    read: list[RecordedEvent] = []

    async for batch in PostgresFeed(log.database.query, archive=ParquetArchive(log.folder)).follow(after_sequence=3):
        read += batch
        if len(read) >= EVENTS - 3:
            break

    assert read == log.events[3:]


async def test_a_library_application_reads_what_is_archived(log: Log) -> None:
    log.archive()
    shared = await asyncio.to_thread(SharedStore, log.database.writer, archive=ParquetArchive(log.folder))
    try:
        recorder = PostgresApplicationRecorder(shared)
        own = of_stream(log.events, STREAMS[0])

        def versions(**bounds: object) -> list[int]:
            selected = recorder.select_events(STREAMS[0], **bounds)  # type: ignore[arg-type]
            return [event.originator_version for event in selected]

        everything = list(range(1, len(own) + 1))
        assert await asyncio.to_thread(versions) == everything
        assert await asyncio.to_thread(versions, gt=3, lte=9) == everything[3:9]
        assert await asyncio.to_thread(versions, gt=3, limit=len(own) - 5) == everything[3:-2]
        assert await asyncio.to_thread(versions, desc=True, limit=5) == everything[:-6:-1]
        assert await asyncio.to_thread(versions, desc=True, lte=9) == everything[8::-1]

        notifications = await asyncio.to_thread(recorder.select_notifications, 5, EVENTS)
        assert [notification.id for notification in notifications] == list(range(5, EVENTS + 1))
        some = await asyncio.to_thread(recorder.select_notifications, 5, 20, 30, ["thing.happened.v1"])
        assert [(n.id, bytes(n.state)) for n in some] == [(e.sequence, e.payload) for e in log.events[4:24]]
    finally:
        await asyncio.to_thread(shared.close)


async def test_a_checkpoint_far_behind_is_compared_with_an_archived_event(log: Log) -> None:
    log.archive()
    views = PostgresViewStore(log.database.projector, owner="projector", archive=ParquetArchive(log.folder))
    try:
        for sequence in (1, 33, WIDTH - 1, WIDTH, 2 * WIDTH, EVENTS):
            assert await views.hash_at(sequence) == log.events[sequence - 1].hash
        assert await views.hash_at(EVENTS + 1) is None
    finally:
        await views.close()


async def test_who_has_no_archive_folder_says_so_instead_of_skipping_events(log: Log) -> None:
    log.archive()
    async with PostgresEventStore(log.database.writer) as store:
        with pytest.raises(ArchiveUnreadable, match="no archive folder"):
            await store.read_all(after_sequence=0)
        with pytest.raises(ArchiveUnreadable, match="no archive folder"):
            await store.read_stream(STREAMS[0])
        assert await store.read_all(after_sequence=EVENTS - 9) == log.events[-9:]


async def test_the_archived_log_is_verified_to_its_end(log: Log) -> None:
    log.archive()

    verdict = verify_log(log.database.query, log.folder, anchors=log.anchors)

    assert verdict.findings == ()
    assert (verdict.events, verdict.anchored_to) == (EVENTS, EVENTS)


async def test_a_partition_without_an_anchor_behind_it_stays(log: Log) -> None:
    first = log.anchors.anchors[: WIDTH // ANCHOR_EVENTS]
    short = CheckedAnchors(anchors=first, holding=first, findings=())

    outcome = archive_log(log.database.owner, log.folder, anchors=short, keep=0, file_events=FILE_EVENTS)

    assert [part.last for part in outcome.archived] == [WIDTH - 1]
    assert [part.last for part in outcome.waiting] == [2 * WIDTH - 1]


async def test_a_crash_at_any_step_loses_nothing_and_the_next_run_goes_on(log: Log) -> None:
    # Each run gets one step further than the one before: through the first partition, and then through the second.
    for step in STEPS + STEPS:
        await asyncio.to_thread(crash_at, log, step)
        assert await log.store.read_all(after_sequence=0, limit=EVENTS) == log.events, step
        assert await log.store.read_stream(STREAMS[1]) == of_stream(log.events, STREAMS[1]), step
        assert verify_log(log.database.query, log.folder, anchors=log.anchors).findings == (), step

    assert log.archive() == []
    async with await AsyncConnection.connect(log.database.query) as connection:
        cursor = await connection.execute("SELECT archived_to, (SELECT min(sequence) FROM log.events) FROM log.layout")
        assert await cursor.fetchone() == (2 * WIDTH - 1, 2 * WIDTH)
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^events_[0-9]+$' AND NOT relispartition"
        )
        assert await cursor.fetchone() == (0,)


class Crash(Exception):
    """The process is gone."""


def crash_at(log: Log, step: str) -> None:
    def at_step(name: str) -> None:
        if name == step:
            raise Crash

    connected = Archiver.connect(
        log.database.owner,
        ParquetArchive(log.folder),
        anchors=log.anchors.hashes(),
        file_events=FILE_EVENTS,
        at_step=at_step,
    )
    with pytest.raises(Crash), connected as archiver:
        archiver.run(keep=1)


async def test_readers_and_writers_go_on_while_partitions_are_archived(log: Log) -> None:
    done = asyncio.Event()

    async def again_and_again(work: Callable[[], Awaitable[None]]) -> int:
        rounds = 0
        while not done.is_set():
            await work()
            rounds += 1
        return rounds

    async def read_all() -> None:
        events = await log.store.read_all(after_sequence=100, limit=EVENTS - 100)
        assert events == log.events[100:]

    async def read_stream() -> None:
        assert (await log.store.read_stream(STREAMS[3]))[:20] == of_stream(log.events, STREAMS[3])[:20]

    async def follow() -> None:
        feed = PostgresFeed(log.database.query, archive=ParquetArchive(log.folder))
        async for batch in feed.follow(after_sequence=0):
            assert batch == log.events[: len(batch)]
            break

    readers = [asyncio.create_task(again_and_again(work)) for work in (read_all, read_stream, follow)]
    archived = await asyncio.to_thread(log.archive, 0)
    done.set()

    assert all(rounds > 0 for rounds in await asyncio.gather(*readers))
    assert archived == [WIDTH - 1, 2 * WIDTH - 1, 3 * WIDTH - 1]
    assert await log.store.read_all(after_sequence=0, limit=EVENTS) == log.events


async def test_a_long_reader_holds_up_the_archive_and_no_append(log: Log) -> None:
    async with await AsyncConnection.connect(log.database.query) as reader:
        await reader.execute("SELECT count(*) FROM log.events")  # Its lock lasts as long as the transaction.
        archiving = asyncio.create_task(asyncio.to_thread(log.archive, 2))
        await asyncio.wait({archiving}, timeout=0.5)
        assert not archiving.done()
        for number in range(20):
            await asyncio.wait_for(log.store.append(command(on(f"account-new-{number}"))), timeout=2)
        assert not archiving.done()
        await reader.rollback()
    assert await archiving == [WIDTH - 1]
