"""What the database holds of a person beside the log: claims by their keyed hash, and the views' sealed fields."""

import psycopg
from psycopg import sql

from adapters.postgres.database import Database
from commands.ports import StoreUnavailable
from domain.ids import UserId

_RELEASE = "SELECT log.release_claims(%s)"
# Editions of the users view that readers do not use now: of an earlier version, kept for going back, or being filled.
# What holds bytes in them is sealed. The edition in use learns of the erasure from the log.
_PARKED = """
    SELECT columns.table_name, array_agg(columns.column_name::text ORDER BY columns.ordinal_position)
    FROM information_schema.columns AS columns
    WHERE columns.table_schema = 'views' AND columns.table_name ~ '^users_v[0-9]+(_g[0-9]+)?$'
        AND columns.data_type = 'bytea' AND columns.table_name <> (
            SELECT 'users_v' || version || CASE WHEN generation = 1 THEN '' ELSE '_g' || generation END
            FROM views.pointers
            WHERE name = 'users'
            ORDER BY version DESC
            LIMIT 1
        )
    GROUP BY columns.table_name
"""
_HAS_VIEWS = "SELECT to_regclass('views.pointers') IS NOT NULL"
_BLANK = "UPDATE {table} SET {columns} WHERE user_id = %s"


class PostgresClaims:
    """Implements `commands.ports.Claims` as `khata_writer`. Everything raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def release(self, owner: str) -> None:
        """Give back what *owner* had claimed."""
        await self._database.execute(_RELEASE, (owner,))


class PostgresParkedViews:
    """Implements `commands.ports.ParkedViews` as `khata_projector`, whom *conninfo* names."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    async def erase(self, user_id: UserId) -> None:
        """Empty the sealed fields of a user in every version of the users view that is not in use.

        Raises:
            StoreUnavailable
        """
        try:
            async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                has_views = await (await connection.execute(_HAS_VIEWS)).fetchone()
                if has_views is None or not has_views[0]:
                    return
                for table, columns in await (await connection.execute(_PARKED)).fetchall():
                    emptied = [sql.SQL("{} = ''::bytea").format(sql.Identifier(column)) for column in columns]
                    statement = sql.SQL(_BLANK).format(
                        table=sql.Identifier("views", table), columns=sql.SQL(", ").join(emptied)
                    )
                    await connection.execute(statement, [user_id])
        except psycopg.OperationalError as error:
            raise StoreUnavailable(f"the views cannot be reached: {type(error).__name__}") from error
