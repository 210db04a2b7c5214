"""The simulator over real HTTP: stops, modifications, after market orders, and orders from elsewhere."""

from typing import Any

import pytest

from domain.order import MODIFICATIONS_MAX
from tests.support.eventually import eventually
from tests.support.tape import ORDER, OTHER_CLIENT_ID, ScriptedTape, Venue, config_of, steady, venue

PRICE = 1_310_00_00
STOP: dict[str, Any] = {
    "orderType": "STOP_LOSS",
    "transactionType": "SELL",
    "triggerPrice": 1305,
    "price": 1304,
}
AMO: dict[str, Any] = {"afterMarketOrder": True, "amoTime": "OPEN"}


async def row_of(client: Venue, order_id: str) -> dict[str, Any]:
    (row,) = await client.get(f"/orders/{order_id}")
    return row  # type: ignore[no-any-return]


async def placed(client: Venue, **changes: Any) -> str:
    answer = await client.place(**changes)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["orderId"])


def shown(row: dict[str, Any], *names: str) -> list[Any]:
    return [row[name] for name in names]


# --- Stops


async def test_a_stop_rests_until_its_trigger_and_is_shown_with_it() -> None:
    async with venue(config_of(steady(PRICE, 1_305_10_00, 1_305_00_00))) as client:
        await client.step()
        order_id = await placed(client, **STOP)
        await client.step()
        row = await row_of(client, order_id)
        assert shown(row, "orderStatus", "orderType", "triggerPrice", "price") == ["PENDING", "STOP_LOSS", 1305, 1304]
        await client.step()
        row = await row_of(client, order_id)
        assert shown(row, "orderStatus", "orderType", "averageTradedPrice") == ["TRADED", "STOP_LOSS", 1305]


async def test_a_stop_that_never_triggered_expires_at_the_close() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        order_id = await placed(client, **STOP)
        await client.step()
        assert (await row_of(client, order_id))["orderStatus"] == "EXPIRED"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "Trigger Price should be greater than Price"),
        ({"transactionType": "BUY", "price": 1302}, "Trigger Price should be less than Price"),
        ({"orderType": "STOP_LOSS_MARKET", "price": 0}, "Incorrect request for order and cannot be processed"),
    ],
)
async def test_a_stop_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        refused = await client.place(**{**STOP, "triggerPrice": 1303, **changes})
        assert (refused.status_code, refused.json()["errorCode"]) == (400, "DH-906")
        assert refused.json()["errorMessage"] == message
        assert await client.get("/orders") == []


# --- Modifying


async def test_a_modification_is_taken_and_a_moment_later_in_force() -> None:
    async with venue(config_of(steady(PRICE), transit_ms=5)) as client:
        await client.step()
        order_id = await placed(client, price=1300, quantity=10)
        answer = await client.modify(order_id, price=1301, quantity=12, disclosedQuantity=5)
        assert (answer.status_code, answer.json()) == (200, {"orderId": order_id, "orderStatus": "TRANSIT"})

        async def is_pending() -> bool:
            return bool((await row_of(client, order_id))["orderStatus"] == "PENDING")

        await eventually(is_pending)
        row = await row_of(client, order_id)
        assert shown(row, "price", "quantity", "disclosedQuantity") == [1301, 12, 5]


async def test_what_a_modification_does_not_name_stays() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        order_id = await placed(client, **STOP)
        await client.modify(order_id, orderType="STOP_LOSS", quantity=7)
        row = await row_of(client, order_id)
    assert shown(row, "orderType", "quantity", "price", "triggerPrice") == ["STOP_LOSS", 7, 1304, 1305]


async def test_a_stop_becomes_marketable() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        order_id = await placed(client, **STOP)
        await client.modify(order_id, orderType="MARKET", price=0, triggerPrice=0)
        row = await row_of(client, order_id)
    assert shown(row, "orderStatus", "orderType", "triggerPrice", "averageTradedPrice") == ["TRADED", "LIMIT", 0, 1310]


async def test_the_26th_modification_is_refused() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        order_id = await placed(client, price=1300)
        for number in range(MODIFICATIONS_MAX):
            assert (await client.modify(order_id, price=1300 - number)).status_code == 200
        refused = await client.modify(order_id, price=1200)
        assert (refused.status_code, refused.json()["errorCode"]) == (400, "DH-906")
        assert (await row_of(client, order_id))["price"] == 1276


async def test_what_is_done_or_not_there_cannot_be_modified() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        done = await client.modify(await placed(client), price=1300)
        lost = await client.modify("1", price=1300)
    assert [(answer.status_code, answer.json()["errorCode"]) for answer in (done, lost)] == [
        (400, "DH-906"),
        (400, "DH-905"),
    ]


async def test_a_malformed_modification_is_refused_and_changes_nothing() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        order_id = await placed(client, price=1300)
        for change in (
            {"orderId": "1"},
            {"orderType": "FUNNY"},
            {"validity": "GTC"},
            {"price": 0},
            {"quantity": 0},
            {"price": 1300.05},
            {"disclosedQuantity": 2},
            {"legName": ""},
            {"surprise": 1},
            {"orderType": "STOP_LOSS", "triggerPrice": 0},
        ):
            refused = await client.modify(order_id, **change)
            assert (refused.status_code, refused.json()["errorCode"]) == (400, "DH-905"), change
        foreign = await client.modify(order_id, dhanClientId=OTHER_CLIENT_ID)
        assert foreign.status_code == 401
        row = await row_of(client, order_id)
    assert shown(row, "price", "quantity", "orderStatus") == [1300, 10, "PENDING"]


