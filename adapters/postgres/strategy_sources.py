"""Sources of strategies, beside the log: the log is for ever, and a source is its author's."""

from adapters.postgres.database import Database
from domain.ids import UserId

_KEEP = """
    -- Keep a source; under its hash there is no other one.
    INSERT INTO keys.strategy_sources (user_id, source_hash, source) VALUES (%s, %s, %s)
    ON CONFLICT (user_id, source_hash) DO NOTHING
"""
_FIND = "SELECT source FROM keys.strategy_sources WHERE user_id = %s AND source_hash = %s"
_DROP_ALL = "DELETE FROM keys.strategy_sources WHERE user_id = %s"


class PostgresStrategySources:
    """Implements `commands.ports.StrategySources` as `khata_writer`. Everything raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, user_id: UserId, source_hash: str, source: str) -> None:
        """Keep a source."""
        await self._database.execute(_KEEP, (user_id, source_hash, source))

    async def find(self, user_id: UserId, source_hash: str) -> str | None:
        """Return a source of a user, None where none is kept."""
        rows = await self._database.fetch(_FIND, (user_id, source_hash))
        return rows[0][0] if rows else None

    async def drop_all(self, user_id: UserId) -> None:
        """Destroy every source of a user."""
        await self._database.execute(_DROP_ALL, (user_id,))
