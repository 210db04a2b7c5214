"""Brings a database to this release's schema."""

from pathlib import Path

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

_FOLDER = Path(__file__).parent
_SCHEMA = "ops"
_LOCK_NAME = "khata.migrations"
_CONNECT_TIMEOUT_S = 10


class SchemaNewer(Exception):
    """The database was made by a later release. Nothing was changed; the process must not start on it."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"the database is at schema revision {found}, and this release knows none after {known}:"
            " start the release that made it, or a later one"
        )
        self.found = found
        self.known = known


def migrate(owner_conninfo: str, *, revision: str = "head") -> None:
    """Bring the database that `khata_owner` connects to by *owner_conninfo* to this release's schema; safe to repeat.

    *revision* stops earlier, at the schema of an older release.

    Raises:
        SchemaNewer: a later release was here.
        psycopg.OperationalError: the database cannot be reached.
    """
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(owner_conninfo, connect_timeout=_CONNECT_TIMEOUT_S),
        poolclass=sqlalchemy.NullPool,
    )
    # One transaction: the lock lasts as long as the work, and a failure leaves the schema as it was.
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": _LOCK_NAME}
        )
        connection.execute(sqlalchemy.text(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}"))
        _upgrade(connection, revision)


def _upgrade(connection: sqlalchemy.Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes.update(connection=connection, schema=_SCHEMA)
    script = ScriptDirectory.from_config(config)
    known = {each.revision for each in script.walk_revisions()}
    for found in MigrationContext.configure(connection, opts={"version_table_schema": _SCHEMA}).get_current_heads():
        if found not in known:
            raise SchemaNewer(found, script.get_current_head() or "")
    command.upgrade(config, revision)
