"""One stream's commands, decided one after another on a state in memory, appended side by side.

A lane keeps the state that the stream has *after everything it has handed to the log but not yet heard back about* (the
pending state). A command is decided on it at once and appended at the version it leads to, so many commands of one
account ride in one batch of the log. The log checks versions in the order of the batch: if one fails (another process
came first, or the command had been carried out before), every later one was decided on a state that never came to be.
It names the hash of the event it follows, not only its version, so it fails as well, whatever took that event's place.
The lane then loads the stream again and the commands that failed are decided again.

An answer is given only for what the log has confirmed. A command that changes nothing is confirmed too, and so is a
refusal: the log is asked whether the stream still is where the decision assumed it, or a kill switch released elsewhere
would still refuse, and whether the same key had an outcome before, because then that is the answer.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from commands.ports import Append, Appended, EventStore, NewEvent, StreamAppend, VersionConflict
from commands.snapshots import SnapshotCache
from domain.decider import Decider
from domain.envelope import RecordedEvent, leaf_hash, leaf_of
from domain.events import decode_known, encode, name_of
from domain.refusals import Refusal

ATTEMPTS_MAX = 6
BACKOFF_S = 0.002

Command = TypeVar("Command")
State = TypeVar("State")
Event = TypeVar("Event")


class AccountBusy(Exception):
    """Others kept changing the stream while this command was decided. Nothing was stored; the caller sees 503."""


class DecisionStopped(AccountBusy):
    """A decision of our own would have broken an invariant. Nothing of it was stored, but that; entries are denied.

    Whoever paces itself takes the step again later, as after any fault that passes, so that nothing else waits for it.
    The caller sees 503.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an append carries besides its events (see `commands.ports.Append`)."""

    command_id: str
    metadata: bytes
    scope: str = ""
    key: str | None = None
    request_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Decided(Generic[Event]):
    """A command's events and where they lie; `version` is the stream's after them, None where that is not known."""

    events: tuple[Event, ...]
    appended: Appended
    version: int | None = None


@dataclass(frozen=True, slots=True)
class _Place(Generic[State]):
    """A state, and where in the stream it is: the version and the leaf hash of the last event that led to it."""

    state: State
    version: int
    leaf: bytes | None


class Lane(Generic[Command, State, Event]):
    """Decides the commands of one stream in this process."""

    def __init__(
        self,
        stream_id: str,
        decider: Decider[Command, State, Event],
        store: EventStore,
        snapshots: SnapshotCache[State] | None = None,
    ) -> None:
        self._stream_id = stream_id
        self._decider = decider
        self._store = store
        self._confirmed: _Place[State] = _Place(decider.initial, 0, None)
        self._pending = self._confirmed
        self._snapshots = snapshots
        self._snapshot_version = 0
        self._generation = 0
        self._is_loaded = False
        self._loading = asyncio.Lock()
        self._keys_under_way: dict[tuple[str, str | None], asyncio.Event] = {}
        self.in_flight = 0

    async def state(self) -> State:
        """Return the pending state, loaded from the log if it is not in memory."""
        await self._load()
        return self._pending.state

    async def confirmed_state(self) -> State:
        """Return the state that the log's newest event led to, whatever this process knew of it.

        It leaves the commands under way alone: they decide on the pending state, and learn of the rest on conflict.
        """
        await self._load()
        known = self._confirmed
        recorded = await self._store.read_stream(self._stream_id, after_version=known.version)
        return self._decider.fold(self._decoded(recorded), known.state)

    async def execute(self, command_on: Callable[[State], Awaitable[Command]], request: Request) -> Decided[Event]:
        """Decide and append the command that *command_on* makes for the present state.

        The command is made anew for every attempt, so that what it carries of the market is as fresh as the state.

        Raises:
            domain.refusals.Refusal: the decider refused.
            AccountBusy: the stream changed under every attempt.
            commands.ports.KeyReused, StoreUnavailable, AppendOutcomeUnknown, EventTooLarge
        """
        self.in_flight += 1
        try:
            if request.key is None:
                return await self._decided(command_on, request)
            return await self._decided_once(command_on, request)
        finally:
            self.in_flight -= 1

    async def _decided_once(
        self, command_on: Callable[[State], Awaitable[Command]], request: Request
    ) -> Decided[Event]:
        """Let one request of a key through at a time: a repetition behind the first would upset the pending state."""
        name = (request.scope, request.key)
        while (same := self._keys_under_way.get(name)) is not None:
            await same.wait()
            if (recalled := await self._recalled(request)) is not None:
                return recalled
        done = self._keys_under_way[name] = asyncio.Event()
        try:
            return await self._decided(command_on, request)
        finally:
            del self._keys_under_way[name]
            done.set()

    async def _recalled(self, request: Request) -> Decided[Event] | None:
        """Return the outcome that the request's key has in the log, None where it has none."""
        appended = await self._store.append(self._append_of(request, ()))
        return Decided(await self._events_between(appended), appended) if appended.repeated else None

    async def _decided(self, command_on: Callable[[State], Awaitable[Command]], request: Request) -> Decided[Event]:
        for attempt in range(ATTEMPTS_MAX):
            decided = await self._attempt(command_on, request)
            if decided is not None:
                return decided
            # A random wait parts processes that keep meeting; the first repetition goes at once.
            await asyncio.sleep(BACKOFF_S * attempt * (1 + random.random()))  # noqa: S311 - no secret
        raise AccountBusy(f"{self._stream_id} changed under {ATTEMPTS_MAX} attempts")

    async def _attempt(
        self, command_on: Callable[[State], Awaitable[Command]], request: Request
    ) -> Decided[Event] | None:
        await self._load()
        before, generation = self._pending, self._generation
        command = await command_on(before.state)
        if self._pending is not before or not self._is_loaded:
            return None  # What the command carries of the market belongs to a state that is no longer the last.
        # From here to the append there is no await: decision, pending state and place in the queue belong together.
        refusal: Refusal | None = None
        events: tuple[Event, ...] = ()
        state = before.state
        try:
            events, state = self._decider.step(command, state, version=before.version)
        except Refusal as reason:
            refusal = reason
        part, self._pending = self._prepared(before, events, state, request)
        after = self._pending
        try:
            appended = await self._store.append(self._append_of(request, (part,)))
        except VersionConflict:
            self._forget(generation)
            return None
        except BaseException:
            self._forget(generation)  # Whether it was stored or not, the pending state can no longer be trusted.
            raise
        if appended.repeated:
            self._forget(generation)
            return Decided(await self._events_between(appended), appended)
        if after.version > self._confirmed.version:
            self._confirm(after, appended.last_sequence)
        if refusal is not None:
            raise refusal
        return Decided(events, appended, after.version)

    def _prepared(
        self, before: _Place[State], events: tuple[Event, ...], state: State, request: Request
    ) -> tuple[StreamAppend, _Place[State]]:
        """Return the append of *events*, which lead from *before* to *state*, and the place that this is."""
        new = tuple(NewEvent(name=name_of(event), payload=encode(event)) for event in events)  # type: ignore[arg-type]
        part = StreamAppend(
            stream_id=self._stream_id, expected_version=before.version, expected_leaf=before.leaf, events=new
        )
        if not new:
            return part, before
        version = before.version + len(new)
        leaf = leaf_hash(
            stream_id=self._stream_id,
            version=version,
            name=new[-1].name,
            command_id=request.command_id,
            metadata=request.metadata,
            payload=new[-1].payload,
        )
        return part, _Place(state, version, leaf)

    @staticmethod
    def _append_of(request: Request, streams: tuple[StreamAppend, ...]) -> Append:
        return Append(
            command_id=request.command_id,
            streams=streams,
            metadata=request.metadata,
            scope=request.scope,
            key=request.key,
            request_hash=request.request_hash,
        )

    async def _events_between(self, appended: Appended) -> tuple[Event, ...]:
        count = appended.last_sequence - appended.first_sequence + 1
        recorded = await self._store.read_all(after_sequence=appended.first_sequence - 1, limit=count)
        return tuple(self._decoded(recorded))

    def _forget(self, generation: int) -> None:
        if generation == self._generation:
            self._generation += 1
            self._is_loaded = False

    async def _load(self) -> None:
        """Read what the log has beyond the last confirmed place; what was pending is forgotten."""
        if self._is_loaded:
            return
        async with self._loading:
            while not self._is_loaded:
                generation = self._generation
                confirmed, recorded = await self._read()
                if generation != self._generation:
                    continue
                if recorded:
                    state = self._decider.fold(self._decoded(recorded), confirmed.state)
                    last = recorded[-1]
                    confirmed = _Place(state, last.version, leaf_of(last))
                    if confirmed.version > self._confirmed.version:
                        self._confirm(confirmed, last.sequence)
                elif confirmed.version > self._confirmed.version:
                    self._confirmed = confirmed
                self._pending = self._confirmed
                self._is_loaded = True

    async def _read(self) -> tuple[_Place[State], list[RecordedEvent]]:
        """Return a place that the log confirms, and the events after it: a snapshot's, where nothing is known yet."""
        known = self._confirmed
        if known.version == 0 and self._snapshots is not None:
            start = await self._snapshots.start_of(self._stream_id, self._store)
            if start is not None:
                self._snapshot_version = max(self._snapshot_version, start.last.version)
                return _Place(start.state, start.last.version, leaf_of(start.last)), start.tail
        return known, await self._store.read_stream(self._stream_id, after_version=known.version)

    def _confirm(self, place: _Place[State], sequence: int) -> None:
        """Take in what the log confirmed, and have a snapshot taken of it now and then."""
        self._confirmed = place
        cache = self._snapshots
        if cache is None or place.leaf is None or place.version - self._snapshot_version < cache.every:
            return
        if cache.take(self._stream_id, place.state, version=place.version, sequence=sequence, leaf=place.leaf):
            self._snapshot_version = place.version

    def observe(self, recorded: RecordedEvent) -> None:
        """Take in an event that another process appended, so that the next decision need not fail to learn of it.

        Only where it follows what is known here and nothing is pending; anything else the log will tell on conflict.
        """
        known = self._confirmed
        if self._is_loaded and self._pending is known and recorded.version == known.version + 1:
            state = self._decider.fold(self._decoded([recorded]), known.state)
            self._pending = _Place(state, recorded.version, leaf_of(recorded))
            self._confirm(self._pending, recorded.sequence)

    @staticmethod
    def _decoded(recorded: Iterable[RecordedEvent]) -> Iterator[Event]:
        """Yield what happened; what a later release remarked, and said may be passed over, is not among it."""
        for each in recorded:
            event = decode_known(each.name, each.payload)
            if event is not None:
                yield event  # type: ignore[misc]
