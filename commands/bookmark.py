"""Where a fold goes on after a restart: from a snapshot that can be believed, else from its low-water mark.

The low-water mark alone is enough: everything that is still of use happened after it. But it may lie far back. A stop
that rests for a day holds it for a day, a position that is held for months holds it for months, and a process that is
started again would read all of that before its first exit. So what the fold has come to is kept now and then. A
snapshot is believed only if the log has the very event at its sequence, and if this release means the same by it.
"""

import asyncio
from functools import cache
from hashlib import sha256
from typing import Generic, Protocol, TypeVar

import msgspec
import structlog

from commands.ports import EventStore, FoldSnapshot, StoreUnavailable, Watermarks
from domain.envelope import RecordedEvent

log = structlog.get_logger(__name__)

EVERY = 1_000
"""So many events after the last snapshot another one is due."""
EVERY_S = 60.0
"""So long after it another one is due where anything has happened at all."""
BEHIND_MAX = 10_000
"""So far behind the low-water mark a snapshot still is worth more: it has also what a mark does not wait for."""

Kept = TypeVar("Kept", bound=msgspec.Struct)


class Fold(Protocol[Kept]):
    """What is kept of the log.

    `place` is the last event taken in, None where none was; `sequence` how far the log has been read, which may be more
    at the start.
    """

    sequence: int
    place: RecordedEvent | None

    def apply(self, recorded: RecordedEvent) -> None:
        """Take in the next event of the log."""
        ...

    def low_water(self) -> int:
        """Return the sequence after which a new fold has to read to come to what this one needs."""
        ...

    def kept(self) -> Kept:
        """Return all that this fold has come to."""
        ...

    def restore(self, kept: Kept) -> None:
        """Come to what another fold had come to, before any event is applied."""
        ...


class Bookmark(Generic[Kept]):
    """Keeps a fold's place under a name. `meaning` is another number whenever what is kept means something else."""

    def __init__(
        self,
        name: str,
        fold: Fold[Kept],
        kept_type: type[Kept],
        *,
        meaning: int,
        watermarks: Watermarks,
        store: EventStore,
        every: int = EVERY,
    ) -> None:
        self._name = name
        self._fold = fold
        self._watermarks = watermarks
        self._store = store
        self._every = every
        self._schema = f"{meaning}:{_shape_of(kept_type)}"
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(kept_type)
        self._kept_at = 0
        self._kept_at_s = 0.0

    async def restore(self) -> int:
        """Bring the fold to where it can go on, and return the sequence after which it has to read.

        Raises:
            StoreUnavailable
        """
        after = await self._watermarks.get(self._name)
        snapshot = await self._watermarks.find(self._name)
        is_near = snapshot is not None and snapshot.sequence > after - BEHIND_MAX
        if snapshot is not None and is_near and snapshot.schema == self._schema:
            kept = await self._believed(snapshot)
            if kept is not None:
                self._fold.restore(kept)
                after = self._kept_at = snapshot.sequence
        self._fold.sequence, self._kept_at_s = after, asyncio.get_running_loop().time()
        return after

    async def _believed(self, snapshot: FoldSnapshot) -> Kept | None:
        """Return what a snapshot says, None where the log says otherwise or it cannot be read."""
        at = await self._store.read_all(after_sequence=snapshot.sequence - 1, limit=1)
        if not at or at[0].hash != snapshot.hash:
            log.warning("snapshot is of another log", name=self._name, sequence=snapshot.sequence)
            return None
        try:
            return self._decoder.decode(snapshot.state)
        except msgspec.DecodeError:
            log.warning("snapshot cannot be read", name=self._name, sequence=snapshot.sequence)
            return None

    async def keep(self, *, is_last: bool = False) -> None:
        """Keep the low-water mark, and a snapshot where one is due: by events, by time, or because it is the last.

        Raises:
            StoreUnavailable
        """
        # At once, with what the fold is now: an event may come while the mark is written.
        snapshot = self._due(is_last=is_last)
        await self._watermarks.put(self._name, self._fold.low_water())
        if snapshot is not None:
            await self._watermarks.keep(snapshot)
            self._kept_at, self._kept_at_s = snapshot.sequence, asyncio.get_running_loop().time()

    async def keep_or_say(self, *, is_last: bool = False) -> None:
        """Keep it; where that fails, say so: a later place is as good."""
        try:
            await self.keep(is_last=is_last)
        except StoreUnavailable as fault:
            log.warning("place not kept", name=self._name, fault=str(fault))

    def _due(self, *, is_last: bool) -> FoldSnapshot | None:
        place = self._fold.place
        if place is None or place.sequence == self._kept_at:
            return None
        is_old = asyncio.get_running_loop().time() - self._kept_at_s >= EVERY_S
        if not is_last and not is_old and place.sequence - self._kept_at < self._every:
            return None
        return FoldSnapshot(
            name=self._name,
            sequence=place.sequence,
            hash=place.hash,
            schema=self._schema,
            state=self._encoder.encode(self._fold.kept()),
        )


@cache
def _shape_of(kept_type: type[msgspec.Struct]) -> str:
    """Return what is another text for any other fields, whoever changed them and where."""
    schema = msgspec.json.encode(msgspec.json.schema(kept_type), order="deterministic")
    return sha256(schema).hexdigest()[:16]
