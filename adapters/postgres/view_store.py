"""Where the projector keeps read models: rows, checkpoints and the claim on them, all in one database.

A batch's rows and its checkpoint commit together, and the checkpoint moves only from the place where this projector
left it and only while it is this projector's. So whatever is killed, and however many projectors believe that the work
is theirs, each event takes effect once.

Commits here do not wait for the disk (`synchronous_commit = off`): what a crash of the server can take back is the
newest rows together with their checkpoint, and the projector derives them again from the log, which does wait.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, LiteralString

import msgspec
import psycopg
from psycopg.rows import dict_row, tuple_row

from adapters.archive.parquet import ArchiveUnreadable, ParquetArchive
from adapters.postgres.archived_log import ArchivedLog
from adapters.postgres.view_rows import key_arrays, row_arrays, rows_by_key, statements_of
from adapters.postgres.view_tables import CHANNEL, prepare_tables
from projections.ports import Checkpoint, ClaimHeld, ClaimLost, ViewsRefused, ViewsUnavailable
from projections.read_model import AnyReadModel, Key, Row

_CONNECT_TIMEOUT_S = 5
_OPTIONS = (
    "-c synchronous_commit=off -c statement_timeout=10s -c lock_timeout=2s -c transaction_timeout=10s"
    " -c idle_in_transaction_session_timeout=5s -c timezone=UTC"
)

# Which checkpoints a statement is about. Parameters: names, versions.
_MINE = "JOIN unnest(%(names)s::text[], %(versions)s::integer[]) AS mine (name, version) USING (name, version)"

# Take the checkpoints that are free; the caller gives them back if these are not all.
_CLAIM = f"""
WITH free AS (
    SELECT name, version FROM views.checkpoints {_MINE}
    WHERE owner = %(owner)s OR lease_until <= clock_timestamp()
    ORDER BY name, version
    FOR UPDATE OF checkpoints
)
UPDATE views.checkpoints AS kept
SET owner = %(owner)s,
    lease_until = clock_timestamp() + %(lease_ms)s * interval '1 millisecond',
    epoch = log.current_epoch()
FROM free
WHERE kept.name = free.name AND kept.version = free.version
    AND (kept.owner = %(owner)s OR kept.lease_until <= clock_timestamp())
RETURNING kept.name, kept.version, kept.sequence, kept.hash, kept.halted
"""  # noqa: S608 - put together from constants

# Keep the claim.
_RENEW = f"""
WITH held AS (SELECT name, version FROM views.checkpoints {_MINE} ORDER BY name, version FOR UPDATE OF checkpoints)
UPDATE views.checkpoints AS kept
SET lease_until = clock_timestamp() + %(lease_ms)s * interval '1 millisecond'
FROM held
WHERE kept.name = held.name AND kept.version = held.version AND kept.owner = %(owner)s
"""  # noqa: S608 - likewise

# Let the next projector in at once.
_RELEASE = f"""
WITH held AS (SELECT name, version FROM views.checkpoints {_MINE} ORDER BY name, version FOR UPDATE OF checkpoints)
UPDATE views.checkpoints AS kept
SET owner = '', lease_until = '-infinity'
FROM held
WHERE kept.name = held.name AND kept.version = held.version AND kept.owner = %(owner)s
"""  # noqa: S608 - likewise

# Move checkpoints, each from where it was left and only while it is ours.
_ADVANCE = """
UPDATE views.checkpoints AS kept
SET sequence = moved.sequence, hash = moved.hash, halted = moved.halted
FROM unnest(
    %(names)s::text[], %(versions)s::integer[], %(olds)s::bigint[],
    %(news)s::bigint[], %(hashes)s::bytea[], %(halts)s::text[]
) AS moved (name, version, old, sequence, hash, halted)
WHERE kept.name = moved.name AND kept.version = moved.version
    AND kept.sequence = moved.old AND kept.owner = %(owner)s
