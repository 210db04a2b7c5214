from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from api.rates import Rates
from api.requests import RiskLimits
from commands.lane import AccountBusy
from commands.ports import AppendOutcomeUnknown, LogFull, StoreUnavailable
from domain.instrument import Segment
from domain.risk import BreachAction, RiskParameters
from tests.support.api import PASSWORD, ApiWorld

ORDER: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10, "stop_loss": "2800.00"}
LIMITS: dict[str, Any] = msgspec.to_builtins(RiskLimits.of(RiskParameters())) | {
    "order_quantity_max": 5,
    "gross_exposure_max": "5000000",
    "day_loss_max": "50000.5",
}


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    made = ApiWorld()
    async with made.client:
        yield made


async def place(world: ApiWorld, headers: dict[str, str], key: str, **changed: Any) -> httpx.Response:
    return await world.client.post("/api/trades", json=ORDER | changed, headers={**headers, "Idempotency-Key": key})


async def test_an_intent_within_the_limits_becomes_a_trade_and_an_order(world: ApiWorld) -> None:
    answer = await place(world, await world.log_in(), "one")
    body = answer.json()
    assert answer.status_code == 201
    assert body == {
        "trade_id": body["trade_id"],
        "order_id": f"{body['trade_id']}.1",
        "order_ids": [f"{body['trade_id']}.1"],
        "closing": [],
        "denial": None,
        "sequence": 4,
    }
    assert answer.headers["Location"] == f"/api/trades/{body['trade_id']}"
    assert answer.headers["Server-Timing"].startswith("durable;dur=")
    assert "Idempotent-Replay" not in answer.headers


async def test_the_same_request_under_its_key_gets_the_same_answer_and_is_carried_out_once(world: ApiWorld) -> None:
    headers = await world.log_in()
    first = await place(world, headers, "one")
    again = await place(world, headers, "one", order_type="MARKET")  # The default, spelled out: no other request.
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["Idempotent-Replay"] == "true"
    assert await world.stored() == 4


async def test_a_denial_is_an_event_and_a_problem_with_the_limit_and_the_value(world: ApiWorld) -> None:
    headers = await world.log_in()
    answer = await place(world, headers, "one", quantity=5_001)
    again = await place(world, headers, "one", quantity=5_001)
    problem = answer.json()
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem == {
        "type": "/docs/errors#denied",
        "title": "Denied by risk",
        "status": 403,
        "code": "QUANTITY_ABOVE_LIMIT",
        "detail": "the limit is 5000, the intent came to 5001",
        "instance": "/api/trades",
        "limit": "5000",
        "value": "5001",
        "passing": "5000 units",
        "trade_id": problem["trade_id"],
        "sequence": 3,
    }
    assert (again.status_code, again.json()) == (403, problem)
    assert again.headers["Idempotent-Replay"] == "true"


async def test_a_key_belongs_to_its_account_and_its_route(world: ApiWorld) -> None:
    asha, ravi = await world.log_in(), await world.log_in("ravi@example.in")
    answers = [await place(world, asha, "one"), await place(world, ravi, "one")]
    close = await world.client.post(
        "/api/positions/close/NSE_EQ-2885-INTRADAY", headers={**asha, "Idempotency-Key": "one"}
    )
    assert [answer.status_code for answer in [*answers, close]] == [201, 201, 202]
    assert answers[0].json()["trade_id"] != answers[1].json()["trade_id"]


async def test_closing_a_position_names_what_is_being_closed(world: ApiWorld) -> None:
    headers = await world.log_in()
    trade = (await place(world, headers, "one")).json()
    answer = await world.client.post(
        "/api/positions/close/NSE_EQ-2885-INTRADAY", headers={**headers, "Idempotency-Key": "two"}
    )
    body = answer.json()
    assert answer.status_code == 202
    assert (body["position_id"], body["trade_ids"]) == ("NSE_EQ-2885-INTRADAY", [trade["trade_id"]])
    assert body["sequence"] == await world.stored()


