"""Ending a connection without a byte of an answer, and closing the door to new ones.

An ASGI application cannot hang up: whatever it does short of an answer, the server answers 500 for it. So our server
speaks HTTP with a protocol class that hands the connection itself to the application.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_WIRE = "simulator.wire"
_SHUTDOWN_POLL_S = 0.005


class NotServed(Exception):
    """The application does not run under a server of ours: the connection is out of reach."""


class AbortableProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose application can reach the connection itself."""

    def on_message_begin(self) -> None:
        """Put this connection, and the time, into the scope of its next request."""
        super().on_message_begin()
        self.scope["extensions"] = {_WIRE: {"transport": self.transport, "began_ns": time.monotonic_ns()}}


async def end_without_answer(request: Request) -> Response:
    """Cut the connection of *request*; the response returned afterwards reaches nobody."""
    wire_of(request).abort()
    return await until_gone(request)


def wire_of(request: Request) -> asyncio.Transport:
    """Return the connection that *request* came by.

    Raises:
        NotServed: it did not come through a server of ours.
    """
    extension = request.scope.get("extensions", {}).get(_WIRE)
    if extension is None:
        raise NotServed("received a request that did not come through AbortableProtocol")
    transport: asyncio.Transport = extension["transport"]
    return transport


def began_ns(request: Request) -> int:
    """Return when *request* began to be read (monotonic nanoseconds); now, where no server of ours reads it."""
    extension = request.scope.get("extensions", {}).get(_WIRE)
    return time.monotonic_ns() if extension is None else int(extension["began_ns"])


async def until_gone(request: Request) -> Response:
    """Wait for the end of the connection; the response returned afterwards reaches nobody."""
    # The server must have noticed before we return, or it would take our silence for an error of ours.
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response()


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

    def end_abruptly(self) -> None:
        """End `main_loop` and every connection, as a server does that is killed."""
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        self.stop()

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
