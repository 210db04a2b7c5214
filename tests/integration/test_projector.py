"""The projector on real servers: exactly once in effect, whatever is killed and however many want the work."""

import asyncio
from functools import partial
from random import Random

import psycopg
import pytest
from psycopg import sql

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.views import PostgresViews
from commands.ports import NewEvent
from infra.database import DatabaseUrls
from projections.catalogue import READ_MODELS
from projections.queries import Paging, QueriesUnavailable, ReadModelBehind, Sort, TradeFilter
from projections.risk import RISK
from projections.tasks import end
from projections.verification import differences
from tests.support.eventually import eventually
from tests.support.lives import Life
from tests.support.log_writing import Scribe
from tests.support.paging import paged
from tests.support.projecting import projector_of, reach, running, write_lives
from tests.support.specimens import user_registered


async def test_read_models_equal_a_fold_of_the_log(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews
) -> None:
    last, _ = await write_lives(store)
    async with running(database) as projector:
        await reach(projector, last)
        progress = projector.progress()
        assert progress.state == "working"
        assert progress.sequence == last
        assert not progress.halted
        assert progress.event_to_view.samples == last
    assert await differences(READ_MODELS, log=store, views=views) == []


async def test_a_later_projector_knows_at_once_what_an_earlier_one_reached(
    database: DatabaseUrls, store: PostgresEventStore
) -> None:
    last, _ = await write_lives(store, accounts=1, commands=5)
    async with running(database) as projector:
        await reach(projector, last)
    async with running(database, "p-2") as projector:
        await reach(projector, last)
        assert projector.progress().batches == 0


async def test_a_projector_killed_anywhere_takes_each_event_in_once(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews
) -> None:
    last, _ = await write_lives(store, accounts=2)
    random = Random(7)  # noqa: S311 - no secret
    kills = 0
    async with asyncio.timeout(50):
        while True:
            projector, kept = projector_of(database, f"p-{kills}", batch=7)
            task = asyncio.create_task(projector.run())
            reached = asyncio.create_task(projector.reach(last))
            # Longer lives from kill to kill, or a slow machine never lets one get past its start.
            life_s = random.uniform(0.005, 0.04 + 0.02 * kills)
            await asyncio.wait({task, reached}, timeout=life_s, return_when=asyncio.FIRST_COMPLETED)
            done = reached.done()
            await end(task, reached)
            await kept.close()
            if done:
                break
            kills += 1
    assert kills > 2
    assert await differences(READ_MODELS, log=store, views=views) == []


async def test_a_backend_that_dies_in_the_middle_costs_nothing_but_time(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews
) -> None:
    last, _ = await write_lives(store, accounts=2)
    async with (
        running(database, batch=5) as projector,
        await psycopg.AsyncConnection.connect(database.admin, autocommit=True) as admin,
    ):
        for _ in range(3):
            before = projector.progress().batches
            await eventually(lambda before=before: projector.progress().batches > before)  # type: ignore[misc]
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'khata projector'"
            )
        await reach(projector, last)
        assert projector.progress().faults > 0
    assert await differences(READ_MODELS, log=store, views=views) == []


async def test_of_two_projectors_one_works_and_the_other_takes_over(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews
) -> None:
    async with running(database, "p-1", lease_ms=600) as first:
        await eventually(lambda: first.progress().state == "working")
        async with running(database, "p-2", lease_ms=600) as second:
            await eventually(lambda: second.progress().state == "waiting for the claim")
            last, _ = await write_lives(store, accounts=1)
            await reach(first, last)
            assert second.progress().claims == 0
            # The first one hangs: its lease runs out and the second takes the work, however much the first wants it.
            async with first._views._session._lock:  # type: ignore[attr-defined]
                await eventually(lambda: second.progress().claims == 1)
                await eventually(lambda: second.progress().state == "working")
            await eventually(lambda: first.progress().state == "waiting for the claim")
    assert await differences(READ_MODELS, log=store, views=views) == []


async def test_an_event_of_a_later_release_stops_the_projector_before_it(
    database: DatabaseUrls, store: PostgresEventStore
) -> None:
    last, lives = await write_lives(store, accounts=1, commands=5)
    scribe = Scribe(store)
    await scribe.write_raw("library", [NewEvent(name="tests.somewhere:Thing.Happened", payload=b"opaque")])
    await scribe.write_raw("strategy-1", [NewEvent(name="strategy.annotated.v9.ignorable", payload=b"{}")])
    await scribe.write_raw("strategy-1", [NewEvent(name="strategy.started.v9", payload=b"{}")])
    async with running(database) as projector:
        await eventually(lambda: projector.progress().state == "halted")
        progress = projector.progress()
        assert progress.sequence == last + 2, "an event of the library is passed over, and one that says it may be"
        assert set(progress.halted) == {model.name for model in READ_MODELS}
        assert all(reason.startswith("UPGRADE_NEEDED") for reason in progress.halted.values())
    assert lives


async def test_a_fold_that_fails_halts_its_read_model_and_no_other(
    database: DatabaseUrls, store: PostgresEventStore
) -> None:
    scribe = Scribe(store)
    first, second = (Life(Random(number), number).go_on(20) for number in (1, 2))  # noqa: S311 - no secret
    before = await scribe.write(f"account-{first.account_id}", first.events)
    # Nothing opened this account: the read models that keep a row for each account cannot go on.
    last = await scribe.write(f"account-{second.account_id}", second.events[1:])
    async with running(database) as projector:
        await eventually(lambda: projector.progress().halted)
        await reach(projector, last)
        at = {model.name: model for model in projector.progress().models}
        assert set(projector.progress().halted) == {"risk"}
        assert at["risk"].sequence == before
        assert "POISON_EVENT" in str(at["risk"].halted)
        assert at["positions"].sequence == last


