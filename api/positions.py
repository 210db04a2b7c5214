"""What an account holds."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api.answers import answer
from api.callers import Viewing
from api.fields import Sequence, Time
from api.freshness import Fresh
from api.moments import Then
from api.openapi import answers
from api.standing import standing_of
from api.views import PositionView

router = APIRouter(prefix="/api/positions", tags=["positions"])


class PositionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Positions by symbol and product. `as_of` is the time of the past that they stand for, null: now."""

    positions: list[PositionView]
    sequence: Sequence
    as_of: Time | None


@router.get("", responses=answers(PositionsAnswer, "The account's positions", 401, 404, 409, 422, 503))
async def list_positions(
    request: Request,
    caller: Viewing,
    _: Fresh,
    moment: Then,
    *,
    open_only: Annotated[bool, Query(description="Leave out what is flat")] = False,
) -> Response:
    """List what the account holds, and (unless `open_only`) what it held: there the result stays, the quantity is 0."""
    standing = await standing_of(request, caller.account_id, moment)
    shown = PositionsAnswer(
        positions=PositionView.all_of(standing, open_only=open_only),
        sequence=standing.sequence,
        as_of=standing.as_of,
    )
    return answer(shown)
