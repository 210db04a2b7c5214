"""What `PERSISTENCE_MODULE` names to let an application of the `eventsourcing` library write to the log.

PERSISTENCE_MODULE=adapters.postgres.persistence
LOG_CONNINFO=postgresql://khata_writer:…@…/khata
MAPPER_TOPIC=adapters.postgres.mapper:LogMapper    (optional: shows the engine's events as typed events)
LOG_ARCHIVE=<folder of the archived part of the log, where there is one>
"""

from pathlib import Path
from threading import Lock

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    InfrastructureFactoryError,
    ProcessRecorder,
    Transcoder,
)
from eventsourcing.utils import resolve_topic

from adapters.archive.parquet import ParquetArchive
from adapters.postgres.recorder import PostgresApplicationRecorder, PostgresSnapshotRecorder, SharedStore
from adapters.postgres.tracking import PostgresProcessRecorder, PostgresTrackingRecorder
from adapters.postgres.transcoder import ExactTranscoder

CONNINFO = "LOG_CONNINFO"
ARCHIVE = "LOG_ARCHIVE"
_SNAPSHOTS = "snapshots"


class LogFactory(InfrastructureFactory[PostgresTrackingRecorder]):
    """Makes recorders on the log. All of one application share a store; `close` ends it."""

    _shared: SharedStore | None = None
    _opening = Lock()

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """Return the recorder of snapshots, or of events."""
        if purpose == _SNAPSHOTS:
            return PostgresSnapshotRecorder(self._store())
        return self.application_recorder()

    def application_recorder(self) -> ApplicationRecorder:
        """Return the recorder of events."""
        return PostgresApplicationRecorder(self._store())

    def tracking_recorder(
        self, tracking_recorder_class: type[PostgresTrackingRecorder] | None = None
    ) -> PostgresTrackingRecorder:
        """Return a recorder of how far the application has come: of the class given or named in the environment."""
        topic = self.env.get(self.TRACKING_RECORDER_TOPIC)
        recorder_class = tracking_recorder_class or (resolve_topic(topic) if topic else PostgresTrackingRecorder)
        if not issubclass(recorder_class, PostgresTrackingRecorder):
            raise InfrastructureFactoryError(
                f"expected a subclass of {PostgresTrackingRecorder.__name__}, received {recorder_class.__name__}"
            )
        return recorder_class(self._store(), self._tracker())

    def process_recorder(self) -> ProcessRecorder:
        """Return a recorder of events and of how far the application has come, together."""
        return PostgresProcessRecorder(self._store(), self._tracker())

    def transcoder(self) -> Transcoder:
        """Return how the application's own values are kept: as the environment says, or exactly."""
        return super().transcoder() if self.env.get(self.TRANSCODER_TOPIC) else ExactTranscoder()

    def _tracker(self) -> str:
        return self.env.name.lower()

    def close(self) -> None:
        """Disconnect."""
        with self._opening:
            shared, self._shared = self._shared, None
        if shared is not None:
            shared.close()

    def _store(self) -> SharedStore:
        with self._opening:
            if self._shared is None:
                conninfo = self.env.get(CONNINFO)
                if not conninfo:
                    raise InfrastructureFactoryError(f"expected {CONNINFO} in the environment, received none")
                folder = self.env.get(ARCHIVE)
                self._shared = SharedStore(conninfo, archive=ParquetArchive(Path(folder)) if folder else None)
            return self._shared
