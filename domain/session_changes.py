"""What another list of days changes in the session table, and where it contradicts what was observed."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import msgspec

from domain.instrument import Segment
from domain.session_table import Certainty, DayKind, SessionDay, SessionTable, Stretch

_ORDINARY = frozenset({DayKind.REGULAR, DayKind.WEEKEND})


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """Days, one after another, that were not known before. `trading_days` of them have a session."""

    segment: Segment
    first_day: date
    last_day: date
    trading_days: int


class DayChange(msgspec.Struct, frozen=True, kw_only=True):
    """A day that trades otherwise than before."""

    before: SessionDay
    after: SessionDay


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a list changes, by segment and day.

    Of the days that are `opened`, `days` has those out of the ordinary. `confirmed` counts days that trade as before,
    by another source.
    """

    opened: tuple[Opened, ...]
    days: tuple[DayChange, ...]
    confirmed: int

    def __bool__(self) -> bool:
        return bool(self.opened or self.days or self.confirmed)


def conflicts(table: SessionTable, row: Stretch) -> tuple[SessionDay, ...]:
    """Return the days of *table* that were observed, and were not what *row* says of them."""
    if row.kind is DayKind.REGULAR:
        return ()  # It says that what it does not name is ordinary, and leaves alone what was not.
    found = []
    for segment in sorted(row.segments):
        for day in row.days:
            known = table.day_of(segment, day)
            if known is None or known.certainty is not Certainty.OBSERVED:
                continue
            told = table.day_by(row, segment, day)
            if _trades(told) != _trades(known):
                found.append(known)
    return tuple(found)


def beside_muhurat(table: SessionTable, rows: Iterable[Stretch]) -> tuple[list[Stretch], list[SessionDay]]:
    """Return *rows* of a list that tells holidays alone, without those on days of Muhurat, and these days.

    The exchange lists Diwali as a holiday, and tells the session of its evening in a circular of its own.
    """
    taken, kept = [], []
    for row in rows:
        known = [table.day_of(segment, row.first_day) for segment in sorted(row.segments)]
        muhurat = [day for day in known if day is not None and day.kind is DayKind.MUHURAT]
        if row.kind is DayKind.HOLIDAY and muhurat:
            kept += muhurat
        else:
            taken.append(row)
    return taken, kept


def changes(before: SessionTable, after: SessionTable, rows: Sequence[Stretch]) -> Changes:
    """Return what is another day in *after* than in *before*, among the days that *rows* speak of."""
    days = sorted({day for row in rows for day in row.days})
    opened: list[Opened] = []
    changed: list[DayChange] = []
    confirmed = 0
    for segment in after.affected_by(segment for row in rows for segment in row.segments):
        for day in days:
            was, now = before.day_of(segment, day), after.day_of(segment, day)
            if was is None or now is None or was == now:
                continue
            is_opened = not was.is_known and now.is_known
            if is_opened:
                _extend(opened, now)
            if _trades(was) == _trades(now):
                confirmed += 1
            elif not (is_opened and now.kind in _ORDINARY):
                changed.append(DayChange(before=was, after=now))
    return Changes(opened=tuple(opened), days=tuple(changed), confirmed=confirmed)


def _extend(opened: list[Opened], now: SessionDay) -> None:
    """Add *now* to the last stretch of *opened*, or begin another with it."""
    trading_days = 1 if now.continuous else 0
    last = opened[-1] if opened else None
    if last is None or last.segment is not now.segment or last.last_day + timedelta(days=1) != now.day:
        opened.append(Opened(segment=now.segment, first_day=now.day, last_day=now.day, trading_days=trading_days))
    else:
        opened[-1] = Opened(
            segment=last.segment,
            first_day=last.first_day,
            last_day=now.day,
            trading_days=last.trading_days + trading_days,
        )


def _trades(day: SessionDay) -> tuple[bool, list[tuple[str, int, int]]]:
    """Return what of *day* matters to who trades: a holiday at a weekend is as closed as the weekend was."""
    return day.is_known, [(phase.phase, phase.starts_at_ns, phase.ends_at_ns) for phase in day.phases]
