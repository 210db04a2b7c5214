"""The tables of read models: made by the projector that fills them, one per edition, each behind row security.

Only accounts that the reader's transaction names are visible to the reading role: a query that forgets to say whose
rows it wants gets none. The projector, who owns the tables, is not held to that: PostgreSQL takes no COPY from one who
is.
"""

from typing import Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from projections.read_model import SCHEMA, AnyReadModel

QUERY_ROLE = "khata_query"
CHANNEL = "khata_views"
"""Notified after every batch with the parts that moved, as JSON: `table:shard` to sequence. An empty object says that
pointers, shards or editions have changed, and that all are to be read anew."""

DIALECT: Dialect = psycopg_dialect()  # type: ignore[no-untyped-call]

_SECURE = (
    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
    "GRANT SELECT ON {table} TO {query}",
)

# One way for a reader to see a row; a row is seen if any of them lets it through. The subselect is evaluated once a
# query, not once a row.
_SHOW = (
    "CREATE POLICY {policy} ON {table} FOR SELECT TO {query}"
    " USING ({column} = ANY ((SELECT string_to_array(current_setting({setting}, true), ','))::text[]))"
)


async def make_table(connection: psycopg.AsyncConnection[Any], model: AnyReadModel) -> None:
    """Make the table of *model*, in the open transaction of *connection*."""
    indexes = sorted(model.table.indexes, key=lambda index: str(index.name))
    ddl: list[ExecutableDDLElement] = [CreateTable(model.table), *map(CreateIndex, indexes)]
    for element in ddl:
        # Compiled from our own declarations.
        await connection.execute(str(element.compile(dialect=DIALECT)))
    for statement in _SECURE:
        await connection.execute(_named(statement, model))
    for security in model.security:
        show = sql.SQL(_SHOW).format(
            policy=sql.Identifier(f"reader_by_{security.column}"),
            table=sql.Identifier(SCHEMA, model.table_name),
            query=sql.Identifier(QUERY_ROLE),
            column=sql.Identifier(security.column),
            setting=sql.Literal(security.setting),
        )
        await connection.execute(show)


async def drop_table(connection: psycopg.AsyncConnection[Any], table_name: str) -> None:
    """Drop a table of a read model, in the open transaction of *connection*."""
    await connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(SCHEMA, table_name)))


def _named(statement: LiteralString, model: AnyReadModel) -> sql.Composed:
    return sql.SQL(statement).format(
        query=sql.Identifier(QUERY_ROLE),
        table=sql.Identifier(SCHEMA, model.table_name),
    )
