"""The short way to a route and the long one: the same answers."""

from collections import Counter
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qs

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.routing import APIRoute

from api.app import ROUTERS
from api.epochs import HEADER as EPOCH_HEADER
from api.idempotency import REPLAY_HEADER
from api.shortcut import Shortcut, without_query
from api.tags import ASKED_HEADER
from domain.order import Product
from tests.support.api import ApiWorld
from tests.support.people import Person, registered

INTENT = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}
DRAFT = {"name": "Opening range", "code": "def on_bar(bar):\n    return None\n"}
LONG = {
    "GET /api/audit/events/{sequence}",
    "GET /api/instruments",
    "GET /api/instruments/{segment}/{security_id}",
    "GET /docs",
    "GET /docs/errors",
    "GET /docs/start.js",
    "GET /docs/{name}",
    "GET /healthz",
    "POST /api/positions/close/{position_id}",
    "POST /api/risk/breaches/{kind}/release",
    "POST /api/risk/invariants/{invariant}/release",
    "PUT /api/accounts/{account_id}/members/{user_id}",
    "DELETE /api/accounts/{account_id}/members/{user_id}",
}
"""These have no short way: two names, a number or a word of a list in the path, or something that must be asked."""
ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
SHORT = Shortcut(FastAPI(), routes=ROUTES).paths
UNKNOWN = "nobody=reads-this"
"""With a parameter that is none a request goes the long way."""
QUERIES = (
    "limit=1",
    "limit=1&sort=oldest",
    "limit=0",
    "limit=",
    "limit=1&limit=2",
    "sort=name",
    "status=open&symbol=RELIANCE&day=2026-11-20",
    "status=no-such",
    "day=2026-02-30",
    "open_only=true",
    "open_only=perhaps",
    "min_sequence=1",
    "min_sequence=99999",
    "min_sequence=-1",
    "at_sequence=3",
    "at_sequence=3&as_of=2026-11-20T15:30:00%2B05:30",
    "as_of=yesterday",
    "as_of=2026-11-20T15:30:00+05:30",
    "account_id={account_id}",
    "account_id=acc_nobodys",
    "account_id=%20",
    "source_hash=abc",
    "first_day=2026-11-20&segment=NSE_EQ",
)

ASKED = {
    "/api/trades": {"limit", "sort", "status", "day"},
    "/api/trades/{trade_id}": {"at_sequence", "as_of"},
    "/api/orders": {"status"},
    "/api/positions": {"open_only", "account_id"},
    "/api/risk/portfolio": {"min_sequence", "account_id"},
    "/api/strategies": {"sort", "status"},
    "/api/strategies/{strategy_id}": {"source_hash"},
    "/api/sessions": {"first_day"},
}
"""What is tried where: each dependency and each kind of parameter once."""


