"""Which price of the past is told: what was recorded that day, or the last close that was known, whichever is newer."""

from collections.abc import Collection, Mapping

import pytest
from msgspec.structs import replace

from domain.ids import AccountId
from domain.instrument import InstrumentKey
from domain.market import Mark
from projections.historical_marks import BarMarks
from projections.ports import HistoricalMark, MarkSource
from tests.support.memory_bars import MemoryBars, bar
from tests.support.specimens import ACCOUNT, INFY, NOW_NS, NS_PER_S, RELIANCE, TODAY, mark

AFTER_CLOSE_NS = NOW_NS + 6 * 3600 * NS_PER_S


class Recorded:
    """Implements `projections.ports.HistoricalMarks` by what it is given."""

    def __init__(self, *marks: Mark) -> None:
        self._marks = {each.instrument: HistoricalMark(mark=each, source=MarkSource.EVENT) for each in marks}

    async def marks_at(
        self,
        instruments: Collection[InstrumentKey],
        *,
        account_id: AccountId,  # noqa: ARG002 - whoever asks
        sequence: int,  # noqa: ARG002 - whenever
        day: str,  # noqa: ARG002 - likewise
        market_time_ns: int | None,  # noqa: ARG002 - likewise
    ) -> Mapping[InstrumentKey, HistoricalMark]:
        return {key: each for key, each in self._marks.items() if key in instruments}


def bars() -> MemoryBars:
    stored = MemoryBars()
    stored.stored[RELIANCE] = [bar("2026-11-18", 2_830_0000), bar("2026-11-19", 2_841_0000), bar(TODAY, 2_866_0000)]
    return stored


async def told(recorded: Recorded, market_time_ns: int | None) -> HistoricalMark | None:
    found = await BarMarks(recorded, bars()).marks_at(
        {RELIANCE, INFY}, account_id=ACCOUNT, sequence=1, day=TODAY, market_time_ns=market_time_ns
    )
    assert INFY not in found, "nothing is known of it"
    return found.get(RELIANCE)


@pytest.mark.parametrize("market_time_ns", [NOW_NS, None])
async def test_during_the_day_its_close_is_not_known_yet(market_time_ns: int | None) -> None:
    shown = await told(Recorded(), market_time_ns)
    assert shown is not None
    assert (shown.mark.last_price_e4, shown.source) == (2_841_0000, MarkSource.BAR)
    assert shown.mark.previous_close_e4 == 2_830_0000


async def test_once_the_day_is_over_its_close_stands() -> None:
    shown = await told(Recorded(), AFTER_CLOSE_NS)
    assert shown is not None
    assert (shown.mark.last_price_e4, shown.mark.previous_close_e4) == (2_866_0000, 2_841_0000)
    assert shown.mark.exchange_time_ns == NOW_NS + (5 * 3600 + 30 * 60) * NS_PER_S


async def test_what_was_recorded_that_day_is_newer_than_the_close_before_it() -> None:
    shown = await told(Recorded(mark), NOW_NS)
    assert shown is not None
    assert (shown.mark, shown.source) == (mark, MarkSource.EVENT)


async def test_the_close_is_newer_than_what_was_recorded_in_the_morning() -> None:
    shown = await told(Recorded(mark), AFTER_CLOSE_NS)
    assert shown is not None
    assert shown.source is MarkSource.BAR


async def test_a_close_of_long_ago_says_nothing() -> None:
    found = await BarMarks(Recorded(), bars()).marks_at(
        {RELIANCE}, account_id=ACCOUNT, sequence=1, day="2026-12-20", market_time_ns=None
    )
    assert found == {}


async def test_what_was_recorded_is_told_where_no_bars_are_stored() -> None:
    other = replace(mark, instrument=INFY)
    found = await BarMarks(Recorded(other), MemoryBars()).marks_at(
        {INFY}, account_id=ACCOUNT, sequence=1, day=TODAY, market_time_ns=AFTER_CLOSE_NS
    )
    assert found[INFY].mark == other
