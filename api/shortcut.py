"""The short way to a route: a request without a query goes to its function directly.

What a framework does for parameters costs several times what most requests do: it matches one route after another, and
solves a tree of dependencies although nothing was asked of them. A request that has no query needs none of that: each
dependency has one answer then, which it declares with `without_query`. Routes are found by their path, and their
functions, their dependencies and whatever these refuse are the same.

Whatever is not as simple as that goes the long way: a query, a parameter with a rule to it, a dependency that has not
declared anything. `tests/unit/test_shortcut.py` holds both ways to the same answers.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import TABLE, answer_exception

Plain = Callable[[Request], Awaitable[Any]]
Dependency = TypeVar("Dependency", bound=Callable[..., Any])

_ANSWERED = tuple(TABLE)
_NAMED = 3
"""Which part of a path may be a name: `/api/trades/{trade_id}` and `/api/trades/{trade_id}/orders`."""
_PLAIN: dict[Callable[..., Any], Plain] = {}


def without_query(plain: Plain) -> Callable[[Dependency], Dependency]:
    """Declare what a dependency answers to a request without a query."""

    def declare(dependency: Dependency) -> Dependency:
        _PLAIN[dependency] = plain
        return dependency

    return declare


class _Way(NamedTuple):
    """The way to a route's function: its dependencies in their order, and what else it is called with.

    `defaults` are what parameters of the query are without one, `headers` tells which header a parameter is, and
    `named` which parameter is the name in the path, empty: none.
    """

    route: APIRoute
    dependencies: tuple[tuple[str, Plain], ...]
    defaults: dict[str, Any]
    headers: tuple[tuple[str, str], ...]
    named: str

    async def answer(self, request: Request, name: str) -> Response:
        """Return the answer of the route's function."""
        values = dict(self.defaults)
        for parameter, plain in self.dependencies:
            values[parameter] = await plain(request)
        for parameter, header in self.headers:
            values[parameter] = request.headers.get(header)
        if self.named:
            values[self.named] = name
        response: Response = await self.route.endpoint(request=request, **values)
        return response


class Shortcut:
    """The layer before the routes."""

    def __init__(self, app: ASGIApp, *, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._ways: dict[tuple[str, str], _Way] = {}
        self._named: dict[tuple[str, str], _Way] = {}
        for route in routes:
            if isinstance(route, APIRoute) and (way := _way_to(route)) is not None:
                ways, path = (self._named, _nameless(route.path)[0]) if way.named else (self._ways, route.path)
                for method in route.methods or ():
                    ways.setdefault((method, path), way)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        found = self._way_of(scope) if scope["type"] == "http" and not scope["query_string"] else None
        if found is None:
            await self._app(scope, receive, send)
            return
        way, name = found
        scope["route"], scope["endpoint"] = way.route, way.route.endpoint
        scope["path_params"] = {way.named: name} if way.named else {}
        request = Request(scope, receive, send)
        try:
            response = await way.answer(request, name)
        except _ANSWERED as refused:
            response = await answer_exception(request, refused)
        await response(scope, receive, send)

    def _way_of(self, scope: Scope) -> tuple[_Way, str] | None:
        method, path = scope["method"], scope["path"]
        way = self._ways.get((method, path))
        if way is not None:
            return way, ""
        nameless, name = _nameless(path)
        way = self._named.get((method, nameless)) if name else None
        return None if way is None else (way, name)

    @property
    def paths(self) -> set[tuple[str, str]]:
        """Methods and paths of the routes to which there is a short way."""
        return {(method, way.route.path) for (method, _), way in (self._ways | self._named).items()}


def _nameless(path: str) -> tuple[str, str]:
    """Return *path* without the part that may be a name, and that part; it is empty where the path has none."""
    parts = path.split("/")
    if len(parts) <= _NAMED:
        return path, ""
    name, parts[_NAMED] = parts[_NAMED], "{}"
    return "/".join(parts), name


def _way_to(route: APIRoute) -> _Way | None:
    """Return the short way to *route*, None where there is none."""
    asked = route.dependant
    dependencies = _plain_dependencies(asked)
    fields = [*asked.path_params, *asked.header_params]
    is_simple = (
        dependencies is not None
        and asked.request_param_name == "request"
        and not any((asked.cookie_params, asked.body_params, asked.response_param_name))
        and all(field.field_info.annotation in {str, str | None} and not field.field_info.metadata for field in fields)
        and not any(field.field_info.is_required() for field in asked.query_params)
    )
    if not is_simple or dependencies is None:
        return None
    names = [field.name for field in asked.path_params]
    parts = route.path.split("/")
    if names and (len(names) > 1 or len(parts) <= _NAMED or parts[_NAMED] != f"{{{names[0]}}}"):
        return None
    return _Way(
        route=route,
        dependencies=dependencies,
        defaults={field.name: field.get_default() for field in asked.query_params},
        headers=tuple((field.name, field.alias) for field in asked.header_params),
        named=names[0] if names else "",
    )


def _plain_dependencies(asked: Dependant) -> tuple[tuple[str, Plain], ...] | None:
    """Return what answers each dependency, by the parameter it is for; None where one has not declared anything."""
    plain = [(each.name, _PLAIN.get(each.call)) for each in asked.dependencies if each.call is not None]
    found = tuple((name, answer) for name, answer in plain if name is not None and answer is not None)
    return found if len(found) == len(asked.dependencies) else None
