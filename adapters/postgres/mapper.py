"""The engine's events, as an application of the `eventsourcing` library reads them: typed, under their stored names."""

from dataclasses import dataclass
from typing import Any

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, MapperDeserialisationError, ProgrammingError, StoredEvent
from msgspec import DecodeError

from domain.events import Event, EventUnknown, decode, is_name_of_ours


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """One event of the engine. Implements the library's `DomainEventProtocol`; `event` is what happened."""

    originator_id: str
    originator_version: int
    event: Event


class LogMapper(Mapper[Any]):
    """What `MAPPER_TOPIC` names to read the engine's events; the application's own are mapped as the library does.

    The engine's events are read and not written: they come to be by deciding, under risk's eyes.
    """

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[Any]:
        """Return the event, of an earlier version as what it means today.

        Raises:
            eventsourcing.persistence.MapperDeserialisationError: it is of a later release, or no event at all.
        """
        if not is_name_of_ours(stored_event.topic):
            return super().to_domain_event(stored_event)
        try:
            event = decode(stored_event.topic, stored_event.state)
        except (EventUnknown, DecodeError) as error:
            place = f"version {stored_event.originator_version} of {stored_event.originator_id}"
            raise MapperDeserialisationError(f"{place} cannot be read: {error}") from error
        return EngineEvent(
            originator_id=str(stored_event.originator_id),
            originator_version=stored_event.originator_version,
            event=event,
        )

    def to_stored_event(self, domain_event: DomainEventProtocol[Any]) -> StoredEvent:
        """Return an event of the application as the log keeps it.

        Raises:
            eventsourcing.persistence.ProgrammingError: it is one of the engine's.
        """
        if isinstance(domain_event, EngineEvent):
            raise ProgrammingError("events of the engine are written by its commands only")
        return super().to_stored_event(domain_event)
