"""HTTP to the venue: one request, one answer, and proof of whether anything was sent.

No exception of the HTTP library leaves this module, and no time-out is outside it. Whether a request was sent is not
read off the kind of a fault but off the transport's own trace: from the moment it begins to write the request's head, a
byte may have left. Before that (refused, no such host, no free connection) it is proven that none did.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any, BinaryIO, Protocol, final

import httpx

from adapters.dhan.http.connections import WatchedTransport
from adapters.dhan.settings import DhanSettings
from commands.ports import Clock

BODY_BYTES_MAX = 32 * 1024 * 1024
_CONNECTIONS_MAX = 32
_HEAD_BEGUN = "http11.send_request_headers.started"
_HEAD_WRITTEN = "http11.send_request_headers.complete"


class Lane(Enum):
    """Which connections a request uses: a crowd of reads never keeps an order waiting for a connection."""

    ORDERS = "orders"
    READS = "reads"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What to send. `headers` and `params` may hold secrets and are in no repr."""

    method: str
    url: str
    lane: Lane = Lane.READS
    timeout_s: float | None = None
    """Longest time for the whole call; None: that of the settings."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """A whole answer. `sent_at_ns` (UTC) is when the request's head had been written, `latency_ns` the whole call."""

    status: int
    body: bytes
    sent_at_ns: int
    latency_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """No whole answer. `sent_at_ns` (UTC) is None where it is proven that no byte left."""

    cause: str
    sent_at_ns: int | None


class Transport(Protocol):
    """One request, one answer: the seam between what is said to the venue and the way that it takes."""

    async def send(self, request: HttpRequest) -> HttpAnswer | NoAnswer:
        """Send *request* once and return the answer, or that there is none. Raises nothing but cancellation."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


@final
class _SendTrace:
    """Notes when the head of a request was written."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.sent_at_ns: int | None = None

    async def __call__(self, event: str, _info: Mapping[str, Any]) -> None:
        if event in {_HEAD_BEGUN, _HEAD_WRITTEN}:
            self.sent_at_ns = self._clock.wall_ns()


class _WithoutQuery(logging.Filter):
    """Cuts the query off the addresses that the HTTP library logs: a log-in carries its pin there."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                value.copy_with(query=None) if isinstance(value, httpx.URL) else value for value in record.args
            )
        return True


class HttpClient:
    """Connections to the venue. Implements `Transport`, and nothing of the venue's meaning."""

    def __init__(self, settings: DhanSettings, clock: Clock) -> None:
        library_log = logging.getLogger("httpx")
        if not any(isinstance(known, _WithoutQuery) for known in library_log.filters):
            library_log.addFilter(_WithoutQuery())
        self._settings = settings
        self._clock = clock
        self._lanes = {lane: self._open() for lane in Lane}

    def _open(self) -> httpx.AsyncClient:
        settings = self._settings
        limits = httpx.Limits(
            max_connections=_CONNECTIONS_MAX,
            max_keepalive_connections=_CONNECTIONS_MAX,
            keepalive_expiry=settings.keepalive_s,
        )
        return httpx.AsyncClient(
            # The pool drops an idle connection that has become readable (closed by the venue) instead of using it.
            transport=WatchedTransport(limits=limits, tls_context=_tls_context()),
            timeout=httpx.Timeout(
                connect=settings.connect_timeout_s,
                read=settings.read_timeout_s,
                write=settings.connect_timeout_s,
                pool=settings.connect_timeout_s,
            ),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            follow_redirects=False,
            trust_env=False,  # A proxy of the environment would make "sent" mean "sent to the proxy".
        )

    async def send(self, request: HttpRequest) -> HttpAnswer | NoAnswer:
        """Send *request* once and return the answer, or that there is none. Raises nothing but cancellation."""
        trace = _SendTrace(self._clock)
        began_ns = self._clock.monotonic_ns()
        try:
            async with asyncio.timeout(request.timeout_s or self._settings.call_timeout_s):
                status, body = await self._exchange(request, trace)
        except TimeoutError:
            return NoAnswer(cause="no answer in time", sent_at_ns=trace.sent_at_ns)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ssl.SSLError, _BodyTooLarge) as fault:
            # Only the kind: messages of the library may hold the address with its query.
            return NoAnswer(cause=type(fault).__name__, sent_at_ns=trace.sent_at_ns)
        return HttpAnswer(
            status=status,
            body=body,
            sent_at_ns=trace.sent_at_ns or self._clock.wall_ns(),
            latency_ns=self._clock.monotonic_ns() - began_ns,
        )

    async def download(self, request: HttpRequest, into: BinaryIO) -> HttpAnswer | NoAnswer:
        """Send *request* once and write the body of a well-formed yes to *into* as it comes: the answer's is empty.

        Raises nothing but cancellation and what *into* raises.
        """
        trace = _SendTrace(self._clock)
        began_ns = self._clock.monotonic_ns()
        try:
            async with (
                asyncio.timeout(request.timeout_s or self._settings.call_timeout_s),
                self._lanes[request.lane].stream(
                    request.method, request.url, headers=dict(request.headers), extensions={"trace": trace}
                ) as response,
            ):
                async for chunk in response.aiter_bytes():
                    if response.is_success:
                        into.write(chunk)
        except TimeoutError:
            return NoAnswer(cause="no answer in time", sent_at_ns=trace.sent_at_ns)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as fault:
            return NoAnswer(cause=type(fault).__name__, sent_at_ns=trace.sent_at_ns)
        return HttpAnswer(
            status=response.status_code,
            body=b"",
            sent_at_ns=trace.sent_at_ns or self._clock.wall_ns(),
            latency_ns=self._clock.monotonic_ns() - began_ns,
        )

    async def _exchange(self, request: HttpRequest, trace: _SendTrace) -> tuple[int, bytes]:
        headers = dict(request.headers)
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        async with self._lanes[request.lane].stream(
            request.method,
            request.url,
            headers=headers,
            params=request.params or None,
            content=request.body,
            extensions={"trace": trace},
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    raise _BodyTooLarge
        return response.status_code, bytes(body)

    async def aclose(self) -> None:
        """Close all connections."""
        for lane in self._lanes.values():
            await lane.aclose()


@cache
def _tls_context() -> ssl.SSLContext:
    # Reading the certificates takes tens of milliseconds; all connections may share them.
    return ssl.create_default_context()


class _BodyTooLarge(Exception):
    """The answer is larger than any the venue has reason to give."""
