"""Moving closed partitions to archive files, so that at every moment one of the two is what counts.

    read pages, write a file, sync ─► read it again, compare, follow its chain ─► note it in log.archives
         (for each file of the partition; until here the partition counts, and files are copies in the making)
    follow the chain on to an anchor that lies at or behind the partition's end
    one transaction: detach the partition, move log.layout.archived_to behind it   (from here the files count)
    drop the detached table

A crash anywhere leaves what counts as it was. The next run finds files that are done by what is noted of them, and
drops a detached table that was left. Detaching waits for whoever reads the log and lets nobody start meanwhile, so it
gives up after a moment and tries again.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from adapters.archive.parquet import ParquetArchive
from adapters.postgres.archive_rows import ARCHIVES, INDEX, archive_of
from adapters.postgres.log_source import PostgresLogSource
from adapters.postgres.reading import EVENT_COLUMNS, recorded_event
from domain.envelope import GENESIS_HASH, RecordedEvent
from domain.integrity.archives import Archive, StreamSpan, spans_of
from domain.integrity.chain import ChainCheck
from domain.integrity.findings import Finding, Touched
from domain.integrity.rows import encode_row

FILE_EVENTS = 50_000
"""Events in a file: what is held in memory at a time."""
_PAGE = 10_000
_LOCK_MS = 100
_TRIES = 100
_PAUSE_S = 0.05
_PAUSE_MAX_S = 2.0
_TABLE_PREFIX = "events_"
_BOUNDS = re.compile(r"FROM \('(\d+)'\) TO \('(\d+)'\)")
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('khata.log.archive', 0))"
_PARTITIONS = """
    -- List the partitions and their bounds.
    SELECT parts.relname, pg_get_expr(parts.relpartbound, parts.oid)
    FROM pg_inherits AS tree JOIN pg_class AS parts ON parts.oid = tree.inhrelid
    WHERE tree.inhparent = 'log.events'::regclass
"""
_DETACHED = """
    -- List tables that were partitions: a run was broken off before it dropped them.
    SELECT parts.relname FROM pg_class AS parts
    WHERE parts.relnamespace = 'log'::regnamespace AND parts.relkind = 'r' AND parts.relname ~ '^events_[0-9]+$'
        AND NOT parts.relispartition
"""
_STATE = "SELECT head.sequence, layout.archived_to FROM log.current_head() AS head, log.layout AS layout"
_EVENTS = f"""
    -- Read a page of events.
    SELECT {EVENT_COLUMNS} FROM log.events WHERE sequence >= %s AND sequence <= %s ORDER BY sequence
"""  # noqa: S608 - columns of ours
_FORGET = "DELETE FROM log.archives WHERE last_sequence >= %s AND first_sequence <= %s"
_FORGET_INDEX = "DELETE FROM log.archive_streams WHERE last_sequence >= %s AND first_sequence <= %s"
_NOTE = """
    -- Keep what is needed to believe a file.
    INSERT INTO log.archives (
        first_sequence, last_sequence, file, byte_count, checksum, row_count, first_previous_hash, last_hash,
        first_recorded_at, last_recorded_at
    )
    VALUES (
        %s, %s, %s, %s, %s, %s, %s, %s,
        'epoch'::timestamptz + %s * interval '1 microsecond', 'epoch'::timestamptz + %s * interval '1 microsecond'
    )
"""
_INDEX_ROWS = """
    -- Keep where streams lie in a file.
    COPY log.archive_streams (stream_id, first_version, last_version, first_sequence, last_sequence, archive) FROM STDIN
