"""The log as it grows. A notification wakes the reader; a poll stands behind it, for a notification is a hint."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import psycopg
from psycopg import AsyncConnection

from adapters.postgres.epochs import EpochWatch
from adapters.postgres.reading import READ_ALL, Row, contiguous
from domain.envelope import RecordedEvent
from projections.tasks import end

PAGE = 1_000
POLL_S = 0.1
_CONNECT_TIMEOUT_S = 3
_PAUSE_MIN_S = 0.05
_PAUSE_MAX_S = 2.0
_LISTEN = "LISTEN khata_log"


class PostgresFeed:
    """Implements `EventFeed` of commands and projections, for any role that may read the log."""

    def __init__(self, conninfo: str, *, poll_s: float = POLL_S, watch: EpochWatch | None = None) -> None:
        self._conninfo = conninfo
        self._watch = watch
        self._poll_s = poll_s

    async def follow(self, *, after_sequence: int) -> AsyncGenerator[list[RecordedEvent], None]:
        """Yield events in batches of at most 1,000 as they are recorded, starting after *after_sequence*.

        A lost server is waited for as long as it takes.

        Raises:
            adapters.postgres.reading.LogHole: the log lacks a sequence.
        """
        pause_s = _PAUSE_MIN_S
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(_LISTEN)
                    pause_s = _PAUSE_MIN_S
                    coming: asyncio.Task[list[Row]] | None = None
                    try:
                        while True:
                            rows = await (coming or _read(connection, after_sequence))
                            coming = None
                            events = contiguous(rows, after_sequence=after_sequence)
                            if events:
                                after_sequence = events[-1].sequence
                            if len(events) == PAGE:
                                # The server makes the next page ready while this one is worked on.
                                coming = asyncio.create_task(_read(connection, after_sequence))
                                await asyncio.sleep(0)
                            if events:
                                yield events
                            if coming is None:
                                await self._wait(connection)
                    finally:
                        if coming is not None:
                            await end(coming)
            except psycopg.OperationalError:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)

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


async def _read(connection: AsyncConnection[Any], after_sequence: int) -> list[Row]:
    cursor = await connection.cursor(binary=True).execute(READ_ALL, (after_sequence, PAGE))
    return await cursor.fetchall()
