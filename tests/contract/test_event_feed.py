"""What every feed of the log promises, whatever carries it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random

import pytest

from adapters.memory.event_store import MemoryEventStore, MemoryFeed
from adapters.nats.connection import connect
from adapters.nats.log_feed import JetStreamFeed
from adapters.nats.relay import Relay
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.shared_feed import SharedFeed
from commands.ports import EventFeed, EventStore
from domain.envelope import RecordedEvent, is_intact
from projections.tasks import end
from tests.support.lives import Life
from tests.support.log_writing import Scribe
from tests.support.servers import Servers, delete_streams, fresh_database


@dataclass(slots=True)
class Log:
    """A log and a feed of it."""

    store: EventStore
    feed: EventFeed
    number: int = 0

    async def grow(self, commands: int = 30) -> int:
        """Write one account's life and return the last sequence."""
        self.number += 1
        life = Life(Random(self.number), self.number).go_on(commands)  # noqa: S311 - no secret
        return await Scribe(self.store).write(f"account-{life.account_id}", life.events, together=7)


@asynccontextmanager
async def in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end(task)


@pytest.fixture(
    params=["memory", "memory, shared", "postgres", "jetstream", "jetstream, shared", "jetstream without a relay"]
)
async def log(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Log]:
    is_shared = request.param.endswith(", shared")
    if request.param.startswith("memory"):
        memory = MemoryEventStore()
        feed = MemoryFeed(memory, page=20)
        yield Log(memory, SharedFeed(feed) if is_shared else feed)
        return
    async with AsyncExitStack() as stack:
        database = stack.enter_context(fresh_database(servers))
        store = await stack.enter_async_context(PostgresEventStore(database.writer))
        if request.param == "postgres":
            yield Log(store, PostgresFeed(database.query))
            return
        stack.push_async_callback(delete_streams, servers.nats_url)
        nats = await connect(servers.nats_url)
        stack.push_async_callback(nats.close)
        if request.param != "jetstream without a relay":
            relay = Relay(nats, log=store, feed=PostgresFeed(database.query))
            await stack.enter_async_context(in_background(relay.run()))
        jetstream = JetStreamFeed(nats, store, silence_s=0.1, page=20)
        yield Log(store, SharedFeed(jetstream) if is_shared else jetstream)


async def read_until(feed: EventFeed, last: int, *, after: int = 0) -> list[RecordedEvent]:
    events: list[RecordedEvent] = []
    batches = feed.follow(after_sequence=after)
    async with asyncio.timeout(10):
        async for batch in batches:
            assert batch, "a batch holds something"
            events += batch
            if events[-1].sequence >= last:
                break
    await batches.aclose()  # type: ignore[attr-defined]
    return events


async def test_a_feed_brings_every_event_once_in_order(log: Log) -> None:
    last = await log.grow()
    events = await read_until(log.feed, last)
    assert [event.sequence for event in events] == list(range(1, last + 1))
    assert events == await log.store.read_all(after_sequence=0, limit=last)
    assert all(map(is_intact, events))


async def test_a_feed_starts_after_the_sequence_it_is_told(log: Log) -> None:
    last = await log.grow()
    events = await read_until(log.feed, last, after=last // 2)
    assert [event.sequence for event in events] == list(range(last // 2 + 1, last + 1))


async def test_a_feed_waits_for_what_is_not_there_yet(log: Log) -> None:
    last = await log.grow()
    reading = asyncio.create_task(read_until(log.feed, last + 1, after=last))
    await asyncio.sleep(0.05)
    assert not reading.done()
    await log.grow()
    assert (await reading)[0].sequence == last + 1


async def test_a_feed_follows_a_log_that_grows_meanwhile(log: Log) -> None:
    first = await log.grow()
    reading = asyncio.create_task(read_until(log.feed, first * 2 + 1))
    lasts = [await log.grow() for _ in range(4)]
    sequences = [event.sequence for event in await reading]
    assert sequences == list(range(1, len(sequences) + 1))
    assert len(sequences) <= lasts[-1]


async def test_two_followers_of_one_feed_read_the_same(log: Log) -> None:
    last = await log.grow()
    one, other = await asyncio.gather(read_until(log.feed, last), read_until(log.feed, last))
    assert one == other
