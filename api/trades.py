"""Opening trades, and looking at them."""

import re
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api.answers import answer, command_headers
from api.bodies import read_body
from api.callers import Caller, Trading, Viewing, context_of
from api.fields import Sequence, Time, strategy_of
from api.freshness import Fresh
from api.idempotency import mandatory_key, request_hash
from api.moments import Then, as_of_text
from api.openapi import answers, request_body
from api.opening import TradeAccepted, answer_to_intent
from api.paging import DAY_PATTERN, NameFilter, Paged, SymbolFilter, parse_day
from api.requests import TradeRequest
from api.services import services_of
from api.tags import KnownTag, tagged
from api.views import OrderView, TradeView
from domain.ids import TradeId
from domain.refusals import NotFound
from projections.as_of import Moment
from projections.orders import OrderRow
from projections.queries import TradeFilter
from projections.trades import TradeRow, TradeStatus

router = APIRouter(prefix="/api/trades", tags=["trades"])


class TradesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Trades, newest first unless `sort` says otherwise.

    `next_before` (newest first) or `next_after` (oldest first) asks, as `before` or `after`, for the page after this
    one; both null: there is none. `as_of` is the time of the past that the answer stands for, null: now.
    """

    trades: list[TradeView]
    next_before: int | None
    next_after: int | None
    sequence: Sequence
    as_of: Time | None


class TradeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One trade and its orders, oldest first. `as_of` is the time of the past that they stand for, null: now."""

    trade: TradeView
    orders: list[OrderView]
    sequence: Sequence
    as_of: Time | None


class TradeNotFound(NotFound):
    """No such trade, or not of this user's account. The caller sees 404."""

    code = "TRADE_NOT_FOUND"


_TRADE_ID = re.compile(r"trd_[0-9A-Z]{26}", re.ASCII)
"""What names of trades look like."""


@router.post(
    "",
    status_code=201,
    openapi_extra=request_body(TradeRequest, is_key_mandatory=True),
    responses=answers(
        TradeAccepted,
        "Passed by risk, and durable",
        *(400, 401, 403, 404, 422, 429, 503),
        status=201,
        also={202: "It only closes what is held the other way, durably: no trade was opened"},
    ),
)
async def open_trade(request: Request, caller: Trading) -> Response:
    """Hand in an order intent: it is checked, durable before this answers, and sent once.

    A MARKET intent against what you (or its strategy) hold the other way closes that first, oldest trade first.
    """
    key = mandatory_key(request)
    body = await read_body(request, TradeRequest)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    accounts = services_of(request).accounts
    outcome = await accounts.open_trade(caller.account_id, caller.user_id, body.to_intent(), context)
    return answer_to_intent(request, outcome, command_headers(request, outcome))


@router.get("", responses=answers(TradesAnswer, "A page of trades", 401, 404, 409, 422, 503))
async def list_trades(
    request: Request,
    caller: Viewing,
    _: Fresh,
    moment: Then,
    paging: Paged,
    *,
    status: TradeStatus | None = None,
    symbol: SymbolFilter = None,
    strategy_id: NameFilter = None,
    day: Annotated[
        str | None, Query(pattern=DAY_PATTERN, description="Intended on this day of the exchange (ISO)")
    ] = None,
) -> Response:
    """List the account's trades, denied and external ones among them."""
    services = services_of(request)
    queries = services.past(moment) or services.queries
    wanted = TradeFilter(
        status=status,
        symbol=symbol,
        strategy_id=strategy_of(strategy_id),
        day=None if day is None else parse_day(day).isoformat(),
    )
    page = await queries.trades([caller.account_id], wanted, paging)
    shown = TradesAnswer(
        trades=[TradeView.of(row) for row in page.rows],
        next_before=page.next_before,
        next_after=page.next_after,
        sequence=page.sequence,
        as_of=as_of_text(moment),
    )
    return answer(shown)


@router.get("/{trade_id}", responses=answers(TradeAnswer, "The trade", 401, 404, 409, 422, 503, is_tagged=True))
async def show_trade(
    request: Request, caller: Viewing, _: Fresh, moment: Then, trade_id: str, known: KnownTag = None
) -> Response:
    """Show one trade with its orders."""
    trade, orders, sequence = await trade_with_orders(request, caller, moment, trade_id)
    shown = TradeAnswer(
        trade=TradeView.of(trade),
        orders=[OrderView.of_trade(row, trade) for row in orders],
        sequence=sequence,
        as_of=as_of_text(moment),
    )
    # The orders may be older than the trade, and then the tag must be another when they have come as far.
    return tagged(request, known, shown, trade.sequence, *(row.sequence for row in orders))


async def trade_with_orders(
    request: Request, caller: Caller, moment: Moment | None, trade_id: str
) -> tuple[TradeRow, list[OrderRow], int]:
    """Return one of the caller's trades, its orders, oldest first, and the sequence that both stand at.

    Raises:
        TradeNotFound
    """
    services, accounts = services_of(request), [caller.account_id]
    queries = services.past(moment) or services.queries
    if not _TRADE_ID.fullmatch(trade_id):
        raise TradeNotFound(f"received trade {trade_id[:80]!r}, expected one of yours")
    # The orders first: what the trade says of them may be newer, never older.
    orders = await queries.orders_of(accounts, TradeId(trade_id))
    found = await queries.trade(accounts, TradeId(trade_id))
    trade = found.value
    if trade is None:
        raise TradeNotFound(f"received trade {trade_id!r}, expected one of yours")
    return trade, orders.value, min(found.sequence, orders.sequence)
