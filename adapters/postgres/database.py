"""A small pool of connections for statements that are safe to run twice: reads, upserts, deletes."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, LiteralString, Self

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.postgres.arrays import register_arrays
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.pools import RECONNECT_S, try_again
from adapters.postgres.turns import NoTurn, Turns
from commands.ports import StoreUnavailable

_US_FROM_1970_TO_2000 = 946_684_800_000_000
_SET_UP = """
    -- An old snapshot keeps dead rows alive: no transaction outlives 5 s.
    SELECT set_config('transaction_timeout', '5s', false)
"""


class MicrosecondsLoader(Loader):
    """Reads a `timestamptz` as UTC microseconds, which is what it is on the wire."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        """Return the microseconds since 1970."""
        return int.from_bytes(data, "big", signed=True) + _US_FROM_1970_TO_2000


class Database:
    """Statements of this process on one database, as the user that *conninfo* names.

    *size* connections at most; *patience_s* is how long a statement waits for the server to give it one. A crowd waits
    its turn before that, each in the order of asking.
    *watch* looks at each of them.
    """

    def __init__(
        self, conninfo: str, *, size: int = 4, patience_s: float = 5.0, watch: EpochWatch | None = None
    ) -> None:
        self._patience_s = patience_s
        self._watch = watch
        self._turns = Turns(size)
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            conninfo,
            kwargs={"autocommit": True, "prepare_threshold": 1},
            min_size=1,
            max_size=size,
            open=False,
            configure=self._configure,
            timeout=patience_s,
            reconnect_timeout=RECONNECT_S,
            reconnect_failed=try_again,
        )

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreUnavailable
        """
        try:
            await self._pool.open(wait=True, timeout=self._patience_s)
        except PoolTimeout as error:
            await self._pool.close()
            raise StoreUnavailable("the database cannot be reached") from error

    async def close(self) -> None:
        """Let go of the connections."""
        await self._pool.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def fetch(self, statement: LiteralString, parameters: Sequence[Any] = ()) -> list[Any]:
        """Run a statement and return its rows; run it once more if the connection was lost under it.

        Raises:
            StoreUnavailable
        """
        cursor = await self._execute(statement, parameters)
        return await cursor.fetchall()

    async def execute(self, statement: LiteralString, parameters: Sequence[Any] = ()) -> None:
        """Run a statement that returns nothing; otherwise like `fetch`."""
        await self._execute(statement, parameters)

    async def _configure(self, connection: AsyncConnection[Any]) -> None:
        connection.adapters.register_loader("timestamptz", MicrosecondsLoader)
        register_arrays(connection)
        await connection.execute(_SET_UP)
        if self._watch is not None:
            await self._watch.check(connection)

    async def _execute(self, statement: LiteralString, parameters: Sequence[Any]) -> psycopg.AsyncCursor[Any]:
        try:
            return await self._execute_once(statement, parameters)
        except NoTurn as error:
            raise StoreUnavailable(str(error)) from None
        except PoolTimeout as error:
            raise StoreUnavailable("no connection to the database came free in time") from error
        except psycopg.OperationalError:
            # When the server went away, every connection of the pool is dead: have them replaced.
            await self._pool.check()
        try:
            return await self._execute_once(statement, parameters)
        except (NoTurn, psycopg.OperationalError) as error:
            raise StoreUnavailable(f"the database cannot be asked: {type(error).__name__}") from error

    async def _execute_once(self, statement: LiteralString, parameters: Sequence[Any]) -> psycopg.AsyncCursor[Any]:
        async with self._turns.taken(), self._pool.connection() as connection:
            return await connection.cursor(binary=True).execute(statement, parameters)
