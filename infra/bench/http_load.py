"""Loads on an HTTP server: callers with a connection each, in a process of their own that does little besides.

A general client costs as much for a request as our server: the load would measure itself. Here a request is bytes that
are made once, and of an answer nothing is read but its status, its length and the sequence in it.
"""

import asyncio
import multiprocessing
import re
import secrets
import sys
from array import array
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import numpy as np
import uvloop

from domain.market import NS_PER_S
from infra.bench.schedule import SOON_S, on_schedule

BROKEN = 0
"""Stands for the status of a request whose connection was lost."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
_SAYS_NO = 400
_ODD_MAX = 2
_CONNECT_S = 10.0
_ANSWER_S = 60.0


class Ask(NamedTuple):
    """One request: method, path with query, and its JSON. `is_keyed`: it gets an Idempotency-Key of its own."""

    method: str
    target: str
    body: bytes = b""
    is_keyed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who asks, again and again, `asks` in their order. `token` is the access token, empty: none.

    `headers` go along with every request.

    `number` tells callers apart: where the system lets us, each comes from an address of its own, as people do.
    """

    number: int
    asks: tuple[Ask, ...]
    token: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of `url`, for so long. `rate` is how many requests arrive a second; None: the next once answered.

    `rounds`: each caller asks what it has to ask so often, however long that takes. `keeps_answers`: of a load at a
    rate, every answer after the warm-up is brought back whole.
    """

    url: str
    callers: tuple[Caller, ...]
    for_s: float = 0.0
    warm_up_s: float = 0.0
    rate: float | None = None
    rounds: int | None = None
    keeps_answers: bool = False


class Answered(NamedTuple):
    """A request of a load at a rate: when it was due (monotonic nanoseconds), and what was answered."""

    due_ns: int
    status: int
    body: bytes


@dataclass(slots=True)
class Outcome:
    """What came of a load: answers by status, how many a second after the warm-up (as fast as answered), and latencies.

    Latencies are in milliseconds.
    `last` is what each caller of a load by rounds was answered last, `odd` a few answers of each status that says no,
    `answered` every request of a load that keeps them, as they were due.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    per_second: float = 0.0
    latencies_ms: "array[float]" = field(default_factory=lambda: array("d"))
    last: dict[int, bytes] = field(default_factory=dict)
    odd: dict[int, list[bytes]] = field(default_factory=dict)
    answered: list[Answered] = field(default_factory=list)

    def latency_ms(self, percentile: float) -> float:
        """Return the latency that *percentile* per cent of the answers stayed within."""
        return float(np.percentile(np.frombuffer(self.latencies_ms, dtype=np.float64), percentile))

    def told(self) -> str:
        """Return what was answered, and what answers that say no said, for people."""
        said = [body.decode(errors="replace") for bodies in self.odd.values() for body in bodies]
        return ", ".join([f"{status}: {number:,}" for status, number in sorted(self.statuses.items())] + said)


class LoadClient:
    """The process that asks."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    async def drive(self, load: Load) -> Outcome:
        """Carry a load out and return what came of it."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _drive, load)


