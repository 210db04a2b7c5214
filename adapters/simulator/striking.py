"""What each fault does to the call that it strikes: before anything is done, to the books, and to the answer."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from adapters.simulator.books import FROM_ELSEWHERE, BookedOrder
from adapters.simulator.connection import end_without_answer, until_gone, wait_or_disconnect
from adapters.simulator.desk import Desk
from adapters.simulator.faults import IMMEDIATE, Fault, FaultKind, FaultTarget
from adapters.simulator.refusals import (
    INVALID_IP,
    TOO_MANY_QUOTES,
    TOO_MANY_REQUESTS,
    Refusal,
    bad_input,
    data_refusal,
    trading_refusal,
)
from adapters.simulator.simulator import OrderRequest
from adapters.simulator.wire import drip, send_once_more, tear_in_body, tear_in_head, truncate
from domain.order import OrderType

NOWHERE_TO_COME_BACK = "there is no server, or no journal that it could come back on"
_UNAVAILABLE = b"<html><head><title>503 Service Unavailable</title></head><body>503 Service Unavailable</body></html>"
_BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_PAGE = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>We will be back soon.</body></html>"
_DAMAGES: dict[FaultKind, Callable[[Request, Response], Awaitable[Response]]] = {
    FaultKind.TEAR_HEAD: tear_in_head,
    FaultKind.TEAR_BODY: tear_in_body,
    FaultKind.TRUNCATE_BODY: truncate,
    FaultKind.DUPLICATE_ANSWER: send_once_more,
}


class Impossible(Exception):
    """A fault that cannot be here: no server of ours listens, or there is no journal to come back on."""


def strike_at_once(desk: Desk, fault: Fault, *, client_id: str | None = None) -> None:
    """Let an immediate fault happen; *client_id* is who is struck where the fault names nobody.

    Raises:
        Impossible: it cannot happen here.
        ValueError: it does not say whom to strike.
    """
    match fault.kind:
        case FaultKind.REVOKE_TOKEN:
            struck = fault.client_id or client_id
            if struck is None:
                raise ValueError("expected the client_id whose token is to die")
            desk.tokens.revoke(struck)
        case FaultKind.CUT_FEED:
            desk.feed.cut()
        case FaultKind.REFUSE_CONNECTION:
            if desk.pause_listening is None:
                raise Impossible("no server of ours listens here")
            desk.pause_listening(fault.delay_ms / 1000)
        case _:
            if desk.restart is None:
                raise Impossible(NOWHERE_TO_COME_BACK)
            desk.restart()


async def strike_before(desk: Desk, fault: Fault | None, request: Request, *, client_id: str) -> Response | None:
    """Return the answer of a fault that strikes before anything is done, None where the call goes on.

    Raises:
        adapters.simulator.refusals.Refusal: the fault is a refusal.
    """
    if fault is None:
        return None
    refusal = _refusal_of(fault)
    if refusal is not None:
        raise refusal
    match fault.kind:
        case FaultKind.LOSE_ANSWER_BEFORE_ACCEPTANCE:
            return await end_without_answer(request)
        case FaultKind.HANG_BEFORE_ACCEPTANCE:
            return await until_gone(request)
        case FaultKind.UNAVAILABLE:
            return _page(_UNAVAILABLE, 503)
        case FaultKind.HTML:
            return _page(_PAGE, 200)
        case kind if kind in IMMEDIATE:
            strike_at_once(desk, fault, client_id=client_id)
    return None


def strike_books(desk: Desk, fault: Fault | None, order: BookedOrder) -> None:
    """Let happen to the books what a fault does beside the order that was accepted."""
    if fault is None:
        return
    match fault.kind:
        case FaultKind.ACCEPT_TWICE:
            desk.let_arrive(desk.simulator.accept(order.client_id, _like(order)))
        case FaultKind.TRADE_BY_HAND if not order.amo_time:
            by_hand = _like(
                order,
                correlation_id=FROM_ELSEWHERE,
                order_type=OrderType.MARKET,
                quantity=fault.quantity * order.instrument.lot,
                limit_price_e4=0,
                trigger_price_e4=0,
                disclosed_quantity=0,
            )
            desk.let_arrive(desk.simulator.accept(order.client_id, by_hand))


async def strike_answer(
    desk: Desk, fault: Fault | None, request: Request, answer: Response, *, client_id: str
) -> Response:
    """Return what becomes of the true answer, when all is done, under a fault."""
    if fault is None:
        return answer
    match fault.kind:
        case FaultKind.KILL_TOKEN:
            desk.tokens.revoke(client_id)
        case FaultKind.WRONG_POSITIONS:
            return _with_wrong_positions(answer, fault.quantity)
        case FaultKind.BAD_GATEWAY_AFTER_ACCEPTANCE:
            return _page(_BAD_GATEWAY, 502)
        case FaultKind.HTML_AFTER_ACCEPTANCE:
            return _page(_PAGE, 200)
        case FaultKind.INTERNAL_ERROR_AFTER_ACCEPTANCE:
            raise _internal_error()
        case _:
            return await _strike_wire(fault, request, answer)
    return answer


async def _strike_wire(fault: Fault, request: Request, answer: Response) -> Response:
    match fault.kind:
        case FaultKind.LOSE_ANSWER_AFTER_ACCEPTANCE:
            return await end_without_answer(request)
        case FaultKind.HANG_AFTER_ACCEPTANCE:
            return await until_gone(request)
        case FaultKind.DELAY:
            await wait_or_disconnect(request, fault.delay_ms / 1000)
        case FaultKind.DRIP:
            return await drip(request, answer, seconds=fault.delay_ms / 1000)
        case kind if kind in _DAMAGES:
            return await _DAMAGES[kind](request, answer)
    return answer


def _refusal_of(fault: Fault) -> Refusal | None:
    match fault.kind:
        case FaultKind.REFUSE:
            return trading_refusal(fault.status, fault.code, "Order_Error", fault.message)
        case FaultKind.THROTTLE if fault.target is FaultTarget.QUOTE:
            return data_refusal(429, 805, TOO_MANY_QUOTES)
        case FaultKind.THROTTLE:
            return trading_refusal(429, "DH-904", "Rate_Limit", TOO_MANY_REQUESTS)
        case FaultKind.INVALID_IP:
            return bad_input(INVALID_IP)
        case FaultKind.INTERNAL_ERROR:
            return _internal_error()
        case _:
            return None


def _internal_error() -> Refusal:
    return trading_refusal(500, "DH-908", "Internal_Server_Error", "Internal server error")


def _with_wrong_positions(answer: Response, quantity: int) -> Response:
    rows: list[dict[str, Any]] = msgspec.json.decode(answer.body)
    for row in rows:
        row["netQty"] += quantity
        row["buyQty"] += quantity
    return Response(msgspec.json.encode(rows), answer.status_code, media_type=answer.media_type)


def _page(content: bytes, status: int) -> Response:
    return Response(content, status, media_type="text/html")


def _like(order: BookedOrder, **changes: Any) -> OrderRequest:
    """Return a new order as *order* was accepted, changed as asked."""
    fields: dict[str, Any] = {
        "correlation_id": order.correlation_id,
        "instrument": order.instrument,
        "side": order.side,
        "order_type": order.order_type,
        "product": order.product,
        "time_in_force": order.time_in_force,
        "quantity": order.quantity,
        # A MARKET order may have got its limit already.
        "limit_price_e4": 0 if order.order_type is OrderType.MARKET else order.limit_price_e4,
        "trigger_price_e4": order.trigger_price_e4,
        "disclosed_quantity": order.disclosed_quantity,
        "amo_time": order.amo_time,
    }
    return OrderRequest(**{**fields, **changes})
