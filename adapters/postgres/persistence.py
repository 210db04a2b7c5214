"""What `PERSISTENCE_MODULE` names to let an application of the `eventsourcing` library write to the log.

PERSISTENCE_MODULE=adapters.postgres.persistence
LOG_CONNINFO=postgresql://khata_writer:…@…/khata
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
    TrackingRecorder,
)

from adapters.archive.parquet import ParquetArchive
from adapters.postgres.recorder import PostgresApplicationRecorder, PostgresSnapshotRecorder, SharedStore

CONNINFO = "LOG_CONNINFO"
ARCHIVE = "LOG_ARCHIVE"
_SNAPSHOTS = "snapshots"


class LogFactory(InfrastructureFactory[TrackingRecorder]):
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

    def tracking_recorder(self, tracking_recorder_class: type[TrackingRecorder] | None = None) -> TrackingRecorder:
        """Raise InfrastructureFactoryError: read models of ours keep their own checkpoints."""
        wanted = "a tracking recorder" if tracking_recorder_class is None else tracking_recorder_class.__name__
        raise InfrastructureFactoryError(f"the log makes recorders of events and snapshots, asked for {wanted}")

    def process_recorder(self) -> ProcessRecorder:
        """Raise InfrastructureFactoryError likewise."""
        raise InfrastructureFactoryError(
            "the log makes recorders of events and snapshots, asked for a process recorder"
        )

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
