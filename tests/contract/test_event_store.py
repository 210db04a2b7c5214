"""What every event store promises."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from adapters.memory.event_store import MemoryEventStore
from adapters.postgres.event_store import PostgresEventStore
from commands.ports import (
    Append,
    Appended,
    Claim,
    ClaimTaken,
    EventStore,
    EventTooLarge,
    KeyReused,
    StreamAppend,
    VersionConflict,
)
from domain.envelope import GENESIS_HASH, RecordedEvent, is_intact, leaf_hash, leaf_of
from tests.support.appends import command, new_event, on


@pytest.fixture(params=["memory", "postgres"])
def conninfo(request: pytest.FixtureRequest) -> str | None:
    """Return where the log lies, None for memory."""
    return None if request.param == "memory" else request.getfixturevalue("database").writer


@pytest.fixture
async def store(conninfo: str | None) -> AsyncIterator[EventStore]:
    if conninfo is None:
        yield MemoryEventStore()
    else:
        async with PostgresEventStore(conninfo) as postgres:
            yield postgres


def assert_is_one_chain(events: list[RecordedEvent]) -> None:
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert all(is_intact(event) for event in events)
    assert not events or events[0].previous_hash == GENESIS_HASH
    for before, after in pairwise(events):
        assert after.previous_hash == before.hash
        assert after.recorded_at_us >= before.recorded_at_us


async def outcomes(store: EventStore, *appends: Append) -> list[Appended | BaseException]:
    """Hand in all of them at once, in this order, and return what became of each."""
    return await asyncio.gather(*(store.append(append) for append in appends), return_exceptions=True)


async def test_what_was_appended_is_read_back(store: EventStore) -> None:
    append = command(on("account-1", events=2))
    assert await store.append(append) == Appended(first_sequence=1, last_sequence=2)
    first, second = await store.read_stream("account-1")
    assert (first.stream_id, first.version, first.name) == ("account-1", 1, "thing.happened.v1")
    assert (first.command_id, first.metadata) == (append.command_id, append.metadata)
    assert (second.version, second.payload) == (2, append.streams[0].events[1].payload)
    assert await store.read_all(after_sequence=0) == [first, second]


async def test_an_empty_log_ends_at_nothing(store: EventStore) -> None:
    head = await store.head()
    assert (head.sequence, head.hash) == (0, GENESIS_HASH)
    assert await store.read_all(after_sequence=0) == []
    assert await store.read_stream("account-1") == []


async def test_the_head_is_the_last_event(store: EventStore) -> None:
    await store.append(command(on("account-1", events=3)))
    head = await store.head()
    (last,) = await store.read_all(after_sequence=2)
    assert (head.sequence, head.hash) == (3, last.hash)
    assert head.epoch.isalnum()
    assert head.epoch == head.epoch.lower()


async def test_a_stale_command_fails_alone(store: EventStore) -> None:
    good, stale, better = await outcomes(
        store, command(on("account-1")), command(on("account-1")), command(on("account-2"))
    )
    assert good == Appended(first_sequence=1, last_sequence=1)
    assert isinstance(stale, VersionConflict)
    assert better == Appended(first_sequence=2, last_sequence=2)
    assert_is_one_chain(await store.read_all(after_sequence=0))


async def test_a_version_from_the_future_is_a_conflict(store: EventStore) -> None:
    with pytest.raises(VersionConflict):
        await store.append(command(on("account-1", 3)))


async def test_commands_on_one_stream_ride_one_upon_another(store: EventStore) -> None:
    done = await outcomes(store, *(command(on("account-1", version)) for version in range(20)))
    assert [outcome.last_sequence for outcome in done if isinstance(outcome, Appended)] == list(range(1, 21))
    assert [event.version for event in await store.read_stream("account-1")] == list(range(1, 21))


async def test_everything_that_was_decided_on_a_failed_command_fails_as_well(store: EventStore) -> None:
    await store.append(command(on("account-1")))
    done = await outcomes(store, command(on("account-1", 0)), command(on("account-1", 2)), command(on("account-1", 3)))
    assert all(isinstance(outcome, VersionConflict) for outcome in done)
    assert len(await store.read_all(after_sequence=0)) == 1


async def test_another_event_of_the_expected_version_is_a_conflict(store: EventStore) -> None:
    await store.append(command(on("account-1")))
    (last,) = await store.read_stream("account-1")
    with pytest.raises(VersionConflict):
        await store.append(command(on("account-1", 1, leaf=bytes(32))))
    with pytest.raises(VersionConflict):
        await store.append(command(on("account-2", 0, leaf=leaf_of(last))))
    assert await store.append(command(on("account-1", 1, leaf=leaf_of(last))))


async def test_the_expected_event_may_be_appended_in_the_same_batch(store: EventStore) -> None:
    append = command(on("account-1", events=2))
    last = leaf_hash(
        stream_id="account-1",
        version=2,
        name=append.streams[0].events[1].name,
        command_id=append.command_id,
        metadata=append.metadata,
        payload=append.streams[0].events[1].payload,
    )
    done = await outcomes(store, append, command(on("account-1", 2, leaf=last)))
    assert done == [Appended(first_sequence=1, last_sequence=2), Appended(first_sequence=3, last_sequence=3)]


async def test_the_same_key_again_gets_the_first_outcome_again(store: EventStore) -> None:
    await store.append(command(on("account-9")))
    first = await store.append(command(on("account-1", events=2), key="k"))
    again = await store.append(command(on("account-1", 2), key="k"))
    assert first == Appended(first_sequence=2, last_sequence=3)
    assert again == Appended(first_sequence=2, last_sequence=3, repeated=True)
    assert (await store.head()).sequence == 3


async def test_two_commands_with_one_key_at_once_are_carried_out_once(store: EventStore) -> None:
    done = await outcomes(store, *(command(on("account-1"), key="k") for _ in range(5)))
    assert done == [
        Appended(first_sequence=1, last_sequence=1),
        *[Appended(first_sequence=1, last_sequence=1, repeated=True)] * 4,
    ]


async def test_a_key_belongs_to_one_request(store: EventStore) -> None:
    await store.append(command(on("account-1"), key="k", request=b"buy 10"))
    with pytest.raises(KeyReused):
        await store.append(command(on("account-1", 1), key="k", request=b"buy 1000"))
    assert (await store.head()).sequence == 1


async def test_a_refused_command_leaves_its_key_free(store: EventStore) -> None:
    with pytest.raises(VersionConflict):
        await store.append(command(on("account-1", 5), key="k"))
    assert await store.append(command(on("account-1"), key="k")) == Appended(first_sequence=1, last_sequence=1)


async def test_a_command_without_events_only_demands_a_version(store: EventStore) -> None:
    await store.append(command(on("account-1", events=2)))
    assert await store.append(command(on("account-1", 2, events=0))) == Appended(first_sequence=2, last_sequence=2)
    with pytest.raises(VersionConflict):
        await store.append(command(on("account-1", 1, events=0)))
    assert (await store.head()).sequence == 2


async def test_a_command_without_events_is_not_remembered(store: EventStore) -> None:
    await store.append(command(on("account-9")))
    done = await outcomes(store, command(on("account-8")), command(on("account-1", 0, events=0), key="k"))
    assert done[1] == Appended(first_sequence=2, last_sequence=2)
    assert await store.append(command(on("account-1"), key="k")) == Appended(first_sequence=3, last_sequence=3)


async def test_a_command_without_events_still_hears_of_its_first_outcome(store: EventStore) -> None:
    await store.append(command(on("account-1"), key="k"))
    again = await store.append(command(on("account-1", 0, events=0), key="k"))
    assert again == Appended(first_sequence=1, last_sequence=1, repeated=True)


async def test_a_value_is_claimed_once(store: EventStore) -> None:
    claim = Claim(kind="email", key_hash=b"h" * 32, owner="usr_1")
    other = Claim(kind="email", key_hash=b"h" * 32, owner="usr_2")
    first, second = await outcomes(
        store, command(on("user-usr_1"), claim=claim), command(on("user-usr_2"), claim=other)
    )
    assert first == Appended(first_sequence=1, last_sequence=1)
    assert isinstance(second, ClaimTaken)
    assert await store.find_claim("email", b"h" * 32) == "usr_1"
    assert await store.find_claim("phone", b"h" * 32) is None
    assert (await store.head()).sequence == 1


async def test_a_refused_command_claims_nothing(store: EventStore) -> None:
    claim = Claim(kind="email", key_hash=b"h" * 32, owner="usr_1")
    with pytest.raises(VersionConflict):
        await store.append(command(on("user-usr_1", 7), claim=claim))
    assert await store.find_claim("email", b"h" * 32) is None


async def test_the_owner_may_claim_again(store: EventStore) -> None:
    claim = Claim(kind="email", key_hash=b"h" * 32, owner="usr_1")
    await store.append(command(on("user-usr_1"), claim=claim))
    assert await store.append(command(on("user-usr_1", 1), claim=claim)) == Appended(first_sequence=2, last_sequence=2)


async def test_several_streams_are_appended_together_or_not_at_all(store: EventStore) -> None:
    await store.append(command(on("account-1")))
    with pytest.raises(VersionConflict):
        await store.append(command(on("user-1"), on("account-1")))
    assert await store.read_stream("user-1") == []
    both = await store.append(command(on("user-1", events=2), on("account-1", 1)))
    assert both == Appended(first_sequence=2, last_sequence=4)
    assert [event.stream_id for event in await store.read_all(after_sequence=1)] == ["user-1", "user-1", "account-1"]


async def test_an_event_over_256_kib_is_refused(store: EventStore) -> None:
    large = command(on("account-1"))
    room = 256 * 1024 - len(large.metadata)
    fitting = StreamAppend(stream_id="account-1", expected_version=0, events=(new_event(b"x" * room),))
    too_large = StreamAppend(stream_id="account-1", expected_version=1, events=(new_event(b"x" * (room + 1)),))
    assert await store.append(command(fitting))
    with pytest.raises(EventTooLarge):
        await store.append(command(too_large))
    assert (await store.head()).sequence == 1


async def test_the_log_is_read_in_pages(store: EventStore) -> None:
    await store.append(command(on("account-1", events=25)))
    pages = [await store.read_all(after_sequence=after, limit=10) for after in (0, 10, 20, 25)]
    assert [[event.sequence for event in page] for page in pages] == [
        list(range(1, 11)),
        list(range(11, 21)),
        list(range(21, 26)),
        [],
    ]


async def test_a_stream_is_read_after_a_version(store: EventStore) -> None:
    await store.append(command(on("account-1", events=3)))
    assert [event.version for event in await store.read_stream("account-1", after_version=1)] == [2, 3]


async def test_two_hundred_appends_at_once_leave_one_chain_without_a_hole(store: EventStore) -> None:
    # Forty streams, five commands each, decided in order but interleaved; every eleventh command is stale.
    appends = [command(on(f"account-{number % 40}", number // 40, events=1 + number % 3)) for number in range(40)]
    appends += [command(on(f"account-{number % 40}", 99)) for number in range(0, 200, 11)]
    appends += [command(on(f"other-{number}")) for number in range(141)]
    done = await outcomes(store, *appends)
    stored = [outcome for outcome in done if isinstance(outcome, Appended)]
    events = await store.read_all(after_sequence=0)
    assert sum(isinstance(outcome, VersionConflict) for outcome in done) == 19
    assert sum(outcome.last_sequence - outcome.first_sequence + 1 for outcome in stored) == len(events)
    assert_is_one_chain(events)
