"""Where the projector keeps read models: rows, checkpoints and the claim on them, all in one database.

A batch's rows and its checkpoints commit together, and a checkpoint moves only from the place where this projector
left it and only while it is this projector's. So whatever is killed, and however many projectors believe that the work
is theirs, each event takes effect once.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from adapters.archive.parquet import ArchiveUnreadable, ParquetArchive
from adapters.postgres import view_claims, view_editions
from adapters.postgres.archived_log import ArchivedLog
from adapters.postgres.arrays import Int8Array, TextArray
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.log_feed import fetch_on
from adapters.postgres.view_claims import Claimant, part_arrays
from adapters.postgres.view_rows import copy_data, key_arrays, row_arrays, rows_by_key, statements_of
from adapters.postgres.view_session import Connection, ViewSession
from adapters.postgres.view_tables import CHANNEL
from projections.ports import Checkpoint, Claimed, ClaimLost, ParkedEvent, Part, Renewed, ViewsUnavailable
from projections.read_model import AnyReadModel, Key, Row

COPY_ROWS_MIN = 100
"""So many new rows are worth a round trip of their own."""
_NOTIFY_BYTES_MAX = 7_900

# Move checkpoints, each from where it was left and only while it is ours.
_ADVANCE = """
UPDATE views.checkpoints AS kept
SET sequence = moved.sequence, hash = moved.hash, halted = moved.halted
FROM unnest(
    %(names)s::text[], %(versions)s::integer[], %(generations)s::integer[], %(shards)s::integer[],
    %(olds)s::bigint[], %(news)s::bigint[], %(hashes)s::bytea[], %(halts)s::text[]
) AS moved (name, version, generation, shard, old, sequence, hash, halted)
WHERE (kept.name, kept.version, kept.generation, kept.shard)
        = (moved.name, moved.version, moved.generation, moved.shard)
    AND kept.sequence = moved.old AND kept.owner = %(owner)s
"""

# Put events aside.
_PARK = """
INSERT INTO views.parked_events (name, version, generation, sequence, stream_id, event_name, error)
SELECT %s, %s, %s, parked.sequence, parked.stream_id, parked.event_name, parked.error
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[]) AS parked (sequence, stream_id, event_name, error)
"""

_NOTIFY = "SELECT pg_notify(%s, %s)"
_HASH_AT = "SELECT hash FROM log.events WHERE sequence = %s"


class PostgresViewStore:
    """Implements `projections.ports.ViewStore` as *owner*, a name that no other projector ever has."""

    def __init__(
        self, conninfo: str, *, owner: str, watch: EpochWatch | None = None, archive: ParquetArchive | None = None
    ) -> None:
        """Describe it. *watch* looks at every new connection; *archive* has the files of the log's archived part."""
        self._archive = archive
        self._owner = owner
        self._session = ViewSession(conninfo, watch=watch)

    async def prepare(self, models: Sequence[AnyReadModel], *, shards: int) -> None:
        """Make the editions of *models* that are missing."""
        async with self._session.transaction() as connection:
            await view_editions.prepare(connection, models, shards=shards)

    async def claim(self, models: Sequence[AnyReadModel], *, shards: int, lease_ms: int) -> Claimed:
        """Take over a fair share of the shards of every live edition of *models*, until the lease runs out."""
        async with self._session.transaction() as connection:
            claimed = await view_claims.claim(connection, self._claimant(models), shards=shards, lease_ms=lease_ms)
        view_claims.held_elsewhere(claimed)
        return claimed

    async def renew(self, models: Sequence[AnyReadModel], parts: Sequence[Part], *, lease_ms: int) -> Renewed:
        """Keep the claim on *parts* for another lease."""
        async with self._session.transaction() as connection:
            return await view_claims.renew(connection, self._claimant(models), parts, lease_ms=lease_ms)

    async def release(self, models: Sequence[AnyReadModel]) -> None:  # noqa: ARG002 - an owner's name says it all
        """Give the claim back at once."""
        async with self._session.transaction() as connection:
            await view_claims.release(connection, self._owner)

    async def drop_due(self, models: Sequence[AnyReadModel]) -> None:
        """Drop the editions of *models*, and of their earlier versions, whose time is over."""
        async with self._session.transaction() as connection:
            await view_editions.drop_due(connection, models)

    async def hash_at(self, sequence: int) -> bytes | None:
        """Return the hash that the log has at *sequence*, None where the log does not reach so far."""
        async with self._session.transaction() as connection:
            record = await (await connection.execute(_HASH_AT, [sequence])).fetchone()
            if record is not None:
                return bytes(record["hash"])
            archived = ArchivedLog(fetch_on(connection), self._archive)
            if sequence > await archived.refresh():
                return None
            try:
                [event] = await archived.read_from(sequence, 1)
            except ArchiveUnreadable as fault:
                raise ViewsUnavailable(str(fault)) from fault
            return event.hash

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["PostgresViewTransaction"]:
        """Open a transaction; it commits where the block ends well."""
        async with self._session.transaction() as connection:
            yield PostgresViewTransaction(connection, self._owner)

    async def close(self) -> None:
        """Close the connection. The claim is not given back by this."""
        await self._session.close()

    def _claimant(self, models: Sequence[AnyReadModel]) -> Claimant:
        return Claimant(owner=self._owner, models=tuple(models))


