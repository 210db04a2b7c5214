"""The log in PostgreSQL."""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

from adapters.archive.parquet import ParquetArchive
from adapters.ids import made_at_ms
from adapters.postgres.batches import COMMANDS_MAX
from adapters.postgres.bulk import Loaded, load
from adapters.postgres.database import Database
from adapters.postgres.entries import Entry, TrackingStale, entry_of
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.reading import LogReads
from adapters.postgres.waiting import Outcome
from commands.ports import (
    Append,
    Appended,
    ClaimTaken,
    Head,
    KeyReused,
    StoreUnavailable,
    VersionConflict,
)
from domain.envelope import RecordedEvent
from projections.tasks import end

_LOOK_AFTER_EVERY_S = 10.0
_FORGET_COMMANDS_EVERY_S = 3600.0
_PREPARE_ROOM = """
    -- Make room for what comes next, and tell which sequence has none.
    SELECT log.prepare_partitions(), log.prepare_weeks()
"""
_FIND_OUTCOME = """
    -- Find where the events of a command lie in a part of the log.
    SELECT min(sequence), max(sequence)
    FROM log.events
    WHERE sequence > %s AND sequence <= %s AND command_id = %s
"""
_US_PER_MS = 1_000
_CLOCKS_APART_US = 60_000_000
"""So far apart, at most, are the clocks of who names commands and of the server."""
_APPENDED_WITHIN_US = 300_000_000
"""So long after it was named, at most, a command is appended."""
_ROOM_MIN = 1_000_000
"""With fewer sequences ahead than this, the next partition is made."""


