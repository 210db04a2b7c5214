"""Several projectors share the work by shards; whoever dies is replaced, and the rows are those of a fold."""

import asyncio

import psycopg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.views import PostgresViews
from infra.database import DatabaseUrls
from projections.catalogue import READ_MODELS
from projections.projector import Projector
from projections.queries import ReadModelBehind
from projections.tasks import end
from projections.verification import differences
from tests.support.eventually import eventually
from tests.support.projecting import projector_of, reach, running, write_lives, write_new_lives
from tests.support.specimens import user_registered

SHARDS = 4
WITHIN_S = 15.0


def shards_of(projector: Projector) -> set[int]:
    return (
        {status.shard for status in projector.progress().shards} if projector.progress().state == "working" else set()
    )


async def test_two_projectors_share_the_shards_and_one_takes_over_what_the_other_leaves(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews
) -> None:
    async with running(database, "p-1", shards=SHARDS, lease_ms=600) as first:
        await eventually(lambda: len(shards_of(first)) == SHARDS, within_s=WITHIN_S)
        dying, kept = projector_of(database, "p-2", shards=SHARDS, lease_ms=600)
        task = asyncio.create_task(dying.run())
        await eventually(lambda: len(shards_of(dying)) == 2, within_s=WITHIN_S)
        await eventually(lambda: len(shards_of(first)) == 2, within_s=WITHIN_S)
        assert shards_of(first) | shards_of(dying) == set(range(SHARDS))
        last, _ = await write_lives(store, accounts=6, commands=40)
        await asyncio.gather(reach(first, last), reach(dying, last))
        assert await differences(READ_MODELS, log=store, views=views) == []

        # It hangs for ever, its claim and its unfinished batch with it.
        async with dying._views._session._lock:  # type: ignore[attr-defined]
            more = await write_new_lives(store, first=11)
            await eventually(lambda: len(shards_of(first)) == SHARDS, within_s=WITHIN_S)
            await reach(first, more)
            await views.wait_for(more, timeout_s=5)
            assert await differences(READ_MODELS, log=store, views=views) == []
        await end(task)
        await kept.close()
        assert {status.shard for status in first.progress().shards} == set(range(SHARDS))
        assert all(status.lag_events == 0 and status.heartbeat_ns for status in first.progress().shards)


async def test_readers_wait_for_the_slowest_shard(database: DatabaseUrls, store: PostgresEventStore) -> None:
    last, _ = await write_lives(store, accounts=2, commands=20)
    async with running(database, shards=SHARDS) as projector:
        await reach(projector, last)
    with psycopg.connect(database.projector, autocommit=True) as connection:
        connection.execute("UPDATE views.checkpoints SET sequence = %s WHERE name = 'orders' AND shard = 2", [last - 3])
    async with PostgresViews(database.query) as queries:
        with pytest.raises(ReadModelBehind) as raised:
            await queries.wait_for(last, timeout_s=0.5)
        assert (await queries.user(user_registered.user_id)).sequence == last
    assert raised.value.lag == 3


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2), (4, 1)])
async def test_the_number_of_shards_changes_between_two_runs(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews, before: int, after: int
) -> None:
    last, _ = await write_lives(store, accounts=2, commands=20)
    async with running(database, "p-1", shards=before) as projector:
        await reach(projector, last)
    more = await write_new_lives(store, first=11)
    async with running(database, "p-2", shards=after) as projector:
        await reach(projector, more)
        await eventually(lambda: shards_of(projector) == set(range(after)), within_s=WITHIN_S)
        assert projector.progress().shard_count == after
    assert await differences(READ_MODELS, log=store, views=views) == []


async def test_shards_at_different_places_are_brought_to_one_before_their_number_changes(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews
) -> None:
    async with running(database, "p-1", shards=2, batch=5) as first:
        await eventually(lambda: shards_of(first) == {0, 1}, within_s=WITHIN_S)
        async with running(database, "p-2", shards=2, batch=7) as second:
            await eventually(lambda: len(shards_of(second)) == 1, within_s=WITHIN_S)
            await write_lives(store, accounts=4, commands=60)
            await eventually(lambda: first.progress().sequence > 10, within_s=WITHIN_S)
    with psycopg.connect(database.projector) as connection:
        places = connection.execute("SELECT count(DISTINCT sequence) FROM views.checkpoints").fetchone()
    assert places is not None
    last = (await store.head()).sequence
    async with running(database, "p-3", shards=1) as third:
        await eventually(lambda: third.progress().shard_count == 1, within_s=WITHIN_S)
        await eventually(lambda: shards_of(third) == {0}, within_s=WITHIN_S)
        await reach(third, last)
    assert await differences(READ_MODELS, log=store, views=views) == []
