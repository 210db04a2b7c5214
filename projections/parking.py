"""Parked streams: what a read model could not take in, and how it catches up once the cause is gone.

A parked stream is replayed in its own order, page by page, each page in one transaction that takes the claim on the
read model away first: the projector then claims anew and finds the stream as far as it has come. Meanwhile later events
of the stream go on being parked behind those that wait, so that order holds to the last one.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from domain.envelope import RecordedEvent
from domain.events import EventUnknown, decode
from projections.ports import LogReader, ViewsRefused
from projections.read_model import AnyReadModel, Key, Row

PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedStream:
    """One stream that waits in one edition of a read model: `events` of it, of which `sequence` is the first.

    `error` says why that one could not be taken in.
    """

    model: AnyReadModel
    stream_id: str
    sequence: int
    event_name: str
    error: str
    events: int


class ReplayTransaction(Protocol):
    """One page of a replay, with the claim in hand: all that is written is there afterwards, or nothing."""

    async def load(self, keys: Sequence[Key]) -> dict[Key, Row]:
        """Return the rows that exist under *keys*."""
        ...

    async def finish(
        self, changes: dict[Key, Row | None], *, taken: Sequence[int], obstacle: tuple[int, str] | None
    ) -> None:
        """Write rows, forget the *taken* sequences, and note why the one of *obstacle* still cannot be taken in."""
        ...


class Parking(Protocol):
    """Where parked events are. Everything raises ViewsUnavailable where the database is away."""

    async def streams(self, models: Sequence[AnyReadModel]) -> list[ParkedStream]:
        """Return what waits in any edition of *models*, oldest first."""
        ...

    async def waiting(self, model: AnyReadModel, stream_id: str, *, limit: int) -> list[int]:
        """Return the first sequences that wait of a stream, in order."""
        ...

    def replay(self, model: AnyReadModel) -> AbstractAsyncContextManager[ReplayTransaction]:
        """Open a page of a replay. Raises ViewsRefused where the database will never take what was written."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How far a replay came: so many events `taken`, and where and why it stopped (None: it did not)."""

    model: AnyReadModel
    taken: int
    obstacle: tuple[int, str] | None


async def replay_stream(model: AnyReadModel, stream_id: str, *, parking: Parking, log: LogReader) -> Replayed:
    """Take in what waits of a stream in one edition, in order, up to the first event that still cannot be."""
    taken, page = 0, PAGE
    while sequences := await parking.waiting(model, stream_id, limit=page):
        events = [await _event(log, sequence) for sequence in sequences]
        try:
            done, obstacle = await _replay_page(model, events, parking)
        except ViewsRefused as refusal:
            if page > 1:
                page = 1  # One by one, to find the one that the database refuses.
                continue
            obstacle = (sequences[0], str(refusal))
            async with parking.replay(model) as transaction:
                await transaction.finish({}, taken=[], obstacle=obstacle)
            done = 0
        taken += done
        if obstacle is not None:
            return Replayed(model=model, taken=taken, obstacle=obstacle)
    return Replayed(model=model, taken=taken, obstacle=None)


async def _replay_page(
    model: AnyReadModel, events: Sequence[RecordedEvent], parking: Parking
) -> tuple[int, tuple[int, str] | None]:
    """Return how many events were taken in, and what stopped it."""
    pairs, obstacle = [], None
    for recorded in events:
        try:
            event = decode(recorded.name, recorded.payload)
            pairs.append((event, recorded, model.keys_of(event, recorded)))
        except (EventUnknown, msgspec.DecodeError) as error:
            obstacle = (recorded.sequence, str(error))
            break
        except Exception as error:  # noqa: BLE001 - a fold is pure: whatever it raises it will raise again
            obstacle = (recorded.sequence, f"{type(error).__name__}: {error}")
            break
    async with parking.replay(model) as transaction:
        rows: dict[Key, Row | None] = {}
        if not model.only_grows:
            rows.update(await transaction.load(sorted({key for _, _, keys in pairs for key in keys})))
        changes: dict[Key, Row | None] = {}
        taken = []
        for event, recorded, keys in pairs:
            try:
                made = {key: model.apply(event, recorded, rows.get(key)) for key in keys}
            except Exception as error:  # noqa: BLE001 - likewise
                obstacle = (recorded.sequence, f"{type(error).__name__}: {error}")
                break
            rows |= made
            changes |= made
            taken.append(recorded.sequence)
        await transaction.finish(changes, taken=taken, obstacle=obstacle)
    return len(taken), obstacle


async def _event(log: LogReader, sequence: int) -> RecordedEvent:
    [event] = await log.read_all(after_sequence=sequence - 1, limit=1)
    return event
