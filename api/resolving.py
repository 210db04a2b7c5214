"""An operator's word on an order of which nobody knows whether the broker has it."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from api.answers import answer, command_headers
from api.bodies import read_body
from api.callers import Trading, context_of
from api.closing import Closing, ClosingPart
from api.errors import FieldInvalid
from api.fields import Sequence, parse_order_id
from api.idempotency import mandatory_key, request_hash
from api.openapi import answers, request_body
from api.services import services_of
from domain.account.events import OrderIntended, OrderResolution, OrderResolved
from domain.ids import VenueOrderId
from domain.order import OrderStatus

router = APIRouter(prefix="/api/orders", tags=["orders"])

ResolutionReason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=500,
        description="How you know; it stays in the log for ever, so no personal data",
        examples=["the broker's app does not show it, and its support says that it never came"],
    ),
]
VenueOrderName = Annotated[
    str,
    Meta(
        pattern=r"^[0-9A-Za-z_-]{1,64}$(?!\n)",
        description="The broker's own id of the order; with `at_broker` mandatory, with `absent` forbidden",
        examples=["112111182198"],
    ),
]


class ResolveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of the order: the broker does not have it (`absent`), or has it under `venue_order_id`."""

    resolution: OrderResolution
    reason: ResolutionReason
    venue_order_id: VenueOrderName | None = None


class OrderResolvedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Your word, as it stands in the log, and what followed from it.

    `status` is what the order is by it: `absent`, or `acknowledged` until the broker's book bears it out or shows
    otherwise. `closing` are exits that are tried again, `canceling` the order itself where it is absent: should it turn
    up after all, it is canceled. `order_ids` are the orders that take its place.
    """

    order_id: str
    trade_id: str
    resolution: OrderResolution
    venue_order_id: str | None
    status: OrderStatus
    closing: list[ClosingPart]
    canceling: list[str]
    order_ids: list[str]
    sequence: Sequence


@router.post(
    "/{order_id}/resolve",
    openapi_extra=request_body(ResolveRequest, is_key_mandatory=True),
    responses=answers(OrderResolvedAnswer, "Resolved, and durable", 400, 401, 403, 404, 409, 422, 503),
)
async def resolve_order(request: Request, caller: Trading, order_id: str) -> Response:
    """Have the last word on an order that is `unknown` or `presumed_absent`, after a look at the broker by other means.

    What the broker's book shows later outweighs it.
    """
    key = mandatory_key(request)
    body = await read_body(request, ResolveRequest)
    venue_order_id = _venue_order_id(body)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    outcome = await services_of(request).accounts.resolve_order(
        caller.account_id,
        caller.user_id,
        parse_order_id(order_id),
        body.resolution,
        venue_order_id=venue_order_id,
        reason=body.reason,
        context=context,
    )
    headers = command_headers(request, outcome)
    resolved = next(event for event in outcome.events if isinstance(event, OrderResolved))
    began = Closing.of(outcome.events)
    intended: list[str] = [event.order_id for event in outcome.events if isinstance(event, OrderIntended)]
    shown = OrderResolvedAnswer(
        order_id=resolved.order_id,
        trade_id=resolved.trade_id,
        resolution=resolved.resolution,
        venue_order_id=resolved.venue_order_id,
        status=OrderStatus.ABSENT if resolved.resolution is OrderResolution.ABSENT else OrderStatus.ACKNOWLEDGED,
        closing=began.closing,
        canceling=began.canceling,
        order_ids=intended,
        sequence=outcome.last_sequence,
    )
    return answer(shown, headers=headers)


def _venue_order_id(body: ResolveRequest) -> VenueOrderId | None:
    """Return the broker's id, which goes with `at_broker` and with nothing else."""
    is_there = body.resolution is OrderResolution.AT_BROKER
    if is_there and body.venue_order_id is None:
        raise FieldInvalid(
            "FIELD_MISSING", "expected a field 'venue_order_id' with 'at_broker'", field="venue_order_id"
        )
    if not is_there and body.venue_order_id is not None:
        raise FieldInvalid(
            "VENUE_ORDER_ID_INVALID",
            f"received venue_order_id {body.venue_order_id!r}, expected none with 'absent'",
            field="venue_order_id",
        )
    return None if body.venue_order_id is None else VenueOrderId(body.venue_order_id)
