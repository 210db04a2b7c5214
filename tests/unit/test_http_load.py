"""The client of the bench over HTTP: it asks what it is told, counts what it is answered, and tells what went wrong."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from infra.bench.http_load import BROKEN, Ask, Caller, Load, Outcome, _Driver

PUT = Ask("POST", "/x?y=1", b'{"a": 1}', is_keyed=True)
GET = Ask("GET", "/x")


@dataclass(slots=True)
class Server:
    """Answers every request with one status, in two pieces; `hangs_up` after so many."""

    status: int = 200
    hangs_up: int | None = None
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                self.heads.append(head)
                if self.hangs_up is not None and len(self.heads) > self.hangs_up:
                    return
                writer.write(f"HTTP/1.1 {self.status} Said\r\nContent-Length: 5\r\n\r\nhe".encode())
                await writer.drain()
                writer.write(b"llo")
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()


async def driven(server: Server, *callers: Caller, **extent: float) -> Outcome:
    async with server.listening() as url:
        return await _Driver(Load(url=url, callers=callers, **extent)).run()  # type: ignore[arg-type]


async def test_everybody_asks_what_they_have_to_ask_in_rounds() -> None:
    server = Server()
    callers = [Caller(number=number, asks=(PUT, GET), token=f"t{number}") for number in range(3)]
    outcome = await driven(server, *callers, rounds=2)
    assert outcome.statuses == {200: 12}
    assert outcome.last == {0: b"hello", 1: b"hello", 2: b"hello"}
    assert len(outcome.latencies_ms) == 12
    assert sorted(server.bodies) == [b""] * 6 + [PUT.body] * 6
    keys = [line for head in server.heads for line in head.split("\r\n") if line.startswith("idempotency-key")]
    assert len(set(keys)) == 6
    assert sum("authorization: Bearer t1" in head for head in server.heads) == 4
    assert {head.split("\r\n")[0] for head in server.heads} == {"POST /x?y=1 HTTP/1.1", "GET /x HTTP/1.1"}


async def test_answers_a_second_are_counted_after_the_warm_up() -> None:
    outcome = await driven(Server(), Caller(number=0, asks=(GET,)), warm_up_s=0.05, for_s=0.2)
    counted = len(outcome.latencies_ms)
    assert 0 < counted < outcome.statuses.total()
    assert outcome.per_second == counted / 0.2
    assert outcome.latency_ms(50) <= outcome.latency_ms(99)


async def test_on_schedule_every_request_that_was_due_is_asked() -> None:
    callers = [Caller(number=number, asks=(GET,)) for number in range(4)]
    outcome = await driven(Server(), *callers, for_s=0.2, rate=200.0)
    assert outcome.statuses == {200: 40}
    assert len(outcome.latencies_ms) == 40


async def test_answers_that_are_kept_come_with_the_time_at_which_they_were_due() -> None:
    callers = [Caller(number=number, asks=(GET,), headers=(("x-who", str(number)),)) for number in range(2)]
    server = Server()
    began_ns = time.monotonic_ns()
    outcome = await driven(server, *callers, for_s=0.1, warm_up_s=0.05, rate=100.0, keeps_answers=True)
    assert [(each.status, each.body) for each in outcome.answered] == [(200, b"hello")] * 10
    due_ns = [each.due_ns for each in outcome.answered]
    assert began_ns < due_ns[0] < time.monotonic_ns()
    # A hundredth of a second after one another, whenever they were answered.
    assert [late - early for early, late in pairwise(due_ns)] == pytest.approx([10_000_000] * 9, abs=1_000)
    assert {line for head in server.heads for line in head.split("\r\n") if line.startswith("x-who")} == {
        "x-who: 0",
        "x-who: 1",
    }


async def test_what_says_no_is_told() -> None:
    outcome = await driven(Server(status=503), Caller(number=0, asks=(GET,)), rounds=3)
    assert outcome.statuses == {503: 3}
    assert outcome.told() == "503: 3, hello, hello"


async def test_a_connection_that_is_lost_is_an_answer_that_is_missing() -> None:
    outcome = await driven(Server(hangs_up=1), Caller(number=0, asks=(GET,)), rounds=3)
    assert outcome.statuses == {200: 1, BROKEN: 2}
