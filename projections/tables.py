"""The table of a read model: one column per field of its row."""

from collections.abc import Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

_TYPES: tuple[tuple[type, type[TypeEngine[Any]]], ...] = (
    (bool, Boolean),
    (int, BigInteger),
    (Enum, Text),
    (str, Text),
    (bytes, LargeBinary),
)


def make_table(
    name: str, row: type[msgspec.Struct], *, schema: str, key: Sequence[str], indexes: Sequence[Sequence[str]]
) -> Table:
    """Return the table *name* of rows such as *row*: *key* is its primary key, each of *indexes* has an index.

    An index whose first column may be empty leaves out the rows where it is.
    """
    hints = get_type_hints(row)
    columns = [_column(field, hints[field], is_key=field in key) for field in row.__struct_fields__]
    table = Table(name, MetaData(schema=schema), *columns)
    for number, fields in enumerate(indexes, 1):
        first = table.c[fields[0]]
        where = first.is_not(None) if first.nullable else None
        Index(f"{name}_{number}", *(table.c[field] for field in fields), postgresql_where=where)
    return table


def _column(name: str, annotation: Any, *, is_key: bool) -> Column[Any]:
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    wanted = [part for part in parts if part is not NoneType]
    return Column(name, _sql_type(wanted[0]), primary_key=is_key, nullable=NoneType in parts)


def _sql_type(annotation: Any) -> TypeEngine[Any]:
    plain = getattr(annotation, "__supertype__", annotation)  # A NewType is stored as what it is made of.
    if isinstance(plain, type):
        for python_type, sql_type in _TYPES:
            if issubclass(plain, python_type):
                return sql_type()
    return JSONB()  # Structs, tuples and dictionaries.
