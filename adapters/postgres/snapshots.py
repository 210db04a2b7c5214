"""Snapshots of aggregates in PostgreSQL."""

from adapters.postgres.database import Database
from commands.ports import Snapshot

_FIND = """
    -- Find the snapshot of a stream.
    SELECT version, sequence, leaf, schema, state FROM log.snapshots WHERE stream_id = %s
"""
_KEEP = """
    -- Keep a snapshot, and a landmark in the stream that lets readers from there skip older partitions.
    SELECT log.keep_snapshot(%s, %s, %s, %s, %s, %s)
"""


class PostgresSnapshots:
    """Implements `commands.ports.Snapshots` for the user `khata_writer`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, stream_id: str) -> Snapshot | None:
        """Return the newest snapshot that is kept of a stream. Raises StoreUnavailable."""
        rows = await self._database.fetch(_FIND, (stream_id,))
        if not rows:
            return None
        version, sequence, leaf, schema, state = rows[0]
        return Snapshot(stream_id=stream_id, version=version, sequence=sequence, leaf=leaf, schema=schema, state=state)

    async def keep(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, unless a newer one is kept, or the log lacks its last event. Raises StoreUnavailable."""
        parameters = (
            snapshot.stream_id,
            snapshot.version,
            snapshot.sequence,
            snapshot.leaf,
            snapshot.schema,
            snapshot.state,
        )
        await self._database.fetch(_KEEP, parameters)
