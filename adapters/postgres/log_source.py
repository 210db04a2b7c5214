"""The log as verification reads it: by pages of binary COPY, so that no event costs a round trip or a row's parsing."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.pq import TransactionStatus

from adapters.archive.parquet import ParquetArchive
from adapters.postgres.archive_rows import ARCHIVES, INDEX, archive_of
from adapters.postgres.database import MicrosecondsLoader
from domain.integrity.archives import Archive, StreamSpan
from domain.integrity.chain import event_finding
from domain.integrity.findings import Finding, Kind, Touched
from domain.integrity.rows import encode_row
from projections.integrity.ports import LastAnchor, LogState, StreamRow

PAGE = 20_000
_STREAMS_PAGE = 50_000
_LEAST = -(2**63)
_MOST = 2**63 - 1
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_SEQUENCE = slice(6, 14)
"""Where a row has its sequence."""
_SET_UP = """
    -- No transaction outlives 5 s.
    SELECT set_config('transaction_timeout', '5s', false), set_config('timezone', 'UTC', false)
"""
_ROWS: LiteralString = """
    -- Read a page of events in the form in which they are checked: an empty field before each part of the content.
    COPY (
        SELECT sequence, recorded_at, previous_hash, hash,
            ''::text, stream_id, ''::text, version, ''::text, name, ''::text, command_id, ''::text, metadata,
            ''::text, payload
        FROM log.events
        WHERE sequence >= {first} AND sequence <= {last}
        ORDER BY sequence
        LIMIT {limit}
    ) TO STDOUT (FORMAT binary)
"""
_COMMANDS: LiteralString = """
    -- Read the outcomes of commands by where their events begin, in the form in which they are checked.
    COPY (
        SELECT first_sequence, last_sequence, recorded_at, scope, key, request_hash, status
        FROM log.commands
        WHERE {condition}
        ORDER BY first_sequence, scope COLLATE "C", key COLLATE "C"
    ) TO STDOUT (FORMAT binary)
"""
STATE = """
    -- Read where the log ends and begins, since when outcomes are kept, and what the last anchor was.
    -- Outcomes are kept for 14 days; the hour is for clocks and for a clean-up that runs meanwhile.
    SELECT head.sequence,
        coalesce((SELECT max(sequence) FROM log.events), layout.archived_to),
        head.hash, head.recorded_at, log.current_epoch(),
        coalesce(
            (SELECT first_recorded_at FROM log.archives WHERE first_sequence = 1),
            (SELECT recorded_at FROM log.events ORDER BY sequence LIMIT 1)
        ),
        clock_timestamp() - interval '14 days' + interval '1 hour',
        anchored.number, anchored.sequence, anchored.digest,
        audit.number, audit.hash
    FROM log.head AS head CROSS JOIN log.layout AS layout CROSS JOIN audit.head AS audit
    LEFT JOIN log.anchored AS anchored ON true
"""
_ARCHIVED_TO = "SELECT archived_to FROM log.layout"
_STREAMS = """
    -- Read a page of where streams end.
    SELECT stream_id, version, leaf, snapshot_sequence
    FROM log.streams
    WHERE stream_id > %s
    ORDER BY stream_id
    LIMIT %s
"""
_STREAMS_NAMED = """
    -- Read where some streams end.
    SELECT stream_id, version, leaf, snapshot_sequence FROM log.streams WHERE stream_id = ANY(%s)
"""
_SNAPSHOTS = """
    -- Read where the last events lie that snapshots cover: just behind the landmarks.
    SELECT snapshot_sequence + 1 FROM log.streams WHERE snapshot_sequence <> 0
"""
_HOT_BEHIND = """
    -- Find an event that lies where archives took the place of partitions.
    SELECT min(sequence) FROM log.events WHERE sequence <= %s
"""
_STRAY_INDEX = """
    -- Find a part of the side index that belongs to no archive.
    SELECT archive, stream_id FROM log.archive_streams AS spans
    WHERE NOT EXISTS (SELECT FROM log.archives WHERE first_sequence = spans.archive)
    LIMIT 1
