"""Parked events in the views' database, and their way back into the rows."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from adapters.postgres import view_claims
from adapters.postgres.view_rows import key_arrays, keys_json, rows_by_key, rows_json, statements_of
from adapters.postgres.view_session import Connection, ViewSession
from projections.parking import ParkedStream
from projections.read_model import AnyReadModel, Key, Row

# What waits, one row a stream. Parameters: names, versions.
_STREAMS = """
SELECT
    name, version, generation, stream_id, min(sequence) AS sequence, count(*) AS events,
    (array_agg(event_name ORDER BY sequence))[1] AS event_name,
    coalesce((array_agg(error ORDER BY sequence))[1], '') AS error
FROM views.parked_events
JOIN unnest(%s::text[], %s::integer[]) AS mine (name, version) USING (name, version)
GROUP BY name, version, generation, stream_id
ORDER BY min(sequence), name, generation
"""

# The first that wait of one stream.
_WAITING = """
SELECT sequence
FROM views.parked_events
WHERE name = %s AND version = %s AND generation = %s AND stream_id = %s
ORDER BY sequence
LIMIT %s
"""

# Forget what has been taken in.
_TAKEN = """
DELETE FROM views.parked_events
WHERE name = %s AND version = %s AND generation = %s AND sequence = ANY (%s)
"""

# Say why an event still waits.
_OBSTACLE = """
UPDATE views.parked_events SET error = %s
WHERE name = %s AND version = %s AND generation = %s AND sequence = %s
"""


class PostgresParking:
    """Implements `projections.parking.Parking` as `khata_projector`, whom *conninfo* names."""

    def __init__(self, conninfo: str) -> None:
        self._session = ViewSession(conninfo)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def streams(self, models: Sequence[AnyReadModel]) -> list[ParkedStream]:
        """Return what waits in any edition of *models*, oldest first."""
        by_version = {(model.name, model.version): model for model in models}
        async with self._session.transaction() as connection:
            cursor = await connection.execute(_STREAMS, [[n for n, _ in by_version], [v for _, v in by_version]])
            records = await cursor.fetchall()
        return [
            ParkedStream(
                model=by_version[record["name"], record["version"]].in_generation(record["generation"]),
                stream_id=record["stream_id"],
                sequence=record["sequence"],
                event_name=record["event_name"],
                error=record["error"],
                events=record["events"],
            )
            for record in records
        ]

    async def waiting(self, model: AnyReadModel, stream_id: str, *, limit: int) -> list[int]:
        """Return the first sequences that wait of a stream, in order."""
        async with self._session.transaction() as connection:
            cursor = await connection.execute(_WAITING, [*_edition(model), stream_id, limit])
            return [record["sequence"] for record in await cursor.fetchall()]

    @asynccontextmanager
    async def replay(self, model: AnyReadModel) -> AsyncIterator["PostgresReplayTransaction"]:
        """Open a page of a replay."""
        async with self._session.transaction() as connection:
            await connection.execute(view_claims.LOCK)
            await view_claims.revoke(connection, model)
            yield PostgresReplayTransaction(connection, model)


class PostgresReplayTransaction:
    """Implements `projections.parking.ReplayTransaction`."""

    def __init__(self, connection: Connection, model: AnyReadModel) -> None:
        self._connection = connection
        self._model = model

    async def load(self, keys: Sequence[Key]) -> dict[Key, Row]:
        """Return the rows that exist under *keys*."""
        if not keys:
            return {}
        cursor = await self._connection.execute(statements_of(self._model).select_by_keys, key_arrays(keys))
        return rows_by_key(self._model, await cursor.fetchall())

    async def finish(
        self, changes: dict[Key, Row | None], *, taken: Sequence[int], obstacle: tuple[int, str] | None
    ) -> None:
        """Write rows, forget the *taken* sequences, and note why the one of *obstacle* still cannot be taken in."""
        edition = _edition(self._model)
        kept = [row for _, row in sorted(changes.items()) if row is not None]
        gone = [key for key, row in sorted(changes.items()) if row is None]
        if kept:
            await self._connection.execute(statements_of(self._model).upsert, [rows_json(kept)])
        if gone:
            await self._connection.execute(statements_of(self._model).delete, [keys_json(self._model, gone)])
        await self._connection.execute(_TAKEN, [*edition, list(taken)])
        if obstacle is not None:
            sequence, error = obstacle
            await self._connection.execute(_OBSTACLE, [error, *edition, sequence])


def _edition(model: AnyReadModel) -> list[Any]:
    return [model.name, model.version, model.generation]
