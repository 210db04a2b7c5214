"""Users' wrapped data keys in a PostgreSQL of their own: deleting a row erases what its key sealed."""

from adapters.postgres.database import Database
from domain.ids import UserId

_PUT = """
    -- Keep a user's key in place of an older one.
    INSERT INTO keys.user_keys (user_id, purpose, wrapped) VALUES (%s, %s, %s)
    ON CONFLICT (user_id, purpose) DO UPDATE SET wrapped = EXCLUDED.wrapped
"""
_GET = "SELECT wrapped FROM keys.user_keys WHERE user_id = %s AND purpose = %s"
_DELETE = "DELETE FROM keys.user_keys WHERE user_id = %s AND purpose = %s"


# Make the store in a database of its own. The lock: several processes may begin at once.
_PREPARE = """
DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('khata.keys.prepare', 0));
    CREATE SCHEMA IF NOT EXISTS keys;
    CREATE TABLE IF NOT EXISTS keys.user_keys (
        user_id text NOT NULL,
        purpose text NOT NULL,
        wrapped bytea NOT NULL,
        PRIMARY KEY (user_id, purpose)
    );
END
$$
"""
_NAMES = "SELECT user_id, purpose FROM keys.user_keys ORDER BY user_id, purpose"


class PostgresUserKeys:
    """Implements `adapters.security.personal_data.UserKeys` on a server that is not the log's.

    Its *database* connects as whoever owns the schema `keys` there. Everything raises StoreUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prepare(self) -> None:
        """Make the table where it is missing."""
        await self._database.execute(_PREPARE)

    async def names(self) -> list[tuple[UserId, str]]:
        """Return whose keys there are, and their purposes."""
        return [(UserId(user_id), purpose) for user_id, purpose in await self._database.fetch(_NAMES)]

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