async def test_new_limits_are_in_force_at_once(world: ApiWorld) -> None:
    headers = await world.log_in()
    answer = await world.client.put("/api/risk/parameters", json=LIMITS, headers=headers)
    assert answer.json() == {"parameters": LIMITS, "sequence": 3}
    assert (await place(world, headers, "one")).json()["code"] == "QUANTITY_ABOVE_LIMIT"


async def test_the_kill_switch_blocks_entries_until_it_is_released(world: ApiWorld) -> None:
    headers = await world.log_in()
    engaged = await world.client.post("/api/risk/kill-switch", json={"reason": "a drill"}, headers=headers)
    assert (engaged.json()["engaged"], engaged.json()["sequence"]) == (True, 3)
    assert (await place(world, headers, "one")).json()["code"] == "KILL_SWITCH_ENGAGED"
    released = await world.client.delete("/api/risk/kill-switch", headers=headers)
    assert (released.json()["engaged"], released.json()["sequence"]) == (False, 5)
    assert (await place(world, headers, "two")).status_code == 201


async def test_a_token_opens_the_door_to_its_own_account_only(world: ApiWorld) -> None:
    asha, ravi = await world.log_in(), await world.log_in("ravi@example.in")
    await place(world, asha, "one")
    answer = await world.client.post(
        "/api/positions/close/NSE_EQ-2885-INTRADAY", headers={**ravi, "Idempotency-Key": "two"}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "POSITION_NOT_OPEN")


@pytest.mark.parametrize(
    ("fault", "code", "again_after_s"),
    [
        (StoreUnavailable(), "STORE_UNAVAILABLE", "1"),
        (LogFull(), "LOG_FULL", "30"),
        (AppendOutcomeUnknown(), "OUTCOME_UNKNOWN", "1"),
        (AccountBusy("busy"), "ACCOUNT_BUSY", "1"),
    ],
)
async def test_a_fault_is_503_and_says_when_to_come_again(
    world: ApiWorld, fault: Exception, code: str, again_after_s: str
) -> None:
    headers = await world.log_in()
    world.store.fail_next(fault)
    answer = await place(world, headers, "one")
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, code, again_after_s)


async def test_an_outcome_that_was_lost_is_told_under_the_same_key(world: ApiWorld) -> None:
    headers = await world.log_in()
    world.store.fail_next(AppendOutcomeUnknown(), is_stored=True)
    assert (await place(world, headers, "one")).json()["code"] == "OUTCOME_UNKNOWN"
    answer = await place(world, headers, "one")
    assert (answer.status_code, answer.headers["Idempotent-Replay"]) == (201, "true")
    assert await world.stored() == 4


async def test_a_bug_is_500_and_tells_nothing_but_the_requests_id(
    world: ApiWorld, capfd: pytest.CaptureFixture[str]
) -> None:
    world.store.fail_next(RuntimeError("the bug"))
    person = {"email": "asha@example.in", "name": "Asha Rao", "password": PASSWORD}
    answer = await world.client.post("/api/auth/register", json=person)
    request_id = answer.headers["X-Request-Id"]
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    assert request_id in answer.json()["detail"]
    assert "the bug" not in answer.text
    logged = "".join(capfd.readouterr())
    assert request_id in logged
    assert "the bug" in logged
    assert PASSWORD not in logged


async def test_logging_in_gives_a_token_for_ten_minutes(world: ApiWorld) -> None:
    await world.log_in()
    answer = await world.client.post("/api/auth/login", json={"email": "asha@example.in", "password": PASSWORD})
    body = answer.json()
    assert (answer.status_code, body["token_type"], body["expires_in"]) == (200, "Bearer", 600)


