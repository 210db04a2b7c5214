"""Orders of which nobody knows whether the broker has them: what is known of each, and what happens next."""

from enum import StrEnum

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.callers import Viewing
from api.fields import Sequence, Time, time_text_ns, time_text_us
from api.freshness import Fresh
from api.openapi import answers
from api.paging import Paged, SymbolFilter
from api.services import services_of
from api.views import OrderView
from commands.doubt_reports import DoubtReport, ReportMissing, SearchReport
from commands.evidence import SearchAnswer
from projections.queries import DoubtLine

router = APIRouter(prefix="/api/orders", tags=["orders"])

_US_PER_S = 1_000_000
_NS_PER_US = 1_000
_NOT_BEGUN = "the executor has not begun to look for it"


class NextStep(StrEnum):
    """What the engine does about an order in doubt. Beside it, an operator may resolve the order at any time."""

    LOOK_UP = "look_up"
    """It is looked for, by our id and in the order book, until enough of both answered without it."""
    WATCH = "watch"
    """It was looked for in vain: every order book is read for it all the same, and it is never sent again."""


class Successor(StrEnum):
    """Whether another order takes its place without the broker's word on it."""

    NEVER = "never"
    """It is an entry: the engine sends no other in its place."""
    ONCE_PRESUMED_ABSENT = "once_presumed_absent"
    """It takes from what is held: while it may be there, another one could take the same twice."""
    POSSIBLE = "possible"
    """It takes from what is held and was looked for in vain: another one does so instead, for no more than the broker's
    positions show; with `KHATA_EXIT_SUCCESSOR=ask` only once the order was resolved as absent."""


class SearchView(msgspec.Struct, frozen=True, kw_only=True):
    """How far the search is: so often the look-up by our id and the order book answered without the order.

    It is presumed absent once each of the two did so `answers_wanted` times, and not before `looked_for_until`.
    `last_answer` is what came of the newest question.
    """

    by_correlation: int
    by_order_book: int
    answers_wanted: int
    asked_at: Time | None
    last_answer: SearchAnswer | None
    looked_for_until: Time


class DoubtView(OrderView, frozen=True, kw_only=True):
    """An order as elsewhere, and what is known of its doubt: since `since`, which is `age_s` seconds, due to `cause`.

    `search` is what the running executor tells of its search; null: it looks no more, or `search_missing` says why it
    tells nothing. `lookups` answers had not shown the order by `presumed_absent_at`.
    """

    since: Time
    age_s: int
    cause: str
    search: SearchView | None
    search_missing: str | None
    lookups: int | None
    presumed_absent_at: Time | None
    next_step: NextStep
    next_step_detail: str
    successor: Successor


class DoubtsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Orders in doubt, newest first unless `sort` says otherwise.

    `books_read_at` is when the account's books at the broker were read last; null: they were not, or nobody tells.
    `next_before` (newest first) or `next_after` (oldest first) asks, as `before` or `after`, for the page after this
    one; both null: there is none.
    """

    orders: list[DoubtView]
    books_read_at: Time | None
    next_before: int | None
    next_after: int | None
    sequence: Sequence


@router.get("/in-doubt", responses=answers(DoubtsAnswer, "A page of orders in doubt", 401, 404, 409, 422, 503))
async def list_orders_in_doubt(
    request: Request, caller: Viewing, _: Fresh, paging: Paged, *, symbol: SymbolFilter = None
) -> Response:
    """List the orders that are `unknown` or `presumed_absent`: since when, why, what was asked, and what comes next."""
    services = services_of(request)
    page = await services.queries.doubts([caller.account_id], symbol, paging)
    report, missing = DoubtReport(), None
    if page.rows:
        try:
            report = await services.doubt_reports.of(caller.account_id)
        except ReportMissing as silence:
            missing = str(silence)
    now_us = services.clock.wall_ns() // _NS_PER_US
    shown = DoubtsAnswer(
        orders=[_view(line, report, missing=missing, now_us=now_us) for line in page.rows],
        books_read_at=time_text_ns(report.books_read_at_ns),
        next_before=page.next_before,
        next_after=page.next_after,
        sequence=page.sequence,
    )
    return answer(shown)


def _view(line: DoubtLine, report: DoubtReport, *, missing: str | None, now_us: int) -> DoubtView:
    is_unknown = line.presumed_absent_at_us is None
    search = report.searches.get(line.order_id) if is_unknown else None
    if is_unknown and search is None:
        missing = missing or _NOT_BEGUN
    order = OrderView.of(line, symbol=line.symbol, multiplier=line.multiplier, strategy_id=line.strategy_id)
    return DoubtView(
        **{name: getattr(order, name) for name in order.__struct_fields__},
        since=time_text_us(line.doubted_at_us),
        age_s=max(0, now_us - line.doubted_at_us) // _US_PER_S,
        cause=line.doubt or "",
        search=None if search is None else _search_view(search),
        search_missing=missing if is_unknown else None,
        lookups=line.lookups,
        presumed_absent_at=time_text_us(line.presumed_absent_at_us),
        next_step=NextStep.LOOK_UP if is_unknown else NextStep.WATCH,
        next_step_detail=_detail_of(search, is_unknown=is_unknown),
        successor=_successor_of(line, is_unknown=is_unknown),
    )


def _search_view(search: SearchReport) -> SearchView:
    return SearchView(
        by_correlation=search.by_correlation,
        by_order_book=search.by_order_book,
        answers_wanted=search.answers_wanted,
        asked_at=time_text_ns(search.asked_at_ns),
        last_answer=search.answer,
        looked_for_until=time_text_ns(search.until_ns) or "",
    )


def _detail_of(search: SearchReport | None, *, is_unknown: bool) -> str:
    if not is_unknown:
        return "every order book of the broker's day is read for it, and it ends with that day; it is never sent again"
    if search is None:
        return "it is looked for, by our id and in the order book, and then presumed absent"
    until = (time_text_ns(search.until_ns) or "")[11:19]
    wanted = search.answers_wanted
    return f"it is looked for until {until}, and {wanted} answers of both kinds without it, then presumed absent"


def _successor_of(line: DoubtLine, *, is_unknown: bool) -> Successor:
    if not line.purpose.closes:
        return Successor.NEVER
    return Successor.ONCE_PRESUMED_ABSENT if is_unknown else Successor.POSSIBLE
