"""The whole log for those who look back: streams from their first event, whatever snapshots there are."""

from types import TracebackType
from typing import Self

from adapters.postgres.database import Database
from adapters.postgres.reading import EVENT_COLUMNS, LogReads, recorded_event
from commands.ports import Head
from domain.envelope import RecordedEvent

_STREAM_PAGE = f"""
    -- Read a page of a stream from its first event on: a snapshot shortens what is decided on, not what happened.
    SELECT {EVENT_COLUMNS}
    FROM log.events
    WHERE stream_id = %s AND version > %s
    ORDER BY version
    LIMIT %s
"""  # noqa: S608 - columns of ours


class PostgresHistory:
    """Implements `projections.replay.selection.HistoryReader`, for any role that may read the log."""

    def __init__(self, conninfo: str) -> None:
        self._database = Database(conninfo, size=1)
        self._reads = LogReads(self._database)

    async def __aenter__(self) -> Self:
        await self._database.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.close()

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        """Return at most *limit* events after *after_sequence*, in sequence order, without a hole.

        Raises:
            StoreUnavailable
            adapters.postgres.reading.LogHole: the log lacks a sequence.
        """
        return await self._reads.read_all(after_sequence=after_sequence, limit=limit)

    async def stream_page(self, stream_id: str, *, after_version: int, limit: int) -> list[RecordedEvent]:
        """Return at most *limit* events of a stream after *after_version*, oldest first. Raises StoreUnavailable."""
        rows = await self._database.fetch(_STREAM_PAGE, (stream_id, after_version, limit))
        return [recorded_event(row) for row in rows]

    async def head(self) -> Head:
        """Return the end of the log. Raises StoreUnavailable."""
        return await self._reads.head()
