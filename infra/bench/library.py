"""The yardstick of the store: the `eventsourcing` library's own PostgreSQL recorder, in a database of its own.

It appends by one transaction a command, so what it can do depends on how many threads do so. Its default locking is
kept: the option that calls database functions instead takes no lock, and readers that follow it lose events.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from uuid import UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import InfrastructureFactory, StoredEvent, TrackingRecorder
from eventsourcing.utils import Environment
from psycopg.conninfo import conninfo_to_dict

from infra.bench.store_load import EVENT, PAYLOAD_BYTES

_NAMES = UUID("3f1d9a52-5f0b-4a6e-9a55-0c7c4d2b8a11")


def recorder_commands(admin_url: str, *, threads: int, in_flight: int, warm_up_s: float, for_s: float) -> float:
    """Return how many single-event commands a second the recorder stores; *in_flight* of them wait for *threads*.

    Raises:
        AssertionError: the recorder does not hold exactly what it stored.
    """
    factory: InfrastructureFactory[TrackingRecorder] = InfrastructureFactory.construct(
        Environment("bench", _with_pool(admin_url, threads=threads))
    )
    try:
        recorder = factory.application_recorder()
        last_before = recorder.max_notification_id() or 0
        waiting = deque((uuid5(_NAMES, f"{threads} {number}"), 0) for number in range(in_flight))
        stored_versions: deque[int] = deque()

        def append() -> None:
            originator_id, version = waiting.popleft()
            stored = StoredEvent(
                originator_id=originator_id, originator_version=version + 1, topic=EVENT.name, state=EVENT.payload
            )
            recorder.insert_events([stored])
            stored_versions.append(version + 1)
            waiting.append((originator_id, version + 1))

        rate = _rate(append, threads=threads, warm_up_s=warm_up_s, for_s=for_s)
        # No command is refused here, so the library's ids have no holes either.
        last = recorder.max_notification_id() or 0
        assert last - last_before == len(stored_versions), "the recorder lost a command"
        return rate
    finally:
        factory.close()


class _Filled(Aggregate):
    """An aggregate whose events carry a text."""

    @event("Filled")
    def fill(self, text: str) -> None:
        """Take one more event."""
        self.text = text


def application_commands(admin_url: str, *, threads: int, in_flight: int, warm_up_s: float, for_s: float) -> float:
    """Return how many aggregates with one new event a second an application of the library saves."""
    application: Application[UUID] = Application(env=_with_pool(admin_url, threads=threads))
    try:
        waiting = deque(_Filled() for _ in range(in_flight))
        application.save(*waiting)
        text = _text_for(application)

        def save() -> None:
            aggregate = waiting.popleft()
            aggregate.fill(text)
            application.save(aggregate)
            waiting.append(aggregate)

        return _rate(save, threads=threads, warm_up_s=warm_up_s, for_s=for_s)
    finally:
        application.close()


def _text_for(application: Application[UUID]) -> str:
    """Return the text with which an event's stored state has the payload's size."""
    sample = _Filled()
    sample.fill("")
    stored = application.mapper.to_stored_event(sample.pending_events[-1])
    return "-" * (PAYLOAD_BYTES - len(stored.state))


def _rate(one: Callable[[], None], *, threads: int, warm_up_s: float, for_s: float) -> float:
    """Return how often a second *threads* together carry *one* out, after the warm-up."""
    counts = [0] * threads
    failures: list[BaseException] = []
    ends = time.monotonic() + warm_up_s + for_s

    def work(number: int) -> None:
        try:
            while time.monotonic() < ends:
                one()
                counts[number] += 1
        except BaseException as failure:  # noqa: BLE001 - told to whoever waits for the thread
            failures.append(failure)

    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    time.sleep(warm_up_s)
    began, before = time.monotonic(), sum(counts)
    time.sleep(for_s)
    rate = (sum(counts) - before) / (time.monotonic() - began)
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
    return rate


def settings_of(admin_url: str) -> dict[str, str]:
    """Return the library's settings for the database of *admin_url*."""
    told = conninfo_to_dict(admin_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(told["dbname"]),
        "POSTGRES_HOST": str(told["host"]),
        "POSTGRES_PORT": str(told.get("port", "5432")),
        "POSTGRES_USER": str(told["user"]),
        "POSTGRES_PASSWORD": str(told["password"]),
    }


def _with_pool(admin_url: str, *, threads: int) -> dict[str, str]:
    """Return the library's settings with a pool as large as *threads*."""
    return settings_of(admin_url) | {
        "POSTGRES_POOL_SIZE": str(threads),
        "POSTGRES_MAX_OVERFLOW": "0",
        "POSTGRES_CONNECT_TIMEOUT": "30",
    }
