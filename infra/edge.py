"""The edge of the API: what a connection may cost before there is a request that could be judged.

The server reads whatever comes, for as long as it comes: it has no limit on a request line, on headers or their number,
on trailers, on requests that are sent ahead, and none on the time that all of this takes. So each of them has one here.
A request is refused with a problem document as soon as it passes one; the connection is then read, without looking at
it, for a moment more, because a connection that is closed with bytes unread takes its answer back. A request that is
whole in one read sets no timer.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.codes import PROBLEMS
from api.errors import PROBLEM_JSON, problem_of
from api.guard import SECURITY_HEADERS

REQUEST_LINE_BYTES_MAX = 8 * 1024
HEAD_BYTES_MAX = 16 * 1024
HEADERS_MAX = 64
SENT_AHEAD_MAX = 32
RESERVE = 64
"""So many connections above the limit are still told that it is reached; those beyond are closed unheard."""
LINGER_S = 1.0
_GRACE_S = 0.01
BUSY_RETRY_AFTER_S = 1

DETAILS = {
    "REQUEST_MALFORMED": "what came is no HTTP/1.1",
    "REQUEST_TOO_SLOW": "the request was not there in time",
    "REQUEST_LINE_TOO_LONG": f"expected a path and query of at most {REQUEST_LINE_BYTES_MAX} bytes",
    "HEADERS_TOO_LARGE": f"expected at most {HEADERS_MAX} headers of {HEAD_BYTES_MAX} bytes together",
    "TOO_MANY_CONNECTIONS": "so many clients are connected that no other is served",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What clients may cost. `trusted_proxies` are addresses or networks whose `X-Forwarded-For` is believed."""

    connections_max: int = 4000
    request_within_s: float = 10.0
    keep_alive_s: float = 75.0
    trusted_proxies: tuple[str, ...] = ()


class RequestRefused(Exception):
    """Ends the parsing of a request. Only the server sees it; the client is told the problem."""


class EdgeProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, edge: Edge, **told: Any) -> None:
        super().__init__(*args, **told)
        self._edge = edge
        self._is_in_head = False
        self._is_awaited = False  # A request has begun and is not whole.
        self._is_over = False  # It is refused, and whatever else comes is not looked at.
        self._begun = 0  # So many requests have begun in one read.
        self._head_bytes = 0
        self._refusal = "REQUEST_MALFORMED"
        self._timer: asyncio.TimerHandle | None = None

    # --- The connection -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, or close what is beyond all limits."""
        super().connection_made(transport)
        if len(self.connections) > self._edge.connections_max + RESERVE:
            transport.close()
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came, within the limits."""
        if self._is_over:
            return
        # The parser tells of a header when it is whole, so one without an end is seen by its bytes alone. A read that
        # has the end of something else in it counts for nothing.
        counts = self._is_in_head or not self._is_awaited
        self._begun = 0
        super().data_received(data)
        if self._is_over or self.transport.is_closing():
            return
        if self._is_in_head and counts and self._begun <= 1:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse("HEADERS_TOO_LARGE")
                return
        if self._is_awaited or self._is_idle():
            self._start_timer()
        else:
            self._stop_timer()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over."""
        self._stop_timer()
        super().handle_websocket_upgrade()

    # --- The parser ---------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._stop_timer()
        self._is_in_head = self._is_awaited = True
        self._begun += 1
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take in a part of the request line."""
        super().on_url(url)
        if len(self.url) > REQUEST_LINE_BYTES_MAX:
            self._stop_parsing("REQUEST_LINE_TOO_LONG")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header; what comes behind a body (trailers) is of no use to anybody here."""
        if not self._is_in_head:
            return
        if len(self.headers) >= HEADERS_MAX:
            self._stop_parsing("HEADERS_TOO_LARGE")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to serve the request."""
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES_MAX:
            self._stop_parsing("HEADERS_TOO_LARGE")
        if len(self.pipeline) >= SENT_AHEAD_MAX:
            self._stop_parsing("REQUEST_MALFORMED")
        self._is_in_head = False
        # Requests that were given up go on, and each connection may have begun another since.
        is_busy = max(len(self.connections), len(self.tasks)) > self._edge.connections_max
        self.app = _too_many_connections if is_busy else self.config.loaded_app
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request."""
        self._is_awaited = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the server's words are not ours
        """Refuse a request that the parser, or one of the limits above, has ended."""
        self._refuse(self._refusal)

    def _stop_parsing(self, code: str) -> None:
        self._refusal = code
        raise RequestRefused(code)

    # --- Refusing -----------------------------------------------------------------------------------------------------

    def _refuse(self, code: str) -> None:
        """Answer with a problem where nothing else is being answered, and take in no more."""
        self._is_over = True
        self._stop_timer()
        if self._may_answer():
            self.transport.write(_ANSWERS[code])
        if self.cycle is not None and not self.cycle.response_complete:
            # Whoever waits for the body learns that there will be none.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)

    def _may_answer(self) -> bool:
        if self._is_awaited and not self._is_in_head:
            # It may have its answer already, or wait for those of requests before it: answers go out in order.
            return not self.cycle.response_started and not self.pipeline
        return self._is_idle()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self._edge.request_within_s, self._be_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _be_late(self) -> None:
        # Where the process was held up, what it has not read yet may have been there in time.
        self._timer = self.loop.call_later(_GRACE_S, self._end_late)

    def _end_late(self) -> None:
        if self.transport.is_closing():
            return
        if self._is_awaited:
            self._refuse("REQUEST_TOO_SLOW")
        else:
            self.transport.close()  # Nobody asked anything, so nobody is told.


def _headers_of(code: str, body: bytes) -> Mapping[str, str]:
    headers = {**SECURITY_HEADERS, "Content-Type": PROBLEM_JSON, "Content-Length": str(len(body))}
    if code == "TOO_MANY_CONNECTIONS":
        headers["Retry-After"] = str(BUSY_RETRY_AFTER_S)
    return {**headers, "Connection": "close"}


def _body_of(code: str) -> bytes:
    return msgspec.json.encode(problem_of(code, DETAILS[code], status=PROBLEMS[code].status))


def _answer_of(code: str) -> bytes:
    body = _body_of(code)
    lines = [f"HTTP/1.1 {PROBLEMS[code].status} {HTTPStatus(PROBLEMS[code].status).phrase}"]
    lines += [f"{name}: {value}" for name, value in _headers_of(code, body).items()]
    return "\r\n".join([*lines, "\r\n"]).encode("ascii") + body


_ANSWERS = {code: _answer_of(code) for code in DETAILS}
_BUSY = "TOO_MANY_CONNECTIONS"
_BUSY_BODY = _body_of(_BUSY)
_BUSY_HEADERS = [(name.encode(), value.encode()) for name, value in _headers_of(_BUSY, _BUSY_BODY).items()]


async def _too_many_connections(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - an application's shape
    await send({"type": "http.response.start", "status": PROBLEMS[_BUSY].status, "headers": _BUSY_HEADERS})
    await send({"type": "http.response.body", "body": _BUSY_BODY})
