"""Breaches of what always holds: what they say, and how a person who has looked lets entries through again."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer, command_headers
from api.bodies import read_body
from api.callers import Owning, context_of
from api.fields import Sequence
from api.idempotency import optional_key, request_hash
from api.openapi import answers, request_body
from api.services import services_of
from api.switch_requests import InvariantReleaseRequest
from domain.refusals import NotFound
from domain.risk import Invariant

router = APIRouter(prefix="/api/risk", tags=["risk"])


class InvariantReleasedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """No breach of the invariant stands against entries any more, from `sequence` on."""

    invariant: Invariant
    sequence: Sequence


class InvariantUnknown(NotFound):
    """There is no such invariant. The caller sees 404; nothing is stored."""

    code = "INVARIANT_NOT_FOUND"


@router.post(
    "/invariants/{invariant}/release",
    openapi_extra=request_body(InvariantReleaseRequest, is_key_mandatory=False),
    responses=answers(InvariantReleasedAnswer, "Released, and durable", 400, 401, 403, 404, 409, 422, 503),
)
async def release_invariant(request: Request, caller: Owning, invariant: str) -> Response:
    """Allow entries again although an invariant was breached (see `broken` of `/api/risk/portfolio`).

    What is still broken trips again when it is looked at next.
    """
    key = optional_key(request)
    body = await read_body(request, InvariantReleaseRequest)
    if invariant not in set(Invariant):
        raise InvariantUnknown(f"received {invariant[:80]!r}, expected one of {', '.join(Invariant)}")
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    outcome = await services_of(request).accounts.release_invariant(
        caller.account_id, caller.user_id, Invariant(invariant), body.reason, context
    )
    released = InvariantReleasedAnswer(invariant=Invariant(invariant), sequence=outcome.last_sequence)
    return answer(released, headers=command_headers(request, outcome))
