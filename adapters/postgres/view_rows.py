"""Rows of read models on their way into tables and out of them: whole sets by one statement each.

A few rows go in as one JSON text a read model, which `msgspec` makes at once: an array for each of thirty columns is
several times the work. Many go in by COPY, of which the server has half as much work: those that must be new straight
into the table, the others by way of a stage, a temporary table of the session.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from typing import Any, LiteralString

import msgspec
from psycopg import sql
from psycopg.types.json import Json
from sqlalchemy import BigInteger, Boolean, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB

from adapters.postgres.arrays import (
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


def _jsonb_elements(values: Sequence[Any]) -> list[bytes]:
    encode = _ENCODER.encode
    return bytes_elements([None if value is None else _JSONB_VERSION + encode(value) for value in values])


@dataclass(frozen=True, slots=True)
class _Form:
    """How the values of a column travel: within JSON as `in_json`, of which `from_json` makes what the column holds.

    `elements` returns them one by one, as COPY takes them.
    """

    in_json: sql.SQL
    elements: Callable[[Sequence[Any]], list[bytes]]
    from_json: LiteralString = "{}"


# An enum of ours is a string, and travels as one; within JSON bytes are base64.
_FORMS: dict[type[Any], _Form] = {
    BigInteger: _Form(sql.SQL("bigint"), int8_elements),
    Boolean: _Form(sql.SQL("boolean"), bool_elements),
    LargeBinary: _Form(sql.SQL("text"), bytes_elements, from_json="decode({}, 'base64')"),
    Text: _Form(sql.SQL("text"), text_elements),
    JSONB: _Form(sql.SQL("jsonb"), _jsonb_elements),
}
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, eq=False)
class Statements:
    """The statements of one read model, put together once.

    Parameters: of `select_by_keys` what `key_arrays` returns, of `upsert` `rows_json`, of `delete` `keys_json`. `copy`
    and `copy_to_stage` take `copy_data`; `make_stage` makes the stage, which every commit empties.
    """

    select_all: bytes
    select_by_keys: bytes
    copy: bytes
    make_stage: bytes
    copy_to_stage: bytes
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
    copy = sql.SQL("COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)")
    columns = sql.SQL(", ").join(names)
    return Statements(
        select_all=select.as_bytes(),
        select_by_keys=select_by_keys.as_bytes(),
        copy=copy.format(table=table, columns=columns).as_bytes(),
        make_stage=sql.SQL("CREATE TEMPORARY TABLE {stage} (LIKE {table}) ON COMMIT DELETE ROWS")
        .format(stage=_stage_of(model), table=table)
        .as_bytes(),
        copy_to_stage=copy.format(table=_stage_of(model), columns=columns).as_bytes(),
        upsert=upsert_of(model, rows=sql.SQL("%s"), where=sql.SQL("true")).as_bytes(),
        delete=delete_of(model, keys=sql.SQL("%s"), where=sql.SQL("true")).as_bytes(),
    )


def upsert_of(model: AnyReadModel, *, rows: sql.Composable, where: sql.Composable) -> sql.Composed:
    """Return the statement that writes *rows*, a place for what `rows_json` returns, on the condition *where*."""
    names = [sql.Identifier(column.name) for column in model.table.columns]
    columns = [sql.SQL("{} {}").format(name, form.in_json) for name, form in zip(names, _forms_of(model), strict=True)]
    source = sql.SQL("json_to_recordset({}::json) AS new ({})").format(rows, sql.SQL(", ").join(columns))
    return _upsert(model, source, [sql.SQL(form.from_json) for form in _forms_of(model)], where)


def upsert_stage_of(model: AnyReadModel, *, where: sql.Composable) -> sql.Composed:
    """Return the statement that writes the rows of the stage on the condition *where*."""
    return _upsert(model, _stage_of(model), [sql.SQL("{}")] * len(model.table.columns), where)


def _stage_of(model: AnyReadModel) -> sql.Identifier:
    return sql.Identifier("pg_temp", model.table_name)


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


def copy_data(model: AnyReadModel, rows: Sequence[Row]) -> bytes:
    """Return *rows*, at least one, in the binary form of COPY."""
    columns = zip(*map(msgspec.structs.astuple, rows), strict=True)
    elements = [form.elements(values) for form, values in zip(_forms_of(model), columns, strict=True)]
    head = len(elements).to_bytes(2, "big")
    lines = map(b"".join, zip(repeat(head), *elements, strict=False))
    return b"".join((_COPY_HEADER, *lines, _COPY_TRAILER))


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
