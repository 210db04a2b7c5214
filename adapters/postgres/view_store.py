"""Where the projector keeps read models: rows, checkpoints and the claim on them, all in one database.

A batch's rows and its checkpoints commit together, and a checkpoint moves only from the place where this projector
left it and only while it is this projector's. So whatever is killed, and however many projectors believe that the work
is theirs, each event takes effect once.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext

from psycopg import AsyncRawCursor

from adapters.archive.parquet import ArchiveUnreadable, ParquetArchive
from adapters.postgres import view_claims, view_editions
from adapters.postgres.archived_log import ArchivedLog
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.log_feed import fetch_on
from adapters.postgres.view_claims import Claimant
from adapters.postgres.view_rows import key_arrays, rows_by_key, statements_of
from adapters.postgres.view_session import Connection, ViewSession
from adapters.postgres.view_writes import Write, write_of
from projections.ports import Checkpoint, Claimed, ClaimLost, ParkedEvent, Part, Renewed, ViewsUnavailable
from projections.read_model import AnyReadModel, Key, Row

PIPELINED_BYTES_MAX = 32_768
"""Less than a socket takes at once on any system."""
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

    async def load(self, wanted: Mapping[AnyReadModel, Iterable[Key]]) -> dict[AnyReadModel, dict[Key, Row]]:
        """Return the rows that exist under the wanted keys."""
        return await load(self._session, wanted)

    async def save(
        self,
        changes: Mapping[AnyReadModel, Mapping[Key, Row | None]],
        advances: Mapping[Part, tuple[Checkpoint, Checkpoint]],
        parked: Mapping[AnyReadModel, Sequence[ParkedEvent]],
    ) -> None:
        """Write rows, put events aside and move checkpoints, in one transaction; few rows in one round trip."""
        await save(self._session, write_of(self._owner, changes, advances, parked))

    async def close(self) -> None:
        """Close the connection. The claim is not given back by this."""
        await self._session.close()

    def _claimant(self, models: Sequence[AnyReadModel]) -> Claimant:
        return Claimant(owner=self._owner, models=tuple(models))


async def load(
    session: ViewSession, wanted: Mapping[AnyReadModel, Iterable[Key]]
) -> dict[AnyReadModel, dict[Key, Row]]:
    """Return the rows that exist under the wanted keys, few of them asked for in one round trip."""
    asked = {model: key_arrays(sorted(keys)) for model, keys in wanted.items()}
    size = sum(len(array.data) for arrays in asked.values() for array in arrays)
    cursors = {}
    async with (
        session.connection() as connection,
        # The driver's pipeline does not look whether all of it went out before it waits for the answers. What the
        # socket has no room for then stays here, and both sides wait for ever.
        connection.pipeline() if size <= PIPELINED_BYTES_MAX else nullcontext(),
    ):
        for model, arrays in asked.items():
            cursors[model] = await connection.cursor().execute(statements_of(model).select_by_keys, arrays)
        return {model: rows_by_key(model, await cursor.fetchall()) for model, cursor in cursors.items()}


async def save(session: ViewSession, write: Write) -> None:
    """Carry *write* out. Raises ClaimLost."""
    if not write.copies:
        async with session.connection() as connection:
            await _run(connection, write)
        return
    async with session.transaction(staged=write.staged) as connection:
        for statement, data in write.copies:
            async with connection.cursor().copy(statement) as copy:
                await copy.write(data)
        await _run(connection, write)


async def _run(connection: Connection, write: Write) -> None:
    cursor = AsyncRawCursor(connection)
    await cursor.execute(write.statement, write.parameters)
    if not cursor.rowcount:
        raise ClaimLost("the claim on the read models was taken over")
