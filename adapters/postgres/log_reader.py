"""The log in PostgreSQL for a process that must not write to it."""

from types import TracebackType
from typing import Self

from adapters.archive.parquet import ParquetArchive
from adapters.postgres.database import Database
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.reading import LogReads
from commands.ports import Append, Appended, StoreUnavailable


class PostgresLogReader(LogReads):
    """Implements `commands.ports.EventStore` for the user `khata_query`, whom *conninfo* names: it appends nothing.

    *watch* looks at each connection; *archive* has the files of the log's archived part.
    """

    def __init__(
        self, conninfo: str, *, watch: EpochWatch | None = None, archive: ParquetArchive | None = None
    ) -> None:
        self.database = Database(conninfo, watch=watch)
        super().__init__(self.database, archive)

    async def append(self, append: Append) -> Appended:
        """Append nothing: the role has no right to, so it is not even asked. Raises StoreUnavailable."""
        raise StoreUnavailable(f"command {append.command_id} came to a process that only reads")

    async def __aenter__(self) -> Self:
        await self.database.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.database.close()
