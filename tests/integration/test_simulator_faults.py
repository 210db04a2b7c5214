"""The simulator's tokens and faults over real HTTP: what goes wrong does so exactly as ordered."""

import base64
import json
import time

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.tape import CLIENT_ID, ORDER, OTHER_CLIENT_ID, config_of, steady, venue

PRICE = 1_310_00_00


async def test_an_answer_lost_after_acceptance_leaves_the_order_in_the_book() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("lose_answer_after_acceptance")
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.place()
        row = await client.get(f"/orders/external/{ORDER['correlationId']}")
        assert row["orderStatus"] == "TRADED"
        assert (await client.place(correlationId="next")).status_code == 200


async def test_an_answer_lost_before_acceptance_leaves_nothing() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("lose_answer_before_acceptance")
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.place()
        assert await client.get("/orders") == []


@pytest.mark.parametrize(
    ("kind", "status", "orders"), [("unavailable", 503, 0), ("bad_gateway_after_acceptance", 502, 1)]
)
async def test_a_gateway_answers_html_whether_or_not_the_order_exists(kind: str, status: int, orders: int) -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault(kind, count=2)
        answers = [await client.place() for _ in range(3)]
        assert [answer.status_code for answer in answers] == [status, status, 200]
        assert answers[0].headers["content-type"].startswith("text/html")
        assert len(await client.get("/orders")) == 2 * orders + 1


async def test_a_late_answer_comes_after_the_order() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("delay", delay_ms=60_000)
        with pytest.raises(httpx.ReadTimeout):
            await client.http.post("/v2/orders", json=ORDER, timeout=0.1)
        assert len(await client.get("/orders")) == 1


async def test_a_rejection_on_request_comes_from_the_risk_desk() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("reject", message="Order Price needs to be Circuit Limits")
        assert (await client.place()).status_code == 200
        (row,) = await client.get("/orders")
    assert row["orderStatus"] == "REJECTED"
    assert row["omsErrorDescription"] == f"RMS:{row['orderId']}:Order Price needs to be Circuit Limits"


async def test_a_refusal_on_request_is_well_formed() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("refuse", code="DH-905", message="Invalid IP")
        answer = await client.place()
    assert (answer.status_code, answer.json()["errorCode"], answer.json()["errorMessage"]) == (
        400,
        "DH-905",
        "Invalid IP",
    )


async def test_a_partial_execution_on_request_is_followed_by_the_rest() -> None:
    async with venue(config_of(steady(PRICE, PRICE))) as client:
        await client.step()
        await client.fault("partial", quantity=3)
        await client.place()
        (row,) = await client.get("/orders")
        assert (row["orderStatus"], row["filledQty"]) == ("PART_TRADED", 3)
        await client.step()
        assert [trade["tradedQuantity"] for trade in await client.get("/trades")] == [3, 7]


async def test_a_fault_meets_only_what_it_was_ordered_for() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("unavailable", side="BUY", client_id=CLIENT_ID, security_id="2885")
        assert (await client.place(transactionType="SELL", price=1300)).status_code == 200
        assert (await client.place()).status_code == 503
        await client.fault("unavailable", target="read")
        assert (await client.http.get("/v2/positions")).status_code == 503
        await client.fault("unavailable", client_id=OTHER_CLIENT_ID)
        assert (await client.place()).status_code == 200
        assert (await client.admin("GET", "/session"))["faults_waiting"] == 1
        await client.admin("DELETE", "/faults")
        assert (await client.admin("GET", "/session"))["faults_waiting"] == 0


async def test_a_fault_that_makes_no_sense_is_refused() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        for body in ({"kind": "earthquake"}, {"kind": "delay", "count": 0}, {"kind": "partial", "target": "read"}):
            answer = await client.http.post(
                "/admin/faults", json=body, headers={"x-simulator-secret": (b"s" * 32).hex()}
            )
            assert answer.status_code == 422, body


async def test_for_a_while_nobody_listens() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("refuse_connection", delay_ms=300)
        with pytest.raises(httpx.ConnectError):
            await client.place()

        async def listens_again() -> bool:
            try:
                return bool((await client.place()).status_code == 200)
            except httpx.ConnectError:
                return False

        await eventually(listens_again)
        assert len(await client.get("/orders")) == 1


async def test_the_token_looks_like_the_brokers_and_a_new_one_kills_the_old() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        first = client.token
        payload = json.loads(base64.urlsafe_b64decode(first.split(".")[1] + "=="))
        assert (payload["iss"], payload["dhanClientId"]) == ("dhan", CLIENT_ID)
        assert 0 < payload["exp"] - time.time() <= 24 * 3600
        assert (await client.get("/profile"))["dhanClientId"] == CLIENT_ID
        await client.log_in()
        assert client.token != first
        client.http.headers["access-token"] = first
        answer = await client.http.get("/v2/profile")
    assert (answer.status_code, answer.json()["errorCode"], answer.json()["errorType"]) == (
        401,
        "DH-901",
        "Invalid_Authentication",
    )


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "e30.e30.e30"])
async def test_a_forged_token_opens_nothing(token: str) -> None:
    async with venue(config_of(steady(PRICE)), logged_in=False) as client:
        client.http.headers["access-token"] = token
        assert (await client.place()).status_code == 401
        quote = await client.http.post("/v2/marketfeed/ltp", json={"NSE_EQ": [2885]})
        assert (quote.status_code, list(quote.json()["data"])) == (401, ["808"])


async def test_a_revoked_token_is_dead_in_either_of_the_two_shapes_seen() -> None:
    for settings, shape in (({}, (401, "DH-901")), ({"dead_token_is_order_error": True}, (400, "DH-906"))):
        async with venue(config_of(steady(PRICE), **settings)) as client:
            await client.fault("revoke_token", client_id=CLIENT_ID)
            answer = await client.http.get("/v2/orders")
            assert (answer.status_code, answer.json()["errorCode"]) == shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pin": "000000"}, "Invalid Pin"),
        ({"totp": "123456"}, "Invalid TOTP"),
        ({"dhanClientId": "12"}, "Missing required fields, bad values for parameters etc."),
    ],
)
async def test_a_log_in_needs_client_pin_and_totp(change: dict[str, str], message: str) -> None:
    from adapters.simulator.access.clients import pin_of  # noqa: PLC0415 - only here

    async with venue(config_of(steady(PRICE)), logged_in=False) as client:
        query = {"dhanClientId": CLIENT_ID, "pin": pin_of(CLIENT_ID, secret=b"s" * 32), "totp": "000000"} | change
        answer = await client.http.post("/app/generateAccessToken", params=query)
    assert (answer.status_code, answer.json()["errorMessage"]) == (400, message)
