"""A batch on its way into the views: rows, parked events, checkpoints and notification in one statement.

One statement is one round trip and one transaction, which for the small batches of a log that is followed closely is
most of what they cost. It holds the checkpoints first, so that two who want the same rows never wait for each other
crosswise; and unless all of them are where they were left and ours, it writes nothing at all and returns no row. Many
rows come by COPY before it, in one transaction with it.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
from psycopg import sql

from adapters.postgres.view_rows import (
    copy_data,
    delete_of,
    json_of,
    keys_json,
    rows_json,
    statements_of,
    upsert_of,
    upsert_stage_of,
)
from adapters.postgres.view_tables import CHANNEL
from projections.ports import Checkpoint, ParkedEvent, Part
from projections.read_model import AnyReadModel, Key, Row

_NOTIFY_BYTES_MAX = 7_900

# Hold the checkpoints that move. Parameters: the moves as JSON, the owner, the notification's channel and text.
_HOLD = """
moved AS MATERIALIZED (
    SELECT name, version, generation, shard, old, sequence, decode(hash, 'base64') AS hash, halted
    FROM json_to_recordset($1::json) AS moved (
        name text, version integer, generation integer, shard integer,
        old bigint, sequence bigint, hash text, halted text
    )
),
held AS MATERIALIZED (
    SELECT
    FROM views.checkpoints AS kept
    JOIN moved USING (name, version, generation, shard)
    WHERE kept.sequence = moved.old AND kept.owner = $2
    ORDER BY name, version, generation, shard
    FOR UPDATE OF kept
),
claim AS MATERIALIZED (SELECT count(*) = (SELECT count(*) FROM moved) AS is_ours FROM held)"""
_IS_OURS = "(SELECT is_ours FROM claim)"

# Put events aside.
_PARK = """
INSERT INTO views.parked_events (name, version, generation, sequence, stream_id, event_name, error)
SELECT name, version, generation, sequence, stream_id, event_name, error
FROM json_to_recordset({parked}::json) AS parked (
    name text, version integer, generation integer, sequence bigint, stream_id text, event_name text, error text
)
WHERE {is_ours}"""

# Move the checkpoints.
_ADVANCE = """
UPDATE views.checkpoints AS kept
SET sequence = moved.sequence, hash = moved.hash, halted = moved.halted
FROM moved
WHERE (kept.name, kept.version, kept.generation, kept.shard)
        = (moved.name, moved.version, moved.generation, moved.shard)
    AND {is_ours}"""

# Tell readers, and the one who asked whether the claim was theirs.
_TELL = "SELECT pg_notify($3, $4) FROM claim WHERE is_ours"


MANY = 64
"""So many rows of a read model are worth a COPY."""


class Write(NamedTuple):
    """A statement with its parameters, which are numbered (`$1`). It returns a row if the checkpoints were ours.

    `copies` come before it, in its transaction: statements with their data, some for the stages of the models `staged`.
    """

    staged: list[AnyReadModel]
    copies: list[tuple[bytes, bytes]]
    statement: bytes
    parameters: list[Any]


class _Move(msgspec.Struct):
    name: str
    version: int
    generation: int
    shard: int
    old: int
    sequence: int
    hash: bytes
    halted: str | None


class _Parked(msgspec.Struct):
    name: str
    version: int
    generation: int
    sequence: int
    stream_id: str
    event_name: str
    error: str | None


def write_of(
    owner: str,
    changes: Mapping[AnyReadModel, Mapping[Key, Row | None]],
    advances: Mapping[Part, tuple[Checkpoint, Checkpoint]],
    parked: Mapping[AnyReadModel, Sequence[ParkedEvent]],
) -> Write:
    """Return what writes rows, puts events aside and moves the checkpoints of *owner*."""
    moves = [
        _Move(model.name, model.version, model.generation, shard, old.sequence, new.sequence, new.hash, new.halted)
        for (model, shard), (old, new) in advances.items()
    ]
    parameters: list[Any] = [json_of(moves), owner, CHANNEL, _told(advances)]
    staged, copies, upserts, deletes = [], [], [], []
    for model, rows in changes.items():
        kept = [row for row in rows.values() if row is not None]
        if model.only_grows and len(kept) >= MANY:
            copies.append((statements_of(model).copy, copy_data(model, kept)))
        elif len(kept) >= MANY:
            staged.append(model)
            copies.append((statements_of(model).copy_to_stage, copy_data(model, kept)))
        elif kept:
            upserts.append(model)
            parameters.append(rows_json(kept))
    for model, rows in changes.items():
        if gone := [key for key, row in rows.items() if row is None]:
            deletes.append(model)
            parameters.append(keys_json(model, gone))
    waiting = [
        _Parked(model.name, model.version, model.generation, e.sequence, e.stream_id, e.event_name, e.error)
        for model, events in parked.items()
        for e in events
    ]
    if waiting:
        parameters.append(json_of(waiting))
    statement = _statement(tuple(staged), tuple(upserts), tuple(deletes), is_parking=bool(waiting))
    return Write(staged, copies, statement, parameters)


@cache
def _statement(
    staged: tuple[AnyReadModel, ...],
    upserts: tuple[AnyReadModel, ...],
    deletes: tuple[AnyReadModel, ...],
    *,
    is_parking: bool,
) -> bytes:
    """Return the statement for rows of these read models. Those *staged* are there; each other set is a parameter.

    The parameters come after the first four.
    """
    is_ours = sql.SQL(_IS_OURS)
    parts: list[sql.Composable] = [upsert_stage_of(model, where=is_ours) for model in staged]
    number = 4
    for model in upserts:
        number += 1
        parts.append(upsert_of(model, rows=sql.SQL(f"${number}"), where=is_ours))
    for model in deletes:
        number += 1
        parts.append(delete_of(model, keys=sql.SQL(f"${number}"), where=is_ours))
    if is_parking:
        number += 1
        parts.append(sql.SQL(_PARK).format(parked=sql.SQL(f"${number}"), is_ours=is_ours))
    parts.append(sql.SQL(_ADVANCE).format(is_ours=is_ours))
    named = [sql.SQL("write_{} AS ({})").format(sql.SQL(str(place)), part) for place, part in enumerate(parts)]
    return sql.SQL("WITH {} {}").format(sql.SQL(", ").join([sql.SQL(_HOLD), *named]), sql.SQL(_TELL)).as_bytes()


def _told(advances: Mapping[Part, tuple[Checkpoint, Checkpoint]]) -> str:
    moved = {f"{model.table_name}:{shard}": new.sequence for (model, shard), (_, new) in advances.items()}
    told = msgspec.json.encode(moved)
    # A notification has a limit; readers then ask.
    return told.decode() if len(told) <= _NOTIFY_BYTES_MAX else "{}"
