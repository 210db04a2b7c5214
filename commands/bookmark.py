"""Where a fold goes on after a restart: from a checkpoint that can be believed, else from its low-water mark.

The low-water mark alone is enough: everything that is still of use happened after it. But it may lie far back. A stop
that rests for a day holds it for a day, a position that is held for months holds it for months, and a process that is
started again would read all of that before its first exit. So what the fold has come to is kept now and then. A
checkpoint is believed only if the log has the very event at its sequence, and if this release means the same by it.
"""

import asyncio
from functools import cache
from hashlib import sha256
from typing import Generic, Protocol, TypeVar

import msgspec
import structlog

from commands.ports import Checkpoint, EventStore, StoreUnavailable, Watermarks
from domain.envelope import RecordedEvent

log = structlog.get_logger(__name__)

EVERY = 1_000
"""So many events after the last checkpoint another one is due."""
EVERY_S = 60.0
"""So long after it another one is due where anything has happened at all."""
BEHIND_MAX = 10_000
"""So far behind the low-water mark a checkpoint still is worth more: it has also what a mark does not wait for."""

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
        checkpoint = await self._watermarks.find(self._name)
        is_near = checkpoint is not None and checkpoint.sequence > after - BEHIND_MAX
        if checkpoint is not None and is_near and checkpoint.schema == self._schema:
            kept = await self._believed(checkpoint)
            if kept is not None:
                self._fold.restore(kept)
                after = self._kept_at = checkpoint.sequence
        self._fold.sequence, self._kept_at_s = after, asyncio.get_running_loop().time()
        return after

    async def _believed(self, checkpoint: Checkpoint) -> Kept | None:
        """Return what a checkpoint says, None where the log says otherwise or it cannot be read."""
        at = await self._store.read_all(after_sequence=checkpoint.sequence - 1, limit=1)
        if not at or at[0].hash != checkpoint.hash:
            log.warning("checkpoint is of another log", name=self._name, sequence=checkpoint.sequence)
            return None
        try:
            return self._decoder.decode(checkpoint.state)
        except msgspec.DecodeError:
            log.warning("checkpoint cannot be read", name=self._name, sequence=checkpoint.sequence)
            return None

    async def keep(self, *, is_last: bool = False) -> None:
        """Keep the low-water mark, and a checkpoint where one is due: by events, by time, or because it is the last.

        Raises:
            StoreUnavailable
        """
        checkpoint = self._due(
            is_last=is_last
        )  # At once, with what the fold is now: an event may come while the mark is written.
        await self._watermarks.put(self._name, self._fold.low_water())
        if checkpoint is not None:
            await self._watermarks.keep(checkpoint)
            self._kept_at, self._kept_at_s = checkpoint.sequence, asyncio.get_running_loop().time()

    def _due(self, *, is_last: bool) -> Checkpoint | None:
        place = self._fold.place
        if place is None or place.sequence == self._kept_at:
            return None
        is_old = asyncio.get_running_loop().time() - self._kept_at_s >= EVERY_S
        if not is_last and not is_old and place.sequence - self._kept_at < self._every:
            return None
        return Checkpoint(
            name=self._name,
            sequence=place.sequence,
            hash=place.hash,
            schema=self._schema,
            state=self._encoder.encode(self._fold.kept()),
        )


async def keep_or_say(bookmark: "Bookmark[Kept]", *, is_last: bool = False) -> None:
    """Keep a fold's place; where that fails, say so: a later one is as good."""
    try:
        await bookmark.keep(is_last=is_last)
    except StoreUnavailable as fault:
        log.warning("place not kept", fault=str(fault))


@cache
def _shape_of(kept_type: type[msgspec.Struct]) -> str:
    """Return what is another text for any other fields, whoever changed them and where."""
    schema = msgspec.json.encode(msgspec.json.schema(kept_type), order="deterministic")
    return sha256(schema).hexdigest()[:16]
