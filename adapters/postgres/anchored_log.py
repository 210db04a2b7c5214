"""The log as anchoring reads it."""

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.postgres.database import Database
from adapters.postgres.log_source import STATE, state_of
from commands.ports import StoreUnavailable
from domain.integrity.commands import encode_outcome
from projections.integrity.ports import LastAnchor, LogState, LogUnavailable

_EVENT_AT = """
    -- Read what an anchor says of an event.
    SELECT hash, recorded_at FROM log.events WHERE sequence = %s
    UNION ALL
    SELECT last_hash, last_recorded_at FROM log.archives WHERE last_sequence = %s
    LIMIT 1
"""
_COMMAND_COLUMNS = ("first_sequence", "last_sequence", "recorded_at_us", "scope", "key", "request_hash", "status")
_COMMANDS = """
    -- Read the outcomes of commands by where their events begin.
    SELECT first_sequence, last_sequence, recorded_at, scope, key, request_hash, status
    FROM log.commands
    WHERE first_sequence >= %s AND first_sequence <= %s
    ORDER BY first_sequence, scope COLLATE "C", key COLLATE "C"
"""
_REMEMBER = """
    -- Keep what shows when the last anchor is gone.
    INSERT INTO log.anchored (number, sequence, digest) VALUES (%s, %s, %s)
    ON CONFLICT (only_row) DO UPDATE
    SET number = EXCLUDED.number, sequence = EXCLUDED.sequence, digest = EXCLUDED.digest
"""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as error:
        raise LogUnavailable(str(error)) from error


class PostgresAnchoredLog:
    """Implements `projections.integrity.ports.AnchoredLog` as `khata_writer`. Everything raises LogUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def state(self) -> LogState:
        """Return what there is of the log."""
        with _translated():
            return state_of((await self._database.fetch(STATE))[0])

    async def event_at(self, sequence: int) -> tuple[bytes, int] | None:
        """Return hash and time of an event; of an archived one only where it is the last of its file."""
        with _translated():
            rows = await self._database.fetch(_EVENT_AT, (sequence, sequence))
        return (rows[0][0], rows[0][1]) if rows else None

    async def commands(self, first: int, last: int) -> list[bytes]:
        """Return the outcomes whose first event lies from *first* to *last*; see the port."""
        with _translated():
            rows = await self._database.fetch(_COMMANDS, (first, last))
        return [encode_outcome(**dict(zip(_COMMAND_COLUMNS, row, strict=True))) for row in rows]

    async def remember(self, anchor: LastAnchor) -> None:
        """Keep what shows when the last anchor is gone."""
        with _translated():
            await self._database.execute(_REMEMBER, anchor)
