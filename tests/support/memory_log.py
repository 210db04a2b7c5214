"""A log that is there already, in memory: nobody appends to it."""

from bisect import bisect_right
from collections.abc import Sequence

from commands.ports import Head
from domain.envelope import RecordedEvent


class MemoryLog:
    """Implements `projections.ports.LogOfThePast` over *events*, which are contiguous from 1.

    `span_events` counts the events that spans returned.
    """

    def __init__(self, events: Sequence[RecordedEvent]) -> None:
        self.events = list(events)
        self.span_events = 0

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        return self.events[after_sequence : after_sequence + limit]

    async def read_span(
        self, stream_id: str, *, after_version: int, after_sequence: int, last_sequence: int, limit: int | None = None
    ) -> list[RecordedEvent]:
        between = self.events[after_sequence:last_sequence]
        found = [each for each in between if each.stream_id == stream_id and each.version > after_version][:limit]
        self.span_events += len(found)
        return found

    async def sequence_at(self, time_us: int) -> int:
        return bisect_right([each.recorded_at_us for each in self.events], time_us)

    async def head(self) -> Head:
        return Head(sequence=len(self.events), hash=self.events[-1].hash, epoch="memory")
