"""Who works on which shards of the read models. Every function is called in an open transaction.

All shards of a projector's editions are shared out by one rule, under one lock: whoever claims notes that it is alive,
counts who else of its kind is, and keeps its fair share of what is free. A claim is a name and an end of lease on the
checkpoints. To make a projector forget what it believes, others take its name off (`revoke`): its next commit fails,
and it claims anew.

The number of shards changes only while one projector has them all and they stand at one sequence: then a checkpoint
says the same whatever the number is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.postgres.view_session import Connection
from adapters.postgres.view_tables import CHANNEL
from projections.ports import Checkpoint, Claimed, ClaimHeld, ClaimLost, Part, Renewed
from projections.read_model import AnyReadModel
from projections.shards import fair_share

# Claims, editions and pointers change one after the other.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('khata.views.claims', 0))"

# Say that we are alive.
_SEEN = """
INSERT INTO views.projectors (owner, kind, seen_until)
VALUES (%(owner)s, %(kind)s, clock_timestamp() + %(lease_ms)s * interval '1 millisecond')
ON CONFLICT (owner) DO UPDATE SET seen_until = EXCLUDED.seen_until
"""

# Forget who has not been seen for long.
_FORGET = "DELETE FROM views.projectors WHERE seen_until < clock_timestamp() - interval '1 minute'"

# Count the living of our kind.
_LIVING = """
SELECT count(*) AS living FROM views.projectors WHERE kind = %s AND (seen_until > clock_timestamp() OR owner = %s)
"""

# Which editions of our versions follow the log, and in how many shards. Parameters: names, versions.
_EDITIONS = """
SELECT name, version, generation, shards
FROM views.editions
JOIN unnest(%s::text[], %s::integer[]) AS mine (name, version) USING (name, version)
WHERE state = 'live'
ORDER BY name, version, generation
"""

# Where their shards stand, and whether each is free for us.
_CHECKPOINTS = """
SELECT
    name, version, generation, shard, sequence, hash, halted,
    owner = %s AS is_mine, owner = %s OR lease_until <= clock_timestamp() AS is_free
FROM views.checkpoints
JOIN unnest(%s::text[], %s::integer[], %s::integer[]) AS live (name, version, generation)
    USING (name, version, generation)
ORDER BY name, version, generation, shard
FOR UPDATE OF checkpoints
"""

# Take shards. Parameters: those of the parts, and the lease.
_TAKE = """
UPDATE views.checkpoints AS kept
SET owner = %(owner)s,
    lease_until = clock_timestamp() + %(lease_ms)s * interval '1 millisecond',
    epoch = log.current_epoch()
FROM unnest(%(names)s::text[], %(versions)s::integer[], %(generations)s::integer[], %(shards)s::integer[])
    AS part (name, version, generation, shard)
WHERE (kept.name, kept.version, kept.generation, kept.shard)
    = (part.name, part.version, part.generation, part.shard)
"""

# Keep the claim, in the order of the key like everybody who locks more than one.
_RENEW = """
WITH held AS (
    SELECT name, version, generation, shard
    FROM views.checkpoints
    JOIN unnest(%(names)s::text[], %(versions)s::integer[], %(generations)s::integer[], %(shards)s::integer[])
        AS part (name, version, generation, shard) USING (name, version, generation, shard)
    WHERE owner = %(owner)s
    ORDER BY name, version, generation, shard
    FOR UPDATE OF checkpoints
)
UPDATE views.checkpoints AS kept
SET lease_until = clock_timestamp() + %(lease_ms)s * interval '1 millisecond'
FROM held
WHERE (kept.name, kept.version, kept.generation, kept.shard)
    = (held.name, held.version, held.generation, held.shard)
"""

# Let the next projector in at once. An owner's name is its own, whatever it holds.
_RELEASE = """
WITH held AS (
    SELECT name, version, generation, shard FROM views.checkpoints WHERE owner = %s
    ORDER BY name, version, generation, shard
    FOR UPDATE
)
UPDATE views.checkpoints AS kept
SET owner = '', lease_until = '-infinity'
FROM held
WHERE (kept.name, kept.version, kept.generation, kept.shard)
    = (held.name, held.version, held.generation, held.shard)
"""
_GONE = "DELETE FROM views.projectors WHERE owner = %s"

# Take a claim from whoever has it (but one), and hold the checkpoints until this transaction ends. Parameters: name,
# version, the owner who keeps his.
_REVOKE = """
WITH held AS (
    SELECT name, version, generation, shard FROM views.checkpoints WHERE name = %s AND version = %s AND owner <> %s
    ORDER BY name, version, generation, shard
    FOR UPDATE
)
UPDATE views.checkpoints AS kept
SET owner = '', lease_until = '-infinity'
FROM held
WHERE (kept.name, kept.version, kept.generation, kept.shard)
    = (held.name, held.version, held.generation, held.shard)
