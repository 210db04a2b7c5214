"""What the running executor can tell of an account's orders in doubt, beside what the log has of them."""

from typing import Protocol

import msgspec

from commands.evidence import Search, SearchAnswer
from commands.ports import Clock
from domain.ids import AccountId, OrderId


class SearchReport(msgspec.Struct, frozen=True, kw_only=True):
    """How far the search for an unknown order is. Times in UTC nanoseconds.

    So often the look-up by our id and the order book answered without it; `answers_wanted` of each, and the time
    `until_ns`, have to be reached before it is presumed absent. `answer` is what came of the newest question.
    """

    by_correlation: int
    by_order_book: int
    answers_wanted: int
    asked_at_ns: int | None
    answer: SearchAnswer | None
    until_ns: int


class DoubtReport(msgspec.Struct, frozen=True, kw_only=True):
    """The searches under way for orders of an account, and when its books at the venue were read last (UTC)."""

    searches: dict[OrderId, SearchReport] = {}
    books_read_at_ns: int | None = None


class ReportMissing(Exception):
    """The executor does not tell just now: it starts, is away or is busy. What the log has is not touched by that."""


class DoubtReports(Protocol):
    """Asks the executor, wherever it runs."""

    async def of(self, account_id: AccountId) -> DoubtReport:
        """Return what is told of an account.

        Raises:
            ReportMissing
        """
        ...


class Timeline:
    """Makes UTC of a process's monotonic times, as of one moment."""

    def __init__(self, clock: Clock) -> None:
        self._offset_ns = clock.wall_ns() - clock.monotonic_ns()

    def utc_ns(self, monotonic_ns: int) -> int:
        """Return the UTC time of a monotonic one."""
        return monotonic_ns + self._offset_ns

    def report_of(self, search: Search, *, window_ns: int, lookups_min: int) -> SearchReport:
        """Return what there is to tell of *search*."""
        return SearchReport(
            by_correlation=search.by_correlation,
            by_order_book=search.by_order_book,
            answers_wanted=lookups_min,
            asked_at_ns=None if search.asked_at_ns is None else self.utc_ns(search.asked_at_ns),
            answer=search.answer,
            until_ns=self.utc_ns(search.began_at_ns + window_ns),
        )
