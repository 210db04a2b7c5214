"""Where an answer ends on a connection, and which connections are not used again."""

from typing import Any

import httpcore
import pytest

from adapters.dhan.http.connections import WatchedStream, end_of_answer

PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"orderId":"1"}'[:-1]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n[1,2,3,\r\n3;note=x\r\n4 ]\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


class Wire(httpcore.AsyncNetworkStream):
    """A connection of which the test says what comes next."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109 - the base's
        return self.pieces.pop(0)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - likewise
        pass

    def get_extra_info(self, info: str) -> Any:
        return False if info == "is_readable" else info


async def is_dropped(*pieces: bytes) -> bool:
    stream = WatchedStream(Wire(*pieces))
    await stream.write(b"GET / HTTP/1.1\r\n\r\n")
    for _ in pieces:
        await stream.read(65_536)
    return bool(stream.get_extra_info("is_readable"))


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, EMPTY], ids=["counted", "chunked", "empty"])
async def test_a_connection_that_said_one_answer_is_used_again(answer: bytes) -> None:
    assert end_of_answer(answer) == len(answer)
    assert not await is_dropped(answer)
    assert not await is_dropped(answer[:9], answer[9:])


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, EMPTY], ids=["counted", "chunked", "empty"])
async def test_a_connection_that_said_more_is_not(answer: bytes) -> None:
    assert await is_dropped(answer + answer)
    assert await is_dropped(answer, answer)
    assert await is_dropped(answer + b"\r\n")


@pytest.mark.parametrize(
    "received",
    [PLAIN[:-1], PLAIN[:20], CHUNKED[:-1], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
    ids=["short", "no head", "no last chunk", "no size"],
)
async def test_a_connection_that_said_less_is_not(received: bytes) -> None:
    assert await is_dropped(received)


async def test_after_the_next_request_only_what_comes_then_counts() -> None:
    stream = WatchedStream(Wire(PLAIN, PLAIN))
    for _ in range(2):
        await stream.write(b"GET / HTTP/1.1\r\n\r\n")
        await stream.read(65_536)
        assert not stream.get_extra_info("is_readable")
    assert stream.get_extra_info("server_addr") == "server_addr"


async def test_of_a_very_long_answer_nobody_knows_the_end() -> None:
    body = b"x" * 1_100_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    pieces = [head, *(body[start : start + 65_536] for start in range(0, len(body), 65_536))]
    assert await is_dropped(*pieces, b"more")
