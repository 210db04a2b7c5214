"""The log's mirror in JetStream: at the log's own sequences, whatever happens to it, and never trusted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import msgspec
import pytest

from adapters.nats.connection import NatsConnection, connect
from adapters.nats.log_feed import JetStreamFeed
from adapters.nats.publisher import LogPublisher, OutOfStep
from adapters.nats.relay import Relay
from adapters.nats.stream import StreamLimits, create_stream, decode, last_sequence, stream_name, subject_of
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from domain.envelope import RecordedEvent
from infra.database import DatabaseUrls
from infra.embedded.nats import EmbeddedNats
from infra.faults.link import Cut, NatsLink
from infra.keys import ensure_keys
from projections.tasks import end
from tests.support.eventually import eventually
from tests.support.lives import Life
from tests.support.log_writing import Scribe
from tests.support.servers import make_test_home, remove_test_home

LIMITS = StreamLimits()


@pytest.fixture
async def nats(nats_url: str) -> AsyncIterator[NatsConnection]:
    connection = await connect(nats_url)
    yield connection
    await connection.close()


@asynccontextmanager
async def relaying(
    nats: NatsConnection, store: PostgresEventStore, database: DatabaseUrls, *, check_s: float = 0.1
) -> AsyncIterator[Relay]:
    relay = Relay(nats, log=store, feed=PostgresFeed(database.query), check_s=check_s)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await end(task)


class Growing:
    """A log that grows by whole lives."""

    def __init__(self, store: PostgresEventStore) -> None:
        self.store = store
        self._number = 0

    async def grow(self, commands: int = 40, *, together: int = 11) -> int:
        self._number += 1
        life = Life(Random(self._number), self._number).go_on(commands)  # noqa: S311 - no secret
        return await Scribe(self.store).write(f"account-{life.account_id}", life.events, together=together)

    async def events(self) -> list[RecordedEvent]:
        return await self.store.read_all(after_sequence=0, limit=100_000)

    async def epoch(self) -> str:
        return (await self.store.head()).epoch


async def mirrored(nats: NatsConnection, epoch: str, last: int) -> list[RecordedEvent]:
    """Return what the stream holds once it has reached *last*; each message lies at its event's sequence."""

    async def reached() -> bool:
        return await last_sequence(nats, epoch) == last

    await eventually(reached)
    jetstream = nats.jetstream()
    info = await jetstream.stream_info(stream_name(epoch))
    events = []
    for sequence in range(info.state.first_seq, last + 1):
        message = await jetstream.get_msg(stream_name(epoch), sequence)
        assert message.data is not None
        events.append(decode(message.data))
        assert events[-1].sequence == sequence
    return events


async def test_the_streams_sequence_is_the_logs(
    nats: NatsConnection, store: PostgresEventStore, database: DatabaseUrls
) -> None:
    log = Growing(store)
    await log.grow()
    async with relaying(nats, store, database) as relay:
        await log.grow(together=1)
        last = await log.grow()
        assert await mirrored(nats, await log.epoch(), last) == await log.events()
        assert relay.status()["sequence"] == last
        assert relay.status()["faults"] == 0


async def test_a_wiped_stream_is_made_again_at_the_right_sequence(
    nats: NatsConnection, store: PostgresEventStore, database: DatabaseUrls
) -> None:
    log = Growing(store)
    epoch = await log.epoch()
    async with relaying(nats, store, database) as relay:
        await mirrored(nats, epoch, await log.grow())
        await nats.jetstream().delete_stream(stream_name(epoch))
        await eventually(lambda: relay.status()["streams_created"] == 2)
        assert await mirrored(nats, epoch, await log.grow()) == await log.events()


