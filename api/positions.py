"""What an account holds, and closing it."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer, command_headers
from api.callers import Authenticated, context_of
from api.fields import PositionId, Sequence, Time, parse_position_id
from api.freshness import Fresh
from api.idempotency import mandatory_key, request_hash
from api.moments import Then, as_of_text
from api.openapi import answers, key_header
from api.services import services_of
from api.views import PositionView
from domain.account.events import OrderIntended, TradeExitTriggered
from domain.market import trading_day
from projections.portfolio import value_position

router = APIRouter(prefix="/api/positions", tags=["positions"])


class ClosingAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """Every open trade of the position is being closed; `order_ids` are the exits intended so far.

    A trade whose entry still rests gets its exit when the venue's last word on the entry is there.
    """

    position_id: PositionId
    trade_ids: list[str]
    order_ids: list[str]
    sequence: Sequence


class PositionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Positions by symbol and product. `as_of` is the time of the past that they stand for, null: now."""

    positions: list[PositionView]
    sequence: Sequence
    as_of: Time | None


@router.get("", responses=answers(PositionsAnswer, "The account's positions", 401, 409, 422, 503))
async def list_positions(
    request: Request, caller: Authenticated, _: Fresh, moment: Then, *, open_only: bool = False
) -> Response:
    """List what the account holds, and (unless `open_only`) what it held: there the result stays, the quantity is 0."""
    services = services_of(request)
    past = services.past(moment)
    found = await (past or services.queries).positions([caller.account_id], open_only=open_only)
    days = [row.day for row in found.value]
    if past is None:
        # The market's day; that of the newest fill where no price has told the time yet.
        day = max([trading_day(services.marks.market_time_ns()).isoformat(), *days])
        valued = [value_position(row, services.marks, day=day) for row in found.value]
    else:
        day = past.day(*days)
        valued = await past.valued(caller.account_id, found.value, day=day)
    shown = PositionsAnswer(
        positions=[PositionView.of(each, day=day) for each in valued],
        sequence=found.sequence,
        as_of=as_of_text(moment),
    )
    return answer(shown)


@router.post(
    "/close/{position_id}",
    status_code=202,
    openapi_extra=key_header(is_mandatory=True),
    responses=answers(ClosingAccepted, "Closing, and durable", 400, 401, 404, 409, 422, 503, status=202),
)
async def close_position(request: Request, caller: Authenticated, position_id: str) -> Response:
    """Close a position: every open trade in its instrument and product. Takes no body."""
    key = mandatory_key(request)
    instrument, product = parse_position_id(position_id)
    context = context_of(request, caller, key=key, request_hash=request_hash(request))
    accounts = services_of(request).accounts
    outcome = await accounts.close_position(caller.account_id, caller.user_id, instrument, product, context)
    headers = command_headers(request, outcome)
    closing = ClosingAccepted(
        position_id=position_id,
        trade_ids=[event.trade_id for event in outcome.events if isinstance(event, TradeExitTriggered)],
        order_ids=[event.order_id for event in outcome.events if isinstance(event, OrderIntended)],
        sequence=outcome.last_sequence,
    )
    return answer(closing, status=202, headers=headers)
