"""The session table: what each segment's day looks like, from weekly hours, lists of days, and who follows whom.

Three kinds of rows make a day:

1. **Hours** are the phases of an ordinary weekday, each row for some segments and for the days on which it holds.
2. **Stretches** say what days are. `regular` opens a stretch: all that is special in it is listed, so its weekdays
   trade by the hours and its weekends do not. Every other kind names days: a holiday, or a session of its own hours.
   Lists come one after another, the later before the earlier, by these rules: what was *observed* stands for ever; a
   list that opens a stretch takes back the holidays that earlier ones announced in it; their sessions (Muhurat) stay
   until a list names the same day, because the exchanges' lists of holidays do not tell them.
3. **Followers** have the days of another segment where no row speaks of themselves, its sessions out of the ordinary
   where no row of theirs names the day, and its hours where they have none.

A day that no stretch opens is *not known*: it looks like one of an ordinary week, and says so. A session whose hours
nobody has told yet (Muhurat, until the circular of that year) is not known either.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from domain.instrument import Instrument, Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S, trading_day
from domain.session import Phase, SessionMoment

_SATURDAY = 5
_ONE_DAY = timedelta(days=1)
_NS_PER_DAY = 86_400 * NS_PER_S
_OFFSET_NS = int((EXCHANGE_ZONE.utcoffset(None) or timedelta()).total_seconds()) * NS_PER_S
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_PLANS_MAX = 20_000
"""Days kept ready. A backtest over many years starts anew with them now and then."""


class DayKind(StrEnum):
    """What kind of day it is."""

    REGULAR = "regular"
    """A weekday with the hours of the week."""
    WEEKEND = "weekend"
    HOLIDAY = "holiday"
    MUHURAT = "muhurat"
    """A holiday but for an hour of trading on Diwali."""
    SPECIAL = "special"
    """A session on a day that would have none: the Budget on a Sunday."""
    SHORT = "short"
    """Less than a whole day, perhaps in parts."""
    EXTENDED = "extended"
    """Longer than an ordinary day: after an outage."""


class Certainty(StrEnum):
    """How it is known."""

    OBSERVED = "observed"
    """It took place: there are prices of it."""
    ANNOUNCED = "announced"
    """The exchange, or the regulator, said so."""
    UNVERIFIED = "unverified"
    """Somebody else says so, or it is taken over from another segment."""
    UNKNOWN = "unknown"
    """Nobody has said anything: an ordinary week is assumed."""


class Span(NamedTuple):
    """One phase of a day, in the exchange's time: from `starts` until just before `ends`."""

    phase: Phase
    starts: time
    ends: time


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """One phase of ordinary weekdays from `first_day` to `last_day`.

    `derivatives` tells for which stocks it holds: those with listed derivatives, those without, None: all.
    """

    segments: frozenset[Segment]
    derivatives: bool | None
    span: Span
    first_day: date
    last_day: date
    certainty: Certainty
    source: str


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """What the days from `first_day` to `last_day` are in some segments.

    `spans` are the phases of a session out of the ordinary, None: those of the week. Of a session without spans nobody
    has told the hours yet.
    """

    segments: frozenset[Segment]
    first_day: date
    last_day: date
    kind: DayKind
    spans: tuple[Span, ...] | None
    name: str
    certainty: Certainty
    source: str

    @property
    def is_observed(self) -> bool:
        """Whether it took place."""
        return self.certainty is Certainty.OBSERVED

    @property
    def days(self) -> Iterator[date]:
        """The days it speaks of, oldest first."""
        return days_between(self.first_day, self.last_day)


class Follower(NamedTuple):
    """A segment has the days, and where it has none the hours, of its `leader`."""

    leader: Segment
    source: str


class DayPhase(msgspec.Struct, frozen=True, kw_only=True):
    """One phase of one day. Times in UTC nanoseconds, the end just after the last moment."""

    phase: Phase
    starts_at_ns: int
    ends_at_ns: int
    certainty: Certainty
    source: str


