"""Files of daily bars, as brokers and exchanges hand them out: rows checked one by one, each fault told with its line.

A layout is known by the names of its columns, never by the name of the file. The plain one is
`symbol, date, open, high, low, close, volume` (rupees, ISO dates), or `security_id` with or without `segment` in the
place of `symbol`, and may have `adjusted_close`. Beside it the official end-of-day file is read (`SERIES`, `DATE1` like
`28-Oct-2024`, `CLOSE_PRICE`, `TTL_TRD_QNTY`), and what comes from Dhan (`timestamp_utc`, which stamps a day with the
midnight in India before it; prices adjusted, volume not). Columns that are not named here are passed over.
"""

import csv
import gzip
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

from domain.instrument import InstrumentKey, Segment
from domain.money import E4_PER_RUPEE, PRICE_E4_MAX
from projections.ports import DailyBar

PROBLEMS_MAX = 20
"""So many faults of a file are told; then its reading ends."""
_INDIA = timedelta(hours=5, minutes=30)
_NAMES = {
    "symbol": ("symbol",),
    "security_id": ("security_id",),
    "segment": ("segment",),
    "series": ("series",),
    "date": ("date", "date1"),
    "timestamp_utc": ("timestamp_utc",),
    "open": ("open", "open_price"),
    "high": ("high", "high_price"),
    "low": ("low", "low_price"),
    "close": ("close", "close_price"),
    "volume": ("volume", "ttl_trd_qnty"),
    "adjusted_close": ("adjusted_close", "adj_close"),
}
_PRICES = ("open", "high", "low", "close")
_SHARES = frozenset({"EQ", "BE"})
"""Series in which a share is traded: on a day it is in one of them. Bonds and blocks are none."""
_OUTSIDE_PERCENT = 10
"""So far an open or close may lie outside high and low: adjusting rounds each price for itself, small ones coarsely."""
_PARQUET = ".parquet"


class Scale(Enum):
    """What the closes of bars are."""

    TRADED = "traded"
    """As they were paid; `adjusted_close_e4` repeats them, because nothing is known of later splits."""
    ADJUSTED = "adjusted"
    """On the scale of the newest bar, all prices of theirs."""
    BOTH = "both"
    """As they were paid, with adjusted closes beside them."""


class FaultCode(StrEnum):
    """Why a file, or a row of it, is not taken: stable, for programs to depend on."""

    FILE_UNREADABLE = "FILE_UNREADABLE"
    LAYOUT_UNKNOWN = "LAYOUT_UNKNOWN"
    ROW_INCOMPLETE = "ROW_INCOMPLETE"
    INSTRUMENT_INVALID = "INSTRUMENT_INVALID"
    DATE_INVALID = "DATE_INVALID"
    PRICE_INVALID = "PRICE_INVALID"
    RANGE_INVALID = "RANGE_INVALID"
    VOLUME_INVALID = "VOLUME_INVALID"
    DAY_TWICE = "DAY_TWICE"
    SCALES_MIXED = "SCALES_MIXED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with a file: at `line` (of a Parquet file: row, from 1), None where it is the whole of it."""

    file: str
    line: int | None
    code: FaultCode
    message: str


