"""The simulator's order updates over a real websocket: log-ins, what is told, to whom, and told wrongly on request."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from adapters.simulator.access.clients import partner_secret_of
from tests.support.eventually import eventually
from tests.support.listening import heard, listeners, log_in, login, told, updates_of
from tests.support.tape import CLIENT_ID, ORDER, OTHER_CLIENT_ID, PLENTY, SECRET, Venue, config_of, steady, venue

PRICE = 1_310_00_00
FILLED = [("Transit", 0), ("Pending", 0), ("Traded", 10)]


@contextlib.asynccontextmanager
async def listening(*prices: int, volume: int = PLENTY, **config: Any) -> AsyncIterator[tuple[Venue, ClientConnection]]:
    """Yield an open market and a connection that hears of the client."""
    async with venue(config_of(steady(*prices, volume=volume), **config)) as client:
        await client.step()
        async with updates_of(client) as socket:
            await log_in(socket, client, login(client.token))
            yield client, socket


async def test_an_order_is_told_from_its_way_to_its_fill() -> None:
    async with listening(PRICE) as (client, socket):
        order_id = (await client.place()).json()["orderId"]
        in_transit, pending, traded = [await heard(socket) for _ in range(3)]
        trade = (await client.get("/trades"))[0]
    assert [data["status"] for data in (in_transit, pending, traded)] == ["Transit", "Pending", "Traded"]
    assert in_transit["exchOrderTime"] == "0001-01-01 00:00:00"
    fill = {"tradedQty": 10, "tradedPrice": 1310.0, "avgTradedPrice": 1310.0}
    assert pending.pop("remainingQuantity") == 10
    assert traded == {**pending, **fill, "status": "Traded", "reasonDescription": "TRADE CONFIRMED"}
    assert (traded["orderNo"], traded["clientId"], traded["correlationId"]) == (
        order_id,
        CLIENT_ID,
        ORDER["correlationId"],
    )
    assert trade["exchangeTradeId"] not in traded.values()


async def test_a_change_a_cancel_and_a_rejection_are_told() -> None:
    async with listening(PRICE) as (client, socket):
        order_id = (await client.place(price=1300.0)).json()["orderId"]
        await client.modify(order_id, quantity=20, price=1301.0)
        await client.http.delete(f"/v2/orders/{order_id}")
        changes = [await heard(socket) for _ in range(5)]
        await client.place(quantity=1_000_000)
        rejected = [await heard(socket) for _ in range(2)][1]
    assert [data["status"] for data in changes] == ["Transit", "Pending", "Transit", "Modified", "Cancelled"]
    assert [data["quantity"] for data in changes] == [10, 10, 10, 20, 20]
    assert (changes[3]["price"], changes[3]["remainingQuantity"]) == (1301.0, 20)
    assert "remainingQuantity" not in changes[4]
    assert (rejected["status"], rejected["exchOrderNo"]) == ("Rejected", "0")
    assert rejected["reasonDescription"].startswith(f"RMS:{rejected['orderNo']}:")


async def test_a_partial_fill_is_told_with_what_is_left_which_expires() -> None:
    async with listening(PRICE, volume=16) as (client, socket):
        await client.place()
        assert await told(socket, 2) == FILLED[:2]
        partial = await heard(socket)
        assert (partial["status"], partial["tradedQty"], partial["remainingQuantity"]) == ("Traded", 4, 6)
        await client.step()
        assert await told(socket, 1) == [("Expired", 4)]


async def test_an_order_placed_by_hand_is_told_and_carries_no_id_of_ours() -> None:
    async with listening(PRICE) as (client, socket):
        body = {name: value for name, value in ORDER.items() if name != "correlationId"}
        await client.admin("POST", "/orders", json=body)
        data = await heard(socket)
    assert (data["source"], data["correlationId"], data["remarks"]) == ("W", "NA", " ")


async def test_a_client_hears_of_its_own_orders_and_a_partner_of_all() -> None:
    async with listening(PRICE) as (client, own), updates_of(client) as all_of_them:
        partner = {"LoginReq": {"MsgCode": 42, "ClientId": "P-1"}, "UserType": "PARTNER"}
        secret = partner_secret_of("P-1", secret=SECRET)
        await log_in(all_of_them, client, {**partner, "Secret": secret}, hears="")
        await client.place()
        await client.log_in(OTHER_CLIENT_ID)
        await client.place(dhanClientId=OTHER_CLIENT_ID, quantity=7)
        everybody = [await heard(all_of_them) for _ in range(6)]
        assert await told(own, 3) == FILLED
        await client.log_in()
        await client.place(quantity=3)
        assert (await heard(own))["quantity"] == 3
    assert [data["clientId"] for data in everybody] == [CLIENT_ID] * 3 + [OTHER_CLIENT_ID] * 3


@pytest.mark.parametrize(
    "change",
    [
        {"LoginReq": {"MsgCode": 42, "ClientId": CLIENT_ID, "Token": "nonsense"}},
        {"LoginReq": {"MsgCode": 41}},
        {"LoginReq": "please"},
        {"UserType": "PARTNER", "Secret": "guessed"},
        {"UserType": "NOBODY"},
    ],
)
async def test_a_bad_login_is_taken_and_then_reset_without_a_goodbye(change: dict[str, Any]) -> None:
    async with venue(config_of(steady(PRICE))) as client, updates_of(client) as socket:
        await socket.send(json.dumps({**login(client.token), **change}))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is None
        assert (await client.admin("GET", "/session"))["listeners"] == {}


async def test_who_says_no_word_of_json_is_reset_too() -> None:
    async with venue(config_of(steady(PRICE))) as client, updates_of(client) as socket:
        await socket.send(b"binary means nothing")
        await socket.send("{")
        with pytest.raises(ConnectionClosed):
            await socket.recv()


# --- Faults -----------------------------------------------------------------------------------------------------------


async def order_fault(client: Venue, kind: str, **details: Any) -> None:
    await client.admin("POST", "/update-faults", json={"kind": kind, **details})


@pytest.mark.parametrize(
    ("kind", "count", "expected"),
    [
        ("lose", 2, [("Traded", 10)]),
        ("duplicate", 1, [("Transit", 0), ("Transit", 0), ("Pending", 0), ("Traded", 10)]),
        ("reorder", 1, [("Pending", 0), ("Transit", 0), ("Traded", 10)]),
        ("repeat_fill", 1, [*FILLED, ("Transit", 0), ("Traded", 10), ("Pending", 0), ("Traded", 10)]),
    ],
)
async def test_updates_are_told_wrongly_on_request(kind: str, count: int, expected: list[tuple[str, int]]) -> None:
    async with listening(PRICE) as (client, socket):
        await order_fault(client, kind, count=count, client_id=CLIENT_ID)
        await client.place()
        if kind == "repeat_fill":
            await client.place()
        assert await told(socket, len(expected)) == expected
        assert (await client.admin("DELETE", "/faults"))["waiting"] == 0


async def test_a_late_update_comes_after_those_that_happened_later() -> None:
    async with listening(PRICE) as (client, socket):
        await order_fault(client, "delay", delay_ms=50)
        await client.place()
        assert await told(socket, 3) == [("Pending", 0), ("Traded", 10), ("Transit", 0)]


async def test_partial_fills_that_are_summed_are_told_with_the_last() -> None:
    async with listening(PRICE, PRICE, PRICE, volume=16) as (client, socket):
        await order_fault(client, "sum_fills", count=2)
        await client.place()
        await client.step(2)
        assert await told(socket, 3) == FILLED


async def test_another_clients_updates_meet_no_fault() -> None:
    async with listening(PRICE) as (client, socket):
        await order_fault(client, "lose", client_id=OTHER_CLIENT_ID)
        await order_fault(client, "lose", security_id="1")
        await client.place()
        assert await told(socket, 3) == FILLED


async def test_a_reset_comes_without_a_goodbye() -> None:
    async with listening(PRICE) as (client, socket):
        await order_fault(client, "reset", client_id=CLIENT_ID)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is None

        async def is_gone() -> bool:
            return await listeners(client) == 0

        await eventually(is_gone)


async def test_a_deaf_connection_stays_open_and_answers_no_ping() -> None:
    async with listening(PRICE) as (client, socket), updates_of(client) as healthy:
        await order_fault(client, "deafen")
        await log_in(healthy, client, login(client.token))
        pong = await socket.ping()
        await client.place()
        assert await told(healthy, 3) == FILLED
        assert not pong.done()
        assert socket.close_code is None
        socket.transport.abort()  # No goodbye would be answered.


async def test_a_fault_that_makes_no_sense_is_refused() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        headers = {"x-simulator-secret": SECRET.hex()}
        for body in ({"kind": "lose", "count": 0}, {"kind": "cough"}):
            answer = await client.http.post("/admin/update-faults", json=body, headers=headers)
            assert answer.status_code == 422
