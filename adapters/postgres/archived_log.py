"""The archived part of the log, for readers: which file has what, and how that changes while they read.

A partition is archived in one transaction: its events leave `log.events` and `log.layout.archived_to` moves past
them. So whoever reads `log.events` first and asks for archives afterwards sees every event, perhaps twice and never not
at all; the files themselves only ever come to be.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, LiteralString

from adapters.archive.parquet import ArchiveUnreadable, ParquetArchive
from adapters.postgres.archive_rows import ARCHIVES, archive_of
from domain.envelope import RecordedEvent
from domain.integrity.archives import Archive

Fetch = Callable[[LiteralString, Sequence[Any]], Awaitable[list[Any]]]
"""Runs a statement with its parameters and returns the rows, times as UTC microseconds."""

NO_SEQUENCE_ABOVE = 2**63 - 1
"""The greatest bigint."""

_ARCHIVED_TO = "SELECT archived_to FROM log.layout"
_STREAM = """
    -- Find the archives that took over events of a stream, and where in them those lie.
    SELECT spans.archive, greatest(spans.first_sequence, %s), least(spans.last_sequence, %s)
    FROM log.archive_streams AS spans, log.layout AS layout
    WHERE spans.stream_id = %s AND spans.last_version > %s AND spans.first_version <= %s
        AND spans.last_sequence > %s AND spans.first_sequence <= %s AND spans.last_sequence <= layout.archived_to
    ORDER BY spans.archive
"""


class ArchivedLog:
    """What archives hold of the log that *fetch* asks. *archive* None: this process has none, and reads none."""

    def __init__(self, fetch: Fetch, archive: ParquetArchive | None) -> None:
        self._fetch = fetch
        self._files = archive
        self._archives: list[Archive] = []
        self.known_to = 0
        """The last sequence known to be archived: it only grows, and may have grown since."""

    async def refresh(self) -> int:
        """Return the last sequence that is archived now."""
        self.known_to = max(self.known_to, (await self._fetch(_ARCHIVED_TO, ()))[0][0])
        return self.known_to

    async def read_from(self, first_sequence: int, limit: int) -> list[RecordedEvent]:
        """Return at most *limit* events from *first_sequence* on, at least one; it is known to be archived.

        Raises:
            StoreUnavailable, ArchiveUnreadable
        """
        archive = await self._archive_at(first_sequence)
        events = await asyncio.to_thread(self._readable().read_from, archive, first_sequence)
        return events[: min(limit, self.known_to - first_sequence + 1)]

    async def read_stream(
        self,
        stream_id: str,
        *,
        after_version: int,
        last_version: int,
        after_sequence: int = 0,
        last_sequence: int = NO_SEQUENCE_ABOVE,
    ) -> list[RecordedEvent]:
        """Return a stream's archived events after one version up to another, oldest first.

        They lie behind *after_sequence*, up to *last_sequence*.

        Raises:
            StoreUnavailable, ArchiveUnreadable
        """
        wanted = (
            after_sequence + 1,
            last_sequence,
            stream_id,
            after_version,
            last_version,
            after_sequence,
            last_sequence,
        )
        spans = await self._fetch(_STREAM, wanted)
        events: list[RecordedEvent] = []
        for first, from_sequence, to_sequence in spans:
            archive = await self._archive_at(first)
            events += await asyncio.to_thread(
                self._readable().read_stream,
                archive,
                stream_id,
                first_sequence=from_sequence,
                last_sequence=to_sequence,
            )
        return [event for event in events if after_version < event.version <= last_version]

    async def read_range(
        self, first: int, last: int, *, names: Collection[str] = (), limit: int
    ) -> list[RecordedEvent]:
        """Return at most *limit* archived events from sequence *first* to *last*, of the *names* if there are any."""
        events: list[RecordedEvent] = []
        last = min(last, await self.refresh())
        first = max(first, 1)
        while first <= last and len(events) < limit:
            page = await self.read_from(first, last - first + 1)
            events += [event for event in page if not names or event.name in names]
            first = page[-1].sequence + 1
        return events[:limit]

    async def sequence_at(self, time_us: int) -> int:
        """Return the last archived sequence recorded at or before *time_us* (UTC microseconds), 0 where there is none.

        Raises:
            StoreUnavailable, ArchiveUnreadable
        """
        rows = await self._fetch(ARCHIVES, (0, None))
        started = [archive for archive in map(archive_of, rows) if archive.first_recorded_at_us <= time_us]
        known = [archive for archive in started if archive.last_sequence <= self.known_to]
        if not known:
            return 0
        if known[-1].last_recorded_at_us <= time_us:
            return known[-1].last_sequence
        return await asyncio.to_thread(self._readable().sequence_at, known[-1], time_us)

    def _readable(self) -> ParquetArchive:
        if self._files is None:
            raise ArchiveUnreadable("a part of the log is archived, and no archive folder is set")
        return self._files

    async def _archive_at(self, sequence: int) -> Archive:
        for _ in range(2):
            for archive in self._archives:
                if archive.first_sequence <= sequence <= archive.last_sequence:
                    return archive
            self._archives = [archive_of(row) for row in await self._fetch(ARCHIVES, (0, None))]
        raise ArchiveUnreadable(f"log.archives names no file that has sequence {sequence}")
