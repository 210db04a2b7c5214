"""Who alone may do a thing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, LiteralString

import pytest
from psycopg import AsyncConnection

from adapters.postgres.database import Database
from adapters.postgres.leases import PostgresLease
from commands.ports import StoreUnavailable
from infra.database import DatabaseUrls
from infra.home import Home
from infra.keys import ensure_keys
from infra.runtime import Runtime
from infra.settings import Settings
from infra.wiring.process import Wiring
from infra.wiring.trading import make_lease
from tests.support.dead_process import name_of_a_dead_process
from tests.support.eventually import eventually

_TAKE_OVER = "UPDATE ops.leases SET owner = 'another', epoch = epoch + 1 WHERE name = 'sender'"


@pytest.fixture
async def writer(database: DatabaseUrls) -> AsyncIterator[Database]:
    async with Database(database.writer, patience_s=0.3) as opened:
        yield opened


@pytest.fixture
async def owner(database: DatabaseUrls) -> AsyncIterator[AsyncConnection[Any]]:
    async with await AsyncConnection.connect(database.owner, autocommit=True) as connection:
        yield connection


async def test_one_holder_at_a_time(writer: Database) -> None:
    async with PostgresLease(writer, "sender") as first:
        assert first.is_held()
        second = PostgresLease(writer, "sender")
        assert not await second.try_acquire()
        assert not second.is_held()
        assert await PostgresLease(writer, "something else").try_acquire()


async def test_every_holder_has_a_higher_epoch(writer: Database) -> None:
    epochs = []
    for _ in range(3):
        async with PostgresLease(writer, "sender") as lease:
            epochs.append(lease.epoch)
        assert not lease.is_held()
    assert epochs == [1, 2, 3]


async def test_a_lease_that_is_not_renewed_is_taken_over(writer: Database) -> None:
    lost = PostgresLease(writer, "sender", duration_s=0.2, margin_s=0.1)
    await lost.acquire()
    assert lost._renewal is not None
    lost._renewal.cancel()  # As if its process stood still.
    async with PostgresLease(writer, "sender", poll_s=0.01) as next_one:
        assert not lost.is_held()
        assert next_one.epoch == lost.epoch + 1
    await lost.release()


async def test_a_lease_is_renewed_as_long_as_its_holder_lives(writer: Database, owner: AsyncConnection[Any]) -> None:
    async with PostgresLease(writer, "sender", duration_s=0.3, margin_s=0.1) as lease:
        before = await expiry(owner)
        await eventually(lambda: later_than(owner, before, seconds=0.6))
        assert lease.is_held()
        assert lease.epoch == 1


async def test_a_holder_learns_that_its_lease_was_taken(writer: Database, owner: AsyncConnection[Any]) -> None:
    async with PostgresLease(writer, "sender", duration_s=0.3, margin_s=0.1) as lease:
        await owner.execute(_TAKE_OVER)
        await lease.lost()
        assert not lease.is_held()


async def test_releasing_does_not_take_the_lease_from_the_next_one(
    writer: Database, owner: AsyncConnection[Any]
) -> None:
    async with PostgresLease(writer, "sender"):
        await owner.execute(_TAKE_OVER)
    assert not await PostgresLease(writer, "sender").try_acquire()


class FlakyDatabase(Database):
    """The database, or nothing where it is `away`."""

    is_away = False

    async def fetch(self, statement: LiteralString, parameters: Sequence[Any] = ()) -> list[Any]:
        if self.is_away:
            raise StoreUnavailable("away")
        return await super().fetch(statement, parameters)


@pytest.fixture
async def flaky(database: DatabaseUrls) -> AsyncIterator[FlakyDatabase]:
    async with FlakyDatabase(database.writer) as opened:
        yield opened


@pytest.fixture
async def doubtful(flaky: FlakyDatabase) -> AsyncIterator[PostgresLease]:
    """A lease whose holder could not ask for it in time."""
    lease = PostgresLease(flaky, "sender", duration_s=0.4, margin_s=0.2, poll_s=0.01)
    await lease.acquire()
    flaky.is_away = True
    await eventually(lambda: not lease.is_held())
    yield lease
    flaky.is_away = False
    await lease.release()


async def test_a_holder_without_a_database_stops_to_believe_and_goes_on_where_nobody_took_the_lease(
    doubtful: PostgresLease, flaky: FlakyDatabase
) -> None:
    assert not doubtful._lost.is_set()
    flaky.is_away = False
    await eventually(doubtful.is_held)
    assert doubtful.epoch == 1


async def test_a_lease_that_somebody_took_meanwhile_is_lost(
    doubtful: PostgresLease, flaky: FlakyDatabase, owner: AsyncConnection[Any]
) -> None:
    await owner.execute(_TAKE_OVER)
    flaky.is_away = False
    await doubtful.lost()
    assert not doubtful.is_held()


async def test_the_lease_of_a_dead_process_is_taken_over_at_once(writer: Database, owner: AsyncConnection[Any]) -> None:
    dead = await asyncio.to_thread(name_of_a_dead_process)
    await owner.execute("INSERT INTO ops.leases VALUES ('sender', %s, 7, 'infinity')", [dead])
    async with PostgresLease(writer, "sender") as lease:
        assert lease.epoch == 8


@pytest.mark.parametrize("change", ["machine", "nobody knows"])
async def test_the_lease_of_a_process_that_nobody_can_look_at_is_waited_for(
    writer: Database, owner: AsyncConnection[Any], change: str
) -> None:
    dead = await asyncio.to_thread(name_of_a_dead_process)
    foreign = "another-" + dead if change == "machine" else "4711"
    await owner.execute("INSERT INTO ops.leases VALUES ('sender', %s, 7, 'infinity')", [foreign])
    assert not await PostgresLease(writer, "sender").try_acquire()


async def test_of_two_who_see_that_the_holder_is_dead_one_gets_the_lease(
    writer: Database, owner: AsyncConnection[Any]
) -> None:
    dead = await asyncio.to_thread(name_of_a_dead_process)
    for round_ in range(10):
        await owner.execute("TRUNCATE ops.leases")
        await owner.execute("INSERT INTO ops.leases VALUES ('sender', %s, %s, 'infinity')", [dead, round_])
        both = [PostgresLease(writer, "sender") for _ in range(2)]
        got = await asyncio.gather(*(lease.try_acquire() for lease in both))
        assert sorted(got) == [False, True]
        assert {lease.epoch for lease in both} == {0, round_ + 1}
        for lease in both:
            await lease.release()


def test_a_margin_leaves_time_to_hold() -> None:
    with pytest.raises(ValueError, match="margin"):
        PostgresLease(Database("", size=1), "sender", duration_s=1, margin_s=1)


async def expiry(owner: AsyncConnection[Any]) -> Any:
    row = await (await owner.execute("SELECT expires_at FROM ops.leases WHERE name = 'sender'")).fetchone()
    assert row is not None
    return row[0]


async def later_than(owner: AsyncConnection[Any], before: Any, *, seconds: float) -> bool:
    return bool((await expiry(owner) - before).total_seconds() > seconds)


async def test_no_crowd_at_the_log_keeps_the_sender_from_its_lease(tmp_path: Path, database: DatabaseUrls) -> None:
    """Every connection of the process's store is taken: the lease is acquired, and so renewed, beside them."""
    home = Home(tmp_path / "home")
    home.prepare()
    runtime = Runtime(
        settings=Settings(home=home.path),
        keys=ensure_keys(home, tell=False),
        database=database,
        nats_url="",
        api_url="",
        simulator_url="",
        broker_url="",
    )
    async with AsyncExitStack() as stack:
        wiring = Wiring(runtime, stack)
        store = (await wiring.store()).database
        async with AsyncExitStack() as crowd:
            for _ in range(store._pool.max_size):
                await crowd.enter_async_context(store._turns.taken())
            lease = await make_lease(wiring)
            assert lease.is_held()
