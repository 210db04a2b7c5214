"""A wire between the engine's broker adapter and a venue, on which one call meets one fault in one of its phases.

The wire knows where a request and an answer have their head and their body, holds each until it is whole, and passes it
on in the parts that the phase asks for. So what the venue has seen at the moment of the fault does not depend on how
fast anybody is: up to the phase everything got through, and of what is after it only what the fault lets through.
"""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from infra.addresses import LOOPBACK

_LINGER_ZERO = struct.pack("ii", 1, 0)
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_GARBAGE = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is no answer \x00\xff"
_PAGE = b"<html><body>502 Bad Gateway</body></html>"
_BAD_GATEWAY = (
    f"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: {len(_PAGE)}\r\n\r\n".encode() + _PAGE
)
_PAUSE_S = 0.005
_DRIPS = 8


class Phase(StrEnum):
    """How far a call has come when the fault strikes."""

    CONNECT = "connect"
    """The connection is asked for, or just there; the venue has seen nothing."""
    REQUEST_HEAD = "request head"
    """The venue has half of the request's head."""
    REQUEST_BODY = "request body"
    """The venue has the head and half of the body."""
    WAITING = "waiting"
    """The venue has done what was asked and has answered; the client has nothing of the answer."""
    ANSWER_HEAD = "answer head"
    """The client has half of the answer's head."""
    ANSWER_BODY = "answer body"
    """The client has the answer's head and half of its body."""


ASKING = frozenset({Phase.CONNECT, Phase.REQUEST_HEAD, Phase.REQUEST_BODY})
"""The phases in which the venue does not yet know what is wanted of it."""


class WireFault(StrEnum):
    """What happens to the wire, from the phase on."""

    CLOSE = "close"
    """It ends in good order. As the connection is asked for: nobody listens."""
    RESET = "reset"
    """It ends with a TCP reset."""
    HALF_OPEN = "half open"
    """It is there, and nothing gets through either way."""
    DROP_REQUEST = "drop request"
    """What the client says does not get through; what the venue says does."""
    DROP_ANSWER = "drop answer"
    """What the venue says does not get through; what the client says does."""
    DELAY = "delay"
    """Everything gets through, a moment later, while the client still waits."""
    LATE = "late"
    """Everything gets through, when the client has given up."""
    DRIP = "drip"
    """Everything gets through, in small pieces."""
    GARBAGE = "garbage"
    """The client gets bytes that mean nothing in place of what is left."""
    DUPLICATE = "duplicate"
    """What is under way gets through twice: the request by a gateway that asks again, or the answer."""
    MISCOUNT = "miscount"
    """The length in the head is too small: of a request the body is cut to it, of an answer it runs over."""
    BAD_GATEWAY = "bad gateway"
    """A gateway says 502 in place of what is left."""


