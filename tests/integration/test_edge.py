"""What a client may cost before there is a request: raw sockets against a served application."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from infra.edge import HEAD_BYTES_MAX, HEADERS_MAX, REQUEST_LINE_BYTES_MAX, RESERVE, SENT_AHEAD_MAX, Edge
from tests.support.eventually import eventually
from tests.support.serving import serving

PATIENCE_S = 30.0
SOON_S = 0.1
"""A time-out that is to strike."""
HELLO = b"GET /hello HTTP/1.1\r\nHost: khata\r\n"


def application() -> FastAPI:
    app = FastAPI()
    app.state.bodies = []

    @app.get("/hello")
    async def hello(request: Request) -> dict[str, str]:
        return {"client": request.client.host if request.client else ""}

    @app.post("/refused")
    async def refused() -> None:
        """Answer without a look at the body."""

    @app.post("/body")
    async def body(request: Request) -> dict[str, int]:
        app.state.bodies.append("begun")
        size = len(await request.body())
        app.state.bodies.append("whole")
        return {"size": size}

    return app


def served(app: FastAPI | None = None, **limits: Any) -> AbstractAsyncContextManager[int]:
    """Serve *app* and tell its port."""
    return serving(app or application(), Edge(**{"request_within_s": PATIENCE_S, **limits}))


class Answer:
    """What came back on a connection until it was closed."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if raw else None
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        self.body = body

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])


async def exchange(port: int, *parts: bytes) -> Answer:
    """Send *parts* and return what comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return Answer(await reader.read())
    finally:
        writer.close()


def expect_problem(answer: Answer) -> None:
    """Expect the whole form of a problem, and a connection that is not kept."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["connection"] == "close"
    assert json.loads(answer.body)["type"] == f"/docs/errors#{answer.code.lower()}"


BAD_HEADS: list[tuple[str, list[bytes], int, str]] = [
    ("another protocol", [b"EHLO khata\r\n\r\n"], 400, "REQUEST_MALFORMED"),
    (
        "two lengths",
        [b"POST /body HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"],
        400,
        "REQUEST_MALFORMED",
    ),
    (
        "a long request line",
        [b"GET /" + b"x" * REQUEST_LINE_BYTES_MAX + b" HTTP/1.1\r\n\r\n"],
        414,
        "REQUEST_LINE_TOO_LONG",
    ),
    ("a large header", [HELLO + b"X-Large: " + b"x" * HEAD_BYTES_MAX + b"\r\n\r\n"], 431, "HEADERS_TOO_LARGE"),
    (
        "a header without an end",
        [HELLO, b"X-Endless: ", b"x" * HEAD_BYTES_MAX, b"x" * HEAD_BYTES_MAX],
        431,
        "HEADERS_TOO_LARGE",
    ),
    ("many headers", [HELLO + b"X-Many: 1\r\n" * HEADERS_MAX + b"\r\n"], 431, "HEADERS_TOO_LARGE"),
]


async def test_a_head_beyond_the_limits_is_refused_with_a_problem() -> None:
    async with served() as port:
        for name, parts, status, code in BAD_HEADS:
            answer = await exchange(port, *parts)
            assert (answer.status, answer.code) == (status, code), name
            expect_problem(answer)
        assert (await exchange(port, HELLO + b"Connection: close\r\n\r\n")).status == 200


async def test_a_head_within_the_limits_is_served_however_it_is_cut() -> None:
    filler = b"".join(b"X-Filler-%d: %s\r\n" % (number, b"x" * 180) for number in range(HEADERS_MAX - 3))
    whole = HELLO + filler + b"Connection: close\r\n\r\n"
    async with served() as port:
        for size in (len(whole), 1000, 97):
            parts = [whole[start : start + size] for start in range(0, len(whole), size)]
            assert (await exchange(port, *parts)).status == 200


async def test_trailers_are_passed_over() -> None:
    chunked = b"POST /body HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    async with served() as port:
        answer = await exchange(port, chunked + b"X-Trailer: 1\r\n" * (2 * HEADERS_MAX) + b"\r\n")
        assert (answer.status, json.loads(answer.body)) == (200, {"size": 3})


async def test_requests_sent_ahead_are_answered_in_order_up_to_a_limit() -> None:
    few, many = SENT_AHEAD_MAX, 20 * SENT_AHEAD_MAX
    async with served() as port:
        answer = await exchange(port, (HELLO + b"\r\n") * (few - 1) + HELLO + b"Connection: close\r\n\r\n")
        assert answer.raw.count(b"HTTP/1.1 200") == few
        answer = await exchange(port, (HELLO + b"\r\n") * many)
        assert answer.raw.count(b"HTTP/1.1 200") < many


