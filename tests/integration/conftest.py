"""What several integration tests ask for beside a database of this release."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from infra.database import DatabaseUrls, grants
from infra.migrations.runner import migrate
from tests.support.servers import Servers

_NAME = "test_first_release"


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
