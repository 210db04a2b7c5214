"""Serving an ASGI application inside a process that has other things to do, and signals of its own."""

import asyncio
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from starlette.types import ASGIApp
from uvicorn import Config, Server

from infra.edge import RESERVE, Edge, EdgeProtocol
from projections.tasks import finish

DRAIN_S = 5
_OTHER_FILES = 256
"""Open files besides the clients' connections: the database's, NATS's, logs and libraries."""


class QuietServer(Server):
    """A server that leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(app: ASGIApp, *, url: str, edge: Edge, ready: Callable[[], None]) -> None:
    """Serve *app* at *url* until canceled; requests under way are finished first, within `DRAIN_S` seconds."""
    _allow_connections(edge.connections_max)
    parts = urlsplit(url)
    config = Config(
        app,
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 80,
        http=cast("Any", partial(EdgeProtocol, edge=edge)),  # A protocol is made, never looked at, by its class.
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # By default, whoever comes from this machine would be believed, and could be anybody.
        proxy_headers=bool(edge.trusted_proxies),
        forwarded_allow_ips=list(edge.trusted_proxies),
        timeout_keep_alive=cast("int", edge.keep_alive_s),
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = QuietServer(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if serving.done():
                await serving
                raise RuntimeError(f"nothing serves at {url}")
            await asyncio.sleep(0.005)
        ready()
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await finish(serving)
        raise


def _allow_connections(connections_max: int) -> None:
    """Raise this process's own limit on open files, as far as it may, to what so many connections take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections_max + RESERVE + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
