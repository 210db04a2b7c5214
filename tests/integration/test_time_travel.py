"""Time travel on the real PostgreSQL: tables, stored states and the log give one answer."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import msgspec
import psycopg
import pytest
from msgspec.structs import replace

from adapters.clock import SystemClock
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.reading import LogHole
from adapters.postgres.stored_states import PostgresStates, PostgresStatesStore
from adapters.postgres.view_store import PostgresViewStore
from adapters.postgres.views import PostgresViews
from adapters.postgres.waiting_log import WaitingLog
from domain.envelope import RecordedEvent
from domain.events import decode
from infra.database import DatabaseUrls
from projections.as_of import History
from projections.catalogue import READ_MODELS
from projections.historical_marks import EventMarks
from projections.past import PORTFOLIO, PastAccounts
from projections.projector import Projector
from projections.queries import Paging, Sort, TradeFilter
from projections.read_model import Key, fold
from projections.state_keeper import MODELS, TABLES, StateKeeper
from projections.tasks import end
from projections.trades import TradeStatus
from tests.support.eventually import eventually
from tests.support.happenings import Happenings
from tests.support.lives import Life
from tests.support.log_writing import Scribe, recorded_log
from tests.support.paging import paged
from tests.support.past_answers import check_against_oracle


@pytest.fixture
async def queries(database: DatabaseUrls) -> AsyncIterator[PostgresViews]:
    async with PostgresViews(database.query) as opened:
        yield opened


@pytest.fixture
async def states(database: DatabaseUrls) -> AsyncIterator[PostgresStatesStore]:
    opened = PostgresStatesStore(database.projector)
    yield opened
    await opened.close()


@asynccontextmanager
async def projecting(database: DatabaseUrls) -> AsyncIterator[Projector]:
    kept = PostgresViewStore(database.projector, owner="p-1")
    feed = PostgresFeed(database.projector)
    projector = Projector(READ_MODELS, feed=feed, views=kept, clock=SystemClock())
    task = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        await end(task)
        await kept.close()


async def write_lives(
    store: PostgresEventStore, random: Random, *, accounts: int = 2, commands: int = 90
) -> list[Life | Happenings]:
    """Let accounts live side by side, a few commands each at a time; every second life is one of happenings."""
    scribe = Scribe(store)
    kinds = [Life, Happenings]
    lives = [kinds[number % 2](random, number) for number in range(accounts)]
    written = [0] * accounts
    for _ in range(commands * accounts // 10):
        number = random.randrange(accounts)
        life = lives[number].go_on(10)
        await scribe.write(f"account-{life.account_id}", life.events[written[number] :])
        written[number] = len(life.events)
    return lives


def keeper_of(store: PostgresEventStore, states: PostgresStatesStore, events_max: int = 20) -> StateKeeper:
    return StateKeeper(log=WaitingLog(store), states=states, clock=SystemClock(), events_max=events_max)


def history_of(store: PostgresEventStore, queries: PostgresViews) -> History:
    """Return a history that remembers nothing of earlier questions."""
    accounts = PastAccounts(states=PostgresStates(queries), log=store)
    return History(
        queries=queries, accounts=accounts, log=store, marks=EventMarks(accounts), clock=SystemClock(), is_tape=True
    )


async def check(
    store: PostgresEventStore,
    queries: PostgresViews,
    lives: list[Life | Happenings],
    events: list[RecordedEvent],
    sequence: int,
) -> None:
    """Hold SQL and stored states against a fold of the whole log and against the oracle."""
    history = history_of(store, queries)
    past = history.at(await history.moment_of(sequence))
    for life in lives:
        await check_against_oracle(past, life.account_id, events)
    pairs = [(decode(each.name, each.payload), each) for each in events[:sequence]]
    for kind in PORTFOLIO:
        folded: dict[Key, Any] = {}
        fold(kind.model, pairs, folded)
        found: dict[Key, Any] = {}
        for life in lives:
            mine = {key: row for key, row in folded.items() if row.account_id == life.account_id}
            births = None if kind.born is None else {key: kind.born(row) for key, row in mine.items()}
            then = PastAccounts(states=PostgresStates(queries), log=store).then(life.account_id, sequence)
            found |= await then.rows(kind, births)
        assert found == folded


async def test_fold_and_sql_and_oracle_agree_whatever_is_stored(
    database: DatabaseUrls, store: PostgresEventStore, queries: PostgresViews, states: PostgresStatesStore
) -> None:
    random = Random(11)  # noqa: S311 - no secret
    lives = await write_lives(store, random)
    events = await store.read_all(after_sequence=0, limit=10_000)
    async with projecting(database) as projector:
        await projector.reach(len(events))
        await states.prepare()
        places = [random.randint(1, len(events)) for _ in range(3)]
        for sequence in places:
            await check(store, queries, lives, events, sequence)
        await keeper_of(store, states).catch_up()
        assert await states.versions([lives[0].account_id], MODELS) != {lives[0].account_id: 0}
        for sequence in places:
            await check(store, queries, lives, events, sequence)
        with psycopg.connect(database.projector, autocommit=True) as connection:
            connection.execute("SELECT setseed(0.5)")
            connection.execute("DELETE FROM views.stored_states WHERE random() < 0.4")
        for sequence in places:
            await check(store, queries, lives, events, sequence)


async def test_pages_and_filters_work_in_the_past_as_they_did_then(
    database: DatabaseUrls, store: PostgresEventStore, queries: PostgresViews, states: PostgresStatesStore
) -> None:
    lives = await write_lives(store, Random(5), accounts=2, commands=150)  # noqa: S311 - no secret
    events = await store.read_all(after_sequence=0, limit=10_000)
    accounts = [life.account_id for life in lives]
    async with projecting(database) as projector:
        await projector.reach(len(events))
        await keeper_of(store, states).catch_up()
        history = history_of(store, queries)
        past = history.at(await history.moment_of(len(events) * 2 // 3))
        whole = list((await past.trades(accounts, paging=Paging(limit=200))).rows)
        for sort, expected in ((Sort.NEWEST, whole), (Sort.OLDEST, whole[::-1])):
            assert await paged(partial(past.trades, accounts), Paging(sort=sort, limit=3)) == expected
        assert len(whole) > 10
        # Open then, over by now: found by what it was.
        now = {row.trade_id: row.status for row in (await queries.trades(accounts, paging=Paging(limit=200))).rows}
        assert any(now[row.trade_id] is not row.status for row in whole)
        for status in TradeStatus:
            wanted = [row for row in whole if row.status is status]
            assert (await past.trades(accounts, TradeFilter(status=status), Paging(limit=200))).rows == wanted
            few = await past.trades(accounts, TradeFilter(status=status), Paging(limit=1))
            assert (few.rows, few.next_before is None) == (wanted[:1], len(wanted) < 2)
            first = await past.trades(accounts, TradeFilter(status=status), Paging(sort=Sort.OLDEST, limit=1))
            assert (first.rows, first.next_after is None) == (wanted[-1:], len(wanted) < 2)
        symbol = whole[0].symbol
        assert (await past.trades(accounts, TradeFilter(symbol=symbol), Paging(limit=200))).rows == [
            row for row in whole if row.symbol == symbol
        ]


async def test_a_time_means_the_last_event_at_or_before_it(store: PostgresEventStore) -> None:
    assert await store.sequence_at(2**60) == 0, "an empty log has no event at any time"
    await write_lives(store, Random(2), accounts=2, commands=60)  # noqa: S311 - no secret
    events = await store.read_all(after_sequence=0, limit=10_000)
    times = [each.recorded_at_us for each in events]
    assert len(set(times)) < len(times), "events of one append have one time"
    for wanted in {*times, *(at - 1 for at in times), *(at + 1 for at in times), 0, 2**52}:
        assert await store.sequence_at(wanted) == sum(at <= wanted for at in times)


async def test_a_span_of_a_stream_ends_where_it_is_told_to(store: PostgresEventStore) -> None:
    [life] = await write_lives(store, Random(4), accounts=1, commands=300)  # noqa: S311 - no secret
    stream_id = f"account-{life.account_id}"
    events = await store.read_stream(stream_id)
    assert len(events) > 260, "several windows"
    for after, last in ((0, len(events)), (3, 200), (10, 11), (128, 256), (40, 39)):
        found = await store.read_span(stream_id, after_version=after, after_sequence=after, last_sequence=last)
        assert found == events[after:last]
    some = await store.read_span(stream_id, after_version=7, after_sequence=0, last_sequence=10**9, limit=150)
    assert some == events[7:157]


async def test_stored_states_are_seen_by_whom_they_belong_to(
    database: DatabaseUrls, store: PostgresEventStore, queries: PostgresViews, states: PostgresStatesStore
) -> None:
    lives = await write_lives(store, Random(6), accounts=2)  # noqa: S311 - no secret
    head = await store.head()
    async with projecting(database) as projector:
        await projector.reach(head.sequence)
        await keeper_of(store, states).catch_up()
    async with queries.reading([lives[0].account_id]) as connection:
        cursor = await connection.execute("SELECT DISTINCT account_id FROM views.stored_states")
        assert await cursor.fetchall() == [{"account_id": lives[0].account_id}]
    async with await psycopg.AsyncConnection.connect(database.query) as plain:
        counted = await plain.execute("SELECT count(*) FROM views.stored_states")
        assert await counted.fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await plain.execute("DELETE FROM views.stored_states")


async def test_progress_belongs_to_the_versions_it_was_made_with(states: PostgresStatesStore) -> None:
    await states.prepare()
    await states.prepare()
    await states.move_to(MODELS, 7)
    await states.move_to(MODELS, 9)
    assert await states.progress(MODELS) == 9
    assert await states.progress([*MODELS[1:], dataclasses.replace(MODELS[0], version=MODELS[0].version + 1)]) == 0


async def test_time_and_span_go_over_partitions_and_begin_where_the_table_does(
    database: DatabaseUrls, store: PostgresEventStore
) -> None:
    """What came before may be archived: the oldest event of the table need not be the first of the log."""
    life = Life(Random(4)).go_on(40)  # noqa: S311 - no secret
    stream_id, before = f"account-{life.account_id}", 999_990
    log = [replace(each, sequence=each.sequence + before) for each in recorded_log((stream_id, e) for e in life.events)]
    with psycopg.connect(database.admin, autocommit=True) as admin:
        for each in log:
            admin.execute(
                "INSERT INTO log.events VALUES (%s, %s, %s, %s, %s, %s, %s,"
                " timestamptz 'epoch' + %s * interval '1 microsecond', %s, %s)",
                msgspec.structs.astuple(each),
            )
        admin.execute("UPDATE log.head SET sequence = %s, hash = %s", [log[-1].sequence, log[-1].hash])
        assert log[-1].sequence > 1_000_005
        for each in log:
            assert await store.sequence_at(each.recorded_at_us) == each.sequence
            assert await store.sequence_at(each.recorded_at_us + 999) == each.sequence
        assert await store.sequence_at(log[0].recorded_at_us - 1) == 0
        assert await store.sequence_at(2**60) == log[-1].sequence
        found = await store.read_span(stream_id, after_version=5, after_sequence=999_995, last_sequence=1_000_004)
        assert found == log[5:14]
        # A sequence that was taken out is met by whoever halves past it.
        admin.execute("DELETE FROM log.events WHERE sequence >= 1000000 AND sequence < %s", [log[-1].sequence])
        with pytest.raises(LogHole):
            await store.sequence_at(log[-2].recorded_at_us)


async def test_a_keeper_that_starts_anew_stores_what_the_one_before_it_left(
    database: DatabaseUrls, store: PostgresEventStore, states: PostgresStatesStore
) -> None:
    async with projecting(database) as projector:
        await write_lives(store, Random(8), accounts=2, commands=40)  # noqa: S311 - no secret
        await projector.reach((await store.head()).sequence)
        await keeper_of(store, states, events_max=7).catch_up()
        [life] = await write_lives_more(store)
        await projector.reach((await store.head()).sequence)
        await keeper_of(store, states, events_max=7).catch_up()
        stream = await store.read_stream(f"account-{life.account_id}")
        assert len(stream) - (await states.versions([life.account_id], MODELS))[life.account_id] < 7
        before = await count_states(database)
        await keeper_of(store, states, events_max=7).catch_up()
        assert await count_states(database) == before


async def write_lives_more(store: PostgresEventStore) -> list[Life]:
    life = Life(Random(9), 7).go_on(60)  # noqa: S311 - no secret
    await Scribe(store).write(f"account-{life.account_id}", life.events)
    return [life]


async def count_states(database: DatabaseUrls) -> int:
    async with await psycopg.AsyncConnection.connect(database.projector) as connection:
        row = await (await connection.execute("SELECT count(*) FROM views.stored_states")).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_running_keeper_outlives_its_connection(
    database: DatabaseUrls, store: PostgresEventStore, states: PostgresStatesStore
) -> None:
    async with projecting(database) as projector:
        [life] = await write_lives_more(store)
        await projector.reach((await store.head()).sequence)
        keeper = keeper_of(store, states, events_max=10)
        running = asyncio.create_task(keeper.run())
        try:

            async def version() -> int:
                other = PostgresStatesStore(database.projector)
                found = await other.versions([life.account_id], TABLES)
                await other.close()
                return found[life.account_id]

            await eventually(lambda: keeper.is_prepared, within_s=30)
            await eventually(version, within_s=30)
            with psycopg.connect(database.admin, autocommit=True) as admin:
                killed = admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'khata stored states'"
                ).fetchall()
            assert killed
            other = Life(Random(12), 9).go_on(60)  # noqa: S311 - no secret
            last = await Scribe(store).write(f"account-{other.account_id}", other.events)
            await projector.reach(last)
            life = other
            await eventually(version, within_s=30)
        finally:
            await end(running)
