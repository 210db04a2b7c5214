"""The audit table: log-ins and refusals, one chain, beside the log."""

from collections.abc import Sequence

from adapters.postgres.arrays import BytesArray
from adapters.postgres.database import Database
from domain.audit import RecordedEntry

_APPEND = "SELECT audit.append(%b)"
_READ = """
    -- Read a page of the audit table.
    SELECT number, body, recorded_at, previous_hash, hash FROM audit.entries
    WHERE number > %s
    ORDER BY number
    LIMIT %s
"""
_HEAD = "SELECT number, hash FROM audit.head"


class PostgresAudit:
    """Implements `commands.ports.AuditStore` as `khata_writer`. Everything raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, bodies: Sequence[bytes]) -> None:
        """Add entries, durable when this returns."""
        await self._database.execute(_APPEND, (BytesArray.of(bodies),))

    async def read(self, *, after_number: int, limit: int = 1000) -> list[RecordedEntry]:
        """Return at most *limit* entries after *after_number*, in order."""
        rows = await self._database.fetch(_READ, (after_number, limit))
        return [
            RecordedEntry(
                number=number,
                body=body,
                recorded_at_us=recorded_at_us,
                previous_hash=previous_hash,
                hash=hash_,
            )
            for number, body, recorded_at_us, previous_hash, hash_ in rows
        ]

    async def head(self) -> tuple[int, bytes]:
        """Return the last entry's number (0: none) and hash."""
        number, hash_ = (await self._database.fetch(_HEAD))[0]
        return number, hash_
