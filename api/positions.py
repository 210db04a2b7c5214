"""What an account holds."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.callers import Viewing
from api.fields import Sequence, Time
from api.freshness import Fresh
from api.moments import Then, as_of_text
from api.openapi import answers
from api.services import services_of
from api.views import PositionView
from domain.market import trading_day
from projections.portfolio import value_position

router = APIRouter(prefix="/api/positions", tags=["positions"])


class PositionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Positions by symbol and product. `as_of` is the time of the past that they stand for, null: now."""

    positions: list[PositionView]
    sequence: Sequence
    as_of: Time | None


@router.get("", responses=answers(PositionsAnswer, "The account's positions", 401, 404, 409, 422, 503))
async def list_positions(
    request: Request, caller: Viewing, _: Fresh, moment: Then, *, open_only: bool = False
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
