"""The prices of the past that the log itself recorded."""

from collections.abc import Collection, Mapping

from domain.ids import AccountId
from domain.instrument import InstrumentKey
from projections.past import PAST_MARKS, PastAccounts
from projections.ports import HistoricalMark, MarkSource


class EventMarks:
    """Implements `projections.ports.HistoricalMarks` by what the account's own events recorded that day."""

    def __init__(self, accounts: PastAccounts) -> None:
        self._accounts = accounts

    async def marks_at(
        self, instruments: Collection[InstrumentKey], *, account_id: AccountId, sequence: int
    ) -> Mapping[InstrumentKey, HistoricalMark]:
        """Return the newest recorded marks of *instruments* on the exchange's newest day that the account knew."""
        rows = await self._accounts.then(account_id, sequence).rows(PAST_MARKS)
        return {
            mark.instrument: HistoricalMark(mark=mark, source=MarkSource.EVENT)
            for row in rows.values()
            for mark in row.marks
            if mark.instrument in instruments
        }
