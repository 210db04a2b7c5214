"""Who may do what: every route, asked by everybody."""

from dataclasses import dataclass
from typing import Any

import pytest
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
}
"""These prove who asks, or tell nothing of anybody."""
OWN = {
    "GET /api/auth/profile",
    "PUT /api/auth/profile",
    "GET /api/accounts",
    "POST /api/accounts",
    "GET /api/strategies",
    "POST /api/strategies",
    "GET /api/backtests",
    "GET /api/audit/events",
}
"""These act on what is the caller's own, whoever it is."""
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
    "GET /api/positions": MEMBERS,
    "GET /api/risk/portfolio": MEMBERS,
    "GET /api/risk/exposure": MEMBERS,
    "GET /api/risk/budgets": MEMBERS,
    "GET /api/risk/drawdown": MEMBERS,
    "GET /api/risk/var": MEMBERS,
    "GET /api/risk/parameters": MEMBERS,
    "GET /api/funds": MEMBERS,
    "GET /api/holdings": MEMBERS,
    "GET /api/accounts/{account_id}": MEMBERS,
    "GET /api/audit/events/{sequence}": MEMBERS,
    "POST /api/trades": TRADERS,
    "POST /api/trades/basket": TRADERS,
    "PUT /api/trades/{trade_id}": TRADERS,
    "DELETE /api/trades/{trade_id}": TRADERS,
    "POST /api/trades/{trade_id}/close": TRADERS,
    "POST /api/positions/close-all": TRADERS,
    "POST /api/positions/{position_id}/close": TRADERS,
    "POST /api/risk/kill-switch": TRADERS,
    "DELETE /api/risk/kill-switch": OWNERS,
    "POST /api/risk/breaches/{kind}/release": OWNERS,
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
            position_id="NSE_EQ-2885-INTRADAY",
            kind="day_loss",
            account_id=owner.account_id,
            user_id=owner.user_id,
            sequence=self.sequence,
            strategy_id=self.strategy_id,
            backtest_id="btt_01J000000000000000000000A1",
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
        "POST /api/trades/basket": {"legs": [TRADE, TRADE]},
        "PUT /api/trades/{trade_id}": {"expected_version": 1, "stop_loss": "2810.00"},
        "POST /api/risk/kill-switch": {"reason": "tried"},
        "POST /api/risk/breaches/{kind}/release": {"reason": "tried"},
        "POST /api/funds/movements": {"amount": "100.00", "reason": "tried"},
        "PUT /api/accounts/{account_id}/members/{user_id}": {"role": "owner"},
        "PUT /api/strategies/{strategy_id}": STRATEGY,
    }
    return bodies.get(route)


@pytest.mark.parametrize("route", sorted(ACCOUNT))
async def test_a_route_on_an_account_lets_in_whom_its_line_names(route: str) -> None:
    case = await _case()
    method, path, body = route.partition(" ")[0], case.path_of(route), await _body_of(route, case)
    # The smallest role first: what a larger one does may change what the others would find.
    for name in (STRANGER, VIEWER, TRADER, OWNER):
        before = await case.people[name].world.stored()
        answer = await case.people[name].ask(method, path, body)
        if name in ACCOUNT[route]:
            assert answer.status_code < 400 or answer.json()["code"] not in {"ROLE_INSUFFICIENT", "ACCOUNT_NOT_FOUND"}
            assert answer.status_code not in {401, 422}, answer.text
            continue
        code = answer.json()["code"]
        expected = (403, "ROLE_INSUFFICIENT") if name != STRANGER else (404, NOT_THERE.get(route, "ACCOUNT_NOT_FOUND"))
        assert (answer.status_code, code) == expected
        assert await case.people[name].world.stored() == before


NOT_THERE = {"GET /api/audit/events/{sequence}": "AUDIT_EVENT_NOT_FOUND"}


@pytest.mark.parametrize("route", sorted(MINE))
async def test_what_is_one_persons_is_nobody_elses(route: str) -> None:
    case = await _case()
    method, path, body = route.partition(" ")[0], case.path_of(route), await _body_of(route, case)
    for name in (STRANGER, VIEWER, TRADER):
        answer = await case.people[name].ask(method, path, body)
        assert answer.status_code == 404
        there_is_none = path.replace(case.strategy_id, "str_01J00000000000000000000000")
        same = await case.people[name].ask(method, there_is_none, body)
        assert (same.status_code, same.json()["code"]) == (404, answer.json()["code"])


@pytest.mark.parametrize("route", sorted(set(ROUTES) - OPEN))
async def test_nobody_gets_in_without_a_token(route: str) -> None:
    world = ApiWorld()
    method, _, path = route.partition(" ")
    answer = await world.client.request(method, path, headers={"Idempotency-Key": "one"})
    assert (answer.status_code, answer.json()["code"]) == (401, "TOKEN_MISSING")
    assert await world.stored() == 0


@pytest.mark.parametrize(
    "route", sorted(route for route in ACCOUNT if "{account_id}" not in route and "audit" not in route)
)
async def test_an_account_that_there_is_not_looks_like_one_of_somebody_else(route: str) -> None:
    case = await _case()
    method, body = route.partition(" ")[0], await _body_of(route, case)
    stranger, foreign = case.people[STRANGER], case.path_of(route)
    nowhere = foreign.replace(case.people[OWNER].account_id, "acc_01J00000000000000000000000")
    answers = [(await stranger.ask(method, path, body)).json() for path in (foreign, nowhere)]
    assert [answer["detail"] for answer in answers] == ["no such account"] * 2
