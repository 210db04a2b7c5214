"""Our recorders beyond the library's suites, and a plain application of it on our log beside the engine."""

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
    JSONTranscoder,
    MapperDeserialisationError,
    NotSupportedError,
    ProgrammingError,
    StoredEvent,
    Tracking,
    UUIDAsHex,
)

from adapters.postgres.mapper import EngineEvent
from adapters.postgres.persistence import LogFactory
from adapters.postgres.recorder import PostgresApplicationRecorder, SharedStore
from adapters.postgres.tracking import PostgresProcessRecorder, PostgresTrackingRecorder
from adapters.postgres.transcoder import ExactTranscoder
from commands.accounts import stream_of
from domain.account import decider
from domain.events import encode, name_of
from infra.database import DatabaseUrls
from projections.batches import read_batch
from tests.support.appends import command, new_event, on
from tests.support.log_writing import Scribe
from tests.support.specimens import ACCOUNT, held


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


def test_events_without_a_process_recorder_keep_no_tracking_and_say_so(shared: SharedStore) -> None:
    with pytest.raises(NotSupportedError):
        PostgresApplicationRecorder(shared).insert_events([stored(uuid4(), 1)], tracking=Tracking("upstream", 1))


def test_stale_tracking_fails_alone(shared: SharedStore) -> None:
    recorder = PostgresProcessRecorder(shared, "followers")
    one, two = uuid4(), uuid4()
    recorder.insert_events([stored(one, 1)], tracking=Tracking("upstream", 5))
    with pytest.raises(IntegrityError):
        recorder.insert_events([stored(two, 1)], tracking=Tracking("upstream", 5))
    assert recorder.select_events(two) == []
    with pytest.raises(IntegrityError):
        recorder.insert_events([stored(one, 1)], tracking=Tracking("upstream", 6))
    assert recorder.max_tracking_id("upstream") == 5
    assert recorder.insert_events([stored(two, 1)], tracking=Tracking("upstream", 6)) == [2]


def test_each_tracker_keeps_its_own_place_with_each_application(shared: SharedStore) -> None:
    one, two = PostgresProcessRecorder(shared, "one"), PostgresTrackingRecorder(shared, "two")
    one.insert_events([stored(uuid4(), 1)], tracking=Tracking("upstream", 7))
    two.insert_tracking(Tracking("upstream", 3))
    two.insert_tracking(Tracking("another", 9))
    assert (one.max_tracking_id("upstream"), two.max_tracking_id("upstream")) == (7, 3)
    assert (one.max_tracking_id("another"), two.max_tracking_id("another")) == (None, 9)


def test_a_recorder_of_another_kind_is_no_tracking_recorder_of_this_log(database: DatabaseUrls) -> None:
    environment_of_it = environment(database) | {"TRACKING_RECORDER_TOPIC": "eventsourcing.popo:POPOTrackingRecorder"}
    factory: InfrastructureFactory[Any] = InfrastructureFactory.construct(environment_of_it)
    with pytest.raises(InfrastructureFactoryError, match="POPOTrackingRecorder"):
        factory.tracking_recorder()
    factory.close()


class Watch(Application[str]):
    """Looks at the engine's accounts, and keeps nothing of its own."""


def test_an_application_reads_the_engines_events_as_what_they_are(database: DatabaseUrls, shared: SharedStore) -> None:
    shared.run(Scribe(shared.store).write(stream_of(ACCOUNT), held))
    with Watch(env=environment(database) | {"MAPPER_TOPIC": "adapters.postgres.mapper:LogMapper"}) as watch:
        seen = list(watch.events.get(stream_of(ACCOUNT)))
        assert [each.originator_version for each in seen] == list(range(1, len(held) + 1))
        events = [each.event for each in seen if isinstance(each, EngineEvent)]
        assert events == list(held)
        assert decider.fold(events) == decider.fold(held)
        assert [each.topic for each in watch.notification_log.select(start=1, limit=10)] == list(map(name_of, held))
        with pytest.raises(ProgrammingError):
            watch.events.put(seen[:1])


def test_an_application_with_our_mapper_keeps_its_own_events_too(database: DatabaseUrls, shared: SharedStore) -> None:
    with Kennel(env=environment(database) | {"MAPPER_TOPIC": "adapters.postgres.mapper:LogMapper"}) as kennel:
        dog_id = kennel.register("Moti")
        shared.run(Scribe(shared.store).write(stream_of(ACCOUNT), held))
        kennel.teach(dog_id, "roll over")
        assert kennel.tricks_of(dog_id) == ["roll over"]


def test_an_event_of_a_later_release_is_not_guessed_at_by_an_application(
    database: DatabaseUrls, shared: SharedStore
) -> None:
    shared.run(Scribe(shared.store).write_raw("account-1", [new_event(name="order.filled.v99")]))
    with (
        Watch(env=environment(database) | {"MAPPER_TOPIC": "adapters.postgres.mapper:LogMapper"}) as watch,
        pytest.raises(MapperDeserialisationError, match=r"order\.filled\.v99"),
    ):
        list(watch.events.get("account-1"))


def test_the_events_of_an_application_are_rows_that_our_read_models_pass_over(
    database: DatabaseUrls, shared: SharedStore
) -> None:
    with Kennel(env=environment(database)) as kennel:
        kennel.teach(kennel.register("Moti"), "sit")
    shared.run(Scribe(shared.store).write(stream_of(ACCOUNT), held))
    recorded = shared.run(shared.store.read_all(after_sequence=0))
    reading = read_batch(recorded)
    assert reading.obstacle is None
    assert [each.event for each in reading.decoded] == [None, None, *held]
    assert [each.recorded.payload for each in reading.decoded][2:] == list(map(encode, held))


def test_a_factory_without_an_address_says_so() -> None:
    with pytest.raises(InfrastructureFactoryError, match="LOG_CONNINFO"):
        LogFactory({}).application_recorder()


VALUES = (
    (1, ("a", [None, True, 1.5, 2**80])),
    {"_type_": "tuple_as_list", "_data_": [1]},
    {1: "one", (2, 3): {"_type_": 1}},
    UUID("b2723fe2c01a40d2875ea3aac6a09ff5"),
)


@pytest.mark.parametrize("value", VALUES)
def test_a_value_comes_back_as_what_it_was(value: object) -> None:
    transcoder = ExactTranscoder()
    transcoder.register(UUIDAsHex())
    back = transcoder.decode(transcoder.encode(value))
    assert (back, repr(back)) == (value, repr(value))


def test_what_the_librarys_transcoder_wrote_is_read_and_the_other_way_round() -> None:
    library, ours = JSONTranscoder(), ExactTranscoder()
    for transcoder in (library, ours):
        transcoder.register(UUIDAsHex())
    value = {"id": UUID("b2723fe2c01a40d2875ea3aac6a09ff5"), "tags": ["a", {"b": None}]}
    assert ours.encode(value) == library.encode(value)
    assert ours.decode(library.encode(value)) == library.decode(ours.encode(value)) == value


def stored(originator_id: UUID | str, version: int, state: bytes = b"state") -> StoredEvent:
    return StoredEvent(originator_id=originator_id, originator_version=version, topic="topic", state=state)
