"""A wire between a client and a server of ours that can be cut at a chosen moment."""

import asyncio
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.addresses import LOOPBACK

_CHUNK = 65_536
_POSTGRES_PORT = "5432"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Cut(Enum):
    """When the wire breaks, once the client says what the cut is about."""

    UNHEARD = "unheard"
    """Before it reaches the server; what came before it does."""
    HEARD = "heard"
    """As soon as the server has it."""
    UNTOLD = "untold"
    """When the server answers: what was asked for has happened, and the answer is lost."""
    SILENT = "silent"
    """Not at all: from then on nothing of what the server says gets through."""


class Link(ABC):
    """One server's wire. `arm` says what happens next and on which words; `has_struck` tells that it happened.

    A cut happens once. What the client says is looked at as bytes, so the words must be such that only the one kind of
    request has them.
    """

    def __init__(self, dial: Callable[[], Awaitable[Streams]]) -> None:
        self._dial = dial
        self._server: asyncio.Server | None = None
        self._wires: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        self._cut: Cut | None = None
        self._about = b""
        self.has_struck = asyncio.Event()

    def arm(self, cut: Cut, about: bytes) -> None:
        """Let the next request with *about* in it meet *cut*."""
        self._cut, self._about = cut, about
        self.has_struck = asyncio.Event()

    def disarm(self) -> None:
        """Let everything pass again, on connections of which nothing is heard any more as well."""
        self._cut = None

    async def close(self) -> None:
        """Break all connections and take no more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self._ending.set()
            await asyncio.gather(*self._wires)

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def listen(self) -> None:
        """Take connections."""
        self._ending = asyncio.Event()
        self._server = await self._listen()

    @abstractmethod
    async def _listen(self) -> asyncio.Server:
        """Take connections where clients look for the server."""

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = asyncio.current_task()
        assert wire is not None
        self._wires.add(wire)
        try:
            server_reader, server_writer = await self._dial()
        except OSError:  # The server is away, which the client sees as a connection that ends at once.
            await _close(writer)
        else:
            await self._carry((reader, writer), (server_reader, server_writer))
        finally:
            self._wires.discard(wire)

    async def _carry(self, client: Streams, server: Streams) -> None:
        is_meant = asyncio.Event()
        ends = [
            asyncio.create_task(self._ask(client[0], server[1], is_meant)),
            asyncio.create_task(self._answer(server[0], client[1], is_meant)),
            asyncio.create_task(self._ending.wait()),
        ]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        await _close(client[1])
        await _close(server[1])

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_meant: asyncio.Event) -> None:
        tail = b""  # The words may lie across two chunks.
        while data := await reader.read(_CHUNK):
            if self._cut is not None and not is_meant.is_set():
                place = (tail + data).find(self._about)
                if place >= 0:
                    match self._cut:
                        case Cut.UNHEARD:
                            writer.write(data[: max(0, place - len(tail))])
                            await writer.drain()
                            self._strike()
                            return
                        case Cut.HEARD:
                            writer.write(data)
                            await writer.drain()
                            self._strike()
                            return
                        case Cut.UNTOLD | Cut.SILENT:
                            is_meant.set()
                tail = data[-len(self._about) :]
            writer.write(data)
            await writer.drain()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_meant: asyncio.Event
    ) -> None:
        is_deaf = False
        while data := await reader.read(_CHUNK):
            if is_meant.is_set() and self._cut is Cut.UNTOLD:
                self._strike()
                return
            if is_meant.is_set() and self._cut is Cut.SILENT and not is_deaf:
                is_deaf = True  # For good: half an answer is worse than none.
                self._strike()
            if not is_deaf:
                writer.write(data)
                await writer.drain()

    def _strike(self) -> None:
        self._cut = None
        self.has_struck.set()


class PostgresLink(Link):
    """A wire to PostgreSQL's socket. `conninfo` leads through it."""

    def __init__(self, conninfo: str) -> None:
        target = conninfo_to_dict(conninfo)
        self._target = Path(str(target["host"])) / f".s.PGSQL.{target.get('port') or _POSTGRES_PORT}"
        self._folder = tempfile.TemporaryDirectory(prefix="khata-link-")
        self._socket = Path(self._folder.name) / f".s.PGSQL.{_POSTGRES_PORT}"
        self.conninfo = make_conninfo(conninfo, host=self._folder.name, port=_POSTGRES_PORT)
        super().__init__(self._to_target)

    async def _to_target(self) -> Streams:
        return await asyncio.open_unix_connection(self._target)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_unix_server(self._connected, self._socket)

    async def close(self) -> None:
        """Break all connections and take no more; the socket is gone, `listen` makes it again."""
        self._socket.unlink(missing_ok=True)
        await super().close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        self._folder.cleanup()


class NatsLink(Link):
    """A wire to a NATS server. `url` leads through it, from its first `listen` on."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._port = 0
        super().__init__(self._to_target)

    @property
    def url(self) -> str:
        """The server's address through the wire."""
        credential = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{credential}@{LOOPBACK}:{self._port}"))

    async def _to_target(self) -> Streams:
        return await asyncio.open_connection(self._parts.hostname, self._parts.port)

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connected, LOOPBACK, self._port)
        self._port = server.sockets[0].getsockname()[1]
        return server


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
