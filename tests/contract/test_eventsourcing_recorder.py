"""The eventsourcing library's own conformance suites, on our recorders, and a plain application of it on our log."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import (
    DataError,
    InfrastructureFactory,
    InfrastructureFactoryError,
    IntegrityError,
    NotSupportedError,
    StoredEvent,
    Tracking,
)
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)

from adapters.postgres.persistence import LogFactory
from adapters.postgres.recorder import PostgresApplicationRecorder, PostgresSnapshotRecorder, SharedStore
from infra.database import DatabaseUrls
from tests.support.appends import command, on


class OnALogOfItsOwn:
    """Gives each test of a suite a fresh log."""

    shared: SharedStore

    @pytest.fixture(autouse=True)
    def _open(self, database: DatabaseUrls) -> Iterator[None]:
        self.shared = SharedStore(database.writer)
        yield
        self.shared.close()


class TestEvents(OnALogOfItsOwn, ApplicationRecorderTestCase[PostgresApplicationRecorder]):
    def create_recorder(self) -> PostgresApplicationRecorder:
        return PostgresApplicationRecorder(self.shared)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestSnapshots(OnALogOfItsOwn, AggregateRecorderTestCase):
    def create_recorder(self) -> PostgresSnapshotRecorder:
        return PostgresSnapshotRecorder(self.shared)


class TestOrder(OnALogOfItsOwn, NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> PostgresApplicationRecorder:
        return PostgresApplicationRecorder(self.shared)


# Collected as tests of this module otherwise, and abstract.
del AggregateRecorderTestCase, ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase


@pytest.fixture
def shared(database: DatabaseUrls) -> Iterator[SharedStore]:
    shared = SharedStore(database.writer)
    yield shared
    shared.close()


class Dog(Aggregate):
    class Registered(Aggregate.Created):
        name: str

    @event(Registered)
    def __init__(self, *, name: str) -> None:
        self.name = name
        self.tricks: list[str] = []

    @event("TrickAdded")
    def add_trick(self, trick: str) -> None:
        self.tricks.append(trick)


class Kennel(Application[UUID]):
    is_snapshotting_enabled = True

    def register(self, name: str) -> UUID:
        dog = Dog(name=name)
        self.save(dog)
        return dog.id

    def teach(self, dog_id: UUID, trick: str) -> None:
        dog: Dog = self.repository.get(dog_id)
        dog.add_trick(trick)
        self.save(dog)

    def tricks_of(self, dog_id: UUID) -> list[str]:
        dog: Dog = self.repository.get(dog_id)
        return dog.tricks


def environment(database: DatabaseUrls) -> dict[str, str]:
    return {"PERSISTENCE_MODULE": "adapters.postgres.persistence", "LOG_CONNINFO": database.writer}


def test_a_plain_application_writes_to_the_log_next_to_the_engine(database: DatabaseUrls, shared: SharedStore) -> None:
    with Kennel(env=environment(database)) as kennel:
        shared.run(shared.store.append(command(on("account-1", events=2))))
        dog_id = kennel.register("Moti")
        shared.run(shared.store.append(command(on("account-1", 2))))
        kennel.teach(dog_id, "roll over")
        assert kennel.tricks_of(dog_id) == ["roll over"]
        notifications = kennel.recorder.select_notifications(start=1, limit=10)
    assert [notification.id for notification in notifications] == [1, 2, 3, 4, 5]
    assert [notification.originator_id for notification in notifications] == [
        "account-1",
        "account-1",
        dog_id,
        "account-1",
        dog_id,
    ]


def test_an_application_reads_what_an_earlier_one_wrote(database: DatabaseUrls) -> None:
    with Kennel(env=environment(database)) as kennel:
        dog_id = kennel.register("Moti")
        kennel.teach(dog_id, "sit")
        kennel.take_snapshot(dog_id)
        kennel.teach(dog_id, "stay")
    with Kennel(env=environment(database)) as kennel:
        assert kennel.tricks_of(dog_id) == ["sit", "stay"]
        assert kennel.snapshots is not None
        assert len(list(kennel.snapshots.get(dog_id))) == 1


def test_events_of_several_aggregates_keep_the_order_in_which_they_were_handed_in(shared: SharedStore) -> None:
    one, two = uuid4(), uuid4()
    recorder = PostgresApplicationRecorder(shared)
    ids = recorder.insert_events([stored(one, 1), stored(two, 0), stored(one, 2), stored(two, 1), stored(two, 2)])
    assert ids == [1, 2, 3, 4, 5]
    notifications = recorder.select_notifications(start=None, limit=10)
    assert [(found.originator_id, found.originator_version) for found in notifications] == [
        (one, 1),
        (two, 0),
        (one, 2),
        (two, 1),
        (two, 2),
    ]


@pytest.mark.parametrize("versions", [(1, 3), (1, 1), (2,)])
def test_a_gap_or_a_repetition_of_versions_is_refused(shared: SharedStore, versions: tuple[int, ...]) -> None:
    recorder = PostgresApplicationRecorder(shared)
    one, two = uuid4(), uuid4()
    interleaved = [inserted for version in versions for inserted in (stored(one, version), stored(two, version))]
    with pytest.raises(IntegrityError):
        recorder.insert_events(interleaved)
    assert recorder.max_notification_id() is None


def test_strings_stay_strings_and_uuids_uuids(shared: SharedStore) -> None:
    recorder = PostgresApplicationRecorder(shared)
    one = uuid4()
    recorder.insert_events([stored(one, 1), stored(str(one), 1), stored("uuid-no", 1)])
    found = [notification.originator_id for notification in recorder.select_notifications(start=1, limit=10)]
    assert found == [one, str(one), "uuid-no"]
    with pytest.raises(DataError):
        recorder.insert_events([stored(f"uuid-{one}", 2)])


def test_what_the_log_cannot_hold_is_a_data_error(shared: SharedStore) -> None:
    recorder = PostgresApplicationRecorder(shared)
    with pytest.raises(DataError):
        recorder.insert_events([stored("a\0b", 1)])
    with pytest.raises(DataError):
        recorder.insert_events([stored("a", 1, b"x" * 300_000)])


def test_tracking_is_refused_and_not_forgotten(shared: SharedStore, database: DatabaseUrls) -> None:
    recorder = PostgresApplicationRecorder(shared)
    with pytest.raises(NotSupportedError):
        recorder.insert_events([stored(uuid4(), 1)], tracking=Tracking("upstream", 1))
    factory: InfrastructureFactory[Any] = InfrastructureFactory.construct(environment(database))
    assert isinstance(factory, LogFactory)
    with pytest.raises(InfrastructureFactoryError):
        factory.process_recorder()


def test_a_factory_without_an_address_says_so() -> None:
    with pytest.raises(InfrastructureFactoryError, match="LOG_CONNINFO"):
        LogFactory({}).application_recorder()


def stored(originator_id: UUID | str, version: int, state: bytes = b"state") -> StoredEvent:
    return StoredEvent(originator_id=originator_id, originator_version=version, topic="topic", state=state)
