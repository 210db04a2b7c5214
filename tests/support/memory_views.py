"""Views in memory, for projectors: what is saved together is there together, or not at all."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from domain.envelope import GENESIS_HASH
from projections.ports import Checkpoint, Claimed, ClaimLost, ParkedEvent, Part, Renewed
from projections.read_model import AnyReadModel, Key, Row

Advances = Mapping[Part, tuple[Checkpoint, Checkpoint]]
Changes = Mapping[AnyReadModel, Mapping[Key, Row | None]]


def _nothing(_: Changes, __: Advances) -> None:
    pass


class MemoryViews:
    """Implements `projections.ports.ViewStore`. `before_save` may raise what shall become of a batch.

    `rows` is what readers would see; `wanted` are the keys that were asked for, in order. Nothing is saved while
    `may_save` is not set.
    """

    def __init__(
        self, models: Sequence[AnyReadModel], before_save: Callable[[Changes, Advances], None] = _nothing
    ) -> None:
        self.rows: dict[AnyReadModel, dict[Key, Row]] = {model: {} for model in models}
        self.checkpoints = {Part(model, 0): Checkpoint(sequence=0, hash=GENESIS_HASH) for model in models}
        self.parked: dict[AnyReadModel, list[ParkedEvent]] = {}
        self.wanted: list[Key] = []
        self.may_save = asyncio.Event()
        self.may_save.set()
        self._before_save = before_save

    async def prepare(self, models: Sequence[AnyReadModel], *, shards: int) -> None:
        pass

    async def claim(self, models: Sequence[AnyReadModel], *, shards: int, lease_ms: int) -> Claimed:
        del models, shards, lease_ms
        parked = {model: frozenset(each.stream_id for each in events) for model, events in self.parked.items()}
        return Claimed(checkpoints=dict(self.checkpoints), shards=1, parked=parked)

    async def renew(self, models: Sequence[AnyReadModel], parts: Sequence[Part], *, lease_ms: int) -> Renewed:
        del models, parts, lease_ms
        return Renewed(head=0, is_due=False, is_outlived=False)

    async def release(self, models: Sequence[AnyReadModel]) -> None:
        pass

    async def drop_due(self, models: Sequence[AnyReadModel]) -> None:
        pass

    async def hash_at(self, sequence: int) -> bytes | None:
        return next((at.hash for at in self.checkpoints.values() if at.sequence == sequence), None)

    async def load(self, wanted: Mapping[AnyReadModel, Iterable[Key]]) -> dict[AnyReadModel, dict[Key, Row]]:
        found: dict[AnyReadModel, dict[Key, Row]] = {}
        for model, keys in wanted.items():
            asked = list(keys)
            self.wanted += asked
            found[model] = {key: self.rows[model][key] for key in asked if key in self.rows[model]}
        return found

    async def save(
        self,
        changes: Changes,
        advances: Advances,
        parked: Mapping[AnyReadModel, Sequence[ParkedEvent]],
    ) -> None:
        await self.may_save.wait()
        self._before_save(changes, advances)
        if any(self.checkpoints[part].sequence != before.sequence for part, (before, _) in advances.items()):
            raise ClaimLost("a checkpoint is not where it was left")
        for model, rows in changes.items():
            for key, row in rows.items():
                if row is None:
                    self.rows[model].pop(key, None)
                else:
                    self.rows[model][key] = row
        self.checkpoints.update({part: after for part, (_, after) in advances.items()})
        for model, events in parked.items():
            self.parked.setdefault(model, []).extend(events)
