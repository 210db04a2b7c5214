"""Closing what is held: a trade or a part of it, a position, everything."""

from collections.abc import Iterable

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer, command_headers
from api.bodies import read_body, read_optional_body
from api.callers import Trading, context_of
from api.fields import PositionId, Sequence, parse_position_id, parse_trade_id, strategy_of
from api.idempotency import mandatory_key, request_hash
from api.openapi import answers, optional_body, request_body
from api.services import services_of
from api.switch_requests import strategy_in_scope
from api.trade_requests import CloseAllRequest, CloseScope, PositionCloseRequest, TradeCloseRequest
from domain.account.events import (
    AccountEvent,
    OrderBlocked,
    OrderCancelRequested,
    OrderIntended,
    OrderModifyRequested,
    TradeClosed,
    TradeExitTriggered,
    TradeReductionAsked,
)
from domain.order import ModifyCause, Purpose

router = APIRouter(tags=["closing"])


class ClosingPart(msgspec.Struct, frozen=True, kw_only=True):
    """A trade that is being closed, and the order that does it: a new one, or its stop made marketable.

    `order_id` is null as long as the exit waits for the venue's word on an order that it takes its room from, and then
    `quantity` is null too where all is closed: how much that is, is known only then. A trade that held nothing has 0.
    """

    trade_id: str
    order_id: str | None
    quantity: int | None


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """What events began: exits, entries taken back at the venue, and entries that are not sent any more."""

    closing: list[ClosingPart]
    canceling: list[str]
    blocked: list[str]

    @classmethod
    def of(cls, events: Iterable[AccountEvent]) -> "Closing":
        """Return what *events* of one command began."""
        told = list(events)
        return cls(
            closing=parts_of(told),
            canceling=[event.order_id for event in told if isinstance(event, OrderCancelRequested)],
            blocked=[event.order_id for event in told if isinstance(event, OrderBlocked)],
        )


class TradeClosing(msgspec.Struct, frozen=True, kw_only=True):
    """The trade, or a part of it, is being closed. `canceling` and `blocked` are entry orders and stops taken back."""

    trade_id: str
    closing: list[ClosingPart]
    canceling: list[str]
    blocked: list[str]
    sequence: Sequence


class ClosingAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The position's open trades are being closed; `order_ids` are the exits that are on their way already.

    A trade whose entry still rests gets its exit when the venue's last word on the entry is there.
    """

    position_id: PositionId
    trade_ids: list[str]
    order_ids: list[str]
    closing: list[ClosingPart]
    sequence: Sequence


class ClosingAllAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """Every trade in the scope is being closed."""

    scope: CloseScope
    strategy_id: str | None
    closing: list[ClosingPart]
    canceling: list[str]
    blocked: list[str]
    sequence: Sequence


def parts_of(events: Iterable[AccountEvent]) -> list[ClosingPart]:
    """Return what is closed by *events* of one command, in the order in which it began."""
    wanted: dict[str, int | None] = {}
    exits: dict[str, dict[str, int]] = {}
    closed: set[str] = set()
    for event in events:
        match event:
            case TradeExitTriggered():
                wanted[event.trade_id] = None
            case TradeReductionAsked():
                wanted[event.trade_id] = event.quantity
            case OrderIntended(purpose=Purpose.EXIT) | OrderModifyRequested(cause=ModifyCause.EXIT):
                exits.setdefault(event.trade_id, {})[event.order_id] = event.instruction.quantity
                wanted.setdefault(event.trade_id, event.instruction.quantity)
            case TradeClosed():
                closed.add(event.trade_id)
            case _:
                continue
    parts = []
    for trade_id, quantity in wanted.items():
        orders = exits.get(trade_id, {})
        parts += [
            ClosingPart(trade_id=trade_id, order_id=order_id, quantity=units) for order_id, units in orders.items()
        ]
        if quantity is not None and quantity > sum(orders.values()):
            # The stop has to shrink first: the rest follows when the venue has confirmed it.
            parts.append(ClosingPart(trade_id=trade_id, order_id=None, quantity=quantity - sum(orders.values())))
        elif quantity is None and not orders:
            parts.append(ClosingPart(trade_id=trade_id, order_id=None, quantity=0 if trade_id in closed else None))
    return parts


@router.post(
    "/api/trades/{trade_id}/close",
    status_code=202,
    openapi_extra=optional_body(TradeCloseRequest, is_key_mandatory=True),
    responses=answers(TradeClosing, "Closing, and durable", 400, 401, 403, 404, 409, 422, 503, status=202),
)
async def close_trade(request: Request, caller: Trading, trade_id: str) -> Response:
    """Close a trade, or with a body a part of it; the rest goes on with its levels."""
    key = mandatory_key(request)
    body = await read_optional_body(request, TradeCloseRequest)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    accounts = services_of(request).accounts
    outcome = await accounts.close_trade(
        caller.account_id, caller.user_id, parse_trade_id(trade_id), context, quantity=body.quantity
    )
    headers = command_headers(request, outcome)
    began = Closing.of(outcome.events)
    closing = TradeClosing(
        trade_id=trade_id,
        closing=began.closing,
        canceling=began.canceling,
        blocked=began.blocked,
        sequence=outcome.last_sequence,
    )
    return answer(closing, status=202, headers=headers)


@router.post(
    "/api/positions/close/{position_id}",
    status_code=202,
    openapi_extra=optional_body(PositionCloseRequest, is_key_mandatory=True),
    responses=answers(ClosingAccepted, "Closing, and durable", 400, 401, 403, 404, 409, 422, 503, status=202),
)
async def close_position(request: Request, caller: Trading, position_id: str) -> Response:
    """Close a position: every open trade in its instrument and product, or with a body those of one strategy."""
    key = mandatory_key(request)
    body = await read_optional_body(request, PositionCloseRequest)
    instrument, product = parse_position_id(position_id)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    accounts = services_of(request).accounts
    outcome = await accounts.close_position(
        caller.account_id, caller.user_id, instrument, product, context, strategy_id=strategy_of(body.strategy_id)
    )
    headers = command_headers(request, outcome)
    parts = parts_of(outcome.events)
    closing = ClosingAccepted(
        position_id=position_id,
        trade_ids=list(dict.fromkeys(part.trade_id for part in parts)),
        order_ids=[part.order_id for part in parts if part.order_id is not None],
        closing=parts,
        sequence=outcome.last_sequence,
    )
    return answer(closing, status=202, headers=headers)


@router.post(
    "/api/positions/close-all",
    status_code=202,
    openapi_extra=request_body(CloseAllRequest, is_key_mandatory=True),
    responses=answers(ClosingAllAccepted, "Closing, and durable", 400, 401, 403, 404, 409, 422, 503, status=202),
)
async def close_all(request: Request, caller: Trading) -> Response:
    """Close every open trade of the account or of one strategy. New entries are not blocked: see the kill switch."""
    key = mandatory_key(request)
    body = await read_body(request, CloseAllRequest)
    strategy_id = strategy_in_scope(body.strategy_id, is_scoped=body.scope is CloseScope.STRATEGY)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    accounts = services_of(request).accounts
    outcome = await accounts.close_all(
        caller.account_id,
        caller.user_id,
        context,
        strategy_id=strategy_id,
        includes_external=body.includes_external,
    )
    headers = command_headers(request, outcome)
    began = Closing.of(outcome.events)
    closing = ClosingAllAccepted(
        scope=body.scope,
        strategy_id=body.strategy_id,
        closing=began.closing,
        canceling=began.canceling,
        blocked=began.blocked,
        sequence=outcome.last_sequence,
    )
    return answer(closing, status=202, headers=headers)
