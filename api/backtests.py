"""What was tried of strategies, and what it came to."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.callers import Authenticated, is_id
from api.fields import Amount, Sequence, SignedAmount, Time, amount_text, strategy_of, time_text_us
from api.freshness import Fresh
from api.openapi import answers
from api.paging import NameFilter, Paged
from api.services import services_of
from domain.backtest.decide import BacktestNotFound, BacktestStatus
from domain.backtest.events import BacktestFigures
from domain.ids import BacktestId
from domain.strategy.events import Parameter
from projections.backtests import BacktestRow

router = APIRouter(prefix="/api/backtests", tags=["backtests"])


class FiguresView(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest came to, after charges. `sharpe_e4` and `exposure_e4` are parts in 10,000, exact."""

    trades: int
    trades_won: int
    result: SignedAmount
    won: SignedAmount
    lost: SignedAmount
    charges: Amount
    equity: SignedAmount
    drawdown_max: Amount
    sharpe_e4: int | None
    exposure_e4: int

    @classmethod
    def of(cls, figures: BacktestFigures) -> "FiguresView":
        """Return what is shown of *figures*."""
        return cls(
            trades=figures.trades,
            trades_won=figures.trades_won,
            result=amount_text(figures.result_paise),
            won=amount_text(figures.won_paise),
            lost=amount_text(figures.lost_paise),
            charges=amount_text(figures.charges_paise),
            equity=amount_text(figures.equity_paise),
            drawdown_max=amount_text(figures.drawdown_paise_max),
            sharpe_e4=figures.sharpe_e4,
            exposure_e4=figures.exposure_e4,
        )


class BacktestView(msgspec.Struct, frozen=True, kw_only=True):
    """One backtest. `figures` are there once it is completed, `failure` and `remark` where it failed.

    Source, parameters, data and seed make a run that can be repeated; `events` and `final_hash` prove it.
    """

    backtest_id: str
    user_id: str
    strategy_id: str
    source_hash: str
    parameters: dict[str, Parameter]
    data_hash: str
    first_day: str
    last_day: str
    capital: Amount
    seed: int
    status: BacktestStatus
    figures: FiguresView | None
    events: int | None
    final_hash: str | None
    failure: str | None
    remark: str | None
    created_at: Time
    ended_at: Time | None

    @classmethod
    def of(cls, row: BacktestRow) -> "BacktestView":
        """Return what is shown of *row*."""
        return cls(
            backtest_id=row.backtest_id,
            user_id=row.user_id,
            strategy_id=row.strategy_id,
            source_hash=row.source_hash,
            parameters=row.parameters,
            data_hash=row.data_hash,
            first_day=row.first_day,
            last_day=row.last_day,
            capital=amount_text(row.capital_paise),
            seed=row.seed,
            status=row.status,
            figures=None if row.figures is None else FiguresView.of(row.figures),
            events=row.events,
            final_hash=row.final_hash,
            failure=row.failure,
            remark=row.remark,
            created_at=time_text_us(row.requested_at_us),
            ended_at=time_text_us(row.ended_at_us),
        )


class BacktestsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Your backtests, the newest first unless `sort` says otherwise.

    `next_before` (newest first) or `next_after` (oldest first) asks, as `before` or `after`, for the page after this
    one; both null: there is none.
    """

    backtests: list[BacktestView]
    next_before: int | None
    next_after: int | None
    sequence: Sequence


class BacktestAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One backtest."""

    backtest: BacktestView
    sequence: Sequence


@router.get("", responses=answers(BacktestsAnswer, "A page of backtests", 401, 409, 422, 503))
async def list_backtests(
    request: Request,
    caller: Authenticated,
    _: Fresh,
    paging: Paged,
    *,
    strategy_id: NameFilter = None,
) -> Response:
    """List your backtests, or those of one strategy."""
    page = await services_of(request).queries.backtests(caller.user_id, paging, strategy_id=strategy_of(strategy_id))
    shown = BacktestsAnswer(
        backtests=[BacktestView.of(row) for row in page.rows],
        next_before=page.next_before,
        next_after=page.next_after,
        sequence=page.sequence,
    )
    return answer(shown)


@router.get("/{backtest_id}", responses=answers(BacktestAnswer, "The backtest", 401, 404, 409, 422, 503))
async def show_backtest(request: Request, caller: Authenticated, _: Fresh, backtest_id: str) -> Response:
    """Show one backtest."""
    if not is_id(backtest_id):
        raise BacktestNotFound
    found = await services_of(request).queries.backtest(caller.user_id, BacktestId(backtest_id))
    if found.value is None:
        raise BacktestNotFound
    return answer(BacktestAnswer(backtest=BacktestView.of(found.value), sequence=found.sequence))
