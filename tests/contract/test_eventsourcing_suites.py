"""The eventsourcing library's own conformance suites, on our recorders. No method is overridden but their hooks."""

import os
from collections.abc import Iterator
from typing import ClassVar

import pytest
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    ProcessRecorder,
    TrackingRecorder,
    Transcoder,
    Transcoding,
    UUIDAsHex,
)
from eventsourcing.tests.application import ApplicationTestCase, ExampleApplicationTestCase
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    CustomType1AsDict,
    CustomType2AsDict,
    InfrastructureFactoryTestCase,
    Mydict,
    MyInt,
    MyList,
    MyStr,
    NonInterleavingNotificationIDsBaseCase,
    ProcessRecorderTestCase,
    TrackingRecorderTestCase,
    TranscoderTestCase,
)
from eventsourcing.utils import Environment

from adapters.postgres.persistence import CONNINFO, LogFactory
from adapters.postgres.recorder import PostgresApplicationRecorder, PostgresSnapshotRecorder, SharedStore
from adapters.postgres.tracking import PostgresProcessRecorder, PostgresTrackingRecorder
from adapters.postgres.transcoder import ExactTranscoder
from infra.database import DatabaseUrls

PERSISTENCE = "adapters.postgres.persistence"
SUITES = (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    TrackingRecorderTestCase,
    ProcessRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    InfrastructureFactoryTestCase,
    TranscoderTestCase,
    ExampleApplicationTestCase,
    ApplicationTestCase,
)


class OnALogOfItsOwn:
    """Gives each test of a suite a fresh log."""

    shared: SharedStore

    @pytest.fixture(autouse=True)
    def _open(self, database: DatabaseUrls) -> Iterator[None]:
        self.shared = SharedStore(database.writer)
        yield
        self.shared.close()


class TestSnapshots(OnALogOfItsOwn, AggregateRecorderTestCase):
    def create_recorder(self) -> PostgresSnapshotRecorder:
        return PostgresSnapshotRecorder(self.shared)


class TestEvents(OnALogOfItsOwn, ApplicationRecorderTestCase[PostgresApplicationRecorder]):
    def create_recorder(self) -> PostgresApplicationRecorder:
        return PostgresApplicationRecorder(self.shared)

    def test_insert_subscribe(self) -> None:
        assert self.EXPECT_CONTIGUOUS_NOTIFICATION_IDS
        self.optional_test_insert_subscribe()


class TestOrder(OnALogOfItsOwn, NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> PostgresApplicationRecorder:
        return PostgresApplicationRecorder(self.shared)


class TestTracking(OnALogOfItsOwn, TrackingRecorderTestCase):
    def create_recorder(self) -> PostgresTrackingRecorder:
        return PostgresTrackingRecorder(self.shared, "followers")


class TestProcessing(OnALogOfItsOwn, ProcessRecorderTestCase):
    def create_recorder(self) -> PostgresProcessRecorder:
        return PostgresProcessRecorder(self.shared, "followers")


class TestEventsBesideTracking(OnALogOfItsOwn, ApplicationRecorderTestCase[PostgresProcessRecorder]):
    def create_recorder(self) -> PostgresProcessRecorder:
        return PostgresProcessRecorder(self.shared, "followers")

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TrackingRecorderOfAnApplication(PostgresTrackingRecorder):
    """What an application may bring along: its own view beside the tracking."""


class TestFactory(InfrastructureFactoryTestCase[LogFactory]):
    @pytest.fixture(autouse=True)
    def _environment(self, database: DatabaseUrls) -> None:
        self.env = Environment("TestCase", {"PERSISTENCE_MODULE": PERSISTENCE, CONNINFO: database.writer})

    def expected_factory_class(self) -> type[LogFactory]:
        return LogFactory

    def expected_aggregate_recorder_class(self) -> type[AggregateRecorder]:
        return PostgresApplicationRecorder

    def expected_application_recorder_class(self) -> type[ApplicationRecorder]:
        return PostgresApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[TrackingRecorder]:
        return PostgresTrackingRecorder

    def tracking_recorder_subclass(self) -> type[TrackingRecorder]:
        return TrackingRecorderOfAnApplication

    def expected_process_recorder_class(self) -> type[ProcessRecorder]:
        return PostgresProcessRecorder


class AsItsBase(Transcoding):
    """Keeps a subclass of a type that JSON has."""

    def __init__(self, subclass: type, base: type) -> None:
        self.type, self.name, self.base = subclass, subclass.__name__.lower(), base

    def encode(self, obj: object) -> object:
        return self.base(obj)

    def decode(self, data: object) -> object:
        return self.type(data)


class TestTranscoder(TranscoderTestCase):
    def construct_transcoder(self) -> Transcoder:
        transcoder = LogFactory({}).transcoder()
        assert isinstance(transcoder, ExactTranscoder)
        bases = ((Mydict, dict), (MyList, list), (MyStr, str), (MyInt, int))
        for transcoding in (
            UUIDAsHex(),
            CustomType1AsDict(),
            CustomType2AsDict(),
            *(AsItsBase(subclass, base) for subclass, base in bases),
        ):
            transcoder.register(transcoding)
        return transcoder


class InAnEnvironmentOfItsOwn:
    """Lets the applications of a suite, which ask the process's environment, find a fresh log."""

    @pytest.fixture(autouse=True)
    def _environment(self, database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setitem(os.environ, "PERSISTENCE_MODULE", PERSISTENCE)
        monkeypatch.setitem(os.environ, CONNINFO, database.writer)
        made: list[LogFactory] = []
        make = LogFactory.__init__

        def make_and_remember(factory: LogFactory, env: Environment) -> None:
            make(factory, env)
            made.append(factory)

        monkeypatch.setattr(LogFactory, "__init__", make_and_remember)
        yield
        # The suites do not close their applications, and a log that is still open outlives its database.
        for factory in made:
            factory.close()


class TestExampleApplication(InAnEnvironmentOfItsOwn, ExampleApplicationTestCase):
    expected_factory_topic: ClassVar[str] = f"{PERSISTENCE}:{LogFactory.__name__}"  # type: ignore[misc]


# The suite asserts that this warning is given; here a warning is an error unless it is let through.
@pytest.mark.filterwarnings("default:'log' is deprecated:DeprecationWarning")
class TestApplication(InAnEnvironmentOfItsOwn, ApplicationTestCase):
    pass


# Collected as tests of this module otherwise, and abstract.
del AggregateRecorderTestCase, ApplicationRecorderTestCase, TrackingRecorderTestCase, ProcessRecorderTestCase
del NonInterleavingNotificationIDsBaseCase, InfrastructureFactoryTestCase, TranscoderTestCase
del ExampleApplicationTestCase, ApplicationTestCase


def test_no_method_of_a_suite_is_overridden_but_its_hooks() -> None:
    ours = [each for each in globals().values() if isinstance(each, type) and issubclass(each, SUITES)]
    assert {suite for suite in SUITES if any(issubclass(each, suite) for each in ours)} == set(SUITES)
    for each in ours:
        for suite in SUITES:
            if issubclass(each, suite):
                own = {
                    name for name in vars(each) if name in dir(suite) and name.startswith(("test", "_check", "assert"))
                }
                assert not own
