"""Who may do what: every route, asked by everybody."""

from dataclasses import dataclass
from typing import Any

from fastapi.routing import APIRoute

from api.app import ROUTERS
from tests.support.api import ApiWorld
from tests.support.people import Person, registered

OWNER, TRADER, VIEWER, STRANGER = "owner", "trader", "viewer", "stranger"
EVERYBODY = frozenset({OWNER, TRADER, VIEWER, STRANGER})
MEMBERS = EVERYBODY - {STRANGER}
TRADERS = MEMBERS - {VIEWER}
OWNERS = frozenset({OWNER})

OPEN = {
    "POST /api/auth/register",
    "POST /api/auth/login",
    "POST /api/auth/refresh",
    "POST /api/auth/logout",
    "GET /healthz",
    "GET /readyz",
    "GET /docs",
    "GET /docs/errors",
    "GET /docs/start.js",
    "GET /docs/{name}",
}
"""These prove who asks, or tell nothing of anybody."""
OWN = {
    "GET /api/auth/profile",
    "GET /api/sessions",
    "POST /api/charges/estimate",
    "GET /api/instruments",
    "GET /api/instruments/{segment}/{security_id}",
    "PUT /api/auth/profile",
    "GET /api/accounts",
    "POST /api/accounts",
    "GET /api/strategies",
    "POST /api/strategies",
    "GET /api/backtests",
    "GET /api/audit/events",
}
"""These act on what is the caller's own, or is the same for everybody who is logged in."""
MINE = {
    "GET /api/strategies/{strategy_id}",
    "PUT /api/strategies/{strategy_id}",
    "DELETE /api/strategies/{strategy_id}",
    "GET /api/backtests/{backtest_id}",
}
"""These name something that belongs to a person, and to nobody else."""

ACCOUNT: dict[str, frozenset[str]] = {
    "GET /api/trades": MEMBERS,
    "GET /api/trades/{trade_id}": MEMBERS,
    "GET /api/trades/{trade_id}/orders": MEMBERS,
    "GET /api/orders": MEMBERS,
    "GET /api/orders/in-doubt": MEMBERS,
    "GET /api/alerts": MEMBERS,
    "GET /api/positions": MEMBERS,
    "GET /api/risk/portfolio": MEMBERS,
    "GET /api/risk/exposure": MEMBERS,
    "GET /api/risk/budgets": MEMBERS,
    "GET /api/reconciliation": MEMBERS,
    "POST /api/reconciliation/{difference_id}/resolve": OWNERS,
    "GET /api/risk/drawdown": MEMBERS,
    "GET /api/risk/value-at-risk": MEMBERS,
    "GET /api/risk/parameters": MEMBERS,
    "GET /api/contract-notes": MEMBERS,
    "GET /api/contract-notes/{day}": MEMBERS,
    "GET /api/funds": MEMBERS,
    "GET /api/holdings": MEMBERS,
    "GET /api/accounts/{account_id}": MEMBERS,
    "GET /api/audit/events/{sequence}": MEMBERS,
    "POST /api/trades": TRADERS,
    "POST /api/baskets": TRADERS,
    "PUT /api/trades/{trade_id}": TRADERS,
    "POST /api/trades/{trade_id}/cancel": TRADERS,
    "POST /api/trades/{trade_id}/close": TRADERS,
    "POST /api/orders/{order_id}/resolve": TRADERS,
    "POST /api/positions/close-all": TRADERS,
    "POST /api/positions/close/{position_id}": TRADERS,
    "POST /api/risk/kill-switch": TRADERS,
    "DELETE /api/risk/kill-switch": OWNERS,
    "POST /api/risk/breaches/{kind}/release": OWNERS,
    "POST /api/risk/invariants/{invariant}/release": OWNERS,
    "PUT /api/risk/parameters": OWNERS,
    "POST /api/funds/movements": OWNERS,
    "PUT /api/accounts/{account_id}/members/{user_id}": OWNERS,
    "DELETE /api/accounts/{account_id}/members/{user_id}": OWNERS,
}
"""These act on an account: who of its members may, and who is no member may not."""

ROUTES = sorted(
    f"{method} {route.path}"
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in route.methods
)


def test_every_route_has_its_line() -> None:
    assert set(ROUTES) == OPEN | OWN | MINE | set(ACCOUNT)


@dataclass
class Case:
    """An account with a trade and its members, and somebody who has nothing to do with it."""

    people: dict[str, Person]
    trade_id: str
    sequence: int
    strategy_id: str

    def path_of(self, route: str) -> str:
        owner = self.people[OWNER]
        path = route.partition(" ")[2].format(
            trade_id=self.trade_id,
            order_id=f"{self.trade_id}.1",
            difference_id=f"{owner.account_id}.d1",
            position_id="NSE_EQ-2885-INTRADAY",
            kind="day_loss",
            invariant="sent_twice",
            account_id=owner.account_id,
            user_id=owner.user_id,
            sequence=self.sequence,
            strategy_id=self.strategy_id,
            backtest_id="btt_01J000000000000000000000A1",
            day="2026-11-20",
        )
        return path if "{account_id}" in route or "audit" in route else f"{path}?account_id={owner.account_id}"


