"""The log in memory: the same rules as in PostgreSQL, held to them by the same contract tests, and gone at the end."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from commands.ports import (
    Append,
    Appended,
    Claim,
    ClaimTaken,
    EventTooLarge,
    Head,
    KeyReused,
    StreamAppend,
    VersionConflict,
)
from domain.envelope import GENESIS_HASH, RecordedEvent, chain_hash, leaf_hash

EVENT_BYTES_MAX = 256 * 1024


@dataclass(slots=True)
class _Stream:
    events: list[RecordedEvent] = field(default_factory=list)
    leaf: bytes | None = None

    @property
    def version(self) -> int:
        return self.events[-1].version if self.events else 0


@dataclass(frozen=True, slots=True)
class _Failure:
    error: Exception
    is_stored: bool


class MemoryEventStore:
    """Implements `commands.ports.EventStore`. `appends` counts the calls that reached it."""

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._wall_ns = wall_ns
        self.events: list[RecordedEvent] = []
        self.appends = 0
        self._streams: dict[str, _Stream] = {}
        self._commands: dict[tuple[str, str], tuple[bytes, Appended]] = {}
        self._claims: dict[tuple[str, bytes], str] = {}
        self._failures: deque[_Failure] = deque()
        self._grown = asyncio.Event()

    def fail_next(self, error: Exception, *, is_stored: bool = False) -> None:
        """Let the next append raise *error*, having stored its events all the same if *is_stored*."""
        self._failures.append(_Failure(error, is_stored))

    async def append(self, append: Append) -> Appended:
        """Append one command's events; raises as the port says, or what `fail_next` asked for."""
        self.appends += 1
        await asyncio.sleep(0)  # As with a real log, others run before the answer is there.
        if not self._failures:
            return self._append(append)
        failure = self._failures.popleft()
        if failure.is_stored:
            self._append(append)
        raise failure.error

    async def read_stream(self, stream_id: str, *, after_version: int = 0) -> list[RecordedEvent]:
        """Return a stream's events after *after_version*, oldest first."""
        stream = self._streams.get(stream_id, _Stream())
        return [event for event in stream.events if event.version > after_version]

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        """Return at most *limit* events after *after_sequence*."""
        return self.events[after_sequence : after_sequence + limit]

    async def read_span(
        self, stream_id: str, *, after_version: int, after_sequence: int, last_sequence: int, limit: int | None = None
    ) -> list[RecordedEvent]:
        """Return a stream's events between two sequences."""
        events = await self.read_stream(stream_id, after_version=after_version)
        return [event for event in events if after_sequence < event.sequence <= last_sequence][:limit]

    async def sequence_at(self, time_us: int) -> int:
        """Return the sequence of the last event recorded by then, 0 where there is none."""
        return sum(event.recorded_at_us <= time_us for event in self.events)

    async def head(self) -> Head:
        """Return the end of the log."""
        last_hash = self.events[-1].hash if self.events else GENESIS_HASH
        return Head(sequence=len(self.events), hash=last_hash, epoch="memory")

    async def find_claim(self, kind: str, key_hash: bytes) -> str | None:
        """Return who owns a claimed value."""
        return self._claims.get((kind, key_hash))

    async def grown(self) -> None:
        """Wait until something is appended."""
        await self._grown.wait()

    def _append(self, append: Append) -> Appended:
        _demand_size(append)
        if append.key is not None and (append.scope, append.key) in self._commands:
            request_hash, first = self._commands[append.scope, append.key]
            if request_hash != append.request_hash:
                raise KeyReused(append.key)
            return Appended(first_sequence=first.first_sequence, last_sequence=first.last_sequence, repeated=True)
        self._demand_claim(append.claim)
        for part in append.streams:
            self._demand_place(part)
        if append.claim is not None:
            self._claims[append.claim.kind, append.claim.key_hash] = append.claim.owner
        before = len(self.events)
        for part in append.streams:
            self._record(append, part)
        if len(self.events) == before:
            return Appended(first_sequence=before, last_sequence=before)
        appended = Appended(first_sequence=before + 1, last_sequence=len(self.events))
        if append.key is not None:
            self._commands[append.scope, append.key] = append.request_hash, appended
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
        return appended

    def _demand_claim(self, claim: Claim | None) -> None:
        if claim is not None and self._claims.get((claim.kind, claim.key_hash), claim.owner) != claim.owner:
            raise ClaimTaken(claim.kind)

    def _demand_place(self, part: StreamAppend) -> None:
        stream = self._streams.get(part.stream_id, _Stream())
        is_another = part.expected_leaf is not None and part.expected_leaf != stream.leaf
        if is_another or stream.version != part.expected_version:
            raise VersionConflict(f"{part.stream_id} is at {stream.version}, expected {part.expected_version}")

    def _record(self, append: Append, part: StreamAppend) -> None:
        for event in part.events:
            stream = self._streams.setdefault(part.stream_id, _Stream())
            last = self.events[-1] if self.events else None
            sequence, version = len(self.events) + 1, stream.version + 1
            previous_hash = last.hash if last else GENESIS_HASH
            recorded_at_us = max(self._wall_ns() // 1_000, last.recorded_at_us if last else 0)
            leaf = leaf_hash(
                stream_id=part.stream_id,
                version=version,
                name=event.name,
                command_id=append.command_id,
                metadata=append.metadata,
                payload=event.payload,
            )
            recorded = RecordedEvent(
                sequence=sequence,
                stream_id=part.stream_id,
                version=version,
                name=event.name,
                command_id=append.command_id,
                metadata=append.metadata,
                payload=event.payload,
                recorded_at_us=recorded_at_us,
                previous_hash=previous_hash,
                hash=chain_hash(previous=previous_hash, sequence=sequence, recorded_at_us=recorded_at_us, leaf=leaf),
            )
            stream.events.append(recorded)
            stream.leaf = leaf
            self.events.append(recorded)


def _demand_size(append: Append) -> None:
    for part in append.streams:
        for event in part.events:
            if len(append.metadata) + len(event.payload) > EVENT_BYTES_MAX:
                raise EventTooLarge(f"event {event.name} is over {EVENT_BYTES_MAX} bytes")


class MemoryFeed:
    """Implements `EventFeed` over a `MemoryEventStore`."""

    def __init__(self, store: MemoryEventStore, *, page: int = 1_000) -> None:
        self._store = store
        self._page = page

    async def follow(self, *, after_sequence: int) -> AsyncGenerator[list[RecordedEvent], None]:
        """Yield events as they are recorded."""
        while True:
            events = await self._store.read_all(after_sequence=after_sequence, limit=self._page)
            if events:
                yield events
                after_sequence = events[-1].sequence
            elif len(self._store.events) <= after_sequence:
                await self._store.grown()
