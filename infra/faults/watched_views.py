"""The projector's store, with places at which it is held until somebody kills it or lets it go."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from adapters.postgres.view_store import PostgresViewStore
from adapters.postgres.view_tables import CHANNEL
from infra.faults.link import Cut, PostgresLink
from infra.faults.points import Point
from projections.ports import Checkpoint, Claimed, ParkedEvent, Part, Renewed, ViewsUnavailable
from projections.read_model import AnyReadModel, Key, Row

_WRITE = CHANNEL.encode()
"""What every batch has in it, whose statement is prepared and not sent again: whom to notify."""


class WatchedViews:
    """Implements `projections.ports.ViewStore` by *views*, which speaks through *link*.

    `hold_at` is the point at which the next batch stops; `is_held` tells that it did, `release` lets it go on.
    `is_dead`: nothing is given back any more, as after a kill.
    """

    def __init__(self, views: PostgresViewStore, link: PostgresLink) -> None:
        self._views = views
        self._link = link
        self.hold_at: Point | None = None
        self.is_held = asyncio.Event()
        self.is_dead = False
        self._go_on = asyncio.Event()

    def let_go(self) -> None:
        """Let what is held go on, and hold nothing more."""
        self.hold_at = None
        self._go_on.set()

    async def prepare(self, models: Sequence[AnyReadModel], *, shards: int) -> None:
        """Make the editions of *models* that are missing."""
        await self._views.prepare(models, shards=shards)

    async def claim(self, models: Sequence[AnyReadModel], *, shards: int, lease_ms: int) -> Claimed:
        """Take over a fair share of the shards."""
        return await self._views.claim(models, shards=shards, lease_ms=lease_ms)

    async def renew(self, models: Sequence[AnyReadModel], parts: Sequence[Part], *, lease_ms: int) -> Renewed:
        """Keep the claim, unless whoever has it hangs."""
        if self.is_held.is_set() and self.hold_at is Point.PROJECTOR_HANGS:
            await self._go_on.wait()
        return await self._views.renew(models, parts, lease_ms=lease_ms)

    async def release(self, models: Sequence[AnyReadModel]) -> None:
        """Give the claim back, unless a kill left no time for it."""
        if not self.is_dead:
            await self._views.release(models)

    async def drop_due(self, models: Sequence[AnyReadModel]) -> None:
        """Drop the editions whose time is over."""
        await self._views.drop_due(models)

    async def hash_at(self, sequence: int) -> bytes | None:
        """Return the hash that the log has at *sequence*."""
        return await self._views.hash_at(sequence)

    async def load(self, wanted: Mapping[AnyReadModel, Iterable[Key]]) -> dict[AnyReadModel, dict[Key, Row]]:
        """Return the rows that exist under the wanted keys."""
        return await self._views.load(wanted)

    async def save(
        self,
        changes: Mapping[AnyReadModel, Mapping[Key, Row | None]],
        advances: Mapping[Part, tuple[Checkpoint, Checkpoint]],
        parked: Mapping[AnyReadModel, Sequence[ParkedEvent]],
    ) -> None:
        """Write a batch, with places to be held at before, in the middle of it and after."""
        await self._pass(Point.PROJECTOR_HANGS)
        if self.hold_at is Point.PROJECTOR_KILLED_IN_BATCH:
            self._link.arm(Cut.UNHEARD, _WRITE)
            with suppress(ViewsUnavailable):
                await self._views.save(changes, advances, parked)
            await self._pass(Point.PROJECTOR_KILLED_IN_BATCH)
        if self.hold_at is Point.PROJECTOR_UNTOLD:
            self.hold_at = None
            self._link.arm(Cut.UNTOLD, _WRITE)
            self.is_held.set()
        await self._views.save(changes, advances, parked)
        await self._pass(Point.PROJECTOR_KILLED_AFTER_COMMIT)

    async def close(self) -> None:
        """Close the connection."""
        await self._views.close()

    async def _pass(self, point: Point) -> None:
        if self.hold_at is point:
            self.is_held.set()
            await self._go_on.wait()
