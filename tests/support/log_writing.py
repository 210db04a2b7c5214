"""Putting domain events into a log, stream by stream, without deciding anything."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from commands.ports import Append, EventStore, NewEvent, StreamAppend
from domain.envelope import GENESIS_HASH, RecordedEvent, chain_hash, leaf_hash
from domain.events import Event, encode, name_of

_numbers = count(1)


class Scribe:
    """Writes events to *store*, whose streams nobody else writes to any more. *versions* are where they stand."""

    def __init__(self, store: EventStore, versions: Mapping[str, int] | None = None) -> None:
        self._store = store
        self._versions: defaultdict[str, int] = defaultdict(int, versions or {})

    async def write(self, stream_id: str, events: Iterable[Event], *, together: int = 500) -> int:
        """Append *events*, so many *together*, and return the last one's sequence."""
        pending = [NewEvent(name=name_of(event), payload=encode(event)) for event in events]
        last = 0
        for start in range(0, len(pending), together):
            last = await self.write_raw(stream_id, pending[start : start + together])
        return last

    async def write_raw(self, stream_id: str, events: Sequence[NewEvent]) -> int:
        """Append events whatever their names, and return the last one's sequence."""
        part = StreamAppend(stream_id=stream_id, expected_version=self._versions[stream_id], events=tuple(events))
        appended = await self._store.append(
            Append(command_id=f"cmd_{next(_numbers):026d}", streams=(part,), metadata=b"{}")
        )
        self._versions[stream_id] += len(events)
        return appended.last_sequence


def recorded_log(events: Iterable[tuple[str, Event]], *, at_us: int = 1_795_149_000_000_000) -> list[RecordedEvent]:
    """Return (stream, event) pairs as a log of their own: chained, a millisecond apart."""
    log: list[RecordedEvent] = []
    versions: defaultdict[str, int] = defaultdict(int)
    for sequence, (stream_id, event) in enumerate(events, 1):
        versions[stream_id] += 1
        content = {
            "stream_id": stream_id,
            "version": versions[stream_id],
            "name": name_of(event),
            "command_id": f"cmd_{sequence:026d}",
            "metadata": b"{}",
            "payload": encode(event),
        }
        previous = log[-1].hash if log else GENESIS_HASH
        recorded_at_us = at_us + sequence * 1_000
        own = chain_hash(
            previous=previous,
            sequence=sequence,
            recorded_at_us=recorded_at_us,
            leaf=leaf_hash(**content),  # type: ignore[arg-type]
        )
        log.append(
            RecordedEvent(
                sequence=sequence,
                recorded_at_us=recorded_at_us,
                previous_hash=previous,
                hash=own,
                **content,  # type: ignore[arg-type]
            )
        )
    return log
