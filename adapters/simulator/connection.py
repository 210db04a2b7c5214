"""Ending a connection without a byte of an answer, and closing the door to new ones.

An ASGI application cannot hang up: whatever it does short of an answer, the server answers 500 for it, and a websocket
it can only close in good order. So our server speaks both with protocol classes that hand the connection itself to the
application.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request as Handshake

_ABORT = "simulator.abort"
_DEAFEN = "simulator.deafen"
_LINGER_NOT = struct.pack("ii", 1, 0)
"""A socket closed with this says no goodbye: the other side sees a reset."""
_SHUTDOWN_POLL_S = 0.005


class NotServed(Exception):
    """The application does not run under a server of ours: the connection is out of reach."""


class AbortableProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose application can cut the connection."""

    def on_message_begin(self) -> None:
        """Put the way to cut this connection into the scope of its next request."""
        super().on_message_begin()
        self.scope["extensions"] = {_ABORT: {"call": self.transport.abort}}


class AbortableWebSocket(WebSocketsSansIOProtocol):
    """A websocket whose application can reset the connection, or leave it open and deaf."""

    def handle_connect(self, event: Handshake) -> None:
        """Put the ways to do so into the scope of the conversation."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = {_ABORT: {"call": self._reset}, _DEAFEN: {"call": self._deafen}}
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), **extensions}

    def _reset(self) -> None:
        if self.transport.is_closing():
            return
        connected: socket.socket = self.transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.transport.abort()

    def _deafen(self) -> None:
        self.stop_keepalive()  # A peer that is gone without a word pings nobody.
        self.transport.pause_reading()


def reset(websocket: WebSocket) -> None:
    """Reset the connection of *websocket* without a close frame."""
    _extension(websocket.scope, _ABORT)()


def deafen(websocket: WebSocket) -> None:
    """Leave the connection of *websocket* open, read nothing more from it and answer no ping."""
    _extension(websocket.scope, _DEAFEN)()


async def end_without_answer(request: Request) -> Response:
    """Cut the connection of *request*; the response returned afterwards reaches nobody."""
    _extension(request.scope, _ABORT)()
    # The server must have noticed before we return, or it would take our silence for an error of ours.
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response()


def _extension(scope: MutableMapping[str, Any], name: str) -> Callable[[], None]:
    extension = scope.get("extensions", {}).get(name)
    if extension is None:
        raise NotServed(f"received a connection that did not come through a protocol of ours: {name} is not there")
    call: Callable[[], None] = extension["call"]
    return call


async def wait_or_disconnect(request: Request, seconds: float) -> None:
    """Wait for *seconds*, but no longer than the client does."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass


class PausableServer(Server):
    """A server that runs until it is told to stop, leaves signals alone, and can stop listening for a while."""

    def __init__(self, config: Config, listener: socket.socket, on_ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._address = listener.getsockname()[:2]
        self._on_ready = on_ready
        self._stop = asyncio.Event()
        self._reopening: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: signals are the process's, and one that the server raised again would end it in mid-drain."""
        yield

    def stop(self) -> None:
        """End `main_loop`."""
        self._stop.set()

    async def main_loop(self) -> None:
        """Report the port and wait for the end."""
        self._on_ready(self._address[1])
        await self._stop.wait()
        if self._reopening is not None:
            self._reopening.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, give answers under way their time, end the rest. The base class takes 0.1 s longer."""
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(_SHUTDOWN_POLL_S)
        for task in tuple(self.server_state.tasks):
            task.cancel()
        await self.lifespan.shutdown()

    def pause_listening(self, seconds: float) -> None:
        """Refuse new connections for *seconds*; HTTP connections end after their answer, feeds go on."""
        if self._reopening is not None and not self._reopening.done():
            return
        for server in self.servers:
            server.close()
        self.servers.clear()
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, AbortableProtocol):
                connection.shutdown()
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(seconds))

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        host, port = self._address
        server = await asyncio.get_running_loop().create_server(self._new_protocol, host, port)
        self.servers.append(server)

    def _new_protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol
