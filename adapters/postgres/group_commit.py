"""Group commit: one task collects the commands that wait and appends them by one statement.

There is no timer: while a batch commits, the next one gathers. What a caller is told, and when:

1. An outcome is told after the commit only. An entry of a batch that is stale or repeated fails alone.
2. The queue holds only entries that are known not to be stored. If the log cannot be reached they fail as unavailable.
3. When the connection is lost under a batch, its entries may be stored or not. Nothing is told until a new connection
   sees that the old session has ended, for only then its transaction is decided. Then those with a key are looked up
   among the commands, the others by their command id among the events behind the head as it was; what is found is
   answered, the rest goes back to the front of the queue in its old order.
4. An entry whose deadline passes meanwhile is answered with "unknown", never with a guess.
5. An append that runs is never cancelled (see `writer_connection`).
6. When the disk is full, the whole batch was rolled back and is answered so at once: trying again makes no room, and
   whoever waited for the deadline would not learn why.
7. Two entries with one (scope, key), or with one claim, never share a batch: the statement looks both up once, at its
   start. The batch ends before the second, so that the order of the queue stays the order in the log.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from adapters.postgres.arrays import BytesArray, TextArray
from adapters.postgres.entries import Entry, parameters_of
from adapters.postgres.writer_connection import Session, WriterConnection
from commands.ports import AppendOutcomeUnknown, LogFull, StoreUnavailable

COMMANDS_MAX = 1024
EVENTS_MAX = 1_000
BYTES_MAX = 8 * 1024 * 1024
_PAUSE_MIN_S = 0.005
_PAUSE_MAX_S = 0.25

_APPEND = """
    -- Append a batch.
    SELECT statuses, first_sequences, last_sequences, head_sequence
    FROM log.append_batch(
        %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b
    )
"""
_FIND_KEYED = """
    -- Find the outcomes of commands by their keys.
    SELECT wanted.place, commands.first_sequence, commands.last_sequence
    FROM unnest(%b, %b, %b) WITH ORDINALITY AS wanted (scope, key, request_hash, place)
    JOIN log.commands AS commands USING (scope, key, request_hash)
"""
_FIND_BY_COMMAND = """
    -- Find where the events of commands lie.
    SELECT command_id, min(sequence), max(sequence)
    FROM log.events
    WHERE sequence > %b AND command_id = ANY(%b)
    GROUP BY command_id
"""
_PREPARE_PARTITIONS = "SELECT log.prepare_partitions()"

_PASSING = (
    psycopg.OperationalError,  # Lock or memory short, query canceled, deadlock, serialisation.
    psycopg.errors.UniqueViolation,  # The last guard behind the checks: roll back and check again.
)
_EXTENDING = frozenset({"mdextend", "mdzeroextend"})
"""Where in the server a table's file grows. It has a code of its own for a full disk, none for a limit on files."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an entry: `appended`, `repeated`, `key_reused`, `claim_taken` or `conflict`, and where it lies."""

    status: str
    first_sequence: int
    last_sequence: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    entry: Entry
    outcome: asyncio.Future[Outcome]
    deadline_s: float

    def tell(self, outcome: Outcome) -> None:
        if not self.outcome.done():  # Else its caller has gone.
            self.outcome.set_result(outcome)

    def fail(self, fault: Exception, cause: BaseException | None = None) -> None:
        if not self.outcome.done():
            fault.__cause__ = cause
            self.outcome.set_exception(fault)


