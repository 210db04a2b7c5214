"""An account's limits, and what it risks."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer, command_headers
from api.bodies import read_body
from api.callers import Authenticated, context_of
from api.fields import Sequence
from api.freshness import Fresh
from api.idempotency import optional_key, request_hash
from api.moments import Then, as_of_text
from api.openapi import answers, request_body
from api.requests import RiskLimits
from api.services import services_of
from api.views import PortfolioAnswer
from domain.ids import AccountId
from domain.market import trading_day
from domain.refusals import NotFound
from projections.as_of import PastQueries
from projections.portfolio import sum_portfolio, value_portfolio
from projections.queries import ReadModelBehind

router = APIRouter(prefix="/api/risk", tags=["risk"])


class LimitsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The limits in force from `sequence` on."""

    parameters: RiskLimits
    sequence: Sequence


class AccountNotOpenYet(NotFound):
    """There was no such account at the moment asked for. The caller sees 404."""

    code = "ACCOUNT_NOT_OPEN_YET"


@router.get(
    "/portfolio", responses=answers(PortfolioAnswer, "Limits, their use, and the positions", 401, 404, 409, 422, 503)
)
async def show_portfolio(request: Request, caller: Authenticated, _: Fresh, moment: Then) -> Response:
    """Show what the account may do, what it did today, and what it holds at the last prices."""
    services = services_of(request)
    past = services.past(moment)
    if past is not None:
        return answer(await _past_portfolio(past, caller.account_id))
    found = await services.queries.portfolio(caller.account_id)
    if found.value is None:
        # The log knows the account, or its owner were no caller: the view does not yet.
        raise ReadModelBehind(wanted=found.sequence + 1, sequence=found.sequence)
    # The market's day; that of the newest event where no price has told the time yet.
    day = max(trading_day(services.marks.market_time_ns()).isoformat(), found.value.risk.day)
    portfolio = value_portfolio(found.value.positions, services.marks, day=day)
    return answer(PortfolioAnswer.of(found.value.risk.on_day(day), portfolio, sequence=found.sequence))


async def _past_portfolio(past: PastQueries, account_id: AccountId) -> PortfolioAnswer:
    found = await past.portfolio(account_id)
    if found.value is None:
        raise AccountNotOpenYet(f"at sequence {found.sequence} your account was not open yet")
    day = past.day(found.value.risk.day)
    portfolio = sum_portfolio(await past.valued(account_id, found.value.positions, day=day), day=day)
    return PortfolioAnswer.of(
        found.value.risk.on_day(day), portfolio, sequence=found.sequence, as_of=as_of_text(past.moment)
    )


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