class PostgresViewTransaction:
    """Implements `projections.ports.ViewTransaction`."""

    def __init__(self, connection: Connection, owner: str) -> None:
        self._connection = connection
        self._owner = owner

    async def load(self, wanted: Mapping[AnyReadModel, Iterable[Key]]) -> dict[AnyReadModel, dict[Key, Row]]:
        """Return the rows that exist under the wanted keys, asked for in one round trip."""
        cursors = {}
        async with self._connection.pipeline():
            for model, keys in wanted.items():
                cursor = self._connection.cursor()
                await cursor.execute(statements_of(model).select_by_keys, key_arrays(sorted(keys)))
                cursors[model] = cursor
            return {model: rows_by_key(model, await cursor.fetchall()) for model, cursor in cursors.items()}

    async def save(
        self,
        changes: Mapping[AnyReadModel, Mapping[Key, Row | None]],
        advances: Mapping[Part, tuple[Checkpoint, Checkpoint]],
        parked: Mapping[AnyReadModel, Sequence[ParkedEvent]],
    ) -> None:
        """Write rows, put events aside and move checkpoints, in one round trip; many new rows by COPY before it."""
        copied = {model for model, rows in changes.items() if model.only_grows and len(rows) >= COPY_ROWS_MIN}
        for model in copied:
            await self._copy(model, changes[model])
        async with self._connection.pipeline():
            for model, rows in changes.items():
                if model not in copied:
                    await self._write(model, rows)
            for model, events in parked.items():
                await self._park(model, events)
            cursor = self._connection.cursor()
            await cursor.execute(_ADVANCE, self._advance(advances))
            await self._connection.execute(_NOTIFY, [CHANNEL, _told(advances)])
        if cursor.rowcount < len(advances):
            raise ClaimLost("the claim on the read models was taken over")

    async def _copy(self, model: AnyReadModel, rows: Mapping[Key, Row | None]) -> None:
        data = copy_data(model, [row for row in rows.values() if row is not None])
        async with self._connection.cursor().copy(statements_of(model).copy) as copy:
            await copy.write(data)

    async def _write(self, model: AnyReadModel, rows: Mapping[Key, Row | None]) -> None:
        # In the order of keys, so that two writers never wait for each other crosswise.
        kept = [row for _, row in sorted(rows.items()) if row is not None]
        gone = [key for key, row in sorted(rows.items()) if row is None]
        if kept:
            await self._connection.execute(statements_of(model).upsert, row_arrays(model, kept))
        if gone:
            await self._connection.execute(statements_of(model).delete, key_arrays(gone))

    async def _park(self, model: AnyReadModel, events: Sequence[ParkedEvent]) -> None:
        parameters: list[Any] = [
            model.name,
            model.version,
            model.generation,
            Int8Array.of([event.sequence for event in events]),
            TextArray.of([event.stream_id for event in events]),
            TextArray.of([event.event_name for event in events]),
            TextArray.of([event.error for event in events]),
        ]
        await self._connection.execute(_PARK, parameters)

    def _advance(self, advances: Mapping[Part, tuple[Checkpoint, Checkpoint]]) -> dict[str, Any]:
        return part_arrays(list(advances)) | {
            "olds": [old.sequence for old, _ in advances.values()],
            "news": [new.sequence for _, new in advances.values()],
            "hashes": [new.hash for _, new in advances.values()],
            "halts": [new.halted for _, new in advances.values()],
            "owner": self._owner,
        }


def _told(advances: Mapping[Part, tuple[Checkpoint, Checkpoint]]) -> str:
    moved = {f"{model.table_name}:{shard}": new.sequence for (model, shard), (_, new) in advances.items()}
    told = msgspec.json.encode(moved)
    # A notification has a limit; readers then ask.
    return told.decode() if len(told) <= _NOTIFY_BYTES_MAX else "{}"
