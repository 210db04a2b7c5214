"""Looking at orders: those of the account, and those of one trade."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api.answers import answer
from api.callers import Authenticated
from api.fields import Sequence, Time
from api.freshness import SEQUENCE_MAX, Fresh
from api.moments import Then, as_of_text
from api.openapi import answers
from api.services import services_of
from api.trades import TRADE_ID, TradeNotFound
from api.views import OrderView
from domain.ids import StrategyId, TradeId
from domain.order import OrderStatus, Purpose
from projections.queries import PAGE_MAX, OrderFilter

router = APIRouter(prefix="/api", tags=["orders"])


class OrdersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Orders, newest first. `next_before` asks, as `before`, for the page after this one; null: there is none.

    `as_of` is the time of the past that the answer stands for, null: now.
    """

    orders: list[OrderView]
    next_before: int | None
    sequence: Sequence
    as_of: Time | None


class TradeOrdersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The orders of a trade, oldest first. `as_of` is the time of the past that they stand for, null: now."""

    orders: list[OrderView]
    sequence: Sequence
    as_of: Time | None


@router.get("/orders", responses=answers(OrdersAnswer, "A page of orders", 401, 409, 422, 503))
async def list_orders(
    request: Request,
    caller: Authenticated,
    _: Fresh,
    moment: Then,
    *,
    status: OrderStatus | None = None,
    symbol: Annotated[str | None, Query(min_length=1, max_length=64, pattern="^[ -~]+$")] = None,
    purpose: Purpose | None = None,
    trade_id: Annotated[str | None, Query(min_length=1, max_length=64, pattern="^[!-~]+$")] = None,
    strategy_id: Annotated[str | None, Query(min_length=1, max_length=64, pattern="^[!-~]+$")] = None,
    before: Annotated[
        int | None, Query(ge=0, le=SEQUENCE_MAX, description="The `next_before` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> Response:
    """List the account's orders, entries, exits and stops, newest first."""
    services = services_of(request)
    queries = services.past(moment) or services.queries
    wanted = OrderFilter(
        status=status,
        symbol=symbol,
        purpose=purpose,
        trade_id=None if trade_id is None else TradeId(trade_id),
        strategy_id=None if strategy_id is None else StrategyId(strategy_id),
    )
    page = await queries.orders([caller.account_id], wanted, before=before, limit=limit)
    shown = OrdersAnswer(
        orders=[
            OrderView.of(line, symbol=line.symbol, multiplier=line.multiplier, strategy_id=line.strategy_id)
            for line in page.orders
        ],
        next_before=page.next_before,
        sequence=page.sequence,
        as_of=as_of_text(moment),
    )
    return answer(shown)


@router.get(
    "/trades/{trade_id}/orders", responses=answers(TradeOrdersAnswer, "The trade's orders", 401, 404, 409, 422, 503)
)
async def list_orders_of_trade(
    request: Request, caller: Authenticated, _: Fresh, moment: Then, trade_id: str
) -> Response:
    """List the orders of one trade, oldest first."""
    services, accounts = services_of(request), [caller.account_id]
    queries = services.past(moment) or services.queries
    if not TRADE_ID.fullmatch(trade_id):
        raise TradeNotFound(f"received trade {trade_id[:80]!r}, expected one of yours")
    orders = await queries.orders_of(accounts, TradeId(trade_id))
    found = await queries.trade(accounts, TradeId(trade_id))
    if found.value is None:
        raise TradeNotFound(f"received trade {trade_id!r}, expected one of yours")
    trade = found.value
    shown = TradeOrdersAnswer(
        orders=[OrderView.of_trade(row, trade) for row in orders.value],
        sequence=min(found.sequence, orders.sequence),
        as_of=as_of_text(moment),
    )
    return answer(shown)
