"""What a projector shows of itself."""

from typing import Any

import msgspec

from projections.latency import LatencySummary


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far one read model is. `halted` says why it goes no further, `parked_streams` how many streams wait."""

    name: str
    version: int
    sequence: int
    halted: str | None
    generation: int = 1
    parked_streams: int = 0


class ShardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far one shard is over all read models, and when its projector last renewed its claim (UTC nanoseconds)."""

    shard: int
    sequence: int
    lag_events: int
    lag_s: float
    heartbeat_ns: int


class ProjectorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a projector is. Counts are since its start.

    `shards` are those of `shard_count` that this projector has.
    `sequence` is the lowest checkpoint, `head` the log's end at the last heartbeat (`heartbeat_ns`, UTC): a projector
    whose heart stopped looks caught up by its lag alone. `event_to_view` runs from recorded to visible.
    """

    state: str
    models: list[ModelStatus]
    shards: list[ShardStatus]
    shard_count: int
    sequence: int
    head: int
    lag_events: int
    lag_s: float
    events: int
    batches: int
    duplicates: int
    claims: int
    faults: int
    event_to_view: LatencySummary
    heartbeat_ns: int

    @property
    def halted(self) -> dict[str, str]:
        """Why read models halted, by name."""
        return {model.name: model.halted for model in self.models if model.halted is not None}

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for a status answer."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain
