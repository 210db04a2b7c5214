"""The feed over a real websocket: subscriptions, ticks, counts, goodbyes, silence."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from struct import pack
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from adapters.breaker import CircuitBreaker
from adapters.clock import SystemClock
from adapters.dhan.access.tokens import Tokens
from adapters.dhan.streams.feed import DhanFeed
from adapters.dhan.streams.ticks import FeedTick
from domain.instrument import InstrumentKey, Segment
from tests.support.dhan import ACCOUNT, NIFTY, RELIANCE, CountingLogins, settings_for
from tests.support.eventually import eventually

STAMP = 1_790_829_000 + 19_800


def ticker(price: float, stamp: int = STAMP, security_id: int = 2885) -> bytes:
    return pack("<BHBifi", 2, 16, 1, security_id, price, stamp)


def goodbye(reason: int) -> bytes:
    return pack("<BHBih", 50, 10, 0, 0, reason)


@dataclass
class FeedVenue:
    """The other side of the feed: keeps what it is told, sends what the test says."""

    connections: list[ServerConnection] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    refuses_with: list[HTTPStatus] = field(default_factory=list)
    server: Server | None = None

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.queries.append(dict(parse_qsl(urlsplit(connection.request.path).query)))
        self.connections.append(connection)
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                self.messages.append(json.loads(message))

    def screen(self, connection: ServerConnection, _request: Request) -> Response | None:
        return connection.respond(self.refuses_with.pop(0), "no") if self.refuses_with else None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"ws://127.0.0.1:{next(iter(self.server.sockets)).getsockname()[1]}/feed"


@dataclass
class Stage:
    """A running feed, its venue, and what came out."""

    venue: FeedVenue
    feed: DhanFeed
    logins: CountingLogins
    ticks: list[FeedTick]

    async def connected(self, times: int = 1) -> ServerConnection:
        await eventually(lambda: len(self.venue.connections) >= times and self.feed.is_connected)
        return self.venue.connections[-1]


@contextlib.asynccontextmanager
async def stage(
    *,
    instruments: tuple[Any, ...] = (RELIANCE, NIFTY),
    on_ticks: Callable[[list[FeedTick]], Awaitable[None]] | None = None,
    refuses_with: tuple[HTTPStatus, ...] = (),
    **changes: Any,
) -> AsyncIterator[Stage]:
    venue = FeedVenue(refuses_with=list(refuses_with))
    ticks: list[FeedTick] = []

    async def keep(batch: list[FeedTick]) -> None:
        ticks.extend(batch)

    async with serve(venue.handle, "127.0.0.1", 0, process_request=venue.screen) as server:
        venue.server = server
        settings = settings_for("http://unused", **{"feed_url": venue.url, "login_pause_s": 0.0, **changes})
        logins = CountingLogins()
        tokens = Tokens(logins, SystemClock(), settings, CircuitBreaker("x", monotonic_ns=SystemClock().monotonic_ns))
        feed = DhanFeed(settings, tokens, ACCOUNT, instruments)
        running = asyncio.create_task(feed.run(on_ticks or keep))
        try:
            yield Stage(venue=venue, feed=feed, logins=logins, ticks=ticks)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def test_it_connects_with_its_token_and_subscribes_tickers() -> None:
    async with stage() as scene:
        await scene.connected()
        await eventually(lambda: scene.venue.messages)
        assert scene.venue.queries == [{"version": "2", "token": "token-1", "clientId": "1000000001", "authType": "2"}]
        assert scene.venue.messages == [
            {
                "RequestCode": 15,
                "InstrumentCount": 2,
                "InstrumentList": [
                    {"ExchangeSegment": "NSE_EQ", "SecurityId": "2885"},
                    {"ExchangeSegment": "IDX_I", "SecurityId": "13"},
                ],
            }
        ]


async def test_it_asks_for_a_hundred_instruments_at_a_time() -> None:
    many = tuple(
        msgspec.structs.replace(RELIANCE, key=InstrumentKey(Segment.NSE_EQ, str(number))) for number in range(1, 251)
    )
    async with stage(instruments=many) as scene:
        await eventually(lambda: len(scene.venue.messages) == 3)
        assert [message["InstrumentCount"] for message in scene.venue.messages] == [100, 100, 50]


async def test_ticks_of_a_frame_come_together_and_every_ticker_packet_counts() -> None:
    batches: list[list[FeedTick]] = []

    async def keep(batch: list[FeedTick]) -> None:
        batches.append(batch)

    async with stage(on_ticks=keep) as scene:
        connection = await scene.connected()
        await connection.send(ticker(2850.0) + ticker(2850.1) + ticker(2850.1) + ticker(1.0, stamp=0))
        await connection.send(pack("<BHBifi", 6, 16, 1, 2885, 2840.0, 0))
        await connection.send("a text means nothing here")
        await connection.send(ticker(2850.2))
        await eventually(lambda: scene.feed.packets_handled == 5)
        assert scene.feed.packets == 5
        assert [[tick.last_price_e4 for tick in batch] for batch in batches] == [[28_500_000, 28_501_000], [28_502_000]]
        assert [[tick.previous_close_e4 for tick in batch] for batch in batches] == [[None, None], [28_400_000]]
        assert scene.feed.status()["dropped"] == {"repeated": 1, "no_time": 1}


async def test_packets_are_handled_only_when_the_handler_is_done() -> None:
    gate = asyncio.Event()

    async def wait(_: list[FeedTick]) -> None:
        await gate.wait()

    async with stage(on_ticks=wait) as scene:
        connection = await scene.connected()
        await connection.send(ticker(2850.0))
        await eventually(lambda: scene.feed.packets == 1)
        assert scene.feed.packets_handled == 0
        gate.set()
        await scene.feed.wait_handled(1)
        assert scene.feed.packets_handled == 1


async def test_whoever_waits_for_packets_hears_of_those_that_are_cleaned_away() -> None:
    async with stage() as scene:
        connection = await scene.connected()
        waiting = asyncio.create_task(scene.feed.wait_handled(3))
        for _ in range(3):
            await connection.send(ticker(2850.0))
        async with asyncio.timeout(2):
            await waiting
        assert len(scene.ticks) == 1


async def test_after_a_lost_connection_it_connects_and_subscribes_again_and_counts_from_zero() -> None:
    async with stage() as scene:
        connection = await scene.connected()
        await connection.send(ticker(2850.0))
        await eventually(lambda: scene.feed.packets == 1)
        connection.transport.abort()
        connection = await scene.connected(times=2)
        await eventually(lambda: len(scene.venue.messages) == 2)
        assert scene.feed.packets == 0
        await connection.send(ticker(2850.0))
        await eventually(lambda: len(scene.ticks) == 2)
        assert scene.feed.packets == 1


@pytest.mark.parametrize(("reason", "logins"), [(807, 2), (809, 2), (805, 1)])
async def test_after_a_goodbye_it_comes_back_with_a_token_that_is_good(reason: int, logins: int) -> None:
    async with stage() as scene:
        connection = await scene.connected()
        await connection.send(ticker(2850.0) + goodbye(reason))
        await scene.connected(times=2)
        assert len(scene.ticks) == 1
        assert scene.venue.queries[1]["token"] == f"token-{logins}"
        assert scene.feed.status()["last_cause"] == f"the venue disconnected: {reason}"


@pytest.mark.parametrize(
    ("status", "logins"), [(HTTPStatus.TOO_MANY_REQUESTS, 1), (HTTPStatus.UNAUTHORIZED, 3), (HTTPStatus.BAD_GATEWAY, 1)]
)
async def test_a_refused_handshake_is_tried_again(status: HTTPStatus, logins: int) -> None:
    async with stage(refuses_with=(status, status)) as scene:
        await scene.connected()
        assert scene.feed.status()["last_cause"] == f"HTTP {status}"
        assert scene.logins.count == logins


async def test_a_silent_feed_is_left_and_connected_again() -> None:
    async with stage(feed_stale_after_s=0.05) as scene:
        await scene.connected(times=2)
        assert scene.feed.status()["last_cause"] == "nothing came for too long"


async def test_a_broken_frame_is_counted_and_the_feed_goes_on() -> None:
    async with stage() as scene:
        connection = await scene.connected()
        await connection.send(ticker(2850.0) + b"\x02\x10")
        await connection.send(ticker(2850.1))
        await eventually(lambda: len(scene.ticks) == 2)
        assert scene.feed.status()["frames_malformed"] == 1


async def test_without_a_token_it_waits_and_tries_again() -> None:
    async with stage(refuses_with=(HTTPStatus.UNAUTHORIZED,)) as scene:
        scene.logins.is_down = True
        await eventually(lambda: scene.logins.count >= 2)
        scene.logins.is_down = False
        await scene.connected()


async def test_the_token_shows_in_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with stage(refuses_with=(HTTPStatus.BAD_GATEWAY,)) as scene:
        connection = await scene.connected()
        await connection.send(ticker(2850.0))
        await eventually(lambda: scene.ticks)
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.server")]
    assert not any("token-1" in line for line in lines)
