"""The market feed: who is connected, what they subscribed to, and the packets on their way.

Packets are counted when they are put on a connection's queue. In lock-step the server waits until the queues are
empty before it answers a step, so that the count it answers is what went out.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from adapters.simulator.market.open_interest import DERIVATIVES
from adapters.simulator.market.quotes import Quote, QuoteBoard
from adapters.simulator.sockets.packets import (
    depth_packet,
    disconnect_packet,
    full_packet,
    market_status_packet,
    open_interest_packet,
    previous_close_packet,
    quote_packet,
    ticker_packet,
)
from adapters.simulator.tapes.tape import Tick
from adapters.simulator.trading.simulator import Simulator
from adapters.simulator.words.answers import answer
from adapters.simulator.words.refusals import TOO_MANY_QUOTES, data_refusal
from adapters.simulator.words.rows import segment_of
from domain.instrument import InstrumentKey, Segment

CONNECTIONS_MAX = 5
INSTRUMENTS_MAX = 5_000
INSTRUMENTS_PER_MESSAGE_MAX = 100
TOO_MANY_INSTRUMENTS, TOO_MANY_CONNECTIONS, TOKEN_EXPIRED, CLIENT_INVALID, TOKEN_INVALID = 804, 805, 807, 808, 809
DISCONNECT_REASONS = range(800, 815)
_DISCONNECT = 12
_QUEUE_MAX = 200_000
"""A client that is so far behind is dropped: it reads nothing."""
_GLUED_MAX = 64


class Mode(IntEnum):
    """How much is told of an instrument, by the request that subscribes to it; the one after it unsubscribes."""

    TICKER = 15
    QUOTE = 17
    FULL = 21
    DEPTH = 23


_MODES = {mode.value: mode for mode in Mode}
_ENDED = {mode.value + 1: mode for mode in Mode}


class Connection:
    """One feed connection."""

    def __init__(self, websocket: WebSocket, client_id: str, *, glues: bool = False) -> None:
        self.client_id = client_id
        self.subscribed: dict[InstrumentKey, tuple[Mode, ...]] = {}
        self._glues = glues
        self._websocket = websocket
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._is_over = False
        self.prices = 0

    def put(self, packet: bytes) -> None:
        """Send *packet*, in order, some time soon: as a frame of its own, unless this connection glues."""
        if self._queue.qsize() >= _QUEUE_MAX:
            self.end()
        elif not self._is_over:
            self._queue.put_nowait(packet)

    def put_price(self, packets: Sequence[bytes]) -> None:
        """Send *packets*, which tell one price, and count it in `prices`, unless the connection is over."""
        for packet in packets:
            self.put(packet)
        if not self._is_over:
            self.prices += 1

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
            is_last = False
            while not is_last:
                frame, packets, is_last = self._frame(await self._queue.get())
                if frame:
                    await self._send(frame)
                for _ in range(packets):
                    self._queue.task_done()
            if self._websocket.client_state is WebSocketState.CONNECTED:
                await self._websocket.close()
        except (WebSocketDisconnect, RuntimeError):
            pass  # The client went away in mid-sentence; the reading side sees it too.
        finally:
            self._abandon()

    def _frame(self, packet: bytes | None) -> tuple[bytes, int, bool]:
        """Return the next frame, how many entries of the queue it took, and whether the end was among them."""
        waiting = [packet]
        while self._glues and waiting[-1] is not None and len(waiting) < _GLUED_MAX and not self._queue.empty():
            waiting.append(self._queue.get_nowait())
        return b"".join(each for each in waiting if each is not None), len(waiting), waiting[-1] is None

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

    def __init__(self, simulator: Simulator, quotes: QuoteBoard, *, segments: Sequence[Segment], glues: bool) -> None:
        self._simulator = simulator
        self._segments = segments
        self._quotes = quotes
        self.glues = glues
        self.handshakes_to_refuse = 0
        self._connections: list[Connection] = []
        self._newest: dict[str, Connection] = {}

    @property
    def packets(self) -> dict[str, int]:
        """Prices sent so far on each client's newest connection: the client, too, counts since it connected."""
        return {client_id: connection.prices for client_id, connection in self._newest.items()}

    @property
    def packets_sent(self) -> int:
        """The most of them (there usually is but one client)."""
        return max(self.packets.values(), default=0)

    def publish(self, ticks: Sequence[Tick]) -> None:
        """Send each tick to whoever subscribed to its instrument."""
        if not self._connections:
            return
        for tick in ticks:
            told: dict[Mode, Sequence[bytes]] = {}
            for connection in self._connections:
                for mode in connection.subscribed.get(tick.instrument, ()):
                    if mode not in told:
                        told[mode] = self._packets(mode, tick)
                    connection.put_price(told[mode])

    def tell_market_status(self) -> None:
        """Tell everybody that the segments of the tape opened or closed."""
        for segment in self._segments:
            for connection in self._connections:
                connection.put(market_status_packet(segment))

    async def drained(self) -> None:
        """Wait until every packet so far has been handed to the transports."""
        for connection in tuple(self._connections):
            await connection.drained()

    def cut(self) -> None:
        """End every connection."""
        for connection in self._connections:
            connection.end()

    def disconnect(self, reason: int, *, client_id: str | None = None) -> None:
        """Tell every connection, or those of a client alone, why it ends, and end it."""
        for connection in self._connections:
            if client_id in {None, connection.client_id}:
                connection.put(disconnect_packet(reason))
                connection.end()

    async def serve(self, websocket: WebSocket, client_id: str | None, *, refusal: int = TOKEN_INVALID) -> None:
        """Speak with one client until it goes; without a *client_id* it is told the *refusal* and ended."""
        if self.handshakes_to_refuse:
            self.handshakes_to_refuse -= 1
            await websocket.send_denial_response(answer(data_refusal(429, 805, TOO_MANY_QUOTES).body, 429))
            return
        await websocket.accept()
        if client_id is None:
            await websocket.send_bytes(disconnect_packet(refusal))
            await websocket.close()
            return
        connection = Connection(websocket, client_id, glues=self.glues)
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
        if code in _MODES:
            if len(connection.subscribed.keys() | set(keys)) > INSTRUMENTS_MAX:
                connection.put(disconnect_packet(TOO_MANY_INSTRUMENTS))
                return False
            for key in keys:
                self._subscribe(connection, key, _MODES[code])
        elif code in _ENDED:
            for key in keys:
                _unsubscribe(connection, key, _ENDED[code])
        return True

    def _subscribe(self, connection: Connection, key: InstrumentKey, mode: Mode) -> None:
        modes = connection.subscribed.get(key, ())
        if mode not in modes:
            connection.subscribed[key] = (*modes, mode)
        previous_close = self._simulator.record.previous_close_e4(key)
        if previous_close:
            quote = self._quote_of(key)
            previous_interest = quote.open_interest.previous if quote is not None else 0
            connection.put(previous_close_packet(key, previous_close, previous_interest))
        tick = self._simulator.last_ticks.get(key)
        if tick is not None:
            connection.put_price(self._packets(mode, tick))

    def _packets(self, mode: Mode, tick: Tick) -> Sequence[bytes]:
        """Return what *mode* tells of a tick. The day's figures are those after the last tick of its second."""
        quote = None if mode is Mode.TICKER else self._quote_of(tick.instrument)
        if quote is None:
            return (ticker_packet(tick),)
        match mode:
            case Mode.FULL:
                return (full_packet(tick, quote),)
            case Mode.DEPTH:
                return (depth_packet(tick, quote),)
            case _ if tick.instrument.segment in DERIVATIVES:
                return quote_packet(tick, quote), open_interest_packet(quote)
            case _:
                return (quote_packet(tick, quote),)

    def _quote_of(self, key: InstrumentKey) -> Quote | None:
        return self._quotes.quote_of(key, market_time_ns=self._simulator.market_time_ns)


def _unsubscribe(connection: Connection, key: InstrumentKey, mode: Mode) -> None:
    modes = tuple(each for each in connection.subscribed.get(key, ()) if each is not mode)
    if modes:
        connection.subscribed[key] = modes
    else:
        connection.subscribed.pop(key, None)


def _keys_of(instrument_list: Any) -> list[InstrumentKey]:
    keys = []
    for entry in instrument_list if isinstance(instrument_list, list) else ():
        if isinstance(entry, dict):
            segment = segment_of(str(entry.get("ExchangeSegment")))
            security_id = str(entry.get("SecurityId"))
            if segment is not None and security_id.isdigit():
                keys.append(InstrumentKey(segment, security_id))
    return keys
