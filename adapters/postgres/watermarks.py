"""Where process managers start to read after a restart."""

from adapters.postgres.database import Database
from commands.ports import FoldSnapshot

_PUT = """
    -- Keep a sequence. It never goes back, whatever a late write of an earlier holder says.
    INSERT INTO ops.watermarks AS watermarks (name, sequence) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET sequence = EXCLUDED.sequence WHERE watermarks.sequence < EXCLUDED.sequence
"""
_GET = "SELECT sequence FROM ops.watermarks WHERE name = %s"
_KEEP = """
    -- Keep a snapshot instead of the one before, older or newer: any is held against the log before it is believed.
    INSERT INTO ops.fold_snapshots (name, sequence, hash, schema, state) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (name) DO UPDATE
    SET sequence = EXCLUDED.sequence, hash = EXCLUDED.hash, schema = EXCLUDED.schema, state = EXCLUDED.state
"""
_FIND = "SELECT sequence, hash, schema, state FROM ops.fold_snapshots WHERE name = %s"


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

    async def find(self, name: str) -> FoldSnapshot | None:
        """Return the kept snapshot, None where none was kept."""
        rows = await self._database.fetch(_FIND, (name,))
        if not rows:
            return None
        sequence, event_hash, schema, state = rows[0]
        return FoldSnapshot(name=name, sequence=sequence, hash=event_hash, schema=schema, state=state)

    async def keep(self, snapshot: FoldSnapshot) -> None:
        """Keep a snapshot instead of the one before."""
        parameters = (snapshot.name, snapshot.sequence, snapshot.hash, snapshot.schema, snapshot.state)
        await self._database.execute(_KEEP, parameters)
