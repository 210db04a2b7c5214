"""Group commit: one task collects the commands that wait and appends them by one statement.

There is no timer: while a batch commits, the next one gathers. A batch takes half of what is under way and leaves the
other half, so that the callers of one half are answered and come back while the server works on the other; with all in
one batch, server and callers would wait for each other in turn. When a batch's outcomes arrive, the next batch is sent
first and they are told then. One batch is under way at a time: a second one on the wire would be carried out although
the first was rolled back, and before it. What a caller is told, and when:

1. An outcome is told after the commit only. An entry of a batch that is stale or repeated fails alone.
2. The queue holds only entries that are known not to be stored. If the log cannot be reached they fail as unavailable.
3. When the connection is lost under a batch, its entries may be stored or not. Nothing is told until a new connection
   sees that the old session has ended, for only then its transaction is decided. Then those with a key are looked up
   among the commands, the others by their command id among the events behind the head as it was (without events: in
   the tracking); what is found is answered, the rest goes back to the front of the queue in its old order.
4. An entry whose deadline passes meanwhile is answered with "unknown", never with a guess.
5. An append that runs is never cancelled (see `writer_connection`).
6. When the disk is full, the whole batch was rolled back and is answered so at once: trying again makes no room, and
   whoever waited for the deadline would not learn why.
7. A batch ends before the first entry that has no room in it (see `batches`), so that the order of the queue stays the
   order in the log.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from adapters.postgres.arrays import BinaryArray, BytesArray, TextArray
from adapters.postgres.batches import COMMANDS_MAX, Room
from adapters.postgres.entries import Entry, parameters_of
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.waiting import Outcome, ReadyBatch, Waiting, WaitingAlone
from adapters.postgres.writer_connection import BatchOutcomes, RunningAppend, Session, WriterConnection
from commands.ports import AppendOutcomeUnknown, LogFull, StoreUnavailable

_UNDIVIDED = 16
"""So many commands go together: halves would cost more by their commits than they gain."""
_PAUSE_MIN_S = 0.005
_PAUSE_MAX_S = 0.25

_FIND_KEYED = """
    -- Find the outcomes of commands by their keys, each by itself, as the append does.
    SELECT wanted.place, known.first_sequence, known.last_sequence
    FROM unnest(%b, %b, %b) WITH ORDINALITY AS wanted (scope, key, request_hash, place)
    CROSS JOIN LATERAL (
        SELECT commands.first_sequence, commands.last_sequence
        FROM log.commands AS commands
        WHERE commands.scope = wanted.scope AND commands.key = wanted.key
            AND commands.request_hash = wanted.request_hash AND commands.recorded_at > now() - interval '14 days'
        LIMIT 1
    ) AS known
"""
_FIND_BY_COMMAND = """
    -- Find where the events of commands lie.
    SELECT command_id, min(sequence), max(sequence)
    FROM log.events
    WHERE sequence > %b AND command_id = ANY(%b)
    GROUP BY command_id
"""
_FIND_TRACKED = """
    -- Find the appends that nothing but tracking came of, and where the log ended after them at the latest.
    SELECT tracking.command_id, head.sequence
    FROM ops.library_tracking AS tracking, log.current_head() AS head
    WHERE tracking.command_id = ANY(%b)
"""
_PREPARE_PARTITIONS = """
    -- Make room for what comes next.
    SELECT log.prepare_partitions(), log.prepare_weeks()
"""

_PASSING = (
    psycopg.OperationalError,  # Lock or memory short, query canceled, deadlock, serialisation.
    psycopg.errors.UniqueViolation,  # The last guard behind the checks: roll back and check again.
)
_EXTENDING = frozenset({"mdextend", "mdzeroextend"})
"""Where in the server a table's file grows. It has a code of its own for a full disk, none for a limit on files."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch under way, and what it is under way on."""

    batch: list[Waiting]
    connection: WriterConnection
    running: RunningAppend


