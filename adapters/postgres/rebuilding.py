"""New editions of read models in PostgreSQL: begun, joined, compared, switched to, and gone back from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from psycopg import sql
from sqlalchemy import BigInteger

from adapters.postgres import view_claims, view_editions
from adapters.postgres.view_session import Connection, ViewSession
from adapters.postgres.view_store import load, save
from adapters.postgres.view_writes import write_of
from projections.ports import Checkpoint, ClaimLost, ParkedEvent, Part
from projections.read_model import SCHEMA, AnyReadModel, Key, Row
from projections.rebuild import NothingToGoBackTo, PageComparison, RebuildRunning

LEASE_MS = 5_000
_UNUSED_S = 3_600
"""An edition that joined and was never switched to goes after this."""

# Editions of a version, and whether somebody is filling them. Parameters: owner, name, version.
_EDITIONS = """
SELECT
    generation, state,
    bool_or(owner NOT IN ('', %s) AND lease_until > clock_timestamp()) AS is_held
FROM views.editions
LEFT JOIN views.checkpoints USING (name, version, generation)
WHERE name = %s AND version = %s
GROUP BY generation, state
ORDER BY generation
"""

# Take a filling over.
_TAKE = """
UPDATE views.checkpoints
SET owner = %s, lease_until = clock_timestamp() + %s * interval '1 millisecond', epoch = log.current_epoch()
WHERE name = %s AND version = %s AND generation = %s
RETURNING sequence, hash
"""

# Keep it.
_EXTEND = """
UPDATE views.checkpoints SET lease_until = clock_timestamp() + %s * interval '1 millisecond'
WHERE name = %s AND version = %s AND generation = %s AND owner = %s
"""

# Take the one checkpoint of a filling away, to put one for each shard in its place.
_FILLED = """
DELETE FROM views.checkpoints
WHERE name = %s AND version = %s AND generation = %s AND owner = %s
RETURNING sequence, hash
"""
_SHARDS = """
SELECT max(shards) AS shards
FROM views.editions
JOIN unnest(%s::text[], %s::integer[]) AS mine (name, version) USING (name, version)
WHERE state = 'live'
"""
_GO_LIVE = """
UPDATE views.editions
SET state = 'live', shards = %s, drop_at = clock_timestamp() + %s * interval '1 second'
WHERE name = %s AND version = %s AND generation = %s
"""

_POINTER = """
SELECT generation, previous_generation FROM views.pointers WHERE name = %s AND version = %s FOR UPDATE
"""
_IN_USE = "SELECT generation FROM views.pointers WHERE name = %s AND version = %s"

# Why an edition is not the measure of another.
_INCOMPARABLE = """
SELECT
    (SELECT max(halted) FROM views.checkpoints
     WHERE name = %(name)s AND version = %(version)s AND generation = %(generation)s) AS halted,
    (SELECT count(DISTINCT stream_id) FROM views.parked_events
     WHERE name = %(name)s AND version = %(version)s AND generation = %(generation)s) AS parked
"""

# Whether two editions stand at one place in every shard. Parameters: name, version, two generations.
_LEVEL = """
SELECT count(*) AS uneven
FROM (
    SELECT shard FROM views.checkpoints
    WHERE name = %s AND version = %s AND generation IN (%s, %s)
    GROUP BY shard
    HAVING count(DISTINCT sequence) <> 1 OR count(*) <> 2
) AS shards
"""

# The checksum of a page of rows, which does not depend on their order, and where the page ends.
_PAGE = """
WITH page AS MATERIALIZED (
    SELECT * FROM {table} AS kept
    WHERE %s::boolean OR ({keys}) > ({after})
    ORDER BY {keys} LIMIT %s
)
SELECT
    count(*) AS rows,
    coalesce(sum(hashtextextended(page::text, 0)), 0) AS checksum,
    (SELECT ARRAY[{texts}] FROM page ORDER BY {descending} LIMIT 1) AS last_key
FROM page
"""

# Which versions are to be filled and have no readers yet. Parameters: names, versions.
_UNFILLED = """
SELECT DISTINCT name, version
FROM views.editions
JOIN unnest(%s::text[], %s::integer[]) AS mine (name, version) USING (name, version)
WHERE state = 'filling'
    AND NOT EXISTS (SELECT FROM views.pointers WHERE (pointers.name, pointers.version) = (mine.name, mine.version))
