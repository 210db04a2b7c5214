"""When the market trades: weekly hours, sessions out of the ordinary, holidays by segment, and what nobody knows."""

import csv
from datetime import date, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from adapters.instruments import InstrumentMaster
from adapters.sessions import OpenSessions, shipped_table
from domain.instrument import InstrumentKey, Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.session import PHASE_RULES, Phase, SessionMoment
from domain.session_table import Certainty, DayKind, DaysUnknown, SessionDay, days_between
from tests.support.specimens import NOW_NS, TODAY, reliance

CALENDAR = Path(__file__).parents[3] / "shared" / "data" / "calendar"
OBSERVED = CALENDAR / "nse_sessions_2021-01_2026-08.csv"
needs_observed_days = pytest.mark.skipif(not OBSERVED.exists(), reason=f"there are no observed sessions at {OBSERVED}")
sessions = shipped_table()
plain = replace(reliance, has_derivatives=False)
with_derivatives = replace(reliance, has_derivatives=True)
future = replace(reliance, key=InstrumentKey(Segment.NSE_FNO, "1"))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=EXCHANGE_ZONE).timestamp()) * NS_PER_S


PHASES = [
    ("2026-11-20 08:59:59", Phase.CLOSED, Phase.CLOSED, Phase.CLOSED),
    ("2026-11-20 09:00:00", Phase.PRE_OPEN, Phase.PRE_OPEN, Phase.CLOSED),
    ("2026-11-20 09:08:00", Phase.PAUSED, Phase.PAUSED, Phase.CLOSED),
    ("2026-11-20 09:15:00", Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS),
    ("2026-11-20 15:14:59", Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS),
    ("2026-11-20 15:15:00", Phase.CONTINUOUS, Phase.PAUSED, Phase.CONTINUOUS),
    ("2026-11-20 15:20:00", Phase.CONTINUOUS, Phase.CLOSING_AUCTION, Phase.CONTINUOUS),
    ("2026-11-20 15:25:00", Phase.CONTINUOUS, Phase.CLOSING_AUCTION_END, Phase.CONTINUOUS),
    ("2026-11-20 15:30:00", Phase.PAUSED, Phase.PAUSED, Phase.CONTINUOUS),
    ("2026-11-20 15:40:00", Phase.PAUSED, Phase.PAUSED, Phase.CLOSED),
    ("2026-11-20 15:50:00", Phase.POST_CLOSE, Phase.POST_CLOSE, Phase.CLOSED),
    ("2026-11-20 16:00:00", Phase.CLOSED, Phase.CLOSED, Phase.CLOSED),
    ("2026-07-31 15:20:00", Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS),
    ("2026-07-31 15:35:00", Phase.PAUSED, Phase.PAUSED, Phase.CLOSED),
    ("2026-11-21 10:00:00", Phase.CLOSED, Phase.CLOSED, Phase.CLOSED),
    ("2026-12-25 10:00:00", Phase.CLOSED, Phase.CLOSED, Phase.CLOSED),
    # Muhurat in the evening of a weekday, of a Sunday, and in the afternoon.
    ("2024-11-01 10:00:00", Phase.CLOSED, Phase.CLOSED, Phase.CLOSED),
    ("2024-11-01 18:00:00", Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS),
    ("2024-11-01 19:00:00", Phase.CLOSED, Phase.CLOSED, Phase.CLOSED),
    ("2023-11-12 18:14:59", Phase.CLOSED, Phase.CLOSED, Phase.CLOSED),
    ("2023-11-12 18:15:00", Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS),
    ("2025-10-21 14:44:59", Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS),
    # A Saturday in two parts: between them no order is taken, for the next session neither.
    ("2024-03-02 09:59:59", Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS),
    ("2024-03-02 10:00:00", Phase.PAUSED, Phase.PAUSED, Phase.PAUSED),
    ("2024-03-02 11:30:00", Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS),
    ("2024-03-02 12:30:00", Phase.CLOSED, Phase.CLOSED, Phase.CLOSED),
    # The Budget on a Sunday, and a day that an outage made longer.
    ("2026-02-01 09:05:00", Phase.PRE_OPEN, Phase.PRE_OPEN, Phase.CLOSED),
    ("2026-02-01 15:29:59", Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS),
    ("2021-02-24 16:59:59", Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS),
]


