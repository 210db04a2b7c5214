"""Rows of read models on their way into tables and out of them: whole sets by one statement each.

A few rows go in as one JSON text a read model, which `msgspec` makes at once: an array for each of thirty columns is
several times the work. Many go in as arrays, or by COPY, of which the server has half as much work.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, LiteralString

import msgspec
from psycopg import sql
from psycopg.types.json import Json
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
    """How the values of a column travel: within JSON as `in_json`, as an array of `in_array`, and one by one.

    `from_json` and `from_array` make of it what the column holds.
    """

    in_json: sql.SQL
    in_array: sql.SQL
    array: Callable[[Sequence[Any]], BinaryArray]
    elements: Callable[[Sequence[Any]], list[bytes]]
    from_json: LiteralString = "{}"
    from_array: LiteralString = "{}"


# An enum of ours is a string, and travels as one; within JSON bytes are base64.
_FORMS: dict[type[Any], _Form] = {
    BigInteger: _Form(sql.SQL("bigint"), sql.SQL("bigint[]"), Int8Array.of, int8_elements),
    Boolean: _Form(sql.SQL("boolean"), sql.SQL("boolean[]"), BoolArray.of, bool_elements),
    LargeBinary: _Form(
        sql.SQL("text"), sql.SQL("bytea[]"), BytesArray.of, bytes_elements, from_json="decode({}, 'base64')"
    ),
    Text: _Form(sql.SQL("text"), sql.SQL("text[]"), TextArray.of, text_elements),
    JSONB: _Form(sql.SQL("jsonb"), sql.SQL("text[]"), _json_array, _jsonb_elements, from_array="{}::jsonb"),
}
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, eq=False)
class Statements:
    """The statements of one read model, put together once.

    Parameters: of `select_by_keys` what `key_arrays` returns, of `upsert` `rows_json`, of `delete` `keys_json`.
    """

    select_all: bytes
    select_by_keys: bytes
    copy: bytes
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
        copy=sql.SQL("COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)")
        .format(table=table, columns=sql.SQL(", ").join(names))
        .as_bytes(),
        upsert=upsert_of(model, rows=sql.SQL("%s"), where=sql.SQL("true")).as_bytes(),
        delete=delete_of(model, keys=sql.SQL("%s"), where=sql.SQL("true")).as_bytes(),
    )


def upsert_of(model: AnyReadModel, *, rows: sql.Composable, where: sql.Composable) -> sql.Composed:
    """Return the statement that writes *rows*, a place for what `rows_json` returns, on the condition *where*."""
    names = [sql.Identifier(column.name) for column in model.table.columns]
    columns = [sql.SQL("{} {}").format(name, form.in_json) for name, form in zip(names, _forms_of(model), strict=True)]
    source = sql.SQL("json_to_recordset({}::json) AS new ({})").format(rows, sql.SQL(", ").join(columns))
    return _upsert(model, source, [sql.SQL(form.from_json) for form in _forms_of(model)], where)


def upsert_arrays_of(model: AnyReadModel, *, arrays: Sequence[sql.Composable], where: sql.Composable) -> sql.Composed:
    """Return the statement that writes *arrays*, places for what `row_arrays` returns, on the condition *where*."""
    forms = _forms_of(model)
    typed = [sql.SQL("{}::{}").format(array, form.in_array) for array, form in zip(arrays, forms, strict=True)]
    names = [sql.Identifier(column.name) for column in model.table.columns]
    source = sql.SQL("unnest({}) AS new ({})").format(sql.SQL(", ").join(typed), sql.SQL(", ").join(names))
    return _upsert(model, source, [sql.SQL(form.from_array) for form in forms], where)


def _upsert(
    model: AnyReadModel, source: sql.Composable, made: Sequence[sql.SQL], where: sql.Composable
) -> sql.Composed:
    names = [sql.Identifier(column.name) for column in model.table.columns]
    changed = [sql.Identifier(column.name) for column in model.table.columns if column.name not in model.key]
    comma = sql.SQL(", ")
    return sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {values} FROM {source} WHERE {where}"
        " ON CONFLICT ({key}) DO UPDATE SET {changes}"
    ).format(
        table=sql.Identifier(SCHEMA, model.table_name),
        names=comma.join(names),
        values=comma.join(form.format(name) for name, form in zip(names, made, strict=True)),
        source=source,
        where=where,
        key=comma.join(sql.Identifier(name) for name in model.key),
        changes=comma.join(sql.SQL("{name} = EXCLUDED.{name}").format(name=name) for name in changed),
    )


def delete_of(model: AnyReadModel, *, keys: sql.Composable, where: sql.Composable) -> sql.Composed:
    """Return the statement that deletes the rows under *keys*, a place for what `keys_json` returns, if *where*."""
    names = [sql.Identifier(name) for name in model.key]
    forms = [_FORMS[type(model.table.c[name].type)] for name in model.key]
    columns = [sql.SQL("{} {}").format(name, form.in_json) for name, form in zip(names, forms, strict=True)]
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
    return zip(_forms_of(model), zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True)


@cache
def _forms_of(model: AnyReadModel) -> tuple[_Form, ...]:
    return tuple(_FORMS[type(column.type)] for column in model.table.columns)


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
