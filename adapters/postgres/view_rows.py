"""Rows of read models on their way into tables and out of them: whole sets by one statement each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from psycopg import sql
from sqlalchemy import BigInteger, Boolean, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB

from projections.read_model import SCHEMA, AnyReadModel, Key, Row

_ARRAYS: dict[type[Any], sql.SQL] = {
    BigInteger: sql.SQL("bigint[]"),
    Boolean: sql.SQL("boolean[]"),
    LargeBinary: sql.SQL("bytea[]"),
    Text: sql.SQL("text[]"),
    JSONB: sql.SQL("text[]"),  # A list of JSON texts; cast one by one where they are read.
}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)  # An enum becomes its plain value.


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


_CONVERSIONS: dict[type[Any], Callable[[Any], Any]] = {Text: _text, JSONB: _json}


@dataclass(frozen=True, slots=True, eq=False)
class Statements:
    """The statements of one read model. Parameters are arrays: of the key's columns, or of all columns."""

    select_all: sql.Composed
    select_by_keys: sql.Composed
    upsert: sql.Composed
    delete: sql.Composed


@cache
def statements_of(model: AnyReadModel) -> Statements:
    """Return the statements of *model*."""
    table = sql.Identifier(SCHEMA, model.table_name)
    names = [sql.Identifier(column.name) for column in model.table.columns]
    columns = sql.SQL(", ").join(names)
    keys = [sql.Identifier(name) for name in model.key]
    wanted = sql.SQL("unnest({arrays}) AS wanted ({keys})").format(
        arrays=sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(keys)), keys=sql.SQL(", ").join(keys)
    )
    same_key = sql.SQL(" AND ").join(sql.SQL("kept.{key} = wanted.{key}").format(key=key) for key in keys)
    return Statements(
        select_all=sql.SQL("SELECT {columns} FROM {table}").format(columns=columns, table=table),
        select_by_keys=sql.SQL("SELECT {columns} FROM {table} AS kept JOIN {wanted} ON {same_key}").format(
            columns=sql.SQL(", ").join(sql.SQL("kept.{}").format(name) for name in names),
            table=table,
            wanted=wanted,
            same_key=same_key,
        ),
        upsert=_upsert(model, table, columns),
        delete=sql.SQL("DELETE FROM {table} AS kept USING {wanted} WHERE {same_key}").format(
            table=table, wanted=wanted, same_key=same_key
        ),
    )


def _upsert(model: AnyReadModel, table: sql.Identifier, columns: sql.Composed) -> sql.Composed:
    arrays, values, changes = [], [], []
    for column in model.table.columns:
        name = sql.Identifier(column.name)
        arrays.append(sql.SQL("%s::{}").format(_ARRAYS[type(column.type)]))
        values.append(sql.SQL("{}::jsonb").format(name) if isinstance(column.type, JSONB) else name)
        if column.name not in model.key:
            changes.append(sql.SQL("{name} = EXCLUDED.{name}").format(name=name))
    return sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {values} FROM unnest({arrays}) AS new ({columns})"
        " ON CONFLICT ({key}) DO UPDATE SET {changes}"
    ).format(
        table=table,
        columns=columns,
        values=sql.SQL(", ").join(values),
        arrays=sql.SQL(", ").join(arrays),
        key=sql.SQL(", ").join(sql.Identifier(name) for name in model.key),
        changes=sql.SQL(", ").join(changes),
    )


def key_arrays(keys: Iterable[Key]) -> list[list[str]]:
    """Return *keys* as one array per column."""
    return [list(column) for column in zip(*keys, strict=True)]


def row_arrays(model: AnyReadModel, rows: Sequence[Row]) -> list[list[Any]]:
    """Return *rows* as one array per column."""
    arrays = []
    transposed = zip(*(msgspec.structs.astuple(row) for row in rows), strict=True)
    for column, values in zip(model.table.columns, transposed, strict=True):
        convert = _CONVERSIONS.get(type(column.type))
        arrays.append(list(values) if convert is None else [convert(value) for value in values])
    return arrays


def rows_by_key(model: AnyReadModel, records: Iterable[Mapping[str, Any]]) -> dict[Key, Row]:
    """Return database *records* as rows, by their keys."""
    rows = (row_of(model, record) for record in records)
    return {model.key_of_row(row): row for row in rows}


def row_of(model: AnyReadModel, record: Mapping[str, Any]) -> Row:
    """Return a database *record* as a row of *model*."""
    row: Row = msgspec.convert(record, model.row)
    return row
