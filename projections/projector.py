"""The projector: follows the log and keeps the read models, exactly once in effect.

    claim ─► follow from the lowest checkpoint ─► batch ─► one transaction: rows, checkpoints, notification ─► batch …
      ▲                                             │
      └───────── fault that passes, claim lost ◄────┘

One projector works on all read models of its release, each with a checkpoint of its own; they move together unless one
of them halted. What it knows between two batches is only a copy of the checkpoints: when anything goes wrong it forgets
all, claims anew and goes on from what the database says, so it does not matter whether a commit whose answer was lost
had happened.

- An event at or before a checkpoint is a repeat and is dropped; a gap is a broken feed, which is asked again.
- An event that this release does not know stops all read models (`UPGRADE_NEEDED`), for a later release to go on.
- An event that a fold or the database refuses stops that read model at the event before it (`POISON_EVENT`) and no
  other. It shows in the status; the next start tries again, once.
- A checkpoint that is not in the log, or not with this hash, stops all (`EPOCH_CHANGED`): it is another history.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from domain.envelope import GENESIS_HASH, RecordedEvent
from projections.batches import Decoded, project, read_batch
from projections.latency import Latencies
from projections.ports import (
    Checkpoint,
    ClaimHeld,
    ClaimLost,
    Clock,
    EventFeed,
    ViewsRefused,
    ViewStore,
    ViewsUnavailable,
)
from projections.projector_status import ModelStatus, ProjectorStatus
from projections.read_model import AnyReadModel
from projections.tasks import end

log = structlog.get_logger(__name__)

LEASE_MS = 3_000
_RENEWALS_PER_LEASE = 6
_PAUSE_MIN_S = 0.05
_PAUSE_MAX_S = 2.0
_RELEASE_S = 1.0
_HEADS_KEPT = 1_000
NS_PER_US = 1_000
NS_PER_S = 1_000_000_000


class FeedBroken(Exception):
    """The feed left events out. It is asked again from the checkpoint."""


class Projector:
    """Keeps *models* in *views*, fed by *feed*."""

    def __init__(
        self,
        models: Sequence[AnyReadModel],
        *,
        feed: EventFeed,
        views: ViewStore,
        clock: Clock,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._views = views
        self._feed = feed
        self._clock = clock
        self._models = tuple(models)
        self._lease_ms = lease_ms
        self._state = "starting"
        self._checkpoints: dict[AnyReadModel, Checkpoint] = {}
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
                await self._views.prepare(self._models)
            except ViewsUnavailable as fault:
                self._note_fault(fault)
                await asyncio.sleep(self._pause_s)
            else:
                return

    async def _work_once(self) -> None:
        """Claim, and work until something goes wrong."""
        try:
            self._checkpoints = await self._views.claim(self._models, lease_ms=self._lease_ms)
            self._claims += 1
            await self._check_history()
            self._signal()  # What was reached before this claim is reached: nobody has to wait for another event.
            await self._keep_and_follow()
        except ClaimHeld:
            self._state = "waiting for the claim"
            self._pause_s = self._lease_ms / 1_000 / _RENEWALS_PER_LEASE
        except (ClaimLost, ViewsUnavailable, FeedBroken) as fault:
            self._note_fault(fault)

    def _note_fault(self, fault: Exception) -> None:
        self._state = f"retrying: {type(fault).__name__}"
        self._faults += 1
        self._pause_s = min(2 * self._pause_s, _PAUSE_MAX_S)
        log.warning("projector retries", fault=type(fault).__name__, detail=str(fault))

    async def _check_history(self) -> None:
        """Halt every read model whose checkpoint belongs to another history than the log's; let the others try."""
        known: dict[int, bytes | None] = {0: GENESIS_HASH}
        for model, checkpoint in self._checkpoints.items():
            if checkpoint.sequence not in known:
                known[checkpoint.sequence] = await self._views.hash_at(checkpoint.sequence)
            reason = None
            if known[checkpoint.sequence] != checkpoint.hash:
                reason = f"EPOCH_CHANGED: the log has another event at sequence {checkpoint.sequence}, or none"
                log.error("read model halted", model=model.name, reason=reason)
            self._checkpoints[model] = replace(checkpoint, halted=reason)

    async def _keep_and_follow(self) -> None:
        """Follow the log and renew the claim, until either fails."""
        tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._renew())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(*tasks)
        for task in tasks:
            if not task.cancelled() and (fault := task.exception()) is not None:
                raise fault

    async def _renew(self) -> None:
        while True:
            head = await self._views.renew(self._models, lease_ms=self._lease_ms)
            self._heartbeat_ns = self._clock.wall_ns()
            self._heads.append((head, self._clock.monotonic_ns()))
            await asyncio.sleep(self._lease_ms / 1_000 / _RENEWALS_PER_LEASE)

    async def _follow(self) -> None:
        self._state = "working"
        if self._live():
            batches = self._feed.follow(after_sequence=self._lowest())
            try:
                async for batch in batches:
                    await self._take(batch)
                    self._pause_s = _PAUSE_MIN_S
                    if not self._live():
                        break
            finally:
                if (close := getattr(batches, "aclose", None)) is not None:
                    await close()
        self._state = "halted"
        await asyncio.Event().wait()  # Nothing to do but to keep the claim and to show why.

    # --- Work ---------------------------------------------------------------------------------------------------------

    def _live(self) -> dict[AnyReadModel, Checkpoint]:
        return {model: checkpoint for model, checkpoint in self._checkpoints.items() if checkpoint.halted is None}

    def _lowest(self) -> int:
        return min((checkpoint.sequence for checkpoint in self._live().values()), default=0)

    async def _take(self, batch: Sequence[RecordedEvent]) -> None:
        """Bring a batch into every live read model."""
        lowest = self._lowest()
        fresh = [recorded for recorded in batch if recorded.sequence > lowest]
        self._duplicates += len(batch) - len(fresh)
        for expected, recorded in enumerate(fresh, lowest + 1):
            if recorded.sequence != expected:
                raise FeedBroken(f"expected sequence {expected}, received {recorded.sequence}")
        reading = read_batch(fresh)
        await self._apply(reading.decoded, self._live())
        if reading.obstacle is not None:
            await self._halt(self._live(), reading.obstacle)

    async def _apply(self, decoded: Sequence[Decoded], live: Mapping[AnyReadModel, Checkpoint]) -> None:
        """Apply events; where the database refuses them, find the one event and the one read model that it refuses."""
        if not decoded or not live:
            return
        try:
            await self._commit(decoded, live)
        except ViewsRefused as refusal:
            if len(decoded) > 1:
                middle = len(decoded) // 2
                await self._apply(decoded[:middle], live)
                rest = {model: at for model, at in self._live().items() if model in live}
                await self._apply(decoded[middle:], rest)
            elif len(live) > 1:
                for model, checkpoint in live.items():
                    await self._apply(decoded, {model: checkpoint})
            else:
                await self._halt(live, f"POISON_EVENT: sequence {decoded[0].recorded.sequence}: {refusal}")

    async def _commit(self, decoded: Sequence[Decoded], live: Mapping[AnyReadModel, Checkpoint]) -> None:
        projections = project(live, decoded)
        async with self._views.transaction() as transaction:
            rows = await transaction.load({each.model: each.keys for each in projections if each.keys})
            for each in projections:
                each.fold(rows.get(each.model, {}))
            moved = [each for each in projections if each.after != each.before]
            await transaction.save(
                {each.model: each.changes for each in moved if each.changes},
                {each.model: (each.before, each.after) for each in moved},
            )
        committed_ns = self._clock.wall_ns()
        self._batches += 1
        self._events += len(decoded)
        for each_decoded in decoded:
            self._latencies.add(committed_ns - each_decoded.recorded.recorded_at_us * NS_PER_US)
        self._move_to({each.model: each.after for each in moved})

    async def _halt(self, live: Mapping[AnyReadModel, Checkpoint], reason: str) -> None:
        advances = {model: (before, replace(before, halted=reason)) for model, before in live.items()}
        async with self._views.transaction() as transaction:
            await transaction.save({}, advances)
        self._move_to({model: after for model, (_, after) in advances.items()})

    def _move_to(self, checkpoints: Mapping[AnyReadModel, Checkpoint]) -> None:
        for model, checkpoint in checkpoints.items():
            if checkpoint.halted is not None:
                log.error("read model halted", model=model.name, sequence=checkpoint.sequence, reason=checkpoint.halted)
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
            models=[
                ModelStatus(name=model.name, version=model.version, sequence=at.sequence, halted=at.halted)
                for model, at in self._checkpoints.items()
            ],
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

    def _lag_s(self, sequence: int) -> float:
        """Return how long ago the log first was seen beyond *sequence*."""
        seen_ns = next((at_ns for head, at_ns in self._heads if head > sequence), None)
        return 0.0 if seen_ns is None else (self._clock.monotonic_ns() - seen_ns) / NS_PER_S

    def status(self) -> dict[str, Any]:
        """Return how far it is as plain values, for people and probes."""
        return self.progress().as_dict()