@pytest.mark.parametrize(("when", "stock", "in_auction", "derivative"), PHASES)
def test_each_moment_has_its_phase(when: str, stock: Phase, in_auction: Phase, derivative: Phase) -> None:
    moments = [sessions.moment_of(each, at(when)) for each in (plain, with_derivatives, future)]
    assert [each and each.phase for each in moments] == [stock, in_auction, derivative]
    assert {each and each.trading_day for each in moments} == {when[:10]}


def test_continuous_trading_ends_for_each_instrument_at_its_own_time() -> None:
    ends = {}
    for name, instrument in (("plain", plain), ("auction", with_derivatives), ("future", future)):
        found = sessions.moment_of(instrument, at("2026-11-20 10:00"))
        assert found is not None
        ends[name] = found.continuous_until_ns
    assert ends == {
        "plain": at("2026-11-20 15:30"),
        "auction": at("2026-11-20 15:15"),
        "future": at("2026-11-20 15:40"),
    }
    assert moment("2026-11-21 10:00").continuous_until_ns is None


def moment(when: str, segment: Segment = Segment.NSE_EQ) -> SessionMoment:
    """Return where *segment* is in its day."""
    found = sessions.moment_of(replace(plain, key=InstrumentKey(segment, "1")), at(when))
    assert found is not None
    return found


def day(text: str, segment: Segment = Segment.NSE_EQ, *, derivatives: bool = False) -> SessionDay:
    """Return what a day is in *segment*."""
    found = sessions.day_of(segment, date.fromisoformat(text), derivatives=derivatives)
    assert found is not None
    return found


def hours(found: SessionDay) -> list[str]:
    """Return the hours of continuous trading, as a clock shows them."""
    return [f"{_clock(phase.starts_at_ns)}-{_clock(phase.ends_at_ns)}" for phase in found.continuous]


def _clock(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // NS_PER_S, EXCHANGE_ZONE):%H:%M}"


# --- Sessions out of the ordinary ---


@pytest.mark.parametrize(
    ("when", "ends"),
    [
        ("2024-11-01 18:30", "2024-11-01 19:00"),
        ("2025-10-21 14:00", "2025-10-21 14:45"),
        ("2024-03-02 09:30", "2024-03-02 12:30"),
        ("2021-02-24 16:00", "2021-02-24 17:00"),
        ("2026-02-01 10:00", "2026-02-01 15:30"),
    ],
)
def test_a_session_out_of_the_ordinary_ends_when_its_last_part_does(when: str, ends: str) -> None:
    assert moment(when).continuous_until_ns == at(ends)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2026-11-20", DayKind.REGULAR),
        ("2026-11-21", DayKind.WEEKEND),
        ("2026-01-15", DayKind.HOLIDAY),
        ("2023-11-12", DayKind.MUHURAT),
        ("2025-02-01", DayKind.SPECIAL),
        ("2024-05-18", DayKind.SHORT),
        ("2021-02-24", DayKind.EXTENDED),
    ],
)
def test_each_day_is_of_its_kind(text: str, kind: DayKind) -> None:
    assert day(text).kind is kind
    assert day(text).is_known


def test_an_evening_session_belongs_to_the_day_it_is_held_on_and_takes_orders_of_that_day() -> None:
    evening = moment("2024-11-01 18:30")
    assert evening.trading_day == "2024-11-01"
    assert not PHASE_RULES[evening.phase].after_market
    # In the morning of that day orders are taken for it.
    assert PHASE_RULES[moment("2024-11-01 10:00").phase].after_market


# --- Segments ---


