"""Reading your own writes: a query waits until the views show what the caller has seen."""

from typing import Annotated

from fastapi import Depends, Header, Query, Request

from api.epochs import HEADER, demand_present_epoch
from api.errors import FieldInvalid
from api.services import services_of
from api.shortcut import without_query
from projections.as_of import BeyondTheLog
from projections.queries import ReadModelBehind

SEQUENCE_MAX = 2**63 - 1


async def _of_now(request: Request) -> None:
    demand_present_epoch(request, request.headers.get(HEADER))


@without_query(_of_now)
async def _wait(
    request: Request,
    min_sequence: Annotated[
        int | None,
        Query(ge=0, le=SEQUENCE_MAX, description="Wait, two seconds at most, until the views have reached it"),
    ] = None,
    epoch: Annotated[
        str | None,
        Header(alias=HEADER, description="Of the answer that a sequence came from; 409 where it is another by now"),
    ] = None,
) -> None:
    demand_present_epoch(request, epoch)
    if min_sequence is None:
        return
    services = services_of(request)
    try:
        await services.queries.wait_for(min_sequence, timeout_s=0)
    except ReadModelBehind:
        try:
            await services.history.demand_recorded(min_sequence)
        except BeyondTheLog as beyond:
            # Nobody was ever told this sequence: waiting for it would hold a caller up for nothing.
            raise FieldInvalid("MIN_SEQUENCE_BEYOND_LOG", str(beyond), field="min_sequence") from None
        await services.queries.wait_for(min_sequence)


Fresh = Annotated[None, Depends(_wait)]
"""A route that takes one takes `min_sequence`. It stands after the caller: nobody waits who is not let in."""
