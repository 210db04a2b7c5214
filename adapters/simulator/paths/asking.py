"""The way of a call that asks something and changes no order: whose it is, how often it may come, what goes wrong."""

import hashlib
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from adapters.simulator.access.limits import Family
from adapters.simulator.desk import Desk
from adapters.simulator.faults.call_faults import FaultTarget
from adapters.simulator.paths.striking import strike_answer, strike_before
from adapters.simulator.words.answers import Handler, guarded

_VERSION_PREFIX = "/v2"

Asked = Callable[[Request, str], Awaitable[Response]]
"""Answers a request, given whose it is."""

_TARGETS = {Family.QUOTES: FaultTarget.QUOTE, Family.OPTION_CHAIN: FaultTarget.QUOTE}


def asking(desk: Desk, family: Family, asked: Asked) -> Handler:
    """Return the whole handler around *asked*: who asks, within the family's limits, under the faults to come."""
    target = _TARGETS.get(family, FaultTarget.READ)

    async def handler(request: Request) -> Response:
        asked_path: str = request.scope["path"]
        # Of option chains the very same question counts, and no other.
        is_unique = family is Family.OPTION_CHAIN
        subject = hashlib.sha256(asked_path.encode() + await request.body()).hexdigest() if is_unique else ""
        client_id = desk.authenticate(request, family, subject=subject)
        path = asked_path.removeprefix(_VERSION_PREFIX)
        fault = desk.faults.take(target, client_id=client_id, path=path)
        early = await strike_before(desk, fault, request, client_id=client_id)
        if early is not None:
            return early
        return await strike_answer(desk, fault, request, await asked(request, client_id), client_id=client_id)

    return guarded(handler)
