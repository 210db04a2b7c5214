"""How an account's equity moved, and how far and how long it lay below its peak."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.callers import Viewing
from api.fields import (
    Amount,
    Sequence,
    Share,
    SignedAmount,
    Time,
    amount_text,
    optional_amount_text,
    optional_share_text,
)
from api.freshness import Fresh
from api.moments import Then
from api.openapi import answers
from api.services import services_of
from api.standing import standing_of
from projections.drawdown import CurvePoint, Listing, Trough, drawdown_report

router = APIRouter(prefix="/api/risk", tags=["risk"])


class CurvePointView(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one day. What needs a price that is not known is null, and `mark_missing` names the symbols.

    `realised` (before charges), `charges` and `cash_moved` are the day's, `result` is all that was realised by then,
    less all charges, and the open result, `equity` is that with capital and cash. `drawdown` is what the result lies
    below its peak.
    """

    day: str
    realised: SignedAmount
    charges: SignedAmount
    cash_moved: SignedAmount
    open_result: SignedAmount | None
    result: SignedAmount | None
    equity: SignedAmount | None
    drawdown: Amount | None
    drawdown_share: Share | None
    mark_missing: list[str]

    @classmethod
    def of(cls, point: CurvePoint) -> "CurvePointView":
        """Return what is shown of *point*."""
        return cls(
            day=point.day,
            realised=amount_text(point.realised_paise),
            charges=amount_text(point.charges_paise),
            cash_moved=amount_text(point.cash_moved_paise),
            open_result=optional_amount_text(point.open_result_paise),
            result=optional_amount_text(point.result_paise),
            equity=optional_amount_text(point.equity_paise),
            drawdown=optional_amount_text(point.drawdown_paise),
            drawdown_share=optional_share_text(point.drawdown_share),
            mark_missing=list(point.mark_missing),
        )


class TroughView(msgspec.Struct, frozen=True, kw_only=True):
    """A drawdown on `day` since `peak_day` (null: since the beginning)."""

    amount: Amount
    share: Share | None
    peak_day: str | None
    day: str

    @classmethod
    def of(cls, trough: Trough | None) -> "TroughView | None":
        """Return what is shown of *trough*."""
        if trough is None:
            return None
        return cls(
            amount=amount_text(trough.amount_paise),
            share=optional_share_text(trough.share),
            peak_day=trough.peak_day,
            day=trough.day,
        )


class DrawdownAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The equity curve, oldest first, and its drawdowns by the ends of days.

    Cash that moved is in the equity and in no drawdown: its share is of what the equity would be at the peak's result.
    `current` is where the newest day stands, `deepest` the deepest there ever was; both null where no day's equity is
    known. `under_water_days` are the calendar days since the last peak. `is_complete`: no day's equity is missing.
    """

    account_id: str
    day: str
    current: TroughView | None
    deepest: TroughView | None
    under_water_days: int
    under_water_days_max: int
    is_complete: bool
    curve: list[CurvePointView]
    sequence: Sequence
    as_of: Time | None


@router.get(
    "/drawdown", responses=answers(DrawdownAnswer, "The equity curve and its drawdowns", 401, 404, 409, 422, 503)
)
async def show_drawdown(request: Request, caller: Viewing, _: Fresh, moment: Then) -> Response:
    """Show the account's equity day by day, and how far and for how long it lay below its peak."""
    services = services_of(request)
    # What is held first: of the days, more may have come by then, and those beyond its day are left out.
    standing = await standing_of(request, caller.account_id, moment)
    queries = services.past(moment) or services.queries
    days = await queries.days(caller.account_id)
    today, portfolio = standing.risk.day, standing.portfolio
    first = min((row.day for row in days.value.results), default=today)
    listings = {}
    for instrument in {row.instrument for row in days.value.results}:
        bars = await services.bars.daily(instrument, first_day=first, last_day=today)
        names = [each.row for each in portfolio.positions if each.row.instrument == instrument]
        if names:
            listings[instrument] = Listing(symbol=names[0].symbol, multiplier=names[0].multiplier, bars=bars)
    report = drawdown_report(
        days.value,
        listings,
        capital_paise=standing.risk.parameters.capital_paise or 0,
        today=today,
        open_today_paise=None if portfolio.mark_missing else portfolio.open_result_paise,
        missing_today=portfolio.mark_missing,
    )
    shown = DrawdownAnswer(
        account_id=standing.risk.account_id,
        day=today,
        current=TroughView.of(report.current),
        deepest=TroughView.of(report.deepest),
        under_water_days=report.under_water_days,
        under_water_days_max=report.under_water_days_max,
        is_complete=report.is_complete,
        curve=[CurvePointView.of(point) for point in report.points],
        sequence=min(standing.sequence, days.sequence),
        as_of=standing.as_of,
    )
    return answer(shown)
