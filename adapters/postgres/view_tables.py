"""The tables of read models: made by the projector that fills them, one set per version, each behind row security.

Only accounts that the reader's transaction names are visible to the reading role: the policy is enforced for the
table's owner too, which gets a policy of its own. A query that forgets to say whose rows it wants gets none.
"""

from typing import Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from projections.read_model import SCHEMA, AnyReadModel

PROJECTOR_ROLE = "khata_projector"
QUERY_ROLE = "khata_query"
CHANNEL = "khata_views"
"""Notified after every batch with the read models that moved, as JSON: table name to sequence."""

DIALECT: Dialect = psycopg_dialect()  # type: ignore[no-untyped-call]

# Two projectors that start at once make the tables one after the other.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('khata.views.prepare', 0))"

# Where each version of each read model stands, who works on it and until when. Rewritten with every batch, so its page
# has room for the versions of a row that are still seen.
_CHECKPOINTS = """
CREATE TABLE IF NOT EXISTS views.checkpoints (
    name text NOT NULL,
    version integer NOT NULL,
    sequence bigint NOT NULL DEFAULT 0,
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    epoch text NOT NULL DEFAULT '',
    owner text NOT NULL DEFAULT '',
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    halted text,
    PRIMARY KEY (name, version)
) WITH (fillfactor = 20)
"""

# Which version of a read model its readers use.
_POINTERS = """
CREATE TABLE IF NOT EXISTS views.pointers (
    name text PRIMARY KEY,
    version integer NOT NULL
)
"""

_GRANT_SHARED = "GRANT SELECT ON views.checkpoints, views.pointers TO {query}"
_BEGIN_CHECKPOINT = "INSERT INTO views.checkpoints (name, version) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_BEGIN_POINTER = "INSERT INTO views.pointers (name, version) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_EXISTS = "SELECT to_regclass(%s) IS NOT NULL AS is_there"

_SECURE = (
    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
    "CREATE POLICY projector ON {table} TO {projector} USING (true) WITH CHECK (true)",
    # The subselect is evaluated once a query, not once a row.
    (
        "CREATE POLICY reader ON {table} FOR SELECT TO {query}"
        " USING ({column} = ANY ((SELECT string_to_array(current_setting({setting}, true), ','))::text[]))"
    ),
    "GRANT SELECT ON {table} TO {query}",
)


async def prepare_tables(connection: psycopg.AsyncConnection[Any], models: tuple[AnyReadModel, ...]) -> None:
    """Make what is missing of the tables of *models*, in the open transaction of *connection*."""
    await connection.execute(_LOCK)
    if not await _exists(connection, "checkpoints"):
        await connection.execute(_CHECKPOINTS)
        await connection.execute(_POINTERS)
        await connection.execute(_named(_GRANT_SHARED))
    for model in models:
        if not await _exists(connection, model.table_name):
            await _make(connection, model)
        await connection.execute(_BEGIN_CHECKPOINT, [model.name, model.version])
        await connection.execute(_BEGIN_POINTER, [model.name, model.version])


async def _exists(connection: psycopg.AsyncConnection[Any], table_name: str) -> bool:
    row = await (await connection.execute(_EXISTS, [f"{SCHEMA}.{table_name}"])).fetchone()
    return bool(row and row["is_there"])


async def _make(connection: psycopg.AsyncConnection[Any], model: AnyReadModel) -> None:
    indexes = sorted(model.table.indexes, key=lambda index: str(index.name))
    ddl: list[ExecutableDDLElement] = [CreateTable(model.table), *map(CreateIndex, indexes)]
    for element in ddl:
        # Compiled from our own declarations.
        await connection.execute(str(element.compile(dialect=DIALECT)))
    for statement in _SECURE:
        await connection.execute(_named(statement, model))


def _named(statement: LiteralString, model: AnyReadModel | None = None) -> sql.Composed:
    names: dict[str, sql.Composable] = {
        "projector": sql.Identifier(PROJECTOR_ROLE),
        "query": sql.Identifier(QUERY_ROLE),
    }
    if model is not None:
        names["table"] = sql.Identifier(SCHEMA, model.table_name)
        names["column"] = sql.Identifier(model.security.column)
        names["setting"] = sql.Literal(model.security.setting)
    return sql.SQL(statement).format(**names)
