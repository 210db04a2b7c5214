"""The simulator over real HTTP: from an order to the position, and what it refuses."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from adapters.simulator.words.refusals import BAD_VALUES
from tests.support.eventually import eventually
from tests.support.tape import (
    CLIENT_ID,
    ORDER,
    OTHER_CLIENT_ID,
    RELIANCE,
    ScriptedTape,
    config_of,
    steady,
    venue,
)

PRICE = 1_310_00_00


async def test_an_order_goes_from_place_to_book_trade_and_position() -> None:
    async with venue(config_of(steady(PRICE, PRICE + 1_000))) as client:
        await client.step()
        placed = await client.place()
        assert placed.status_code == 200
        order_id = placed.json()["orderId"]
        assert placed.json() == {"orderId": order_id, "orderStatus": "TRANSIT"}
        assert order_id.isdigit()
        (row,) = await client.get(f"/orders/{order_id}")
        (trade,) = await client.get("/trades")
        (position,) = await client.get("/positions")
        assert [row] == await client.get("/orders")
        assert row == await client.get(f"/orders/external/{ORDER['correlationId']}")
        assert [trade] == await client.get("/trades/") == await client.get(f"/trades/{order_id}")
    assert {name: row[name] for name in ("orderStatus", "filledQty", "remainingQuantity", "averageTradedPrice")} == {
        "orderStatus": "TRADED",
        "filledQty": 10,
        "remainingQuantity": 0,
        "averageTradedPrice": 1310.0,
    }
    assert (row["correlationId"], row["legName"], row["omsErrorCode"]) == (ORDER["correlationId"], "NA", "0")
    assert row["createTime"] == row["exchangeTime"] == trade["exchangeTime"] == "2026-04-15 09:15:00"
    assert (trade["orderId"], trade["tradedQuantity"], trade["tradedPrice"]) == (order_id, 10, 1310.0)
    assert trade["exchangeTradeId"].isdigit()
    assert trade["customSymbol"] is None
    assert (position["positionType"], position["netQty"], position["buyAvg"]) == ("LONG", 10, 1310.0)


async def test_a_round_trip_is_closed_with_its_result_and_the_money_shows_it() -> None:
    async with venue(config_of(steady(PRICE, PRICE + 5_00_00))) as client:
        await client.step()
        await client.place()
        held = await client.get("/fundlimit")
        await client.step()
        await client.place(transactionType="SELL", price=1300)
        (position,) = await client.get("/positions")
        funds = await client.get("/fundlimit")
    assert held["utilizedAmount"] == 2620.0  # A fifth of 10 x 1310.
    assert (position["positionType"], position["netQty"], position["realizedProfit"]) == ("CLOSED", 0, 50.0)
    assert (funds["availabelBalance"], funds["sodLimit"]) == (1_000_050.0, 1_000_000.0)


async def test_a_market_order_is_shown_as_the_protected_limit_it_became() -> None:
    async with venue(config_of(steady(PRICE, volume=16))) as client:
        await client.step()
        await client.place(orderType="MARKET", price=0)
        (row,) = await client.get("/orders")
    assert (row["orderType"], row["price"], row["orderStatus"]) == ("LIMIT", 1323.1, "PART_TRADED")
    assert (row["filledQty"], row["remainingQuantity"]) == (4, 6)


async def test_an_order_in_transit_is_hidden_from_look_up_and_cannot_be_canceled() -> None:
    async with venue(config_of(steady(PRICE), transit_ms=60_000)) as client:
        await client.step()
        order_id = (await client.place()).json()["orderId"]
        (row,) = await client.get("/orders")
        assert (row["orderStatus"], row["exchangeTime"]) == ("TRANSIT", "0001-01-01 00:00:00")
        hidden = await client.http.get(f"/v2/orders/external/{ORDER['correlationId']}")
        cancel = await client.http.delete(f"/v2/orders/{order_id}")
    assert (hidden.status_code, hidden.json()["errorCode"]) == (404, "DH-906")
    assert (cancel.status_code, cancel.json()["errorMessage"]) == (400, "Order is in Transit state")


async def test_when_orders_came_and_executed_is_told_by_the_clock_of_the_machine() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        began_ns = time.monotonic_ns()
        await client.fault("lose_answer_before_acceptance")
        with pytest.raises(httpx.HTTPError):
            await client.place(correlationId="lost")
        await client.place()
        (trade,) = await client.get("/trades")
        told = await client.admin("GET", "/stamps")
        ended_ns = time.monotonic_ns()
    (lost, lost_ns), (correlation_id, arrived_ns) = told["arrived"]
    ((number, executed_ns),) = told["executed"]
    assert (lost, correlation_id, number) == ("lost", ORDER["correlationId"], trade["exchangeTradeId"])
    assert began_ns <= lost_ns <= arrived_ns <= executed_ns <= ended_ns


async def test_an_order_leaves_transit_by_itself() -> None:
    async with venue(config_of(steady(PRICE), transit_ms=10)) as client:
        await client.step()
        await client.place(price=1300)

        async def is_pending() -> bool:
            (row,) = await client.get("/orders")
            return bool(row["orderStatus"] == "PENDING")

        await eventually(is_pending)


async def test_a_resting_order_can_be_canceled_once() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        order_id = (await client.place(price=1300)).json()["orderId"]
        cancel = await client.http.delete(f"/v2/orders/{order_id}")
        assert (cancel.status_code, cancel.json()) == (200, {"orderId": order_id, "orderStatus": "CANCELLED"})
        again = await client.http.delete(f"/v2/orders/{order_id}")
        assert (again.status_code, again.json()["errorMessage"]) == (400, "Nothing to Cancel . ")
        (row,) = await client.get("/orders")
        assert (row["orderStatus"], row["remainingQuantity"]) == ("CANCELLED", 0)


async def test_when_the_last_second_is_over_the_session_closes() -> None:
    async with venue(config_of(steady(PRICE, PRICE))) as client:
        closed = await client.place()
        assert (closed.status_code, closed.json()["errorMessage"]) == (
            400,
            "Market is Closed! Want to place an offline order?",
        )
        await client.step()
        order_id = (await client.place(price=1300)).json()["orderId"]
        assert (await client.step(5))["done"] is True
        (row,) = await client.get("/orders")
        assert row["orderStatus"] == "EXPIRED"
        assert (await client.place()).json()["errorCode"] == "DH-906"
        cancel = await client.http.delete(f"/v2/orders/{order_id}")
        assert cancel.json()["errorMessage"] == "Nothing to Cancel . "


async def test_an_order_without_the_money_is_accepted_and_rejected_a_moment_later() -> None:
    async with venue(config_of(steady(PRICE), opening_balance_paise=1_000_00)) as client:
        await client.step()
        placed = await client.place(productType="CNC")
        assert placed.status_code == 200
        (row,) = await client.get("/orders")
    expected = f"RMS:{row['orderId']}:You have insufficient funds. Please add Rs.12100.00 to trade."
    assert (row["orderStatus"], row["omsErrorDescription"]) == ("REJECTED", expected)
    assert (row["exchangeTime"], row["exchangeOrderId"]) == ("0001-01-01 00:00:00", "0")


async def test_delivery_shares_that_are_not_held_cannot_be_sold() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.place(transactionType="SELL", productType="CNC")
        (row,) = await client.get("/orders")
    assert row["orderStatus"] == "REJECTED"
    assert "Insufficient holdings" in row["omsErrorDescription"]


async def test_a_repeated_correlation_id_makes_a_second_order_unless_that_is_switched_off() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.place()
        await client.place()
        assert len(await client.get("/orders")) == 2
    async with venue(config_of(steady(PRICE), duplicate_correlation_ids_allowed=False)) as client:
        await client.step()
        await client.place()
        assert (await client.place()).status_code == 400


async def test_every_malformed_order_is_refused_and_books_nothing() -> None:
    changes: list[dict[str, Any]] = [
        {"correlationId": ""},
        {"correlationId": "a" * 26},
        {"correlationId": "käse"},
        {"transactionType": "HOLD"},
        {"transactionType": None},
        {"exchangeSegment": "IDX_I", "securityId": "13"},
        {"productType": "BO"},
        {"orderType": "FUNNY"},
        {"validity": "GTC"},
        {"securityId": "1"},
        {"quantity": 0},
        {"quantity": -5},
        {"quantity": 1.5},
        {"quantity": True},
        {"quantity": "many"},
        {"price": 0},
        {"price": 1310.05},
        {"price": "NaN"},
        {"disclosedQuantity": 2},
        {"disclosedQuantity": 11},
        {"orderType": "STOP_LOSS"},
        {"orderType": "STOP_LOSS", "triggerPrice": 1309.97},
        {"afterMarketOrder": "yes"},
        {"afterMarketOrder": True},
        {"afterMarketOrder": True, "amoTime": "NOON"},
        {"afterMarketOrder": True, "amoTime": "OPEN", "validity": "IOC"},
        {"surprise": 1},
    ]
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        for change in changes:
            answer = await client.place(**change)
            refused = (answer.status_code, answer.json()["errorCode"], answer.json()["errorType"])
            assert refused == (400, "DH-905", "Input_Exception"), change
        no_json = await client.http.post("/v2/orders", content=b"{")
        assert (no_json.status_code, no_json.json()["errorCode"]) == (400, "DH-905")
        foreign = await client.place(dhanClientId=OTHER_CLIENT_ID)
        assert (foreign.status_code, foreign.json()["errorCode"]) == (401, "DH-901")
        assert await client.get("/orders") == []


async def test_what_the_official_client_sends_is_understood() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        body = {name: value for name, value in ORDER.items() if name != "correlationId"}
        extra = {
            "securityId": 2885,
            "quantity": "10",
            "disclosedQuantity": 0,
            "afterMarketOrder": False,
            "boProfitValue": None,
            "boStopLossValue": None,
            "triggerPrice": 0.0,
        }
        placed = await client.http.post("/v2/orders", json=body | extra)
        assert placed.status_code == 200, placed.text
        (row,) = await client.get("/orders")
    assert row["correlationId"].startswith(f"{CLIENT_ID}-")


async def test_clients_have_books_of_their_own_and_share_the_market() -> None:
    async with venue(config_of(steady(PRICE, volume=40))) as client:
        await client.step()
        order_id = (await client.place(quantity=8)).json()["orderId"]
        await client.log_in(OTHER_CLIENT_ID)
        assert await client.get("/orders") == []
        assert await client.get(f"/orders/{order_id}") == []
        assert (await client.http.delete(f"/v2/orders/{order_id}")).status_code == 400
        await client.place(dhanClientId=OTHER_CLIENT_ID, quantity=8)
        (row,) = await client.get("/orders")
    assert row["filledQty"] == 2  # Of the 10 that the print had to offer, the first client took 8.


async def test_unknown_paths_and_empty_books_are_answered_as_the_broker_does() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        lost = await client.http.get("/v2/nothing")
        assert (lost.status_code, lost.json()["error"], lost.json()["path"]) == (404, "Not Found", "/v2/nothing")
        for path in ("/orders", "/trades", "/positions", "/orders/1", "/trades/1"):
            assert await client.get(path) == []
        holdings = await client.http.get("/v2/holdings")
        assert (holdings.status_code, holdings.json()["errorCode"]) == (500, "DH-1111")
        unknown = await client.http.get("/v2/orders/external/nobody")
        assert (unknown.status_code, unknown.json()["errorCode"]) == (404, "DH-906")


async def test_last_prices_are_answered_by_segment_and_id() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        body = {"NSE_EQ": [2885, 1], "IDX_I": [13], "BSE_EQ": [1], "dhanClientId": CLIENT_ID}
        answer = await client.http.post("/v2/marketfeed/ltp", json=body)
        prices = {"NSE_EQ": {"2885": {"last_price": 1310.0}}, "IDX_I": {"13": {"last_price": 0.0}}, "BSE_EQ": {}}
        assert answer.json() == {"data": prices, "status": "success"}
        wrong = await client.http.post("/v2/marketfeed/ltp", json={"NOWHERE": [1]})
        assert (wrong.status_code, wrong.json()) == (
            400,
            {"data": {"813": "Invalid SecurityId"}, "status": "failed"},
        )


async def test_rate_limits_answer_429_in_the_shape_of_their_family() -> None:
    config = config_of(steady(PRICE), rate_limited=True)
    async with venue(config) as client:
        await client.step()
        orders = await asyncio.gather(*(client.place() for _ in range(11)))
        quotes = [await client.http.post("/v2/marketfeed/ltp", json={"NSE_EQ": [2885]}) for _ in range(2)]
    assert sorted(answer.status_code for answer in orders) == [200] * 10 + [429]
    (refused,) = (answer for answer in orders if answer.status_code == 429)
    assert (refused.json()["errorCode"], refused.headers.get("retry-after")) == ("DH-904", None)
    assert (quotes[1].status_code, list(quotes[1].json()["data"])) == (429, ["805"])


async def test_in_real_time_the_tape_plays_by_itself() -> None:
    async with venue(config_of(steady(PRICE, PRICE), lock_step=False)) as client:

        async def has_played() -> bool:
            return bool((await client.admin("GET", "/session"))["step"] >= 1)

        await eventually(has_played)
        refused = await client.http.post("/admin/step", headers={"x-simulator-secret": b"s".hex()})
        assert refused.status_code == 403


async def test_the_books_and_the_tape_can_be_compared() -> None:
    tape = ScriptedTape([(RELIANCE, PRICE, 40)], [], [(RELIANCE, PRICE + 1_000, 8), (RELIANCE, PRICE - 1_000, 8)])
    async with venue(config_of(tape)) as client:
        await client.step(2)
        await client.place(quantity=12)
        progress = await client.step()
        books = await client.admin("GET", "/books")
        query = {"security_id": "2885", "from_step": 2, "to_step": 3}
        prints = await client.admin("GET", "/tape", params=query)
        before = await client.admin("GET", "/tape", params=query | {"from_step": 0, "to_step": 0})
    assert (progress["step"], progress["fills"], progress["done"]) == (3, 2, False)
    mine = books["clients"][CLIENT_ID]
    (order,) = mine["orders"]
    assert (order["accepted_step"], order["status"], order["filled_quantity"]) == (2, "TRADED", 12)
    assert [(trade["step"], trade["quantity"], trade["price_e4"]) for trade in mine["trades"]] == [
        (2, 10, PRICE),
        (3, 2, PRICE - 1_000),
    ]
    assert mine["positions"][0]["net_quantity"] == 12
    assert prints == {"low_e4": PRICE - 1_000, "high_e4": PRICE + 1_000, "steps_with_prints": 2}
    assert before["low_e4"] is None


@pytest.mark.parametrize("secret", ["", "00", "x" * 64])
async def test_admin_paths_are_closed_to_whoever_lacks_the_secret(secret: str) -> None:
    async with venue(config_of(steady(PRICE)), logged_in=False) as client:
        answer = await client.http.post("/admin/step", headers={"x-simulator-secret": secret})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/orders", "/orders/slicing"])
async def test_of_an_order_the_quantity_is_looked_at_then_the_address_then_the_instrument(path: str) -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        listed = {"dhanClientId": CLIENT_ID, "ip": "10.0.0.1", "ipFlag": "PRIMARY"}
        assert (await client.http.post("/v2/ip/setIP", json=listed)).status_code == 200
        messages = [
            (await client.http.post(f"/v2{path}", json={**ORDER, **wrong, "securityId": "1"})).json()["errorMessage"]
            for wrong in ({"quantity": 0}, {})
        ]
        await client.admin("POST", "/address", json={"client_id": CLIENT_ID, "address": "10.0.0.1"})
        at_home = await client.http.post(f"/v2{path}", json={**ORDER, "securityId": "1"})
        assert await client.get("/orders") == []
    assert messages == ["quantity is required", "Invalid IP"]
    assert (at_home.status_code, at_home.json()["errorMessage"]) == (400, BAD_VALUES)
