"""When the exchanges trade: the table that comes with Khata, lists brought in later, and a session without an end.

The table is three files in `adapters/data`, each row with its source: `market_hours.csv` has the phases of ordinary
weekdays, `market_days.csv` what days are (as `adapters.session_lists` reads it), `market_followers.csv` which segments
have the days of another. `domain.session_table` tells what they mean together. A segment without hours has no session
at all: nobody trades an index.

Lists that an operator brings in lie in one file under the home folder, which is written whole or not at all. They come
after the shipped one, the newest last, and are the record of who brought in what: each with its time, its file's name
and hash. A running process looks for a new one every few seconds.
"""

import csv
import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, time
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec
import structlog

from adapters.durable_files import write_durably
from adapters.session_lists import read_rows
from commands.ports import Clock
from domain.instrument import Instrument, Segment
from domain.market import NS_PER_S, trading_day
from domain.session import Phase, SessionMoment
from domain.session_table import Certainty, Follower, Hours, SessionTable, Span, Stretch

log = structlog.get_logger(__name__)

LOOK_AGAIN_NS = 5 * NS_PER_S
_FOR_STOCKS = {"all": None, "with derivatives": True, "without derivatives": False}


class ImportedList(msgspec.Struct, frozen=True, kw_only=True):
    """A list of days that was brought in: when (UTC, ISO), from a file of which name and hash."""

    imported_at: str
    file: str
    sha256: str
    rows: tuple[Stretch, ...]


class _ImportedLists(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file holds. `layout` changes with its meaning."""

    layout: int
    lists: tuple[ImportedList, ...]


_LAYOUT = 1


class CalendarUnreadable(Exception):
    """The file of imported lists cannot be read, or is none of ours."""


@cache
def shipped_table() -> SessionTable:
    """Return the table that comes with Khata, read once."""
    followers = {
        Segment(row["segment"]): Follower(Segment(row["leader"]), row["source"]) for row in _rows("market_followers")
    }
    days = read_rows(_text("market_days"), default_source="Khata")
    return SessionTable(map(_hours_of, _rows("market_hours")), [days.rows], followers)


def _text(name: str) -> str:
    return (files("adapters") / "data" / f"{name}.csv").read_text(encoding="utf-8")


def _rows(name: str) -> Iterator[Mapping[str, str]]:
    return csv.DictReader(_text(name).splitlines())


def _hours_of(row: Mapping[str, str]) -> Hours:
    return Hours(
        segments=frozenset(map(Segment, row["segments"].split())),
        derivatives=_FOR_STOCKS[row["stocks"]],
        span=Span(Phase(row["phase"]), time.fromisoformat(row["starts"]), time.fromisoformat(row["ends"])),
        first_day=date.fromisoformat(row["valid_from"]) if row["valid_from"] else date.min,
        last_day=date.fromisoformat(row["valid_to"]) if row["valid_to"] else date.max,
        certainty=Certainty(row["status"]),
        source=row["source"],
    )


class CalendarFile:
    """The lists that were brought in, at *path*."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[ImportedList, ...]:
        """Return the lists, oldest first.

        Raises:
            CalendarUnreadable
        """
        try:
            stored = msgspec.json.decode(self._path.read_bytes(), type=_ImportedLists)
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CalendarUnreadable(f"{self._path} is no file of imported lists of days: {error}") from error
        if stored.layout != _LAYOUT:
            raise CalendarUnreadable(f"{self._path} has layout {stored.layout}, expected {_LAYOUT}")
        return stored.lists

    def table(self) -> SessionTable:
        """Return the shipped table with these lists. Raises CalendarUnreadable."""
        table = shipped_table()
        for each in self.read():
            table = table.with_list(each.rows)
        return table

    def add(self, coming: ImportedList) -> None:
        """Keep *coming* as the newest list. To be called while it is `locked`.

        Raises:
            CalendarUnreadable
            OSError: it cannot be written; what was there is there.
        """
        lists = (*self.read(), coming)
        write_durably(self._path, msgspec.json.encode(_ImportedLists(layout=_LAYOUT, lists=lists)))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from adding meanwhile. The folder is made where it is missing. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_name(f".{self._path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def stamp(self) -> tuple[int, int] | None:
        """Return what tells this state of the file from another, None where there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


class ExchangeSessions:
    """Implements `commands.ports.Sessions` by the table as it is by now."""

    def __init__(self, file: CalendarFile, clock: Clock) -> None:
        """Raises CalendarUnreadable."""
        self._file = file
        self._clock = clock
        self._stamp = file.stamp()
        self._table = file.table()
        self._look_at_ns = clock.monotonic_ns() + LOOK_AGAIN_NS

    @property
    def table(self) -> SessionTable:
        """The table, looked for again every few seconds."""
        if self._clock.monotonic_ns() >= self._look_at_ns:
            self._look()
        return self._table

    def moment_of(self, instrument: Instrument, market_time_ns: int) -> SessionMoment | None:
        """Return where the instrument's segment is in its day, None where no row has its hours."""
        if self._clock.monotonic_ns() >= self._look_at_ns:
            self._look()
        return self._table.moment_of(instrument, market_time_ns)

    def closes_at_ns(self, market_time_ns: int) -> int | None:
        """Return when the stocks of the NSE end their day. Implements `commands.ports.TradingDays`."""
        day = self.table.day_of(Segment.NSE_EQ, trading_day(market_time_ns))
        return day.phases[-1].ends_at_ns if day is not None and day.continuous else None

    def _look(self) -> None:
        self._look_at_ns = self._clock.monotonic_ns() + LOOK_AGAIN_NS
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._table = self._file.table()
        except CalendarUnreadable as fault:
            log.warning("the calendar stays as it was", fault=str(fault))  # Better the days we knew than none.


class OpenSessions:
    """Implements `commands.ports.Sessions` for a tape of our own making: it trades whenever it is played."""

    def moment_of(self, instrument: Instrument, market_time_ns: int) -> SessionMoment | None:  # noqa: ARG002 - the port's shape
        """Return a moment of continuous trading that has no end."""
        return SessionMoment(phase=Phase.CONTINUOUS, trading_day=trading_day(market_time_ns).isoformat())

    def closes_at_ns(self, market_time_ns: int) -> int | None:  # noqa: ARG002 - the port's shape
        """Return that no day has an end."""
        return None
