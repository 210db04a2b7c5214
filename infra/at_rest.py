"""The database for commands that look at it or mend it, whether the engine runs or not."""

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
async def reach_database(settings: Settings) -> AsyncIterator[DatabaseUrls]:
    """Yield how to reach the database: that of the running engine, of the settings, or the embedded one.

    An embedded server that does not run is started for as long as it is needed, without roles and without migrations,
    so that what is looked at is what was left there.

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
        yield await prepare_roles(settings.database_url, ensure_keys(home).database)
        return
    home.prepare()
    lock = HomeLock(home)
    lock.take()
    try:
        postgres = EmbeddedPostgres(home, load_keys(home), server_user=settings.server_user)
        if not (postgres.data / "PG_VERSION").exists():
            raise OperatorProblem(f"There is no database under {home.path} yet.", remedy="`khata up` makes it.")
        try:
            yield await postgres.start()
        finally:
            await postgres.stop()
    finally:
        lock.release()
