"""The calendar of an installation: lists of days brought in, with what they change, and what a day looks like."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from adapters.session_lists import Fault, FaultCode, ListFaulty, ListRead, read_list
from adapters.sessions import CalendarFile, CalendarUnreadable, ImportedList
from commands.ports import Clock
from domain.instrument import Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.session_changes import Changes, beside_muhurat, changes, conflicts
from domain.session_table import DayPhase, SessionDay, SessionTable, Stretch
from infra.home import PRIVATE, TRAVERSABLE, Home, make_folder
from infra.problems import OperatorProblem


class ShownDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day as people and programs read it. `hours` are its phases in Indian time: `continuous 09:15-15:30`."""

    segment: str
    day: str
    weekday: str
    kind: str
    known: bool
    certainty: str
    name: str
    hours: tuple[str, ...]
    source: str

    @classmethod
    def of(cls, day: SessionDay) -> "ShownDay":
        """Return what is shown of *day*."""
        return cls(
            segment=day.segment.value,
            day=day.day.isoformat(),
            weekday=f"{day.day:%a}",
            kind=day.kind.value,
            known=day.is_known,
            certainty=day.certainty.value,
            name=day.name,
            hours=tuple(map(_phase_text, day.phases)),
            source=day.source,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a file would do to the calendar. `kept` are days of Muhurat that it has as holidays."""

    read: ListRead
    rows: tuple[Stretch, ...]
    kept: tuple[SessionDay, ...]
    changes: Changes


def table_of(home: Home) -> SessionTable:
    """Return the table in force. Raises OperatorProblem."""
    try:
        return CalendarFile(home.calendar_file).table()
    except CalendarUnreadable as error:
        raise unreadable(error) from error


def imported_lists(home: Home) -> tuple[ImportedList, ...]:
    """Return the lists that were brought in, oldest first. Raises OperatorProblem."""
    try:
        return CalendarFile(home.calendar_file).read()
    except CalendarUnreadable as error:
        raise unreadable(error) from error


def unreadable(error: CalendarUnreadable) -> OperatorProblem:
    """Return what an operator is told of a file of imported lists that is none."""
    return OperatorProblem(
        f"The calendar cannot be read: {error}.",
        remedy="Put that file aside and bring your lists in again: khata calendar import FILE.",
    )


def plan(home: Home, path: Path) -> Plan:
    """Return what the list at *path* would change.

    Raises:
        ListFaulty: it is no list, or contradicts a day that was observed (`CALENDAR_CONFLICT`).
        OperatorProblem: the calendar as it is cannot be read.
    """
    return _planned(table_of(home), read_list(path))


def bring_in(home: Home, path: Path, shown: Plan, clock: Clock) -> None:
    """Store the list at *path*, whose plan was *shown*: all of it, or nothing.

    Raises:
        ListFaulty: by now it is no list any more.
        OperatorProblem: the calendar is another than the one the plan was made for, or cannot be written.
    """
    file = CalendarFile(home.calendar_file)
    try:
        home.path.parent.mkdir(parents=True, exist_ok=True)
        make_folder(home.path, TRAVERSABLE)
        make_folder(home.calendar_file.parent, PRIVATE)
        with file.locked():
            if plan(home, path) != shown:
                raise OperatorProblem(
                    "The file or the calendar changed while it was looked at.", remedy="Run the same command again."
                )
            at = datetime.fromtimestamp(clock.wall_ns() // NS_PER_S, UTC)
            file.add(
                ImportedList(imported_at=at.isoformat(), file=path.name, sha256=shown.read.sha256, rows=shown.rows)
            )
    except OSError as error:
        raise OperatorProblem(
            f"The calendar cannot be written: {error.strerror}.", remedy="Nothing was changed."
        ) from error


def _planned(table: SessionTable, read: ListRead) -> Plan:
    rows, kept = beside_muhurat(table, read.rows) if read.holidays_only else (list(read.rows), [])
    _refuse_conflicts(table, read, rows)
    return Plan(read=read, rows=tuple(rows), kept=tuple(kept), changes=changes(table, table.with_list(rows), read.rows))


def _refuse_conflicts(table: SessionTable, read: ListRead, rows: Sequence[Stretch]) -> None:
    taken = set(rows)
    faults = [
        Fault(
            line=line or None,
            code=FaultCode.CALENDAR_CONFLICT,
            message=f"received {row.kind.value}{_told(row)} for {day_text(ShownDay.of(day))}, which was observed",
        )
        for row, line in zip(read.rows, read.lines, strict=True)
        if row in taken
        for day in conflicts(table, row)
    ]
    if faults:
        raise ListFaulty(faults)


def known_until(table: SessionTable, segment: Segment, day: date) -> date | None:
    """Return the last of the days, one after another from *day* on, that are known, None where *day* is not."""
    last = None
    while (found := table.day_of(segment, day)) is not None and found.is_known:
        last = day
        day += timedelta(days=1)
    return last


def day_text(day: ShownDay) -> str:
    """Return a day as one line."""
    words = [day.segment, day.day, day.weekday, day.kind]
    if day.name:
        words.append(f"({day.name})")
    if day.hours:
        words.append(", ".join(day.hours))
    if not day.known:
        words.append("not known")
    return " ".join(words)


def _told(row: Stretch) -> str:
    spans = ", ".join(f"{span.phase.value} {span.starts:%H:%M}-{span.ends:%H:%M}" for span in row.spans or ())
    return f" {spans}" if spans else ""


def _phase_text(phase: DayPhase) -> str:
    return f"{phase.phase.value} {_clock(phase.starts_at_ns)}-{_clock(phase.ends_at_ns)}"


def _clock(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // NS_PER_S, EXCHANGE_ZONE):%H:%M}"
