"""The log as it grows. A notification wakes the reader; a poll stands behind it, for a notification is a hint."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from adapters.archive.parquet import ArchiveUnreadable, ParquetArchive
from adapters.postgres.archived_log import ArchivedLog, Fetch
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.reading import READ_ALL, LogHole, contiguous
from domain.envelope import RecordedEvent
from projections.tasks import end

PAGE = 1_000
POLL_S = 0.1
GATHER_S = 0.002
"""No two looks follow each other sooner: a log that grows command by command is read in half as many pages."""
_CONNECT_TIMEOUT_S = 3
_PAUSE_MIN_S = 0.05
_PAUSE_MAX_S = 2.0
_LISTEN = "LISTEN khata_log"


class PostgresFeed:
    """Implements `EventFeed` of commands and projections, for any role that may read the log.

    *archive* has the files of the log's archived part. *watch* looks at each connection.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        poll_s: float = POLL_S,
        watch: EpochWatch | None = None,
        archive: ParquetArchive | None = None,
    ) -> None:
        self._conninfo = conninfo
        self._watch = watch
        self._poll_s = poll_s
        self._archive = archive

    async def follow(self, *, after_sequence: int) -> AsyncGenerator[list[RecordedEvent], None]:
        """Yield events in batches of at most 1,000 as they are recorded, starting after *after_sequence*.

        A lost server, or archive, is waited for as long as it takes.

        Raises:
            adapters.postgres.reading.LogHole: the log lacks a sequence.
        """
        pause_s = _PAUSE_MIN_S
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(_LISTEN)
                    pause_s = _PAUSE_MIN_S
                    archived = ArchivedLog(fetch_on(connection), self._archive)
                    coming: asyncio.Task[list[RecordedEvent]] | None = None
                    loop = asyncio.get_running_loop()
                    try:
                        while True:
                            looked_at = loop.time()
                            events = await (coming or self._read(connection, archived, after_sequence, PAGE))
                            coming = None
                            if events:
                                after_sequence = events[-1].sequence
                            if len(events) == PAGE:
                                # The server makes the next page ready while this one is worked on.
                                coming = asyncio.create_task(self._read(connection, archived, after_sequence, PAGE))
                                await asyncio.sleep(0)
                            if events:
                                yield events
                            if coming is None:
                                await self._wait(connection)
                                await asyncio.sleep(looked_at + GATHER_S - loop.time())
                    finally:
                        if coming is not None:
                            await end(coming)
            except (psycopg.OperationalError, ArchiveUnreadable):
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    async def _read(
        self, connection: AsyncConnection[Any], archived: ArchivedLog, after_sequence: int, limit: int
    ) -> list[RecordedEvent]:
        """Return the next page; only at the end of the log is it a short one."""
        if after_sequence < archived.known_to:
            events = await archived.read_from(after_sequence + 1, limit)
            if len(events) == limit:
                return events
            return events + await self._read(connection, archived, events[-1].sequence, limit - len(events))
        cursor = await connection.cursor(binary=True).execute(READ_ALL, (after_sequence, limit))
        try:
            return contiguous(await cursor.fetchall(), after_sequence=after_sequence)
        except LogHole:
            # Not in the database any more, unless it is archived meanwhile: then it is read from there.
            if await archived.refresh() <= after_sequence:
                raise
        return await self._read(connection, archived, after_sequence, limit)

    async def _connect(self) -> AsyncConnection[Any]:
        connection: AsyncConnection[Any] = await AsyncConnection.connect(
            self._conninfo, autocommit=True, prepare_threshold=0, connect_timeout=_CONNECT_TIMEOUT_S
        )
        if self._watch is not None:
            try:
                await self._watch.check(connection)
            except BaseException:
                await connection.close()
                raise
        return connection

    async def _wait(self, connection: AsyncConnection[Any]) -> None:
        async for _ in connection.notifies(timeout=self._poll_s, stop_after=1):
            pass


def fetch_on(connection: AsyncConnection[Any]) -> Fetch:
    """Return what lets an `ArchivedLog` ask *connection*."""

    async def fetch(statement: LiteralString, parameters: Sequence[Any]) -> list[Any]:
        cursor = await connection.cursor(binary=True, row_factory=tuple_row).execute(statement, parameters)
        return await cursor.fetchall()

    return fetch
