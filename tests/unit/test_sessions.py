"""When the market trades: weekly hours, the closing auction since August 2026, holidays, and what nobody knows."""

from datetime import datetime

import pytest
from msgspec.structs import replace

from adapters.instruments import InstrumentMaster
from adapters.sessions import OpenSessions, WeeklySessions
from domain.instrument import InstrumentKey, Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.session import Phase
from tests.support.specimens import NOW_NS, TODAY, reliance

sessions = WeeklySessions.load()
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
]


@pytest.mark.parametrize(("when", "stock", "in_auction", "derivative"), PHASES)
def test_each_moment_has_its_phase(when: str, stock: Phase, in_auction: Phase, derivative: Phase) -> None:
    moments = [sessions.moment_of(each, at(when)) for each in (plain, with_derivatives, future)]
    assert [moment and moment.phase for moment in moments] == [stock, in_auction, derivative]
    assert {moment and moment.trading_day for moment in moments} == {when[:10]}


def test_continuous_trading_ends_for_each_instrument_at_its_own_time() -> None:
    ends = {}
    for name, instrument in (("plain", plain), ("auction", with_derivatives), ("future", future)):
        moment = sessions.moment_of(instrument, at("2026-11-20 10:00"))
        assert moment is not None
        ends[name] = moment.continuous_until_ns
    assert ends == {
        "plain": at("2026-11-20 15:30"),
        "auction": at("2026-11-20 15:15"),
        "future": at("2026-11-20 15:40"),
    }
    on_saturday = sessions.moment_of(plain, at("2026-11-21 10:00"))
    assert on_saturday is not None
    assert on_saturday.continuous_until_ns is None


@pytest.mark.parametrize("segment", [Segment.MCX_COMM, Segment.NSE_CURRENCY, Segment.INDEX])
def test_a_segment_without_a_table_has_no_session(segment: Segment) -> None:
    assert sessions.moment_of(replace(reliance, key=InstrumentKey(segment, "1")), NOW_NS) is None


def test_a_session_of_our_own_making_is_open_on_a_sunday_night() -> None:
    moment = OpenSessions().moment_of(reliance, at("2026-11-22 23:00"))
    assert (moment.phase, moment.trading_day, moment.continuous_until_ns) == (Phase.CONTINUOUS, "2026-11-22", None)
    assert OpenSessions().moment_of(reliance, NOW_NS).trading_day == TODAY


def test_the_stocks_of_the_master_close_in_the_auction() -> None:
    master = InstrumentMaster.load()
    assert master.by_symbol("RELIANCE", market_time_ns=NOW_NS).has_derivatives
    assert not master.by_symbol("NIFTY", market_time_ns=NOW_NS).has_derivatives
