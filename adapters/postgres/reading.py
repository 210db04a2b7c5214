"""Reading the log as it lies: what is in the database from there, what is archived from its files."""

from adapters.archive.parquet import ParquetArchive
from adapters.postgres.archived_log import ArchivedLog
from adapters.postgres.database import Database
from commands.ports import Head
from domain.envelope import RecordedEvent

STREAM_PAGE = 5_000
EVENT_COLUMNS = "sequence, stream_id, version, name, command_id, metadata, payload, recorded_at, previous_hash, hash"
READ_ALL = f"""
    -- Read a page of the log.
    SELECT {EVENT_COLUMNS}
    FROM log.events
    WHERE sequence > %s
    ORDER BY sequence
    LIMIT %s
"""  # noqa: S608 - columns of ours
_READ_STREAM = f"""
    -- Read a page of a stream; what a snapshot covers is not looked for in old partitions.
    SELECT {EVENT_COLUMNS}
    FROM log.events
    WHERE stream_id = %s AND version > %s
        AND sequence > coalesce((SELECT snapshot_sequence FROM log.streams WHERE stream_id = %s), 0)
    ORDER BY version
    LIMIT %s
"""  # noqa: S608 - columns of ours
_NO_VERSION_ABOVE = 2**63 - 1
_FIRST_VERSIONS = (0, 1)
_READ_HEAD = """
    -- Read the end of the log and the epoch that its sequence belongs to.
    SELECT sequence, hash, log.current_epoch() FROM log.head
"""
_FIND_CLAIM = """
    -- Find who owns a claimed value.
    SELECT owner FROM log.claims WHERE kind = %s AND key_hash = %s
"""


class LogHole(Exception):
    """A sequence is missing where the log must have it. The reader stops: the log was tampered with."""

    def __init__(self, *, expected: int, found: int) -> None:
        super().__init__(f"expected sequence {expected} in the log, found {found}")
        self.expected = expected
        self.found = found


Row = tuple[int, str, int, str, str, bytes, bytes, int, bytes, bytes]
"""The columns of an event, in the order of `EVENT_COLUMNS`, the time in UTC microseconds."""


def recorded_event(row: Row) -> RecordedEvent:
    """Return the event of a row."""
    sequence, stream_id, version, name, command_id, metadata, payload, recorded_at_us, previous_hash, hash_ = row
    return RecordedEvent(
        sequence=sequence,
        stream_id=stream_id,
        version=version,
        name=name,
        command_id=command_id,
        metadata=metadata,
        payload=payload,
        recorded_at_us=recorded_at_us,
        previous_hash=previous_hash,
        hash=hash_,
    )


def contiguous(rows: list[Row], *, after_sequence: int) -> list[RecordedEvent]:
    """Return the events of *rows*, which follow *after_sequence* one by one.

    Raises:
        LogHole: they do not.
    """
    for expected, row in enumerate(rows, after_sequence + 1):
        if row[0] != expected:
            raise LogHole(expected=expected, found=row[0])
    return [recorded_event(row) for row in rows]


class LogReads:
    """Reads of the log, by any role that may read it. Implements the reading half of `commands.ports.EventStore`.

    *archive* has the files of the archived part; None: there are none, or they are not for this process.
    """

    def __init__(self, database: Database, archive: ParquetArchive | None = None) -> None:
        self._database = database
        self.archived = ArchivedLog(database.fetch, archive)

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        """Return at most *limit* events after *after_sequence*, in sequence order, without a hole.

        Raises:
            StoreUnavailable, LogHole, ArchiveUnreadable
        """
        events: list[RecordedEvent] = []
        while len(events) < limit:
            if after_sequence < self.archived.known_to:
                page = await self.archived.read_from(after_sequence + 1, limit - len(events))
                events += page
                after_sequence = page[-1].sequence
                continue
            rows = await self._database.fetch(READ_ALL, (after_sequence, limit - len(events)))
            try:
                return events + contiguous(rows, after_sequence=after_sequence)
            except LogHole:
                # Not in the database any more, unless it is archived meanwhile: then it is read from there.
                if await self.archived.refresh() <= after_sequence:
                    raise
        return events

    async def read_stream(self, stream_id: str, *, after_version: int = 0) -> list[RecordedEvent]:
        """Return a stream's events after *after_version*, oldest first. Raises StoreUnavailable, ArchiveUnreadable."""
        events: list[RecordedEvent] = []
        page_after = after_version
        while True:
            rows = await self._database.fetch(_READ_STREAM, (stream_id, page_after, stream_id, STREAM_PAGE))
            events += [recorded_event(row) for row in rows]
            if len(rows) < STREAM_PAGE:
                break
            page_after = events[-1].version
        if events and (events[0].version == after_version + 1 or events[0].version in _FIRST_VERSIONS):
            return events
        # What is missing in front lies in archives, or is covered by a snapshot, or never was.
        older = await self.archived.read_stream(
            stream_id,
            after_version=after_version,
            last_version=events[0].version - 1 if events else _NO_VERSION_ABOVE,
            behind_snapshot=True,
        )
        return older + events

    async def head(self) -> Head:
        """Return the end of the log. Raises StoreUnavailable."""
        rows = await self._database.fetch(_READ_HEAD)
        sequence, hash_, epoch = rows[0]
        return Head(sequence=sequence, hash=hash_, epoch=epoch)

    async def find_claim(self, kind: str, key_hash: bytes) -> str | None:
        """Return who owns a claimed value, None where nobody does. Raises StoreUnavailable."""
        rows = await self._database.fetch(_FIND_CLAIM, (kind, key_hash))
        return rows[0][0] if rows else None
