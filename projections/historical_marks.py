"""The prices of the past: those that the log itself recorded, and the closes of stored daily bars."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta

from domain.ids import AccountId
from domain.instrument import InstrumentKey, Segment
from domain.market import EXCHANGE_ZONE, Mark, trading_day
from projections.past import PAST_MARKS, PastAccounts
from projections.ports import Bars, DailyBar, HistoricalMark, HistoricalMarks, MarkSource

_NS_PER_S = 1_000_000_000
_CLOSE = time(15, 30)
_CLOSES = {
    Segment.MCX_COMM: time(23, 55),
    Segment.NSE_CURRENCY: time(17),
    Segment.BSE_CURRENCY: time(17),
}
"""Until when a segment trades on an ordinary day. Source: NSE, BSE and MCX, market timings."""
_SETTLED_AFTER = timedelta(minutes=15)
"""So long after the close its price is official at the latest: closing auction, or average of the last half hour."""
_DAYS_BACK_MAX = 10
"""A close of longer ago says nothing of a price. No holidays are that long."""


class EventMarks:
    """Implements `projections.ports.HistoricalMarks` by what the account's own events recorded that day."""

    def __init__(self, accounts: PastAccounts) -> None:
        self._accounts = accounts

    async def marks_at(
        self,
        instruments: Collection[InstrumentKey],
        *,
        account_id: AccountId,
        sequence: int,
        day: str,
        market_time_ns: int | None,  # noqa: ARG002 - what was recorded had happened
    ) -> Mapping[InstrumentKey, HistoricalMark]:
        """Return the newest recorded marks of *instruments* that are of *day*."""
        rows = await self._accounts.then(account_id, sequence).rows(PAST_MARKS)
        return {
            mark.instrument: HistoricalMark(mark=mark, source=MarkSource.EVENT)
            for row in rows.values()
            for mark in row.marks
            if mark.instrument in instruments and trading_day(mark.exchange_time_ns).isoformat() == day
        }


class BarMarks:
    """Implements `projections.ports.HistoricalMarks` by *recorded* marks and the last close known then, if newer.

    The close of the moment's own day is known once it is official; before that, and where the market's time is not
    known, it is that of the last day before.
    """

    def __init__(self, recorded: HistoricalMarks, bars: Bars) -> None:
        self._recorded = recorded
        self._bars = bars

    async def marks_at(
        self,
        instruments: Collection[InstrumentKey],
        *,
        account_id: AccountId,
        sequence: int,
        day: str,
        market_time_ns: int | None,
    ) -> Mapping[InstrumentKey, HistoricalMark]:
        """Return for each of *instruments* what was recorded on *day* or the last close, whichever is newer."""
        recorded = await self._recorded.marks_at(
            instruments, account_id=account_id, sequence=sequence, day=day, market_time_ns=market_time_ns
        )
        marks = dict(recorded)
        for instrument in instruments:
            known = recorded.get(instrument)
            close = await self._close(instrument, day, market_time_ns)
            if close is not None and (known is None or known.mark.exchange_time_ns < close.exchange_time_ns):
                marks[instrument] = HistoricalMark(mark=close, source=MarkSource.BAR)
        return marks

    async def _close(self, instrument: InstrumentKey, day: str, market_time_ns: int | None) -> Mark | None:
        is_over = market_time_ns is not None and market_time_ns >= _official_ns(instrument, day)
        last = date.fromisoformat(day) - timedelta(days=0 if is_over else 1)
        first = last - timedelta(days=_DAYS_BACK_MAX)
        bars = await self._bars.daily(instrument, first_day=first.isoformat(), last_day=last.isoformat())
        return _closing_mark(instrument, bars) if bars else None


def _closing_mark(instrument: InstrumentKey, bars: Sequence[DailyBar]) -> Mark:
    """Return the close of the newest of *bars* as a mark, with the close before it."""
    bar, before = bars[-1], bars[-2] if len(bars) > 1 else None
    closed_ns = _close_ns(instrument, bar.day)
    return Mark(
        instrument=instrument,
        last_price_e4=bar.close_e4,
        exchange_time_ns=closed_ns,
        received_at_ns=closed_ns,
        number=0,
        previous_close_e4=None if before is None else before.close_e4,
    )


def _close_ns(instrument: InstrumentKey, day: str) -> int:
    moment = datetime.combine(date.fromisoformat(day), _CLOSES.get(instrument.segment, _CLOSE), tzinfo=EXCHANGE_ZONE)
    return int(moment.timestamp()) * _NS_PER_S


def _official_ns(instrument: InstrumentKey, day: str) -> int:
    return _close_ns(instrument, day) + int(_SETTLED_AFTER.total_seconds()) * _NS_PER_S
