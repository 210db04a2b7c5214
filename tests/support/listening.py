"""Listening to the simulator's order updates over a real websocket, as a client of the broker does."""

import json
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from tests.support.eventually import eventually
from tests.support.tape import CLIENT_ID, Venue


def login(token: str, client_id: str = CLIENT_ID) -> dict[str, Any]:
    """Return a good log-in: a test changes the field that matters."""
    return {"LoginReq": {"MsgCode": 42, "ClientId": client_id, "Token": token}, "UserType": "SELF"}


def updates_of(venue: Venue) -> connect:
    return connect(f"ws://127.0.0.1:{venue.port}/order-updates", proxy=None)


async def log_in(socket: ClientConnection, venue: Venue, message: dict[str, Any], *, hears: str = CLIENT_ID) -> None:
    """Log in, and return once the simulator has somebody more who hears of the client."""
    before = await listeners(venue, hears)
    await socket.send(json.dumps(message))

    async def is_heard() -> bool:
        return await listeners(venue, hears) > before

    await eventually(is_heard)


async def listeners(venue: Venue, client_id: str = CLIENT_ID) -> int:
    """Return how many connections hear of a client."""
    found: int = (await venue.admin("GET", "/session"))["listeners"].get(client_id, 0)
    return found


async def heard(socket: ClientConnection) -> dict[str, Any]:
    """Return the data of the next update."""
    frame = await socket.recv()
    assert isinstance(frame, str)
    message = msgspec.json.decode(frame)
    assert message["Type"] == "order_alert"
    data: dict[str, Any] = message["Data"]
    return data


async def told(socket: ClientConnection, updates: int) -> list[tuple[str, int]]:
    """Return status and traded quantity of the next so many updates."""
    return [(data["status"], data.get("tradedQty", 0)) for data in [await heard(socket) for _ in range(updates)]]