async def test_a_row_that_the_database_refuses_halts_its_read_model_only(
    database: DatabaseUrls, store: PostgresEventStore
) -> None:
    async with running(database) as projector:
        await eventually(lambda: projector.progress().state == "working")
    with psycopg.connect(database.projector, autocommit=True) as connection:
        connection.execute("ALTER TABLE views.positions_v3 ADD CHECK (last_filled_at_ns IS NULL)")
    last, _ = await write_lives(store)
    async with running(database) as projector:
        await eventually(lambda: projector.progress().halted)
        await reach(projector, last)
        assert set(projector.progress().halted) == {"positions"}


async def test_a_checkpoint_of_another_history_stops_everything(
    database: DatabaseUrls, store: PostgresEventStore
) -> None:
    last, _ = await write_lives(store, accounts=1, commands=5)
    async with running(database) as projector:
        await reach(projector, last)
    with psycopg.connect(database.projector, autocommit=True) as connection:
        connection.execute("UPDATE views.checkpoints SET hash = decode(repeat('ab', 32), 'hex')")
    async with running(database) as projector:
        await eventually(lambda: projector.progress().state == "halted")
        assert all(reason.startswith("EPOCH_CHANGED") for reason in projector.progress().halted.values())


async def test_readers_see_the_accounts_they_name_and_no_other(
    database: DatabaseUrls, store: PostgresEventStore
) -> None:
    last, lives = await write_lives(store)
    mine, theirs = lives[0].account_id, lives[1].account_id
    async with running(database), PostgresViews(database.query) as queries:
        await queries.wait_for(last, timeout_s=5)
        page = await queries.trades([mine], paging=Paging(limit=200))
        assert page.rows
        assert {row.account_id for row in page.rows} == {mine}
        foreign = (await queries.trades([theirs])).rows[0]
        assert (await queries.trade([mine], foreign.trade_id)).value is None
        assert (await queries.trade([theirs], foreign.trade_id)).value == foreign
        assert (await queries.orders_of([mine], foreign.trade_id)).value == []
        assert (await queries.user(user_registered.user_id)).value is not None
        portfolio = await queries.portfolio(mine)
        assert portfolio.value is not None
        assert portfolio.sequence >= last
        assert {row.account_id for row in portfolio.value.positions} == {mine}
        # Whoever forgets to say whose rows they want gets none, from any table.
        async with await psycopg.AsyncConnection.connect(database.query) as connection:
            for model in READ_MODELS:
                cursor = await connection.execute(f"SELECT count(*) FROM views.{model.table_name}")  # noqa: S608 - ours
                assert await cursor.fetchone() == (0,)
            # The audit trail shows an account's events to those who may see the account, a user's to the user.
            for setting, name, expected in (
                ("khata.accounts", mine, len(lives[0].events)),
                ("khata.users", user_registered.user_id, 6),
            ):
                await connection.execute("SELECT set_config(%s, %s, true)", [setting, name])
                cursor = await connection.execute("SELECT count(*) FROM views.audit_trail_v1")
                assert await cursor.fetchone() == (expected,)
                await connection.rollback()  # The next one begins with no rights.
            for hidden in ("views.parked_events", "views.projectors"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await connection.execute(f"SELECT count(*) FROM {hidden}")  # noqa: S608 - ours
                await connection.rollback()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute("DELETE FROM views.trades_v3")


async def test_pages_of_trades_neither_repeat_nor_miss_one(database: DatabaseUrls, store: PostgresEventStore) -> None:
    last, lives = await write_lives(store, accounts=2, commands=90)
    accounts = [life.account_id for life in lives]
    async with running(database), PostgresViews(database.query) as queries:
        await queries.wait_for(last, timeout_s=5)
        whole = list((await queries.trades(accounts, paging=Paging(limit=200))).rows)
        for sort, expected in ((Sort.NEWEST, whole), (Sort.OLDEST, whole[::-1])):
            assert await paged(partial(queries.trades, accounts), Paging(sort=sort, limit=7)) == expected
        assert len(whole) > 20
        symbol, status = whole[3].symbol, whole[3].status
        wanted = TradeFilter(symbol=symbol, status=status, day=whole[3].day)
        some = (await queries.trades(accounts, wanted, Paging(limit=200))).rows
        assert some == [row for row in whole if (row.symbol, row.status, row.day) == (symbol, status, whole[3].day)]


async def test_a_reader_waits_for_what_was_written_and_is_told_the_lag(
    database: DatabaseUrls, store: PostgresEventStore
) -> None:
    async with PostgresViews(database.query) as queries:
        with pytest.raises(QueriesUnavailable):
            await queries.user(user_registered.user_id)
        async with running(database) as projector:
            await eventually(lambda: projector.progress().state == "working")
            last, _ = await write_lives(store, accounts=1, commands=5)
            await queries.wait_for(last)
        with pytest.raises(ReadModelBehind) as raised:
            await queries.wait_for(last + 3, timeout_s=0.05)
        assert raised.value.lag == 3


async def test_verification_names_the_row_and_column_that_was_touched(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews
) -> None:
    last, lives = await write_lives(store, accounts=1)
    async with running(database) as projector:
        await reach(projector, last)
    with psycopg.connect(database.projector, autocommit=True) as connection:
        table = sql.Identifier("views", RISK.table_name)
        connection.execute(sql.SQL("UPDATE {} SET realised_paise = realised_paise + 1").format(table))
        connection.execute("DELETE FROM views.users_v2")
    found = await differences(READ_MODELS, log=store, views=views)
    assert [(each.model, each.columns) for each in found] == [("users", ()), ("risk", ("realised_paise",))]
    assert found[1].key == (lives[0].account_id,)
    assert "expected" in str(found[1])
