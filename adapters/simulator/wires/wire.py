"""Answers that come over the connection damaged: torn, cut short, byte by byte, or twice.

They are written to the connection itself, past the server, which would not let an answer be wrong.
"""

import asyncio
import socket
import struct
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from adapters.simulator.wires.connection import until_gone, wire_of

_LINGER_ZERO = struct.pack("ii", 1, 0)
_PAUSES = 20


async def tear_in_head(request: Request, response: Response) -> Response:
    """Send half of the answer's head, then reset the connection."""
    head, _ = _as_bytes(response)
    return await _reset_after(request, head[: len(head) // 2])


async def tear_in_body(request: Request, response: Response) -> Response:
    """Send the head and half of the body, then reset the connection."""
    head, body = _as_bytes(response)
    return await _reset_after(request, head + body[: len(body) // 2])


async def truncate(request: Request, response: Response) -> Response:
    """Send half of the body that the head announces, and close the connection in good order."""
    head, body = _as_bytes(response)
    wire = wire_of(request)
    wire.write(head + body[: len(body) // 2])
    wire.close()
    return await until_gone(request)


async def drip(request: Request, response: Response, *, seconds: float) -> Response:
    """Send the answer in small pieces that take *seconds* in all, and close the connection."""
    whole = b"".join(_as_bytes(response))
    wire = wire_of(request)
    piece = max(1, len(whole) // _PAUSES)
    for start in range(0, len(whole), piece):
        if wire.is_closing():
            break
        wire.write(whole[start : start + piece])
        await asyncio.sleep(seconds / _PAUSES)
    wire.close()
    return await until_gone(request)


async def send_once_more(request: Request, response: Response) -> Response:
    """Send the answer now, and let it come a second time as the answer that the server sends."""
    wire_of(request).write(b"".join(_as_bytes(response, closes=False)))
    return response


async def _reset_after(request: Request, data: bytes) -> Response:
    wire = wire_of(request)
    wire.write(data)
    raw: socket.socket = wire.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    wire.abort()
    return await until_gone(request)


def _as_bytes(response: Response, *, closes: bool = True) -> tuple[bytes, bytes]:
    """Return head and body as they go over the connection."""
    status = HTTPStatus(response.status_code)
    headers = [*response.raw_headers, *([(b"connection", b"close")] if closes else [])]
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n", bytes(response.body)
