"""The API role: HTTP over commands and queries."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from adapters.nats.control import serve as answer_on
from adapters.nats.log_feed import JetStreamFeed
from api.app import create_app
from api.halves import Half
from infra.roles.serving import serve
from infra.wiring.api import edge_of, make_services
from infra.wiring.collector import spare_the_collector
from infra.wiring.process import Wiring
from projections.tasks import end

SETTLE_S = 10.0


async def run_api(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Serve until canceled."""
    await serve_half(Half.WHOLE, wiring, ready, url=wiring.runtime.api_url)


async def serve_half(half: Half, wiring: Wiring, ready: Callable[[], None], *, url: str) -> None:
    """Serve *half* of the API, or all of it, at *url* until canceled."""
    spare_the_collector()
    services, log = await make_services(wiring, half)
    feed = JetStreamFeed(await wiring.nats(), log)
    auditing = asyncio.create_task(services.audit.run())
    following = asyncio.create_task(services.accounts.follow(feed, after_sequence=(await log.head()).sequence))
    try:
        async with _settling(half, wiring):
            await serve(create_app(services, half=half), url=url, edge=edge_of(wiring.settings), ready=ready)
    finally:
        await end(following, auditing)


@asynccontextmanager
async def _settling(half: Half, wiring: Wiring) -> AsyncIterator[None]:
    """Tell, in lock-step, when the marks are there that commands are decided on: one process answers for the API."""
    if half is Half.QUERIES:
        yield
        return
    marks = await wiring.marks()

    async def settle(request: dict[str, Any]) -> dict[str, Any]:
        await marks.wait_for_number(request["number"], timeout_s=SETTLE_S)
        return {"number": marks.number}

    async with answer_on(await wiring.nats(), "khata.settle.api", settle):
        yield
