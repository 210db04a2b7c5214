"""The short way to a route: from its path to its function, past what a framework does for every kind of request.

To match one route after another and to solve a tree of dependencies costs several times what most requests do. Here
routes are found by their path. A dependency of which nothing is asked in the query has one answer, which it declares
with `without_query`; one of which something is asked is called with what was asked. Parameters are checked by the
framework's own rules, functions and dependencies are the same, and so is whatever they refuse.

Whatever is not as simple as that goes the long way: a parameter that is refused, unknown or comes twice, a path with a
rule to it, a dependency that has not declared anything. `tests/unit/test_shortcut.py` holds both ways to the same
answers.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import iscoroutinefunction
from typing import Any, NamedTuple, Protocol, TypeVar

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import TABLE, answer_exception


class Parameter(Protocol):
    """A parameter as the framework knows it."""

    @property
    def name(self) -> str:
        """What the function calls it."""

    @property
    def alias(self) -> str:
        """What clients call it."""

    @property
    def field_info(self) -> Any:
        """What is declared of it."""

    def get_default(self) -> Any:
        """Return what it is where nothing is sent."""

    def validate(self, value: Any, values: dict[str, Any] = ..., *, loc: tuple[int | str, ...] = ...) -> Any:
        """Return the value that a text means, and why it means none."""


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


Given = dict[int, dict[str, Any]]
"""What was asked in a query: of which dependency, by its place (`_OWN`: of the function itself), and by parameter."""
_OWN = -1


class _Dependency(NamedTuple):
    """A dependency: for which parameter it is, and what it answers where nothing is asked of it, or something is.

    `beneath` are its own dependencies, of which nothing can be asked, and `headers` tells which header a parameter is.
    It is called with the request where it `takes_request`.
    """

    name: str
    plain: Plain
    call: Callable[..., Awaitable[Any]]
    beneath: tuple[tuple[str, Plain], ...]
    headers: tuple[tuple[str, str], ...]
    takes_request: bool

    async def answer(self, request: Request, given: dict[str, Any] | None) -> Any:
        if given is None:
            return await self.plain(request)
        values = {name: await plain(request) for name, plain in self.beneath}
        if self.takes_request:
            values["request"] = request
        return await self.call(**values, **_headers_of(request, self.headers), **given)


class _Way(NamedTuple):
    """The way to a route's function: its dependencies in their order, and what else it is called with.

    `defaults` are what its own parameters of the query are without one, `headers` tells which header a parameter is,
    and `named` which parameter is the name in the path, empty: none. `asked` are all parameters of the query.
    """

    route: APIRoute
    dependencies: tuple[_Dependency, ...]
    defaults: dict[str, Any]
    headers: tuple[tuple[str, str], ...]
    named: str
    asked: Mapping[str, tuple[int, Parameter]]

    def given_by(self, query: QueryParams) -> Given | None:
        """Return what *query* asks; None where it has to go the long way."""
        given: Given = {}
        items = query.multi_items()
        if len(items) != len(query):
            return None
        for name, text in items:
            place, field = self.asked.get(name, _UNKNOWN)
            if field is None:
                return None
            value, errors = field.validate(text, {}, loc=("query", name))
            if errors:
                return None
            given.setdefault(place, {})[field.name] = value
        return given

    async def answer(self, request: Request, name: str, given: Given) -> Response:
        """Return the answer of the route's function."""
        values = dict(self.defaults)
        for place, dependency in enumerate(self.dependencies):
            values[dependency.name] = await dependency.answer(request, given.get(place))
        values |= _headers_of(request, self.headers)
        values |= given.get(_OWN, {})
        if self.named:
            values[self.named] = name
        response: Response = await self.route.endpoint(request=request, **values)
        return response


_UNKNOWN: tuple[int, Parameter | None] = (_OWN, None)


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
        found = self._way_of(scope) if scope["type"] == "http" else None
        request = Request(scope, receive, send)
        given = {} if found is None or not scope["query_string"] else found[0].given_by(request.query_params)
        if found is None or given is None:
            await self._app(scope, receive, send)
            return
        way, name = found
        scope["route"], scope["endpoint"] = way.route, way.route.endpoint
        scope["path_params"] = {way.named: name} if way.named else {}
        try:
            response = await way.answer(request, name, given)
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
    dependencies = _dependencies_of(asked)
    is_simple = (
        dependencies is not None
        and asked.request_param_name == "request"
        and not any((asked.cookie_params, asked.body_params, asked.response_param_name))
        and _are_texts([*asked.path_params, *asked.header_params])
        and not any(field.field_info.is_required() for field in asked.query_params)
    )
    if not is_simple or dependencies is None:
        return None
    names = [field.name for field in asked.path_params]
    parts = route.path.split("/")
    if names and (len(names) > 1 or len(parts) <= _NAMED or parts[_NAMED] != f"{{{names[0]}}}"):
        return None
    own = {field.alias: (_OWN, field) for field in asked.query_params}
    of_dependencies = {
        field.alias: (place, field)
        for place, each in enumerate(asked.dependencies)
        if _can_be_asked(each)
        for field in each.query_params
    }
    return _Way(
        route=route,
        dependencies=dependencies,
        defaults={field.name: field.get_default() for field in asked.query_params},
        headers=_header_names(asked),
        named=names[0] if names else "",
        asked=of_dependencies | own,
    )


def _dependencies_of(asked: Dependant) -> tuple[_Dependency, ...] | None:
    """Return the dependencies of *asked*; None where one has not declared what it answers without a query."""
    found = []
    for each in asked.dependencies:
        plain = None if each.call is None else _PLAIN.get(each.call)
        if plain is None or each.call is None or each.name is None:
            return None
        beneath = _plain_beneath(each) or ()
        takes_request = each.request_param_name is not None
        found.append(_Dependency(each.name, plain, each.call, beneath, _header_names(each), takes_request))
    return tuple(found)


def _plain_beneath(asked: Dependant) -> tuple[tuple[str, Plain], ...] | None:
    """Return what answers each dependency of *asked*; None where one has not declared that, or can be asked."""
    plain = [
        (each.name, None if each.query_params else _PLAIN.get(each.call)) for each in asked.dependencies if each.call
    ]
    found = tuple((name, answer) for name, answer in plain if name is not None and answer is not None)
    return found if len(found) == len(asked.dependencies) else None


def _can_be_asked(dependency: Dependant) -> bool:
    """Tell whether a dependency can be called here with what was asked of it."""
    return (
        iscoroutinefunction(dependency.call)
        and dependency.request_param_name in {"request", None}
        and not any((dependency.path_params, dependency.cookie_params, dependency.body_params))
        and not any(field.field_info.is_required() for field in dependency.query_params)
        and _plain_beneath(dependency) is not None
        and _are_texts(dependency.header_params)
    )


def _are_texts(fields: Iterable[Parameter]) -> bool:
    """Tell whether parameters take any text."""
    return all(each.field_info.annotation in {str, str | None} and not each.field_info.metadata for each in fields)


def _header_names(asked: Dependant) -> tuple[tuple[str, str], ...]:
    return tuple((field.name, field.alias) for field in asked.header_params)


def _headers_of(request: Request, headers: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {parameter: request.headers.get(header) for parameter, header in headers}
