"""Rows of read models on their way into tables and out of them: whole sets by one statement each.

Rows go in as one JSON text a read model: made at once by `msgspec`, and taken apart by the server, which has time while
the next rows are folded. An array for each of thirty columns costs the projector several times as much.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from psycopg import sql
from psycopg.types.json import Json
from sqlalchemy import BigInteger, Boolean, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB

from adapters.postgres.arrays import TextArray
from projections.read_model import SCHEMA, AnyReadModel, Key, Row

# How a column's values are read from JSON. An enum of ours is a string, and travels as one; bytes travel as base64.
_READ_AS: dict[type[Any], sql.SQL] = {
    BigInteger: sql.SQL("bigint"),
    Boolean: sql.SQL("boolean"),
    LargeBinary: sql.SQL("text"),
    Text: sql.SQL("text"),
    JSONB: sql.SQL("jsonb"),
}
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, eq=False)
class Statements:
    """The statements of one read model, put together once.

    Parameters: of `select_by_keys` what `key_arrays` returns, of `upsert` `rows_json`, of `delete` `keys_json`.
    """

    select_all: bytes
    select_by_keys: bytes
    upsert: bytes
    delete: bytes


@cache
def statements_of(model: AnyReadModel) -> Statements:
    """Return the statements of *model*."""
    table = sql.Identifier(SCHEMA, model.table_name)
    names = [sql.Identifier(column.name) for column in model.table.columns]
    keys = [sql.Identifier(name) for name in model.key]
    wanted = sql.SQL("unnest({arrays}) AS wanted ({keys})").format(
        arrays=sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(keys)), keys=sql.SQL(", ").join(keys)
    )
    same_key = sql.SQL(" AND ").join(sql.SQL("kept.{key} = wanted.{key}").format(key=key) for key in keys)
    select = sql.SQL("SELECT {columns} FROM {table}").format(columns=sql.SQL(", ").join(names), table=table)
    select_by_keys = sql.SQL("SELECT {columns} FROM {table} AS kept JOIN {wanted} ON {same_key}").format(
        columns=sql.SQL(", ").join(sql.SQL("kept.{}").format(name) for name in names),
        table=table,
        wanted=wanted,
        same_key=same_key,
    )
    return Statements(
        select_all=select.as_bytes(),
        select_by_keys=select_by_keys.as_bytes(),
        upsert=upsert_of(model, rows=sql.SQL("%s"), where=sql.SQL("true")).as_bytes(),
        delete=delete_of(model, keys=sql.SQL("%s"), where=sql.SQL("true")).as_bytes(),
    )


def upsert_of(model: AnyReadModel, *, rows: sql.Composable, where: sql.Composable) -> sql.Composed:
    """Return the statement that writes *rows*, a place for what `rows_json` returns, on the condition *where*."""
    columns, values, changes = [], [], []
    for column in model.table.columns:
        name = sql.Identifier(column.name)
        columns.append(sql.SQL("{} {}").format(name, _READ_AS[type(column.type)]))
        is_bytes = isinstance(column.type, LargeBinary)
        values.append(sql.SQL("decode({}, 'base64')").format(name) if is_bytes else name)
        if column.name not in model.key:
            changes.append(sql.SQL("{name} = EXCLUDED.{name}").format(name=name))
    return sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {values} FROM json_to_recordset({rows}::json) AS new ({columns})"
        " WHERE {where} ON CONFLICT ({key}) DO UPDATE SET {changes}"
    ).format(
        table=sql.Identifier(SCHEMA, model.table_name),
        names=sql.SQL(", ").join(sql.Identifier(column.name) for column in model.table.columns),
        values=sql.SQL(", ").join(values),
        rows=rows,
        columns=sql.SQL(", ").join(columns),
        where=where,
        key=sql.SQL(", ").join(sql.Identifier(name) for name in model.key),
        changes=sql.SQL(", ").join(changes),
    )


def delete_of(model: AnyReadModel, *, keys: sql.Composable, where: sql.Composable) -> sql.Composed:
    """Return the statement that deletes the rows under *keys*, a place for what `keys_json` returns, if *where*."""
    names = [sql.Identifier(name) for name in model.key]
    columns = [sql.SQL("{} {}").format(sql.Identifier(n), _READ_AS[type(model.table.c[n].type)]) for n in model.key]
    return sql.SQL(
        "DELETE FROM {table} AS kept USING json_to_recordset({keys}::json) AS gone ({columns})"
        " WHERE {where} AND {same_key}"
    ).format(
        table=sql.Identifier(SCHEMA, model.table_name),
        keys=keys,
        columns=sql.SQL(", ").join(columns),
        where=where,
        same_key=sql.SQL(" AND ").join(sql.SQL("kept.{name} = gone.{name}").format(name=name) for name in names),
    )


def key_arrays(keys: Iterable[Key]) -> list[TextArray]:
    """Return *keys* as one array per column."""
    return [TextArray.of(column) for column in zip(*keys, strict=True)]


def rows_json(rows: Sequence[Row]) -> Json:
    """Return *rows* as a parameter."""
    return json_of(rows)


def keys_json(model: AnyReadModel, keys: Iterable[Key]) -> Json:
    """Return *keys* of *model* as a parameter."""
    return json_of([dict(zip(model.key, key, strict=True)) for key in keys])


def json_of(value: Any) -> Json:
    """Return *value*, of whatever `msgspec` encodes, as a parameter."""
    return Json(_ENCODER.encode(value), dumps=_as_it_is)


def _as_it_is(encoded: Any) -> bytes:
    done: bytes = encoded
    return done


def rows_by_key(model: AnyReadModel, records: Iterable[Mapping[str, Any]]) -> dict[Key, Row]:
    """Return database *records* as rows, by their keys."""
    rows = (row_of(model, record) for record in records)
    return {model.key_of_row(row): row for row in rows}


def row_of(model: AnyReadModel, record: Mapping[str, Any]) -> Row:
    """Return a database *record* as a row of *model*."""
    row: Row = msgspec.convert(record, model.row)
    return row
