"""Snapshots of states: found at the first load of a lane, taken now and then beside its work.

A snapshot is a cache. It is believed only if the log has its last event, at its version and with its hash; anything
else (no snapshot, one of another schema, bytes that cannot be read, a store that cannot be asked) means that the state
is folded from the beginning. Nothing waits for a snapshot to be taken; one that could not be kept is taken again later.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from commands.ports import EventStore, Snapshot, Snapshots, StoreUnavailable
from domain.envelope import RecordedEvent, leaf_of

EVERY = 500
"""So many events after the last one a snapshot of the stream is due."""

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class StateCodec(Generic[State]):
    """How a state becomes bytes and comes back; `schema` is another one whenever either changes its meaning."""

    schema: str
    encode: Callable[[State], bytes]
    decode: Callable[[bytes], State]


@dataclass(frozen=True, slots=True)
class Start(Generic[State]):
    """Where a fold may begin: a state, the event that led to it, and the events after that one."""

    state: State
    last: RecordedEvent
    tail: list[RecordedEvent]


class SnapshotCache(Generic[State]):
    """Snapshots of one kind of stream. `every`: after so many events one is due."""

    def __init__(self, snapshots: Snapshots, codec: StateCodec[State], *, every: int = EVERY) -> None:
        self._snapshots = snapshots
        self._codec = codec
        self.every = every
        self._taking: dict[str, asyncio.Task[None]] = {}

    async def start_of(self, stream_id: str, store: EventStore) -> Start[State] | None:
        """Return where the fold of a stream may begin, None where it has to begin at the beginning.

        Raises:
            StoreUnavailable: the log cannot be read.
        """
        snapshot = await self._find(stream_id)
        if snapshot is None or snapshot.schema != self._codec.schema:
            return None
        try:
            state = self._codec.decode(snapshot.state)
        except msgspec.DecodeError:
            return None
        # Its last event is read again with those after it: a snapshot is worth what the log says of it.
        recorded = await store.read_stream(stream_id, after_version=snapshot.version - 1)
        if not recorded or recorded[0].sequence != snapshot.sequence or leaf_of(recorded[0]) != snapshot.leaf:
            return None
        return Start(state, recorded[0], recorded[1:])

    def take(self, stream_id: str, state: State, *, version: int, sequence: int, leaf: bytes) -> bool:
        """Begin to take a snapshot, or tell that one of the stream is being taken. *state* is never changed again."""
        if stream_id in self._taking:
            return False
        taking = asyncio.create_task(
            self._take(stream_id, state, version=version, sequence=sequence, leaf=leaf), name=f"snapshot {stream_id}"
        )
        self._taking[stream_id] = taking
        taking.add_done_callback(lambda _: self._taking.pop(stream_id, None))
        return True

    async def close(self) -> None:
        """Wait for those that are being taken."""
        await asyncio.gather(*self._taking.values(), return_exceptions=True)

    async def _find(self, stream_id: str) -> Snapshot | None:
        try:
            return await self._snapshots.find(stream_id)
        except StoreUnavailable:
            return None

    async def _take(self, stream_id: str, state: State, *, version: int, sequence: int, leaf: bytes) -> None:
        # In a thread, because a large state takes milliseconds, in which others decide.
        encoded = await asyncio.to_thread(self._codec.encode, state)
        snapshot = Snapshot(
            stream_id=stream_id,
            version=version,
            sequence=sequence,
            leaf=leaf,
            schema=self._codec.schema,
            state=encoded,
        )
        try:
            await self._snapshots.keep(snapshot)
        except StoreUnavailable:
            return  # The next one that is due is another try.