class GroupCommit:
    """The one writer of this process. An entry is answered within *deadline_s* seconds, more or less."""

    def __init__(self, conninfo: str, *, deadline_s: float, commands_max: int = COMMANDS_MAX) -> None:
        self._conninfo = conninfo
        self._deadline_s = deadline_s
        self._commands_max = commands_max
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._connection: WriterConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._to_try_alone = 0
        self.head_sequence = 0
        """The end of the log, as far as this process has seen it."""

    async def start(self) -> None:
        """Connect and begin to write.

        Raises:
            StoreUnavailable
        """
        try:
            await self._connected()
        except psycopg.OperationalError as error:
            raise _unavailable(error) from error
        self._task = asyncio.create_task(self._write(), name="group commit")

    async def close(self) -> None:
        """Take nothing more in, append what waits, and let go of the connection."""
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None
        await self._disconnect()

    async def submit(self, entry: Entry) -> Outcome:
        """Return what became of *entry*, once it is durable.

        Raises:
            StoreUnavailable, AppendOutcomeUnknown
            ValueError: the log cannot hold it (a text with a zero character, say).
        """
        if self._is_closing or self._task is None or self._task.done():
            raise StoreUnavailable("the log's writer is closed")
        waiting = _Waiting(entry, asyncio.get_running_loop().create_future(), time.monotonic() + self._deadline_s)
        self._queue.append(waiting)
        self._wake.set()
        return await waiting.outcome

    async def _write(self) -> None:
        try:
            while self._queue or not self._is_closing:
                if self._queue:
                    await self._write_batch()
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            # Only a cancelled or broken writer leaves anything here, and it was not sent.
            self._fail_queue(StoreUnavailable("the log's writer has stopped"))

    async def _write_batch(self) -> None:
        try:
            connection = await self._connected()
        except psycopg.OperationalError as error:
            self._fail_queue(_unavailable(error), error)
            return
        batch = self._next_batch()
        if not batch:
            return
        deadline_s = min(waiting.deadline_s for waiting in batch)
        try:
            rows = await connection.run(
                _APPEND,
                parameters_of([waiting.entry for waiting in batch]),
                within_s=deadline_s - time.monotonic(),
            )
        except psycopg.Error as error:
            if connection.is_lost:
                await self._recover(batch, connection.session, error)
            else:
                await self._try_again(batch, connection, error)
            return
        except BaseException as stopped:
            for waiting in batch:
                waiting.fail(AppendOutcomeUnknown("the log's writer was stopped"), stopped)
            raise
        statuses, first_sequences, last_sequences, self.head_sequence = rows[0]
        for waiting, status, first, last in zip(batch, statuses, first_sequences, last_sequences, strict=True):
            waiting.tell(Outcome(status, first, last))

    def _next_batch(self) -> list[_Waiting]:
        commands_max = self._commands_max
        if self._to_try_alone:
            self._to_try_alone -= 1
            commands_max = 1
        batch: list[_Waiting] = []
        events = size = 0
        taken: set[object] = set()
        now_s = time.monotonic()
        while self._queue and len(batch) < commands_max:
            waiting = self._queue[0]
            entry = waiting.entry
            if waiting.outcome.done():  # Its caller has gone, and nothing of it was sent.
                self._queue.popleft()
                continue
            if waiting.deadline_s <= now_s:
                waiting.fail(StoreUnavailable("the log took too long; nothing of the command was stored"))
                self._queue.popleft()
                continue
            events += len(entry.leaves)
            size += entry.size
            if batch and (events > EVENTS_MAX or size > BYTES_MAX):
                break
            exclusive: list[object] = []
            if entry.key is not None:
                exclusive.append((entry.scope, entry.key))
            if entry.claim is not None:
                exclusive.append((entry.claim.kind, entry.claim.key_hash))
            if not taken.isdisjoint(exclusive):
                break
            taken.update(exclusive)
            batch.append(self._queue.popleft())
        return batch

    async def _try_again(self, batch: list[_Waiting], connection: WriterConnection, error: psycopg.Error) -> None:
        """Put back a batch that the server rolled back; of one that it cannot take, find the entry to blame."""
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            # A standby, or a primary that was demoted under us.
            await self._disconnect()
            for waiting in batch:
                waiting.fail(_unavailable(error), error)
        elif isinstance(error, psycopg.errors.CheckViolation) and error.diag.constraint_name is None:
            # No partition takes the next sequence: nobody prepared it in time.
            with suppress(psycopg.Error):
                await connection.run(_PREPARE_PARTITIONS, (), within_s=self._deadline_s)
            self._put_back(batch)
        elif _is_for_want_of_room(error):
            for waiting in batch:
                waiting.fail(LogFull(f"the log has no room: {error.diag.message_primary}"), error)
        elif isinstance(error, _PASSING):
            self._put_back(batch)
            await asyncio.sleep(_PAUSE_MIN_S)
        elif len(batch) == 1:
            batch[0].fail(ValueError(f"the log cannot hold command {batch[0].entry.command_id}"), error)
        else:
            self._put_back(batch)
            self._to_try_alone = len(batch)

    def _put_back(self, batch: Sequence[_Waiting]) -> None:
        self._queue.extendleft(reversed(batch))

    async def _recover(self, batch: list[_Waiting], session: Session, error: psycopg.Error) -> None:
        """Find out what became of a batch whose connection was lost."""
        head_before = self.head_sequence
        pause_s = _PAUSE_MIN_S
        while batch := _within_deadline(batch, error):
            within_s = min(waiting.deadline_s for waiting in batch) - time.monotonic()
            try:
                connection = await self._connected()
                if await connection.has_ended(session, within_s=within_s):
                    await self._answer(batch, connection, head_before, within_s)
                    return
            except psycopg.Error as again:
                error = again
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)

    async def _answer(
        self, batch: list[_Waiting], connection: WriterConnection, head_before: int, within_s: float
    ) -> None:
        """Tell what is found in the log; put back what is not there."""
        keyed = [waiting for waiting in batch if waiting.entry.key is not None]
        by_key = await connection.run(
            _FIND_KEYED,
            (
                TextArray.of([waiting.entry.scope for waiting in keyed]),
                TextArray.of([waiting.entry.key for waiting in keyed]),
                BytesArray.of([waiting.entry.request_hash for waiting in keyed]),
            ),
            within_s=within_s,
        )
        ids = [waiting.entry.command_id for waiting in batch if waiting.entry.key is None]
        by_command = await connection.run(_FIND_BY_COMMAND, (head_before, TextArray.of(ids)), within_s=within_s)
        found_by_key = {id(keyed[place - 1]): (first, last) for place, first, last in by_key}
        found_by_command = {command_id: (first, last) for command_id, first, last in by_command}
        absent = []
        for waiting in batch:
            if waiting.entry.key is not None:
                found = found_by_key.get(id(waiting))
            else:
                found = found_by_command.get(waiting.entry.command_id)
            if found is None:
                absent.append(waiting)
            else:
                first, last = found
                # A key whose outcome lies before the batch had it from an earlier command.
                waiting.tell(Outcome("appended" if first > head_before else "repeated", first, last))
        self._put_back(absent)

    async def _connected(self) -> WriterConnection:
        if self._connection is not None and self._connection.is_lost:
            await self._disconnect()
        if self._connection is None:
            self._connection = await WriterConnection.open(self._conninfo)
            self.head_sequence = self._connection.head_sequence
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _fail_queue(self, fault: StoreUnavailable, cause: BaseException | None = None) -> None:
        while self._queue:
            self._queue.popleft().fail(StoreUnavailable(*fault.args), cause)


def _within_deadline(batch: list[_Waiting], error: psycopg.Error) -> list[_Waiting]:
    now_s = time.monotonic()
    remaining = []
    for waiting in batch:
        if waiting.deadline_s > now_s:
            remaining.append(waiting)
        else:
            waiting.fail(AppendOutcomeUnknown("the log's connection was lost and the outcome not found in time"), error)
    return remaining


def _is_for_want_of_room(error: psycopg.Error) -> bool:
    return isinstance(error, psycopg.errors.DiskFull) or error.diag.source_function in _EXTENDING


def _unavailable(error: psycopg.Error) -> StoreUnavailable:
    # The driver's text names host and reason, never the password.
    return StoreUnavailable(f"the log cannot be reached: {str(error).strip() or type(error).__name__}")