async def test_a_lost_tail_is_published_again(
    nats: NatsConnection, store: PostgresEventStore, database: DatabaseUrls
) -> None:
    log = Growing(store)
    epoch, last = await log.epoch(), await log.grow()
    events = await log.events()
    await create_stream(nats, epoch, first_sequence=1, limits=LIMITS)
    publisher = LogPublisher(nats, epoch, messages_max=10)
    for batch in publisher.batches(events[: last // 2]):
        await publisher.publish(batch)
    async with relaying(nats, store, database):
        assert await mirrored(nats, epoch, last) == events


async def test_a_long_log_is_mirrored_from_its_recent_part_on(
    nats: NatsConnection, store: PostgresEventStore, database: DatabaseUrls
) -> None:
    log = Growing(store)
    epoch, last = await log.epoch(), await log.grow()
    relay = Relay(nats, log=store, feed=PostgresFeed(database.query), backfill=10)
    task = asyncio.create_task(relay.run())
    assert await mirrored(nats, epoch, last) == (await log.events())[-10:]
    await end(task)


async def test_the_server_refuses_repeats_and_gaps_in_batches_and_alone(
    nats: NatsConnection, store: PostgresEventStore
) -> None:
    log = Growing(store)
    epoch, _ = await log.epoch(), await log.grow()
    events = await log.events()
    await create_stream(nats, epoch, first_sequence=1, limits=LIMITS)
    publisher = LogPublisher(nats, epoch, singles_max=1)
    [batch] = publisher.batches(events[:5])
    await publisher.publish(batch)
    for wrong in (events[:5], events[2:9], events[4:5], events[7:9], events[8:9]):
        [batch] = publisher.batches(wrong)
        with pytest.raises(OutOfStep):
            await publisher.publish(batch)
    assert await last_sequence(nats, epoch) == 5
    singly = LogPublisher(nats, epoch)
    for wrong in (events[:5], events[4:5], events[7:9]):
        [batch] = singly.batches(wrong)
        with pytest.raises(OutOfStep):
            await singly.publish(batch)
    assert await last_sequence(nats, epoch) == 5
    [batch] = singly.batches(events[5:8])
    await singly.publish(batch)
    assert await last_sequence(nats, epoch) == 8


async def test_of_messages_that_are_sent_one_by_one_none_is_stored_after_one_that_was_lost(
    nats: NatsConnection, store: PostgresEventStore
) -> None:
    log = Growing(store)
    epoch, _ = await log.epoch(), await log.grow()
    events = await log.events()
    await create_stream(nats, epoch, first_sequence=1, limits=LIMITS)
    publisher = LogPublisher(nats, epoch)
    [batch] = publisher.batches(events[:8])
    with pytest.raises(OutOfStep):
        await publisher.publish([*batch[:3], *batch[4:]])
    assert await mirrored(nats, epoch, 3) == events[:3]


async def test_two_relays_hinder_each_other_and_mirror_the_log_once(
    nats: NatsConnection, store: PostgresEventStore, database: DatabaseUrls
) -> None:
    log = Growing(store)
    async with relaying(nats, store, database), relaying(nats, store, database):
        for _ in range(6):
            last = await log.grow(together=3)
        assert await mirrored(nats, await log.epoch(), last) == await log.events()
        info = await nats.jetstream().stream_info(stream_name(await log.epoch()))
        assert info.state.messages == last


@pytest.mark.parametrize("cut", [Cut.UNHEARD, Cut.UNTOLD])
@pytest.mark.parametrize("singles_max", [1, 1_000])
async def test_a_connection_lost_under_a_batch_is_not_waited_for(
    nats: NatsConnection, store: PostgresEventStore, database: DatabaseUrls, cut: Cut, singles_max: int
) -> None:
    log = Growing(store)
    epoch, last = await log.epoch(), await log.grow()
    async with NatsLink(nats.connected_url.geturl()) as link:
        theirs = await connect(link.url)
        link.arm(cut, b"Nats-Batch-Commit" if singles_max == 1 else b"Nats-Expected-Last-Sequence: 4\r\n")
        feed = PostgresFeed(database.query)
        relay = Relay(theirs, log=store, feed=feed, deadline_s=600.0, singles_max=singles_max)
        task = asyncio.create_task(relay.run())
        await eventually(link.has_struck.is_set)
        assert await mirrored(nats, epoch, last) == await log.events()
        await eventually(lambda: relay.status()["sequence"] == last)
        assert relay.status()["faults"] > 0
        await end(task)
        await theirs.close()


async def test_a_log_behind_its_mirror_stops_the_relay(
    nats: NatsConnection, store: PostgresEventStore, database: DatabaseUrls
) -> None:
    log = Growing(store)
    last = await log.grow(10)
    await create_stream(nats, await log.epoch(), first_sequence=last + 100, limits=LIMITS)
    async with relaying(nats, store, database) as relay:
        await eventually(lambda: relay.status()["state"].startswith("LOG_BEHIND_STREAM"))
        assert relay.status()["published"] == 0


async def test_a_feed_reads_from_the_stream_while_all_is_well(
    nats: NatsConnection, store: PostgresEventStore, database: DatabaseUrls
) -> None:
    log = Growing(store)
    feed = JetStreamFeed(nats, store, silence_s=2.0)
    async with relaying(nats, store, database), following(feed) as read:

        async def comes_by_the_stream() -> bool:
            # It opens the stream in the background; what is recorded before that it reads from the log.
            last = await log.grow()
            await eventually(lambda: len(read) == last, within_s=20)
            return feed.metrics.from_stream > 0

        await eventually(comes_by_the_stream, within_s=20)
        first, before = len(read), feed.metrics.from_log
        last = await log.grow()
        await eventually(lambda: len(read) == last, within_s=20)
        assert read == await log.events()
        assert feed.metrics.from_log == before
        assert feed.metrics.from_stream >= last - first
        assert feed.metrics.holes == feed.metrics.mismatches == 0


async def test_a_feed_never_hands_on_what_the_stream_made_up(nats: NatsConnection, store: PostgresEventStore) -> None:
    log = Growing(store)
    epoch = await log.epoch()
    await create_stream(nats, epoch, first_sequence=1, limits=LIMITS)
    feed = JetStreamFeed(nats, store, silence_s=0.1)
    async with following(feed) as read:
        last = await log.grow()
        await eventually(lambda: len(read) == last)  # Silence: the log is read.
        await log.grow()
        events = await log.events()
        forged = msgspec.structs.replace(events[last], payload=b"{}")
        broken = msgspec.structs.replace(events[last], previous_hash=bytes(32))
        for body in (b"no event", msgspec.msgpack.encode(forged), msgspec.msgpack.encode(broken)):
            await nats.jetstream().publish(subject_of(epoch, "account-x"), body)
        # A hole, then repeats.
        for event in (*events[last + 3 : last + 6], *events[:3]):
            await nats.jetstream().publish(subject_of(epoch, event.stream_id), msgspec.msgpack.encode(event))
        await eventually(lambda: len(read) == len(events))
    assert read == events
    assert feed.metrics.silences > 0


async def test_a_hole_in_the_stream_is_filled_from_the_log(
    nats: NatsConnection, store: PostgresEventStore, database: DatabaseUrls
) -> None:
    log = Growing(store)
    epoch = await log.epoch()
    feed = JetStreamFeed(nats, store, silence_s=5.0)
    await create_stream(nats, epoch, first_sequence=1, limits=LIMITS)
    async with following(feed) as read:

        async def has_consumer() -> bool:
            return bool(await nats.jetstream().consumers_info(stream_name(epoch)))

        await eventually(has_consumer)
        await log.grow()
        events = await log.events()
        for event in (*events[:5], *events[9:12]):
            await nats.jetstream().publish(subject_of(epoch, event.stream_id), msgspec.msgpack.encode(event))
        await eventually(lambda: len(read) == len(events))
    assert read == events
    assert feed.metrics.holes == 1
    assert feed.metrics.from_stream == 5
    assert database


async def test_a_server_that_loses_everything_loses_nothing_of_ours(
    store: PostgresEventStore, database: DatabaseUrls
) -> None:
    home = make_test_home()
    home.prepare()
    server = EmbeddedNats(home, ensure_keys(home))
    try:
        nats = await connect(await server.start())
        log = Growing(store)
        feed = JetStreamFeed(nats, store, silence_s=0.1)
        async with relaying(nats, store, database) as relay, following(feed) as read:
            first = await log.grow()
            await eventually(lambda: len(read) == first)
            assert server.process is not None
            await server.process.stop()
            second = await log.grow()
            await eventually(lambda: len(read) == second)  # Without any transport.
            for path in sorted((home.nats / "store").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            await server.start()
            last = await log.grow()
            await eventually(lambda: len(read) == last)
            assert await mirrored(nats, await log.epoch(), last) == await log.events()
            assert relay.status()["streams_created"] == 2
        assert read == await log.events()
        await nats.close()
    finally:
        await server.stop()
        remove_test_home(home)


@asynccontextmanager
async def following(feed: JetStreamFeed) -> AsyncIterator[list[RecordedEvent]]:
    """Follow from the start on, into a list."""
    read: list[RecordedEvent] = []

    async def follow() -> None:
        async for batch in feed.follow(after_sequence=0):
            read.extend(batch)

    task = asyncio.create_task(follow())
    try:
        yield read
    finally:
        await end(task)