class PostgresEventStore:
    """Implements `commands.ports.EventStore` for the user `khata_writer`, whom *conninfo* names.

    Appends of this process are committed in groups (see `group_commit`); each is answered within about *deadline_s*
    seconds. `database` may be shared by what else this process keeps in PostgreSQL. *watch* looks at each connection;
    *archive* has the files of the log's archived part.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        deadline_s: float = 5.0,
        commands_max: int = COMMANDS_MAX,
        gather_s: float = 0.0,
        watch: EpochWatch | None = None,
        archive: ParquetArchive | None = None,
    ) -> None:
        self.database = Database(conninfo, patience_s=deadline_s, watch=watch)
        self.reads = LogReads(self.database, archive)
        self._writer = GroupCommit(
            conninfo, deadline_s=deadline_s, commands_max=commands_max, gather_s=gather_s, watch=watch
        )
        self._room_end = 0
        self._caretaker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect.

        Raises:
            StoreUnavailable
        """
        await self.database.open()
        try:
            await self._prepare_room()
            await self._writer.start()
        except BaseException:
            await self.database.close()
            raise
        self._caretaker = asyncio.create_task(self._look_after(), name="log caretaker")

    async def close(self) -> None:
        """Take no more appends, finish those that wait, and disconnect."""
        caretaker, self._caretaker = self._caretaker, None
        if caretaker is not None:
            await end(caretaker)  # Its first statement may swallow a cancellation.
        await self._writer.close()
        await self.database.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def append(self, append: Append) -> Appended:
        """Append one command's events, durable when this returns.

        Raises:
            VersionConflict, KeyReused, ClaimTaken, EventTooLarge, StoreUnavailable, LogFull, AppendOutcomeUnknown
        """
        entry = entry_of(append)
        return _answer(entry, await self._writer.submit(entry))

    async def append_entry(self, entry: Entry) -> Appended:
        """Append what is ready to be appended; otherwise like `append`.

        Raises:
            adapters.postgres.entries.TrackingStale
        """
        return _answer(entry, await self._writer.submit(entry))

    async def append_bulk(self, appends: Iterable[Append], *, tell: Callable[[Loaded], None] | None = None) -> Loaded:
        """Append many commands, in their order, by the rules of `append`; see `adapters.postgres.bulk.load`."""
        return await load(self._writer, appends, tell=tell)

    async def read_stream(self, stream_id: str, *, after_version: int = 0) -> list[RecordedEvent]:
        """Return a stream's events after *after_version*, oldest first. Raises StoreUnavailable."""
        return await self.reads.read_stream(stream_id, after_version=after_version)

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        """Return at most *limit* events after *after_sequence*, in sequence order, without a hole.

        Raises:
            StoreUnavailable
            adapters.postgres.reading.LogHole: the log lacks a sequence.
        """
        return await self.reads.read_all(after_sequence=after_sequence, limit=limit)

    async def find_outcome(self, command_id: str) -> Appended | None:
        """Return where a command's events lie, however long ago it was, None where it has none.

        For when its key is no longer honoured. The id tells when the command came, and the log is looked through from
        shortly before that until a while after it; the archived part of that is read page by page.

        Raises:
            StoreUnavailable, ArchiveUnreadable, LogHole
            ValueError: the id is none that this engine gives.
        """
        made_at_us = made_at_ms(command_id) * _US_PER_MS
        after = await self.reads.sequence_at(made_at_us - _CLOCKS_APART_US)
        last = await self.reads.sequence_at(made_at_us + _APPENDED_WITHIN_US)
        found: list[int] = []
        archived_to = min(last, await self.reads.archived.refresh())
        while after < archived_to:
            page = await self.reads.archived.read_from(after + 1, archived_to - after)
            found += [event.sequence for event in page if event.command_id == command_id]
            after = page[-1].sequence
        rows = await self.database.fetch(_FIND_OUTCOME, (after, last, command_id))
        found += [sequence for sequence in rows[0] if sequence is not None]
        return Appended(first_sequence=min(found), last_sequence=max(found), repeated=True) if found else None

    async def read_span(
        self, stream_id: str, *, after_version: int, after_sequence: int, last_sequence: int, limit: int | None = None
    ) -> list[RecordedEvent]:
        """Return a stream's events after *after_version* up to *last_sequence*, oldest first, at most *limit*.

        *after_sequence* is the sequence of the event at *after_version*, or any lower one.

        Raises:
            StoreUnavailable
        """
        return await self.reads.read_span(
            stream_id,
            after_version=after_version,
            after_sequence=after_sequence,
            last_sequence=last_sequence,
            limit=limit,
        )

    async def sequence_at(self, time_us: int) -> int:
        """Return the last sequence recorded at or before *time_us* (UTC microseconds), 0 where there is none.

        Raises:
            StoreUnavailable
            adapters.postgres.reading.LogHole: the log lacks a sequence.
        """
        return await self.reads.sequence_at(time_us)

    async def head(self) -> Head:
        """Return the end of the log. Raises StoreUnavailable."""
        return await self.reads.head()

    async def find_claim(self, kind: str, key_hash: bytes) -> str | None:
        """Return who owns a claimed value, None where nobody does. Raises StoreUnavailable."""
        return await self.reads.find_claim(kind, key_hash)

    async def _prepare_room(self) -> None:
        rows = await self.database.fetch(_PREPARE_ROOM)
        self._room_end = rows[0][0]

    async def _look_after(self) -> None:
        """Make partitions before they are needed, and forget keys that are no longer honoured."""
        forget_at_s = time.monotonic()
        while True:
            with suppress(StoreUnavailable):  # The next round tries again; until then the append helps itself.
                if self._room_end - self._writer.head_sequence < _ROOM_MIN:
                    await self._prepare_room()
                if time.monotonic() >= forget_at_s:
                    await self._prepare_room()  # For the outcomes of the week that comes.
                    await self.database.fetch("SELECT log.forget_commands()")
                    forget_at_s = time.monotonic() + _FORGET_COMMANDS_EVERY_S
            await asyncio.sleep(_LOOK_AFTER_EVERY_S)


def _answer(entry: Entry, outcome: Outcome) -> Appended:
    match outcome.status:
        case "appended" | "repeated":
            return Appended(
                first_sequence=outcome.first_sequence,
                last_sequence=outcome.last_sequence,
                repeated=outcome.status == "repeated",
            )
        case "key_reused":
            raise KeyReused(f"key {entry.key!r} belongs to another request")
        case "claim_taken":
            raise ClaimTaken(f"the {entry.claim.kind if entry.claim else 'value'} has another owner")
        case "tracking_stale":
            raise TrackingStale(f"{entry.tracked} is not beyond what is kept")
        case "conflict":
            raise VersionConflict(f"command {entry.command_id} follows a version that another command has passed")
        case status:
            message = f"append_batch answered {status!r}"
            raise AssertionError(message)
