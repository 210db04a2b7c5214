"""Questions to read models as statements: each answers one row, with all that was asked for in it.

The row holds the lowest checkpoint of the read models, how many of them are there, and for each question its rows as
one JSON text: the server makes it and `msgspec` reads it in a fraction of what a record of sixty columns takes to be
read value by value. One statement sees one snapshot, so the checkpoint is that of the rows.

What a question is about (ids, filters, pages) is in its parameters. How a statement reads depends on what of that is
given at all, so it is made once for each such shape and each set of tables.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    bindparam,
    distinct,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect

from adapters.postgres.lines import Statement, Values, text_of
from projections.queries import AuditFilter, OrderFilter, Paging, Sort, TradeFilter
from projections.read_model import SCHEMA, AnyReadModel

KNOWN_MAX = 1_000
_NUMBERED: Dialect = psycopg_dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
_STRUCTURES = (TradeFilter, OrderFilter, AuditFilter, Paging)
_CHECKPOINTS = Table(
    "checkpoints",
    MetaData(schema=SCHEMA),
    Column("name", Text),
    Column("version", Integer),
    Column("generation", Integer),
    Column("sequence", BigInteger),
)


class Question(NamedTuple):
    """What is asked of a read model: a statement on whichever of its tables readers use, and on those of others.

    `statement` makes it from what it is `about` and from the tables. Its rows are those of `model`, or of another
    `shape` that has the columns.
    """

    model: AnyReadModel
    statement: Callable[..., Select[Any]]
    about: tuple[Any, ...]
    beside: tuple[AnyReadModel, ...] = ()
    shape: type[msgspec.Struct] | None = None

    @property
    def row(self) -> type[msgspec.Struct]:
        """What its rows are."""
        return self.model.row if self.shape is None else self.shape


class Asked(NamedTuple):
    """What goes out for some questions, and how their answer is read."""

    statement: Statement
    decoders: tuple[msgspec.json.Decoder[list[Any]], ...]
    editions: int

    def decoded(self, row: Values) -> tuple[int, list[list[Any]]] | None:
        """Return checkpoint and rows; None where an edition is not there, or not one that readers are pointed to."""
        sequence, editions, *answers = row
        if sequence is None or int(editions or 0) < self.editions:
            return None
        return int(sequence), [
            decoder.decode(rows or b"[]") for decoder, rows in zip(self.decoders, answers, strict=True)
        ]


class _Compiled(NamedTuple):
    """The text of a statement, its parameters by name in their order, and those that never change."""

    text: str
    names: tuple[str, ...]
    fixed: dict[str, bytes | None]
    decoders: tuple[msgspec.json.Decoder[list[Any]], ...]
    editions: int


class Questions:
    """Makes statements of questions, each once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _Compiled] = {}

    def compiled(self, wanted: Sequence[Question], in_use: Callable[[AnyReadModel], AnyReadModel]) -> Asked:
        """Return the statement that asks what is *wanted* of the editions *in_use*."""
        values: dict[str, Any] = {}
        used = [[in_use(model) for model in (each.model, *each.beside)] for each in wanted]
        key = tuple(
            (each.statement, each.shape, *models, _shape_of(f"q{number}", each.about, values))
            for number, (each, models) in enumerate(zip(wanted, used, strict=True))
        )
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            known = self._known[key] = _compile(wanted, used)
        fixed = known.fixed
        parameters = [text_of(values[name]) if name in values else fixed[name] for name in known.names]
        return Asked(Statement(known.text, parameters), known.decoders, known.editions)


def models_of(questions: Sequence[Question]) -> list[AnyReadModel]:
    """Return the read models that *questions* read, each once."""
    return list(dict.fromkeys(model for each in questions for model in (each.model, *each.beside)))


# --- What decides how a statement reads -------------------------------------------------------------------------------


def _shape_of(name: str, value: Any, values: dict[str, Any]) -> Hashable:
    """Return what of *value* decides how a statement reads; put the rest, by names under *name*, into *values*."""
    if value is None or isinstance(value, Sort):
        return value
    if isinstance(value, (str, int)):
        values[name] = value
        return name
    if isinstance(value, _STRUCTURES):
        return tuple([_shape_of(f"{name}_{part}", getattr(value, part), values) for part in value.__slots__])
    return tuple([_shape_of(f"{name}_{number}", each, values) for number, each in enumerate(value)])


def _with_places(name: str, value: Any) -> Any:
    """Return *value* with a place for a parameter wherever `_shape_of` takes one out, under the same name."""
    if value is None or isinstance(value, Sort):
        return value
    if isinstance(value, (str, int)):
        return _place(name, value)
    if isinstance(value, _STRUCTURES):
        parts = {part: _with_places(f"{name}_{part}", getattr(value, part)) for part in value.__slots__}
        return type(value)(**parts)
    return [_with_places(f"{name}_{number}", each) for number, each in enumerate(value)]


def _place(name: str, value: str | int) -> BindParameter[Any]:
    return bindparam(name, type_=BigInteger() if isinstance(value, int) else Text(), required=False)


# --- Making it --------------------------------------------------------------------------------------------------------


def _compile(wanted: Sequence[Question], used: Sequence[Sequence[AnyReadModel]]) -> _Compiled:
    models = list(dict.fromkeys(model for each in used for model in each))
    reached = _reached(models)
    answers = [
        _rows_of(each.statement(*_with_places(f"q{number}", each.about), *(model.table for model in tables)))
        for number, (each, tables) in enumerate(zip(wanted, used, strict=True))
    ]
    compiled = select(*reached.c, *answers).compile(dialect=_NUMBERED, compile_kwargs={"render_postcompile": True})
    names = tuple(compiled.positiontup or ())
    return _Compiled(
        text=str(compiled),
        names=names,
        fixed={name: text_of(compiled.params[name]) for name in names},
        decoders=tuple(_decoder_of(each.row) for each in wanted),
        editions=len(models),
    )


def _reached(models: Sequence[AnyReadModel]) -> Any:
    """Return how far *models* have come, by the lowest shard of any, and how many of them are there."""
    part = _CHECKPOINTS.c
    edition = tuple_(part.name, part.version, part.generation)
    wanted = [(model.name, model.version, model.generation) for model in models]
    counted = func.count(distinct(edition)).label("editions")
    return select(func.min(part.sequence).label("sequence"), counted).where(edition.in_(wanted)).subquery("reached")


def _rows_of(statement: Select[Any]) -> ColumnElement[Any]:
    """Return what answers the rows of *statement*, in their order, as one JSON text."""
    asked = statement.subquery("asked")
    if any(isinstance(column.type, LargeBinary) for column in asked.c):
        # JSON has no bytes. Here they are base64 without the line breaks that the server puts in.
        in_json = [
            func.translate(func.encode(column, "base64"), "\n", "").label(column.name)
            if isinstance(column.type, LargeBinary)
            else column
            for column in asked.c
        ]
        asked = select(*in_json).subquery("asked")
    return select(func.json_agg(literal_column("asked"))).select_from(asked).scalar_subquery()


@cache
def _decoder_of(row: type[msgspec.Struct]) -> msgspec.json.Decoder[list[Any]]:
    rows: Any = list[row]  # type: ignore[valid-type]
    return msgspec.json.Decoder(rows)
