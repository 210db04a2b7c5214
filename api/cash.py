"""Money that comes in and goes out."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer, command_headers
from api.bodies import read_body
from api.callers import Owning, context_of
from api.fields import Sequence, SignedAmount, amount_text, signed_amount_paise
from api.idempotency import mandatory_key, request_hash
from api.openapi import answers, request_body
from api.services import services_of
from api.switch_requests import CashMovementRequest

router = APIRouter(prefix="/api/funds", tags=["funds"])


class CashMovedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The money is in the account's books from `sequence` on; it is no result, so drawdown does not see it."""

    amount: SignedAmount
    sequence: Sequence


@router.post(
    "/movements",
    status_code=201,
    openapi_extra=request_body(CashMovementRequest, is_key_mandatory=True),
    responses=answers(CashMovedAnswer, "Recorded, and durable", 400, 401, 403, 404, 409, 422, 503, status=201),
)
async def move_cash(request: Request, caller: Owning) -> Response:
    """Record that money came in, or (a negative amount) went out."""
    key = mandatory_key(request)
    body = await read_body(request, CashMovementRequest)
    amount_paise = signed_amount_paise(body.amount, field="amount")
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    accounts = services_of(request).accounts
    outcome = await accounts.move_cash(caller.account_id, caller.user_id, amount_paise, body.reason, context)
    headers = command_headers(request, outcome)
    moved = CashMovedAnswer(amount=amount_text(amount_paise), sequence=outcome.last_sequence)
    return answer(moved, status=201, headers=headers)