_SILENT = frozenset({WireFault.HALF_OPEN, WireFault.DROP_ANSWER, WireFault.LATE})


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault in a phase. `share` is how much of the head or body is through when it strikes, from 0 to 1."""

    fault: WireFault
    phase: Phase
    share: float = 0.5

    @property
    def is_refused_connection(self) -> bool:
        """Whether nobody listens."""
        return self.fault is WireFault.CLOSE and self.phase is Phase.CONNECT

    @property
    def is_silent(self) -> bool:
        """Whether the client hears nothing more, and only its own patience ends the call."""
        return self.fault in _SILENT or (self.fault is WireFault.DROP_REQUEST and self.phase in ASKING)

    def __str__(self) -> str:
        return f"{self.fault.value} at {self.phase.value}"


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer."""

    head: bytes
    body: bytes

    @property
    def whole(self) -> bytes:
        """All of it."""
        return self.head + self.body

    def with_half_the_length(self) -> "Message":
        """Return it with a head that counts half of the body only; the body is as it was."""
        length = b"content-length: %d" % (len(self.body) // 2)
        return Message(_LENGTH.sub(length, self.head), self.body)


class VenueLink:
    """The wire, to *host* and *port*. The next call meets what `arm` says; every other one passes untouched.

    `asked` has the method of every request of which a byte may have come from the client (empty where nobody looked),
    `delivered` that of every one that the venue got whole.
    """

    def __init__(self, host: str, port: int) -> None:
        self._venue = (host, port)
        self._server: asyncio.Server | None = None
        self._wires: set[asyncio.Task[None]] = set()
        self._strike: Strike | None = None
        self._port = 0
        self._place: socket.socket | None = None
        self.asked: list[str] = []
        self.delivered: list[str] = []

    @property
    def url(self) -> str:
        """The venue's address through the wire, from `open` on."""
        return f"http://{LOOPBACK}:{self._port}"

    def arm(self, strike: Strike) -> None:
        """Let the next call meet *strike*; one that strikes at connecting wants a client without a connection."""
        self._strike = strike
        if strike.is_refused_connection:
            self._stop_listening()

    async def close(self) -> None:
        """End every connection and take no more."""
        self._stop_listening()
        for wire in self._wires:
            wire.cancel()
        await asyncio.gather(*self._wires, return_exceptions=True)

    async def open(self) -> None:
        """Take connections: on a free port first, later again on the same."""
        if self._server is None:
            self._strike = None
            if self._place is None:
                # Bound and not listening: whoever calls is refused, and nobody else gets the port meanwhile.
                self._place = socket.socket()
                self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._place.bind((LOOPBACK, 0))
                self._port = self._place.getsockname()[1]
            self._server = await asyncio.start_server(self._accept, LOOPBACK, self._port)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
        if self._place is not None:
            self._place.close()
            self._place = None

    async def settled(self) -> None:
        """Wait until nothing is under way any more, when the client has closed its connections."""
        if self._wires:
            await asyncio.wait(self._wires)

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = asyncio.current_task()
        assert wire is not None
        self._wires.add(wire)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):  # Either end may go at any time.
                await self._carry(_End(reader, writer))
        finally:
            self._wires.discard(wire)
            writer.close()

    async def _carry(self, client: "_End") -> None:
        """Pass one exchange after the other until the client leaves or a fault ends it."""
        goes_on = True
        while goes_on:
            if self._strike is None or self._strike.phase is not Phase.CONNECT:
                await client.has_spoken()
            strike, self._strike = self._strike, None
            goes_on = await self._exchange(client, strike)

    async def _exchange(self, client: "_End", strike: Strike | None) -> bool:
        """Pass one request and its answer, and tell whether the connection goes on."""
        if strike is not None and strike.phase is Phase.CONNECT and strike.fault in _BEFORE_A_WORD:
            self.asked.append("")
            return await _BEFORE_A_WORD[strike.fault](client)
        request = await client.read_message()
        method = request.head.partition(b" ")[0].decode()
        self.asked.append(method)
        if strike is not None and strike.phase in ASKING:
            return await self._strike_request(client, method, request, strike)
        answer = await self._deliver(method, request.whole)
        if strike is None:
            await client.write(answer.whole)
            return True
        return await _strike_answer(client, answer, strike)

    async def _deliver(self, method: str, *parts: bytes, pause_s: float = 0) -> Message:
        """Let the venue have a whole request, in *parts*, and return its answer."""
        async with _dialled(*self._venue) as venue:
            for part in parts:
                await venue.write(part)
                await asyncio.sleep(pause_s)
            self.delivered.append(method)
            return await venue.read_message()

    async def _strike_request(self, client: "_End", method: str, request: Message, strike: Strike) -> bool:
        cut = _cut_of(request, strike)
        first, rest = request.whole[:cut], request.whole[cut:]
        match strike.fault:
            case WireFault.DROP_ANSWER:
                await self._deliver(method, first, rest)
                return await client.has_left()
            case WireFault.LATE:
                await client.has_left()
                await self._deliver(method, first, rest)
                return False
            case WireFault.DELAY:
                answer = await self._deliver(method, first, rest, pause_s=_PAUSE_S)
            case WireFault.DRIP:
                answer = await self._deliver(method, first, *_pieces(rest), pause_s=_PAUSE_S / _DRIPS)
            case WireFault.DUPLICATE:
                answer = await self._deliver(method, first, rest)
                await self._deliver(method, request.whole)
            case WireFault.MISCOUNT:
                short = request.with_half_the_length()
                answer = await self._deliver(method, short.head + short.body[: len(short.body) // 2])
            case _:
                # The venue has the beginning of a request whose rest never comes.
                async with _dialled(*self._venue) as venue:
                    await venue.write(first)
                    return await _END_OF_ASKING[strike.fault](client)
        await client.write(answer.whole)
        return True


class _End:
    """One end of the wire."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._begun = b""

    def close(self) -> None:
        self._writer.close()

    async def has_spoken(self) -> None:
        """Wait for the first byte of a message.

        Raises:
            asyncio.IncompleteReadError: there comes none.
        """
        self._begun = await self._reader.readexactly(1)

    async def read_message(self) -> Message:
        begun, self._begun = self._begun, b""
        head = begun + await self._reader.readuntil(_HEAD_END)
        length = _LENGTH.search(head)
        return Message(head, await self._reader.readexactly(int(length[1]) if length else 0))

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def has_left(self) -> bool:
        """Wait until nothing more comes from the other side, and return that it does not go on."""
        with suppress(ConnectionError):
            while await self._reader.read(65_536):
                pass
        return False

    def reset(self) -> None:
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._writer.transport.abort()


@asynccontextmanager
async def _dialled(host: str, port: int) -> AsyncIterator[_End]:
    """A connection to the venue, for one request."""
    venue = _End(*await asyncio.open_connection(host, port))
    try:
        yield venue
    finally:
        venue.close()


async def _strike_answer(client: _End, answer: Message, strike: Strike) -> bool:
    told = answer.with_half_the_length() if strike.fault is WireFault.MISCOUNT else answer
    cut = _cut_of(told, strike)
    await client.write(told.whole[:cut])
    rest = told.whole[cut:]
    match strike.fault:
        case WireFault.CLOSE:
            return False
        case WireFault.RESET:
            client.reset()
            return False
        case WireFault.HALF_OPEN | WireFault.DROP_ANSWER | WireFault.LATE:
            return await client.has_left()
        case WireFault.DELAY:
            await asyncio.sleep(_PAUSE_S)
            await client.write(rest)
        case WireFault.DRIP:
            for piece in _pieces(rest):
                await client.write(piece)
                await asyncio.sleep(_PAUSE_S / _DRIPS)
        case WireFault.DUPLICATE:
            await client.write(rest + answer.whole)
        case WireFault.GARBAGE:
            await client.write((_GARBAGE * (1 + len(rest) // len(_GARBAGE)))[: len(rest)])
            return False
        case WireFault.BAD_GATEWAY:
            await client.write(_BAD_GATEWAY)
            return False
        case _:
            await client.write(rest)
    return True


def _cut_of(message: Message, strike: Strike) -> int:
    """Return how much of a message is through when the fault strikes: never all of it."""
    match strike.phase:
        case Phase.CONNECT | Phase.WAITING:
            return 0
        case Phase.REQUEST_HEAD | Phase.ANSWER_HEAD:
            return int((len(message.head) - 1) * strike.share)
        case Phase.REQUEST_BODY | Phase.ANSWER_BODY:
            return len(message.head) + int(max(0, len(message.body) - 1) * strike.share)


def _pieces(data: bytes) -> list[bytes]:
    size = max(1, len(data) // _DRIPS)
    return [data[start : start + size] for start in range(0, len(data), size)]


async def _close(_: _End) -> bool:
    return False


async def _reset(client: _End) -> bool:
    client.reset()
    return False


async def _say_nothing(client: _End) -> bool:
    return await client.has_left()


async def _say_garbage(client: _End) -> bool:
    await client.write(_GARBAGE)
    return False


async def _say_bad_gateway(client: _End) -> bool:
    await client.write(_BAD_GATEWAY)
    return False


_BEFORE_A_WORD: dict[WireFault, Callable[[_End], Awaitable[bool]]] = {
    WireFault.RESET: _reset,
    WireFault.HALF_OPEN: _say_nothing,
    WireFault.DROP_REQUEST: _say_nothing,
    WireFault.GARBAGE: _say_garbage,
    WireFault.BAD_GATEWAY: _say_bad_gateway,
}
"""What strikes a connection before its client has said anything."""
_END_OF_ASKING = {**_BEFORE_A_WORD, WireFault.CLOSE: _close}
