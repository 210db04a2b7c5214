"""The writer's connection: it may be dropped, and nothing that runs on it is ever cancelled.

A cancelled commit that waits for a standby reports success of what is not replicated, and the driver cancels what a
task runs when the task is cancelled. So every statement runs in a task of its own, which nobody cancels; whoever does
not want to wait any longer closes the socket under it.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from adapters.postgres.arrays import BinaryArray, int8_items, register_arrays, text_items
from adapters.postgres.entries import APPEND_NAME, PREPARE_APPEND
from adapters.postgres.epochs import EpochWatch

_CONNECT_TIMEOUT_S = 3
_BINARY = (Format.BINARY,)
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


class BatchOutcomes(NamedTuple):
    """What became of a batch's entries, in their order, and where the log ended after it."""

    statuses: list[str]
    first_sequences: list[int]
    last_sequences: list[int]
    head_sequence: int


@dataclass(frozen=True, slots=True)
class Session:
    """A server process that worked for us."""

    pid: int
    started_at: datetime


class RunningAppend:
    """An append under way. It is driven by libpq alone: the driver's own way costs a batch several times as much."""

    __slots__ = ("_answer", "_connection", "_loop", "_pgconn", "_result", "_timer", "_watched")

    def __init__(
        self, connection: "WriterConnection", pgconn: PGconn, values: Sequence[bytes], *, within_s: float
    ) -> None:
        self._connection = connection
        self._pgconn = pgconn
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[PGresult] = self._loop.create_future()
        self._result: PGresult | None = None
        self._timer = self._loop.call_later(max(within_s, 0), connection.drop)
        self._watched: tuple[int, bool] | None = None
        try:
            pgconn.send_query_prepared(APPEND_NAME, values, _BINARY * len(values), Format.BINARY)
            self._watch(is_writing=pgconn.flush() != 0)
        except psycopg.Error as error:
            self._break(error)

    async def outcomes(self) -> "BatchOutcomes":
        """Return what became of the batch. Whoever is cancelled here drops the connection.

        Raises:
            psycopg.Error: as the server says. If the connection is lost afterwards, the batch may have been stored.
        """
        try:
            return _outcomes_of(await self._answer)
        except asyncio.CancelledError:
            self._let_go()
            self._connection.drop()
            raise

    def _watch(self, *, is_writing: bool) -> None:
        fileno = self._pgconn.socket
        self._loop.add_reader(fileno, self._go_on)
        if is_writing:
            self._loop.add_writer(fileno, self._go_on)
        self._watched = fileno, is_writing

    def _unwatch(self) -> None:
        if self._watched is not None:
            fileno, is_writing = self._watched
            self._watched = None
            self._loop.remove_reader(fileno)
            if is_writing:
                self._loop.remove_writer(fileno)

    def _go_on(self) -> None:
        self._unwatch()  # Where the connection turns out to be lost, libpq closes the socket.
        pgconn = self._pgconn
        try:
            is_writing = pgconn.flush() != 0
            pgconn.consume_input()
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    self._end()
                    return
                self._result = result
            self._watch(is_writing=is_writing)
        except psycopg.Error as error:
            self._break(error)

    def _end(self) -> None:
        self._let_go()
        result = self._result
        if self._answer.done():
            return
        if result is not None and result.status == ExecStatus.TUPLES_OK:
            self._answer.set_result(result)
        elif result is not None and result.status == ExecStatus.FATAL_ERROR:
            self._answer.set_exception(error_from_result(result))
        else:
            self._break(psycopg.OperationalError("the log's server answered out of turn"))

    def _break(self, error: psycopg.Error) -> None:
        self._let_go()
        self._connection.is_broken = True
        if not self._answer.done():
            self._answer.set_exception(error)

    def _let_go(self) -> None:
        self._timer.cancel()
        self._unwatch()


def _outcomes_of(result: PGresult) -> "BatchOutcomes":
    statuses, first_sequences, last_sequences, head_sequence = (
        result.get_value(0, column) or b"" for column in range(4)
    )
    return BatchOutcomes(
        text_items(statuses),
        int8_items(first_sequences),
        int8_items(last_sequences),
        int.from_bytes(head_sequence, signed=True),
    )


class WriterConnection:
    """One connection, one statement at a time, each its own transaction. `head_sequence`: the log's end at opening."""

    def __init__(self, connection: AsyncConnection[Any], session: Session, head_sequence: int) -> None:
        self._connection = connection
        self.session = session
        self.head_sequence = head_sequence
        self.is_broken = False

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
            if row is not None:
                await connection.execute(PREPARE_APPEND, prepare=False)
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
        return self.is_broken or self._connection.closed

    async def run(self, statement: LiteralString, parameters: Sequence[Any], *, within_s: float) -> list[Any]:
        """Run a statement and return its rows; after *within_s* seconds the connection is dropped instead.

        Raises:
            psycopg.Error: as the server says. If `is_lost` afterwards, the statement may have been carried out.
        """
        task = asyncio.create_task(self._run(statement, parameters))
        try:
            await asyncio.wait({task}, timeout=max(within_s, 0))
            if not task.done():
                self.drop()
            await asyncio.wait({task})
        except asyncio.CancelledError:
            self.drop()
            task.add_done_callback(_forget)
            raise
        return task.result()

    def begin_append(self, parameters: Sequence[BinaryArray], *, within_s: float) -> RunningAppend:
        """Send a batch, as `parameters_of` makes it; after *within_s* seconds the connection is dropped."""
        return RunningAppend(
            self, self._connection.pgconn, [parameter.data for parameter in parameters], within_s=within_s
        )

    async def has_ended(self, session: Session, *, within_s: float) -> bool:
        """Tell whether *session* is over."""
        rows = await self.run(_HAS_ENDED, (session.pid, session.started_at), within_s=within_s)
        return bool(rows[0][0])

    def drop(self) -> None:
        """Close the socket: whatever runs then sees the end of the stream, as if the server had gone."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._connection.close()

    async def _run(self, statement: LiteralString, parameters: Sequence[Any]) -> list[Any]:
        cursor = self._connection.cursor(binary=True)
        await cursor.execute(statement, parameters)
        return await cursor.fetchall()


def _forget(task: asyncio.Task[list[Any]]) -> None:
    # Nobody waits any longer for what became of it.
    if not task.cancelled():
        task.exception()