"""

# Point readers to a generation; the one they used before is where they can go back to.
_POINT = """
INSERT INTO views.pointers AS pointers (name, version, generation) VALUES (%s, %s, %s)
ON CONFLICT (name, version) DO UPDATE
SET previous_generation = pointers.generation, generation = EXCLUDED.generation, switched_at = clock_timestamp()
WHERE pointers.generation <> EXCLUDED.generation
"""
_KEEP = """
UPDATE views.editions SET drop_at = NULL WHERE name = %s AND version = %s AND generation = %s AND state = 'live'
"""

# Let the editions that readers left go later: of this version, and of the versions before.
_LET_GO = """
UPDATE views.editions
SET drop_at = least(drop_at, clock_timestamp() + %s * interval '1 second')
WHERE name = %s AND (version < %s OR (version = %s AND generation <> %s AND state = 'live'))
"""


class PostgresEditions:
    """Implements `projections.rebuild.Editions` as `khata_projector`; *owner* is a name that nobody else ever has."""

    def __init__(self, conninfo: str, *, owner: str) -> None:
        self._owner = owner
        self._session = ViewSession(conninfo)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def begin(self, model: AnyReadModel) -> tuple[AnyReadModel, Checkpoint]:
        """Return the edition to fill and where it stands: one left behind while it was filling, or a new one."""
        async with self._session.transaction() as connection:
            await connection.execute(view_claims.LOCK)
            cursor = await connection.execute(_EDITIONS, [self._owner, model.name, model.version])
            found = await cursor.fetchall()
            filling = [record for record in found if record["state"] == "filling"]
            running = next((record for record in filling if record["is_held"]), None)
            if running is None:
                if filling:
                    edition = model.in_generation(filling[0]["generation"])
                else:
                    latest = max((record["generation"] for record in found), default=0)
                    edition = model.in_generation(latest + 1)
                    await view_editions.make_edition(connection, edition, state="filling", shards=1)
                taken = await connection.execute(_TAKE, [self._owner, LEASE_MS, *_names(edition)])
                [stands] = await taken.fetchall()
        if running is not None:
            raise RebuildRunning(f"{model.in_generation(running['generation']).table_name} is being filled")
        return edition, Checkpoint(sequence=stands["sequence"], hash=bytes(stands["hash"]))

    async def extend(self, edition: AnyReadModel) -> None:
        """Keep others from taking the filling up."""
        async with self._session.transaction() as connection:
            cursor = await connection.execute(_EXTEND, [LEASE_MS, *_names(edition), self._owner])
            if not cursor.rowcount:
                raise ClaimLost(f"another rebuild took {edition.table_name} over")

    async def load(self, wanted: Mapping[AnyReadModel, Iterable[Key]]) -> dict[AnyReadModel, dict[Key, Row]]:
        """Return the rows that exist under the wanted keys."""
        return await load(self._session, wanted)

    async def save(
        self,
        changes: Mapping[AnyReadModel, Mapping[Key, Row | None]],
        advances: Mapping[Part, tuple[Checkpoint, Checkpoint]],
        parked: Mapping[AnyReadModel, Sequence[ParkedEvent]],
    ) -> None:
        """Write rows and move checkpoints, in one transaction."""
        await save(self._session, write_of(self._owner, changes, advances, parked))

    async def unfilled(self, models: Sequence[AnyReadModel]) -> list[AnyReadModel]:
        """Return which of *models* have no edition for their readers yet, but one to be filled."""
        async with self._session.transaction() as connection:
            parameters = [[model.name for model in models], [model.version for model in models]]
            found = await (await connection.execute(_UNFILLED, parameters)).fetchall()
        wanted = {(record["name"], record["version"]) for record in found}
        return [model for model in models if (model.name, model.version) in wanted]

    async def join(self, edition: AnyReadModel, models: Sequence[AnyReadModel]) -> None:
        """Hand a filled edition to the projectors of *models*, in as many shards as they have.

        The projectors lose their claim on this read model by it, look what there is, and go on with both.
        """
        async with self._session.transaction() as connection:
            await connection.execute(view_claims.LOCK)
            await view_claims.revoke(connection, edition, except_owner=self._owner)
            cursor = await connection.execute(_SHARDS, [[m.name for m in models], [m.version for m in models]])
            [live] = await cursor.fetchall()
            shards = live["shards"] or 1
            filled = await (await connection.execute(_FILLED, [*_names(edition), self._owner])).fetchall()
            if not filled:
                raise ClaimLost(f"another rebuild took {edition.table_name} over")
            await view_editions.place(connection, edition, filled[0]["sequence"], filled[0]["hash"], shards)
            await connection.execute(_GO_LIVE, [shards, _UNUSED_S, *_names(edition)])
            await view_claims.tell_changed(connection)

    async def in_use(self, model: AnyReadModel) -> AnyReadModel | None:
        """Return the edition that readers of the model's version use, None where there is none yet."""
        async with self._session.transaction() as connection:
            found = await (await connection.execute(_IN_USE, [model.name, model.version])).fetchall()
        return model.in_generation(found[0]["generation"]) if found else None

    async def why_incomparable(self, edition: AnyReadModel) -> str | None:
        """Return why an edition is not the measure of another, None where it is."""
        names = {"name": edition.name, "version": edition.version, "generation": edition.generation}
        async with self._session.transaction() as connection:
            [record] = await (await connection.execute(_INCOMPARABLE, names)).fetchall()
        if record["halted"] is not None:
            return f"{edition.table_name} is halted: {record['halted']}"
        if record["parked"]:
            return f"{record['parked']} streams are parked in {edition.table_name}"
        return None

    async def compare(self, new: AnyReadModel, old: AnyReadModel, *, after: Key | None, limit: int) -> PageComparison:
        """Compare at most *limit* rows after a key, both editions as of one moment."""
        async with self._session.transaction(is_snapshot=True) as connection:
            generations = [new.name, new.version, new.generation, old.generation]
            [level] = await (await connection.execute(_LEVEL, generations)).fetchall()
            if level["uneven"]:
                return PageComparison(is_level=False, is_equal=False, rows=0, last_key=None)
            pages = [await _page(connection, edition, after, limit) for edition in (new, old)]
        rows, last_key = pages[1]["rows"], pages[1]["last_key"]
        return PageComparison(
            is_level=True,
            is_equal=pages[0] == pages[1],
            rows=rows,
            last_key=tuple(last_key) if rows == limit else None,
        )

    async def switch(self, edition: AnyReadModel) -> None:
        """Point readers to *edition*, and let what they leave go later."""
        async with self._session.transaction() as connection:
            await connection.execute(view_claims.LOCK)
            await _point(connection, edition)

    async def back(self, model: AnyReadModel) -> AnyReadModel:
        """Point readers to the edition they left last and return it."""
        async with self._session.transaction() as connection:
            await connection.execute(view_claims.LOCK)
            found = await (await connection.execute(_POINTER, [model.name, model.version])).fetchall()
            previous = found[0]["previous_generation"] if found else None
            if previous is not None:
                await _point(connection, model.in_generation(previous))
        if previous is None:
            raise NothingToGoBackTo(f"readers of {model.name} were not pointed elsewhere within ten minutes")
        return model.in_generation(previous)

    async def abandon(self, edition: AnyReadModel) -> None:
        """Drop an edition that nobody reads."""
        async with self._session.transaction() as connection:
            await connection.execute(view_claims.LOCK)
            await view_claims.revoke(connection, edition)
            await view_editions.drop_edition(connection, edition.name, edition.version, edition.generation)


