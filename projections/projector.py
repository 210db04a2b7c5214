"""The projector: follows the log and keeps the read models, exactly once in effect.

    claim ─► follow from the lowest checkpoint ─► batch ─► one transaction: rows, checkpoints, notification ─► batch …
      ▲                                             │
      └─── fault that passes, claim lost, due ◄─────┘

A projector works on some shards of all read models of its release. Each shard of each edition of a read model (a
*part*) has a checkpoint of its own; they move together unless one of them halted. What the projector knows between two
batches is only a copy: of checkpoints, of parked streams, of the rows it touched last. When anything goes wrong it
forgets all, claims anew and goes on from what the database says, so it does not matter whether a commit whose answer
was lost had happened. Whoever changes the views behind its back takes its claim away, with the same effect.

- An event at or before a checkpoint is a repeat and is dropped; a gap is a broken feed, which is asked again.
- An event that this release does not know stops all read models (`UPGRADE_NEEDED`), for a later release to go on.
- An event that a fold or the database refuses stops that part at the event before it (`POISON_EVENT`) where the read
  model is to halt: it shows in the status, and the next start tries again, once. Elsewhere the event's stream is parked
  in that read model: the event and all that follow it in its stream wait, and everybody else goes on.
- A checkpoint that is not in the log, or not with this hash, stops all (`EPOCH_CHANGED`): it is another history.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import structlog

from domain.envelope import GENESIS_HASH, RecordedEvent
from projections.batches import Decoded, Projection, Reading, project
from projections.latency import Latencies
from projections.ports import (
    Checkpoint,
    Claimed,
    ClaimHeld,
    ClaimLost,
    Clock,
    EventFeed,
    ParkedEvent,
    Part,
    ViewsRefused,
    ViewStore,
    ViewsUnavailable,
)
from projections.prefetch import prefetched
from projections.projector_status import ModelStatus, ProjectorStatus, ShardStatus
from projections.read_model import AnyReadModel, Key, OnPoison, Row
from projections.row_cache import RowCache
from projections.tasks import end

log = structlog.get_logger(__name__)

LEASE_MS = 3_000
_RENEWALS_PER_LEASE = 6
_PAUSE_MIN_S = 0.05
_PAUSE_MAX_S = 2.0
_RELEASE_S = 1.0
_HEADS_KEPT = 1_000
BATCH_MAX = 5_000
"""Events of one transaction where the projector is behind."""
AHEAD_MIN = 200
"""So many events are worth folding while those before them are written. Fewer wait, and become more meanwhile."""
GATHER_S = 0.004
"""So long after a small batch the next one is taken: a steady trickle costs half as much, and a first event waits for
nothing."""
REST_MAX_S = 0.01
"""A small batch that took longer than `GATHER_S` is followed by a rest as long, but no longer than this. A busy machine
makes batches slow; fewer of them, each with more events, leave it to those whose events the views wait for."""
NS_PER_US = 1_000
NS_PER_S = 1_000_000_000


class FeedBroken(Exception):
    """The feed left events out. It is asked again from the checkpoint."""


class ClaimDue(Exception):
    """Another claim would bring other shards or editions than ours: make it."""


class BatchRefused(Exception):
    """The database refused a batch that ends at *last_sequence*: find out which of its events, with nothing ahead."""

    def __init__(self, last_sequence: int) -> None:
        super().__init__(f"the batch that ends at sequence {last_sequence} was refused")
        self.last_sequence = last_sequence


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """A batch that is folded and has to be written: rows, checkpoints before and after, and what is put aside."""

    decoded: Sequence[Decoded]
    changes: dict[AnyReadModel, dict[Key, Row | None]]
    advances: dict[Part, tuple[Checkpoint, Checkpoint]]
    parked: dict[AnyReadModel, list[ParkedEvent]]

    @property
    def is_plain(self) -> bool:
        """Tell whether the next batch can be folded before this one is written: all goes on as it did."""
        return not self.parked and all(after.halted is None for _, after in self.advances.values())

    def after(self) -> dict[Part, Checkpoint]:
        """Return where the parts stand afterwards."""
        return {part: after for part, (_, after) in self.advances.items()}


class Projector:
    """Keeps *models* in *views*, fed by *feed*, in transactions of about *batch_max* events at most."""

    def __init__(
        self,
        models: Sequence[AnyReadModel],
        *,
        feed: EventFeed,
        views: ViewStore,
        clock: Clock,
        shards: int = 1,
        lease_ms: int = LEASE_MS,
        batch_max: int = BATCH_MAX,
    ) -> None:
        self._batch_max = batch_max
        self._views = views
        self._feed = feed
        self._clock = clock
        self._models = tuple(models)
        self._shards_wanted = shards
        self._lease_ms = lease_ms
        self._state = "starting"
        self._shards = shards
        self._is_resharding = False
        self._is_outlived = True
        self._checkpoints: dict[Part, Checkpoint] = {}
        self._folded: dict[Part, Checkpoint] = {}
        self._writes: asyncio.Queue[Write] = asyncio.Queue(maxsize=1)
        self._unsaved: deque[Write] = deque()
        self._careful_to = 0
        self._parked: dict[AnyReadModel, frozenset[str]] = {}
        self._caches: dict[AnyReadModel, RowCache] = {}
        self._moved = asyncio.Event()
        self._heads: deque[tuple[int, int]] = deque(maxlen=_HEADS_KEPT)
        self._heartbeat_ns = 0
        self._pause_s = _PAUSE_MIN_S
        self._events = self._batches = self._duplicates = self._claims = self._faults = 0
        self._latencies = Latencies()

    # --- Life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until canceled."""
        try:
            await self._until_prepared()
            while True:
                await self._work_once()
                await asyncio.sleep(self._pause_s)
        finally:
            self._state = "stopped"
            # Without this the next projector waits for our lease to run out.
            with suppress(ViewsUnavailable, ViewsRefused, TimeoutError):
                async with asyncio.timeout(_RELEASE_S):
                    await self._views.release(self._models)

    async def _until_prepared(self) -> None:
        while True:
            try:
                await self._views.prepare(self._models, shards=self._shards_wanted)
            except ViewsUnavailable as fault:
                self._note_fault(fault)
                await asyncio.sleep(self._pause_s)
            else:
                return

    async def _work_once(self) -> None:
        """Claim, and work until something goes wrong."""
        try:
            await self._claim()
            await self._check_history()
            self._folded = dict(self._checkpoints)
            self._writes = asyncio.Queue(maxsize=1)
            self._signal()  # What was reached before this claim is reached: nobody has to wait for another event.
            await self._keep_and_follow()
        except ClaimHeld:
            self._state = "waiting for the claim"
            self._checkpoints = {}
            self._pause_s = self._lease_ms / 1_000 / _RENEWALS_PER_LEASE
        except ClaimDue:
            self._pause_s = 0.0
        except BatchRefused as refused:
            # What was folded on top of it is void. The same events again, one batch after the other.
            self._careful_to = refused.last_sequence
            self._pause_s = 0.0
        except ClaimLost as fault:
            # Somebody took it away on purpose, or we were late: either way another claim tells, at once.
            self._note_fault(fault)
            self._pause_s = 0.0
        except (ViewsUnavailable, FeedBroken) as fault:
            self._note_fault(fault)

    async def _claim(self) -> None:
        if self._is_outlived:
            await self._views.drop_due(self._models)
            self._is_outlived = False
        known, self._caches = self._caches, {}
        while self._unsaved:
            for model, rows in self._unsaved.popleft().changes.items():
                known.get(model, RowCache()).forget(rows)
        claimed = await self._views.claim(self._models, shards=self._shards_wanted, lease_ms=self._lease_ms)
        self._caches = {model: cache for model, cache in known.items() if self._is_as_left(model, claimed)}
        self._checkpoints = dict(claimed.checkpoints)
        self._parked = dict(claimed.parked)
        self._shards = claimed.shards
        self._is_resharding = claimed.is_resharding
        self._claims += 1

    def _is_as_left(self, model: AnyReadModel, claimed: Claimed) -> bool:
        """Tell whether nobody wrote to a read model since we did: then the rows we remember are those it has.

        A replay of parked streams writes without moving a checkpoint, but changes which streams are parked.
        """
        left = {part: at for part, at in self._checkpoints.items() if part.model is model}
        found = {part: at for part, at in claimed.checkpoints.items() if part.model is model}
        places = [{part: (at.sequence, at.hash) for part, at in each.items()} for each in (left, found)]
        is_parked_alike = claimed.parked.get(model) == self._parked.get(model)
        return self._shards == claimed.shards and places[0] == places[1] and is_parked_alike

    def _note_fault(self, fault: Exception) -> None:
        self._state = f"retrying: {type(fault).__name__}"
        self._faults += 1
        self._pause_s = min(max(2 * self._pause_s, _PAUSE_MIN_S), _PAUSE_MAX_S)
        log.warning("projector retries", fault=type(fault).__name__, detail=str(fault))

    async def _check_history(self) -> None:
        """Halt every read model whose checkpoint belongs to another history than the log's; let the others try."""
        known: dict[int, bytes | None] = {0: GENESIS_HASH}
        for part, checkpoint in self._checkpoints.items():
            if checkpoint.sequence not in known:
                known[checkpoint.sequence] = await self._views.hash_at(checkpoint.sequence)
            reason = None
            if known[checkpoint.sequence] != checkpoint.hash:
                reason = f"EPOCH_CHANGED: the log has another event at sequence {checkpoint.sequence}, or none"
                log.error("read model halted", model=part.model.name, shard=part.shard, reason=reason)
            self._checkpoints[part] = replace(checkpoint, halted=reason)

    async def _keep_and_follow(self) -> None:
        """Follow the log, write and renew the claim, until one of them fails."""
        tasks = [asyncio.create_task(each) for each in (self._follow(), self._write(), self._renew())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(*tasks)
        for task in tasks:
            if not task.cancelled() and (fault := task.exception()) is not None:
                raise fault

    async def _renew(self) -> None:
        parts = tuple(self._checkpoints)
        while True:
            renewed = await self._views.renew(self._models, parts, lease_ms=self._lease_ms)
            self._heartbeat_ns = self._clock.wall_ns()
            self._heads.append((renewed.head, self._clock.monotonic_ns()))
            self._is_outlived = renewed.is_outlived
            if renewed.is_due or renewed.is_outlived:
                raise ClaimDue
            await asyncio.sleep(self._lease_ms / 1_000 / _RENEWALS_PER_LEASE)

    async def _follow(self) -> None:
        self._state = "working"
        if self._live():
            feed = self._feed.follow(after_sequence=self._lowest())
            async with prefetched(feed, events_max=self._batch_max) as batches:
                async for batch in batches:
                    await self._take(batch)
                    self._pause_s = _PAUSE_MIN_S
                    if not self._live():
                        break
        self._state = "halted"
        await asyncio.Event().wait()  # Nothing to do but to keep the claim and to show why.

    # --- Work ---------------------------------------------------------------------------------------------------------

    def _live(self) -> dict[Part, Checkpoint]:
        return _live(self._checkpoints)

    def _lowest(self) -> int:
        return min((checkpoint.sequence for checkpoint in self._live().values()), default=0)

    async def _take(self, reading: Reading) -> None:
        """Bring a batch into every live part: fold it here, while the one before it is written."""
        live = _live(self._folded)
        lowest = min((at.sequence for at in live.values()), default=0)
        fresh = [each for each in reading.decoded if each.recorded.sequence > lowest]
        self._duplicates += len(reading.decoded) - len(fresh)
        for expected, (recorded, _) in enumerate(fresh, lowest + 1):
            if recorded.sequence != expected:
                raise FeedBroken(f"expected sequence {expected}, received {recorded.sequence}")
        if lowest < self._careful_to:
            await self._apply(fresh, live)
            self._folded = dict(self._checkpoints)
        elif fresh and live:
            loop = asyncio.get_running_loop()
            began_at = loop.time()
            try:
                write = await self._fold(fresh, live)
            except ViewsRefused as refusal:
                raise BatchRefused(fresh[-1].recorded.sequence) from refusal
            await self._writes.put(write)
            if len(fresh) < AHEAD_MIN:
                await self._writes.join()
                await asyncio.sleep(_rest_s(loop.time() - began_at))
            elif not write.is_plain:
                await self._writes.join()
        if reading.obstacle is not None:
            await self._writes.join()
            await self._halt(self._live(), reading.obstacle)
            self._folded = dict(self._checkpoints)
        if self._is_resharding and len({at.sequence for at in self._folded.values()}) == 1:
            await self._writes.join()
            raise ClaimDue

    async def _write(self) -> None:
        """Write what was folded, batch after batch. Raises BatchRefused."""
        while True:
            write = await self._writes.get()
            try:
                await self._save(write)
            except ViewsRefused as refusal:
                raise BatchRefused(write.decoded[-1].recorded.sequence) from refusal
            self._writes.task_done()

    async def _apply(self, decoded: Sequence[Decoded], live: Mapping[Part, Checkpoint]) -> None:
        """Apply events; where the database refuses them, find the one event and the one part that it refuses."""
        if not decoded or not live:
            return
        try:
            await self._save(await self._fold(decoded, live))
        except ViewsRefused as refusal:
            self._caches = {}
            self._unsaved.clear()
            if len(decoded) > 1:
                middle = len(decoded) // 2
                await self._apply(decoded[:middle], live)
                rest = {part: at for part, at in self._live().items() if part in live}
                await self._apply(decoded[middle:], rest)
            elif len(live) > 1:
                for part, checkpoint in live.items():
                    await self._apply(decoded, {part: checkpoint})
            else:
                await self._refuse(decoded[0].recorded, live, str(refusal))

    async def _fold(self, decoded: Sequence[Decoded], live: Mapping[Part, Checkpoint]) -> Write:
        """Return what events do to *live* parts. Their rows are remembered as if they were written."""
        projections = project(live, decoded, shards=self._shards, parked=self._parked)
        rows: dict[AnyReadModel, dict[Key, Row | None]] = {each.part.model: {} for each in projections}
        missing: dict[AnyReadModel, list[Key]] = {}
        for each in projections:
            model = each.part.model
            if asked := self._cache(model).take(each.wanted(), rows[model]):
                missing.setdefault(model, []).extend(asked)
        if missing:
            for model, loaded in (await self._views.load(missing)).items():
                rows[model].update(loaded)
        changes: dict[AnyReadModel, dict[Key, Row | None]] = {}
        for each in projections:
            each.fold(rows[each.part.model])
            if each.changes:
                changes.setdefault(each.part.model, {}).update(each.changes)
        for model, kept in rows.items():
            if not model.only_grows:
                self._cache(model).put(kept)
        moved = [each for each in projections if each.after != each.before]
        self._folded.update({each.part: each.after for each in moved})
        write = Write(decoded, changes, {each.part: (each.before, each.after) for each in moved}, _by_model(moved))
        self._unsaved.append(write)
        return write

    async def _save(self, write: Write) -> None:
        await self._views.save(write.changes, write.advances, write.parked)
        self._unsaved.remove(write)
        self._note_parked(write.parked)
        self._note_batch(write.decoded)
        self._move_to(write.after())

    async def _refuse(self, recorded: RecordedEvent, live: Mapping[Part, Checkpoint], refusal: str) -> None:
        """Halt the one part that cannot take an event in, or put the event's stream aside in it."""
        [(part, before)] = live.items()
        if part.model.on_poison is OnPoison.HALT:
            await self._halt(live, f"POISON_EVENT: sequence {recorded.sequence}: {refusal}")
            return
        event = ParkedEvent(
            sequence=recorded.sequence, stream_id=recorded.stream_id, event_name=recorded.name, error=refusal
        )
        after = Checkpoint(sequence=recorded.sequence, hash=recorded.hash)
        parked = {part.model: [event]}
        await self._views.save({}, {part: (before, after)}, parked)
        self._note_parked(parked)
        self._move_to({part: after})

    async def _halt(self, live: Mapping[Part, Checkpoint], reason: str) -> None:
        advances = {part: (before, replace(before, halted=reason)) for part, before in live.items()}
        await self._views.save({}, advances, {})
        self._move_to({part: after for part, (_, after) in advances.items()})

    def _cache(self, model: AnyReadModel) -> RowCache:
        return self._caches.setdefault(model, RowCache())

    def _note_batch(self, decoded: Sequence[Decoded]) -> None:
        committed_ns = self._clock.wall_ns()
        self._batches += 1
        self._events += len(decoded)
        for recorded, _ in decoded:
            self._latencies.add(committed_ns - recorded.recorded_at_us * NS_PER_US)

    def _note_parked(self, parked: Mapping[AnyReadModel, Sequence[ParkedEvent]]) -> None:
        for model, events in parked.items():
            known = self._parked.get(model, frozenset())
            for event in events:
                if event.error is not None:
                    log.error(
                        "stream parked",
                        model=model.name,
                        stream_id=event.stream_id,
                        sequence=event.sequence,
                        error=event.error,
                    )
            self._parked[model] = known | {event.stream_id for event in events}

    def _move_to(self, checkpoints: Mapping[Part, Checkpoint]) -> None:
        for part, checkpoint in checkpoints.items():
            if checkpoint.halted is not None:
                log.error(
                    "read model halted",
                    model=part.model.name,
                    shard=part.shard,
                    sequence=checkpoint.sequence,
                    reason=checkpoint.halted,
                )
        self._checkpoints.update(checkpoints)
        self._signal()

    def _signal(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    # --- What it shows ------------------------------------------------------------------------------------------------

    async def reach(self, sequence: int) -> None:
        """Return once every read model that goes on has reached *sequence*."""
        while not self._checkpoints or (self._live() and self._lowest() < sequence):
            await self._moved.wait()

    def progress(self) -> ProjectorStatus:
        """Return how far it is."""
        summary = self._latencies.summary()
        sequence = min((checkpoint.sequence for checkpoint in self._checkpoints.values()), default=0)
        head = max(self._heads[-1][0] if self._heads else 0, sequence)
        return ProjectorStatus(
            state=self._state,
            models=self._model_statuses(),
            shards=self._shard_statuses(head),
            shard_count=self._shards,
            sequence=sequence,
            head=head,
            lag_events=head - sequence,
            lag_s=self._lag_s(sequence),
            events=self._events,
            batches=self._batches,
            duplicates=self._duplicates,
            claims=self._claims,
            faults=self._faults,
            event_to_view=summary,
            heartbeat_ns=self._heartbeat_ns,
        )

    def _model_statuses(self) -> list[ModelStatus]:
        """Return each edition at its lowest shard of ours; one halted shard shows as the edition's."""
        statuses: dict[AnyReadModel, ModelStatus] = {}
        for (model, _), at in self._checkpoints.items():
            known = statuses.get(model)
            statuses[model] = ModelStatus(
                name=model.name,
                version=model.version,
                generation=model.generation,
                sequence=at.sequence if known is None else min(known.sequence, at.sequence),
                halted=at.halted if known is None or known.halted is None else known.halted,
                parked_streams=len(self._parked.get(model, ())),
            )
        return list(statuses.values())

    def _shard_statuses(self, head: int) -> list[ShardStatus]:
        lowest: dict[int, int] = {}
        for (_, shard), at in self._checkpoints.items():
            lowest[shard] = min(lowest.get(shard, at.sequence), at.sequence)
        return [
            ShardStatus(
                shard=shard,
                sequence=sequence,
                lag_events=max(0, head - sequence),
                lag_s=self._lag_s(sequence),
                heartbeat_ns=self._heartbeat_ns,
            )
            for shard, sequence in sorted(lowest.items())
        ]

    def _lag_s(self, sequence: int) -> float:
        """Return how long ago the log first was seen beyond *sequence*."""
        seen_ns = next((at_ns for head, at_ns in self._heads if head > sequence), None)
        return 0.0 if seen_ns is None else (self._clock.monotonic_ns() - seen_ns) / NS_PER_S

    def status(self) -> dict[str, Any]:
        """Return how far it is as plain values, for people and probes."""
        return self.progress().as_dict()


def _rest_s(took_s: float) -> float:
    """Return how long after a small batch that took so long the next one is left to grow."""
    return GATHER_S - took_s if took_s < GATHER_S else min(took_s, REST_MAX_S)


def _live(checkpoints: Mapping[Part, Checkpoint]) -> dict[Part, Checkpoint]:
    return {part: checkpoint for part, checkpoint in checkpoints.items() if checkpoint.halted is None}


def _by_model(projections: Sequence[Projection]) -> dict[AnyReadModel, list[ParkedEvent]]:
    parked: dict[AnyReadModel, list[ParkedEvent]] = {}
    for each in projections:
        if each.parked:
            parked.setdefault(each.part.model, []).extend(each.parked)
    return parked
