"""The editions of read models: how they come to be, how readers are pointed to another, and how they go.

An edition is one filling of a read model: its version and generation, with a table, checkpoints and parked events of
its own. A pointer says which generation the readers of a version use; it moves in one transaction, and what it left
stays readable and up to date for ten minutes, so that a reader that has not heard of it still finds its table. Every
function is called in an open transaction.
"""

from collections.abc import Sequence

from adapters.postgres.view_claims import LOCK, PLACE, tell_changed
from adapters.postgres.view_session import Connection
from adapters.postgres.view_tables import drop_table, make_table
from projections.read_model import AnyReadModel, table_name_of

KEEP_S = 600
"""How long readers can go back, and how long a late reader still finds the old table."""

# Which versions of read models have an edition, or have been replaced by a later one. Parameters: names, versions.
_PRESENT = """
SELECT name, version
FROM unnest(%s::text[], %s::integer[]) AS mine (name, version)
WHERE EXISTS (SELECT FROM views.editions WHERE (editions.name, editions.version) = (mine.name, mine.version))
    OR EXISTS (SELECT FROM views.pointers WHERE pointers.name = mine.name AND pointers.version > mine.version)
"""

# Whether any read model has taken in anything yet.
_IS_STARTED = "SELECT EXISTS (SELECT FROM views.checkpoints WHERE sequence > 0) AS is_started"

_MAKE = "INSERT INTO views.editions (name, version, generation, shards, state) VALUES (%s, %s, %s, %s, %s)"
_BEGIN = """
INSERT INTO views.checkpoints (name, version, generation, shard)
SELECT %s, %s, %s, shard FROM generate_series(0, %s - 1) AS shard
"""
_POINT = "INSERT INTO views.pointers (name, version, generation) VALUES (%s, %s, %s)"

# Editions whose time is over: of these versions, and of those before. Parameters: names, versions.
_OUTLIVED = """
SELECT name, version, generation
FROM views.editions
JOIN unnest(%s::text[], %s::integer[]) AS mine (name, latest) USING (name)
WHERE version <= latest AND drop_at <= clock_timestamp()
ORDER BY name, version, generation
"""
_DROP = "DELETE FROM views.editions WHERE name = %s AND version = %s AND generation = %s"

# Readers of a version whose last edition goes are readers of a release that has been replaced.
_UNPOINT = "DELETE FROM views.pointers WHERE name = %s AND version = %s AND generation = %s"
_NO_WAY_BACK = """
UPDATE views.pointers SET previous_generation = NULL WHERE name = %s AND version = %s AND previous_generation = %s
"""


async def prepare(connection: Connection, models: Sequence[AnyReadModel], *, shards: int) -> None:
    """Make the editions of *models* that are missing.

    In views that have taken nothing in yet they are live at once, and all begin together. Elsewhere a read model that
    is new, or has a new version, is to be filled beside the others, who would else wait for it.
    """
    if not await _missing(connection, models):
        return
    await connection.execute(LOCK)
    [views] = await (await connection.execute(_IS_STARTED)).fetchall()
    for model in await _missing(connection, models):
        if views["is_started"]:
            await make_edition(connection, model, state="filling", shards=1)
        else:
            await make_edition(connection, model, state="live", shards=shards)
            await connection.execute(_POINT, [model.name, model.version, model.generation])
    await tell_changed(connection)


async def _missing(connection: Connection, models: Sequence[AnyReadModel]) -> list[AnyReadModel]:
    cursor = await connection.execute(_PRESENT, [[model.name for model in models], [model.version for model in models]])
    present = {(record["name"], record["version"]) for record in await cursor.fetchall()}
    return [model for model in models if (model.name, model.version) not in present]


async def make_edition(connection: Connection, model: AnyReadModel, *, state: str, shards: int) -> None:
    """Make the table and the checkpoints of an edition, which begins at the start of the log."""
    edition = [model.name, model.version, model.generation]
    await make_table(connection, model)
    await connection.execute(_MAKE, [*edition, shards, state])
    await connection.execute(_BEGIN, [*edition, shards])


async def place(connection: Connection, model: AnyReadModel, sequence: int, hash_: bytes, shards: int) -> None:
    """Put the checkpoints of an edition, which has none, to one place."""
    await connection.execute(PLACE, [model.name, model.version, model.generation, sequence, hash_, shards])


async def drop_due(connection: Connection, models: Sequence[AnyReadModel]) -> None:
    """Drop the editions of *models*, and of their earlier versions, whose time is over."""
    await connection.execute(LOCK)
    parameters = [[model.name for model in models], [model.version for model in models]]
    outlived = await (await connection.execute(_OUTLIVED, parameters)).fetchall()
    for record in outlived:
        await drop_edition(connection, record["name"], record["version"], record["generation"])


async def drop_edition(connection: Connection, name: str, version: int, generation: int) -> None:
    """Drop one edition with all that belongs to it."""
    edition = [name, version, generation]
    await drop_table(connection, table_name_of(name, version, generation))
    await connection.execute(_DROP, edition)
    await connection.execute(_NO_WAY_BACK, edition)
    await connection.execute(_UNPOINT, edition)
    await tell_changed(connection)
