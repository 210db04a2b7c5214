"""An account's limits, and what it risks."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer, command_headers
from api.bodies import read_body
from api.callers import Owning, Viewing, context_of
from api.fields import Sequence
from api.freshness import Fresh
from api.idempotency import optional_key, request_hash
from api.moments import Then
from api.openapi import answers, request_body
from api.requests import RiskLimits
from api.services import services_of
from api.standing import standing_of
from api.views import PortfolioAnswer

router = APIRouter(prefix="/api/risk", tags=["risk"])


class LimitsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The limits in force from `sequence` on."""

    parameters: RiskLimits
    sequence: Sequence


@router.get(
    "/portfolio", responses=answers(PortfolioAnswer, "Limits, their use, and the positions", 401, 404, 409, 422, 503)
)
async def show_portfolio(request: Request, caller: Viewing, _: Fresh, moment: Then) -> Response:
    """Show what the account may do, what it did today, and what it holds at the last prices."""
    return answer(PortfolioAnswer.of(await standing_of(request, caller.account_id, moment)))


@router.put(
    "/parameters",
    openapi_extra=request_body(RiskLimits, is_key_mandatory=False),
    responses=answers(LimitsAnswer, "In force, and durable", 400, 401, 403, 404, 409, 422, 503),
)
async def set_parameters(request: Request, caller: Owning) -> Response:
    """Put new limits in force: the whole set, every field named."""
    key = optional_key(request)
    body = await read_body(request, RiskLimits)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    accounts = services_of(request).accounts
    outcome = await accounts.set_risk_parameters(caller.account_id, caller.user_id, body.to_parameters(), context)
    headers = command_headers(request, outcome)
    return answer(LimitsAnswer(parameters=body, sequence=outcome.last_sequence), headers=headers)
