"""What several integration tests ask for."""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg import sql

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.views import PostgresViews
from infra.database import DatabaseUrls, grants
from infra.home import Home
from infra.migrations.runner import migrate
from tests.support.servers import Servers, make_test_home, remove_test_home

_NAME = "test_first_release"


@pytest.fixture
def home() -> Iterator[Home]:
    """A fresh home with its folders."""
    made = make_test_home()
    made.prepare()
    yield made
    remove_test_home(made)


@pytest.fixture
def first_release(servers: Servers) -> Iterator[DatabaseUrls]:
    """A database with the schema of the first release."""
    urls = servers.database.for_database(_NAME)
    with psycopg.connect(servers.database.for_database("postgres").admin, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {_NAME}".encode())
        try:
            for statement in grants(_NAME):
                admin.execute(statement)
            migrate(urls.owner, revision="0001")
            yield urls
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(_NAME)))


@pytest.fixture
async def store(database: DatabaseUrls) -> AsyncIterator[PostgresEventStore]:
    """The log of the fresh database."""
    async with PostgresEventStore(database.writer) as opened:
        yield opened


@pytest.fixture
async def views(database: DatabaseUrls) -> AsyncIterator[PostgresViews]:
    """The read models of the fresh database, read as the projector, from whom nothing is hidden."""
    async with PostgresViews(database.projector) as opened:
        yield opened
