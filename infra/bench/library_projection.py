"""The yardstick of the projection bench: the library's own `ProjectionRunner` with our folds and our tables.

Its application keeps the same events in the library's PostgreSQL recorder; its view writes each event's rows and the
tracking in one transaction, as the library's documentation has it.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import DomainEvent
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner

from adapters.postgres.arrays import register_arrays
from adapters.postgres.view_rows import key_arrays, row_of, rows_json, statements_of
from domain.envelope import GENESIS_HASH, RecordedEvent
from domain.events import decode, encode, name_of
from infra.bench.events import METADATA, LifeCommand
from infra.bench.library import settings_of
from projections.catalogue import READ_MODELS
from projections.read_model import AnyReadModel, Key, Row

_CHUNK = 100
"""Events of one insert, which the library sends in the driver's pipeline. That does not look whether all of it went out
before it waits for the answer: what is larger than the socket's buffer may hang for ever, its server still reading."""
_WITHIN_S = 600.0


@dataclass(frozen=True)
class Happened(DomainEvent):
    """One of our events as an event of the library's."""

    stream_id: str
    name: str
    payload: str


class BenchApplication(Application[UUID]):
    """The application whose events are projected."""


class LibraryViews(PostgresTrackingRecorder):
    """Our tables as a materialised view of the library's."""

    def write(self, recorded: RecordedEvent, tracking: Tracking) -> None:
        """Fold one event into every read model it concerns, with the tracking, in one transaction."""
        event = decode(recorded.name, recorded.payload)
        with self.datastore.transaction(commit=True) as cursor:
            register_arrays(cursor)
            self._insert_tracking(cursor, tracking)
            for model in READ_MODELS:
                if type(event) not in model.concerns:
                    continue
                for key in model.keys_of(event, recorded):
                    row = model.apply(event, recorded, None if model.only_grows else _row(cursor, model, key))
                    if row is not None:
                        cursor.execute(statements_of(model).upsert, [rows_json([row])])


class LibraryProjection(Projection[LibraryViews]):
    """Hands events to the views."""

    name = "bench"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Process one event and track it."""
        sequence = tracking.notification_id
        recorded = RecordedEvent(
            sequence=sequence,
            stream_id=domain_event.stream_id,
            version=domain_event.originator_version,
            name=domain_event.name,
            command_id=f"cmd_{sequence:026d}",
            metadata=METADATA,
            payload=domain_event.payload.encode(),
            recorded_at_us=sequence,
            previous_hash=GENESIS_HASH,
            hash=GENESIS_HASH,
        )
        self.view.write(recorded, tracking)


def library_rate(admin_url: str, commands: Iterable[LifeCommand], events: int) -> float:
    """Return how many events a second the library projects into all read models, whose empty tables exist.

    It is given the first *events* of *commands*.
    """
    env = settings_of(admin_url)
    application = BenchApplication(env=env)
    coming = (
        (command.stream_id, version, event)
        for command in commands
        for version, event in enumerate(command.events, command.first_version)
    )
    last = 0
    for start in range(0, events, _CHUNK):
        chunk = []
        for stream_id, version, event in islice(coming, min(_CHUNK, events - start)):
            chunk.append(
                Happened(
                    originator_id=uuid5(NAMESPACE_URL, stream_id),
                    originator_version=version,
                    timestamp=Happened.create_timestamp(),
                    stream_id=stream_id,
                    name=name_of(event),
                    payload=encode(event).decode(),
                )
            )
        last = application.events.put(chunk)[-1].notification.id
    application.close()
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=BenchApplication, projection_class=LibraryProjection, view_class=LibraryViews, env=env
    ) as runner:
        runner.wait(last, timeout=_WITHIN_S)
        return events / (time.perf_counter() - began)


def _row(cursor: "psycopg.Cursor[Any]", model: AnyReadModel, key: Key) -> Row | None:
    cursor.execute(statements_of(model).select_by_keys, key_arrays([key]))
    record = cursor.fetchone()
    return None if record is None else row_of(model, record)
