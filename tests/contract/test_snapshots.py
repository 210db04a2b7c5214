"""What every place for snapshots does, in memory and in PostgreSQL; and what a stored one of today's schema says."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import psycopg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.snapshots import PostgresSnapshots
from commands.ports import Snapshot, Snapshots
from domain.account import Account, decider, snapshot
from infra.database import DatabaseUrls
from tests.support.appends import command, on
from tests.support.memory_snapshots import MemorySnapshots
from tests.support.specimens import account_opened, difference_found, exiting, kill_switch_engaged, order_denied

FOLDER = Path(__file__).parent / "snapshots"
STREAM = "account-1"
HISTORY = (*exiting, order_denied, kill_switch_engaged, difference_found)
first = Snapshot(stream_id=STREAM, version=2, sequence=2, leaf=b"l" * 32, schema="account.v1", state=b"{}")
later = replace(first, version=4, sequence=4, state=b'{"later":true}')


@pytest.fixture(params=["memory", "postgres"])
def conninfo(request: pytest.FixtureRequest) -> str | None:
    """Return where the snapshots lie, None for memory."""
    return None if request.param == "memory" else request.getfixturevalue("database").writer


@pytest.fixture
async def snapshots(conninfo: str | None) -> AsyncIterator[Snapshots]:
    if conninfo is None:
        yield MemorySnapshots()
        return
    async with PostgresEventStore(conninfo) as store:
        await store.append(command(on(STREAM, events=4)))
        yield PostgresSnapshots(store.database)


async def test_what_was_kept_is_found(snapshots: Snapshots) -> None:
    assert await snapshots.find(STREAM) is None
    await snapshots.keep(first)
    assert await snapshots.find(STREAM) == first
    assert await snapshots.find("account-2") is None


async def test_only_the_newest_is_kept(snapshots: Snapshots) -> None:
    await snapshots.keep(later)
    await snapshots.keep(first)
    assert await snapshots.find(STREAM) == later


async def test_one_of_another_schema_gives_way(snapshots: Snapshots) -> None:
    await snapshots.keep(replace(later, schema="account.v0"))
    await snapshots.keep(first)
    assert await snapshots.find(STREAM) == first


async def test_a_snapshot_of_an_event_that_the_log_has_not_is_not_kept(database: DatabaseUrls) -> None:
    async with PostgresEventStore(database.writer) as store:
        await store.append(command(on(STREAM, events=4)))
        in_postgres = PostgresSnapshots(store.database)
        for wrong in (replace(first, sequence=3), replace(first, version=3), replace(later, version=5, sequence=5)):
            await in_postgres.keep(wrong)
        assert await in_postgres.find(STREAM) is None


@pytest.mark.parametrize("role", ["projector", "query"])
def test_only_the_writer_sees_and_keeps_snapshots(database: DatabaseUrls, role: str) -> None:
    with psycopg.connect(getattr(database, role), autocommit=True) as connection:
        for statement in (
            "SELECT FROM log.snapshots",
            "DELETE FROM log.snapshots",
            "SELECT log.keep_snapshot('a', 1, 1, '', '', '')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_a_stored_snapshot_means_what_the_fold_leads_to_today() -> None:
    stored = (FOLDER / f"{snapshot.SCHEMA}.json").read_bytes()
    state = snapshot.decode(stored)
    assert state == decider.fold(HISTORY), "what evolve makes of events has changed: give the snapshots a new name"
    assert state != decider.fold((account_opened,))
    assert msgspec.json.decode(snapshot.encode(state)) == msgspec.json.decode(stored)


def test_the_shape_of_the_state_is_the_one_that_its_name_stands_for() -> None:
    shape = msgspec.json.encode(msgspec.json.schema(Account), order="deterministic")
    stored = (FOLDER / f"{snapshot.SCHEMA}.shape").read_text().strip()
    assert hashlib.sha256(shape).hexdigest() == stored, "the state has another shape: give the snapshots a new name"
