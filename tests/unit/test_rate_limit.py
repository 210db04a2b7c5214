"""Rates: who is counted, in what, what they are told, and what a flood costs."""

from typing import Any

import httpx
import pytest
from limits import RateLimitItemPerMinute, RateLimitItemPerSecond

from api.errors import RateLimited
from api.rate_limit import KEYS_MAX, MovingWindows, Quota, network_of
from api.rates import USERS_OF_AN_ADDRESS, Rates, RequestClass, class_of
from tests.support.api import PASSWORD, ApiWorld
from tests.support.security import ManualClock

ORDER: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 1}


def refused_for_s(quota: Quota, key: str) -> int | None:
    try:
        quota.demand(key)
    except RateLimited as refused:
        return refused.retry_after_s
    return None


# --- Windows ----------------------------------------------------------------------------------------------------------


def test_a_key_is_free_again_when_its_oldest_event_leaves_the_window() -> None:
    clock = ManualClock()
    quota = Quota(RateLimitItemPerMinute(2), clock)
    quota.take("asha")
    clock.advance_s(20)
    quota.take("asha")
    assert refused_for_s(quota, "asha") == 40
    clock.advance_s(39.9)
    assert refused_for_s(quota, "asha") == 1
    clock.advance_s(0.1)
    assert refused_for_s(quota, "asha") is None


def test_who_is_refused_is_not_counted() -> None:
    clock = ManualClock()
    quota = Quota(RateLimitItemPerSecond(1), clock)
    quota.take("asha")
    for _ in range(5):
        clock.advance_s(0.1)
        with pytest.raises(RateLimited):
            quota.take("asha")
    clock.advance_s(0.5)
    quota.take("asha")


def test_one_keys_events_do_not_hold_up_another() -> None:
    quota = Quota(RateLimitItemPerMinute(1), ManualClock())
    quota.take("asha")
    assert refused_for_s(quota, "ravi") is None


def test_a_cleared_key_is_free() -> None:
    quota = Quota(RateLimitItemPerMinute(1), ManualClock())
    quota.take("asha")
    quota.clear("asha")
    assert refused_for_s(quota, "asha") is None


def test_a_flood_of_keys_is_remembered_by_its_newest_alone() -> None:
    windows = MovingWindows(ManualClock())
    for number in range(2 * KEYS_MAX):
        assert windows.acquire_entry(f"client-{number}", 1, 60)
    assert windows.reset() == KEYS_MAX
    assert windows.acquire_entry("client-0", 1, 60), "all are forgotten"


def test_who_comes_again_is_not_forgotten_for_those_who_came_once() -> None:
    windows = MovingWindows(ManualClock(), keys_max=3)
    for number in range(20):
        assert windows.acquire_entry("asha", 20, 60)
        windows.acquire_entry(f"client-{number}", 1, 60)
    assert not windows.acquire_entry("asha", 20, 60)


def test_an_address_of_ipv6_stands_for_its_network() -> None:
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of("::ffff:192.0.2.7") == network_of("192.0.2.7") == "192.0.2.7"
    assert network_of("unix:socket") == "unix:socket"


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/api/auth/login", RequestClass.SIGN_IN),
        ("GET", "/api/auth/profile", RequestClass.QUERY),
        ("POST", "/api/trades", RequestClass.COMMAND),
        ("DELETE", "/api/risk/kill-switch", RequestClass.COMMAND),
        ("BREW", "/coffee", RequestClass.COMMAND),
        ("GET", "/api/trades", RequestClass.QUERY),
        ("HEAD", "/docs", RequestClass.QUERY),
        ("GET", "/api/instruments/search", RequestClass.SEARCH),
        ("GET", "/healthz", RequestClass.HEALTH),
        ("POST", "/healthz", RequestClass.HEALTH),
    ],
)
def test_every_request_is_of_a_class(method: str, path: str, kind: RequestClass) -> None:
    assert class_of(method, path) is kind


def test_processes_that_share_the_requests_share_the_rates() -> None:
    shared = Rates(commands_per_second=200, failed_sign_ins_max=10).shared_by(4)
    assert (shared.commands_per_second, shared.failed_sign_ins_max) == (50, 2)
    assert Rates(searches_per_second=1).shared_by(4).searches_per_second == 1


# --- Over HTTP --------------------------------------------------------------------------------------------------------


