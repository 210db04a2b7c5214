"""A real standby that is promoted: its epoch is a later one, and the primary that it replaced is taken for away."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from adapters.epoch_file import EpochFile
from adapters.postgres.database import Database
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.event_store import PostgresEventStore
from commands.ports import StoreUnavailable
from domain.epoch import Epoch
from infra.backup.taking import base_backup
from infra.database import DatabaseUrls
from infra.embedded.place import Place, choose_place
from infra.embedded.postgres import EmbeddedPostgres
from tests.support.servers import Servers, make_test_home, remove_test_home


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Nobody looks."""


@pytest.fixture
async def standby(servers: Servers) -> AsyncIterator[DatabaseUrls]:
    """A standby of the servers' PostgreSQL, as a base backup and its log make it."""
    home = make_test_home()
    home.prepare()
    home.keys.symlink_to(servers.home.keys)
    place = choose_place(home=home.postgres, installation=servers.keys.installation, user_name="nobody")
    base_backup(servers.database, place, place.data, no_progress)
    become_standby(place)
    postgres = EmbeddedPostgres(home, servers.keys)
    try:
        yield await postgres.start()
    finally:
        await postgres.stop()
        remove_test_home(home)


def become_standby(place: Place) -> None:
    (place.data / "standby.signal").touch()
    for path in (place.data, *place.data.rglob("*")):
        place.own(path)


def epoch_at(conninfo: str) -> Epoch:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        row = connection.execute("SELECT log.current_epoch()").fetchone()
    assert row is not None
    return Epoch.parse(row[0])


async def test_a_promoted_standby_is_followed_and_the_old_primary_is_not(
    servers: Servers, standby: DatabaseUrls, tmp_path: Path
) -> None:
    watch, primary = EpochWatch(EpochFile(tmp_path / "epoch")), servers.database
    first = epoch_at(primary.query)
    assert epoch_at(standby.query) == first, "readers of a standby are of its primary's epoch"
    async with PostgresEventStore(primary.writer, watch=watch), Database(standby.query, watch=watch) as reader:
        assert await reader.fetch("SELECT pg_is_in_recovery()") == [(True,)]

    with psycopg.connect(standby.admin, autocommit=True) as admin:
        assert admin.execute("SELECT pg_promote()").fetchone() == (True,)
    second = epoch_at(standby.query)
    assert second == Epoch(first.system, first.timeline + 1, first.restores)

    async with PostgresEventStore(standby.writer, watch=watch) as store:
        assert (await store.head()).epoch == watch.current == str(second)
    with pytest.raises(StoreUnavailable):
        await PostgresEventStore(primary.writer, watch=watch, deadline_s=0.3).start()
