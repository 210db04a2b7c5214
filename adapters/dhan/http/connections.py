"""Connections to the venue that are not used again once they have said more than they were asked.

An answer carries nothing that tells to which request it belongs, but its place on the connection. A second answer to
one request (of a gateway that repeats itself, or one whose length was counted wrong) would be taken for the answer to
the next one: an order that the venue has would be told refused, or accepted under another order's id. The HTTP library
drops an idle connection on which bytes have come, but not one of which it has read those bytes already, together with
the answer before them. Here such a connection counts as one on which bytes have come.

What comes later than the next request cannot be told from its answer by any client.
"""

import re
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

_HEAD_END = b"\r\n\r\n"
_LINE_END = b"\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_KEPT_BYTES_MAX = 1024 * 1024
"""Of a longer answer nobody knows where it ends; its connection is not used again."""
SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class WatchedStream(httpcore.AsyncNetworkStream):
    """A connection that remembers what came since it was last written to."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._received = bytearray()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the base's shape
        """Read what has come."""
        data = await self._stream.read(max_bytes, timeout)
        if len(self._received) <= _KEPT_BYTES_MAX:
            self._received += data
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - likewise
        """Write a part of a request; what came before is no answer to it."""
        self._received.clear()
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - likewise
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection, encrypted."""
        return WatchedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return what the library asks of a connection: an idle one that `is_readable` is not used again."""
        if info == "is_readable" and self._received and len(self._received) != end_of_answer(self._received):
            return True
        return self._stream.get_extra_info(info)


class _WatchedConnections(httpcore.AsyncNetworkBackend):
    """Makes connections that are watched."""

    def __init__(self) -> None:
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the base's shape
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection to a host."""
        return WatchedStream(await self._backend.connect_tcp(host, port, timeout, local_address, socket_options))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)


class WatchedTransport(httpx.AsyncHTTPTransport):
    """The library's transport, on connections that are watched. It tries nothing again."""

    def __init__(self, *, limits: httpx.Limits, tls_context: ssl.SSLContext) -> None:
        super().__init__(limits=limits, verify=tls_context, trust_env=False)
        # The transport takes no connections of others; a call to the venue in the tests fails if it comes to make its
        # own by another name.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls_context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            retries=0,
            network_backend=_WatchedConnections(),
        )


def end_of_answer(received: bytes | bytearray) -> int:
    """Return how many of the *received* bytes are the first answer; -1 where they do not hold its end."""
    head = received.find(_HEAD_END)
    if head < 0:
        return -1
    body = head + len(_HEAD_END)
    if _CHUNKED.search(received, 0, head):
        return _end_of_chunks(received, body)
    length = _LENGTH.search(received, 0, head)
    return body + (int(length[1]) if length else 0)


def _end_of_chunks(received: bytes | bytearray, start: int) -> int:
    """Return where chunks that begin at *start* end. Fields after the last one are taken for more than the answer."""
    while (line_end := received.find(_LINE_END, start)) >= 0:
        try:
            size = int(received[start:line_end].partition(b";")[0], 16)
        except ValueError:
            return -1
        start = line_end + len(_LINE_END) + size + len(_LINE_END)
        if size == 0:
            return start
    return -1
