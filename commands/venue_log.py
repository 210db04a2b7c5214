"""The record of how it went with our way to a venue: breakers that opened, were tried and closed.

Nobody waits for it: what happened is collected beside the calls, and appended here a batch at a time. While the log
cannot be reached it is kept, the oldest given up where it becomes too much, for this is a remark and no decision.
"""

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass

import msgspec
import structlog

from commands.ports import (
    Append,
    AppendOutcomeUnknown,
    BreakerWatch,
    Clock,
    EventStore,
    Ids,
    NewEvent,
    StoreUnavailable,
    StreamAppend,
    VersionConflict,
)
from domain.envelope import Metadata
from domain.events import encode, name_of
from domain.venue import BreakerChanged

log = structlog.get_logger(__name__)

STREAM = "venue-"
SOURCE = "executor"
PACE_S = 1.0
KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Changes of one host, under the key that makes a second append of them the first."""

    stream_id: str
    key: str
    events: tuple[NewEvent, ...]


class VenueLog:
    """Appends what a `BreakerWatch` saw."""

    def __init__(self, *, watch: BreakerWatch, store: EventStore, ids: Ids, clock: Clock) -> None:
        self._watch = watch
        self._store = store
        self._ids = ids
        self._clock = clock
        self._waiting: deque[BreakerChanged] = deque(maxlen=KEPT_MAX)
        self._batches: deque[_Batch] = deque()
        self._versions: dict[str, int] = {}

    async def run(self) -> None:
        """Record until canceled."""
        while True:
            await self.record()
            await asyncio.sleep(PACE_S)

    async def record(self) -> None:
        """Append what there is. What cannot be appended now is kept for the next time."""
        self._waiting.extend(self._watch.take_breaker_changes())
        if not self._batches:
            self._batches.extend(self._batched())
        try:
            while self._batches:
                await self._append(self._batches[0])
                self._batches.popleft()
        except (StoreUnavailable, AppendOutcomeUnknown) as fault:
            log.warning("breaker changes not recorded yet", fault=str(fault))

    def _batched(self) -> list[_Batch]:
        by_host: defaultdict[str, list[BreakerChanged]] = defaultdict(list)
        while self._waiting:
            change = self._waiting.popleft()
            by_host[change.host].append(change)
        return [
            _Batch(
                stream_id=f"{STREAM}{host}",
                key=self._ids.new("cmd"),
                events=tuple(NewEvent(name=name_of(change), payload=encode(change)) for change in changes),
            )
            for host, changes in by_host.items()
        ]

    async def _append(self, batch: _Batch) -> None:
        """Append *batch*, after whatever another process appended meanwhile.

        Raises:
            StoreUnavailable, AppendOutcomeUnknown: it may be tried again under the same key.
        """
        metadata = Metadata(actor=SOURCE, source=SOURCE, received_at_ns=self._clock.wall_ns())
        while True:
            version = await self._version_of(batch.stream_id)
            part = StreamAppend(stream_id=batch.stream_id, expected_version=version, events=batch.events)
            append = Append(
                command_id=batch.key,
                streams=(part,),
                metadata=msgspec.json.encode(metadata),
                scope=STREAM,
                key=batch.key,
            )
            try:
                await self._store.append(append)
            except VersionConflict:
                continue  # Another process was faster; what it appended is read before the next try.
            return

    async def _version_of(self, stream_id: str) -> int:
        known = self._versions.get(stream_id, 0)
        newer = await self._store.read_stream(stream_id, after_version=known)
        self._versions[stream_id] = newer[-1].version if newer else known
        return self._versions[stream_id]