"""

# What another claim would find: how many shards have something free, and ours among them; whose time is over.
_OUTLOOK = """
SELECT
    (SELECT sequence FROM log.current_head()) AS head,
    (SELECT count(*) FROM views.projectors WHERE kind = %(kind)s AND seen_until > clock_timestamp()) AS living,
    count(DISTINCT shard) AS free,
    count(*) FILTER (WHERE shard = ANY (%(held)s::integer[])) AS free_here,
    (
        SELECT max(shards)
        FROM views.editions
        JOIN unnest(%(names)s::text[], %(versions)s::integer[]) AS mine (name, version) USING (name, version)
        WHERE state = 'live'
    ) AS shards,
    (
        SELECT count(*)
        FROM views.editions
        JOIN unnest(%(names)s::text[], %(versions)s::integer[]) AS mine (name, latest) USING (name)
        WHERE version <= latest AND drop_at <= clock_timestamp()
    ) AS outlived
FROM views.checkpoints
JOIN views.editions USING (name, version, generation)
JOIN unnest(%(names)s::text[], %(versions)s::integer[]) AS mine (name, version) USING (name, version)
WHERE state = 'live' AND owner <> %(owner)s AND lease_until <= clock_timestamp()
"""

# Put checkpoints of another number of shards in place of those that stand.
_RESHARD_OFF = "DELETE FROM views.checkpoints WHERE name = %s AND version = %s AND generation = %s"
PLACE = """
INSERT INTO views.checkpoints (name, version, generation, shard, sequence, hash)
SELECT %s, %s, %s, shard, %s, %s FROM generate_series(0, %s - 1) AS shard
"""
_RESHARDED = "UPDATE views.editions SET shards = %s WHERE name = %s AND version = %s AND generation = %s"

# Which streams wait, by edition.
_PARKED = """
SELECT DISTINCT name, version, generation, stream_id
FROM views.parked_events
JOIN unnest(%s::text[], %s::integer[]) AS mine (name, version) USING (name, version)
"""

_NOTIFY_CHANGED = f"SELECT pg_notify('{CHANNEL}', '{{}}')"


@dataclass(frozen=True, slots=True)
class Claimant:
    """A projector: its own name, and the read models it keeps."""

    owner: str
    models: tuple[AnyReadModel, ...]

    @property
    def kind(self) -> str:
        """What projectors have in common that can do each other's work."""
        return ",".join(sorted(f"{model.name}_v{model.version}" for model in self.models))

    def versions(self) -> dict[str, Any]:
        """Return its read models as parameters."""
        return {"names": [m.name for m in self.models], "versions": [m.version for m in self.models]}

    def edition(self, record: dict[str, Any]) -> AnyReadModel:
        """Return the read model of a record's edition."""
        [model] = [m for m in self.models if (m.name, m.version) == (record["name"], record["version"])]
        return model.in_generation(record["generation"])


def part_arrays(parts: Sequence[Part]) -> dict[str, Any]:
    """Return *parts* as parameters."""
    return {
        "names": [part.model.name for part in parts],
        "versions": [part.model.version for part in parts],
        "generations": [part.model.generation for part in parts],
        "shards": [part.shard for part in parts],
    }


async def claim(connection: Connection, claimant: Claimant, *, shards: int, lease_ms: int) -> Claimed:
    """Take a fair share of the shards, for the number of them to become *shards*. Raises ClaimHeld."""
    await connection.execute(LOCK)
    seen = {"owner": claimant.owner, "kind": claimant.kind, "lease_ms": lease_ms}
    await connection.execute(_SEEN, seen)
    await connection.execute(_FORGET)
    [living] = await (await connection.execute(_LIVING, [claimant.kind, claimant.owner])).fetchall()
    versions = claimant.versions()
    cursor = await connection.execute(_EDITIONS, [versions["names"], versions["versions"]])
    editions = [(claimant.edition(record), int(record["shards"])) for record in await cursor.fetchall()]
    if not editions:
        return Claimed(checkpoints={}, shards=shards, parked={})
    present = editions[0][1]
    found = await _checkpoints(connection, claimant, [model for model, _ in editions])
    free = {part.shard for part, record in found.items() if record["is_free"]}
    mine = {part.shard for part, record in found.items() if record["is_mine"]}
    if present != shards and all(record["is_free"] for record in found.values()):
        if _are_level(found):
            await _reshard(connection, editions, found, shards)
            await connection.execute(_NOTIFY_CHANGED)
            found = await _checkpoints(connection, claimant, [model for model, _ in editions])
            present, free, mine = shards, set(range(shards)), set()
        else:
            mine = free  # One projector brings them to one sequence.
    is_resharding = present != shards and len(mine) == present
    share = present if is_resharding else fair_share(present, living["living"])
    taken = sorted(free, key=lambda shard: (shard not in mine, shard))[:share]
    if not taken:
        # The note that we are alive has to stay, so that those who have more than their share give some up.
        return Claimed(checkpoints={}, shards=present, parked={})
    # Beside a projector of another release, what both have in common is one's, and the rest the other's.
    parts = [part for part, record in found.items() if part.shard in taken and record["is_free"]]
    await connection.execute(_RELEASE, [claimant.owner])
    await connection.execute(_TAKE, part_arrays(parts) | {"owner": claimant.owner, "lease_ms": lease_ms})
    return Claimed(
        checkpoints={
            part: Checkpoint(
                sequence=found[part]["sequence"], hash=bytes(found[part]["hash"]), halted=found[part]["halted"]
            )
            for part in parts
        },
        shards=present,
        parked=await _parked(connection, claimant, [model for model, _ in editions]),
        is_resharding=is_resharding,
    )


