"""How the paths read and answer: JSON both ways, a refusal in its own shape."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from adapters.simulator.words.refusals import Refusal, bad_input

Handler = Callable[[Request], Awaitable[Response]]


def answer(value: Any, status: int = 200) -> Response:
    """Return *value* as a JSON response."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def guarded(handler: Handler) -> Handler:
    """Answer refusals in their own shape."""

    async def guarded_handler(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            return answer(refusal.body, refusal.status)

    return guarded_handler


async def json_of(request: Request) -> Any:
    """Return what the body holds.

    Raises:
        Refusal: it is no JSON.
    """
    try:
        return msgspec.json.decode(await request.body())
    except msgspec.DecodeError:
        raise bad_input() from None