# --- Slow clients -----------------------------------------------------------------------------------------------------


SLOW = [
    HELLO,
    b"P",
    b"POST /body HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc",
    b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
]
"""Requests that stop in the head, after a letter, in the body, and between two chunks."""


async def test_a_request_that_does_not_come_to_its_end_is_ended() -> None:
    async with served(request_within_s=SOON_S) as port:
        for answer in await asyncio.gather(*(exchange(port, sent) for sent in SLOW)):
            assert (answer.status, answer.code) == (408, "REQUEST_TOO_SLOW")
            expect_problem(answer)


async def test_a_drip_wins_no_time() -> None:
    async with served(request_within_s=SOON_S) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HELLO)
        answering = asyncio.create_task(reader.read())
        async with asyncio.timeout(PATIENCE_S):
            while not answering.done():
                writer.write(b"X-Drip: 1\r\n")
                await asyncio.sleep(0.02)
        answer = Answer(await answering)
        assert (answer.status, answer.code) == (408, "REQUEST_TOO_SLOW")
        writer.close()


async def test_who_has_an_answer_gets_no_second_one_for_a_body_that_does_not_come() -> None:
    async with served(request_within_s=SOON_S) as port:
        answer = await exchange(port, b"POST /refused HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc")
        assert answer.status == 200
        assert answer.raw.count(b"HTTP/1.1") == 1


async def test_who_waits_for_a_body_learns_that_it_will_not_come() -> None:
    app = application()
    async with served(app, request_within_s=SOON_S) as port:
        await exchange(port, b"POST /body HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc")
    assert app.state.bodies == ["begun"], "it was let go, and not with half a body"


async def test_a_connection_on_which_nothing_is_asked_is_closed() -> None:
    async with served(request_within_s=SOON_S) as port:
        for answer in await asyncio.gather(exchange(port), exchange(port, b"\r\n")):
            assert answer.raw == b""


async def test_a_connection_is_kept_between_requests_and_closed_when_no_other_comes() -> None:
    async with served(request_within_s=PATIENCE_S, keep_alive_s=SOON_S) as port:
        answer = await exchange(port, HELLO + b"\r\n")
        assert answer.status == 200
        assert "connection" not in answer.headers


async def test_a_slow_answer_is_no_slow_request() -> None:
    app = application()
    asked, may_answer = asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        asked.set()
        await may_answer.wait()
        return "at last"

    async with served(app, request_within_s=SOON_S) as port:
        answering = asyncio.create_task(exchange(port, b"GET /slow HTTP/1.1\r\nConnection: close\r\n\r\n"))
        await asked.wait()
        await asyncio.sleep(2 * SOON_S)
        may_answer.set()
        assert (await answering).status == 200


# --- Many clients -----------------------------------------------------------------------------------------------------


async def test_more_connections_than_are_served_are_told_to_come_again_and_a_flood_is_closed() -> None:
    limit = 5
    async with served(connections_max=limit) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as late:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(limit)]

        async def is_told() -> bool:
            answer = await late.get("/hello")
            if answer.status_code == 200:
                return False  # The server has not taken in all of them yet.
            assert (answer.status_code, answer.json()["code"]) == (503, "TOO_MANY_CONNECTIONS")
            assert answer.headers["Retry-After"] == "1"
            return True

        await eventually(is_told, within_s=PATIENCE_S)
        flood = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2 * RESERVE)]
        closed = [reader for reader, _ in flood[RESERVE:]]
        async with asyncio.timeout(PATIENCE_S):
            assert {await reader.read() for reader in closed} == {b""}
        for _, writer in [*idle, *flood]:
            writer.close()

        async def is_served() -> bool:
            return (await late.get("/hello")).status_code == 200

        await eventually(is_served, within_s=PATIENCE_S)


# --- Who it is --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "client"),
    [((), "127.0.0.1"), (("127.0.0.0/8",), "203.0.113.9"), (("192.0.2.1",), "127.0.0.1")],
    ids=["by default", "from a proxy that is named", "from another"],
)
async def test_a_forwarded_address_is_believed_of_named_proxies_alone(proxies: tuple[str, ...], client: str) -> None:
    async with served(trusted_proxies=proxies) as port:
        answer = await exchange(
            port, HELLO + b"X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\nConnection: close\r\n\r\n"
        )
        assert json.loads(answer.body) == {"client": client}