"""

_NOTIFY = "SELECT pg_notify(%s, %s)"
_HEAD = "SELECT sequence FROM log.head"
_HASH_AT = "SELECT hash FROM log.events WHERE sequence = %s"

Connection = psycopg.AsyncConnection[dict[str, Any]]


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what a fault of the database means to a projector."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError, OSError) as error:
        raise ViewsUnavailable(str(error)) from error
    except psycopg.Error as error:
        raise ViewsRefused(str(error)) from error


class PostgresViewStore:
    """Implements `projections.ports.ViewStore` as *owner*, a name that no other projector ever has.

    *archive* has the files of the log's archived part: a checkpoint that is far behind may lie there.
    """

    def __init__(self, conninfo: str, *, owner: str, archive: ParquetArchive | None = None) -> None:
        self._conninfo = conninfo
        self._archive = archive
        self._owner = owner
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()

    async def prepare(self, models: Sequence[AnyReadModel]) -> None:
        """Make the tables of *models* where they are missing."""
        async with self._session() as connection:
            await prepare_tables(connection, tuple(models))

    async def claim(self, models: Sequence[AnyReadModel], *, lease_ms: int) -> dict[AnyReadModel, Checkpoint]:
        """Take over all of *models*, or none, until the lease runs out; return where each of them stands."""
        async with self._session() as connection:
            cursor = await connection.execute(_CLAIM, self._mine(models) | {"lease_ms": lease_ms})
            found = {(record["name"], record["version"]): record for record in await cursor.fetchall()}
            if len(found) < len(models):
                raise ClaimHeld("another projector works on the read models")
        return {
            model: Checkpoint(sequence=record["sequence"], hash=record["hash"], halted=record["halted"])
            for model in models
            for record in [found[model.name, model.version]]
        }

    async def renew(self, models: Sequence[AnyReadModel], *, lease_ms: int) -> int:
        """Keep the claim for another lease and return the log's head."""
        async with self._session() as connection:
            cursor = await connection.execute(_RENEW, self._mine(models) | {"lease_ms": lease_ms})
            if cursor.rowcount < len(models):
                raise ClaimLost("another projector took the read models over")
            head = await (await connection.execute(_HEAD)).fetchone()
        return int(head["sequence"]) if head else 0

    async def release(self, models: Sequence[AnyReadModel]) -> None:
        """Give the claim back at once."""
        async with self._session() as connection:
            await connection.execute(_RELEASE, self._mine(models))

    async def hash_at(self, sequence: int) -> bytes | None:
        """Return the hash that the log has at *sequence*, None where the log does not reach so far."""
        async with self._session() as connection:
            record = await (await connection.execute(_HASH_AT, [sequence])).fetchone()
            if record:
                return bytes(record["hash"])
            return await self._archived_hash_at(connection, sequence)

    async def _archived_hash_at(self, connection: Connection, sequence: int) -> bytes | None:
        async def fetch(statement: LiteralString, parameters: Sequence[Any]) -> list[Any]:
            return await (await connection.cursor(row_factory=tuple_row).execute(statement, parameters)).fetchall()

        archived = ArchivedLog(fetch, self._archive)
        if not 0 < sequence <= await archived.refresh():
            return None
        try:
            return (await archived.read_from(sequence, 1))[0].hash
        except ArchiveUnreadable as error:
            raise ViewsUnavailable(str(error)) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["PostgresViewTransaction"]:
        """Open a transaction; it commits where the block ends well."""
        async with self._session() as connection:
            yield PostgresViewTransaction(connection, self._owner)

    async def close(self) -> None:
        """Close the connection. The claim is not given back by this."""
        async with self._lock:
            await self._drop()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Connection]:
        """One transaction on the one connection. Whatever goes wrong in it, the connection is not used again."""
        async with self._lock:
            with _translated():
                connection = await self._connected()
                try:
                    async with connection.transaction():
                        yield connection
                except (ClaimHeld, ClaimLost):
                    raise
                except BaseException:
                    # Canceled between two statements, or broken: closing it rolls back whatever was under way.
                    await self._drop()
                    raise

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self._conninfo,
                autocommit=True,
                row_factory=dict_row,
                connect_timeout=_CONNECT_TIMEOUT_S,
                options=_OPTIONS,
                application_name="khata projector",
                prepare_threshold=2,
            )
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _mine(self, models: Sequence[AnyReadModel]) -> dict[str, Any]:
        return {
            "names": [model.name for model in models],
            "versions": [model.version for model in models],
            "owner": self._owner,
        }


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
        advances: Mapping[AnyReadModel, tuple[Checkpoint, Checkpoint]],
    ) -> None:
        """Write rows and move checkpoints, in one round trip."""
        async with self._connection.pipeline():
            for model, rows in changes.items():
                await self._write(model, rows)
            cursor = self._connection.cursor()
            await cursor.execute(_ADVANCE, self._advance(advances))
            moved = {model.table_name: new.sequence for model, (_, new) in advances.items()}
            await self._connection.execute(_NOTIFY, [CHANNEL, msgspec.json.encode(moved).decode()])
        if cursor.rowcount < len(advances):
            raise ClaimLost("another projector took the read models over")

    async def _write(self, model: AnyReadModel, rows: Mapping[Key, Row | None]) -> None:
        # In the order of keys, so that two writers never wait for each other crosswise.
        kept = [row for _, row in sorted(rows.items()) if row is not None]
        gone = [key for key, row in sorted(rows.items()) if row is None]
        if kept:
            await self._connection.execute(statements_of(model).upsert, row_arrays(model, kept))
        if gone:
            await self._connection.execute(statements_of(model).delete, key_arrays(gone))

    def _advance(self, advances: Mapping[AnyReadModel, tuple[Checkpoint, Checkpoint]]) -> dict[str, Any]:
        return {
            "names": [model.name for model in advances],
            "versions": [model.version for model in advances],
            "olds": [old.sequence for old, _ in advances.values()],
            "news": [new.sequence for _, new in advances.values()],
            "hashes": [new.hash for _, new in advances.values()],
            "halts": [new.halted for _, new in advances.values()],
            "owner": self._owner,
        }
