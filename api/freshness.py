"""Reading your own writes: a query waits until the views show what the caller has seen."""

from typing import Annotated

from fastapi import Depends, Header, Query, Request

from api.epochs import HEADER, demand_present_epoch
from api.services import services_of

SEQUENCE_MAX = 2**63 - 1


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
    if min_sequence is not None:
        await services_of(request).queries.wait_for(min_sequence)


Fresh = Annotated[None, Depends(_wait)]
"""A route that takes one takes `min_sequence`. It stands after the caller: nobody waits who is not let in."""
