"""Every kind of bad input has its status and its stable code, is a problem document, and writes nothing."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.clock import SystemClock
from adapters.security.tokens import Ed25519Tokens
from api.requests import RiskLimits
from domain.ids import UserId
from domain.risk import RiskParameters
from tests.support.api import ApiWorld, signing_pem
from tests.support.security import ManualClock

ORDER: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}
LIMIT = ORDER | {"order_type": "LIMIT", "limit_price": "2850.05"}
LIMITS: dict[str, Any] = msgspec.to_builtins(RiskLimits.of(RiskParameters())) | {
    "order_quantity_max": 5,
    "gross_exposure_max": "5000000",
    "day_loss_max": "50000.5",
}


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


BAD_ORDERS: list[tuple[str, Any, int, str]] = [
    ("unknown symbol", ORDER | {"symbol": "NOSUCH"}, 422, "INSTRUMENT_UNKNOWN"),
    ("empty symbol", ORDER | {"symbol": ""}, 422, "SYMBOL_INVALID"),
    ("symbol with a null character", ORDER | {"symbol": "REL\0"}, 422, "INSTRUMENT_UNKNOWN"),
    ("endless symbol", ORDER | {"symbol": "R" * 1000}, 422, "SYMBOL_INVALID"),
    ("zero quantity", ORDER | {"quantity": 0}, 422, "QUANTITY_INVALID"),
    ("negative quantity", ORDER | {"quantity": -1}, 422, "QUANTITY_INVALID"),
    ("fractional quantity", ORDER | {"quantity": 1.5}, 422, "QUANTITY_INVALID"),
    ("quantity as a whole float", ORDER | {"quantity": 5.0}, 422, "QUANTITY_INVALID"),
    ("quantity as text", ORDER | {"quantity": "5"}, 422, "QUANTITY_INVALID"),
    ("quantity as a truth", ORDER | {"quantity": True}, 422, "QUANTITY_INVALID"),
    ("quantity of nothing", ORDER | {"quantity": None}, 422, "QUANTITY_INVALID"),
    ("quantity beyond all shares", ORDER | {"quantity": 10**30}, 422, "QUANTITY_INVALID"),
    ("unknown side", ORDER | {"side": "HOLD"}, 422, "SIDE_INVALID"),
    ("side in small letters", ORDER | {"side": "buy"}, 422, "SIDE_INVALID"),
    ("unknown order type", ORDER | {"order_type": "BRACKET"}, 422, "ORDER_TYPE_INVALID"),
    ("unknown product", ORDER | {"product": "BO"}, 422, "PRODUCT_INVALID"),
    ("unknown time in force", ORDER | {"time_in_force": "GTC"}, 422, "TIME_IN_FORCE_INVALID"),
    ("missing symbol", without(ORDER, "symbol"), 422, "FIELD_MISSING"),
    ("missing side", without(ORDER, "side"), 422, "FIELD_MISSING"),
    ("missing quantity", without(ORDER, "quantity"), 422, "FIELD_MISSING"),
    ("unknown field", ORDER | {"quantty": 10}, 422, "FIELD_UNKNOWN"),
    ("endless unknown field", ORDER | {"x\n" * 20_000: 1}, 422, "FIELD_UNKNOWN"),
    ("endless side", ORDER | {"side": "B" * 50_000}, 422, "SIDE_INVALID"),
    ("price off tick", LIMIT | {"limit_price": "2850.03"}, 422, "PRICE_OFF_TICK"),
    ("stop off tick", ORDER | {"stop_loss": "2800.01"}, 422, "PRICE_OFF_TICK"),
    ("price as a number", LIMIT | {"limit_price": 2850.05}, 422, "LIMIT_PRICE_INVALID"),
    ("price of five places", LIMIT | {"limit_price": "2850.00001"}, 422, "PRICE_INVALID"),
    ("negative price", LIMIT | {"limit_price": "-2850"}, 422, "PRICE_INVALID"),
    ("zero price", LIMIT | {"limit_price": "0.00"}, 422, "PRICE_INVALID"),
    ("price with an exponent", LIMIT | {"limit_price": "2e3"}, 422, "PRICE_INVALID"),
    ("price that is not a number", LIMIT | {"limit_price": "NaN"}, 422, "PRICE_INVALID"),
    ("price in other digits", LIMIT | {"limit_price": "२८५०"}, 422, "PRICE_INVALID"),
    ("price with a line break", LIMIT | {"limit_price": "2850\n"}, 422, "PRICE_INVALID"),
    ("price with a comma", LIMIT | {"limit_price": "2,850"}, 422, "PRICE_INVALID"),
    ("price beyond all prices", LIMIT | {"limit_price": "9999999999"}, 422, "PRICE_INVALID"),
    ("limit order without a price", without(LIMIT, "limit_price"), 422, "LIMIT_PRICE_MISMATCH"),
    ("market order with a price", ORDER | {"limit_price": "2850.05"}, 422, "LIMIT_PRICE_MISMATCH"),
    ("stop order without a trigger", LIMIT | {"order_type": "SL"}, 422, "TRIGGER_PRICE_MISMATCH"),
    ("stop order without a limit", ORDER | {"order_type": "SL", "trigger_price": "2860"}, 422, "LIMIT_PRICE_MISMATCH"),
    (
        "stop at market with a limit",
        LIMIT | {"order_type": "SL-M", "trigger_price": "2860"},
        422,
        "LIMIT_PRICE_MISMATCH",
    ),
    ("market order with a trigger", ORDER | {"trigger_price": "2860"}, 422, "TRIGGER_PRICE_MISMATCH"),
    ("trigger off tick", LIMIT | {"order_type": "SL", "trigger_price": "2860.01"}, 422, "PRICE_OFF_TICK"),
    ("trigger as a number", ORDER | {"trigger_price": 2860}, 422, "TRIGGER_PRICE_INVALID"),
    ("negative disclosed quantity", ORDER | {"disclosed_quantity": -1}, 422, "DISCLOSED_QUANTITY_INVALID"),
    ("after market as a number", ORDER | {"after_market": 1}, 422, "AFTER_MARKET_INVALID"),
    ("unknown protection", ORDER | {"protection": "prayer"}, 422, "PROTECTION_INVALID"),
    ("trailing without a step", ORDER | {"trailing": {"distance": "10"}}, 422, "FIELD_MISSING"),
    ("trailing by nothing", ORDER | {"trailing": {"distance": "0", "step": "1"}}, 422, "PRICE_INVALID"),
    ("trailing off tick", ORDER | {"trailing": {"distance": "10.01", "step": "1"}}, 422, "PRICE_OFF_TICK"),
    ("trailing with an unknown field", ORDER | {"trailing": {"by": "1"}}, 422, "FIELD_UNKNOWN"),
    ("strategy without a name", ORDER | {"strategy_id": ""}, 422, "STRATEGY_ID_INVALID"),
    ("strategy with a line break", ORDER | {"strategy_id": "str_a\n"}, 422, "STRATEGY_ID_INVALID"),
    ("endless strategy", ORDER | {"strategy_id": "s" * 65}, 422, "STRATEGY_ID_INVALID"),
    ("no object", [ORDER], 422, "BODY_INVALID"),
    ("null", None, 422, "BODY_INVALID"),
]
NO_TRADE = "/api/trades/trd_00000000000000000000000000"
BASKETS = "/api/baskets"
CLOSE_ALL = "/api/positions/close-all"
SWITCH = "/api/risk/kill-switch"
CASH = "/api/funds/movements"
OTHER_BAD: list[tuple[str, str, str, Any, int, str]] = [
    ("a change of no trade", "PUT", NO_TRADE, {"expected_version": 1, "target": None}, 404, "TRADE_NOT_FOUND"),
    ("a change of what is no name", "PUT", "/api/trades/x'--", {"expected_version": 1}, 404, "TRADE_NOT_FOUND"),
    ("a change of no version", "PUT", NO_TRADE, {"stop_loss": "2800"}, 422, "FIELD_MISSING"),
    ("a change of version zero", "PUT", NO_TRADE, {"expected_version": 0}, 422, "EXPECTED_VERSION_INVALID"),
    ("a change of the side", "PUT", NO_TRADE, {"expected_version": 1, "side": "SELL"}, 422, "FIELD_UNKNOWN"),
    ("a quantity of nothing", "PUT", NO_TRADE, {"expected_version": 1, "quantity": None}, 422, "QUANTITY_INVALID"),
    ("a stop that is no price", "PUT", NO_TRADE, {"expected_version": 1, "stop_loss": "low"}, 422, "PRICE_INVALID"),
    ("a cancel of no trade", "POST", f"{NO_TRADE}/cancel", None, 404, "TRADE_NOT_FOUND"),
    ("a close of no trade", "POST", f"{NO_TRADE}/close", None, 404, "TRADE_NOT_FOUND"),
    ("a close of an endless name", "POST", f"/api/trades/{'t' * 900}/close", None, 404, "TRADE_NOT_FOUND"),
    ("a close of zero", "POST", f"{NO_TRADE}/close", {"quantity": 0}, 422, "QUANTITY_INVALID"),
    ("a close by side", "POST", f"{NO_TRADE}/close", {"side": "SELL"}, 422, "FIELD_UNKNOWN"),
    ("a basket of one", "POST", BASKETS, {"legs": [ORDER]}, 422, "LEGS_INVALID"),
    ("a basket of many", "POST", BASKETS, {"legs": [ORDER] * 21}, 422, "LEGS_INVALID"),
    ("a basket without the first rank", "POST", BASKETS, {"legs": [ORDER | {"rank": 1}] * 2}, 422, "BASKET_INVALID"),
    ("a leg of nothing", "POST", BASKETS, {"legs": [ORDER, {"symbol": "RELIANCE"}]}, 422, "FIELD_MISSING"),
    ("a leg off tick", "POST", BASKETS, {"legs": [ORDER, ORDER | {"target": "1.01"}]}, 422, "PRICE_OFF_TICK"),
    ("an unknown policy", "POST", BASKETS, {"legs": [ORDER] * 2, "policy": "hope"}, 422, "POLICY_INVALID"),
    ("everything, by no word", "POST", CLOSE_ALL, {}, 422, "FIELD_MISSING"),
    ("an unknown scope", "POST", CLOSE_ALL, {"scope": "galaxy"}, 422, "SCOPE_INVALID"),
    ("a strategy without a name", "POST", CLOSE_ALL, {"scope": "strategy"}, 422, "FIELD_MISSING"),
    (
        "an account and a strategy",
        "POST",
        CLOSE_ALL,
        {"scope": "account", "strategy_id": "s"},
        422,
        "STRATEGY_ID_INVALID",
    ),
    ("a position by side", "POST", "/api/positions/close/NSE_EQ-2885-CNC", {"side": "BUY"}, 422, "FIELD_UNKNOWN"),
    ("a switch without a reason", "POST", SWITCH, {"mode": "flatten"}, 422, "FIELD_MISSING"),
    ("a switch of an unknown mode", "POST", SWITCH, {"reason": "x", "mode": "explode"}, 422, "MODE_INVALID"),
    ("a switch of no strategy", "POST", SWITCH, {"reason": "x", "scope": "strategy"}, 422, "FIELD_MISSING"),
    ("a release of an unknown scope", "DELETE", f"{SWITCH}?scope=galaxy", None, 422, "SCOPE_INVALID"),
    ("a release of no strategy", "DELETE", f"{SWITCH}?scope=strategy", None, 422, "FIELD_MISSING"),
    ("a release of a strategy by half", "DELETE", f"{SWITCH}?strategy_id=s", None, 422, "STRATEGY_ID_INVALID"),
    ("an unknown breach", "POST", "/api/risk/breaches/luck/release", {"reason": "x"}, 404, "BREACH_NOT_FOUND"),
    ("a breach without a reason", "POST", "/api/risk/breaches/day_loss/release", {"reason": ""}, 422, "REASON_INVALID"),
    (
        "a breach that is none",
        "POST",
        "/api/risk/breaches/drawdown/release",
        {"reason": "x"},
        409,
        "BREACH_NOT_LATCHED",
    ),
    ("no money", "POST", CASH, {"amount": "0.00", "reason": "x"}, 422, "AMOUNT_INVALID"),
    ("minus no money", "POST", CASH, {"amount": "-0", "reason": "x"}, 422, "AMOUNT_INVALID"),
    ("money as a number", "POST", CASH, {"amount": 5, "reason": "x"}, 422, "AMOUNT_INVALID"),
    ("money with a plus", "POST", CASH, {"amount": "+5", "reason": "x"}, 422, "AMOUNT_INVALID"),
    ("money twice negative", "POST", CASH, {"amount": "--5", "reason": "x"}, 422, "AMOUNT_INVALID"),
]
"""Name, method, path, body, and what is answered."""
BAD_BODIES: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("a form", b"symbol=RELIANCE&side=BUY"),
    ("half an object", b'{"symbol": "REL'),
    ("an object and more", json.dumps(ORDER).encode() + b" x"),
    ("a wrong field and then no JSON", b'{"symbol": 5, oops'),
    ("no UTF-8", b'{"symbol": "\xff\xfe"}'),
    ("a lone surrogate", b'{"symbol": "\\ud800"}'),
    ("not a number", b'{"symbol": "RELIANCE", "side": "BUY", "quantity": NaN}'),
    ("an abyss", b"[" * 60_000),
]
BAD_LIMITS: list[tuple[str, Any, str]] = [
    ("a missing limit", without(LIMITS, "day_loss_max"), "FIELD_MISSING"),
    ("an unknown limit", LIMITS | {"day_gain_max": "1"}, "FIELD_UNKNOWN"),
    ("an amount as a number", LIMITS | {"day_loss_max": 50_000}, "DAY_LOSS_MAX_INVALID"),
    ("an amount of three places", LIMITS | {"day_loss_max": "1.001"}, "AMOUNT_INVALID"),
    ("a negative amount", LIMITS | {"day_loss_max": "-1"}, "AMOUNT_INVALID"),
    ("a negative count", LIMITS | {"open_trades_max": -1}, "OPEN_TRADES_MAX_INVALID"),
    ("a collar above the price", LIMITS | {"price_collar_bp": 10_001}, "PRICE_COLLAR_BP_INVALID"),
    ("a number for a truth", LIMITS | {"stop_loss_required": 1}, "STOP_LOSS_REQUIRED_INVALID"),
]
BAD_PEOPLE: list[tuple[str, Any, str]] = [
    ("no address", {"email": "asha", "name": "Asha", "password": "monsoon over the ghats"}, "EMAIL_INVALID"),
    ("no name", {"email": "a@b.in", "name": " ", "password": "monsoon over the ghats"}, "NAME_INVALID"),
    ("a short password", {"email": "a@b.in", "name": "Asha", "password": "monsoon"}, "PASSWORD_INVALID"),
    ("a common password", {"email": "a@b.in", "name": "Asha", "password": "passwordpassword"}, "PASSWORD_INVALID"),
    ("a role of one's own", {"email": "a@b.in", "name": "A", "password": "x" * 20, "role": "admin"}, "FIELD_UNKNOWN"),
]


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    made = ApiWorld()
    async with made.client:
        yield made


async def ask(world: ApiWorld, method: str, path: str, status: int, code: str, **request: Any) -> dict[str, Any]:
    before = await world.stored()
    answer = await world.client.request(method, path, **request)
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "status", "code", "detail", "instance"} <= problem.keys()
    assert await world.stored() == before
    return problem


async def test_an_intent_that_can_never_be_right(world: ApiWorld) -> None:
    headers = await world.log_in() | {"Idempotency-Key": "one"}
    for name, body, status, code in BAD_ORDERS:
        problem = await ask(world, "POST", "/api/trades", status, code, content=json.dumps(body), headers=headers)
        assert 0 < len(problem["detail"]) < 300, name


@pytest.mark.parametrize("row", OTHER_BAD, ids=[row[0] for row in OTHER_BAD])
async def test_a_request_that_can_never_be_right(world: ApiWorld, row: tuple[str, str, str, Any, int, str]) -> None:
    _, method, path, body, status, code = row
    headers = await world.log_in() | {"Idempotency-Key": "one"}
    problem = await ask(world, method, path, status, code, json=body, headers=headers)
    assert 0 < len(problem["detail"]) < 300


async def test_a_body_that_is_no_json(world: ApiWorld) -> None:
    headers = await world.log_in() | {"Idempotency-Key": "one"}
    for _, body in BAD_BODIES:
        await ask(world, "POST", "/api/trades", 400, "BODY_NOT_JSON", content=body, headers=headers)


async def test_limits_that_can_never_be_right(world: ApiWorld) -> None:
    headers = await world.log_in()
    for _, body, code in BAD_LIMITS:
        await ask(world, "PUT", "/api/risk/parameters", 422, code, json=body, headers=headers)


async def test_a_person_who_cannot_be_registered(world: ApiWorld) -> None:
    for _, body, code in BAD_PEOPLE:
        problem = await ask(world, "POST", "/api/auth/register", 422, code, json=body)
        assert body["password"] not in json.dumps(problem)


async def test_a_body_of_five_megabytes_is_refused_by_what_it_says_it_weighs(world: ApiWorld) -> None:
    headers = await world.log_in() | {"Idempotency-Key": "one"}
    body = b'{"symbol": "' + b"R" * 5_000_000 + b'"}'
    for path in ("/api/trades", "/api/auth/login", "/api/auth/register"):
        await ask(world, "POST", path, 413, "BODY_TOO_LARGE", content=body, headers=headers)


async def test_a_body_that_does_not_say_what_it_weighs_is_refused_as_soon_as_it_is_too_much(world: ApiWorld) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            assert taken < 100
            yield b"x" * 4096

    headers = await world.log_in() | {"Idempotency-Key": "one"}
    # The transport hands over the whole body before the application may answer, so the application is asked directly.
    body, sent = endless(), []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(body), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/api/trades",
        "raw_path": b"/api/trades",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
    }
    await world.app(scope, receive, send)
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (413, "BODY_TOO_LARGE")
    assert taken == 17


async def test_a_token_that_proves_nothing(world: ApiWorld) -> None:
    await world.log_in()
    someone = UserId("usr_00000000000000000000000000")
    old_clock = ManualClock(SystemClock().wall_ns() - 700 * 1_000_000_000)
    expired, _ = Ed25519Tokens(signing_pem(), clock=old_clock).issue(someone)
    forged, _ = Ed25519Tokens(signing_pem(Ed25519PrivateKey.generate()), clock=SystemClock()).issue(someone)
    nobodys, _ = world.tokens.issue(someone)
    cases = [
        ({}, "TOKEN_MISSING"),
        ({"Authorization": "Basic YTpi"}, "TOKEN_MISSING"),
        ({"Authorization": f"Bearer {expired}"}, "TOKEN_EXPIRED"),
        ({"Authorization": f"Bearer {forged}"}, "TOKEN_INVALID"),
        ({"Authorization": f"Bearer {nobodys}"}, "TOKEN_INVALID"),
        ({"Authorization": "Bearer x"}, "TOKEN_INVALID"),
    ]
    routes = [
        ("POST", "/api/trades"),
        ("POST", "/api/positions/close/NSE_EQ-2885-INTRADAY"),
        ("PUT", "/api/risk/parameters"),
        ("POST", "/api/risk/kill-switch"),
        ("DELETE", "/api/risk/kill-switch"),
        ("PUT", NO_TRADE),
        ("POST", BASKETS),
        ("POST", CLOSE_ALL),
        ("POST", CASH),
    ]
    for headers, code in cases:
        for method, path in routes:
            await ask(world, method, path, 401, code, headers=headers)


async def test_every_route_but_the_door_and_health_asks_for_a_token(world: ApiWorld) -> None:
    document = (await world.client.get("/openapi.json")).json()
    doors = {f"/api/auth/{name}" for name in ("register", "login", "refresh", "logout")}
    opened = doors | {"/healthz", "/readyz"}
    for path, methods in document["paths"].items():
        for method in methods:
            if path not in opened:
                await ask(world, method.upper(), path.replace("{", "").replace("}", ""), 401, "TOKEN_MISSING")


async def test_money_does_not_move_without_a_key(world: ApiWorld) -> None:
    headers = await world.log_in()
    bodies = {SWITCH: {"reason": "x", "mode": "flatten"}}
    for method, path in (
        ("POST", "/api/trades"),
        ("POST", BASKETS),
        ("PUT", NO_TRADE),
        ("POST", f"{NO_TRADE}/close"),
        ("POST", "/api/positions/close/NSE_EQ-2885-INTRADAY"),
        ("POST", CLOSE_ALL),
        ("POST", SWITCH),
        ("POST", CASH),
    ):
        body = bodies.get(path, ORDER)
        await ask(world, method, path, 400, "IDEMPOTENCY_KEY_MISSING", json=body, headers=headers)
        for key in ("", "two words", "x" * 129):
            wrong = headers | {"Idempotency-Key": key}
            await ask(world, method, path, 400, "IDEMPOTENCY_KEY_INVALID", json=body, headers=wrong)


async def test_a_key_does_not_serve_two_requests(world: ApiWorld) -> None:
    headers = await world.log_in() | {"Idempotency-Key": "one"}
    assert (await world.client.post("/api/trades", json=ORDER, headers=headers)).status_code == 201
    other = ORDER | {"quantity": 11}
    await ask(world, "POST", "/api/trades", 422, "IDEMPOTENCY_KEY_REUSED", json=other, headers=headers)


async def test_a_position_that_cannot_be(world: ApiWorld) -> None:
    headers = await world.log_in() | {"Idempotency-Key": "one"}
    for position in ("x", "NSE_EQ-2885", "NSE_EQ-2885-BO", "MOON-2885-CNC", "NSE_EQ--CNC", "NSE_EQ-२-CNC", "a" * 900):
        path = f"/api/positions/close/{position}"
        await ask(world, "POST", path, 404, "POSITION_NOT_FOUND", headers=headers)
    await ask(world, "POST", "/api/positions/close/NSE_EQ-2885-CNC", 409, "POSITION_NOT_OPEN", headers=headers)


async def test_a_path_or_method_that_does_not_exist(world: ApiWorld) -> None:
    await ask(world, "GET", "/api/nothing", 404, "NOT_FOUND")
    await ask(world, "PATCH", "/api/trades", 405, "METHOD_NOT_ALLOWED")
