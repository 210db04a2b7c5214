"""How far an application of the `eventsourcing` library has come: recorders that keep it alone, or with events.

The library keeps a table for each application that follows others. Here they share one, in which each has its name. An
append carries the tracking along, so that what came of a notification and the mark that it was processed are one
transaction; one that is not beyond what is kept fails alone.
"""

from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import ProcessRecorder, StoredEvent, Tracking, TrackingRecorder

from adapters.postgres.entries import Tracked
from adapters.postgres.recorder import PostgresApplicationRecorder, SharedStore, append

_SELECT_MAX_TRACKING_ID = """
    -- Find how far a tracker has come with an application.
    SELECT notification_id FROM ops.library_tracking WHERE tracker = %s AND application_name = %s
"""


class PostgresTrackingRecorder(TrackingRecorder):
    """Implements the library's `TrackingRecorder`, for the application that *tracker* names."""

    def __init__(self, shared: SharedStore, tracker: str) -> None:
        self._shared = shared
        self._tracker = tracker

    def insert_tracking(self, tracking: Tracking) -> None:
        """Keep how far the application has come; raises IntegrityError where it had come as far before."""
        self._shared.run(append(self._shared.store, (), self._tracked(tracking)))

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return how far it has come with *application_name*, None where nothing is kept."""
        rows = self._shared.fetch(_SELECT_MAX_TRACKING_ID, (self._tracker, application_name))
        return rows[0][0] if rows else None

    def _tracked(self, tracking: Tracking) -> Tracked:
        return Tracked(
            tracker=self._tracker,
            application_name=tracking.application_name,
            notification_id=tracking.notification_id,
        )


class PostgresProcessRecorder(PostgresTrackingRecorder, PostgresApplicationRecorder, ProcessRecorder):
    """Implements the library's `ProcessRecorder`: events, and the tracking that they came of, in one transaction."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events and keep *tracking*, if there is one: both or neither. Returns the notification ids."""
        tracking: Tracking | None = kwargs.get("tracking")
        return self._insert(stored_events, None if tracking is None else self._tracked(tracking))
