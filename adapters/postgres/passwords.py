"""Password hashes, beside the log: the log is for ever, and a password is not."""

from adapters.postgres.database import Database
from domain.ids import UserId

_KEEP = """
    -- Keep the hash of a user's password in place of an older one.
    INSERT INTO keys.passwords (user_id, password_hash) VALUES (%s, %s)
    ON CONFLICT (user_id) DO UPDATE SET password_hash = EXCLUDED.password_hash
"""
_FIND = "SELECT password_hash FROM keys.passwords WHERE user_id = %s"
_DROP = "DELETE FROM keys.passwords WHERE user_id = %s"


class PostgresPasswords:
    """Implements `commands.ports.Passwords` as `khata_writer`. Everything raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, user_id: UserId, password_hash: str) -> None:
        """Keep the hash of a user's password."""
        await self._database.execute(_KEEP, (user_id, password_hash))

    async def find(self, user_id: UserId) -> str | None:
        """Return the kept hash, None where none is kept."""
        rows = await self._database.fetch(_FIND, (user_id,))
        return rows[0][0] if rows else None

    async def drop(self, user_id: UserId) -> None:
        """Forget the hash."""
        await self._database.execute(_DROP, (user_id,))
