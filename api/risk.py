"""An account's limits, what it risks, and its kill switch."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer, command_headers
from api.bodies import read_body
from api.callers import Authenticated, context_of
from api.fields import Sequence
from api.freshness import Fresh
from api.idempotency import optional_key, request_hash
from api.moments import Then
from api.openapi import answers, key_header, request_body
from api.requests import KillSwitchRequest, RiskLimits
from api.services import services_of
from api.standing import standing_of
from api.views import PortfolioAnswer

router = APIRouter(prefix="/api/risk", tags=["risk"])


class LimitsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The limits in force from `sequence` on."""

    parameters: RiskLimits
    sequence: Sequence


class KillSwitchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether entries are blocked, from `sequence` on."""

    engaged: bool
    sequence: Sequence


@router.get(
    "/portfolio", responses=answers(PortfolioAnswer, "Limits, their use, and the positions", 401, 404, 409, 422, 503)
)
async def show_portfolio(request: Request, caller: Authenticated, _: Fresh, moment: Then) -> Response:
    """Show what the account may do, what it did today, and what it holds at the last prices."""
    return answer(PortfolioAnswer.of(await standing_of(request, caller.account_id, moment)))


@router.put(
    "/parameters",
    openapi_extra=request_body(RiskLimits, is_key_mandatory=False),
    responses=answers(LimitsAnswer, "In force, and durable", 400, 401, 404, 409, 422, 503),
)
async def set_parameters(request: Request, caller: Authenticated) -> Response:
    """Put new limits in force: the whole set, every field named."""
    key = optional_key(request)
    body = await read_body(request, RiskLimits)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    accounts = services_of(request).accounts
    outcome = await accounts.set_risk_parameters(caller.account_id, caller.user_id, body.to_parameters(), context)
    headers = command_headers(request, outcome)
    return answer(LimitsAnswer(parameters=body, sequence=outcome.last_sequence), headers=headers)


@router.post(
    "/kill-switch",
    openapi_extra=request_body(KillSwitchRequest, is_key_mandatory=False),
    responses=answers(KillSwitchAnswer, "Engaged, and durable", 400, 401, 404, 409, 422, 503),
)
async def engage_kill_switch(request: Request, caller: Authenticated) -> Response:
    """Halt the account: entries are blocked, resting entries canceled; stops and exits stay. Twice is as once."""
    key = optional_key(request)
    body = await read_body(request, KillSwitchRequest)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    accounts = services_of(request).accounts
    outcome = await accounts.engage_kill_switch(caller.account_id, caller.user_id, body.reason, context)
    headers = command_headers(request, outcome)
    return answer(KillSwitchAnswer(engaged=True, sequence=outcome.last_sequence), headers=headers)


@router.delete(
    "/kill-switch",
    openapi_extra=key_header(is_mandatory=False),
    responses=answers(KillSwitchAnswer, "Released, and durable", 400, 401, 404, 409, 422, 503),
)
async def release_kill_switch(request: Request, caller: Authenticated) -> Response:
    """Allow entries again. Takes no body. Twice is as once."""
    key = optional_key(request)
    context = context_of(request, caller, key=key, request_hash=request_hash(request))
    accounts = services_of(request).accounts
    outcome = await accounts.release_kill_switch(caller.account_id, caller.user_id, context)
    headers = command_headers(request, outcome)
    return answer(KillSwitchAnswer(engaged=False, sequence=outcome.last_sequence), headers=headers)
