"""When the exchanges trade: the hours of a week from a table with its sources, holidays, and a session without an end.

The table `adapters/data/market_hours.csv` has one row for each phase: the segments, for which stocks it holds (those
with listed derivatives close in an auction since 2026-08-03), the phase, when it begins and ends (Indian time), and
the first and last day on which the row holds. Between two phases of a day the market is *paused*; before the first and
after the last one, at weekends and on the days of `market_holidays.csv`, it is closed. Sessions out of the row (Muhurat
trading, a Saturday) are not known here: the market counts as closed. A segment without a row has no session at all.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, time
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

from domain.instrument import Instrument, Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S, trading_day
from domain.session import Phase, SessionMoment

_SATURDAY = 5
_FOR_STOCKS = {"all": None, "with derivatives": True, "without derivatives": False}


class PhaseHours(NamedTuple):
    """One row. `derivatives` tells for which stocks it holds: those with listed derivatives, those without, all."""

    segments: frozenset[Segment]
    derivatives: bool | None
    phase: Phase
    starts: time
    ends: time
    first_day: date
    last_day: date


class WeeklySessions:
    """Implements `commands.ports.Sessions` by the hours of a week and a list of holidays."""

    def __init__(self, hours: Iterable[PhaseHours], holidays: Iterable[date]) -> None:
        self._holidays = frozenset(holidays)
        self._hours: defaultdict[tuple[Segment, bool], list[PhaseHours]] = defaultdict(list)
        for row in hours:
            for segment in row.segments:
                for derivatives in (False, True) if row.derivatives is None else (row.derivatives,):
                    self._hours[segment, derivatives].append(row)
        self._days: dict[tuple[Segment, bool, date], tuple[PhaseHours, ...]] = {}

    @classmethod
    def load(cls) -> "WeeklySessions":
        """Return the sessions that the tables shipped with Khata describe."""
        folder = files("adapters") / "data"
        hours, holidays = (
            list(csv.DictReader((folder / name).read_text(encoding="utf-8").splitlines()))
            for name in ("market_hours.csv", "market_holidays.csv")
        )
        return cls(map(_hours_of, hours), (date.fromisoformat(row["day"]) for row in holidays))

    def moment_of(self, instrument: Instrument, market_time_ns: int) -> SessionMoment | None:
        """Return where the instrument's segment is in its day, None where no table knows it."""
        name = (instrument.key.segment, instrument.has_derivatives)
        if name not in self._hours:
            return None
        day = trading_day(market_time_ns)
        phases = self._phases_on(*name, day)
        until = next((_at_ns(day, row.ends) for row in phases if row.phase is Phase.CONTINUOUS), None)
        return SessionMoment(
            phase=_phase_at(phases, day, market_time_ns), trading_day=day.isoformat(), continuous_until_ns=until
        )

    def _phases_on(self, segment: Segment, derivatives: bool, day: date) -> tuple[PhaseHours, ...]:  # noqa: FBT001
        """Return the day's phases, in their order. Days are few and asked for with every intent."""
        name = (segment, derivatives, day)
        known = self._days.get(name)
        if known is None:
            is_closed = day.weekday() >= _SATURDAY or day in self._holidays
            rows = [] if is_closed else self._hours[segment, derivatives]
            known = tuple(sorted((r for r in rows if r.first_day <= day <= r.last_day), key=lambda row: row.starts))
            self._days[name] = known
        return known


def _phase_at(phases: tuple[PhaseHours, ...], day: date, market_time_ns: int) -> Phase:
    for row in phases:
        if _at_ns(day, row.starts) <= market_time_ns < _at_ns(day, row.ends):
            return row.phase
    for before, after in pairwise(phases):
        if _at_ns(day, before.ends) <= market_time_ns < _at_ns(day, after.starts):
            return Phase.PAUSED
    return Phase.CLOSED


def _at_ns(day: date, at: time) -> int:
    return int(datetime.combine(day, at, EXCHANGE_ZONE).timestamp()) * NS_PER_S


def _hours_of(row: dict[str, str]) -> PhaseHours:
    return PhaseHours(
        segments=frozenset(map(Segment, row["segments"].split())),
        derivatives=_FOR_STOCKS[row["stocks"]],
        phase=Phase(row["phase"]),
        starts=time.fromisoformat(row["starts"]),
        ends=time.fromisoformat(row["ends"]),
        first_day=date.fromisoformat(row["valid_from"]) if row["valid_from"] else date.min,
        last_day=date.fromisoformat(row["valid_to"]) if row["valid_to"] else date.max,
    )


class OpenSessions:
    """Implements `commands.ports.Sessions` for a tape of our own making: it trades whenever it is played."""

    def moment_of(self, instrument: Instrument, market_time_ns: int) -> SessionMoment | None:  # noqa: ARG002 - the port's shape
        """Return a moment of continuous trading that has no end."""
        return SessionMoment(phase=Phase.CONTINUOUS, trading_day=trading_day(market_time_ns).isoformat())
