"""The whole log for those who look back: streams from their first event, whatever snapshots there are."""

from types import TracebackType
from typing import Self

from adapters.archive.parquet import ParquetArchive
from adapters.postgres.database import Database
from adapters.postgres.reading import LogReads
from commands.ports import Head
from domain.envelope import RecordedEvent

_NO_SEQUENCE_ABOVE = 2**63 - 1


class PostgresHistory:
    """Implements `projections.replay.selection.HistoryReader`, for any role that may read the log."""

    def __init__(self, conninfo: str, archive: ParquetArchive | None = None) -> None:
        """Describe it. *archive* has the files of the log's archived part."""
        self._database = Database(conninfo, size=1)
        self._reads = LogReads(self._database, archive)

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
        return await self._reads.read_span(
            stream_id, after_version=after_version, after_sequence=0, last_sequence=_NO_SEQUENCE_ABOVE, limit=limit
        )

    async def head(self) -> Head:
        """Return the end of the log. Raises StoreUnavailable."""
        return await self._reads.head()
