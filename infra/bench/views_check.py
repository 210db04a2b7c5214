"""Whether read models are what the log says, for benches: checksums of rows against a fold of their own."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from adapters.postgres.database import MicrosecondsLoader
from adapters.postgres.reading import READ_ALL, Row, recorded_event
from adapters.postgres.view_rows import row_of, statements_of
from projections.batches import read_batch
from projections.read_model import AnyReadModel, Key, fold

_PAGE = 20_000
_BITS = 2**64


def folded(admin_url: str, models: Sequence[AnyReadModel]) -> dict[str, int]:
    """Return the checksum of each read model as a fold of the whole log in memory gives it."""
    rows: dict[AnyReadModel, dict[Key, Any]] = {model: {} for model in models}
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.adapters.register_loader("timestamptz", MicrosecondsLoader)
        after = 0
        while True:
            page: list[Row] = connection.cursor(binary=True).execute(READ_ALL, [after, _PAGE]).fetchall()
            if not page:
                break
            decoded = read_batch([recorded_event(row) for row in page]).decoded
            for model in models:
                fold(model, ((each.event, each.recorded) for each in decoded if each.event is not None), rows[model])
            after = page[-1][0]
    return {
        model.table_name: _checksum(row for row in found.values() if row is not None) for model, found in rows.items()
    }


def written(admin_url: str, models: Sequence[AnyReadModel]) -> dict[str, int]:
    """Return the checksum of each read model's table."""
    checksums = {}
    with psycopg.connect(admin_url, row_factory=dict_row) as connection:
        for model in models:
            with connection.cursor(name="rows") as cursor:
                cursor.itersize = _PAGE
                cursor.execute(statements_of(model).select_all)
                checksums[model.table_name] = _checksum(row_of(model, record) for record in cursor)
    return checksums


def _checksum(rows: Iterable[msgspec.Struct]) -> int:
    # A sum does not depend on the order of the rows.
    total = 0
    for row in rows:
        digest = blake2b(msgspec.json.encode(row, order="deterministic"), digest_size=8).digest()
        total = (total + int.from_bytes(digest, "big")) % _BITS
    return total