async def test_wrong_password_and_unknown_address_get_one_answer(world: ApiWorld) -> None:
    await world.log_in()
    login = {"email": "asha@example.in", "password": "another long password"}
    wrong = await world.client.post("/api/auth/login", json=login)
    unknown = await world.client.post("/api/auth/login", json=login | {"email": "ravi@example.in"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content


async def test_an_address_is_registered_once(world: ApiWorld) -> None:
    await world.log_in()
    person = {"email": "ASHA@example.in", "name": "Another", "password": PASSWORD}
    answer = await world.client.post("/api/auth/register", json=person)
    assert (answer.status_code, answer.json()["code"]) == (409, "EMAIL_TAKEN")


async def test_a_busy_hasher_is_429(world: ApiWorld) -> None:
    await world.log_in()
    world.hasher.is_busy = True
    answer = await world.client.post("/api/auth/login", json={"email": "asha@example.in", "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (429, "LOGIN_BUSY", "1")


async def test_after_ten_failures_an_address_is_locked_for_this_client_for_half_an_hour(world: ApiWorld) -> None:
    await world.log_in()
    wrong = {"email": "asha@example.in", "password": "another long password"}
    right = wrong | {"password": PASSWORD}
    for _ in range(10):
        assert (await world.client.post("/api/auth/login", json=wrong)).status_code == 401
    locked = await world.client.post("/api/auth/login", json=right)
    assert (locked.status_code, locked.json()["code"]) == (429, "RATE_LIMITED")
    world.clock.advance_s(int(locked.headers["Retry-After"]))
    assert (await world.client.post("/api/auth/login", json=right)).status_code == 200


async def test_a_client_that_floods_the_door_waits_outside() -> None:
    world = ApiWorld(rates=Rates(sign_ins_per_minute=3))
    async with world.client:
        nobody = {"email": "nobody@example.in", "password": PASSWORD}
        statuses = [(await world.client.post("/api/auth/login", json=nobody)).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]
        world.clock.advance_s(61)
        assert (await world.client.post("/api/auth/login", json=nobody)).status_code == 401


async def test_answers_carry_the_headers_that_keep_browsers_and_caches_in_check(world: ApiWorld) -> None:
    headers = await world.log_in()
    for answer in [
        await place(world, headers, "one"),
        await place(world, {}, "one"),
        await world.client.get("/api/none"),
    ]:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["X-Request-Id"].startswith("req_")
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_named_origin_and_no_other_may_call_from_a_browser() -> None:
    world = ApiWorld(cors_origins=("https://desk.example.in",))
    async with world.client:
        asked = {"Access-Control-Request-Method": "POST"}
        named = await world.client.options("/api/trades", headers={**asked, "Origin": "https://desk.example.in"})
        other = await world.client.options("/api/trades", headers={**asked, "Origin": "https://evil.example"})
        assert named.headers["Access-Control-Allow-Origin"] == "https://desk.example.in"
        assert "Access-Control-Allow-Origin" not in other.headers


async def test_it_lives_and_is_ready_when_all_it_depends_on_answers() -> None:
    async def yes() -> bool:
        return True

    async def away() -> bool:
        raise ConnectionError

    world = ApiWorld(readiness={"log": yes, "views": yes})
    async with world.client:
        assert (await world.client.get("/healthz")).json() == {"status": "ok"}
        ready = await world.client.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "checks": {"log": True, "views": True}})
    world = ApiWorld(readiness={"log": yes, "views": away})
    async with world.client:
        unready = await world.client.get("/readyz")
        assert (unready.status_code, unready.json()["checks"]) == (503, {"log": True, "views": False})


async def test_the_api_describes_every_route_body_answer_and_problem(world: ApiWorld) -> None:
    document = (await world.client.get("/openapi.json")).json()
    assert (await world.client.get("/docs")).status_code == 200
    post = document["paths"]["/api/trades"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/TradeRequest"}
    assert {"201", "202", "400", "401", "403", "404", "413", "422", "429", "503"} <= set(post["responses"])
    assert post["security"] == [{"HTTPBearer": []}]
    assert next(parameter for parameter in post["parameters"] if parameter["required"])["name"] == "Idempotency-Key"
    text = str(document)
    for name in {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]


def test_every_limit_is_shown_and_can_be_put_back() -> None:
    changed = RiskParameters(day_loss_action=BreachAction.KILL, segments_allowed=(Segment.NSE_EQ,), capital_paise=1)
    for parameters in (RiskParameters(), changed):
        shown = msgspec.json.decode(msgspec.json.encode(RiskLimits.of(parameters)), type=RiskLimits)
        assert shown.to_parameters() == parameters