"""
_MOVE = "UPDATE log.layout SET archived_to = %s WHERE archived_to = %s"


class ArchiveBusy(Exception):
    """The log was read or archived by others for so long that the partition could not be taken out. Nothing changed."""


class ArchiveRefused(Exception):
    """The log is not as it was written, so nothing is archived of it. `finding` says what is wrong."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition: the sequences from `first` to `last`. The sequence 0 is nobody's."""

    table: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run did: partitions that it archived, and those that wait for an anchor behind their end."""

    archived: tuple[Partition, ...]
    waiting: tuple[Partition, ...]


Progress = Callable[[Partition, int], None]
Step = Callable[[str], None]


class Archiver:
    """Archives partitions of the log that *connection*, of `khata_owner`, reaches, into *archive*.

    `anchors` maps sequences to the hashes that valid anchors say. `at_step` is told the name of each step before it is
    taken. The connection commits each statement by itself.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        archive: ParquetArchive,
        *,
        anchors: dict[int, bytes],
        file_events: int = FILE_EVENTS,
        progress: Progress = lambda _partition, _sequence: None,
        at_step: Step = lambda _step: None,
    ) -> None:
        self._connection = connection
        self._archive = archive
        self._anchors = anchors
        self._file_events = file_events
        self._progress = progress
        self._at_step = at_step
        self._source = PostgresLogSource(connection, archive)

    @classmethod
    @contextmanager
    def connect(
        cls, conninfo: str, archive: ParquetArchive, *, anchors: dict[int, bytes], **options: Any
    ) -> Iterator["Archiver"]:
        """Connect for as long as the block lasts. Raises psycopg.OperationalError."""
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=5) as connection:
            # Dropping a partition may take its time; it holds up nobody, for nobody reads it any more.
            connection.execute("SELECT set_config('timezone', 'UTC', false)")
            yield cls(connection, archive, anchors=anchors, **options)

    def run(self, *, keep: int) -> Outcome:
        """Archive every closed partition but the newest *keep* of them, oldest first.

        Raises:
            ArchiveBusy, ArchiveRefused
            OSError: a file cannot be written.
            psycopg.OperationalError: the database went away; the next run goes on.
        """
        if not self._fetch(_LOCK)[0][0]:
            raise ArchiveBusy("another process archives the log at present")
        self._drop_detached()
        archived: list[Partition] = []
        for partition in self._closed(keep):
            anchored = min((place for place in self._anchors if place >= partition.last), default=None)
            if anchored is None:
                return Outcome(archived=tuple(archived), waiting=(partition,))
            self._archive_partition(partition, anchored)
            archived.append(partition)
        return Outcome(archived=tuple(archived), waiting=())

    def _closed(self, keep: int) -> list[Partition]:
        head, archived_to = self._fetch(_STATE)[0]
        partitions = []
        for table, bounds in self._fetch(_PARTITIONS):
            found = _BOUNDS.search(bounds)
            assert found is not None, f"partition {table} has bounds {bounds}"
            first, after = int(found[1]), int(found[2])
            partitions.append(Partition(table=table, first=max(first, 1), last=after - 1))
        # The head's own partition stays, even a full one: what readers find first is never empty.
        closed = sorted((part for part in partitions if part.last < head), key=lambda part: part.first)
        assert not closed or closed[0].first == archived_to + 1, f"archives end at {archived_to}, {closed[0]} follows"
        return closed[: max(0, len(closed) - keep)]

    def _archive_partition(self, partition: Partition, anchored: int) -> None:
        chain = ChainCheck(
            anchors=self._anchors,
            sequence=partition.first - 1,
            anchored=0,
            hash=self._hash_before(partition.first),
        )
        try:
            for first in range(partition.first, partition.last + 1, self._file_events):
                last = min(first + self._file_events - 1, partition.last)
                chain.feed([encode_row(event) for event in self._archived_events(first, last)])
                self._progress(partition, last)
            self._at_step("follow the chain to an anchor")
            for page in self._source.rows(partition.last + 1, anchored):
                chain.feed(page)
        except Touched as touched:
            raise ArchiveRefused(touched.finding) from None
        assert chain.anchored == anchored, f"the chain was followed to {chain.anchored}, expected {anchored}"
        self._swap(partition)
        self._at_step("drop the partition")
        self._drop(partition.table)

    def _hash_before(self, first: int) -> bytes:
        if first == 1:
            return GENESIS_HASH
        before: bytes = self._fetch("SELECT last_hash FROM log.archives WHERE last_sequence = %s", (first - 1,))[0][0]
        return before

    def _archived_events(self, first: int, last: int) -> list[RecordedEvent]:
        """Return the events as they were read again from the file, which is written now unless it is there."""
        done = self._noted(first, last)
        if done is not None:
            try:
                return self._read_again(done)
            except Touched:
                pass  # An earlier run's file was lost or damaged, and the partition still counts: write it anew.
        events = self._hot_events(first, last)
        self._at_step("write the file")
        archive = self._archive.write(events)
        self._at_step("read the file again")
        again = self._archive.read_whole(archive)
        if again != events:
            message = f"{archive.file} reads as other events than were written to it"
            raise AssertionError(message)
        self._at_step("note the file")
        self._note(archive, spans_of(events))
        return again

    def _noted(self, first: int, last: int) -> Archive | None:
        for row in self._fetch(ARCHIVES, (first, 1)):
            archive = archive_of(row)
            if (archive.first_sequence, archive.last_sequence) == (first, last):
                return archive
        return None

    def _read_again(self, archive: Archive) -> list[RecordedEvent]:
        events = self._archive.read_whole(archive)
        archive.check_index((StreamSpan(*row) for row in self._fetch(INDEX, (archive.first_sequence,))), events)
        return events

    def _hot_events(self, first: int, last: int) -> list[RecordedEvent]:
        events: list[RecordedEvent] = []
        for begin in range(first, last + 1, _PAGE):
            rows = self._fetch(_EVENTS, (begin, min(begin + _PAGE - 1, last)))
            events += [recorded_event(row) for row in rows]
        return events

    def _note(self, archive: Archive, spans: Sequence[StreamSpan]) -> None:
        with self._connection.transaction():
            bounds = (archive.first_sequence, archive.last_sequence)
            self._connection.execute(_FORGET, bounds)
            self._connection.execute(_FORGET_INDEX, bounds)
            self._connection.execute(
                _NOTE,
                (
                    archive.first_sequence, archive.last_sequence, archive.file, archive.byte_count, archive.checksum,
                    archive.row_count, archive.first_previous_hash, archive.last_hash, archive.first_recorded_at_us,
                    archive.last_recorded_at_us,
                ),
            )  # fmt: skip
            with self._connection.cursor().copy(_INDEX_ROWS) as copy:
                for span in spans:
                    copy.write_row((*span, archive.first_sequence))

    def _swap(self, partition: Partition) -> None:
        pause_s = _PAUSE_S
        for _ in range(_TRIES):
            try:
                with self._connection.transaction():
                    self._connection.execute(f"SET LOCAL lock_timeout = {_LOCK_MS}")
                    self._at_step("detach the partition")
                    self._connection.execute(
                        sql.SQL("ALTER TABLE log.events DETACH PARTITION log.{}").format(
                            sql.Identifier(partition.table)
                        )
                    )
                    self._at_step("let the files count")
                    moved = self._connection.execute(_MOVE, (partition.last, partition.first - 1)).rowcount
                    assert moved == 1, f"archives do not end before {partition.first}"
            except psycopg.errors.LockNotAvailable:
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)
            else:
                return
        raise ArchiveBusy(f"the log is read without a pause: {partition.table} could not be detached")

    def _drop_detached(self) -> None:
        archived_to = self._fetch(_STATE)[0][1]
        for (table,) in self._fetch(_DETACHED):
            # One that somebody detached by hand is the only place of its events: it is none of ours.
            if int(table.removeprefix(_TABLE_PREFIX)) <= archived_to:
                self._drop(table)

    def _drop(self, table: str) -> None:
        self._connection.execute(sql.SQL("DROP TABLE log.{}").format(sql.Identifier(table)))

    def _fetch(self, statement: Any, parameters: Sequence[Any] = ()) -> list[Any]:
        return self._connection.cursor(binary=True).execute(statement, parameters).fetchall()
