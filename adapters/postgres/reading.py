"""Reading the log as it lies: what is in the database from there, what is archived from its files."""

from adapters.archive.parquet import ParquetArchive
from adapters.postgres.archived_log import ArchivedLog
from adapters.postgres.database import Database
from commands.ports import Head
from domain.envelope import RecordedEvent

STREAM_PAGE = 5_000
# The time as a number: the server says so for less than it costs here to turn a timestamp into one.
EVENT_COLUMNS = """
    sequence, stream_id, version, name, command_id, metadata, payload,
    (extract(epoch FROM recorded_at) * 1000000)::bigint AS recorded_at_us, previous_hash, hash
"""
READ_ALL = f"""
    -- Read a page of the log.
    SELECT {EVENT_COLUMNS}
    FROM log.events
    WHERE sequence > %s
    ORDER BY sequence
    LIMIT %s
"""  # noqa: S608 - columns of ours
_READ_STREAM = f"""
    -- Read a page of a stream; who starts behind its landmark does not look into the partitions before that.
    SELECT {EVENT_COLUMNS}
    FROM log.events
    WHERE stream_id = %s AND version > %s AND sequence > (SELECT log.landmark_of(%s, %s))
    ORDER BY version
    LIMIT %s
"""  # noqa: S608 - columns of ours
SPAN_WINDOW_MIN = 64
SPAN_WINDOW_MAX = 1_024
_READ_SPAN = f"""
    -- Read a window of a stream, as far as a sequence. Both ends are bound by the key, so that what the stream holds
    -- behind the window is not walked over; the sequences prune partitions.
    SELECT {EVENT_COLUMNS}
    FROM log.events
    WHERE stream_id = %s AND version > %s AND version <= %s AND sequence > %s AND sequence <= %s
    ORDER BY version
"""  # noqa: S608 - columns of ours
_SEQUENCE_AT = """
    -- Find the last event at or before a time. Times never fall and no sequence is missing, so halving finds it by the
    -- primary keys in some twenty look-ups, and no index on times is kept. `known` is at or before the time, or stands
    -- before the first event; `beyond` is after the time, or stands after the head.
    WITH RECURSIVE halving (first, known, beyond) AS (
        SELECT oldest.sequence, oldest.sequence - 1, head.sequence + 1
        FROM log.current_head() AS head
        CROSS JOIN (SELECT sequence FROM log.events ORDER BY sequence LIMIT 1) AS oldest
        UNION ALL
        SELECT
            halving.first,
            CASE WHEN middle.recorded_at <= wanted.at THEN middle.sequence ELSE halving.known END,
            CASE WHEN middle.recorded_at <= wanted.at THEN halving.beyond ELSE middle.sequence END
        FROM halving
        CROSS JOIN (SELECT timestamptz 'epoch' + %s * interval '1 microsecond' AS at) AS wanted
        CROSS JOIN LATERAL (
            SELECT events.sequence, events.recorded_at
            FROM log.events AS events
            WHERE events.sequence = (halving.known + halving.beyond) / 2
        ) AS middle
        WHERE halving.beyond - halving.known > 1
    )
    SELECT CASE WHEN known < first THEN 0 ELSE known END, known, beyond
    FROM halving
    ORDER BY beyond - known
    LIMIT 1
"""
_LANDMARK_OF = """
    -- Read up to where a snapshot covers a stream, for one who starts there.
    SELECT log.landmark_of(%s, %s)
"""
_NO_VERSION_ABOVE = 2**63 - 1
_FIRST_VERSIONS = (0, 1)
_READ_HEAD = """
    -- Read the end of the log and the epoch that its sequence belongs to.
    SELECT head.sequence, head.hash, log.current_epoch() FROM log.current_head() AS head
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
    sequences = [row[0] for row in rows]
    if sequences != list(range(after_sequence + 1, after_sequence + 1 + len(rows))):
        for expected, found in enumerate(sequences, after_sequence + 1):
            if found != expected:
                raise LogHole(expected=expected, found=found)
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
            rows = await self._database.fetch(_READ_STREAM, (stream_id, page_after, stream_id, page_after, STREAM_PAGE))
            events += [recorded_event(row) for row in rows]
            if len(rows) < STREAM_PAGE:
                break
            page_after = events[-1].version
        if events and (events[0].version == after_version + 1 or events[0].version in _FIRST_VERSIONS):
            return events
        if not await self.archived.refresh():
            return events
        # What is missing in front lies in archives, or is covered by a snapshot, or never was.
        landmarks = await self._database.fetch(_LANDMARK_OF, (stream_id, after_version))
        older = await self.archived.read_stream(
            stream_id,
            after_version=after_version,
            last_version=events[0].version - 1 if events else _NO_VERSION_ABOVE,
            after_sequence=landmarks[0][0],
        )
        return older + events

    async def read_span(
        self, stream_id: str, *, after_version: int, after_sequence: int, last_sequence: int, limit: int | None = None
    ) -> list[RecordedEvent]:
        """Return a stream's events after *after_version* up to *last_sequence*, oldest first, at most *limit*.

        *after_sequence* is the sequence of the event at *after_version*, or any lower one.

        Raises:
            StoreUnavailable, ArchiveUnreadable
        """
        while True:
            archived_to = self.archived.known_to
            events: list[RecordedEvent] = []
            if after_sequence < min(archived_to, last_sequence):
                older = await self.archived.read_stream(
                    stream_id,
                    after_version=after_version,
                    last_version=_NO_VERSION_ABOVE,
                    after_sequence=after_sequence,
                    last_sequence=min(archived_to, last_sequence),
                )
                events = older[:limit]
            events += await self._read_windows(
                stream_id,
                after_version=events[-1].version if events else after_version,
                after_sequence=max(after_sequence, archived_to),
                last_sequence=last_sequence,
                limit=None if limit is None else limit - len(events),
            )
            # The events of a partition that was archived meanwhile were in neither place.
            if await self.archived.refresh() == archived_to or archived_to >= last_sequence:
                return events

    async def _read_windows(
        self, stream_id: str, *, after_version: int, after_sequence: int, last_sequence: int, limit: int | None
    ) -> list[RecordedEvent]:
        events: list[RecordedEvent] = []
        size = SPAN_WINDOW_MIN
        while last_sequence > after_sequence and limit != len(events):
            # Whatever lies in a window is read, though it may be past the end: so small ones first.
            wanted = size if limit is None else min(size, limit - len(events))
            window = (stream_id, after_version, after_version + wanted, after_sequence, last_sequence)
            rows = await self._database.fetch(_READ_SPAN, window)
            events += [recorded_event(row) for row in rows]
            if len(rows) < wanted:
                break
            after_version, after_sequence = events[-1].version, events[-1].sequence
            size = min(2 * size, SPAN_WINDOW_MAX)
        return events

    async def sequence_at(self, time_us: int) -> int:
        """Return the last sequence recorded at or before *time_us* (UTC microseconds), 0 where there is none.

        Raises:
            StoreUnavailable, ArchiveUnreadable, LogHole
        """
        rows = await self._database.fetch(_SEQUENCE_AT, (time_us,))
        sequence, known, beyond = rows[0] if rows else (0, 0, 0)
        if not sequence and await self.archived.refresh():
            return await self.archived.sequence_at(time_us)
        if beyond - known > 1:
            raise LogHole(expected=(known + beyond) // 2, found=beyond)
        return int(sequence)

    async def head(self) -> Head:
        """Return the end of the log. Raises StoreUnavailable."""
        rows = await self._database.fetch(_READ_HEAD)
        sequence, hash_, epoch = rows[0]
        return Head(sequence=sequence, hash=hash_, epoch=epoch)

    async def find_claim(self, kind: str, key_hash: bytes) -> str | None:
        """Return who owns a claimed value, None where nobody does. Raises StoreUnavailable."""
        rows = await self._database.fetch(_FIND_CLAIM, (kind, key_hash))
        return rows[0][0] if rows else None
