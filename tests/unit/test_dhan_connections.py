"""Where an answer ends on a connection, which connections are used again, and what is known where there is none."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.clock import SystemClock
from adapters.dhan.http import answers
from adapters.dhan.http.addresses import race
from adapters.dhan.http.answers import Answer, NoWholeAnswer, end_of_answer
from adapters.dhan.http.client import HttpAnswer, HttpClient, HttpRequest, NoAnswer
from adapters.dhan.settings import DhanSettings
from tests.support.venue import Venue, answer, hang, raw

PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"orderId":"1"}'[:-1]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n[1,2,3,\r\n3;note=x\r\n4 ]\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
UNTIL_THE_END = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>"


def fed(*pieces: bytes) -> Answer:
    came = Answer()
    for piece in pieces:
        came.feed(piece)
    return came


# --- One answer ---


@pytest.mark.parametrize("whole", [PLAIN, CHUNKED, EMPTY], ids=["counted", "chunked", "empty"])
def test_behind_one_whole_answer_another_may_follow(whole: bytes) -> None:
    assert end_of_answer(whole) == len(whole)
    for came in (fed(whole), fed(whole[:9], whole[9:]), fed(*(bytes([byte]) for byte in whole))):
        assert came.is_whole
        assert came.lets_another_follow


@pytest.mark.parametrize("whole", [PLAIN, CHUNKED, EMPTY], ids=["counted", "chunked", "empty"])
def test_behind_one_that_said_more_none_may_and_it_is_what_it_is(whole: bytes) -> None:
    for came in (fed(whole + whole), fed(whole, whole), fed(whole + b"\r\n"), fed(whole + b"}")):
        assert (came.status, came.body) == (fed(whole).status, fed(whole).body)
        assert not came.lets_another_follow


@pytest.mark.parametrize("part", [PLAIN[:-1], PLAIN[:20], CHUNKED[:-1], EMPTY[:-1]])
def test_a_part_of_an_answer_is_not_whole(part: bytes) -> None:
    came = fed(part)
    assert not came.is_whole
    assert not came.ends_with_connection
    assert not came.lets_another_follow


def test_behind_one_that_says_that_the_connection_ends_none_may_follow() -> None:
    came = fed(CLOSING)
    assert (came.is_whole, came.body) == (True, b"{}")
    assert not came.lets_another_follow


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    came = fed(UNTIL_THE_END)
    assert not came.is_whole
    assert came.ends_with_connection
    assert came.body == b"<html>"


def test_that_another_answer_is_coming_is_no_answer() -> None:
    came = fed(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert (came.status, came.is_whole, came.ends_with_connection) == (0, False, False)
    came.feed(PLAIN)
    assert (came.status, came.is_whole) == (200, True)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["another protocol", "no status", "two lengths", "length and chunks", "no size"],
)
def test_what_makes_no_sense_is_no_answer(nonsense: bytes) -> None:
    with pytest.raises(NoWholeAnswer, match="RemoteProtocolError"):
        fed(nonsense)


def test_of_a_very_long_answer_nobody_knows_the_end() -> None:
    body = b"x" * 1_100_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    came = fed(head, *(body[start : start + 65_536] for start in range(0, len(body), 65_536)))
    assert came.body == body
    assert not came.lets_another_follow


def test_an_answer_that_has_no_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "BODY_BYTES_MAX", 10)
    with pytest.raises(NoWholeAnswer, match="BodyTooLarge"):
        fed(UNTIL_THE_END, b"and so on")


# --- Calls ---


@asynccontextmanager
async def calling(**changes: Any) -> AsyncIterator[tuple[Venue, HttpClient]]:
    async with Venue() as venue:
        client = HttpClient(DhanSettings(**changes), SystemClock())
        try:
            yield venue, client
        finally:
            await client.aclose()


async def asked(client: HttpClient, url: str, **more: Any) -> HttpAnswer | NoAnswer:
    return await client.send(HttpRequest(method="GET", url=url, **more))


async def test_a_connection_is_used_again_for_the_next_call() -> None:
    async with calling() as (venue, client):
        venue.on("GET", "/x", answer(200, {"a": 1}))
        for _ in range(3):
            came = await asked(client, f"{venue.url}/x?b=1", params={"c": "2 3"}, headers={"access-token": "t"})
            assert isinstance(came, HttpAnswer)
            assert (came.status, came.body) == (200, b'{"a": 1}')
        assert venue.connections == 1
        received = venue.requests("GET", "/x")[-1]
        assert (received.query, received.headers["access-token"]) == ({"b": "1", "c": "2 3"}, "t")


async def test_a_connection_that_the_venue_has_closed_is_not_used() -> None:
    async with calling() as (venue, client):
        venue.on("GET", "/x", raw(PLAIN), answer(200, {}))
        assert isinstance(await asked(client, f"{venue.url}/x"), HttpAnswer)
        assert isinstance(await asked(client, f"{venue.url}/x"), HttpAnswer)
        assert venue.connections == 2


async def test_a_connection_that_rested_for_long_is_not_used() -> None:
    async with calling(keepalive_s=0.0) as (venue, client):
        venue.on("GET", "/x", answer(200, {}))
        for _ in range(2):
            assert isinstance(await asked(client, f"{venue.url}/x"), HttpAnswer)
        assert venue.connections == 2


async def test_silence_is_no_answer_and_says_when_the_request_was_sent() -> None:
    async with calling(read_timeout_s=0.05) as (venue, client):
        venue.on("GET", "/x", hang())
        came = await asked(client, f"{venue.url}/x")
        assert isinstance(came, NoAnswer)
        assert came.cause == "ReadTimeout"
        assert came.sent_at_ns is not None


async def test_an_answer_that_ends_with_its_connection_is_whole_and_a_cut_one_is_none() -> None:
    async with calling() as (venue, client):
        venue.on("GET", "/x", raw(UNTIL_THE_END), raw(PLAIN[:-3]))
        came = await asked(client, f"{venue.url}/x")
        assert isinstance(came, HttpAnswer)
        assert came.body == b"<html>"
        cut = await asked(client, f"{venue.url}/x")
        assert isinstance(cut, NoAnswer)
        assert (cut.cause, cut.sent_at_ns is None) == ("RemoteProtocolError", False)


@pytest.mark.parametrize(
    ("url", "headers", "cause"),
    [
        ("ftp://127.0.0.1/x", {}, "InvalidURL"),
        ("http:///x", {}, "InvalidURL"),
        ("http://127.0.0.1:port/x", {}, "InvalidURL"),
        ("http://127.0.0.1:1/x", {"access-token": "a\r\nb: c"}, "LocalProtocolError"),
        ("http://127.0.0.1:1/x", {"access-token": "ü"}, "LocalProtocolError"),
        ("http://127.0.0.1:1/x", {}, "ConnectError"),
    ],
)
async def test_what_cannot_be_sent_is_proven_not_sent(url: str, headers: dict[str, str], cause: str) -> None:
    async with calling() as (_, client):
        assert await asked(client, url, headers=headers) == NoAnswer(cause=cause, sent_at_ns=None)


async def test_who_finds_no_free_connection_in_time_has_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.dhan.http.client._CONNECTIONS_MAX", 1)
    async with calling(connect_timeout_s=0.05) as (venue, client):
        venue.on("GET", "/x", hang())
        first = asyncio.create_task(asked(client, f"{venue.url}/x"))
        await asyncio.sleep(0)
        assert await asked(client, f"{venue.url}/x") == NoAnswer(cause="PoolTimeout", sent_at_ns=None)
        first.cancel()


async def test_a_file_is_written_as_it_comes_and_a_refusal_is_not() -> None:
    async with calling() as (venue, client):
        venue.on("GET", "/x", raw(CHUNKED), answer(404, {"error": "no"}))
        for status, written in ((200, b"[1,2,3,4 ]"), (404, b"")):
            file = io.BytesIO()
            came = await client.download(HttpRequest(method="GET", url=f"{venue.url}/x"), file)
            assert isinstance(came, HttpAnswer)
            assert (came.status, came.body, file.getvalue()) == (status, b"", written)


async def test_a_file_that_cannot_be_written_is_told() -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError("no space left")

    async with calling() as (venue, client):
        venue.on("GET", "/x", raw(PLAIN))
        with pytest.raises(OSError, match="no space left"):
            await client.download(HttpRequest(method="GET", url=f"{venue.url}/x"), Full())


# --- Addresses ---


@pytest.fixture
def listener() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def test_an_address_that_refuses_gives_way_to_the_next(listener: socket.socket) -> None:
    refusing = (socket.AF_INET, ("127.0.0.1", closed_port()))
    reached = await race([refusing, (socket.AF_INET, listener.getsockname())])
    with reached:
        assert reached.getpeername() == listener.getsockname()
    with pytest.raises(OSError, match=r"refused|failed"):
        await race([refusing])


async def test_an_address_that_leads_nowhere_is_not_waited_for(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def to_one_only(connecting: socket.socket, address: Any) -> None:
        if address == "nowhere":
            await asyncio.Event().wait()
        await connect(connecting, address)

    monkeypatch.setattr(loop, "sock_connect", to_one_only)
    nowhere: Any = (socket.AF_INET6, "nowhere")
    reached = await race([nowhere, nowhere, (socket.AF_INET, listener.getsockname())])
    with reached:
        assert reached.getpeername() == listener.getsockname()
