"""The API role: HTTP over commands and queries."""

import asyncio
from collections.abc import Callable
from typing import Any

from adapters.nats.control import serve as answer_on
from api.app import create_app
from infra.roles.serving import serve
from infra.wiring.api import make_services
from infra.wiring.collector import spare_the_collector
from infra.wiring.process import Wiring
from projections.tasks import end

SETTLE_S = 10.0


async def run_api(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Serve until canceled."""
    spare_the_collector()
    services = await make_services(wiring)
    marks = await wiring.marks()

    async def settle(request: dict[str, Any]) -> dict[str, Any]:
        await marks.wait_for_number(request["number"], timeout_s=SETTLE_S)
        return {"number": marks.number}

    head = await (await wiring.store()).head()
    auditing = asyncio.create_task(services.audit.run())
    following = asyncio.create_task(services.accounts.follow(await wiring.feed(), after_sequence=head.sequence))
    try:
        async with answer_on(await wiring.nats(), "khata.settle.api", settle):
            await serve(create_app(services), url=wiring.runtime.api_url, ready=ready)
    finally:
        await end(following, auditing)
