"""The log as the `eventsourcing` library sees it: a synchronous facade before the async store.

The library has no async of its own. The store lives on an event loop in a thread of its own, and the library's threads
hand it their work and wait. So they share its group commit: many threads, one statement.

All applications share one log and one sequence: notification ids are our sequences. An application sees the events of
all others, as it would see its own of another release. Originators that are strings are stream ids as they stand; those
that are UUIDs are streams named `uuid-<uuid>`.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from itertools import groupby
from typing import Any, LiteralString, TypeVar
from uuid import UUID, uuid4

import psycopg
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    DataError,
    IntegrityError,
    Notification,
    NotSupportedError,
    OperationalError,
    StoredEvent,
    Subscription,
)

from adapters.archive.parquet import ParquetArchive
from adapters.postgres.arrays import BytesArray, Int8Array, TextArray
from adapters.postgres.entries import Part, Tracked, TrackingStale, new_entry
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from commands.ports import Appended, AppendOutcomeUnknown, EventTooLarge, NewEvent, StoreUnavailable, VersionConflict
from domain.envelope import RecordedEvent

_UUID_PREFIX = "uuid-"
_METADATA = b'{"source":"eventsourcing"}'
_NO_LIMIT = 2**31 - 1
_ANY_VERSION = 2**62

_SELECT_EVENTS = """
    -- Read a range of a stream, oldest first.
    SELECT version, name, payload FROM log.events
    WHERE stream_id = %s AND version > %s AND version <= %s
    ORDER BY version
    LIMIT %s
"""
_SELECT_EVENTS_NEWEST_FIRST = """
    -- Read a range of a stream, newest first.
    SELECT version, name, payload FROM log.events
    WHERE stream_id = %s AND version > %s AND version <= %s
    ORDER BY version DESC
    LIMIT %s
"""
_SELECT_NOTIFICATIONS = """
    -- Read a range of the log.
    SELECT sequence, stream_id, version, name, payload FROM log.events
    WHERE sequence >= %s AND sequence <= %s
    ORDER BY sequence
    LIMIT %s
"""
_SELECT_NOTIFICATIONS_BY_NAME = """
    -- Read the events of some names in a range of the log.
    SELECT sequence, stream_id, version, name, payload FROM log.events
    WHERE sequence >= %s AND sequence <= %s AND name = ANY(%s)
    ORDER BY sequence
    LIMIT %s
"""
_INSERT_SNAPSHOTS = """
    -- Keep snapshots.
    INSERT INTO ops.library_snapshots (originator_id, version, topic, state)
    SELECT originator_id, version, topic, state
    FROM unnest(%b, %b, %b, %b) AS added (originator_id, version, topic, state)
"""
_SELECT_SNAPSHOTS = """
    -- Read a range of an originator's snapshots, oldest first.
    SELECT version, topic, state FROM ops.library_snapshots
    WHERE originator_id = %s AND version > %s AND version <= %s
    ORDER BY version
    LIMIT %s
"""
_SELECT_SNAPSHOTS_NEWEST_FIRST = """
    -- Read a range of an originator's snapshots, newest first.
    SELECT version, topic, state FROM ops.library_snapshots
    WHERE originator_id = %s AND version > %s AND version <= %s
    ORDER BY version DESC
    LIMIT %s