class SessionDay(msgspec.Struct, frozen=True, kw_only=True):
    """One day of a segment: its phases, oldest first, and how it is known. See the module for `is_known`."""

    segment: Segment
    day: date
    kind: DayKind
    is_known: bool
    certainty: Certainty
    name: str
    source: str
    phases: tuple[DayPhase, ...] = ()

    @property
    def continuous(self) -> tuple[DayPhase, ...]:
        """The phases of continuous trading."""
        return tuple(phase for phase in self.phases if phase.phase is Phase.CONTINUOUS)


class DaysUnknown(Exception):
    """A question about days leads to one that is not known: `day` is the first on the way."""

    def __init__(self, segment: Segment, day: date) -> None:
        super().__init__(f"it is not known whether {segment.value} trades on {day}")
        self.segment = segment
        self.day = day


def days_between(first_day: date, last_day: date) -> Iterator[date]:
    """Yield the days from *first_day* to *last_day*, both included, oldest first."""
    return (first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1))


class SessionTable:
    """Implements `commands.ports.Sessions` by rows. *lists* of days come oldest first."""

    def __init__(
        self,
        hours: Iterable[Hours],
        lists: Sequence[Iterable[Stretch]],
        followers: Mapping[Segment, Follower] | None = None,
    ) -> None:
        self._rows = (tuple(hours), tuple(map(tuple, lists)))
        self._followers = dict(followers or {})
        self._hours: defaultdict[tuple[Segment, bool], list[Hours]] = defaultdict(list)
        for row in self._rows[0]:
            for segment in row.segments:
                for derivatives in (False, True) if row.derivatives is None else (row.derivatives,):
                    self._hours[segment, derivatives].append(row)
        self._days: dict[Segment, _DaysOfSegment] = defaultdict(_DaysOfSegment)
        for rows in self._rows[1]:
            for segment in sorted({segment for row in rows for segment in row.segments}):
                self._days[segment].add([row for row in rows if segment in row.segments])
        self._plans: dict[tuple[Segment, bool, int], _Plan | None] = {}

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments whose hours are known."""
        return tuple(segment for segment in Segment if self._hours_of(segment, derivatives=False))

    def with_list(self, rows: Iterable[Stretch]) -> "SessionTable":
        """Return the table that comes of it by another list, the newest."""
        hours, lists = self._rows
        return SessionTable(hours, [*lists, tuple(rows)], self._followers)

    def affected_by(self, segments: Iterable[Segment]) -> tuple[Segment, ...]:
        """Return the segments whose days depend on those of *segments*: these, and who follows them."""
        depending = set(segments)
        grown = True
        while grown:
            followers = {segment for segment, follower in self._followers.items() if follower.leader in depending}
            grown = not followers <= depending
            depending |= followers
        return tuple(segment for segment in self.segments if segment in depending)

    def moment_of(self, instrument: Instrument, market_time_ns: int) -> SessionMoment | None:
        """Return where the instrument's segment is in its day, None where no row has its hours."""
        # Every intent asks: what a day looks like is worked out once.
        name = (instrument.key.segment, instrument.has_derivatives, (market_time_ns + _OFFSET_NS) // _NS_PER_DAY)
        try:
            plan = self._plans[name]
        except KeyError:
            plan = self._plan(*name)
        if plan is None:
            return None
        return plan.moments[bisect_right(plan.starts_at_ns, market_time_ns) - 1]

    def day_of(self, segment: Segment, day: date, *, derivatives: bool = False) -> SessionDay | None:
        """Return what *day* is in *segment*, None where no row has its hours. *derivatives* as in `Hours`."""
        if not self._hours_of(segment, derivatives=derivatives):
            return None
        found = self._row_of(segment, day)
        by_the_week = self._by_the_week(segment, day, derivatives=derivatives)
        if found is None:
            is_weekend = day.weekday() >= _SATURDAY
            return SessionDay(
                segment=segment,
                day=day,
                kind=DayKind.WEEKEND if is_weekend else DayKind.REGULAR,
                is_known=False,
                certainty=Certainty.UNKNOWN,
                name="",
                source="",
                phases=() if is_weekend else by_the_week,
            )
        return self._day_by(*found, segment=segment, day=day, by_the_week=by_the_week)

    def day_by(self, row: Stretch, segment: Segment, day: date) -> SessionDay:
        """Return what *day* is in *segment* if *row* alone tells it."""
        by_the_week = self._by_the_week(segment, day, derivatives=False)
        return self._day_by(row, row.certainty, row.source, segment=segment, day=day, by_the_week=by_the_week)

    def next_session(self, segment: Segment, after_ns: int, *, derivatives: bool = False) -> SessionDay:
        """Return the first day whose continuous trading begins after *after_ns* (UTC nanoseconds).

        Raises:
            DaysUnknown: a day that is not known lies before it.
        """
        day = trading_day(after_ns)
        while True:
            found = self._known(segment, day, derivatives=derivatives)
            if found.continuous and found.continuous[0].starts_at_ns > after_ns:
                return found
            day += _ONE_DAY

    def previous_session(self, segment: Segment, before_ns: int, *, derivatives: bool = False) -> SessionDay:
        """Return the last day whose continuous trading was over at *before_ns* (UTC nanoseconds).

        Raises:
            DaysUnknown: a day that is not known lies after it.
        """
        day = trading_day(before_ns)
        while True:
            found = self._known(segment, day, derivatives=derivatives)
            if found.continuous and found.continuous[-1].ends_at_ns <= before_ns:
                return found
            day -= _ONE_DAY

    def trading_days(self, segment: Segment, first_day: date, last_day: date) -> tuple[date, ...]:
        """Return the days from *first_day* to *last_day*, both included, that have continuous trading, oldest first.

        Raises:
            DaysUnknown: one of the days between is not known.
        """
        return tuple(
            day for day in days_between(first_day, last_day) if self._known(segment, day, derivatives=False).continuous
        )

    def _known(self, segment: Segment, day: date, *, derivatives: bool) -> SessionDay:
        found = self.day_of(segment, day, derivatives=derivatives)
        if found is None or not found.is_known:
            raise DaysUnknown(segment, day)
        return found

    def _by_the_week(self, segment: Segment, day: date, *, derivatives: bool) -> tuple[DayPhase, ...]:
        rows = [row for row in self._hours_of(segment, derivatives=derivatives) if row.first_day <= day <= row.last_day]
        rows.sort(key=lambda row: row.span.starts)
        return tuple(_day_phase(day, row.span, row.certainty, row.source) for row in rows)

    @staticmethod
    def _day_by(
        row: Stretch,
        certainty: Certainty,
        source: str,
        *,
        segment: Segment,
        day: date,
        by_the_week: tuple[DayPhase, ...],
    ) -> SessionDay:
        kind = DayKind.WEEKEND if row.kind is DayKind.REGULAR and day.weekday() >= _SATURDAY else row.kind
        is_closed = kind in {DayKind.WEEKEND, DayKind.HOLIDAY}
        if is_closed:
            phases: tuple[DayPhase, ...] = ()
        elif row.spans is None:
            phases = by_the_week
        else:
            phases = tuple(_day_phase(day, span, certainty, source) for span in row.spans)
        return SessionDay(
            segment=segment,
            day=day,
            kind=kind,
            is_known=is_closed or bool(phases),
            certainty=certainty,
            name=row.name,
            source=source,
            phases=phases,
        )

    def _hours_of(self, segment: Segment, *, derivatives: bool) -> list[Hours]:
        own = self._hours.get((segment, derivatives))
        follower = self._followers.get(segment)
        if own is not None or follower is None:
            return own or []
        return self._hours_of(follower.leader, derivatives=derivatives)

    def _row_of(self, segment: Segment, day: date) -> tuple[Stretch, Certainty, str] | None:
        """Return the row that tells what *day* is, how certain that is for *segment*, and by which source."""
        own = self._days.get(segment) or _DaysOfSegment()
        named = own.named(day)
        if named is not None:
            return named, named.certainty, named.source
        follower = self._followers.get(segment)
        followed = None if follower is None else self._row_of(follower.leader, day)
        if follower is not None and followed is not None:
            row, _, source = followed
            followed = (row, Certainty.UNVERIFIED, f"{follower.source}; {follower.leader.value}: {source}")
            # A list of holidays of its own does not tell the sessions out of the ordinary: those it has in common.
            if row.kind is not DayKind.REGULAR and (row.kind is not DayKind.HOLIDAY or row.is_observed):
                return followed
        opening = own.opening(day)
        return followed if opening is None else (opening, opening.certainty, opening.source)

    def _plan(self, segment: Segment, derivatives: bool, day_number: int) -> "_Plan | None":  # noqa: FBT001
        found = self.day_of(segment, date.fromordinal(_EPOCH_ORDINAL + day_number), derivatives=derivatives)
        if len(self._plans) >= _PLANS_MAX:
            self._plans.clear()
        plan = self._plans[segment, derivatives, day_number] = None if found is None else _plan_of(found)
        return plan


class _DaysOfSegment:
    """What the lists say of one segment's days."""

    def __init__(self) -> None:
        self._open: list[Stretch] = []
        self._named: dict[date, Stretch] = {}

    def add(self, rows: Sequence[Stretch]) -> None:
        """Take in the rows of one list, which comes after those before."""
        opening = [row for row in rows if row.kind is DayKind.REGULAR]
        self._named = {
            day: row
            for day, row in self._named.items()
            if row.kind is not DayKind.HOLIDAY
            or row.is_observed
            or not any(each.first_day <= day <= each.last_day for each in opening)
        }
        observed = {day for day, row in self._named.items() if row.is_observed}
        for row in rows:
            if row.kind is DayKind.REGULAR:
                continue
            for day in row.days:
                opened = self.opening(day)
                stands = day in observed or (opened is not None and opened.is_observed)
                if row.is_observed or not stands:
                    self._named[day] = row
        self._open.extend(opening)

    def named(self, day: date) -> Stretch | None:
        """Return the row that names *day*."""
        return self._named.get(day)

    def opening(self, day: date) -> Stretch | None:
        """Return the row that opens the stretch of *day*: one of what was observed before others, else the newest."""
        rows = [row for row in self._open if row.first_day <= day <= row.last_day]
        return next((row for row in rows if row.is_observed), rows[-1] if rows else None)


class _Plan(NamedTuple):
    """A day, ready to be asked: moment *n* begins at start *n*, the first with the day itself.

    Where one phase follows upon another without a pause, two begin at once, and the later of them counts.
    """

    starts_at_ns: tuple[int, ...]
    moments: tuple[SessionMoment, ...]


def _plan_of(day: SessionDay) -> _Plan:
    changes = [(_at_ns(day.day, time.min), Phase.CLOSED)]
    for phase in day.phases:
        changes += [(phase.starts_at_ns, phase.phase), (phase.ends_at_ns, Phase.PAUSED)]
    if day.phases:
        changes[-1] = (day.phases[-1].ends_at_ns, Phase.CLOSED)
    continuous = day.continuous
    until_ns = continuous[-1].ends_at_ns if continuous else None
    moments = tuple(
        SessionMoment(
            phase=phase, trading_day=day.day.isoformat(), continuous_until_ns=until_ns, day_known=day.is_known
        )
        for _, phase in changes
    )
    return _Plan(tuple(at_ns for at_ns, _ in changes), moments)


def _day_phase(day: date, span: Span, certainty: Certainty, source: str) -> DayPhase:
    return DayPhase(
        phase=span.phase,
        starts_at_ns=_at_ns(day, span.starts),
        ends_at_ns=_at_ns(day, span.ends),
        certainty=certainty,
        source=source,
    )


def _at_ns(day: date, at: time) -> int:
    seconds = (at.hour * 60 + at.minute) * 60 + at.second
    return (day.toordinal() - _EPOCH_ORDINAL) * _NS_PER_DAY - _OFFSET_NS + seconds * NS_PER_S