@contextmanager
def load_client() -> Iterator[LoadClient]:
    """Have a process that asks until the block ends."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield LoadClient(pool)


def _drive(load: Load) -> Outcome:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Driver(load).run())


class _Line(asyncio.Protocol):
    """A connection that stays open: one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._expected = -1
        self._answered: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._expected < 0:
            head = self._received.find(_END)
            if head < 0:
                return
            length = _LENGTH.search(self._received, 0, head)
            self._expected = head + len(_END) + (int(length[1]) if length else 0)
        if len(self._received) >= self._expected and self._answered is not None:
            answered, self._answered = self._answered, None
            whole = bytes(self._received[: self._expected])
            del self._received[: self._expected]
            self._expected = -1
            if not answered.done():
                answered.set_result((int(whole[9:12]), whole[whole.find(_END) + len(_END) :]))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it ended
        self._transport = None
        if self._answered is not None and not self._answered.done():
            self._answered.set_result((BROKEN, b""))

    def ask(self, request: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        """Send a request; its answer comes as status and body."""
        answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        if self._transport is None:
            answered.set_result((BROKEN, b""))
            return answered
        self._answered = answered
        self._transport.write(request)
        return answered

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class _Driver:
    """One load, carried out."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._keys = (f"{secrets.token_hex(8)}-{number}" for number in count(1))
        parts = urlsplit(load.url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._outcome = Outcome()
        self._heads: dict[tuple[Ask, int], bytes] = {}

    async def run(self) -> Outcome:
        lines = await asyncio.gather(*(self._connected(caller.number) for caller in self._load.callers))
        try:
            if self._load.rounds is not None:
                await self._rounds(lines)
            elif self._load.rate is None:
                await self._as_answered(lines)
            else:
                await self._as_due(lines, self._load.rate)
        finally:
            for line in lines:
                line.close()
        return self._outcome

    async def _connected(self, number: int) -> _Line:
        # Every address of 127/8 is this machine's on Linux.
        own = (f"127.1.{number // 250}.{number % 250 + 1}", 0) if sys.platform == "linux" else None
        async with asyncio.timeout(_CONNECT_S):
            _, line = await asyncio.get_running_loop().create_connection(_Line, self._host, self._port, local_addr=own)
        return line

    def _request(self, caller: Caller, ask: Ask) -> bytes:
        head = self._heads.get((ask, caller.number))
        if head is None:
            lines = [f"{ask.method} {ask.target} HTTP/1.1", f"host: {self._host}", f"content-length: {len(ask.body)}"]
            lines += ["content-type: application/json"] if ask.body else []
            lines += [f"authorization: Bearer {caller.token}"] if caller.token else []
            lines += [f"{name}: {value}" for name, value in caller.headers]
            head = self._heads[ask, caller.number] = "\r\n".join(lines).encode()
        if not ask.is_keyed:
            return head + _END + ask.body
        key = f"\r\nidempotency-key: {next(self._keys)}".encode()
        return head + key + _END + ask.body

    async def _answer(self, line: _Line, caller: Caller, ask: Ask) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(_ANSWER_S):
                status, body = await line.ask(self._request(caller, ask))
        except TimeoutError:
            status, body = BROKEN, b""
        self._outcome.statuses[status] += 1
        if status >= _SAYS_NO or status == BROKEN:
            odd = self._outcome.odd.setdefault(status, [])
            if len(odd) < _ODD_MAX:
                odd.append(body)
        return status, body

    async def _rounds(self, lines: list[_Line]) -> None:
        async def work(caller: Caller, line: _Line) -> None:
            for _ in range(self._load.rounds or 0):
                for ask in caller.asks:
                    began = asyncio.get_running_loop().time()
                    _, body = await self._answer(line, caller, ask)
                    self._outcome.latencies_ms.append((asyncio.get_running_loop().time() - began) * 1_000)
                    self._outcome.last[caller.number] = body

        await asyncio.gather(*(work(caller, line) for caller, line in zip(self._load.callers, lines, strict=True)))

    async def _as_answered(self, lines: list[_Line]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time() + self._load.warm_up_s
        ends = began + self._load.for_s
        counted = 0

        async def work(caller: Caller, line: _Line) -> None:
            nonlocal counted
            while True:
                for ask in caller.asks:
                    asked = loop.time()
                    if asked >= ends:
                        return
                    status, _ = await self._answer(line, caller, ask)
                    answered = loop.time()
                    if began <= answered < ends:
                        counted += 1
                        self._outcome.latencies_ms.append((answered - asked) * 1_000)
                    if status == BROKEN:
                        return

        await asyncio.gather(*(work(caller, line) for caller, line in zip(self._load.callers, lines, strict=True)))
        self._outcome.per_second = counted / self._load.for_s

    async def _as_due(self, lines: list[_Line], rate: float) -> None:
        """Let requests arrive at *rate*."""
        kept: dict[int, tuple[int, bytes]] = {}

        async def ask(caller: Caller, line: _Line, arrival: int) -> None:
            status, body = await self._answer(line, caller, caller.asks[arrival % len(caller.asks)])
            if self._load.keeps_answers and arrival >= warm:
                kept[arrival] = status, body

        works = [partial(ask, caller, line) for caller, line in zip(self._load.callers, lines, strict=True)]
        warm, measured = int(rate * self._load.warm_up_s), int(rate * self._load.for_s)
        began = asyncio.get_running_loop().time() + SOON_S  # Every loop's clock is the machine's monotonic one.
        latencies_ms = await on_schedule(works, rate=rate, total=warm + measured, began=began)
        self._outcome.latencies_ms = array("d", latencies_ms[warm:].tobytes())
        self._outcome.answered = [
            Answered(int((began + arrival / rate) * NS_PER_S), status, body)
            for arrival, (status, body) in sorted(kept.items())
        ]