class FilesFaulty(Exception):
    """Files hold what is no bar, and nothing of them is taken. `faults` are the first of each file."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults


@dataclass(slots=True)
class BarsRead:
    """What files hold. `bars` are sorted by day, each day once.

    `unknown` counts the rows of symbols that the instrument master does not have, `other_series` those of bonds and the
    like, `repeated` those that were there before, `widened` those whose open or close lay a little outside high and low
    (which then contain it).
    """

    bars: dict[InstrumentKey, list[DailyBar]] = field(default_factory=dict)
    scales: dict[InstrumentKey, Scale] = field(default_factory=dict)
    rows: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    other_series: int = 0
    repeated: int = 0
    widened: int = 0


class _RowFaulty(Exception):
    def __init__(self, code: FaultCode, received: object, expected: str) -> None:
        super().__init__(f"received {str(received)[:40]!r}, expected {expected}")
        self.code = code


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    columns: Mapping[str, str]
    rows: Iterator[tuple[int, Mapping[str, Any]]]


class BarFiles:
    """Reads files together: a day of an instrument may stand in several of them if they agree.

    *find_key* knows instruments by symbol or name. With *is_adjusted* the prices of plain files are told to be on
    the scale of the newest bar.
    """

    def __init__(self, find_key: Callable[[str], InstrumentKey | None], *, is_adjusted: bool = False) -> None:
        self._find_key = find_key
        self._is_adjusted = is_adjusted
        self._found: dict[InstrumentKey, dict[str, DailyBar]] = {}
        self._faults: list[Fault] = []
        self._read = BarsRead()

    def add(self, path: Path, *, progress: Callable[[int], None] = lambda _: None) -> None:
        """Take in *path*, and tell *progress* now and then how many of its rows were read."""
        faults = len(self._faults)
        try:
            source = _open(path)
            for count, (line, row) in enumerate(source.rows, 1):
                try:
                    self._take(source, row)
                except _RowFaulty as faulty:
                    self._faults.append(Fault(file=path.name, line=line, code=faulty.code, message=str(faulty)))
                    if len(self._faults) - faults >= PROBLEMS_MAX:
                        break
                if count % 10_000 == 0:
                    progress(count)
        except _RowFaulty as faulty:
            self._faults.append(Fault(file=path.name, line=None, code=faulty.code, message=str(faulty)))
        except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
            message = f"it cannot be read: {error}"
            self._faults.append(Fault(file=path.name, line=None, code=FaultCode.FILE_UNREADABLE, message=message))

    def finish(self) -> BarsRead:
        """Return what all the files hold.

        Raises:
            FilesFaulty: one of them has a row that is no bar.
        """
        if self._faults:
            raise FilesFaulty(self._faults)
        self._read.bars = {key: [days[day] for day in sorted(days)] for key, days in self._found.items()}
        return self._read

    def _take(self, source: _Source, row: Mapping[str, Any]) -> None:
        self._read.rows += 1
        told = {name: _plain(row.get(column)) for name, column in source.columns.items()}
        if told.get("series") is not None and told["series"] not in _SHARES:
            self._read.other_series += 1
            return
        key = self._key_of(told)
        if key is None:
            symbol = str(told["symbol"])
            self._read.unknown[symbol] = self._read.unknown.get(symbol, 0) + 1
            return
        bar = self._bar_of(told)
        scale = self._scale_of(source)
        if self._read.scales.setdefault(key, scale) is not scale:
            raise _RowFaulty(FaultCode.SCALES_MIXED, f"{key} {scale.value}", "files of one kind: import one by one")
        days = self._found.setdefault(key, {})
        before = days.setdefault(bar.day, bar)
        if before is not bar:
            if before != bar:
                raise _RowFaulty(FaultCode.DAY_TWICE, f"{key} on {bar.day}", "each day once, or the same again")
            self._read.repeated += 1

    def _scale_of(self, source: _Source) -> Scale:
        if "adjusted_close" in source.columns:
            return Scale.BOTH
        return Scale.ADJUSTED if self._is_adjusted or "timestamp_utc" in source.columns else Scale.TRADED

    def _key_of(self, told: Mapping[str, Any]) -> InstrumentKey | None:
        security_id, symbol = told.get("security_id"), told.get("symbol")
        if security_id is not None:
            name, segment = str(security_id), told.get("segment") or Segment.NSE_EQ
            if not (name.isascii() and name.isalnum()):
                raise _RowFaulty(FaultCode.INSTRUMENT_INVALID, name, "a security id of letters and digits")
            if segment not in set(Segment):
                raise _RowFaulty(FaultCode.INSTRUMENT_INVALID, segment, f"a segment: {', '.join(Segment)}")
            return InstrumentKey(Segment(segment), name)
        if symbol is None:
            raise _RowFaulty(FaultCode.ROW_INCOMPLETE, "no symbol", "a symbol or a security id")
        return self._find_key(str(symbol))

    def _bar_of(self, told: Mapping[str, Any]) -> DailyBar:
        opened, high, low, close = (_price_e4(told, name) for name in _PRICES)
        lowest, highest = min(opened, low, close), max(opened, high, close)
        allowed = close * _OUTSIDE_PERCENT // 100
        if low > high or low - lowest > allowed or highest - high > allowed:
            prices = "/".join(str(told[name]) for name in _PRICES)
            raise _RowFaulty(FaultCode.RANGE_INVALID, prices, "open and close between low and high")
        self._read.widened += (lowest, highest) != (low, high)
        adjusted = close if told.get("adjusted_close") is None else _price_e4(told, "adjusted_close")
        return DailyBar(
            day=_day(told),
            open_e4=opened,
            high_e4=highest,
            low_e4=lowest,
            close_e4=close,
            volume=_volume(told.get("volume")),
            adjusted_close_e4=adjusted,
        )


def _open(path: Path) -> _Source:
    if path.suffix == _PARQUET:
        names, rows = _parquet(path)
    else:
        names, rows = _csv(path)
    return _Source(path.name, _columns(names), rows)


def _columns(names: list[str]) -> dict[str, str]:
    """Return how the file calls each column that we know."""
    given = {name.strip().lower().replace(" ", "_"): name for name in names}
    columns = {ours: given[name] for ours, theirs in _NAMES.items() for name in theirs if name in given}
    missing = [name for name in (*_PRICES, "volume") if name not in columns]
    if not {"symbol", "security_id"} & columns.keys():
        missing.insert(0, "symbol")
    if not {"date", "timestamp_utc"} & columns.keys():
        missing.append("date")
    if missing:
        raise _RowFaulty(
            FaultCode.LAYOUT_UNKNOWN,
            ", ".join(names),
            f"columns symbol, date, open, high, low, close, volume: there is no {', '.join(missing)}",
        )
    return columns


def _csv(path: Path) -> tuple[list[str], Iterator[tuple[int, Mapping[str, Any]]]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    reader = csv.DictReader(text.splitlines())
    return list(reader.fieldnames or ()), ((reader.line_num, row) for row in reader)


def _parquet(path: Path) -> tuple[list[str], Iterator[tuple[int, Mapping[str, Any]]]]:
    import polars as pl  # noqa: PLC0415 - it takes a while to load

    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise ValueError(str(error)) from error
    return frame.columns, enumerate(frame.iter_rows(named=True), 1)


def _plain(value: object) -> object:
    """Return *value* without blanks around it, None for nothing: the official files pad some of their columns."""
    if isinstance(value, str):
        return value.strip() or None
    return value


def _price_e4(told: Mapping[str, Any], name: str) -> int:
    value = told.get(name)
    expected = f"{name} as a price in rupees above 0"
    if value is None:
        raise _RowFaulty(FaultCode.ROW_INCOMPLETE, "nothing", expected)
    try:
        price = Decimal(str(value))
        e4 = int((price * E4_PER_RUPEE).to_integral_value()) if price.is_finite() else 0
    except InvalidOperation:
        e4 = 0
    if not 0 < e4 <= PRICE_E4_MAX:
        raise _RowFaulty(FaultCode.PRICE_INVALID, value, expected)
    return e4


def _volume(value: object) -> int:
    if value is None:
        return 0  # An index has none.
    try:
        volume = float(str(value))
    except ValueError:
        volume = math.nan
    if not (volume >= 0 and volume.is_integer()):
        raise _RowFaulty(FaultCode.VOLUME_INVALID, value, "a volume in whole units")
    return int(volume)


def _day(told: Mapping[str, Any]) -> str:
    value = told.get("date")
    try:
        if value is None and told.get("timestamp_utc") is not None:
            value = told["timestamp_utc"]
            stamp = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
            return (stamp.replace(tzinfo=None) + _INDIA).date().isoformat()
        if isinstance(value, datetime):
            return value.date().isoformat()
        if isinstance(value, date):
            return value.isoformat()
        text = str(value)
        if len(text) == len("28-Oct-2024"):
            return datetime.strptime(text, "%d-%b-%Y").date().isoformat()  # noqa: DTZ007 - a date has no zone
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise _RowFaulty(FaultCode.DATE_INVALID, value, "a date such as 2024-10-28 or 28-Oct-2024") from None
