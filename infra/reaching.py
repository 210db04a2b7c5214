"""How commands reach the database: beside a running engine, on a server of the user's own, or started for the while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.database import DatabaseUrls, prepare_roles
from infra.embedded.postgres import EmbeddedPostgres
from infra.home import Home
from infra.keys import ensure_keys, load_keys
from infra.lock import HomeLock
from infra.problems import OperatorProblem
from infra.runtime import running_engine
from infra.settings import Settings


@asynccontextmanager
async def reach_database(settings: Settings, *, is_migrated: bool = False) -> AsyncIterator[DatabaseUrls]:
    """Yield how to reach the database: that of the running engine, of the settings, or the embedded one.

    An embedded server that does not run is started for as long as it is needed, without roles. Unless it is to be
    *is_migrated* it stays as it is, so that what is looked at is what was left there.

    Raises:
        OperatorProblem: there is no database yet, or it cannot be reached.
    """
    home = Home(settings.home)
    engine = running_engine(home)
    if engine is not None:
        yield engine.database
        return
    if settings.database_url is not None:
        home.prepare()
        urls = await prepare_roles(settings.database_url, ensure_keys(home).database)
        if is_migrated:
            await _migrate(urls)
        yield urls
        return
    home.prepare()
    lock = HomeLock(home)
    lock.take()
    try:
        postgres = EmbeddedPostgres(home, load_keys(home), server_user=settings.server_user)
        if not (postgres.data / "PG_VERSION").exists():
            raise OperatorProblem(f"There is no database under {home.path} yet.", remedy="`khata up` makes it.")
        try:
            urls = await postgres.start()
            if is_migrated:
                await _migrate(urls)
            yield urls
        finally:
            await postgres.stop()
    finally:
        lock.release()


async def reach_running_database(settings: Settings) -> DatabaseUrls:
    """Return how to reach the database of the running engine, or a server of the user's own.

    Raises:
        OperatorProblem: no engine runs on the home folder, and the settings name no server.
    """
    home = Home(settings.home)
    engine = running_engine(home)
    if engine is not None:
        return engine.database
    if settings.database_url is None:
        raise OperatorProblem(
            f"No engine runs on {settings.home}.", remedy="Start it by `khata up`, or set KHATA_DATABASE_URL."
        )
    return await prepare_roles(settings.database_url, load_keys(home).database)


async def _migrate(urls: DatabaseUrls) -> None:
    from infra.migrations.runner import migrate  # noqa: PLC0415 - slow to load, and seldom needed

    await asyncio.to_thread(migrate, urls.owner)
