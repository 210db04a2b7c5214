"""Order updates over a real websocket: log-ins, updates, ends, silence, and who gets a connection."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from adapters.breaker import CircuitBreaker
from adapters.clock import SystemClock
from adapters.dhan.access.tokens import Tokens
from adapters.dhan.streams.order_updates import DhanOrderUpdates
from commands.ports import OrderUpdate
from domain.ids import AccountId
from domain.order import OrderStatus
from tests.support.dhan import ACCOUNT, OTHER_ACCOUNT, CountingLogins, settings_for
from tests.support.eventually import eventually

TRADED = {"Type": "order_alert", "Data": {"orderNo": "7", "status": "Traded", "quantity": 5, "tradedQty": 5}}


@dataclass
class UpdatesVenue:
    """The other side: keeps what it is told, sends what the test says."""

    logins: list[dict[str, Any]] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    refuses_with: list[HTTPStatus] = field(default_factory=list)
    resets: int = 0
    """So many of the next log-ins are answered by a reset."""
    server: Server | None = None

    async def handle(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            self.logins.append(json.loads(await connection.recv()))
            if self.resets:
                self.resets -= 1
                connection.transport.abort()
            else:
                self.connections.append(connection)
            await connection.wait_closed()

    def screen(self, connection: ServerConnection, _request: Request) -> Response | None:
        return connection.respond(self.refuses_with.pop(0), "no") if self.refuses_with else None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"ws://127.0.0.1:{next(iter(self.server.sockets)).getsockname()[1]}"


@dataclass
class Stage:
    """Updates that run, their venue, and what came out."""

    venue: UpdatesVenue
    updates: DhanOrderUpdates
    tokens: Tokens
    logins: CountingLogins
    heard: list[tuple[AccountId, OrderUpdate | None]]

    async def live(self, account_id: AccountId = ACCOUNT, *, connections: int = 1) -> ServerConnection:
        """Wait until an account is live on its venue's so-and-so-manieth connection, and return that."""
        await eventually(
            lambda: len(self.venue.connections) >= connections and self.updates.is_live(account_id),
        )
        return self.venue.connections[-1]

    @property
    def gaps(self) -> int:
        return sum(update is None for _, update in self.heard)


@contextlib.asynccontextmanager
async def stage(
    *accounts: AccountId, refuses_with: tuple[HTTPStatus, ...] = (), resets: int = 0, **changes: Any
) -> AsyncIterator[Stage]:
    venue = UpdatesVenue(refuses_with=list(refuses_with), resets=resets)
    async with serve(venue.handle, "127.0.0.1", 0, process_request=venue.screen) as server:
        venue.server = server
        settings = settings_for("http://unused", **{"updates_url": venue.url, "login_pause_s": 0.0, **changes})
        logins = CountingLogins()
        tokens = Tokens(logins, SystemClock(), settings, CircuitBreaker("x", monotonic_ns=SystemClock().monotonic_ns))
        updates = DhanOrderUpdates(settings, tokens)
        heard: list[tuple[AccountId, OrderUpdate | None]] = []
        running = asyncio.create_task(updates.run(lambda account_id, update: heard.append((account_id, update))))
        updates.watch(accounts or (ACCOUNT,))
        try:
            yield Stage(venue=venue, updates=updates, tokens=tokens, logins=logins, heard=heard)
            assert not running.done(), "it stopped by itself"
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def test_it_logs_in_and_says_first_that_anything_may_have_been_missed() -> None:
    async with stage() as scene:
        await scene.live()
        assert scene.venue.logins == [
            {"LoginReq": {"MsgCode": 42, "ClientId": "1000000001", "Token": "token-1"}, "UserType": "SELF"}
        ]
        assert scene.heard == [(ACCOUNT, None)]


async def test_what_comes_is_told_and_makes_it_live_at_once() -> None:
    async with stage(updates_settle_s=3600.0) as scene:
        await eventually(lambda: scene.venue.connections)
        assert not scene.updates.is_live(ACCOUNT)
        await scene.venue.connections[0].send(json.dumps(TRADED))
        await eventually(lambda: len(scene.heard) == 2)
        assert scene.updates.is_live(ACCOUNT)
        gap, update = (update for _, update in scene.heard)
        assert gap is None
        assert update is not None
        assert (update.venue_order_id, update.status, update.cumulative_quantity) == ("7", OrderStatus.FILLED, 5)