async def _case() -> Case:
    world = ApiWorld()
    people = {name: await registered(world, name) for name in (OWNER, TRADER, VIEWER, STRANGER)}
    owner = people[OWNER]
    for name in (TRADER, VIEWER):
        path = f"/api/accounts/{owner.account_id}/members/{people[name].user_id}"
        await owner.done("PUT", path, {"role": name})
    opened = await owner.done("POST", "/api/trades", TRADE)
    strategy = await owner.done("POST", "/api/strategies", {"name": "Range", "code": "pass\n"})
    return Case(people, opened["trade_id"], opened["sequence"], strategy["strategy_id"])


TRADE = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10, "stop_loss": "2800.00"}
STRATEGY = {"name": "Range", "code": "pass\n", "expected_version": 1}


async def _body_of(route: str, case: Case) -> Any:
    """Return a body that is well formed, so that nothing but the role stands against the request."""
    if route == "PUT /api/risk/parameters":
        return (await case.people[OWNER].get("/api/risk/parameters"))["parameters"]
    bodies: dict[str, Any] = {
        "POST /api/trades": TRADE,
        "POST /api/baskets": {"legs": [TRADE, TRADE]},
        "PUT /api/trades/{trade_id}": {"expected_version": 1, "stop_loss": "2810.00"},
        "POST /api/orders/{order_id}/resolve": {"resolution": "absent", "reason": "tried"},
        "POST /api/reconciliation/{difference_id}/resolve": {"reason": "tried"},
        "POST /api/risk/kill-switch": {"reason": "tried"},
        "POST /api/risk/breaches/{kind}/release": {"reason": "tried"},
        "POST /api/risk/invariants/{invariant}/release": {"reason": "tried"},
        "POST /api/funds/movements": {"amount": "100.00", "reason": "tried"},
        "PUT /api/accounts/{account_id}/members/{user_id}": {"role": "owner"},
        "PUT /api/strategies/{strategy_id}": STRATEGY,
    }
    return bodies.get(route)


NOT_THERE = {"GET /api/audit/events/{sequence}": "AUDIT_EVENT_NOT_FOUND"}
"""What a stranger is told where it is not the account that is not there."""


def _refusal_of(route: str, name: str) -> tuple[int, str]:
    return (404, NOT_THERE.get(route, "ACCOUNT_NOT_FOUND")) if name == STRANGER else (403, "ROLE_INSUFFICIENT")


async def test_a_route_on_an_account_lets_in_whom_its_line_names() -> None:
    case = await _case()
    told: dict[tuple[str, str], tuple[int, str]] = {}
    for route in sorted(ACCOUNT):
        method, path, body = route.partition(" ")[0], case.path_of(route), await _body_of(route, case)
        for name in sorted(EVERYBODY - ACCOUNT[route]):
            before = await case.people[name].world.stored()
            told[route, name] = await case.people[name].refused(method, path, body)
            assert await case.people[name].world.stored() == before
    assert told == {
        (route, name): (403, "ROLE_INSUFFICIENT")
        if name != STRANGER
        else (404, NOT_THERE.get(route, "ACCOUNT_NOT_FOUND"))
        for route, allowed in ACCOUNT.items()
        for name in EVERYBODY - allowed
    }
    for route in sorted(ACCOUNT):
        method, path, body = route.partition(" ")[0], case.path_of(route), await _body_of(route, case)
        for name in sorted(ACCOUNT[route]):
            # What others did before may stand against it (a trade that is closed, say), but never the role.
            answer = await case.people[name].ask(method, path, body)
            assert answer.status_code not in {401, 422}, (route, name, answer.text)
            assert answer.status_code < 400 or answer.json()["code"] not in {"ROLE_INSUFFICIENT", "ACCOUNT_NOT_FOUND"}


async def test_what_is_one_persons_is_nobody_elses() -> None:
    case = await _case()
    for route in sorted(MINE):
        method, path, body = route.partition(" ")[0], case.path_of(route), await _body_of(route, case)
        there_is_none = path.replace(case.strategy_id, "str_01J00000000000000000000000")
        for name in (STRANGER, VIEWER, TRADER):
            foreign, nowhere = [await case.people[name].ask(method, asked, body) for asked in (path, there_is_none)]
            assert (foreign.status_code, foreign.json()["code"]) == (404, nowhere.json()["code"])
            assert foreign.json()["detail"] == nowhere.json()["detail"]


async def test_nobody_gets_in_without_a_token() -> None:
    world = ApiWorld()
    for route in sorted(set(ROUTES) - OPEN):
        method, _, path = route.partition(" ")
        answer = await world.client.request(method, path, headers={"Idempotency-Key": "one"})
        assert (answer.status_code, answer.json()["code"]) == (401, "TOKEN_MISSING"), route
    assert await world.stored() == 0


async def test_an_account_that_there_is_not_looks_like_one_of_somebody_else() -> None:
    case = await _case()
    stranger = case.people[STRANGER]
    for route in sorted(set(ACCOUNT) - set(NOT_THERE)):
        method, path, body = route.partition(" ")[0], case.path_of(route), await _body_of(route, case)
        nowhere = path.replace(case.people[OWNER].account_id, "acc_01J00000000000000000000000")
        answers = [(await stranger.ask(method, asked, body)).json() for asked in (path, nowhere)]
        assert [answer["detail"] for answer in answers] == ["no such account"] * 2, route
