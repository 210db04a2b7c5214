"""Changing a trade that is there, and taking its entry back."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer, command_headers
from api.bodies import read_body
from api.callers import Trading, context_of
from api.closing import Closing
from api.fields import Price, Sequence, optional_price_text, parse_trade_id
from api.idempotency import mandatory_key, optional_key, request_hash
from api.openapi import answers, key_header, request_body
from api.opening import denied_answer
from api.services import services_of
from api.trade_requests import TradeChangeRequest
from domain.account.events import OrderDenied, OrderIntended, OrderModifyRequested, TradeChanged
from domain.money import format_e4

router = APIRouter(prefix="/api/trades", tags=["trades"])


class TrailingTold(msgspec.Struct, frozen=True, kw_only=True):
    """A stop that follows the best price at `distance`, in steps of `step` at least."""

    distance: Price
    step: Price


class TradeChangedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The trade's levels as they are now, at `version`.

    `modifying` are orders that the venue is asked to change, `canceling` those it is asked to cancel, `order_ids` those
    that are new. The venue may still refuse: what it says of them is in the trade's orders.
    """

    trade_id: str
    version: int
    stop_loss: Price | None
    target: Price | None
    trailing: TrailingTold | None
    modifying: list[str]
    canceling: list[str]
    order_ids: list[str]
    sequence: Sequence


class TradeCanceling(msgspec.Struct, frozen=True, kw_only=True):
    """What of the trade's entry has not filled is taken back; what has filled stays, with its levels.

    `canceling` are orders that the venue is asked to cancel, `blocked` those that had not been sent and never will be.
    """

    trade_id: str
    canceling: list[str]
    blocked: list[str]
    sequence: Sequence


@router.put(
    "/{trade_id}",
    openapi_extra=request_body(TradeChangeRequest, is_key_mandatory=True),
    responses=answers(TradeChangedAnswer, "Changed, and durable", 400, 401, 403, 404, 409, 422, 503),
)
async def change_trade(request: Request, caller: Trading, trade_id: str) -> Response:
    """Move a trade's levels, and change its entry as long as that rests. Who comes second with a version gets 409."""
    key = mandatory_key(request)
    body = await read_body(request, TradeChangeRequest)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    outcome = await services_of(request).accounts.change_trade(
        caller.account_id,
        caller.user_id,
        parse_trade_id(trade_id),
        body.to_change(),
        expected_version=body.expected_version,
        context=context,
    )
    headers = command_headers(request, outcome)
    events = outcome.events
    denied = next((event for event in events if isinstance(event, OrderDenied)), None)
    if denied is not None:
        return denied_answer(request, denied, outcome, headers)
    changed = next(event for event in events if isinstance(event, TradeChanged))
    trailing = changed.trailing
    shown = TradeChangedAnswer(
        trade_id=trade_id,
        version=changed.version,
        stop_loss=optional_price_text(changed.stop_loss_e4),
        target=optional_price_text(changed.target_e4),
        trailing=None
        if trailing is None
        else TrailingTold(distance=format_e4(trailing.distance_e4), step=format_e4(trailing.step_e4)),
        modifying=[event.order_id for event in events if isinstance(event, OrderModifyRequested)],
        canceling=Closing.of(events).canceling,
        order_ids=[event.order_id for event in events if isinstance(event, OrderIntended)],
        sequence=outcome.last_sequence,
    )
    return answer(shown, headers=headers)


@router.post(
    "/{trade_id}/cancel",
    status_code=202,
    openapi_extra=key_header(is_mandatory=False),
    responses=answers(TradeCanceling, "Taken back, and durable", 400, 401, 403, 404, 409, 422, 503, status=202),
)
async def cancel_trade(request: Request, caller: Trading, trade_id: str) -> Response:
    """Cancel what of a trade's entry has not filled. Takes no body. Twice is as once."""
    key = optional_key(request)
    context = context_of(request, caller, key=key, request_hash=request_hash(request))
    accounts = services_of(request).accounts
    outcome = await accounts.cancel_trade(caller.account_id, caller.user_id, parse_trade_id(trade_id), context)
    headers = command_headers(request, outcome)
    began = Closing.of(outcome.events)
    canceling = TradeCanceling(
        trade_id=trade_id, canceling=began.canceling, blocked=began.blocked, sequence=outcome.last_sequence
    )
    return answer(canceling, status=202, headers=headers)