async def test_a_frame_that_cannot_be_read_tells_to_look_and_other_messages_tell_nothing() -> None:
    async with stage() as scene:
        connection = await scene.live()
        await connection.send('{"Type": "news"}')
        await connection.send("{")
        await connection.send(json.dumps(TRADED))
        await eventually(lambda: len(scene.heard) == 3)
        assert [update is None for _, update in scene.heard] == [True, True, False]
        assert scene.updates.status()["frames_malformed"] == 1


async def test_after_a_reset_it_logs_in_again_and_says_that_anything_may_have_been_missed() -> None:
    async with stage() as scene:
        connection = await scene.live()
        connection.transport.abort()
        await eventually(lambda: scene.gaps == 2)
        await scene.live(connections=2)
        assert len(scene.venue.logins) == 2


async def test_a_login_that_is_reset_is_never_live_and_kills_no_token() -> None:
    async with stage(resets=3, updates_settle_s=3600.0) as scene:
        await eventually(lambda: scene.venue.connections)
        assert len(scene.venue.logins) == 4
        assert not scene.heard
        assert not scene.updates.is_live(ACCOUNT)
        assert scene.logins.count == 1


async def test_a_handshake_that_is_refused_is_tried_again() -> None:
    async with stage(refuses_with=(HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY)) as scene:
        await scene.live()
        assert scene.gaps == 1


async def test_without_a_token_it_waits_and_tries_again() -> None:
    async with stage() as scene:
        scene.logins.is_down = True
        await eventually(lambda: scene.logins.count >= 3)
        scene.logins.is_down = False
        await scene.live()


async def test_a_connection_that_answers_no_ping_is_left_for_another() -> None:
    async with stage(updates_ping_s=0.3, connect_timeout_s=0.3) as scene:
        connection = await scene.live()
        connection.transport.pause_reading()
        await scene.live(connections=2)
        await eventually(lambda: scene.gaps >= 2)
        connection.transport.abort()  # Nobody is there for a goodbye.


async def test_an_account_that_is_doubted_gets_another_connection() -> None:
    async with stage() as scene:
        await scene.live()
        scene.updates.doubt(ACCOUNT)
        await scene.live(connections=2)
        scene.updates.doubt(OTHER_ACCOUNT)  # It has none, which is no fault.


async def test_a_new_token_gets_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.dhan.streams.order_updates._TOKEN_LOOK_S", 0.02)
    async with stage() as scene:
        await scene.live()
        session = await scene.tokens.session(ACCOUNT)
        scene.tokens.mark_dead(ACCOUNT, session, cause="Invalid Token")
        assert (await scene.tokens.session(ACCOUNT)) != session
        await scene.live(connections=2)
        assert scene.venue.logins[1]["LoginReq"]["Token"] == "token-2"


async def test_every_account_watched_has_a_connection_of_its_own() -> None:
    async with stage(ACCOUNT, OTHER_ACCOUNT) as scene:
        await scene.live(ACCOUNT, connections=2)
        await scene.live(OTHER_ACCOUNT, connections=2)
        assert {account_id for account_id, _ in scene.heard} == {ACCOUNT, OTHER_ACCOUNT}


async def test_who_finds_no_room_gets_one_when_another_is_watched_no_longer() -> None:
    async with stage(ACCOUNT, OTHER_ACCOUNT, updates_accounts_max=1) as scene:
        await scene.live()
        assert scene.updates.status()["without_room"] == 1
        scene.updates.watch([OTHER_ACCOUNT])
        await scene.live(OTHER_ACCOUNT, connections=2)
        assert not scene.updates.is_live(ACCOUNT)


async def test_an_account_watched_no_longer_keeps_its_connection_for_a_while() -> None:
    async with stage(updates_linger_s=3600.0) as scene:
        await scene.live()
        scene.updates.watch([])
        scene.updates.watch([ACCOUNT])
        scene.updates.watch([OTHER_ACCOUNT, ACCOUNT])
        await scene.live(OTHER_ACCOUNT, connections=2)
        assert scene.updates.is_live(ACCOUNT)
        assert len(scene.venue.connections) == 2


async def test_after_a_while_the_connection_of_one_watched_no_longer_ends() -> None:
    async with stage(updates_linger_s=0.05) as scene:
        connection = await scene.live()
        scene.updates.watch([])
        async with asyncio.timeout(20):
            await connection.wait_closed()
        await eventually(lambda: not scene.updates.is_live(ACCOUNT))


async def test_the_token_shows_in_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with stage(resets=1) as scene:
        connection = await scene.live()
        await connection.send("{")
        await eventually(lambda: scene.gaps == 2)
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.server")]
    assert not any("token-1" in line for line in lines)
