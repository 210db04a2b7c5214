"""HTTP to the venue: one request, one answer, and proof of whether anything was sent.

No exception of the connections leaves this module, and no time-out is outside it. Whether a request was sent is not
read off the kind of a fault but noted in the moment before it is handed to the connection, whole: from then on a byte
may have left. Before that (refused, no such host, no free connection) it is proven that none did.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, lru_cache
from typing import BinaryIO, Protocol
from urllib.parse import quote, urlencode, urlsplit

from adapters.dhan.http.answers import NoWholeAnswer, Take
from adapters.dhan.http.connections import Connections, Origin
from adapters.dhan.settings import DhanSettings
from commands.ports import Clock

_CONNECTIONS_MAX = 32
_PORTS = {"http": 80, "https": 443}
_PLAIN_IN_PATHS = "/%:@!$&'()*+,;=~"
_ALWAYS = b"Accept: application/json\r\nAccept-Encoding: identity\r\nUser-Agent: khata\r\n"
_LINE_ENDS = ("\r", "\n")


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


class HttpClient:
    """Connections to the venue. Implements `Transport`, and nothing of the venue's meaning."""

    def __init__(self, settings: DhanSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lanes = {lane: self._open() for lane in Lane}

    def _open(self) -> Connections:
        settings = self._settings
        return Connections(
            amount_max=_CONNECTIONS_MAX,
            connect_s=settings.connect_timeout_s,
            silence_s=settings.read_timeout_s,
            keep_s=settings.keepalive_s,
            tls_context=_tls_context,
        )

    async def send(self, request: HttpRequest) -> HttpAnswer | NoAnswer:
        """Send *request* once and return the answer, or that there is none. Raises nothing but cancellation."""
        return await self._sent(request, None)

    async def download(self, request: HttpRequest, into: BinaryIO) -> HttpAnswer | NoAnswer:
        """Send *request* once and write the body of a well-formed yes to *into* as it comes: the answer's is empty.

        Raises nothing but cancellation and what *into* raises.
        """
        return await self._sent(request, into.write)

    async def _sent(self, request: HttpRequest, take: Take | None) -> HttpAnswer | NoAnswer:
        began_ns = self._clock.monotonic_ns()
        sent_at_ns: int | None = None

        def note() -> None:
            nonlocal sent_at_ns
            sent_at_ns = self._clock.wall_ns()

        try:
            async with asyncio.timeout(request.timeout_s or self._settings.call_timeout_s):
                origin, written = _written(request)
                async with self._lanes[request.lane].one(origin) as connection:
                    answer = await connection.exchange(written, note, take)
        except TimeoutError:
            return NoAnswer(cause="no answer in time", sent_at_ns=sent_at_ns)
        except NoWholeAnswer as fault:
            return NoAnswer(cause=fault.cause, sent_at_ns=sent_at_ns)
        return HttpAnswer(
            status=answer.status,
            body=answer.body,
            sent_at_ns=sent_at_ns or self._clock.wall_ns(),
            latency_ns=self._clock.monotonic_ns() - began_ns,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        for lane in self._lanes.values():
            lane.close()


def _written(request: HttpRequest) -> tuple[Origin, bytes]:
    """Return where a request goes, and it as bytes.

    Raises:
        NoWholeAnswer: it cannot be written.
    """
    origin, host, target = _place_of(request.url)
    if request.params:
        target += ("&" if "?" in target else "?") + urlencode(request.params)
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(request.body)}"]
    elif request.method not in {"GET", "HEAD", "DELETE"}:
        lines.append("Content-Length: 0")
    if any(end in line for line in lines for end in _LINE_ENDS):
        raise NoWholeAnswer("LocalProtocolError")  # Whatever it was to say, it would say something else.
    try:
        head = "\r\n".join(lines).encode("ascii")
    except UnicodeEncodeError:
        raise NoWholeAnswer("LocalProtocolError") from None
    return origin, head + b"\r\n" + _ALWAYS + b"\r\n" + (request.body or b"")


@lru_cache(maxsize=1_024)
def _place_of(url: str) -> tuple[Origin, str, str]:
    """Return who is behind an address, as the head of a request names them, and what is asked of them.

    Raises:
        NoWholeAnswer: it is no address of a server.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        raise NoWholeAnswer("InvalidURL") from None
    if port is None or not parts.hostname:
        raise NoWholeAnswer("InvalidURL")
    target = quote(parts.path or "/", safe=_PLAIN_IN_PATHS) + (f"?{parts.query}" if parts.query else "")
    return Origin(parts.scheme == "https", parts.hostname, port), parts.netloc.rpartition("@")[2], target


@cache
def _tls_context() -> ssl.SSLContext:
    # Reading the certificates takes tens of milliseconds; all connections may share them.
    return ssl.create_default_context()
