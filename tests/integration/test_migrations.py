"""Bringing a database to this release's schema."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from infra.database import DatabaseUrls, grants
from infra.migrations.runner import SchemaNewer, migrate
from tests.support.servers import Servers

_TABLES = "SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = 'log'"


def test_migrating_again_changes_nothing(database: DatabaseUrls) -> None:
    with psycopg.connect(database.admin, autocommit=True) as admin:
        before = admin.execute(_TABLES).fetchone()
        migrate(database.owner)
        assert admin.execute(_TABLES).fetchone() == before


def test_a_newer_schema_is_left_alone(database: DatabaseUrls) -> None:
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute("UPDATE ops.alembic_version SET version_num = '9999'")
        with pytest.raises(SchemaNewer, match="revision 9999"):
            migrate(database.owner)
        assert admin.execute("SELECT version_num FROM ops.alembic_version").fetchone() == ("9999",)


def test_two_processes_may_start_at_once_on_an_empty_database(servers: Servers) -> None:
    urls = servers.database.for_database("test_empty")
    with psycopg.connect(servers.database.for_database("postgres").admin, autocommit=True) as admin:
        admin.execute("CREATE DATABASE test_empty")
        for statement in grants("test_empty"):
            admin.execute(statement)
        try:
            with ThreadPoolExecutor(2) as threads:
                list(threads.map(migrate, [urls.owner, urls.owner]))
            with psycopg.connect(urls.writer) as writer:
                assert writer.execute("SELECT sequence FROM log.head").fetchone() == (0,)
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier("test_empty")))
