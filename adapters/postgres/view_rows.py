"""Rows of read models on their way into tables and out of them: whole sets by one statement each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from psycopg import sql
from sqlalchemy import BigInteger, Boolean, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB

from adapters.postgres.arrays import (
    BinaryArray,
    BoolArray,
    BytesArray,
    Int8Array,
    TextArray,
    bool_elements,
    bytes_elements,
    int8_elements,
    text_elements,
)
from projections.read_model import SCHEMA, AnyReadModel, Key, Row

_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_JSONB_VERSION = b"\x01"


def _json(values: Sequence[Any]) -> list[bytes | None]:
    return [None if value is None else msgspec.json.encode(value) for value in values]


def _json_array(values: Sequence[Any]) -> BinaryArray:
    # A list of JSON texts; cast one by one where they are read.
    return TextArray.of([None if text is None else text.decode() for text in _json(values)])


def _jsonb_elements(values: Sequence[Any]) -> list[bytes]:
    return bytes_elements([None if text is None else _JSONB_VERSION + text for text in _json(values)])


@dataclass(frozen=True, slots=True)
class _Form:
    """How the values of a column travel: as an array of type `sql`, and one by one."""

    sql: sql.SQL
    array: Callable[[Sequence[Any]], BinaryArray]
    elements: Callable[[Sequence[Any]], list[bytes]]


# An enum of ours is a string, and travels as one.
_FORMS: dict[type[Any], _Form] = {
    BigInteger: _Form(sql.SQL("bigint[]"), Int8Array.of, int8_elements),
    Boolean: _Form(sql.SQL("boolean[]"), BoolArray.of, bool_elements),
    LargeBinary: _Form(sql.SQL("bytea[]"), BytesArray.of, bytes_elements),
    Text: _Form(sql.SQL("text[]"), TextArray.of, text_elements),
    JSONB: _Form(sql.SQL("text[]"), _json_array, _jsonb_elements),
}


@dataclass(frozen=True, slots=True, eq=False)
class Statements:
    """The statements of one read model, put together once. Parameters are arrays: of the key's or of all columns."""

    select_all: bytes
    copy: bytes
    select_by_keys: bytes
    upsert: bytes
    delete: bytes


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
    select = sql.SQL("SELECT {columns} FROM {table}").format(columns=columns, table=table)
    copy = sql.SQL("COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)").format(table=table, columns=columns)
    select_by_keys = sql.SQL("SELECT {columns} FROM {table} AS kept JOIN {wanted} ON {same_key}").format(
        columns=sql.SQL(", ").join(sql.SQL("kept.{}").format(name) for name in names),
        table=table,
        wanted=wanted,
        same_key=same_key,
    )
    delete = sql.SQL("DELETE FROM {table} AS kept USING {wanted} WHERE {same_key}").format(
        table=table, wanted=wanted, same_key=same_key
    )
    return Statements(
        select_all=select.as_bytes(),
        copy=copy.as_bytes(),
        select_by_keys=select_by_keys.as_bytes(),
        upsert=_upsert(model, table, columns).as_bytes(),
        delete=delete.as_bytes(),
    )


def _upsert(model: AnyReadModel, table: sql.Identifier, columns: sql.Composed) -> sql.Composed:
    arrays, values, changes = [], [], []
    for column in model.table.columns:
        name = sql.Identifier(column.name)
        arrays.append(sql.SQL("%s::{}").format(_FORMS[type(column.type)].sql))
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


def key_arrays(keys: Iterable[Key]) -> list[BinaryArray]:
    """Return *keys* as one array per column."""
    return [TextArray.of(column) for column in zip(*keys, strict=True)]


def row_arrays(model: AnyReadModel, rows: Sequence[Row]) -> list[BinaryArray]:
    """Return *rows*, at least one, as one array per column."""
    return [form.array(values) for form, values in _columns(model, rows)]


def copy_data(model: AnyReadModel, rows: Sequence[Row]) -> bytes:
    """Return *rows*, at least one, in the binary form of COPY."""
    columns = [form.elements(values) for form, values in _columns(model, rows)]
    head = len(columns).to_bytes(2, "big")
    lines = [head + b"".join(elements) for elements in zip(*columns, strict=True)]
    return _COPY_HEADER + b"".join(lines) + _COPY_TRAILER


def _columns(model: AnyReadModel, rows: Sequence[Row]) -> Iterable[tuple[_Form, Sequence[Any]]]:
    transposed = zip(*map(msgspec.structs.astuple, rows), strict=True)
    return zip(_forms_of(model), transposed, strict=True)


@cache
def _forms_of(model: AnyReadModel) -> tuple[_Form, ...]:
    return tuple(_FORMS[type(column.type)] for column in model.table.columns)


def rows_by_key(model: AnyReadModel, records: Iterable[Mapping[str, Any]]) -> dict[Key, Row]:
    """Return database *records* as rows, by their keys."""
    rows = (row_of(model, record) for record in records)
    return {model.key_of_row(row): row for row in rows}


def row_of(model: AnyReadModel, record: Mapping[str, Any]) -> Row:
    """Return a database *record* as a row of *model*."""
    row: Row = msgspec.convert(record, model.row)
    return row