async def renew(connection: Connection, claimant: Claimant, parts: Sequence[Part], *, lease_ms: int) -> Renewed:
    """Keep the claim on *parts*, and look what another claim would bring. Raises ClaimLost."""
    held = sorted({part.shard for part in parts})
    who = {"owner": claimant.owner, "kind": claimant.kind, "lease_ms": lease_ms, "held": held}
    cursor = await connection.execute(_RENEW, part_arrays(parts) | who)
    if cursor.rowcount < len(parts):
        raise ClaimLost("the claim on the read models was taken over")
    await connection.execute(_SEEN, who)
    [outlook] = await (await connection.execute(_OUTLOOK, claimant.versions() | who)).fetchall()
    share = fair_share(outlook["shards"], outlook["living"])
    return Renewed(
        head=int(outlook["head"]),
        is_due=outlook["free_here"] > 0 or len(held) > share or (outlook["free"] > 0 and len(held) < share),
        is_outlived=outlook["outlived"] > 0,
    )


async def release(connection: Connection, owner: str) -> None:
    """Give every claim of *owner* back."""
    await connection.execute(_RELEASE, [owner])
    await connection.execute(_GONE, [owner])


async def revoke(connection: Connection, model: AnyReadModel, *, except_owner: str = "") -> None:
    """Take the claims on all editions of *model*'s version away and hold its checkpoints to the transaction's end."""
    await connection.execute(_REVOKE, [model.name, model.version, except_owner])


async def tell_changed(connection: Connection) -> None:
    """Let readers look up pointers and checkpoints anew once this transaction has committed."""
    await connection.execute(_NOTIFY_CHANGED)


def held_elsewhere(claimed: Claimed) -> None:
    """Raise ClaimHeld where nothing was claimed."""
    if not claimed.checkpoints:
        raise ClaimHeld("other projectors work on all shards of these read models, or a later release replaced them")


async def _checkpoints(
    connection: Connection, claimant: Claimant, editions: Sequence[AnyReadModel]
) -> dict[Part, dict[str, Any]]:
    parameters = [
        claimant.owner,
        claimant.owner,
        [model.name for model in editions],
        [model.version for model in editions],
        [model.generation for model in editions],
    ]
    cursor = await connection.execute(_CHECKPOINTS, parameters)
    return {Part(claimant.edition(record), record["shard"]): record for record in await cursor.fetchall()}


def _are_level(found: dict[Part, dict[str, Any]]) -> bool:
    """Tell whether the shards of each edition stand at one sequence."""
    places: dict[AnyReadModel, set[int]] = {}
    for part, record in found.items():
        places.setdefault(part.model, set()).add(record["sequence"])
    return all(len(sequences) == 1 for sequences in places.values())


async def _reshard(
    connection: Connection, editions: Sequence[tuple[AnyReadModel, int]], found: dict[Part, dict[str, Any]], shards: int
) -> None:
    for model, _ in editions:
        edition = [model.name, model.version, model.generation]
        stands = found[Part(model, 0)]
        await connection.execute(_RESHARD_OFF, edition)
        await connection.execute(PLACE, [*edition, stands["sequence"], stands["hash"], shards])
        await connection.execute(_RESHARDED, [shards, *edition])


async def _parked(
    connection: Connection, claimant: Claimant, editions: Sequence[AnyReadModel]
) -> dict[AnyReadModel, frozenset[str]]:
    versions = claimant.versions()
    streams: dict[AnyReadModel, set[str]] = {}
    cursor = await connection.execute(_PARKED, [versions["names"], versions["versions"]])
    for record in await cursor.fetchall():
        streams.setdefault(claimant.edition(record), set()).add(record["stream_id"])
    return {model: frozenset(names) for model, names in streams.items() if model in editions}
