"""Where process managers start to read after a restart."""

from adapters.postgres.database import Database

_PUT = """
    -- Keep a sequence. It never goes back, whatever a late write of an earlier holder says.
    INSERT INTO ops.watermarks AS watermarks (name, sequence) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET sequence = EXCLUDED.sequence WHERE watermarks.sequence < EXCLUDED.sequence
"""
_GET = "SELECT sequence FROM ops.watermarks WHERE name = %s"


class PostgresWatermarks:
    """Implements `commands.ports.Watermarks` as `khata_writer`. Everything raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> int:
        """Return the kept sequence, 0 where none was kept."""
        rows = await self._database.fetch(_GET, (name,))
        return rows[0][0] if rows else 0

    async def put(self, name: str, sequence: int) -> None:
        """Keep a sequence."""
        await self._database.execute(_PUT, (name, sequence))
