"""The log in PostgreSQL."""

import asyncio
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from adapters.postgres.database import Database
from adapters.postgres.entries import Entry, entry_of
from adapters.postgres.group_commit import COMMANDS_MAX, GroupCommit, Outcome
from adapters.postgres.reading import LogReads
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
_ROOM_MIN = 1_000_000
"""With fewer sequences ahead than this, the next partition is made."""


class PostgresEventStore:
    """Implements `commands.ports.EventStore` for the user `khata_writer`, whom *conninfo* names.

    Appends of this process are committed in groups (see `group_commit`); each is answered within about *deadline_s*
    seconds. `database` may be shared by what else this process keeps in PostgreSQL.
    """

    def __init__(self, conninfo: str, *, deadline_s: float = 5.0, commands_max: int = COMMANDS_MAX) -> None:
        self.database = Database(conninfo, patience_s=deadline_s)
        self._reads = LogReads(self.database)
        self._writer = GroupCommit(conninfo, deadline_s=deadline_s, commands_max=commands_max)
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
            await end(caretaker)
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
            VersionConflict, KeyReused, ClaimTaken, EventTooLarge, StoreUnavailable, AppendOutcomeUnknown
        """
        return await self.append_entry(entry_of(append))

    async def append_entry(self, entry: Entry) -> Appended:
        """Append what is ready to be appended; otherwise like `append`."""
        return _answer(entry, await self._writer.submit(entry))

    async def read_stream(self, stream_id: str, *, after_version: int = 0) -> list[RecordedEvent]:
        """Return a stream's events after *after_version*, oldest first. Raises StoreUnavailable."""
        return await self._reads.read_stream(stream_id, after_version=after_version)

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        """Return at most *limit* events after *after_sequence*, in sequence order, without a hole.

        Raises:
            StoreUnavailable
            adapters.postgres.reading.LogHole: the log lacks a sequence.
        """
        return await self._reads.read_all(after_sequence=after_sequence, limit=limit)

    async def head(self) -> Head:
        """Return the end of the log. Raises StoreUnavailable."""
        return await self._reads.head()

    async def find_claim(self, kind: str, key_hash: bytes) -> str | None:
        """Return who owns a claimed value, None where nobody does. Raises StoreUnavailable."""
        return await self._reads.find_claim(kind, key_hash)

    async def _prepare_room(self) -> None:
        rows = await self.database.fetch("SELECT log.prepare_partitions()")
        self._room_end = rows[0][0]

    async def _look_after(self) -> None:
        """Make partitions before they are needed, and forget keys that are no longer honoured."""
        forget_at_s = time.monotonic()
        while True:
            with suppress(StoreUnavailable):  # The next round tries again; until then the append helps itself.
                if self._room_end - self._writer.head_sequence < _ROOM_MIN:
                    await self._prepare_room()
                if time.monotonic() >= forget_at_s:
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
        case "conflict":
            raise VersionConflict(f"command {entry.command_id} follows a version that another command has passed")
        case status:
            message = f"append_batch answered {status!r}"
            raise AssertionError(message)
