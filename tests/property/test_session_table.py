"""Of any day: phases follow one another, and every moment lies in exactly one."""

from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.sessions import shipped_table
from domain.instrument import InstrumentKey, Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.session import Phase
from domain.session_table import (
    Certainty,
    DayKind,
    DaysUnknown,
    Follower,
    SessionDay,
    SessionTable,
    Span,
    Stretch,
    days_between,
)
from tests.support.specimens import reliance

bounded = settings(max_examples=60, deadline=None)
few = settings(max_examples=25, deadline=None)
TABLE = shipped_table()
NS_PER_DAY = 86_400 * NS_PER_S
days = st.dates(date(2019, 6, 1), date(2027, 6, 30))
segments = st.sampled_from(TABLE.segments)


def begins_at_ns(day: date) -> int:
    return int(datetime.combine(day, time.min, EXCHANGE_ZONE).timestamp()) * NS_PER_S


def phase_by_looking(day: SessionDay, at_ns: int) -> Phase:
    """Return the phase at a moment the slow way."""
    within = [each.phase for each in day.phases if each.starts_at_ns <= at_ns < each.ends_at_ns]
    if within:
        (phase,) = within
        return phase
    is_before = any(each.starts_at_ns > at_ns for each in day.phases)
    is_after = any(each.ends_at_ns <= at_ns for each in day.phases)
    return Phase.PAUSED if is_before and is_after else Phase.CLOSED


@bounded
@given(segments, days, st.booleans())
def test_the_phases_of_a_day_follow_one_another(segment: Segment, day: date, derivatives: bool) -> None:  # noqa: FBT001
    found = TABLE.day_of(segment, day, derivatives=derivatives)
    assert found is not None
    begin = begins_at_ns(day)
    edges = [begin, *(at for each in found.phases for at in (each.starts_at_ns, each.ends_at_ns)), begin + NS_PER_DAY]
    assert edges == sorted(edges)
    assert all(each.starts_at_ns < each.ends_at_ns for each in found.phases)
    assert all(each.source for each in found.phases)
    assert found.is_known is bool(found.certainty is not Certainty.UNKNOWN and (found.phases or not opens(found)))


def opens(day: SessionDay) -> bool:
    """Tell whether a day is of a kind that trades."""
    return day.kind not in {DayKind.WEEKEND, DayKind.HOLIDAY}


@bounded
@given(segments, days, st.booleans(), st.lists(st.integers(0, NS_PER_DAY - 1), min_size=1, max_size=20))
def test_every_moment_of_a_day_has_the_phase_that_looking_finds(
    segment: Segment,
    day: date,
    derivatives: bool,  # noqa: FBT001
    offsets: list[int],
) -> None:
    found = TABLE.day_of(segment, day, derivatives=derivatives)
    assert found is not None
    instrument = replace(reliance, key=InstrumentKey(segment, "1"), has_derivatives=derivatives)
    begin = begins_at_ns(day)
    edges = [
        at - begin + shift for each in found.phases for at in (each.starts_at_ns, each.ends_at_ns) for shift in (-1, 0)
    ]
    for offset in [*offsets, *edges]:
        moment = TABLE.moment_of(instrument, begin + offset)
        assert moment is not None
        assert moment.phase is phase_by_looking(found, begin + offset)
        assert moment.trading_day == day.isoformat()
        assert moment.day_known is found.is_known
        assert moment.continuous_until_ns == (found.continuous[-1].ends_at_ns if found.continuous else None)


@bounded
@given(st.datetimes(datetime(2019, 11, 1), datetime(2026, 11, 6)))  # noqa: DTZ001 - the exchange's time
def test_between_the_sessions_around_a_moment_there_is_no_other(moment: datetime) -> None:
    at_ns = int(moment.replace(tzinfo=EXCHANGE_ZONE).timestamp()) * NS_PER_S
    before = TABLE.previous_session(Segment.NSE_EQ, at_ns)
    after = TABLE.next_session(Segment.NSE_EQ, at_ns)
    assert before.continuous[-1].ends_at_ns <= at_ns < after.continuous[0].starts_at_ns
    between = TABLE.trading_days(Segment.NSE_EQ, before.day, after.day)
    # A session that is under way is neither.
    assert between[0] == before.day
    assert between[-1] == after.day
    assert len(between) - 2 <= 1


