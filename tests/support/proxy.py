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
    """What becomes of the server's answers to what is asked about."""

    PASS = "pass"
    LOSE = "lose"
    """The connection breaks when the server answers: what was asked for has happened."""
    SWALLOW = "swallow"
    """Nothing is heard any more, and the connection stays."""


class Proxy:
    """Listens on a socket of its own, to which `conninfo` leads.

    `answers` may be changed at any time; it holds for a connection on which the client said `about`.
    """

    def __init__(self, conninfo: str) -> None:
        self._target = conninfo_to_dict(conninfo)
        self._folder = tempfile.TemporaryDirectory(prefix="khata-proxy-")
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        self.conninfo = make_conninfo(conninfo, host=self._folder.name, port=_PORT)
        self.answers = Answers.PASS
        self.about = b""

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
        self._ending = asyncio.Event()
        self._server = await asyncio.start_unix_server(self._connected, self._socket_of(self._folder.name, _PORT))

    async def refuse(self) -> None:
        """Break all connections and take no more."""
        if self._server is None:
            return
        self._server.close()
        self._socket_of(self._folder.name, _PORT).unlink(missing_ok=True)
        self._ending.set()
        await asyncio.gather(*self._links)
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
        is_meant = asyncio.Event()
        ends = [
            asyncio.create_task(self._ask(reader, server_writer, is_meant)),
            asyncio.create_task(self._answer(server_reader, writer, is_meant)),
            asyncio.create_task(self._ending.wait()),
        ]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        for side in (writer, server_writer):
            side.close()
            with suppress(OSError):
                await side.wait_closed()
        self._links.discard(link)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_meant: asyncio.Event) -> None:
        while data := await reader.read(_CHUNK):
            if self.about and self.about in data:
                is_meant.set()
            writer.write(data)
            await writer.drain()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_meant: asyncio.Event
    ) -> None:
        while data := await reader.read(_CHUNK):
            match self.answers if is_meant.is_set() else Answers.PASS:
                case Answers.PASS:
                    writer.write(data)
                    await writer.drain()
                case Answers.LOSE:
                    self.answers = Answers.PASS
                    return
                case Answers.SWALLOW:
                    continue
