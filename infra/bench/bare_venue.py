"""The other side of the bench `adapter`: a bare HTTP server that takes every order, in a process of its own."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import cast

import uvloop

from infra.addresses import LOOPBACK

_READY_S = 30.0
_JOIN_S = 10.0
_BODY = b'{"orderId":"112111182198","orderStatus":"TRANSIT"}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@contextmanager
def bare_venue() -> Iterator[str]:
    """Run the server until the block ends.

    Yields:
        Its base URL.
    """
    spawn = multiprocessing.get_context("spawn")
    listening, told = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_serve, args=(told,), daemon=True)
    process.start()
    try:
        if not listening.poll(_READY_S):
            raise RuntimeError(f"the bare server did not start: exit code {process.exitcode}")
        yield f"http://{LOOPBACK}:{listening.recv()}"
    finally:
        process.terminate()
        process.join(_JOIN_S)


class _Orders(asyncio.Protocol):
    """Answers each request once its body is there, and looks at nothing in it."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # On TCP it is one, though uvloop's is no subclass.

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._end_of_request()) is not None:
            del self._received[:end]
            self._transport.write(_ANSWER)

    def _end_of_request(self) -> int | None:
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return None
        head = bytes(self._received[:head_end]).lower()
        _, has_length, rest = head.partition(_LENGTH)
        length = int(rest.partition(b"\r\n")[0]) if has_length else 0
        end = head_end + len(_HEAD_END) + length
        return end if len(self._received) >= end else None


def _serve(told: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Orders, LOOPBACK, 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