async def _point(connection: Connection, edition: AnyReadModel) -> None:
    await connection.execute(_POINT, _names(edition))
    await connection.execute(_KEEP, _names(edition))
    name, version, generation = _names(edition)
    await connection.execute(_LET_GO, [view_editions.KEEP_S, name, version, version, generation])
    await view_claims.tell_changed(connection)


async def _page(connection: Connection, edition: AnyReadModel, after: Key | None, limit: int) -> dict[str, Any]:
    columns = [edition.table.c[name] for name in edition.key]
    names = [sql.Identifier(name) for name in edition.key]
    casts = [sql.SQL("%s::bigint" if isinstance(column.type, BigInteger) else "%s::text") for column in columns]
    comma = sql.SQL(", ")
    statement = sql.SQL(_PAGE).format(
        table=sql.Identifier(SCHEMA, edition.table_name),
        keys=comma.join(names),
        after=comma.join(casts),
        texts=comma.join(sql.SQL("{}::text").format(name) for name in names),
        descending=comma.join(sql.SQL("{} DESC").format(name) for name in names),
    )
    start: list[Any] = [None] * len(names) if after is None else list(after)
    cursor = await connection.execute(statement, [after is None, *start, limit])
    [page] = await cursor.fetchall()
    return page


def _names(edition: AnyReadModel) -> list[Any]:
    return [edition.name, edition.version, edition.generation]
