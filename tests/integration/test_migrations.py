"""Bringing a database to this release's schema."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from adapters.postgres.views import PostgresViews
from infra.database import DatabaseUrls, grants
from infra.migrations.runner import SchemaNewer, migrate
from projections.audit_trail import AUDIT_TRAIL
from projections.ports import Part
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
CREATE TABLE views.audit_trail_v1 (account_id text PRIMARY KEY);
INSERT INTO views.checkpoints (name, version, sequence, owner) VALUES ('audit_trail', 1, 42, 'the last one');
INSERT INTO views.pointers (name, version) VALUES ('audit_trail', 1);
"""


async def test_the_read_models_of_the_first_release_go_on_where_they_were(first_release: DatabaseUrls) -> None:
    database = first_release
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute("SET ROLE khata_projector")
        admin.execute(_FIRST_RELEASE)
    migrate(database.owner)
    _, store = projector_of(database, "p-1")
    claimed = await store.claim([AUDIT_TRAIL], shards=1, lease_ms=1_000)
    await store.close()
    assert {part: at.sequence for part, at in claimed.checkpoints.items()} == {Part(AUDIT_TRAIL, 0): 42}
    async with PostgresViews(database.query) as queries:
        await queries._look_up()
        assert queries._in_use(AUDIT_TRAIL) is AUDIT_TRAIL


_REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
# What every release since the first has of people, beside the log.
_PEOPLE = """
INSERT INTO keys.passwords (user_id, password_hash) VALUES ('usr_asha', 'hash');
INSERT INTO keys.user_keys (user_id, purpose, wrapped) VALUES ('usr_asha', 'personal', 'wrapped');
"""
_TABLES_OF_0008 = ("token_families", "refresh_tokens", "broker_credentials", "strategy_sources")


def test_a_database_with_data_goes_forwards_from_every_earlier_revision(servers: Servers) -> None:
    name = "test_forwards"
    urls = servers.database.for_database(name)
    with psycopg.connect(servers.database.for_database("postgres").admin, autocommit=True) as admin:
        for revision in _REVISIONS:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            try:
                for statement in grants(name):
                    admin.execute(statement)
                migrate(urls.owner, revision=revision)
                with psycopg.connect(urls.writer, autocommit=True) as writer:
                    writer.execute(_PEOPLE.encode())
                migrate(urls.owner)
                with psycopg.connect(urls.writer, autocommit=True) as writer:
                    assert writer.execute("SELECT password_hash FROM keys.passwords").fetchall() == [("hash",)]
                    assert writer.execute("SELECT purpose FROM keys.user_keys").fetchall() == [("personal",)]
                    for table in _TABLES_OF_0008:
                        rows = sql.SQL("SELECT FROM keys.{}").format(sql.Identifier(table))
                        assert writer.execute(rows).fetchall() == [], revision
            finally:
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize(("role", "shown"), [("projector", set()), ("query", {"strategy_sources"})])
def test_log_ins_credentials_and_sources_are_the_writers_alone_but_that_queries_show_sources(
    database: DatabaseUrls, role: str, shown: set[str]
) -> None:
    with psycopg.connect(getattr(database, role), autocommit=True) as connection:
        for table in shown:
            connection.execute(sql.SQL("SELECT FROM keys.{}").format(sql.Identifier(table)))
        for table in set(_TABLES_OF_0008) - shown:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("SELECT FROM keys.{}").format(sql.Identifier(table)))
        for table in _TABLES_OF_0008:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("DELETE FROM keys.{}").format(sql.Identifier(table)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT keys.rotate_refresh_token('', '', 0, 0, 0)")
