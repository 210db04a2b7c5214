"""Bringing a database to this release's schema."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from adapters.postgres.views import PostgresViews
from infra.database import DatabaseUrls, grants
from infra.migrations.runner import SchemaNewer, migrate
from projections.ports import Part
from projections.users import USERS
from tests.support.projecting import projector_of
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


# What the first release's projector left in a database that it had worked on.
_FIRST_RELEASE = """
CREATE TABLE views.checkpoints (
    name text NOT NULL, version integer NOT NULL, sequence bigint NOT NULL DEFAULT 0,
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'), epoch text NOT NULL DEFAULT '',
    owner text NOT NULL DEFAULT '', lease_until timestamptz NOT NULL DEFAULT '-infinity', halted text,
    PRIMARY KEY (name, version)
);
CREATE TABLE views.pointers (name text PRIMARY KEY, version integer NOT NULL);
CREATE TABLE views.users_v1 (account_id text PRIMARY KEY);
INSERT INTO views.checkpoints (name, version, sequence, owner) VALUES ('users', 1, 42, 'the last one');
INSERT INTO views.pointers (name, version) VALUES ('users', 1);
"""


async def test_the_read_models_of_the_first_release_go_on_where_they_were(first_release: DatabaseUrls) -> None:
    database = first_release
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute("SET ROLE khata_projector")
        admin.execute(_FIRST_RELEASE)
    migrate(database.owner)
    _, store = projector_of(database, "p-1")
    claimed = await store.claim([USERS], shards=1, lease_ms=1_000)
    await store.close()
    assert {part: at.sequence for part, at in claimed.checkpoints.items()} == {Part(USERS, 0): 42}
    async with PostgresViews(database.query) as queries:
        await queries._look_up()
        assert queries._in_use(USERS) is USERS
