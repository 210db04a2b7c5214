"""An index over a history in one file that is mapped into memory: found by key or symbol, without reading the whole.

Every process of the engine looks instruments up, and few of them meet more than a few hundred: what nobody asks for
costs none of them a byte, and the pages that are read are the same for all. The file can be made again from the history
at any time.

After a line of JSON (where each part lies) come the definitions, a line of JSON each, sorted as in the history; where
each of them begins; and two tables of hashed names, one of keys (`NSE_EQ:2885`) and one of symbols. A table has N
buckets by the CRC-32 of the name: where each bucket begins among the entries, the hashes of the entries, and the rows
that they stand for.
"""

import mmap
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from domain.instrument import Instrument, InstrumentKey, InstrumentKind, Segment

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

FORMAT = 1
_PART_BYTES_MAX = 2**32
_ONE, _TWO = Struct("<I"), Struct("<II")
_WORD_BYTES = 4
_ORDINAL_OF_1970 = date(1970, 1, 1).toordinal()


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A definition as the index has it. Days are counted from 1970-01-01.

    `definition` has the price band of the day `circuits_on`. `venue_symbol` is the exchange's own symbol.
    """

    definition: Instrument
    venue_symbol: str | None = None
    circuits_on: int | None = None
    valid_from: int | None = None
    valid_until: int | None = None

    def goes_by(self, name: str) -> bool:
        """Tell whether *name* (in capitals) is its symbol, the exchange's own, or that of an index by name."""
        definition = self.definition
        return name in (definition.symbol, self.venue_symbol) or (
            definition.kind is InstrumentKind.INDEX and definition.name.upper() == name
        )

    @property
    def validity(self) -> tuple[str | None, str | None]:
        """The first day on which it holds and the first on which it does not (ISO), None where there is none."""
        return _iso_day(self.valid_from), _iso_day(self.valid_until)

    def holds_on(self, day: int) -> bool:
        """Tell whether the definition is in force on *day*."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_until is None or day < self.valid_until
        )

    def instrument(self, day: int | None) -> Instrument:
        """Return the definition, with the price band if it is that of *day*."""
        if self.circuits_on is None or self.circuits_on == day:
            return self.definition
        return msgspec.structs.replace(self.definition, lower_circuit_e4=None, upper_circuit_e4=None)


def _iso_day(day: int | None) -> str | None:
    return None if day is None else date.fromordinal(day + _ORDINAL_OF_1970).isoformat()


_DEFINITION_FIELDS = tuple(each.name for each in msgspec.structs.fields(Instrument) if each.name != "key")
_RECORD_FIELDS = tuple(each.name for each in msgspec.structs.fields(Record) if each.name != "definition")
_REQUIRED = frozenset(each.name for each in msgspec.structs.fields(Instrument) if each.required)


class _Table(msgspec.Struct, frozen=True):
    """Where a table of hashed names lies, in bytes from the end of the first line."""

    buckets: int
    starts: int
    hashes: int
    rows: int


class _Head(msgspec.Struct, frozen=True):
    format: int
    definitions: int
    begins: int
    keys: _Table
    symbols: _Table


class IndexUnreadable(Exception):
    """The file is no index of this format: it is to be made again."""


class Index:
    """The index in a file."""

    def __init__(self, path: Path) -> None:
        """Map *path*. Raises IndexUnreadable, OSError."""
        with path.open("rb") as file:
            line = file.readline()
            try:
                self._head = msgspec.json.decode(line, type=_Head)
            except msgspec.DecodeError as error:
                raise IndexUnreadable(f"{path.name} is no index of instruments: {error}") from error
            if self._head.format != FORMAT:
                raise IndexUnreadable(f"{path.name} has format {self._head.format}, expected {FORMAT}")
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._base = len(line)
        self._decode = msgspec.json.Decoder(Record).decode

    def __len__(self) -> int:
        return self._head.definitions

    def by_key(self, key: InstrumentKey) -> list[Record]:
        """Return the definitions of *key*, oldest first."""
        found = self._found(self._head.keys, f"{key.segment.value}:{key.security_id}")
        return [record for record in found if record.definition.key == key]

    def by_symbol(self, symbol: str) -> list[Record]:
        """Return the definitions that go by *symbol* (in capitals), see `Record.goes_by`."""
        return [record for record in self._found(self._head.symbols, symbol) if record.goes_by(symbol)]

    def records(self) -> Iterator[Record]:
        """Yield all definitions, sorted by key, oldest first."""
        return (self._record(row) for row in range(len(self)))

    def _found(self, table: _Table, name: str) -> list[Record]:
        """Return what stands under the hash of *name*."""
        wanted = crc32(name.encode())
        first, end = _TWO.unpack_from(self._file, self._base + table.starts + wanted % table.buckets * _WORD_BYTES)
        found = []
        for place in range(first * _WORD_BYTES, end * _WORD_BYTES, _WORD_BYTES):
            if _ONE.unpack_from(self._file, self._base + table.hashes + place)[0] == wanted:
                (row,) = _ONE.unpack_from(self._file, self._base + table.rows + place)
                found.append(self._record(row))
        return found

    def _record(self, row: int) -> Record:
        begin, end = _TWO.unpack_from(self._file, self._base + self._head.begins + row * _WORD_BYTES)
        return self._decode(self._file[self._base + begin : self._base + end])


def index_of(history: "pl.DataFrame") -> bytes:
    """Return the index over *history*, as the file is to have it."""
    import numpy as np  # noqa: PLC0415 - only who makes an index needs it
    import polars as pl  # noqa: PLC0415 - likewise

    lines = history.select(_as_json(history.schema)).to_series()
    ends = lines.str.len_bytes().cast(pl.UInt64).cum_sum().to_numpy() + np.arange(1, len(lines) + 1, dtype=np.uint64)
    text = lines.to_frame().write_csv(include_header=False, quote_style="never").encode()
    assert len(text) < _PART_BYTES_MAX, "the definitions outgrew their offsets"
    begins = np.concatenate((np.zeros(1, np.uint64), ends)).astype("<u4")
    keys = history.select(pl.col("segment") + ":" + pl.col("security_id")).to_series()
    rows = np.arange(history.height, dtype="<u4")
    other_names = pl.when(pl.col("segment") == Segment.INDEX.value).then(pl.col("name").str.to_uppercase())
    others = history.select(pl.coalesce("venue_symbol", other_names), "symbol")
    others = others.with_row_index("row").filter(pl.col("venue_symbol") != pl.col("symbol"))
    names = pl.concat([history["symbol"], others["venue_symbol"]])
    parts = [text, begins.tobytes()]
    tables = []
    for each, of_rows in ((keys, rows), (names, np.concatenate((rows, others["row"].to_numpy().astype("<u4"))))):
        table = _hashed(each, of_rows)
        at = sum(map(len, parts))
        tables.append(
            _Table(len(table[0]) // _WORD_BYTES - 1, at, at + len(table[0]), at + len(table[0]) + len(table[1]))
        )
        parts += table
    head = _Head(FORMAT, history.height, len(text), *tables)
    return b"".join([msgspec.json.encode(head), b"\n", *parts])


def _as_json(schema: "pl.Schema") -> "pl.Expr":
    """Return what makes a `Record` of each row, as JSON; what is null or false is left out."""
    import polars as pl  # noqa: PLC0415 - only who makes an index needs it

    def field(name: str) -> pl.Expr:
        value, kind = pl.col(name), schema[name]
        if kind == pl.String:
            escaped = value.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
            text = pl.lit('"') + escaped + pl.lit('"')
        elif kind == pl.Boolean:
            text = pl.when(value | (name in _REQUIRED)).then(value.cast(pl.String))
        else:
            text = value.cast(pl.Int64).cast(pl.String)
        return (pl.lit(f',"{name}":') + text).fill_null("")

    return pl.concat_str(
        pl.lit('{"definition":{"key":{"segment":"'),
        "segment",
        pl.lit('","security_id":"'),
        "security_id",
        pl.lit('"}'),
        *map(field, _DEFINITION_FIELDS),
        pl.lit("}"),
        *map(field, _RECORD_FIELDS),
        pl.lit("}"),
    )


def _hashed(names: "pl.Series", rows: "np.ndarray") -> Sequence[bytes]:
    """Return where buckets start, hashes and rows of a table of *names*; rows of one bucket stay in order."""
    import numpy as np  # noqa: PLC0415 - only who makes an index needs it

    buckets = max(1, len(names))
    hashes = np.fromiter((crc32(name.encode()) for name in names.to_list()), dtype="<u4", count=len(names))
    order = np.argsort(hashes % buckets, kind="stable")
    counts = np.bincount(hashes % buckets, minlength=buckets)
    starts = np.concatenate(([0], np.cumsum(counts))).astype("<u4")
    return starts.tobytes(), hashes[order].tobytes(), rows[order].tobytes()
