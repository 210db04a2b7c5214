"""An application behind a real socket, served as the API's process does it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.types import ASGIApp

from infra.addresses import free_port
from infra.edge import Edge
from infra.roles.serving import serve

_STARTED_WITHIN_S = 30.0


@asynccontextmanager
async def serving(app: ASGIApp, edge: Edge) -> AsyncIterator[int]:
    """Serve *app* and yield its port."""
    port, ready = free_port(), asyncio.Event()
    task = asyncio.create_task(serve(app, url=f"http://127.0.0.1:{port}", edge=edge, ready=ready.set))
    try:
        async with asyncio.timeout(_STARTED_WITHIN_S):
            await ready.wait()
        yield port
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