class GroupCommit:
    """The one writer of this process. An entry is answered within *deadline_s* seconds, more or less.

    A small batch begins *gather_s* seconds after the one before it or later: where commands come one by one and fast,
    they go together then, at a fraction of the cost; one that comes after a pause goes at once.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        deadline_s: float,
        commands_max: int = COMMANDS_MAX,
        gather_s: float = 0.0,
        watch: EpochWatch | None = None,
    ) -> None:
        self._conninfo = conninfo
        self._gather_s = gather_s
        self._began_s = 0.0
        self._watch = watch
        self._deadline_s = deadline_s
        self._commands_max = commands_max
        self._queue: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._connection: WriterConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._to_try_alone = 0
        self._answered = 0
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
        try:
            if self._task is not None:
                await self._task
        finally:
            self._task = None
            await self._disconnect()

    def submit(self, entry: Entry) -> asyncio.Future[Outcome]:
        """Return the future of what became of *entry*, told once it is durable.

        Raises:
            StoreUnavailable: here, or from the future like what follows
            AppendOutcomeUnknown, LogFull
            ValueError: the log cannot hold it (a text with a zero character, say).
        """
        self._demand_open()
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append(WaitingAlone(entry, time.monotonic() + self._deadline_s, outcome))
        self._wake.set()
        return outcome

    def submit_ready(self, batch: ReadyBatch) -> asyncio.Future[list[Outcome]]:
        """Return the future of what became of the entries of *batch*, each as `submit` tells it.

        Raises:
            StoreUnavailable
        """
        self._demand_open()
        self._queue.extend(batch.hand_in(time.monotonic() + self._deadline_s))
        self._wake.set()
        return batch.outcomes

    def _demand_open(self) -> None:
        if self._is_closing or self._task is None or self._task.done():
            raise StoreUnavailable("the log's writer is closed")

    async def _write(self) -> None:
        sent: _Sent | None = None
        try:
            while sent is not None or self._queue or not self._is_closing:
                if sent is not None:
                    sent = await self._finish(sent)
                elif self._queue:
                    await self._gather()
                    sent = await self._connect_and_send()
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            # Only a cancelled or broken writer leaves anything here, and it was not sent.
            self._fail_queue(StoreUnavailable("the log's writer has stopped"))

    async def _gather(self) -> None:
        """Wait until the next batch is due; whoever comes meanwhile may make it so."""
        while wait_s := self._gathers_for_s():
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    def _gathers_for_s(self) -> float:
        """Return how long the next batch is still to be waited for, 0 where it is due."""
        if self._is_closing or len(self._queue) >= _UNDIVIDED:
            return 0.0
        return max(0.0, self._began_s + self._gather_s - time.monotonic())

    async def _connect_and_send(self) -> "_Sent | None":
        try:
            connection = await self._connected()
        except psycopg.OperationalError as error:
            self._fail_queue(_unavailable(error), error)
            return None
        return self._send(connection)

    def _send(self, connection: WriterConnection) -> "_Sent | None":
        batch = self._next_batch()
        if not batch:
            return None
        self._began_s = time.monotonic()
        try:
            within_s = min(waiting.deadline_s for waiting in batch) - time.monotonic()
            return _Sent(batch, connection, connection.begin_append(_parameters_of(batch), within_s=within_s))
        except BaseException as stopped:
            _leave(batch, stopped)
            raise

    async def _finish(self, sent: "_Sent") -> "_Sent | None":
        """Wait for the outcomes of a batch, send the next one, and only then tell them: the server need not wait."""
        batch, connection = sent.batch, sent.connection
        try:
            outcomes = await sent.running.outcomes()
        except psycopg.Error as error:
            if connection.is_lost:
                await self._recover(batch, connection.session, error)
            else:
                await self._try_again(batch, connection, error)
            return None
        except BaseException as stopped:
            _leave(batch, stopped)
            raise
        self._answered = len(batch)
        self.head_sequence = outcomes.head_sequence
        try:
            return None if connection.is_lost or self._gathers_for_s() else self._send(connection)
        finally:
            _tell(batch, outcomes)

    def _next_batch(self) -> list[Waiting]:
        # The callers of the batch before this one are about to come back: they count as under way.
        half = (len(self._queue) + self._answered + 1) // 2
        commands_max = min(self._commands_max, max(half, _UNDIVIDED))
        if self._to_try_alone:
            self._to_try_alone -= 1
            commands_max = 1
        batch: list[Waiting] = []
        room = Room(commands_max)
        now_s = time.monotonic()
        ready: ReadyBatch | None = None
        while self._queue:
            waiting = self._queue[0]
            if waiting.is_settled:  # Its caller has gone, or its fellows failed, and nothing of it was sent.
                self._queue.popleft()
                continue
            if waiting.deadline_s <= now_s:
                waiting.fail(StoreUnavailable("the log took too long; nothing of the command was stored"))
                self._queue.popleft()
                continue
            if batch and waiting.batch is not ready:
                break  # A ready batch goes as it is.
            if not room.take(waiting.entry):
                break
            ready = waiting.batch
            batch.append(self._queue.popleft())
        return batch

    async def _try_again(self, batch: list[Waiting], connection: WriterConnection, error: psycopg.Error) -> None:
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

    def _put_back(self, batch: Sequence[Waiting]) -> None:
        self._queue.extendleft(reversed(batch))

    async def _recover(self, batch: list[Waiting], session: Session, error: psycopg.Error) -> None:
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
        self, batch: list[Waiting], connection: WriterConnection, head_before: int, within_s: float
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
        ids = [waiting.entry.command_id for waiting in batch if waiting.entry.tracked is not None]
        tracked = await connection.run(_FIND_TRACKED, (TextArray.of(ids),), within_s=within_s) if ids else []
        for command_id, head in tracked:  # One without events stands at the head.
            found_by_command.setdefault(command_id, (head, head))
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
                is_ours = first > head_before or waiting.entry.key is None
                waiting.tell(Outcome("appended" if is_ours else "repeated", first, last))
        self._put_back(absent)

    async def _connected(self) -> WriterConnection:
        if self._connection is not None and self._connection.is_lost:
            await self._disconnect()
        if self._connection is None:
            self._connection = await WriterConnection.open(self._conninfo, watch=self._watch)
            self.head_sequence = self._connection.head_sequence
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _fail_queue(self, fault: StoreUnavailable, cause: BaseException | None = None) -> None:
        while self._queue:
            self._queue.popleft().fail(StoreUnavailable(*fault.args), cause)


def _tell(batch: list[Waiting], outcomes: BatchOutcomes) -> None:
    for waiting, status, first, last in zip(
        batch, outcomes.statuses, outcomes.first_sequences, outcomes.last_sequences, strict=True
    ):
        waiting.tell(Outcome(status, first, last))


def _leave(batch: list[Waiting], stopped: BaseException) -> None:
    for waiting in batch:
        waiting.fail(AppendOutcomeUnknown("the log's writer was stopped"), stopped)


def _parameters_of(batch: list[Waiting]) -> list[BinaryArray]:
    ready = batch[0].batch
    if ready is not None and len(batch) == len(ready.entries):
        return ready.parameters
    return parameters_of([waiting.entry for waiting in batch])


def _within_deadline(batch: list[Waiting], error: psycopg.Error) -> list[Waiting]:
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