@pytest.mark.parametrize(
    ("when", "phases"),
    [
        ("2025-04-01 10:00", {"NSE_EQ": "continuous", "NSE_CURRENCY": "closed", "MCX_COMM": "continuous"}),
        ("2025-03-14 10:00", {"NSE_EQ": "closed", "NSE_CURRENCY": "closed", "MCX_COMM": "closed"}),
        ("2025-03-14 18:00", {"NSE_EQ": "closed", "NSE_CURRENCY": "closed", "MCX_COMM": "continuous"}),
        ("2025-01-01 16:30", {"NSE_EQ": "closed", "NSE_CURRENCY": "continuous", "MCX_COMM": "continuous"}),
        ("2025-01-01 18:00", {"NSE_EQ": "closed", "NSE_CURRENCY": "closed", "MCX_COMM": "closed"}),
        ("2026-10-30 23:40", {"NSE_EQ": "closed", "MCX_COMM": "closed"}),
        ("2026-11-20 23:40", {"NSE_EQ": "closed", "MCX_COMM": "continuous"}),
    ],
)
def test_segments_have_hours_and_holidays_of_their_own(when: str, phases: dict[str, str]) -> None:
    found = {name: moment(when, Segment(name)) for name in phases}
    assert {name: each.phase.value for name, each in found.items()} == phases
    assert all(each.day_known for each in found.values())


def test_what_follows_another_segment_says_so() -> None:
    followed, follower = day("2026-02-01"), day("2026-02-01", Segment.BSE_FNO)
    assert (followed.certainty, follower.certainty) == (Certainty.OBSERVED, Certainty.UNVERIFIED)
    assert follower.kind is followed.kind
    assert followed.source in follower.source
    assert hours(follower) == ["09:15-15:30"]
    assert hours(day("2026-08-03", Segment.BSE_FNO)) == ["09:15-15:40"]


def test_an_index_has_no_session() -> None:
    assert sessions.moment_of(replace(reliance, key=InstrumentKey(Segment.INDEX, "1")), NOW_NS) is None
    assert sessions.day_of(Segment.INDEX, date(2026, 11, 20)) is None
    assert sessions.segments == tuple(each for each in Segment if each is not Segment.INDEX)


# --- What nobody knows ---


@pytest.mark.parametrize(
    ("when", "segment", "phase"),
    [
        ("2027-01-04 10:00", Segment.NSE_EQ, Phase.CONTINUOUS),
        ("2027-01-03 10:00", Segment.NSE_EQ, Phase.CLOSED),
        ("2019-09-30 10:00", Segment.NSE_EQ, Phase.CONTINUOUS),
        ("2026-11-20 10:00", Segment.NSE_CURRENCY, Phase.CONTINUOUS),
        ("2026-11-08 18:30", Segment.NSE_EQ, Phase.CLOSED),
    ],
)
def test_a_day_that_no_list_tells_looks_ordinary_and_says_so(when: str, segment: Segment, phase: Phase) -> None:
    found = moment(when, segment)
    assert (found.phase, found.day_known) == (phase, False)


def test_announced_and_observed_days_are_told_apart() -> None:
    assert day("2026-08-21").certainty is Certainty.OBSERVED
    assert day("2026-08-24").certainty is Certainty.ANNOUNCED
    assert day("2026-06-26").certainty is Certainty.OBSERVED
    assert day("2026-12-25").certainty is Certainty.ANNOUNCED
    assert day("2027-01-04").certainty is Certainty.UNKNOWN
    assert {phase.certainty for phase in day("2026-11-20", Segment.MCX_COMM).phases} == {Certainty.UNVERIFIED}


# --- Before and after ---


@pytest.mark.parametrize(
    ("when", "following", "preceding"),
    [
        ("2026-11-20 09:00", "2026-11-20", "2026-11-19"),
        ("2026-11-20 09:15", "2026-11-23", "2026-11-19"),
        ("2026-11-20 15:30", "2026-11-23", "2026-11-20"),
        ("2026-11-23 16:00", "2026-11-25", "2026-11-23"),
        ("2024-11-01 17:00", "2024-11-01", "2024-10-31"),
        ("2024-11-01 19:00", "2024-11-04", "2024-11-01"),
        ("2026-01-31 10:00", "2026-02-01", "2026-01-30"),
        ("2024-03-02 10:30", "2024-03-04", "2024-03-01"),
    ],
)
def test_a_moment_lies_between_two_sessions(when: str, following: str, preceding: str) -> None:
    assert sessions.next_session(Segment.NSE_EQ, at(when)).day.isoformat() == following
    assert sessions.previous_session(Segment.NSE_EQ, at(when)).day.isoformat() == preceding


