"""The market feed: who is connected, what they subscribed to, and the packets on their way.

Packets are counted when they are put on a connection's queue. In lock-step the server waits until the queues are
empty before it answers a step, so that the count it answers is what went out.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from adapters.simulator.packets import disconnect_packet, previous_close_packet, ticker_packet
from adapters.simulator.rows import segment_of
from adapters.simulator.simulator import Simulator
from adapters.simulator.tape import Tick
from domain.instrument import InstrumentKey

CONNECTIONS_MAX = 5
INSTRUMENTS_PER_MESSAGE_MAX = 100
TOO_MANY_CONNECTIONS, TOO_MANY_INSTRUMENTS, TOKEN_INVALID = 805, 804, 809
_SUBSCRIBE, _UNSUBSCRIBE, _DISCONNECT = 15, 16, 12
_QUEUE_MAX = 200_000
"""A client that is so far behind is dropped: it reads nothing."""


class Connection:
    """One feed connection."""

    def __init__(self, websocket: WebSocket, client_id: str) -> None:
        self.client_id = client_id
        self.subscribed: set[InstrumentKey] = set()
        self._websocket = websocket
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._is_over = False
        self.tickers = 0

    def put(self, packet: bytes) -> None:
        """Send *packet* as a frame of its own, in order, some time soon."""
        if self._queue.qsize() >= _QUEUE_MAX:
            self.end()
        elif not self._is_over:
            self._queue.put_nowait(packet)

    def put_ticker(self, packet: bytes) -> None:
        """Send *packet* and count it in `tickers`, unless the connection is over."""
        self.put(packet)
        if not self._is_over:
            self.tickers += 1

    def end(self) -> None:
        """Close after what is on its way."""
        if not self._is_over:
            self._is_over = True
            self._queue.put_nowait(None)

    async def drained(self) -> None:
        """Wait until everything on its way has been handed to the transport."""
        await self._queue.join()

    async def write(self) -> None:
        """Send until the end or until the client is gone."""
        try:
            while (packet := await self._queue.get()) is not None:
                await self._send(packet)
                self._queue.task_done()
            self._queue.task_done()
            if self._websocket.client_state is WebSocketState.CONNECTED:
                await self._websocket.close()
        except (WebSocketDisconnect, RuntimeError):
            pass  # The client went away in mid-sentence; the reading side sees it too.
        finally:
            self._abandon()

    async def _send(self, packet: bytes) -> None:
        await self._websocket.send_bytes(packet)

    def _abandon(self) -> None:
        self._is_over = True
        while not self._queue.empty():
            self._queue.get_nowait()
        with contextlib.suppress(ValueError):
            while True:
                self._queue.task_done()


class Feed:
    """All connections. One event loop owns it."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._connections: list[Connection] = []
        self._newest: dict[str, Connection] = {}

    @property
    def packets(self) -> dict[str, int]:
        """Ticker packets sent so far on each client's newest connection: the client, too, counts since it connected."""
        return {client_id: connection.tickers for client_id, connection in self._newest.items()}

    @property
    def packets_sent(self) -> int:
        """The most of them (there usually is but one client)."""
        return max(self.packets.values(), default=0)

    def publish(self, ticks: Sequence[Tick]) -> None:
        """Send each tick to whoever subscribed to its instrument."""
        if not self._connections:
            return
        for tick in ticks:
            packet: bytes | None = None
            for connection in self._connections:
                if tick.instrument in connection.subscribed:
                    packet = packet or ticker_packet(tick)
                    connection.put_ticker(packet)

    async def drained(self) -> None:
        """Wait until every packet so far has been handed to the transports."""
        for connection in tuple(self._connections):
            await connection.drained()

    def cut(self) -> None:
        """End every connection."""
        for connection in self._connections:
            connection.end()

    async def serve(self, websocket: WebSocket, client_id: str | None) -> None:
        """Speak with one client until it goes; *client_id* is None where its token is not good."""
        await websocket.accept()
        if client_id is None:
            await websocket.send_bytes(disconnect_packet(TOKEN_INVALID))
            await websocket.close()
            return
        connection = Connection(websocket, client_id)
        self._make_room(client_id)
        self._connections.append(connection)
        self._newest[client_id] = connection
        writer = asyncio.create_task(connection.write())
        try:
            await self._read(websocket, connection)
        finally:
            self._connections.remove(connection)
            connection.end()
            await writer

    def _make_room(self, client_id: str) -> None:
        theirs = [connection for connection in self._connections if connection.client_id == client_id]
        if len(theirs) >= CONNECTIONS_MAX:
            theirs[0].put(disconnect_packet(TOO_MANY_CONNECTIONS))
            theirs[0].end()

    async def _read(self, websocket: WebSocket, connection: Connection) -> None:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                continue  # The broker's own client says goodbye in binary; it means nothing.
            try:
                request = msgspec.json.decode(text)
            except msgspec.DecodeError:
                continue
            if isinstance(request, dict) and not self._obey(request, connection):
                return

    def _obey(self, request: dict[str, Any], connection: Connection) -> bool:
        """Carry out one request and tell whether the conversation goes on."""
        code = request.get("RequestCode")
        if code == _DISCONNECT:
            return False
        keys = _keys_of(request.get("InstrumentList"))
        if len(keys) > INSTRUMENTS_PER_MESSAGE_MAX:
            connection.put(disconnect_packet(TOO_MANY_INSTRUMENTS))
            return False
        if code == _SUBSCRIBE:
            for key in keys:
                self._subscribe(connection, key)
        elif code == _UNSUBSCRIBE:
            connection.subscribed.difference_update(keys)
        return True

    def _subscribe(self, connection: Connection, key: InstrumentKey) -> None:
        connection.subscribed.add(key)
        previous_close = self._simulator.previous_closes_e4.get(key)
        if previous_close is not None:
            connection.put(previous_close_packet(key, previous_close))
        tick = self._simulator.last_ticks.get(key)
        if tick is not None:
            connection.put_ticker(ticker_packet(tick))


def _keys_of(instrument_list: Any) -> list[InstrumentKey]:
    keys = []
    for entry in instrument_list if isinstance(instrument_list, list) else ():
        if isinstance(entry, dict):
            segment = segment_of(str(entry.get("ExchangeSegment")))
            security_id = str(entry.get("SecurityId"))
            if segment is not None and security_id.isdigit():
                keys.append(InstrumentKey(segment, security_id))
    return keys
