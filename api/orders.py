"""Looking at orders: those of the account, and those of one trade."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.callers import Viewing
from api.fields import Sequence, Time, strategy_of
from api.freshness import Fresh
from api.moments import Then, as_of_text
from api.openapi import answers
from api.paging import NameFilter, Paged, SymbolFilter
from api.services import services_of
from api.trades import trade_with_orders
from api.views import OrderView
from domain.ids import TradeId
from domain.order import OrderStatus, Purpose
from projections.queries import OrderFilter

router = APIRouter(prefix="/api", tags=["orders"])


class OrdersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Orders, newest first unless `sort` says otherwise.

    `next_before` (newest first) or `next_after` (oldest first) asks, as `before` or `after`, for the page after this
    one; both null: there is none. `as_of` is the time of the past that the answer stands for, null: now.
    """

    orders: list[OrderView]
    next_before: int | None
    next_after: int | None
    sequence: Sequence
    as_of: Time | None


class TradeOrdersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The orders of a trade, oldest first. `as_of` is the time of the past that they stand for, null: now."""

    orders: list[OrderView]
    sequence: Sequence
    as_of: Time | None


@router.get("/orders", responses=answers(OrdersAnswer, "A page of orders", 401, 404, 409, 422, 503))
async def list_orders(
    request: Request,
    caller: Viewing,
    _: Fresh,
    moment: Then,
    paging: Paged,
    *,
    status: OrderStatus | None = None,
    symbol: SymbolFilter = None,
    purpose: Purpose | None = None,
    trade_id: NameFilter = None,
    strategy_id: NameFilter = None,
) -> Response:
    """List the account's orders: entries, exits and stops."""
    services = services_of(request)
    queries = services.past(moment) or services.queries
    wanted = OrderFilter(
        status=status,
        symbol=symbol,
        purpose=purpose,
        trade_id=None if trade_id is None else TradeId(trade_id),
        strategy_id=strategy_of(strategy_id),
    )
    page = await queries.orders([caller.account_id], wanted, paging)
    shown = OrdersAnswer(
        orders=[
            OrderView.of(line, symbol=line.symbol, multiplier=line.multiplier, strategy_id=line.strategy_id)
            for line in page.rows
        ],
        next_before=page.next_before,
        next_after=page.next_after,
        sequence=page.sequence,
        as_of=as_of_text(moment),
    )
    return answer(shown)


@router.get(
    "/trades/{trade_id}/orders", responses=answers(TradeOrdersAnswer, "The trade's orders", 401, 404, 409, 422, 503)
)
async def list_orders_of_trade(request: Request, caller: Viewing, _: Fresh, moment: Then, trade_id: str) -> Response:
    """List the orders of one trade, oldest first."""
    trade, orders, sequence = await trade_with_orders(request, caller, moment, trade_id)
    shown = [OrderView.of_trade(row, trade) for row in orders]
    return answer(TradeOrdersAnswer(orders=shown, sequence=sequence, as_of=as_of_text(moment)))
