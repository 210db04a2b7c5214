"""A scripted HTTP server on raw sockets: it can do to a client whatever a broken venue does."""

import asyncio
import json
import socket
import struct
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """One connection, as a behaviour sees it. A behaviour returns whether the connection may be used again."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """Close with a TCP reset."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._writer.transport.abort()


Behaviour = Callable[[Received, Line], Awaitable[bool]]


def answer(status: int, document: Any = None, *, body: bytes | None = None) -> Behaviour:
    """Answer properly."""
    content = body if body is not None else b"" if document is None else json.dumps(document).encode()

    async def behave(_request: Received, line: Line) -> bool:
        await line.write(_head(status, len(content)) + content)
        return True

    return behave


def hang() -> Behaviour:
    """Read the request and never answer."""

    async def behave(_request: Received, _line: Line) -> bool:
        await asyncio.Event().wait()
        return False

    return behave


def close_after_reading() -> Behaviour:
    """Read the request and close the connection."""

    async def behave(_request: Received, _line: Line) -> bool:
        return False

    return behave


def reset_after_reading() -> Behaviour:
    """Read the request and reset the connection."""

    async def behave(_request: Received, line: Line) -> bool:
        line.reset()
        return False

    return behave


def cut_short(status: int, document: Any) -> Behaviour:
    """Begin a proper answer and close in the middle of its body."""
    content = json.dumps(document).encode()

    async def behave(_request: Received, line: Line) -> bool:
        await line.write(_head(status, len(content)) + content[: len(content) // 2])
        return False

    return behave


def drip(status: int, document: Any, *, pause_s: float) -> Behaviour:
    """Answer a byte at a time."""
    content = _head(status, len(json.dumps(document))) + json.dumps(document).encode()

    async def behave(_request: Received, line: Line) -> bool:
        for index in range(len(content)):
            await line.write(content[index : index + 1])
            await asyncio.sleep(pause_s)
        return False

    return behave


def raw(data: bytes) -> Behaviour:
    """Write *data* as it is and close."""

    async def behave(_request: Received, line: Line) -> bool:
        await line.write(data)
        return False

    return behave


def _head(status: int, length: int) -> bytes:
    return f"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()


class Venue:
    """The server: `on` scripts what each route does, one behaviour per request, the last for all that follow."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.closes_before_reading = False
        self._script: defaultdict[tuple[str, str], list[Behaviour]] = defaultdict(list)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, method: str, path: str, *behaviours: Behaviour) -> None:
        """Script a route anew."""
        self._script[method, path] = list(behaviours)

    def requests(self, method: str, path: str) -> list[Received]:
        """Return what came for a route."""
        return [request for request in self.received if (request.method, request.path) == (method, path)]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen: on a free port first, later again on the same."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more and drop every connection."""
        if self._server is not None:
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not self.closes_before_reading:
            request = await _read(reader)
            self.received.append(request)
            behaviour = self._next(request)
            if not await behaviour(request, Line(writer)):
                return

    def _next(self, request: Received) -> Behaviour:
        script = self._script[request.method, request.path]
        if not script:
            return answer(404, {"timestamp": 1, "status": 404, "error": "Not Found", "path": request.path})
        return script.pop(0) if len(script) > 1 else script[0]


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Received(method=method, path=parts.path, query=dict(parse_qsl(parts.query)), headers=headers, body=body)