"""


class PostgresLogSource:
    """Implements `projections.integrity.ports.LogSource` over *connection*, of any role of ours, and *archive*.

    Opened by `connect`, or on a connection that stands in a transaction: then everything is read in that.
    """

    def __init__(self, connection: psycopg.Connection[Any], archive: ParquetArchive) -> None:
        self._connection = connection
        self._archive = archive
        connection.adapters.register_loader("timestamptz", MicrosecondsLoader)

    @classmethod
    @contextmanager
    def connect(cls, conninfo: str, archive: ParquetArchive) -> Iterator["PostgresLogSource"]:
        """Connect for as long as the block lasts. Raises psycopg.OperationalError."""
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=5) as connection:
            connection.execute(_SET_UP)
            yield cls(connection, archive)

    def state(self) -> LogState:
        """Return what there is of the log."""
        return state_of(self._fetch(STATE)[0])

    def rows(self, first: int, last: int | None) -> Iterator[Sequence[bytes]]:
        """Yield pages of events as rows; see the port."""
        end = _MOST if last is None else last
        if first == 1:
            self._check_places()
        low = _LEAST if first == 1 else first
        while first <= end:
            if first <= (archived_to := self._archived_to()):
                for page in self._archived_rows(first, min(end, archived_to)):
                    yield page
                first = low = min(end, archived_to) + 1
                continue
            page = self._copy(_ROWS.format(first=low, last=end, limit=PAGE))  # Integers of ours: nothing to escape.
            if self._begins_later(page, first) and self._archived_to() >= first:
                continue  # The partition was archived between the two looks.
            yield page
            if len(page) < PAGE:
                return
            first = low = _sequence_of(page[-1]) + 1

    def commands(self, first: int, last: int) -> list[bytes]:
        """Return outcomes of commands; see the port."""
        condition = f"first_sequence >= {first} AND first_sequence <= {last}"  # Integers of ours: nothing to escape.
        return self._copy(_COMMANDS.format(condition=condition))

    def stray_commands(self, last: int) -> list[bytes]:
        """Return some outcomes that have no events; see the port."""
        return self._copy(_COMMANDS.format(condition=f"first_sequence < 1 OR first_sequence > {last}"))

    def streams(self, named: Collection[bytes] | None = None) -> Iterator[StreamRow]:
        """Yield where streams end; see the port."""
        if named is not None:
            names = [name.decode(errors="replace") for name in named]
            for stream_id, version, leaf, snapshot in self._fetch(_STREAMS_NAMED, (names,)):
                yield StreamRow(stream_id.encode(), version, leaf, snapshot)
            return
        after = ""
        while page := self._fetch(_STREAMS, (after, _STREAMS_PAGE)):
            for stream_id, version, leaf, snapshot in page:
                yield StreamRow(stream_id.encode(), version, leaf, snapshot)
            after = page[-1][0]

    def snapshots(self) -> frozenset[int]:
        """Return the sequences at which streams are said to have a snapshot."""
        return frozenset(row[0] for row in self._fetch(_SNAPSHOTS))

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Show everything as it is at one moment, within the block."""
        if self._connection.info.transaction_status != TransactionStatus.IDLE:
            yield
            return
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    # --- Archives -----------------------------------------------------------------------------------------------------

    def _archived_rows(self, first: int, last: int) -> Iterator[Sequence[bytes]]:
        while first <= last:
            archive = self._archive_at(first)
            if archive is None:
                raise event_finding(Kind.ARCHIVE_MISSING, first, "no archive has this event, and no partition")
            events = self._archive.read_whole(archive)
            spans = [StreamSpan(*row) for row in self._fetch(INDEX, (archive.first_sequence,))]
            archive.check_index(spans, events)
            skipped = first - archive.first_sequence
            yield [encode_row(event) for event in events[skipped : last - archive.first_sequence + 1]]
            first = archive.last_sequence + 1

    def _archive_at(self, sequence: int) -> Archive | None:
        for row in self._fetch(ARCHIVES, (sequence, 1)):
            archive = archive_of(row)
            if archive.first_sequence <= sequence:
                return archive
        return None

    def _check_places(self) -> None:
        """Look for what lies in neither of the two places where it belongs."""
        found = self._fetch(_HOT_BEHIND, (self._archived_to(),))[0][0]
        if found is not None:
            raise event_finding(Kind.EVENT_EXTRA, found, "there is an event too many, where archives hold the log")
        for archive, stream_id in self._fetch(_STRAY_INDEX):
            raise Touched(
                Finding(
                    kind=Kind.ARCHIVE_INDEX_WRONG,
                    place=f"stream {stream_id}",
                    detail=f"the index names an archive that begins at {archive}, and there is none",
                    first_sequence=archive,
                    last_sequence=archive,
                )
            )

    # --- Reading ------------------------------------------------------------------------------------------------------

    def _archived_to(self) -> int:
        archived_to: int = self._fetch(_ARCHIVED_TO)[0][0]
        return archived_to

    def _begins_later(self, page: Sequence[bytes], first: int) -> bool:
        return not page or _sequence_of(page[0]) > first

    def _copy(self, statement: str) -> list[bytes]:
        """Return the rows of a binary COPY."""
        rows = []
        with self._connection.cursor().copy(statement.encode()) as copy:
            # The driver's own loop waits for each row by way of a generator, which takes longer than checking the row.
            get = self._connection.pgconn.get_copy_data
            while True:
                size, data = get(0)
                if size < 0:
                    break  # The server broke off: the next read raises what it said.
                row = bytes(data)
                if row.endswith(_COPY_TRAILER) and row.removeprefix(_COPY_HEADER) == _COPY_TRAILER:
                    break
                rows.append(row)
            copy.read()
        if rows:
            rows[0] = rows[0].removeprefix(_COPY_HEADER)
        return rows

    def _fetch(self, statement: LiteralString, parameters: Sequence[Any] = ()) -> list[Any]:
        return self._connection.cursor(binary=True).execute(statement, parameters).fetchall()


def state_of(row: Sequence[Any]) -> LogState:
    """Return the state of a row of `STATE`."""
    (
        sequence, last, hash_, recorded_at_us, epoch, first_at_us, since_us, number, anchored, digest,
        audit_number, audit_hash,
    ) = row  # fmt: skip
    return LogState(
        sequence=sequence,
        last_sequence=last,
        hash=hash_,
        recorded_at_us=recorded_at_us,
        epoch=epoch,
        first_recorded_at_us=first_at_us,
        commands_since_us=since_us,
        anchored=None if number is None else LastAnchor(number, anchored, digest),
        audit_number=audit_number,
        audit_hash=audit_hash,
    )


def _sequence_of(row: bytes) -> int:
    return int.from_bytes(row[_SEQUENCE], "big", signed=True)