class Desk:
    """Somebody with a trade and a strategy, who asks everything both ways."""

    def __init__(self, asha: Person, names: dict[str, str]) -> None:
        self._asha = asha
        self._names = names

    async def both(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> tuple[Any, Any]:
        """Return status, content and headers by the short way and by the long one."""
        named = path.format(**self._names)
        longer = named + ("&" if "?" in named else "?") + UNKNOWN
        return await self._ask(method, named, headers, body), await self._ask(method, longer, headers, body)

    @property
    def headers(self) -> dict[str, str]:
        return self._asha.headers

    async def _ask(self, method: str, target: str, headers: dict[str, str], body: Any) -> Any:
        answer = await self._asha.world.client.request(method, target, headers=headers, json=body)
        kept = {name: value for name, value in answer.headers.items() if name not in {"x-request-id", "ratelimit"}}
        return answer.status_code, answer.content, kept


@pytest.fixture
async def desk() -> Desk:
    asha = await registered(ApiWorld(epoch=lambda: "7-1-1"))
    trade = await asha.done("POST", "/api/trades", INTENT)
    strategy = await asha.done("POST", "/api/strategies", DRAFT)
    account = (await asha.get("/api/accounts"))["accounts"][0]
    names = {
        "trade_id": trade["trade_id"],
        "order_id": trade["order_id"],
        "difference_id": f"{account['account_id']}.d1",
        "strategy_id": strategy["strategy_id"],
        "account_id": account["account_id"],
        "backtest_id": "bt_nobodys",
        "day": "2026-11-21",
    }
    return Desk(asha, names)


def test_every_route_has_a_short_way_unless_its_path_needs_reading() -> None:
    every = {(method, route.path) for route in ROUTES for method in route.methods}
    assert {f"{method} {path}" for method, path in every - SHORT} == LONG


async def test_what_is_read_is_the_same_by_both_ways(desk: Desk) -> None:
    said = [
        {},
        {"Authorization": "Basic YXNoYTpwYXNzd29yZA=="},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nobodys"},
        desk.headers,
        {"authorization": desk.headers["Authorization"].replace("Bearer ", "bearer  ")},
        {**desk.headers, EPOCH_HEADER: "main.6-1-1"},
        {**desk.headers, ASKED_HEADER: "*"},
    ]
    for path in sorted(path for method, path in SHORT if method == "GET"):
        answers = [await desk.both("GET", path, headers) for headers in said]
        for short, long in answers:
            assert short == long
        statuses = [short[0] for short, _ in answers]
        if path != "/readyz":
            assert statuses[:4] == [401] * 4
            assert statuses[4] == (404 if "backtest_id" in path or "{day}" in path else 200)


async def test_what_is_asked_in_a_query_is_answered_the_same_by_both_ways(desk: Desk) -> None:
    statuses: Counter[int] = Counter()
    for path, names in ASKED.items():
        for query in (each for each in QUERIES if names & set(parse_qs(each, keep_blank_values=True))):
            headers = {EPOCH_HEADER: "main.6-1-1"} if "min_sequence" in query else {}
            for said in (desk.headers, {**desk.headers, **headers})[: 1 + bool(headers)]:
                short, long = await desk.both("GET", f"{path}?{query}", said)
                assert short == long, query
                statuses[short[0]] += 1
    assert statuses.keys() == {200, 404, 409, 422}


async def test_what_is_refused_is_refused_the_same_by_both_ways(desk: Desk) -> None:
    for method, path in sorted(each for each in SHORT if each[0] != "GET"):
        asked = [
            await desk.both(method, path, headers, body)
            for headers in ({}, desk.headers, {**desk.headers, "Idempotency-Key": "k"})
            for body in ([], {"no_such_field": 1})
        ]
        # What takes no body may be done, and then there is less left for the second to do.
        refused = [(short, long) for short, long in asked if short[0] >= HTTPStatus.BAD_REQUEST]
        assert refused
        for short, long in refused:
            assert short == long
            assert short[0] < HTTPStatus.INTERNAL_SERVER_ERROR


async def test_an_intent_is_one_and_the_same_by_both_ways(desk: Desk) -> None:
    headers = {**desk.headers, "Idempotency-Key": "once"}
    short, long = await desk.both("POST", "/api/trades", headers, {**INTENT, "product": Product.CNC.value})
    assert (short[:2], long[:2]) == ((201, short[1]), (201, short[1]))
    assert (REPLAY_HEADER.lower() in short[2], long[2][REPLAY_HEADER.lower()]) == (False, "true")


async def test_a_path_that_only_looks_like_one_is_none(desk: Desk) -> None:
    for path in ("/api/trades//orders", "/api/trades/{{}}", "/api/trades/{{}}/orders", "/api/trades/a/b/c", "//"):
        short, long = await desk.both("GET", path, desk.headers)
        assert short == long
        assert short[0] == HTTPStatus.NOT_FOUND
    short, long = await desk.both("GET", "/api/trades/", desk.headers)
    assert (short[0], long[0]) == (HTTPStatus.TEMPORARY_REDIRECT,) * 2  # Of which the query is a part.


async def nothing(_: Request) -> str:
    """Answer what a dependency answers to no query."""
    return "nothing asked"


@without_query(nothing)
async def declared(request: Request, wanted: int = 1) -> str:
    return f"asked {wanted} of {request.url.path}"


@without_query(nothing)
async def on_another(beneath: Annotated[str, Depends(declared)], other: int = 2) -> str:
    return f"asked {other} over {beneath}"


@without_query(nothing)
def in_a_thread(wanted: int = 1) -> str:
    return f"asked {wanted}"


async def undeclared() -> str:
    return "always"


async def of_declared(request: Request, known: Annotated[str, Depends(declared)], own: int = 7) -> Response:
    return Response(f"{request.url.path} {known} {own}")


async def of_another(request: Request, known: Annotated[str, Depends(on_another)]) -> Response:
    return Response(f"{request.url.path} {known}")


async def of_a_thread(request: Request, known: Annotated[str, Depends(in_a_thread)]) -> Response:
    return Response(f"{request.url.path} {known}")


async def of_undeclared(request: Request, known: Annotated[str, Depends(undeclared)]) -> Response:
    return Response(f"{request.url.path} {known}")


async def of_required(request: Request, wanted: str) -> Response:
    return Response(f"{request.url.path} {wanted}")


async def of_number(request: Request, number: int) -> Response:
    return Response(f"{request.url.path} {number}")


async def of_two(request: Request, one: str, two: str) -> Response:
    return Response(f"{request.url.path} {one} {two}")


async def of_header(request: Request, number: Annotated[int, Header()] = 0) -> Response:
    return Response(f"{request.url.path} {number}")


async def of_nobody() -> Response:
    return Response()


def router_of(path: str, endpoint: Any) -> APIRouter:
    router = APIRouter()
    router.add_api_route(path, endpoint)
    return router


@pytest.mark.parametrize(
    ("path", "endpoint", "is_short"),
    [
        ("/api/x", of_declared, True),
        ("/api/x", of_undeclared, False),
        ("/api/x", of_required, False),
        ("/api/x/{number}", of_number, False),
        ("/api/{one}/{two}", of_two, False),
        ("/api/x", of_header, False),
        ("/api/x", of_nobody, False),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_only_what_needs_no_reading_has_a_short_way(path: str, endpoint: Any, is_short: bool) -> None:  # noqa: FBT001
    assert bool(Shortcut(FastAPI(), routes=router_of(path, endpoint).routes).paths) is is_short


@pytest.mark.parametrize(
    ("endpoint", "query", "shown"),
    [
        (of_declared, "", "/api/x nothing asked 7"),
        (of_declared, "?own=3", "/api/x nothing asked 3"),
        (of_declared, "?own=3&wanted=5", "/api/x asked 5 of /api/x 3"),
        (of_declared, "?own=x", None),
        (of_declared, "?own=1&own=2", None),
        (of_declared, "?other=2", None),
        (of_another, "", "/api/x nothing asked"),
        (of_another, "?other=4", None),
        (of_a_thread, "", "/api/x nothing asked"),
        (of_a_thread, "?wanted=4", None),
    ],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
async def test_what_is_asked_is_handed_to_whom_it_is_for(endpoint: Any, query: str, shown: str | None) -> None:
    app = FastAPI()  # It has no routes: whatever goes the long way is not found.
    app.add_middleware(Shortcut, routes=router_of("/api/x", endpoint).routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://khata.test") as client:
        answer = await client.get(f"/api/x{query}")
    assert (answer.text if answer.status_code == HTTPStatus.OK else None) == shown