# --- Lists upon lists ---

MONDAY = date(2030, 1, 7)
WEEKS = tuple(days_between(MONDAY, MONDAY + timedelta(days=20)))
kinds = st.sampled_from([DayKind.HOLIDAY, DayKind.SPECIAL, DayKind.MUHURAT, DayKind.REGULAR])
HOUR = (Span(Phase.CONTINUOUS, time(18), time(19)),)


@st.composite
def rows(draw: st.DrawFn) -> Stretch:
    first = draw(st.sampled_from(WEEKS))
    kind = draw(kinds)
    return Stretch(
        segments=frozenset({draw(st.sampled_from([Segment.NSE_EQ, Segment.NSE_FNO]))}),
        first_day=first,
        last_day=first + timedelta(days=draw(st.integers(0, 4))),
        kind=kind,
        spans=HOUR if kind is DayKind.MUHURAT else None,
        name=draw(st.sampled_from(["", "a", "b"])),
        certainty=draw(st.sampled_from([Certainty.OBSERVED, Certainty.ANNOUNCED])),
        source="a list",
    )


lists = st.lists(st.lists(rows(), max_size=3), min_size=1, max_size=3)


def table_of(those: list[list[Stretch]]) -> SessionTable:
    hours = TABLE._rows[0]
    return SessionTable(hours, those, {Segment.BSE_EQ: Follower(Segment.NSE_EQ, "they say")})


@few
@given(lists, rows(), st.sampled_from(WEEKS))
def test_what_was_observed_is_what_no_later_announcement_changes(
    those: list[list[Stretch]], later: Stretch, day: date
) -> None:
    before = table_of(those).day_of(Segment.NSE_EQ, day)
    after = table_of([*those, [replace(later, certainty=Certainty.ANNOUNCED)]]).day_of(Segment.NSE_EQ, day)
    assert before is not None
    if before.certainty is Certainty.OBSERVED:
        assert after == before


@few
@given(lists, rows(), st.sampled_from(WEEKS))
def test_a_list_says_nothing_of_days_it_does_not_speak_of(
    those: list[list[Stretch]], later: Stretch, day: date
) -> None:
    table = table_of(those)
    if day not in set(later.days):
        assert table.with_list([later]).day_of(Segment.NSE_EQ, day) == table.day_of(Segment.NSE_EQ, day)


@few
@given(lists, st.sampled_from(WEEKS))
def test_a_follower_trades_as_its_leader_does(those: list[list[Stretch]], day: date) -> None:
    leader, follower = (table_of(those).day_of(segment, day) for segment in (Segment.NSE_EQ, Segment.BSE_EQ))
    assert leader is not None
    assert follower is not None
    assert (follower.kind, follower.is_known, follower.continuous != ()) == (
        leader.kind,
        leader.is_known,
        leader.continuous != (),
    )
    assert follower.certainty in {Certainty.UNVERIFIED, Certainty.UNKNOWN}


@few
@given(lists)
def test_trading_days_are_the_days_with_trading_or_one_is_not_known(those: list[list[Stretch]]) -> None:
    table = table_of(those)
    found = [table.day_of(Segment.NSE_EQ, day) for day in WEEKS]
    unknown = [each.day for each in found if each is not None and not each.is_known]
    if unknown:
        with pytest.raises(DaysUnknown) as refused:
            table.trading_days(Segment.NSE_EQ, WEEKS[0], WEEKS[-1])
        assert refused.value.day == unknown[0]
    else:
        traded = tuple(each.day for each in found if each is not None and each.continuous)
        assert table.trading_days(Segment.NSE_EQ, WEEKS[0], WEEKS[-1]) == traded
