"""A read model is filled anew beside live traffic, compared and switched to, and no read fails meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace as replaced
from random import Random

import psycopg
import pytest

from adapters.clock import SystemClock
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.rebuilding import PostgresEditions
from adapters.postgres.view_store import PostgresViewStore
from adapters.postgres.views import PostgresViews
from commands.ports import NewEvent
from infra.database import DatabaseUrls
from projections.audit_trail import AUDIT_TRAIL
from projections.catalogue import READ_MODELS
from projections.positions import POSITIONS
from projections.queries import Paging, QueriesUnavailable
from projections.read_model import AnyReadModel
from projections.rebuild import (
    EditionsDiffer,
    NothingToGoBackTo,
    Rebuild,
    RebuildRunning,
    RebuildStopped,
    Rebuilt,
    fill_missing,
)
from projections.risk import RISK
from projections.tasks import end
from projections.trades import TRADES
from projections.verification import differences
from tests.support.eventually import eventually
from tests.support.lives import Life
from tests.support.log_writing import Scribe
from tests.support.projecting import projector_of, reach, running, write_lives, write_new_lives


@pytest.fixture
async def editions(database: DatabaseUrls) -> AsyncIterator[PostgresEditions]:
    async with PostgresEditions(database.projector, owner="rebuild-1") as opened:
        yield opened


async def rebuild(
    model: AnyReadModel, store: PostgresEventStore, editions: PostgresEditions, *, page: int = 50
) -> Rebuilt:
    return await Rebuild(model, READ_MODELS, log=store, editions=editions, clock=SystemClock(), page=page).run()


@asynccontextmanager
async def traffic(store: PostgresEventStore, *, first: int = 50) -> AsyncIterator[list[str]]:
    """Accounts come to be and trade, until the block ends."""
    accounts: list[str] = []

    async def write() -> None:
        scribe = Scribe(store)
        for number in range(first, first + 10_000):
            life = Life(Random(number), number).go_on(20)  # noqa: S311 - no secret
            await scribe.write(f"account-{life.account_id}", life.events, together=5)
            accounts.append(life.account_id)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(write())
    try:
        yield accounts
        assert not task.done(), "the traffic went on"
    finally:
        await end(task)


def tables(database: DatabaseUrls, name: str) -> set[str]:
    with psycopg.connect(database.projector) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'views'").fetchall()
    return {table for (table,) in found if table.startswith(f"{name}_v")}


@pytest.mark.timeout(240)  # One rebuild after another: a dozen of them on a busy machine.
@pytest.mark.parametrize(("shards", "models"), [(1, READ_MODELS), (3, (POSITIONS, AUDIT_TRAIL))])
async def test_every_read_model_is_rebuilt_beside_live_traffic_and_no_read_fails(
    database: DatabaseUrls,
    store: PostgresEventStore,
    views: PostgresViews,
    editions: PostgresEditions,
    *,
    shards: int,
    models: tuple[AnyReadModel, ...],
) -> None:
    last, lives = await write_lives(store, accounts=3, commands=40)
    account = lives[0].account_id
    reads = 0

    async def read(queries: PostgresViews) -> None:
        nonlocal reads
        while True:
            portfolio = await queries.portfolio(account)
            assert portfolio.value is not None
            assert (await queries.trades([account])).rows
            reads += 1
            await asyncio.sleep(0.01)

    async with running(database, shards=shards) as projector, PostgresViews(database.query) as queries:
        await reach(projector, last)
        reading = asyncio.create_task(read(queries))
        async with traffic(store):
            for model in models:
                done = await rebuild(model, store, editions)
                assert done.not_compared is None
                assert done.edition.table_name == f"{model.name}_v{model.version}_g2"
                assert done.compared_rows > 0
        before = reads
        await eventually(lambda: reads > before + 3 or reading.done())
        assert not reading.done(), reading
        await end(reading)
        await reach(projector, (await store.head()).sequence)
        await queries.wait_for((await store.head()).sequence)
        assert {model.generation for model in projector.progress().models} == {1, 2}
    assert await differences(READ_MODELS, log=store, views=views) == []
    assert (await editions.in_use(POSITIONS)) is POSITIONS.in_generation(2)


async def test_going_back_finds_the_old_edition_up_to_date(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews, editions: PostgresEditions
) -> None:
    last, _ = await write_lives(store, accounts=1)
    async with running(database) as projector:
        await reach(projector, last)
        with pytest.raises(NothingToGoBackTo):
            await editions.back(TRADES)
        await rebuild(TRADES, store, editions)
        await reach(projector, await write_new_lives(store, first=11, accounts=1))
        assert await editions.back(TRADES) is TRADES
        last = await write_new_lives(store, first=12, accounts=1)
        await reach(projector, last)
        await views.wait_for(last)
        assert await differences(READ_MODELS, log=store, views=views) == []
        assert await editions.in_use(TRADES) is TRADES


async def test_what_readers_left_goes_later_and_readers_who_did_not_hear_of_it_look_it_up(
    database: DatabaseUrls, store: PostgresEventStore, editions: PostgresEditions
) -> None:
    last, lives = await write_lives(store, accounts=1)
    async with running(database, lease_ms=600) as projector, PostgresViews(database.query) as queries:
        await reach(projector, last)
        before = await queries.trades([lives[0].account_id])
        # Deaf from here on, like a reader whose connection for notifications hangs.
        assert queries._listener is not None
        await end(queries._listener)
        await rebuild(TRADES, store, editions)
        assert tables(database, "trades") == {"trades_v3", "trades_v3_g2"}
        assert await queries.trades([lives[0].account_id]) == before
        with psycopg.connect(database.projector, autocommit=True) as connection:
            connection.execute("UPDATE views.editions SET drop_at = clock_timestamp() WHERE drop_at IS NOT NULL")
        await eventually(lambda: tables(database, "trades") == {"trades_v3_g2"})
        after = await queries.trades([lives[0].account_id])
        assert after.rows == before.rows
        with pytest.raises(NothingToGoBackTo):
            await editions.back(TRADES)
        await reach(projector, await write_new_lives(store, first=11, accounts=1))


async def test_a_new_edition_that_differs_is_not_switched_to(
    database: DatabaseUrls, store: PostgresEventStore, editions: PostgresEditions
) -> None:
    last, _ = await write_lives(store)
    async with running(database) as projector:
        await reach(projector, last)
        with psycopg.connect(database.projector, autocommit=True) as connection:
            connection.execute("UPDATE views.positions_v3 SET bought_paise = bought_paise + 1 WHERE net_quantity > 0")
        with pytest.raises(EditionsDiffer):
            await rebuild(POSITIONS, store, editions)
        assert tables(database, "positions") == {"positions_v3"}
        assert await editions.in_use(POSITIONS) is POSITIONS
        await reach(projector, await write_new_lives(store, first=11, accounts=1))


async def test_a_rebuild_never_skips_what_was_parked(
    database: DatabaseUrls, store: PostgresEventStore, editions: PostgresEditions
) -> None:
    scribe = Scribe(store)
    async with running(database) as projector:
        await eventually(lambda: projector.progress().state == "working")
        last = await scribe.write_raw("user-1", [NewEvent(name="user.registered.v1", payload=b'{"user_id": 7}')])
        await eventually(lambda: projector.progress().state == "halted")
        with pytest.raises(RebuildStopped, match=f"sequence {last}"):
            await rebuild(AUDIT_TRAIL, store, editions)
    assert tables(database, "audit_trail") == {"audit_trail_v1"}


async def test_a_rebuild_that_was_killed_goes_on_where_it_was(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews, editions: PostgresEditions
) -> None:
    last, _ = await write_lives(store, accounts=4)
    async with running(database) as projector:
        await reach(projector, last)
        edition, checkpoint = await editions.begin(TRADES)
        first = Rebuild(TRADES, READ_MODELS, log=store, editions=editions, clock=SystemClock(), page=20)
        filling = asyncio.create_task(first._fill(edition, checkpoint))
        await eventually(lambda: first._events > 40)
        await end(filling)
        async with PostgresEditions(database.projector, owner="rebuild-2") as other:
            with pytest.raises(RebuildRunning):
                await rebuild(TRADES, store, other)
            with psycopg.connect(database.projector, autocommit=True) as connection:
                connection.execute("UPDATE views.checkpoints SET lease_until = '-infinity' WHERE owner = 'rebuild-1'")
            done = await rebuild(TRADES, store, other)
        assert done.events < last
        assert done.edition is edition
    assert await differences(READ_MODELS, log=store, views=views) == []


async def test_what_was_filled_from_another_history_is_not_gone_on_with(
    database: DatabaseUrls, store: PostgresEventStore, editions: PostgresEditions
) -> None:
    last, _ = await write_lives(store, accounts=1)
    async with running(database) as projector:
        await reach(projector, last)
    edition, checkpoint = await editions.begin(TRADES)
    first = Rebuild(TRADES, READ_MODELS, log=store, editions=editions, clock=SystemClock())
    await first._fill(edition, checkpoint)
    with psycopg.connect(database.projector, autocommit=True) as connection:
        connection.execute("UPDATE views.checkpoints SET hash = sha256('other') WHERE owner = 'rebuild-1'")
    await write_new_lives(store, first=11, accounts=1)
    with pytest.raises(RebuildStopped, match="EPOCH_CHANGED"):
        await rebuild(TRADES, store, editions)
    assert tables(database, "trades") == {"trades_v3"}


async def test_a_later_release_fills_its_version_beside_the_one_that_serves(
    database: DatabaseUrls, store: PostgresEventStore, editions: PostgresEditions
) -> None:
    last, lives = await write_lives(store, accounts=2)
    accounts = [life.account_id for life in lives]
    later = tuple(replaced(model, version=4) if model is TRADES else model for model in READ_MODELS)
    async with running(database) as old, PostgresViews(database.query) as queries:
        await reach(old, last)
        new, kept = projector_of(database, "later", models=later)
        task = asyncio.create_task(new.run())
        try:
            await eventually(lambda: tables(database, "trades") == {"trades_v3", "trades_v4"})
            before = (await queries.trades(accounts, paging=Paging(limit=200))).rows
            assert before
            await fill_missing(later, log_reader=store, editions=editions, clock=SystemClock())
            # Readers of the old release have their own version still, and it still follows.
            last = await write_new_lives(store, first=11, accounts=1)
            await reach(old, last)
            assert (await queries.trades(accounts, paging=Paging(limit=200))).rows == before
            # The projector of the later release keeps what is new, the old one what they have in common.
            await reach(new, last)
            assert [model.version for model in new.progress().models] == [4]
            assert {model.name for model in old.progress().models} == {model.name for model in READ_MODELS}
        finally:
            await end(task)
            await kept.close()
    async with running(database, "later-2", models=later) as new:
        await reach(new, last)
        with psycopg.connect(database.projector, autocommit=True) as connection:
            [[rows]] = connection.execute("SELECT count(*) FROM views.trades_v4").fetchall()
            assert (rows,) == connection.execute("SELECT count(*) FROM views.trades_v3").fetchone()
            connection.execute("UPDATE views.editions SET drop_at = clock_timestamp() WHERE drop_at IS NOT NULL")
        await eventually(lambda: tables(database, "trades") == {"trades_v4"})
    # The old release's projector does not bring its table back.
    old_store = PostgresViewStore(database.projector, owner="old-again")
    await old_store.prepare(READ_MODELS, shards=1)
    await old_store.close()
    assert tables(database, "trades") == {"trades_v4"}
    async with PostgresViews(database.query) as queries:
        with pytest.raises(QueriesUnavailable):
            await queries.trades(accounts)


async def test_a_start_on_the_views_of_the_first_release_fills_what_has_changed_and_what_is_new(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews, editions: PostgresEditions
) -> None:
    new = {"daily_results", "cash_moves", "limit_changes", "memberships", "alerts", "order_doubts"}
    first_release = tuple(replaced(model, version=1) for model in READ_MODELS if model.name not in new)
    last, lives = await write_lives(store, accounts=3)
    first, first_kept = projector_of(database, "first", models=first_release)
    serving = asyncio.create_task(first.run())
    try:
        await reach(first, last)
        async with running(database) as present, PostgresViews(database.query) as queries:
            await eventually(lambda: tables(database, "limit_changes") == {"limit_changes_v1"})
            with pytest.raises(QueriesUnavailable):
                await queries.portfolio(lives[0].account_id)
            await fill_missing(READ_MODELS, log_reader=store, editions=editions, clock=SystemClock())
            last = await write_new_lives(store, first=11, accounts=1)
            await reach(first, last)
            await reach(present, last)
            await queries.wait_for(last)
            assert (await queries.portfolio(lives[0].account_id)).value is not None
        assert tables(database, "risk") == {"risk_v1", RISK.table_name}
        assert tables(database, "cash_moves") == {"cash_moves_v1"}
        assert await differences(READ_MODELS, log=store, views=views) == []
    finally:
        await end(serving)
        await first_kept.close()
