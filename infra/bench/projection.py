"""Bench `projection`: events a second applied to all read models, from JetStream and from PostgreSQL."""

import asyncio
import time
from functools import partial

import psycopg
from psycopg import sql

from adapters.clock import SystemClock
from adapters.nats.connection import NatsConnection, connect
from adapters.nats.log_feed import JetStreamFeed
from adapters.nats.relay import Relay
from adapters.nats.stream import last_sequence
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.view_store import PostgresViewStore
from infra.bench.events import ACCOUNTS, INSTRUMENTS, lives, until
from infra.bench.filling import LogFiller
from infra.bench.ground import Ground, running_servers, sync_ms
from infra.bench.library_projection import library_rate
from infra.bench.run import Bench
from infra.bench.views_check import folded, written
from infra.bench.yardstick import in_thread, within
from infra.database import DatabaseUrls
from infra.wiring.projecting import spare_the_collector
from projections.catalogue import READ_MODELS
from projections.ports import EventFeed
from projections.projector import Projector
from projections.tasks import end

EVENTS, EVENTS_QUICK = 300_000, 20_000
YARDSTICK_EVENTS, YARDSTICK_EVENTS_QUICK = 10_000, 600
YARDSTICK_S, YARDSTICK_S_QUICK = 600, 60
EVENT_TYPES_MIN = 12
_POLL_S = 0.05
_CONTENTS = """
    -- Count events and their types, and weigh their payloads.
    SELECT count(*), count(DISTINCT name), avg(length(payload))::integer FROM log.events
"""


async def run(bench: Bench) -> None:
    """Measure."""
    events = EVENTS_QUICK if bench.is_quick else EVENTS
    fewer = YARDSTICK_EVENTS_QUICK if bench.is_quick else YARDSTICK_EVENTS
    within_s = YARDSTICK_S_QUICK if bench.is_quick else YARDSTICK_S
    task = bench.progress.add_task("starting servers", total=4)
    spare_the_collector()
    async with running_servers() as ground:
        bench.progress.update(task, description="the yardstick", advance=1)
        with ground.fresh_database() as database:
            await _prepared(database)
            _commit_alike(database)
            library = in_thread(partial(library_rate, database.admin, lives(seed=bench.seed), fewer))
            yardstick = await within(bench.report, "a yardstick", library, seconds=within_s)
        bench.progress.update(task, description="from the log", advance=1)
        with ground.fresh_database() as database:
            last = await _fill(bench, database, events)
            store_rate = await _rate(database, PostgresFeed(database.projector), last)
            expected = folded(database.admin, READ_MODELS)
            bench.report.check("every read model has rows", holds=all(expected.values()))
            bench.report.check(
                "the rows from the log are those of a fold", holds=written(database.admin, READ_MODELS) == expected
            )
        bench.progress.update(task, description="from the stream", advance=1)
        with ground.fresh_database() as database:
            await _fill(bench, database, events)
            stream_rate = await _from_stream(bench, ground, database, last)
            bench.report.check(
                "the rows from the stream are those of a fold", holds=written(database.admin, READ_MODELS) == expected
            )
            _note_log(bench, database)
        median, p99 = sync_ms(ground.home.path)
    bench.report.add("events_stream", stream_rate, unit="events/s", better="higher", yardstick=yardstick)
    bench.report.add("events_store", store_rate, unit="events/s", better="higher", yardstick=yardstick)
    bench.report.note("accounts", f"{ACCOUNTS}, {INSTRUMENTS} instruments, {len(READ_MODELS)} read models")
    bench.report.note(
        "yardstick",
        f"ProjectionRunner of the eventsourcing library, same folds, tables and commit setting, {fewer:,} events",
    )
    bench.report.note("stream", "the stream is complete before the projector starts")
    bench.report.note("sync", f"median {median:.2f} ms, p99 {p99:.2f} ms")


async def _fill(bench: Bench, database: DatabaseUrls, events: int) -> int:
    """Fill the log and return its last sequence."""
    filler = LogFiller(database.owner, tell=lambda _: None)
    await asyncio.to_thread(filler.fill, until(events, lives(seed=bench.seed)))
    return filler.sequence


def _note_log(bench: Bench, database: DatabaseUrls) -> None:
    with psycopg.connect(database.query) as connection:
        row = connection.execute(_CONTENTS).fetchone()
    events, types, size = row or (0, 0, 0)
    bench.report.check(f"{EVENT_TYPES_MIN} event types or more", holds=types >= EVENT_TYPES_MIN)
    bench.report.note("events", f"{events:,} of {types} types, {size} bytes each")


def _commit_alike(database: DatabaseUrls) -> None:
    """Let the yardstick's commits wait for the disk as little as the projector's do."""
    with psycopg.connect(database.admin, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))


async def _prepared(database: DatabaseUrls) -> None:
    views = PostgresViewStore(database.projector, owner="bench")
    await views.prepare(READ_MODELS, shards=1)
    await views.close()


async def _rate(database: DatabaseUrls, feed: EventFeed, events: int) -> float:
    await _prepared(database)
    views = PostgresViewStore(database.projector, owner="bench")
    projector = Projector(READ_MODELS, feed=feed, views=views, clock=SystemClock())
    began = time.perf_counter()
    task = asyncio.create_task(projector.run())
    await projector.reach(events)
    rate = events / (time.perf_counter() - began)
    await end(task)
    await views.close()
    return rate


async def _from_stream(bench: Bench, ground: Ground, database: DatabaseUrls, events: int) -> float:
    nats = await connect(ground.nats_url)
    async with PostgresEventStore(database.writer) as store:
        await _mirror(nats, store, database, events)
        feed = JetStreamFeed(nats, store, is_stream_first=True)
        rate = await _rate(database, feed, events)
        bench.report.check("every event came from the stream", holds=feed.metrics.from_stream >= events)
    await nats.close()
    return rate


async def _mirror(nats: NatsConnection, store: PostgresEventStore, database: DatabaseUrls, events: int) -> None:
    relay = Relay(nats, log=store, feed=PostgresFeed(database.writer), backfill=events)
    task = asyncio.create_task(relay.run())
    epoch = (await store.head()).epoch
    while (await last_sequence(nats, epoch) or 0) < events:  # noqa: ASYNC110 - a look now and then is enough
        await asyncio.sleep(_POLL_S)
    await end(task)
