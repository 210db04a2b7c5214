"""The simulator as a server: one event loop, one port for the broker's paths, the feed and `/admin`."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from uvicorn import Config

from adapters.simulator.books.journal import JournalBroken, JournalInUse
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.desk import Desk, open_desk
from adapters.simulator.faults.fault_plan import PlayedPlan
from adapters.simulator.paths.account_routes import account_routes
from adapters.simulator.paths.admin_routes import admin_routes
from adapters.simulator.paths.broker_routes import broker_routes
from adapters.simulator.paths.market_routes import market_routes
from adapters.simulator.tapes.continued_tape import ContinuedTape
from adapters.simulator.wires.connection import AbortableProtocol, PausableServer
from adapters.simulator.wires.websocket_wire import ResettableWebSocket
from adapters.simulator.words.answers import answer

FEED_PING_S = 10
FEED_SILENCE_S = 40
_DRAIN_S = 2
_BACKLOG = 512
_JOURNAL_FREE_WITHIN_S = 15
_JOURNAL_POLL_S = 0.05


async def serve(config: SimulatorConfig, *, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until cancelled; *ready* is told the port (useful where 0 asked for any) once requests are answered.

    Raises:
        adapters.simulator.books.journal.JournalInUse: another simulator holds the journal, and did not end in 15 s.
        adapters.simulator.books.journal.JournalUnreadable: a line of the journal is no record.
        adapters.simulator.books.journal.JournalBroken: the journal could no longer be written to.
        OSError: the address is taken, or the journal's folder is not there.
    """
    desk = await _open_when_free(replace(config, tape=ContinuedTape(config.tape)))
    if config.fault_plan is not None:
        desk.faults.source = PlayedPlan(config.fault_plan)
    listener = _listen(host, port)
    address = listener.getsockname()[:2]
    try:
        while await _serve(desk, listener, ready):
            # What was asked of the broker's faults outlives the broker.
            desk.close()
            faults, update_faults = desk.faults, desk.updates.faults
            desk = open_desk(desk.config)
            desk.faults, desk.updates.faults = faults, update_faults
            listener, ready = _listen(*address), _tell_nobody
    finally:
        listener.close()
        desk.close()


def _tell_nobody(_: int) -> None:
    """Be told that a broker that was there is there again."""


async def _open_when_free(config: SimulatorConfig) -> Desk:
    """Open the desk; a simulator whose engine was killed may still be at its drain and hold the journal."""
    deadline = time.monotonic() + _JOURNAL_FREE_WITHIN_S
    while True:
        try:
            return open_desk(config)
        except JournalInUse:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_JOURNAL_POLL_S)


async def _serve(desk: Desk, listener: socket.socket, ready: Callable[[int], None]) -> bool:
    """Serve until cancelled, or until somebody wants everything to end and begin again: then return True."""
    server = PausableServer(
        Config(
            _app_of(desk),
            http=AbortableProtocol,
            ws=ResettableWebSocket,
            ws_ping_interval=FEED_PING_S,
            ws_ping_timeout=FEED_SILENCE_S - FEED_PING_S,
            ws_per_message_deflate=False,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_DRAIN_S,
            timeout_keep_alive=60,
        ),
        listener,
        ready,
    )
    desk.pause_listening = server.pause_listening
    is_restarting = False

    def restart() -> None:
        nonlocal is_restarting
        is_restarting = True
        desk.feed.cut()
        desk.updates.end()
        server.end_abruptly()

    if desk.journal is not None:
        desk.journal.on_failure = server.stop
        desk.restart = restart
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        desk.feed.cut()
        desk.updates.end()
        server.stop()
        await running
        raise
    if desk.journal is not None and desk.journal.failure is not None:
        raise desk.journal.failure
    return is_restarting


def _app_of(desk: Desk) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        player = None if desk.config.lock_step else asyncio.create_task(desk.play_in_real_time())
        yield
        if player is not None:
            player.cancel()
            with contextlib.suppress(asyncio.CancelledError, JournalBroken):
                await player

    app = Starlette(
        routes=[*broker_routes(desk), *account_routes(desk), *market_routes(desk), *admin_routes(desk)],
        exception_handlers={HTTPException: _gateway_answer, ClientDisconnect: _nobody_listens},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # The broker redirects nobody.
    return app


async def _nobody_listens(_: Request, __: Exception) -> Response:
    """Answer a client that went away before its request was read: nothing was done, and nobody hears it."""
    return Response(status_code=499)


async def _gateway_answer(request: Request, error: Exception) -> Response:
    """Answer an unknown path or method as the broker's gateway does."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    name = error.detail if isinstance(error, HTTPException) else "Internal Server Error"
    return answer(
        {"timestamp": time.time_ns() // 1_000_000, "status": status, "error": name, "path": request.url.path}, status
    )


def _listen(host: str, port: int) -> socket.socket:
    # Only where the protocol is named, asyncio switches Nagle's algorithm off: an answer would wait 40 ms for its end.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(_BACKLOG)
    return listener