"""

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="khata log", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start *work* there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* there and return what it returns."""
        return self.submit(work).result()

    def close(self) -> None:
        """End the thread, and what still runs there."""
        self.run(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    @staticmethod
    async def _end_tasks() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class SharedStore:
    """One store with its loop, for all recorders of an application."""

    def __init__(self, conninfo: str, *, archive: ParquetArchive | None = None) -> None:
        self.feed = PostgresFeed(conninfo, archive=archive)
        self._thread = LoopThread()
        try:
            self.store = self._thread.run(self._open(conninfo, archive))
        except BaseException:
            self._thread.close()
            raise

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start *work* on the store's loop."""
        return self._thread.submit(work)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* on the store's loop; faults come out as the library's.

        Raises:
            eventsourcing.persistence.IntegrityError, OperationalError, DataError
        """
        try:
            return self._thread.run(work)
        except (VersionConflict, TrackingStale, psycopg.IntegrityError) as error:
            raise IntegrityError(str(error)) from error
        except (StoreUnavailable, AppendOutcomeUnknown) as error:
            raise OperationalError(str(error)) from error
        except (EventTooLarge, ValueError, psycopg.DataError) as error:
            raise DataError(str(error)) from error

    def fetch(self, statement: LiteralString, parameters: Sequence[Any]) -> list[Any]:
        """Return the rows of a statement; raises as `run` does."""
        return self.run(self.store.database.fetch(statement, parameters))

    def close(self) -> None:
        """Disconnect."""
        self._thread.run(self.store.close())
        self._thread.close()

    @staticmethod
    async def _open(conninfo: str, archive: ParquetArchive | None) -> PostgresEventStore:
        store = PostgresEventStore(conninfo, archive=archive)
        await store.start()
        return store


class PostgresApplicationRecorder(ApplicationRecorder):
    """Implements the library's `ApplicationRecorder` on the log."""

    def __init__(self, shared: SharedStore) -> None:
        self._shared = shared

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events, all or none, and return their notification ids."""
        if kwargs.get("tracking") is not None:
            raise NotSupportedError("this recorder keeps no tracking with events: a process recorder does")
        return self._insert(stored_events)

    def _insert(self, stored_events: Sequence[StoredEvent], tracked: Tracked | None = None) -> list[int]:
        if not stored_events and tracked is None:
            return []
        appended = self._shared.run(append(self._shared.store, stored_events, tracked))
        return list(range(appended.first_sequence, appended.last_sequence + 1)) if stored_events else []

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return an originator's events with versions in the range."""
        statement = _SELECT_EVENTS_NEWEST_FIRST if desc else _SELECT_EVENTS
        events = _select(self._shared, statement, originator_id, gt=gt, lte=lte, limit=limit)
        older = (
            self._select_archived(originator_id, gt=gt, lte=lte)
            if self._may_lack_older(events, gt=gt, is_full=desc and len(events) == limit)
            else []
        )
        if not older:
            return events
        # What was archived between the two looks is in both.
        by_version = {event.originator_version: event for event in (*older, *events)}
        return [by_version[version] for version in sorted(by_version, reverse=desc)][:limit]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return the events with sequences in the range, of the topics if any are named."""
        first = 0 if start is None else start if inclusive_of_start else start + 1
        last = _ANY_VERSION if stop is None else stop
        if topics:
            rows = self._shared.fetch(_SELECT_NOTIFICATIONS_BY_NAME, (first, last, TextArray.of(list(topics)), limit))
        else:
            rows = self._shared.fetch(_SELECT_NOTIFICATIONS, (first, last, limit))
        if not rows or rows[0][0] > max(first, 1):
            rows = self._archived_rows(first, last, topics, limit, rows)
        return [
            Notification(
                id=sequence,
                originator_id=originator_of(stream_id),
                originator_version=version,
                topic=name,
                state=payload,
            )
            for sequence, stream_id, version, name, payload in rows
        ]

    def max_notification_id(self) -> int | None:
        """Return the end of the log, None where it is empty."""
        return self._shared.run(self._shared.store.head()).sequence or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Return an endless iterator over the events after *gt*."""
        return LogSubscription(recorder=self, shared=self._shared, gt=gt, topics=topics)

    @staticmethod
    def _may_lack_older(events: Sequence[StoredEvent], *, gt: int | None, is_full: bool) -> bool:
        """Tell whether events that were asked for may be missing among *events*, because they are archived."""
        if is_full:
            return False
        return not events or min(event.originator_version for event in events) > max(1, (gt or 0) + 1)

    def _select_archived(self, originator_id: UUID | str, *, gt: int | None, lte: int | None) -> list[StoredEvent]:
        archived = self._shared.store.reads.archived
        after, last = -1 if gt is None else gt, _ANY_VERSION if lte is None else lte
        events = self._shared.run(
            archived.read_stream(stream_id_of(originator_id), after_version=after, last_version=last)
        )
        return [
            StoredEvent(
                originator_id=originator_id, originator_version=event.version, topic=event.name, state=event.payload
            )
            for event in events
        ]

    def _archived_rows(
        self, first: int, last: int, topics: Sequence[str], limit: int, rows: list[Any]
    ) -> list[tuple[int, str, int, str, bytes]]:
        """Return *rows* with those before them that are archived, *limit* at most."""
        archived = self._shared.store.reads.archived
        before = rows[0][0] - 1 if rows else last
        events = self._shared.run(archived.read_range(first, before, names=topics, limit=limit))
        return [
            *((event.sequence, event.stream_id, event.version, event.name, event.payload) for event in events),
            *rows,
        ][:limit]


class PostgresSnapshotRecorder(AggregateRecorder):
    """Implements the library's `AggregateRecorder` for snapshots, in a table of their own."""

    def __init__(self, shared: SharedStore) -> None:
        self._shared = shared

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Keep snapshots, all or none. They are no notifications, so there are no ids."""
        parameters = (
            TextArray.of([stream_id_of(event.originator_id) for event in stored_events]),
            Int8Array.of([event.originator_version for event in stored_events]),
            TextArray.of([event.topic for event in stored_events]),
            BytesArray.of([event.state for event in stored_events]),
        )
        self._shared.run(self._shared.store.database.execute(_INSERT_SNAPSHOTS, parameters))
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return an originator's snapshots with versions in the range."""
        statement = _SELECT_SNAPSHOTS_NEWEST_FIRST if desc else _SELECT_SNAPSHOTS
        return _select(self._shared, statement, originator_id, gt=gt, lte=lte, limit=limit)


class LogSubscription(Subscription[ApplicationRecorder]):
    """Iterates over the log as it grows, until it is stopped, from whatever thread."""

    def __init__(
        self, *, recorder: ApplicationRecorder, shared: SharedStore, gt: int | None, topics: Sequence[str]
    ) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._shared = shared
        self._wanted = frozenset(topics)
        self._events = shared.feed.follow(after_sequence=gt or 0)
        self._read: deque[Notification] = deque()
        self._lock = threading.Lock()
        self._is_stopped = False
        self._reading: Future[list[RecordedEvent]] | None = None

    def stop(self) -> None:
        """Stop the iteration, also one that waits at present."""
        super().stop()
        with self._lock:
            if self._is_stopped:
                return
            self._is_stopped = True
            if self._reading is not None:
                self._reading.cancel()
        self._shared.submit(self._close())

    def __next__(self) -> Notification:
        """Return the next event, once there is one."""
        while not self._read:
            with self._lock:
                if self._is_stopped:
                    raise StopIteration
                self._reading = self._shared.submit(self._next_batch())
            try:
                batch = self._reading.result()
            except CancelledError:
                raise StopIteration from None
            self._read.extend(_notification(event) for event in batch if not self._wanted or event.name in self._wanted)
        if self._is_stopped:
            raise StopIteration
        return self._read.popleft()

    async def _next_batch(self) -> list[RecordedEvent]:
        return await anext(self._events)

    async def _close(self) -> None:
        # A batch that is being read was just cancelled; its generator is free only after it has seen that.
        while True:
            try:
                await self._events.aclose()
            except RuntimeError:
                await asyncio.sleep(0)
            else:
                return


async def append(
    store: PostgresEventStore, stored_events: Sequence[StoredEvent], tracked: Tracked | None = None
) -> Appended:
    """Append events and tracking of an application, all or none; raises as `PostgresEventStore.append_entry` does."""
    entry = new_entry(
        command_id=f"lib_{uuid4().hex}", metadata=_METADATA, parts=_parts_of(stored_events), tracked=tracked
    )
    return await store.append_entry(entry)


def stream_id_of(originator_id: UUID | str) -> str:
    """Return the stream of an originator.

    Raises:
        eventsourcing.persistence.DataError: the string reads as the stream of a UUID.
    """
    if isinstance(originator_id, UUID):
        return f"{_UUID_PREFIX}{originator_id}"
    if isinstance(originator_of(originator_id), UUID):
        raise DataError(f"originator id {originator_id!r} is the stream of a UUID: use the UUID")
    return originator_id


def originator_of(stream_id: str) -> UUID | str:
    """Return the originator whose stream it is."""
    if stream_id.startswith(_UUID_PREFIX):
        with suppress(ValueError):
            originator_id = UUID(stream_id.removeprefix(_UUID_PREFIX))
            if f"{_UUID_PREFIX}{originator_id}" == stream_id:
                return originator_id
    return stream_id


def _parts_of(stored_events: Sequence[StoredEvent]) -> tuple[Part, ...]:
    """Return the events in their order, those that follow each other in one stream together."""
    parts = []
    numbered = enumerate(stored_events)
    for (stream_id, _), group in groupby(
        numbered, key=lambda item: (stream_id_of(item[1].originator_id), item[1].originator_version - item[0])
    ):
        run = [event for _, event in group]
        events = tuple(NewEvent(name=event.topic, payload=event.state) for event in run)
        parts.append(Part(stream_id=stream_id, first_version=run[0].originator_version, events=events))
    return tuple(parts)


def _select(
    shared: SharedStore,
    statement: LiteralString,
    originator_id: UUID | str,
    *,
    gt: int | None,
    lte: int | None,
    limit: int | None,
) -> list[StoredEvent]:
    after = -1 if gt is None else gt
    last = _ANY_VERSION if lte is None else lte
    rows = shared.fetch(statement, (stream_id_of(originator_id), after, last, _NO_LIMIT if limit is None else limit))
    return [
        StoredEvent(originator_id=originator_id, originator_version=version, topic=topic, state=state)
        for version, topic, state in rows
    ]


def _notification(event: RecordedEvent) -> Notification:
    return Notification(
        id=event.sequence,
        originator_id=originator_of(event.stream_id),
        originator_version=event.version,
        topic=event.name,
        state=event.payload,
    )
