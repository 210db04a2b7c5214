"""A projector's one connection to the views: a transaction at a time, and never used again after something went wrong.

Commits here do not wait for the disk (`synchronous_commit = off`): what a crash of the server can take back is the
newest rows together with their checkpoint, and the projector derives them again from the log, which does wait.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from adapters.postgres.arrays import register_arrays
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.view_rows import statements_of
from projections.ports import ClaimHeld, ClaimLost, ViewsRefused, ViewsUnavailable
from projections.read_model import AnyReadModel

_CONNECT_TIMEOUT_S = 5
_OPTIONS = (
    "-c synchronous_commit=off -c statement_timeout=10s -c lock_timeout=2s -c transaction_timeout=10s"
    " -c idle_in_transaction_session_timeout=5s -c timezone=UTC"
)

Connection = psycopg.AsyncConnection[dict[str, Any]]


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what a fault of the database means to a projector."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError, OSError) as error:
        raise ViewsUnavailable(str(error)) from error
    except psycopg.Error as error:
        raise ViewsRefused(str(error)) from error


class ViewSession:
    """A connection that is made when it is needed."""

    def __init__(self, conninfo: str, *, watch: EpochWatch | None = None) -> None:
        """Describe it. *watch* looks at every new connection."""
        self._conninfo = conninfo
        self._watch = watch
        self._connection: Connection | None = None
        self._staged: set[AnyReadModel] = set()
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend the connection to one who sends single statements, each of them a transaction of its own.

        Raises:
            ViewsUnavailable, ViewsRefused
        """
        async with self._lock:
            with _translated():
                try:
                    yield await self._connected()
                except (ClaimHeld, ClaimLost):
                    raise
                except BaseException:
                    # Canceled between two statements, or broken: closing it rolls back whatever was under way.
                    await self._drop()
                    raise

    @asynccontextmanager
    async def transaction(
        self, *, is_snapshot: bool = False, staged: Sequence[AnyReadModel] = ()
    ) -> AsyncIterator[Connection]:
        """Open a transaction; it commits where the block ends well. A snapshot sees one moment only.

        The stages of the read models *staged* are there, and empty.

        Raises:
            ViewsUnavailable, ViewsRefused
        """
        async with self.connection() as connection:
            for model in staged:
                if model not in self._staged:
                    # Before the transaction: one that is rolled back would take its stage along.
                    await connection.execute(statements_of(model).make_stage)
                    self._staged.add(model)
            async with connection.transaction():
                if is_snapshot:
                    await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield connection

    async def close(self) -> None:
        """Close the connection."""
        async with self._lock:
            await self._drop()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            connection: Connection = await psycopg.AsyncConnection.connect(
                self._conninfo,
                autocommit=True,
                row_factory=dict_row,
                connect_timeout=_CONNECT_TIMEOUT_S,
                options=_OPTIONS,
                application_name="khata projector",
                prepare_threshold=2,
            )
            register_arrays(connection)
            self._connection, self._staged = connection, set()
            if self._watch is not None:
                await self._watch.check(connection)
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
