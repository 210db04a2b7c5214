"""A proxy before PostgreSQL's socket that can lose what the server answers."""

import asyncio
import tempfile
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_CHUNK = 65_536
_PORT = "5432"


class Answers(Enum):
    """What becomes of the server's answers."""

    PASS = "pass"
    LOSE = "lose"
    """The connection breaks when the server answers: what was asked for has happened."""
    SWALLOW = "swallow"
    """Nothing is heard any more, and the connection stays."""


class Proxy:
    """Listens on a socket of its own. `conninfo` leads through it; `answers` may be changed at any time."""

    def __init__(self, conninfo: str) -> None:
        self._target = conninfo_to_dict(conninfo)
        self._folder = tempfile.TemporaryDirectory(prefix="khata-proxy-")
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.conninfo = make_conninfo(conninfo, host=self._folder.name, port=_PORT)
        self.answers = Answers.PASS
        self.asked = asyncio.Event()
        """Set when a client sends something."""

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        self._folder.cleanup()

    async def listen(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_unix_server(self._connected, self._socket_of(self._folder.name, _PORT))

    async def refuse(self) -> None:
        """Break all connections and take no more."""
        if self._server is None:
            return
        self._server.close()
        self._socket_of(self._folder.name, _PORT).unlink(missing_ok=True)
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        self._server = None

    @staticmethod
    def _socket_of(folder: str, port: str) -> Path:
        return Path(folder) / f".s.PGSQL.{port}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        target = self._socket_of(str(self._target["host"]), str(self._target.get("port") or _PORT))
        server_reader, server_writer = await asyncio.open_unix_connection(target)
        directions = [
            asyncio.create_task(self._ask(reader, server_writer)),
            asyncio.create_task(self._answer(server_reader, writer)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            for end in (writer, server_writer):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()
            self._links.discard(link)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
            self.asked.set()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            match self.answers:
                case Answers.PASS:
                    writer.write(data)
                    await writer.drain()
                case Answers.LOSE:
                    self.answers = Answers.PASS
                    return
                case Answers.SWALLOW:
                    continue
