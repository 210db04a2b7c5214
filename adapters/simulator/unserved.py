"""The broker's paths without a server: who has the bytes of a request gets those of the answer at once.

The handlers are those that a server calls. What a server alone can do, such as to cut a connection, is not there: a
fault that asks for it fails.
"""

from collections.abc import Awaitable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from adapters.simulator.desk import Desk
from adapters.simulator.paths.account_routes import account_routes
from adapters.simulator.paths.broker_routes import broker_routes
from adapters.simulator.words.answers import Handler

_NOBODY = ("127.0.0.1", 0)


class Unserved:
    """The paths of one simulator: log-in, orders, trades, positions, money, addresses."""

    def __init__(self, desk: Desk) -> None:
        routes = [route for route in (*broker_routes(desk), *account_routes(desk)) if isinstance(route, Route)]
        self._plain = {(method, route.path): _handler_of(route) for route in routes for method in route.methods or ()}
        self._by_pattern = [route for route in routes if route.param_convertors]

    def answer(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> tuple[int, bytes]:
        """Return the status and the body of the answer.

        Raises:
            LookupError: there is no such path.
        """
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "root_path": "",
            "query_string": urlencode(params).encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": _NOBODY,
            "path_params": {},
        }
        handler = self._plain.get((method, path)) or self._find(scope)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body or b"", "more_body": False}

        response = _run(handler(Request(scope, receive)))
        return response.status_code, bytes(response.body)

    def _find(self, scope: dict[str, Any]) -> Handler:
        for route in self._by_pattern:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                return _handler_of(route)
        raise LookupError(f"received {scope['method']} {scope['path']}, which is none of the broker's paths")


def _handler_of(route: Route) -> Handler:
    handler: Handler = route.endpoint
    return handler


def _run(answering: Awaitable[Response]) -> Response:
    """Return what *answering* comes to: it has all that it needs, so it never has to wait."""
    try:
        next(iter(answering.__await__()))
    except StopIteration as done:
        response: Response = done.value
        return response
    raise RuntimeError("received a request that waits for something, which needs a server")
