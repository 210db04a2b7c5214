"""Reaching the database whether the engine runs, does not, or works on servers of the user's own."""

from pathlib import Path

import pytest

from adapters.postgres.history import PostgresHistory
from infra.home import Home
from infra.keys import ensure_keys
from infra.lock import AlreadyRunning, HomeLock
from infra.problems import OperatorProblem
from infra.reaching import reach_database
from infra.settings import Settings
from infra.supervisor import Supervisor
from tests.support.engine import engine_settings, no_migrations
from tests.support.servers import Servers, make_test_home, remove_test_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


async def test_servers_of_the_users_own_are_asked(servers: Servers, home: Home) -> None:
    home.keys.symlink_to(servers.home.keys)
    settings = Settings(home=home.path, database_url=servers.database.admin)
    async with reach_database(settings) as urls, PostgresHistory(urls.query) as history:
        assert (await history.head()).sequence == 0


async def test_where_there_is_no_database_nothing_is_made(home: Home) -> None:
    with pytest.raises(OperatorProblem, match="no keys"):
        async with reach_database(Settings(home=home.path)):
            pass
    ensure_keys(home, tell=False)
    with pytest.raises(OperatorProblem, match="no database"):
        async with reach_database(Settings(home=home.path)):
            pass
    assert not (home.postgres / "data").exists()


async def test_a_home_that_somebody_works_on_is_left_to_them(home: Home) -> None:
    ensure_keys(home, tell=False)
    lock = HomeLock(home)
    lock.take()
    with pytest.raises(AlreadyRunning):
        async with reach_database(Settings(home=home.path)):
            pass
    lock.release()


async def test_a_running_engine_shares_its_server_and_a_stopped_one_lends_it() -> None:
    home = make_test_home()
    try:
        settings = engine_settings(home.path)
        engine = Supervisor(settings, processes=(), migrate=no_migrations, is_throwaway=True)
        async with engine, reach_database(settings) as urls:
            assert urls == engine.database_urls
        async with reach_database(settings):
            assert (home.postgres / "data" / "postmaster.pid").exists()
        assert not (home.postgres / "data" / "postmaster.pid").exists()
    finally:
        remove_test_home(home)
