"""How a command reaches the database: that of the running engine, or one that is started for as long as it works."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.database import DatabaseUrls
from infra.home import Home
from infra.runtime import running_engine
from infra.settings import Settings


@asynccontextmanager
async def reach_database(settings: Settings) -> AsyncIterator[DatabaseUrls]:
    """Yield how each role reaches the database of *settings*, which is up to date.

    Raises:
        OperatorProblem: it cannot be reached or started.
    """
    engine = running_engine(Home(settings.home))
    if engine is not None:
        yield engine.database
        return
    from infra.supervisor import Supervisor  # noqa: PLC0415 - slow to load, and not needed beside a running engine

    # A start does it all: servers, roles, migrations. Without processes it is nothing else.
    async with Supervisor(settings, processes=()) as started:
        yield started.database_urls
