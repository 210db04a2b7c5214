"""Lists of days as files: our own table, and the exchange's reply on holidays, each fault told with its line.

Our own is CSV with a row for a day or a stretch of days:
`first_day,last_day,segments,kind,hours,name,status,source`. Days are ISO; `last_day` may be empty for one day.
`segments` are ours (`NSE_EQ`), several with blanks between. `kind` is one of `domain.session_table.DayKind` but for
`weekend`; `regular` opens a stretch: its weekdays trade but for what other rows name. `hours` of a session are phases
in Indian time, `pre_open 18:00-18:08; continuous 18:15-19:15`; `regular`: those of the week; empty: not told yet.
`status` is `observed`, `announced` (also where it is empty) or `unverified`.

The exchange's reply is JSON with one list of holidays for each of its segments (`CM`: equity, `FO`: equity derivatives,
`CD`: currency derivatives; others are none of ours). It is taken for whole years: those of its days.
"""

import csv
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from io import BytesIO
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from domain.instrument import Segment
from domain.session import Phase
from domain.session_table import Certainty, DayKind, Span, Stretch

PROBLEMS_MAX = 20
"""So many faults of a file are told; then its reading ends."""
BYTES_MAX = 4_000_000
_COLUMNS = ("first_day", "last_day", "segments", "kind", "hours", "name", "status", "source")
_TEXT_MAX = 300
_FIRST_YEAR, _LAST_YEAR = 1990, 2100
_NAMED_DAYS_MAX = 31
"""So long may a holiday or a run of special sessions last: more is a slip in a date."""
_STRETCH_DAYS_MAX = 20 * 366
_GZIP = b"\x1f\x8b"
_EXCHANGE_LISTS = {"CM": Segment.NSE_EQ, "FO": Segment.NSE_FNO, "CD": Segment.NSE_CURRENCY}
_SPANNED = frozenset({DayKind.MUHURAT, DayKind.SPECIAL, DayKind.SHORT, DayKind.EXTENDED})
_NAMEABLE = (*sorted(_SPANNED), DayKind.HOLIDAY, DayKind.REGULAR)
_NO_PHASES_OF_HOURS = frozenset({Phase.CLOSED, Phase.PAUSED})
_BY_THE_WEEK = "regular"
_BEYOND = "beyond the last column"


class FaultCode(StrEnum):
    """Why a list is not taken: stable, for programs to depend on."""

    FILE_UNREADABLE = "FILE_UNREADABLE"
    LAYOUT_UNKNOWN = "LAYOUT_UNKNOWN"
    ROW_INCOMPLETE = "ROW_INCOMPLETE"
    DATE_INVALID = "DATE_INVALID"
    SEGMENT_INVALID = "SEGMENT_INVALID"
    KIND_INVALID = "KIND_INVALID"
    HOURS_INVALID = "HOURS_INVALID"
    STATUS_INVALID = "STATUS_INVALID"
    TEXT_INVALID = "TEXT_INVALID"
    DAY_TWICE = "DAY_TWICE"
    LIST_EMPTY = "LIST_EMPTY"
    CALENDAR_CONFLICT = "CALENDAR_CONFLICT"
    """It says otherwise of a day than what was observed on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with a list: at `line` (of the exchange's reply: the row of its list), None: the whole of it."""

    line: int | None
    code: FaultCode
    message: str


