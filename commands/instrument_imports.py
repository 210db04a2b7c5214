"""The record of imports of the instrument master: one stream for all of the installation."""

from dataclasses import dataclass

import msgspec

from commands.ports import Append, EventStore, Ids, NewEvent, StreamAppend
from domain.envelope import Metadata
from domain.events import decode, encode, name_of
from domain.instrument_master import InstrumentsImported

STREAM = "instruments"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastImport:
    """The newest import (None: there was none) and the version of the stream that it is to be followed at."""

    imported: InstrumentsImported | None
    stream_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentImports:
    """Records imports and finds them again."""

    store: EventStore
    ids: Ids

    async def every(self) -> list[InstrumentsImported]:
        """Return all imports, oldest first."""
        decoded = [decode(recorded.name, recorded.payload) for recorded in await self.store.read_stream(STREAM)]
        return [event for event in decoded if isinstance(event, InstrumentsImported)]

    async def last(self) -> LastImport:
        """Return the newest import."""
        events = await self.every()
        return LastImport(imported=events[-1] if events else None, stream_version=len(events))

    async def record(self, imported: InstrumentsImported, metadata: Metadata, *, after: LastImport) -> int:
        """Record an import and return its sequence.

        Raises:
            VersionConflict: another import was recorded meanwhile; nothing was stored.
            StoreUnavailable, AppendOutcomeUnknown
        """
        part = StreamAppend(
            stream_id=STREAM,
            expected_version=after.stream_version,
            events=(NewEvent(name=name_of(imported), payload=encode(imported)),),
        )
        append = Append(command_id=self.ids.new("cmd"), streams=(part,), metadata=msgspec.json.encode(metadata))
        return (await self.store.append(append)).last_sequence