async def test_a_quantity_cannot_shrink_to_what_has_traded() -> None:
    async with venue(config_of(steady(PRICE, volume=16))) as client:
        await client.step()
        order_id = await placed(client)
        assert (await client.modify(order_id, quantity=4)).json()["errorCode"] == "DH-906"
        assert (await client.modify(order_id, quantity=6)).status_code == 200
        row = await row_of(client, order_id)
    assert shown(row, "orderStatus", "quantity", "filledQty", "remainingQuantity") == ["PART_TRADED", 6, 4, 2]


async def test_a_modification_without_the_money_changes_nothing_a_moment_later() -> None:
    async with venue(config_of(steady(PRICE), opening_balance_paise=20_000_00)) as client:
        await client.step()
        order_id = await placed(client, price=1300, productType="CNC")
        assert (await client.modify(order_id, quantity=100)).status_code == 200
        row = await row_of(client, order_id)
        assert shown(row, "orderStatus", "quantity") == ["PENDING", 10]
        assert "insufficient funds" in row["omsErrorDescription"]
        assert (await client.modify(order_id, quantity=11)).status_code == 200
        assert shown(await row_of(client, order_id), "quantity") == [11]


async def test_a_modification_can_meet_a_fault() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        order_id = await placed(client, price=1300)
        await client.fault("bad_gateway_after_acceptance", target="modify")
        assert (await client.modify(order_id, price=1299)).status_code == 502
        assert (await row_of(client, order_id))["price"] == 1299
        await client.fault("unavailable", target="modify")
        assert (await client.modify(order_id, price=1298)).status_code == 503
        assert (await row_of(client, order_id))["price"] == 1299


# --- Products


@pytest.mark.parametrize(
    ("product", "side", "status"),
    [("CNC", "BUY", "TRADED"), ("MTF", "BUY", "TRADED"), ("MARGIN", "BUY", "REJECTED"), ("MTF", "SELL", "REJECTED")],
)
async def test_each_product_has_its_rules(product: str, side: str, status: str) -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        order_id = await placed(client, productType=product, transactionType=side)
        assert (await row_of(client, order_id))["orderStatus"] == status


# --- After market


async def test_an_after_market_order_waits_for_the_first_second() -> None:
    async with venue(config_of(steady(PRICE, PRICE))) as client:
        order_id = await placed(client, **AMO)
        row = await row_of(client, order_id)
        assert shown(row, "orderStatus", "afterMarketOrder") == ["PENDING", True]
        assert row["exchangeTime"] == "0001-01-01 00:00:00"
        await client.step()
        assert (await row_of(client, order_id))["orderStatus"] == "TRADED"


async def test_an_after_market_order_can_be_changed_and_canceled_while_it_waits() -> None:
    async with venue(config_of(steady(PRICE, PRICE))) as client:
        changed, canceled = await placed(client, **AMO), await placed(client, **AMO)
        assert (await client.modify(changed, price=1300)).status_code == 200
        assert (await client.http.delete(f"/v2/orders/{canceled}")).status_code == 200
        await client.step()
        assert shown(await row_of(client, changed), "orderStatus", "price") == ["PENDING", 1300]
        assert shown(await row_of(client, canceled), "orderStatus", "filledQty") == ["CANCELLED", 0]


async def test_an_after_market_order_for_later_waits_half_an_hour() -> None:
    quiet: list[Any] = [[] for _ in range(1_800)]
    async with venue(config_of(ScriptedTape(*steady(PRICE)._script, *quiet))) as client:
        order_id = await placed(client, afterMarketOrder=True, amoTime="OPEN_30")
        await client.step(1_800)
        assert (await row_of(client, order_id))["orderStatus"] == "PENDING"
        await client.step()
        assert (await row_of(client, order_id))["orderStatus"] == "TRADED"


async def test_an_open_market_takes_no_after_market_order() -> None:
    async with venue(config_of(steady(PRICE, PRICE))) as client:
        await client.step()
        refused = await client.place(**AMO)
        assert (refused.status_code, refused.json()["errorCode"]) == (400, "DH-906")


# --- From elsewhere


async def test_an_order_by_hand_is_in_the_books_without_an_id_of_ours() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        body = {name: value for name, value in ORDER.items() if name != "correlationId"}
        made = await client.admin("POST", "/orders", json=body)
        (row,) = await client.get("/orders")
        (trade,) = await client.get("/trades")
        refused = await client.http.post(
            "/admin/orders", json={**body, "quantity": 0}, headers={"x-simulator-secret": (b"s" * 32).hex()}
        )
    assert (row["orderId"], row["correlationId"], row["orderStatus"]) == (made["orderId"], "NA", "TRADED")
    assert (trade["orderId"], trade["tradedQuantity"]) == (made["orderId"], 10)
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "DH-905")