class ListFaulty(Exception):
    """A file is no list of days, and nothing of it is taken. `faults` are the first ones."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRead:
    """What a file says. `lines` has for each row where it stands, 0: nowhere by itself.

    `holidays_only` tells that it names no sessions, as the exchange's lists of holidays do not: one of Muhurat has the
    day as a holiday. `passed_over` are lists of segments that are none of ours.
    """

    rows: tuple[Stretch, ...]
    lines: tuple[int, ...]
    holidays_only: bool = False
    passed_over: tuple[str, ...] = ()
    sha256: str = ""


class _RowFaulty(Exception):
    def __init__(self, code: FaultCode, received: object, expected: str) -> None:
        super().__init__(f"received {str(received)[:60]!r}, expected {expected}")
        self.code = code


def read_list(path: Path) -> ListRead:
    """Return what the file at *path* (perhaps compressed by gzip) says, checked row by row.

    Raises:
        ListFaulty: it cannot be read, is of no known layout, or has a row that is no day.
    """
    try:
        content = _content(path)
        text = _unpacked(content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ListFaulty([Fault(line=None, code=FaultCode.FILE_UNREADABLE, message=str(error)[:200])]) from None
    is_reply = text.lstrip().startswith("{")
    read = _read_reply(text, path.name) if is_reply else read_rows(text, default_source=path.name)
    return replace(read, sha256=hashlib.sha256(content).hexdigest())


def read_rows(text: str, *, default_source: str) -> ListRead:
    """Return what *text*, a table of ours, says. *default_source* stands where a row names none. Raises ListFaulty."""
    reader = csv.DictReader(text.splitlines(), restval="", restkey=_BEYOND)
    columns = reader.fieldnames or ()
    if sorted(columns) != sorted(_COLUMNS):
        expected = f"received the columns {', '.join(columns)[:200]!r}, expected {', '.join(_COLUMNS)}"
        raise ListFaulty([Fault(line=1, code=FaultCode.LAYOUT_UNKNOWN, message=expected)])
    reading = _Reading()
    try:
        for row in reader:
            with reading.row(reader.line_num) as taken:
                taken.append(_stretch_of(row, default_source))
    except csv.Error as error:
        reading.fault(reader.line_num, FaultCode.FILE_UNREADABLE, str(error))
    return reading.finish()


class _Reading:
    """The rows of a file so far, and what was wrong with others."""

    def __init__(self) -> None:
        self._rows: list[Stretch] = []
        self._lines: list[int] = []
        self._faults: list[Fault] = []
        self._named: dict[tuple[Segment, date], int] = {}

    @contextmanager
    def row(self, line: int) -> Iterator[list[Stretch]]:
        """Take in what the block appends; a row that is faulty is noted, and the reading goes on."""
        taken: list[Stretch] = []
        try:
            yield taken
            for row in taken:
                self._check_once(row, line)
        except _RowFaulty as faulty:
            self.fault(line, faulty.code, str(faulty))
            return
        self._rows += taken
        self._lines += [line] * len(taken)

    def fault(self, line: int | None, code: FaultCode, message: str) -> None:
        """Note a fault. Raises ListFaulty where that is enough of them."""
        self._faults.append(Fault(line=line, code=code, message=message))
        if len(self._faults) >= PROBLEMS_MAX:
            raise ListFaulty(self._faults)

    def finish(self, *, holidays_only: bool = False, passed_over: tuple[str, ...] = ()) -> ListRead:
        """Return what was read. Raises ListFaulty."""
        if not self._rows and not self._faults:
            self.fault(None, FaultCode.LIST_EMPTY, "received no day, expected at least one")
        if self._faults:
            raise ListFaulty(self._faults)
        return ListRead(
            rows=tuple(self._rows), lines=tuple(self._lines), holidays_only=holidays_only, passed_over=passed_over
        )

    def _check_once(self, row: Stretch, line: int) -> None:
        if row.kind is DayKind.REGULAR:
            return
        for name in product(sorted(row.segments), row.days):
            before = self._named.setdefault(name, line)
            if before != line:
                segment, day = name
                raise _RowFaulty(FaultCode.DAY_TWICE, f"{segment} {day}", f"it once; line {before} has it too")


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return _bounded(file.read)


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(_GZIP):
        return content
    with gzip.open(BytesIO(content)) as file:
        return _bounded(file.read)


def _bounded(read: Callable[[int], bytes]) -> bytes:
    content = read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise OSError(f"it has more than {BYTES_MAX:,} bytes")
    return content


# --- Our own table ---


def _stretch_of(row: Mapping[str, str], default_source: str) -> Stretch:
    if row.get(_BEYOND):
        raise _RowFaulty(
            FaultCode.LAYOUT_UNKNOWN, row[_BEYOND], "no cell beyond the last column: quote what has commas"
        )
    cells = {name: row[name].strip() for name in _COLUMNS}
    for name in ("first_day", "segments", "kind"):
        if not cells[name]:
            raise _RowFaulty(FaultCode.ROW_INCOMPLETE, "", f"a value of {name}")
    first_day = _day(cells["first_day"])
    last_day = _day(cells["last_day"]) if cells["last_day"] else first_day
    kind = _kind(cells["kind"])
    if last_day < first_day:
        raise _RowFaulty(FaultCode.DATE_INVALID, cells["last_day"], f"{first_day} or a later day")
    days_max = _STRETCH_DAYS_MAX if kind is DayKind.REGULAR else _NAMED_DAYS_MAX
    if last_day - first_day >= timedelta(days=days_max):
        raise _RowFaulty(FaultCode.DATE_INVALID, cells["last_day"], f"at most {days_max} days of one {kind.value} row")
    for name in ("name", "source"):
        if len(cells[name]) > _TEXT_MAX or not cells[name].isprintable():
            raise _RowFaulty(FaultCode.TEXT_INVALID, cells[name], f"{_TEXT_MAX} printable characters at most")
    return Stretch(
        segments=_segments(cells["segments"]),
        first_day=first_day,
        last_day=last_day,
        kind=kind,
        spans=_spans(cells["hours"], kind),
        name=cells["name"],
        certainty=_certainty(cells["status"]),
        source=cells["source"] or default_source,
    )


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text) if len(text) == len("2026-11-27") else None
    except ValueError:
        day = None
    if day is None or not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise _RowFaulty(FaultCode.DATE_INVALID, text, f"a day of {_FIRST_YEAR} to {_LAST_YEAR} such as 2026-11-27")
    return day


def _segments(text: str) -> frozenset[Segment]:
    names = text.split()
    tradable = [segment.value for segment in Segment if segment is not Segment.INDEX]
    for name in names:
        if name not in tradable:
            raise _RowFaulty(FaultCode.SEGMENT_INVALID, name, f"some of {', '.join(tradable)}")
    return frozenset(map(Segment, names))


def _kind(text: str) -> DayKind:
    if text not in _NAMEABLE:
        raise _RowFaulty(FaultCode.KIND_INVALID, text, f"one of {', '.join(_NAMEABLE)}")
    return DayKind(text)


def _certainty(text: str) -> Certainty:
    told = (Certainty.OBSERVED, Certainty.ANNOUNCED, Certainty.UNVERIFIED)
    if text and text not in told:
        raise _RowFaulty(FaultCode.STATUS_INVALID, text, f"one of {', '.join(told)}")
    return Certainty(text) if text else Certainty.ANNOUNCED


def _spans(text: str, kind: DayKind) -> tuple[Span, ...] | None:
    if kind not in _SPANNED:
        if text:
            raise _RowFaulty(FaultCode.HOURS_INVALID, text, f"no hours for {kind.value}")
        return None
    if text == _BY_THE_WEEK:
        return None
    spans = tuple(_span(part.split()) for part in text.split(";")) if text else ()
    if spans and not any(span.phase is Phase.CONTINUOUS for span in spans):
        raise _RowFaulty(FaultCode.HOURS_INVALID, text, "a phase of continuous trading among them")
    if any(before.ends > after.starts for before, after in pairwise(spans)):
        raise _RowFaulty(FaultCode.HOURS_INVALID, text, "phases one after another")
    return spans


def _span(words: Sequence[str]) -> Span:
    try:
        phase, times = words
        starts, ends = map(time.fromisoformat, times.split("-"))
        span = Span(Phase(phase), starts, ends)
    except ValueError:
        span = None
    if span is None or span.phase in _NO_PHASES_OF_HOURS or span.starts.tzinfo or span.ends.tzinfo:
        raise _RowFaulty(FaultCode.HOURS_INVALID, " ".join(words), "a phase with its times: continuous 18:15-19:15")
    if span.starts >= span.ends:
        raise _RowFaulty(FaultCode.HOURS_INVALID, " ".join(words), "an end after the start")
    return span


# --- The exchange's reply ---


def _read_reply(text: str, source: str) -> ListRead:
    try:
        reply: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ListFaulty([Fault(line=None, code=FaultCode.FILE_UNREADABLE, message=str(error)[:200])]) from None
    ours = {name: rows for name, rows in reply.items() if name in _EXCHANGE_LISTS}
    if not ours or not all(isinstance(rows, list) for rows in ours.values()):
        expected = f"expected lists of holidays named {', '.join(_EXCHANGE_LISTS)}"
        raise ListFaulty([Fault(line=None, code=FaultCode.LAYOUT_UNKNOWN, message=expected)])
    reading = _Reading()
    for name, rows in ours.items():
        segment = frozenset({_EXCHANGE_LISTS[name]})
        years = set()
        for number, row in enumerate(rows, 1):
            with reading.row(number) as taken:
                taken.append(_holiday_of(row, segment, f"NSE, trading holidays, list {name} ({source})"))
                years.add(taken[0].first_day.year)
        if not rows:
            reading.fault(None, FaultCode.LIST_EMPTY, f"received no day in the list {name}, expected at least one")
        for year in sorted(years):
            with reading.row(0) as opened:
                opened.append(
                    Stretch(
                        segments=segment,
                        first_day=date(year, 1, 1),
                        last_day=date(year, 12, 31),
                        kind=DayKind.REGULAR,
                        spans=None,
                        name="",
                        certainty=Certainty.ANNOUNCED,
                        source=f"NSE, trading holidays, list {name} ({source})",
                    )
                )
    return reading.finish(holidays_only=True, passed_over=tuple(sorted(reply.keys() - ours.keys())))


def _holiday_of(row: Any, segments: frozenset[Segment], source: str) -> Stretch:
    cells = row if isinstance(row, dict) else {}
    told, name = str(cells.get("tradingDate", "")), str(cells.get("description", "")).strip()
    if any(cells.get(session) == "Open" for session in ("morning_session", "evening_session")):
        raise _RowFaulty(FaultCode.HOURS_INVALID, f"{told}: a session is open", "a day that is closed in this segment")
    try:
        day = datetime.strptime(told, "%d-%b-%Y").date()  # noqa: DTZ007 - a day, no moment
    except ValueError:
        raise _RowFaulty(FaultCode.DATE_INVALID, told, "a tradingDate such as 26-Jan-2027") from None
    if cells.get("weekDay", f"{day:%A}") != f"{day:%A}":
        raise _RowFaulty(FaultCode.DATE_INVALID, f"{told}, {cells['weekDay']}", f"{day:%A} as its weekDay")
    if not name or len(name) > _TEXT_MAX or not name.isprintable():
        raise _RowFaulty(FaultCode.TEXT_INVALID, name, f"a description of {_TEXT_MAX} printable characters at most")
    return Stretch(
        segments=segments,
        first_day=day,
        last_day=day,
        kind=DayKind.HOLIDAY,
        spans=None,
        name=name,
        certainty=Certainty.ANNOUNCED,
        source=source,
    )
