"""The broker's official client hears of its orders on the simulator."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dhanhq import DhanContext, OrderUpdate
from websockets.exceptions import ConnectionClosed

from tests.support.dhan_sdk import official_client
from tests.support.eventually import eventually
from tests.support.listening import listeners
from tests.support.tape import CLIENT_ID, ORDER, Venue, config_of, steady, venue

PRICE = 1_310_00_00


def listener_of(client: Venue, token: str | None = None) -> OrderUpdate:
    """Return the official listener, which dials the simulator."""
    listener = OrderUpdate(DhanContext(CLIENT_ID, token or client.token))
    listener.order_feed_wss = f"ws://127.0.0.1:{client.port}/order-updates"
    return listener


@contextlib.asynccontextmanager
async def official_updates(client: Venue) -> AsyncIterator[list[dict[str, Any]]]:
    """Listen with the official client meanwhile, and yield what it heard."""
    heard: list[dict[str, Any]] = []
    listener = listener_of(client)
    listener.on_update = heard.append
    running = asyncio.create_task(listener.connect_order_update())

    async def is_listening() -> bool:
        return await listeners(client) == 1

    try:
        await eventually(is_listening)
        yield heard
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_the_official_client_hears_of_its_order_until_it_is_filled() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        async with official_updates(client) as heard:
            with official_client(client) as dhan:
                placed = await asyncio.to_thread(
                    dhan.place_order, "2885", dhan.NSE, dhan.BUY, 10, dhan.LIMIT, dhan.INTRA, 1310.0, tag="kh1first"
                )
            await eventually(lambda: len(heard) == 3)
    assert [message["Data"]["status"] for message in heard] == ["Transit", "Pending", "Traded"]
    assert {message["Data"]["orderNo"] for message in heard} == {placed["data"]["orderId"]}
    assert {message["Data"]["correlationId"] for message in heard} == {"kh1first"}


async def test_the_official_client_prints_a_line_for_what_others_trade(capsys: pytest.CaptureFixture[str]) -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        async with official_updates(client) as heard:
            body = {name: value for name, value in ORDER.items() if name != "correlationId"}
            placed = await client.admin("POST", "/orders", json=body)
            await eventually(lambda: len(heard) == 3)
            listener_of(client).handle_order_update(heard[-1])
    assert f"Status: Traded, Order ID: {placed['orderId']}" in capsys.readouterr().out


async def test_with_a_dead_token_the_official_client_loses_the_connection() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await listener_of(client, "nonsense").connect_order_update()
    assert closed.value.rcvd is None
