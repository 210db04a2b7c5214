"""The writer's connection: it may be dropped, and nothing that runs on it is ever cancelled.

A cancelled commit that waits for a standby reports success of what is not replicated, and the driver cancels what a
task runs when the task is cancelled. So every statement runs in a task of its own, which nobody cancels; whoever does
not want to wait any longer closes the socket under it.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection

from adapters.postgres.arrays import register_arrays
from adapters.postgres.epochs import EpochWatch

_CONNECT_TIMEOUT_S = 3
_SET_UP = """
    -- No append outlives 2 s or waits longer than 1 s for the one before it; a commit is a commit.
    SELECT
        set_config('transaction_timeout', '2s', false),
        set_config('lock_timeout', '1s', false),
        CASE current_setting('synchronous_commit')
            WHEN 'off' THEN set_config('synchronous_commit', 'on', false)
        END
"""
_WHO_AND_WHERE = """
    -- Name this session, and where the log ends.
    SELECT activity.pid, activity.backend_start, head.sequence
    FROM pg_stat_activity AS activity, log.current_head() AS head
    WHERE activity.pid = pg_backend_pid()
"""
_HAS_ENDED = """
    -- Tell whether a session has ended: whatever it did is then decided, and visible.
    SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s AND backend_start = %s)
"""


@dataclass(frozen=True, slots=True)
class Session:
    """A server process that worked for us."""

    pid: int
    started_at: datetime


class Running:
    """A statement under way. After *within_s* seconds *drop* takes the connection from under it."""

    __slots__ = ("_drop", "_task", "_timer")

    def __init__(self, statement: Coroutine[Any, Any, list[Any]], drop: Callable[[], None], *, within_s: float) -> None:
        self._task = asyncio.create_task(statement)
        self._drop = drop
        self._timer = asyncio.get_running_loop().call_later(max(within_s, 0), drop)

    async def rows(self) -> list[Any]:
        """Return the statement's rows. Whoever is cancelled here drops the connection.

        Raises:
            psycopg.Error: as the server says. If `is_lost` afterwards, the statement may have been carried out.
        """
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self._drop()
            self._task.add_done_callback(_forget)
            raise
        finally:
            self._timer.cancel()
        return self._task.result()


class WriterConnection:
    """One connection, one statement at a time, each its own transaction. `head_sequence`: the log's end at opening."""

    def __init__(self, connection: AsyncConnection[Any], session: Session, head_sequence: int) -> None:
        self._connection = connection
        self.session = session
        self.head_sequence = head_sequence

    @classmethod
    async def open(cls, conninfo: str, *, watch: EpochWatch | None = None) -> "WriterConnection":
        """Connect.

        Raises:
            psycopg.OperationalError: the server cannot be reached, takes no writes, or *watch* does not know it.
        """
        connection: AsyncConnection[Any] = await AsyncConnection.connect(
            conninfo, autocommit=True, prepare_threshold=0, connect_timeout=_CONNECT_TIMEOUT_S
        )
        try:
            register_arrays(connection)
            await connection.execute(_SET_UP)
            if watch is not None:
                await watch.check(connection)
            cursor = await connection.execute(_WHO_AND_WHERE)
            row = await cursor.fetchone()
        except BaseException:
            await connection.close()
            raise
        if row is None:
            await connection.close()
            raise psycopg.OperationalError("the log has no head: it was not migrated")
        pid, started_at, head_sequence = row
        return cls(connection, Session(pid, started_at), head_sequence)

    @property
    def is_lost(self) -> bool:
        """Tell whether nothing more can be run."""
        return self._connection.closed

    async def run(self, statement: LiteralString, parameters: Sequence[Any], *, within_s: float) -> list[Any]:
        """Run a statement and return its rows; after *within_s* seconds the connection is dropped instead.

        Raises:
            psycopg.Error: as the server says. If `is_lost` afterwards, the statement may have been carried out.
        """
        return await self.begin(statement, parameters, within_s=within_s).rows()

    def begin(self, statement: LiteralString, parameters: Sequence[Any], *, within_s: float) -> Running:
        """Have a statement sent as the next thing that the loop does; otherwise like `run`."""
        return Running(self._run(statement, parameters), self._drop, within_s=within_s)

    async def has_ended(self, session: Session, *, within_s: float) -> bool:
        """Tell whether *session* is over."""
        rows = await self.run(_HAS_ENDED, (session.pid, session.started_at), within_s=within_s)
        return bool(rows[0][0])

    async def close(self) -> None:
        """Let go of the connection."""
        await self._connection.close()

    async def _run(self, statement: LiteralString, parameters: Sequence[Any]) -> list[Any]:
        cursor = self._connection.cursor(binary=True)
        await cursor.execute(statement, parameters)
        return await cursor.fetchall()

    def _drop(self) -> None:
        # The statement's task then sees the end of the stream, as if the server had gone.
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)


def _forget(task: asyncio.Task[list[Any]]) -> None:
    # Nobody waits any longer for what became of it.
    if not task.cancelled():
        task.exception()
