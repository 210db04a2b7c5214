"""Connections to the venue: one request at a time on each, and never again on one that said more than it was asked.

An answer carries nothing that tells to which request it belongs, but its place on the connection. A second answer to
one request (of a gateway that repeats itself, or one whose length was counted wrong) would be taken for the answer to
the next one: an order that the venue has would be told refused, or accepted under another order's id. So a connection
is used again only where what came since its request is one whole answer and not a byte more, and where nothing has come
since, its end included. What comes later than the next request cannot be told from its answer by any client.

A general client of HTTP takes ten times the processor's time that a request needs, and an order needs several. Here a
request is written at once and whole, and the answer is read by the parser that the engine's own server uses.
"""

import asyncio
import ipaddress
import select
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, cast

from adapters.dhan.http.addresses import first_to_connect
from adapters.dhan.http.answers import Answer, NoWholeAnswer, Take


class Origin(NamedTuple):
    """Who is spoken to."""

    is_encrypted: bool
    host: str
    port: int


class Connection(asyncio.Protocol):
    """One connection, and the answer that is expected on it. One that is silent for *silence_s* seconds is ended."""

    def __init__(self, *, silence_s: float) -> None:
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._readable = select.poll()
        self._expected: Answer | None = None
        self._answered: asyncio.Future[Answer] = self._loop.create_future()
        self._moved_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # --- As its owner sees it ---

    @property
    def is_usable(self) -> bool:
        """Whether the next request may go out on it: it stands, and nothing has come that nobody asked for."""
        if self._transport is None or self._transport.is_closing():
            return False
        # Nor is anything there that the loop has not handed on yet, such as the end of the connection.
        return not self._readable.poll(0)

    async def exchange(self, request: bytes, on_write: Callable[[], None], take: Take | None) -> Answer:
        """Write *request* whole and return its answer; *on_write* is told just before, *take* as in `Answer`.

        Raises:
            NoWholeAnswer: there came none, or none that makes sense.
        """
        assert self._transport is not None, "it is connected before it is handed out"
        self._expected, self._answered = Answer(take), self._loop.create_future()
        self._moved_at = self._loop.time()
        self._timer = self._loop.call_later(self._silence_s, self._look_for_silence)
        is_to_end = True
        try:
            on_write()
            self._transport.write(request)
            answer = await self._answered
            is_to_end = not answer.lets_another_follow
            return answer
        finally:
            self._timer.cancel()
            self._expected = None
            if is_to_end:
                self.abort()

    def abort(self) -> None:
        """End it without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    # --- As the loop sees it ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in that it stands."""
        self._transport = cast("asyncio.Transport", transport)  # On TCP it is one, though uvloop's is no subclass.
        self._readable.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        self._moved_at = self._loop.time()
        answer = self._expected
        if answer is None:
            self.abort()
            return
        try:
            answer.feed(data)
        except Exception as fault:  # noqa: BLE001 - whatever it is, whoever asked gets to know
            self._fail(fault)
        if answer.is_whole and not self._answered.done():
            self._answered.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take in that it ended."""
        self._transport = None
        answer = self._expected
        if answer is not None and exc is None and answer.ends_with_connection and not self._answered.done():
            self._answered.set_result(answer)
        self._fail(NoWholeAnswer("RemoteProtocolError" if exc is None else "ReadError"))

    # --- Parts ---

    def _fail(self, fault: Exception) -> None:
        if self._expected is not None and not self._answered.done():
            self._answered.set_exception(fault)
        self.abort()

    def _look_for_silence(self) -> None:
        silent_s = self._loop.time() - self._moved_at
        if silent_s >= self._silence_s:
            self._fail(NoWholeAnswer("ReadTimeout"))
        else:
            self._timer = self._loop.call_later(self._silence_s - silent_s, self._look_for_silence)


class Connections:
    """So many connections at most, each kept for a while after its answer."""

    def __init__(
        self,
        *,
        amount_max: int,
        connect_s: float,
        silence_s: float,
        keep_s: float,
        tls_context: Callable[[], ssl.SSLContext],
    ) -> None:
        self._free = asyncio.Semaphore(amount_max)
        self._connect_s = connect_s
        self._silence_s = silence_s
        self._keep_s = keep_s
        self._tls_context = tls_context
        self._idle: defaultdict[Origin, deque[tuple[Connection, float]]] = defaultdict(deque)
        self._used: set[Connection] = set()

    @asynccontextmanager
    async def one(self, origin: Origin) -> AsyncIterator[Connection]:
        """Yield a connection to *origin* that nobody else uses meanwhile.

        Raises:
            NoWholeAnswer: there is none: nothing was sent.
        """
        await self._turn()
        try:
            connection = self._kept(origin) or await self._connected(origin)
            self._used.add(connection)
            try:
                yield connection
            finally:
                self._used.remove(connection)
                self._keep(origin, connection)
        finally:
            self._free.release()

    def close(self) -> None:
        """End all of them."""
        idle = [connection for kept in self._idle.values() for connection, _ in kept]
        for connection in [*self._used, *idle]:
            connection.abort()
        self._idle.clear()

    async def _turn(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._connect_s):
                await self._free.acquire()
        except TimeoutError:
            raise NoWholeAnswer("PoolTimeout") from None

    def _kept(self, origin: Origin) -> Connection | None:
        """Return the connection that was used last, if it still can be."""
        idle, now = self._idle[origin], asyncio.get_running_loop().time()
        while idle:
            connection, since = idle.pop()
            if now - since < self._keep_s and connection.is_usable:
                return connection
            connection.abort()
        return None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        if not connection.is_usable:
            connection.abort()
            return
        idle, now = self._idle[origin], asyncio.get_running_loop().time()
        idle.append((connection, now))
        while now - idle[0][1] >= self._keep_s > 0:
            idle.popleft()[0].abort()

    async def _connected(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        context = self._tls_context() if origin.is_encrypted else None
        name = origin.host if origin.is_encrypted else None
        connection = Connection(silence_s=self._silence_s)
        try:
            async with asyncio.timeout(self._connect_s):
                if _is_address(origin.host):
                    await loop.create_connection(
                        lambda: connection, origin.host, origin.port, ssl=context, server_hostname=name
                    )
                else:
                    socket = await first_to_connect(origin.host, origin.port)
                    await loop.create_connection(lambda: connection, sock=socket, ssl=context, server_hostname=name)
        except TimeoutError:
            raise NoWholeAnswer("ConnectTimeout") from None
        except OSError:
            raise NoWholeAnswer("ConnectError") from None
        return connection


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