async def ask(
    world: ApiWorld, method: str, path: str, headers: dict[str, str], *, of: str = "192.0.2.1", **body: Any
) -> httpx.Response:
    """Ask from the address *of*."""
    transport = httpx.ASGITransport(world.app, client=(of, 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://khata.test") as client:
        return await client.request(method, path, headers=headers, **body)


async def place(world: ApiWorld, headers: dict[str, str], key: str, **more: Any) -> httpx.Response:
    return await ask(world, "POST", "/api/trades", headers | {"Idempotency-Key": key}, json=ORDER, **more)


async def test_a_user_has_a_rate_wherever_they_ask_from_and_is_told_what_is_left_of_it() -> None:
    world = ApiWorld(rates=Rates(commands_per_second=2))
    headers = await world.log_in()
    answers = [await place(world, headers, str(number), of=f"192.0.2.{number}") for number in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"commands";q=2;w=1'}
    assert [answer.headers["RateLimit"] for answer in answers] == [
        '"commands";r=1;t=1',
        '"commands";r=0;t=1',
        '"commands";r=0;t=1',
    ]
    assert (answers[2].headers["Retry-After"], answers[2].json()["code"]) == ("1", "RATE_LIMITED")
    stored = await world.stored()
    assert (await ask(world, "GET", "/api/trades", headers)).status_code == 200, "who commands too much may still read"
    world.clock.advance_s(1)
    assert (await place(world, headers, "3")).status_code == 201
    assert await world.stored() == stored + 2


async def test_the_same_key_is_the_same_request_before_and_after_it_was_too_much() -> None:
    world = ApiWorld(rates=Rates(commands_per_second=1))
    headers = await world.log_in()
    first = await place(world, headers, "one")
    assert (await place(world, headers, "one")).status_code == 429
    world.clock.advance_s(1)
    again = await place(world, headers, "one")
    assert (again.json()["trade_id"], again.headers["Idempotent-Replay"]) == (first.json()["trade_id"], "true")


async def test_an_address_has_a_rate_whoever_asks_and_whatever_for() -> None:
    world = ApiWorld(rates=Rates(queries_per_second=1))
    paths = ("/api/trades", "/api/nothing", "/docs", "/openapi.json", "/api/positions")
    assert len(paths) == USERS_OF_AN_ADDRESS + 1
    answers = [await ask(world, "GET", path, {}) for path in paths]
    assert [answer.status_code for answer in answers] == [401, 404, 200, 200, 429]
    assert answers[-1].headers["RateLimit-Policy"] == '"queries-of-address";q=4;w=1'
    assert answers[-1].headers["Content-Type"] == "application/problem+json"
    assert answers[-1].headers["X-Request-Id"].startswith("req_")
    assert (await ask(world, "GET", "/api/trades", {}, of="192.0.2.2")).status_code == 401


async def test_health_is_told_often_but_not_endlessly() -> None:
    world = ApiWorld(rates=Rates(health_per_second=2))
    statuses = [(await ask(world, "GET", path, {})).status_code for path in ("/healthz", "/readyz", "/healthz")]
    assert statuses == [200, 200, 429]


async def test_who_knocks_too_often_waits_outside_and_is_written_down() -> None:
    world = ApiWorld(rates=Rates(sign_ins_per_minute=3))
    nobody = {"email": "nobody@example.in", "password": PASSWORD}
    statuses = [(await ask(world, "POST", "/api/auth/login", {}, json=nobody)).status_code for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
    assert (await ask(world, "POST", "/api/auth/login", {}, json=nobody, of="192.0.2.2")).status_code == 401
    await world.services.audit.flush()
    assert "RATE_LIMITED" in {entry.code for entry in world.audit_store.entries}
    world.clock.advance_s(60)
    assert (await ask(world, "POST", "/api/auth/login", {}, json=nobody)).status_code == 401


async def test_a_page_of_somebody_else_can_read_that_it_was_too_much() -> None:
    origin = "https://desk.example.in"
    world = ApiWorld(rates=Rates(queries_per_second=1), cors_origins=(origin,))
    answers = [await ask(world, "GET", "/api/trades", {"Origin": origin}) for _ in range(USERS_OF_AN_ADDRESS + 1)]
    assert answers[-1].status_code == 429
    assert answers[-1].headers["Access-Control-Allow-Origin"] == origin
    assert "RateLimit" in answers[-1].headers["Access-Control-Expose-Headers"]


async def test_every_route_is_counted() -> None:
    world = ApiWorld(rates=Rates(queries_per_second=1))
    document = (await ask(world, "GET", "/openapi.json", {})).json()
    for path, methods in document["paths"].items():
        for method in methods:
            answer = await ask(world, method.upper(), path, {}, of="192.0.2.9")
            assert answer.headers["RateLimit"], path
