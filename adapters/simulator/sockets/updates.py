"""Order updates over the websocket: who listens, to whose orders, and what is on its way to them.

Whoever logs in as SELF hears of every order of one account, whoever brought the change about; a PARTNER of those of all
accounts. Nothing is subscribed to, acknowledged, numbered or told again. A log-in with a bad token is taken without a
word; a moment later the connection is reset.
"""

import asyncio
import contextlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from adapters.simulator.access.clients import TokenDead, Tokens, partner_secret_of
from adapters.simulator.books.records import OrderExecuted, Record
from adapters.simulator.books.standing_records import StandingRecord
from adapters.simulator.faults.update_faults import Update, UpdateFaultDesk
from adapters.simulator.sockets.feed import Connection
from adapters.simulator.sockets.update_frames import update_frame
from adapters.simulator.trading.simulator import Simulator
from adapters.simulator.wires.websocket_wire import deafen, reset
from commands.ports import Clock

LOGIN_CODE = 42
REFUSED_AFTER_S = 0.01
_EVERYBODY = ""
"""What stands for a client's id where somebody hears of all clients."""


class Listener(Connection):
    """One connection. `client_id` is empty where it hears of everybody's orders."""

    def __init__(self, websocket: WebSocket, client_id: str) -> None:
        super().__init__(websocket, client_id)
        self._socket = websocket
        self._is_deaf = False

    def put(self, packet: bytes) -> None:
        """Send *packet* as a text of its own, in order, some time soon."""
        if not self._is_deaf:
            super().put(packet)

    def hears(self, client_id: str) -> bool:
        """Tell whether it hears of a client's orders."""
        return self.client_id in {client_id, _EVERYBODY}

    def reset(self) -> None:
        """Cut the connection without a goodbye."""
        reset(self._socket)

    def deafen(self) -> None:
        """Say nothing more, and leave the connection open."""
        self._is_deaf = True
        deafen(self._socket)

    async def _send(self, packet: bytes) -> None:
        await self._socket.send_text(packet.decode())


class Updates:
    """All connections. One event loop owns it."""

    def __init__(self, simulator: Simulator, tokens: Tokens, *, secret: bytes, clock: Clock) -> None:
        self.faults = UpdateFaultDesk()
        self._simulator = simulator
        self._tokens = tokens
        self._secret = secret
        self._clock = clock
        self._listeners: list[Listener] = []
        self._late: set[asyncio.TimerHandle] = set()

    @property
    def listeners(self) -> dict[str, int]:
        """How many connections hear of each client's orders; of everybody's under the empty name."""
        ids = [listener.client_id for listener in self._listeners]
        return {client_id: ids.count(client_id) for client_id in ids}

    def take(self, record: Record) -> None:
        """Tell what has just happened to an order to whoever listens."""
        if not self._listeners or isinstance(record, StandingRecord):
            return
        order = self._simulator.orders.get(getattr(record, "order_id", ""))
        if order is None or not any(listener.hears(order.client_id) for listener in self._listeners):
            return
        key = order.instrument.key
        is_fill = isinstance(record, OrderExecuted)
        update = Update(
            client_id=order.client_id,
            security_id=key.security_id,
            frame=update_frame(order, record, last_price_e4=self._simulator.last_prices_e4.get(key, 0)),
            is_fill=is_fill,
            is_partial=is_fill and order.is_open,
        )
        self.faults.tell(update, self._send, self._send_later)

    async def serve(self, websocket: WebSocket) -> None:
        """Speak with one listener until it goes."""
        await websocket.accept()
        login = await _first_text(websocket)
        if login is None:
            return
        client_id = self._client_of(login)
        if client_id is None:
            await asyncio.sleep(REFUSED_AFTER_S)
            reset(websocket)
            return
        listener = Listener(websocket, client_id)
        self._listeners.append(listener)
        writer = asyncio.create_task(listener.write())
        try:
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass  # There is nothing to say after the log-in.
        finally:
            self._listeners.remove(listener)
            listener.end()
            await writer

    async def drained(self) -> None:
        """Wait until every update so far has been handed to the transports; those that come late do not count."""
        for listener in tuple(self._listeners):
            await listener.drained()

    def reset(self, client_id: str | None) -> None:
        """Cut every connection that hears of a client, or (None) every connection, without a goodbye."""
        for listener in self._those_of(client_id):
            listener.reset()

    def deafen(self, client_id: str | None) -> None:
        """Leave every connection that hears of a client, or (None) every connection, open and silent."""
        for listener in self._those_of(client_id):
            listener.deafen()

    def end(self) -> None:
        """End every connection in good order."""
        for listener in self._listeners:
            listener.end()

    def close(self) -> None:
        """Forget what was to be told later. Safe to repeat."""
        for timer in self._late:
            timer.cancel()
        self._late.clear()

    def _those_of(self, client_id: str | None) -> Iterator[Listener]:
        return (listener for listener in tuple(self._listeners) if client_id is None or listener.hears(client_id))

    def _send(self, update: Update) -> None:
        for listener in self._those_of(update.client_id):
            listener.put(update.frame)

    def _send_later(self, seconds: float, send: Callable[[], None]) -> None:
        def go() -> None:
            self._late.discard(timer)
            send()

        timer = asyncio.get_running_loop().call_later(seconds, go)
        self._late.add(timer)

    def _client_of(self, text: str) -> str | None:
        """Return whose orders a log-in lets hear of, None where it is none."""
        request: dict[str, Any] = {}
        with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
            request = msgspec.json.decode(text, type=dict[str, Any])
        login = request.get("LoginReq")
        if not isinstance(login, dict) or login.get("MsgCode") != LOGIN_CODE:
            return None
        named = str(login.get("ClientId", ""))
        if request.get("UserType") == "PARTNER":
            secret = partner_secret_of(named, secret=self._secret)
            return _EVERYBODY if hmac.compare_digest(secret.encode(), str(request.get("Secret")).encode()) else None
        try:
            client_id = self._tokens.client_of(str(login.get("Token", "")), now_ns=self._clock.wall_ns())
        except TokenDead:
            return None
        return client_id if client_id == named and request.get("UserType") == "SELF" else None


async def _first_text(websocket: WebSocket) -> str | None:
    """Return the first text that comes, None where the other side goes before."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        if message.get("text") is not None:
            return str(message["text"])
