"""Opening several trades at once."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer, command_headers
from api.bodies import read_body
from api.callers import Trading, context_of
from api.fields import Sequence
from api.idempotency import mandatory_key, request_hash
from api.openapi import answers, request_body
from api.opening import denied_answer, entry_orders_of
from api.services import services_of
from api.trade_requests import BasketRequest
from commands.accounts import Outcome
from domain.account.events import BasketOpened, OrderDenied, TradeOpened

router = APIRouter(prefix="/api/baskets", tags=["trades"])


class LegAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """A leg's trade. `order_ids` is empty as long as its turn has not come."""

    trade_id: str
    symbol: str
    rank: int
    order_ids: list[str]


class BasketAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """Every leg passed every check, each on what the legs before it leave; `legs` are in the order of their ranks."""

    basket_id: str
    policy: str
    legs: list[LegAccepted]
    sequence: Sequence


@router.post(
    "",
    status_code=201,
    openapi_extra=request_body(BasketRequest, is_key_mandatory=True),
    responses=answers(
        BasketAccepted, "Passed by risk, and durable", 400, 401, 403, 404, 409, 422, 429, 503, status=201
    ),
)
async def open_basket(request: Request, caller: Trading) -> Response:
    """Hand in several order intents: risk passes all of them or none, and they are sent rank by rank."""
    key = mandatory_key(request)
    body = await read_body(request, BasketRequest)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    accounts = services_of(request).accounts
    outcome = await accounts.open_basket(caller.account_id, caller.user_id, body.to_legs(), body.policy, context)
    headers = command_headers(request, outcome)
    denied = next((event for event in outcome.events if isinstance(event, OrderDenied)), None)
    if denied is not None:
        return denied_answer(request, denied, outcome, headers)
    return answer(_accepted(outcome), status=201, headers=headers)


def _accepted(outcome: Outcome) -> BasketAccepted:
    opened = next(event for event in outcome.events if isinstance(event, BasketOpened))
    symbols = {event.trade_id: event.symbol for event in outcome.events if isinstance(event, TradeOpened)}
    return BasketAccepted(
        basket_id=opened.basket_id,
        policy=opened.policy.value,
        legs=[
            LegAccepted(
                trade_id=leg.trade_id,
                symbol=symbols[leg.trade_id],
                rank=leg.rank,
                order_ids=entry_orders_of(outcome, leg.trade_id),
            )
            for leg in opened.legs
        ],
        sequence=outcome.last_sequence,
    )