def test_what_lies_beyond_the_known_days_is_not_guessed() -> None:
    assert sessions.next_session(Segment.NSE_EQ, at("2026-12-30 16:00")).day == date(2026, 12, 31)
    with pytest.raises(DaysUnknown) as unknown:
        sessions.next_session(Segment.NSE_EQ, at("2026-12-31 16:00"))
    assert unknown.value.day == date(2027, 1, 1)
    with pytest.raises(DaysUnknown):
        sessions.previous_session(Segment.NSE_EQ, at("2019-10-01 10:00"))
    with pytest.raises(DaysUnknown):
        sessions.next_session(Segment.NSE_EQ, at("2026-11-07 10:00"))  # Nobody told the hours of this Muhurat.


def test_trading_days_are_counted_over_holidays_and_weekend_sessions() -> None:
    days = sessions.trading_days(Segment.NSE_EQ, date(2026, 1, 24), date(2026, 2, 2))
    assert [each.isoformat() for each in days] == [
        "2026-01-27", "2026-01-28", "2026-01-29", "2026-01-30", "2026-02-01", "2026-02-02",
    ]  # fmt: skip
    assert sessions.trading_days(Segment.NSE_EQ, date(2026, 2, 2), date(2026, 2, 1)) == ()
    with pytest.raises(DaysUnknown):
        sessions.trading_days(Segment.NSE_EQ, date(2026, 12, 31), date(2027, 1, 1))


# --- Held against what was observed ---


@needs_observed_days
def test_the_table_has_every_observed_session_and_no_other() -> None:
    kinds = {
        "regular": DayKind.REGULAR,
        "regular_extended": DayKind.EXTENDED,
        "muhurat": DayKind.MUHURAT,
        "special_full": DayKind.SPECIAL,
        "special_short": DayKind.SHORT,
    }
    rows = list(csv.DictReader(OBSERVED.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 1_398
    for row in rows:
        found = day(row["date"], derivatives=True)
        observed = row["hours_ist"].split(" continuous")[0].split(" and ")
        assert (found.kind, hours(found), found.certainty) == (kinds[row["kind"]], observed, Certainty.OBSERVED), row
    first, last = date.fromisoformat(rows[0]["date"]), date.fromisoformat(rows[-1]["date"])
    assert [each.isoformat() for each in sessions.trading_days(Segment.NSE_EQ, first, last)] == [
        row["date"] for row in rows
    ]


@needs_observed_days
def test_the_announced_days_are_those_of_the_list() -> None:
    rows = csv.DictReader((CALENDAR / "nse_holidays_2024_2026.csv").read_text(encoding="utf-8").splitlines())
    named = {row["date"]: row["trading"] for row in rows}
    closed = {each for each, trading in named.items() if trading == "closed"}
    found = [day(each.isoformat()) for each in days_between(date(2024, 1, 1), date(2026, 12, 31))]
    assert {each.day.isoformat() for each in found if each.kind is DayKind.HOLIDAY} == closed
    assert {each.day.isoformat() for each in found if each.kind is DayKind.MUHURAT} == named.keys() - closed


# --- Without a table ---


def test_a_session_of_our_own_making_is_open_on_a_sunday_night() -> None:
    moment = OpenSessions().moment_of(reliance, at("2026-11-22 23:00"))
    assert (moment.phase, moment.trading_day, moment.continuous_until_ns) == (Phase.CONTINUOUS, "2026-11-22", None)
    assert OpenSessions().moment_of(reliance, NOW_NS).trading_day == TODAY


def test_the_stocks_of_the_master_close_in_the_auction() -> None:
    master = InstrumentMaster.load()
    assert master.by_symbol("RELIANCE", market_time_ns=NOW_NS).has_derivatives
    assert not master.by_symbol("NIFTY", market_time_ns=NOW_NS).has_derivatives
