"""Users' wrapped data keys, beside the log: deleting a row erases what its key sealed."""

from adapters.postgres.database import Database
from domain.ids import UserId

_PUT = """
    -- Keep a user's key in place of an older one.
    INSERT INTO keys.user_keys (user_id, purpose, wrapped) VALUES (%s, %s, %s)
    ON CONFLICT (user_id, purpose) DO UPDATE SET wrapped = EXCLUDED.wrapped
"""
_GET = "SELECT wrapped FROM keys.user_keys WHERE user_id = %s AND purpose = %s"
_DELETE = "DELETE FROM keys.user_keys WHERE user_id = %s AND purpose = %s"


class PostgresUserKeys:
    """Implements `adapters.security.personal_data.UserKeys` as `khata_writer`. Everything raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, user_id: UserId, purpose: str, wrapped: bytes) -> None:
        """Keep a user's key."""
        await self._database.execute(_PUT, (user_id, purpose, wrapped))

    async def get(self, user_id: UserId, purpose: str) -> bytes | None:
        """Return a user's key, None where there is none."""
        rows = await self._database.fetch(_GET, (user_id, purpose))
        return rows[0][0] if rows else None

    async def delete(self, user_id: UserId, purpose: str) -> None:
        """Destroy a user's key; no key is no fault."""
        await self._database.execute(_DELETE, (user_id, purpose))
