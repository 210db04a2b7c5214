"""The projector role: keeps the read models up to date."""

import asyncio
from collections.abc import Callable
from typing import Any

from adapters.nats.control import serve as answer_on
from infra.wiring.process import Wiring
from infra.wiring.projecting import fill_read_models, make_projector
from projections.tasks import end

STARTING_POLL_S = 0.02


async def run_projector(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Project until canceled."""
    projector = await make_projector(wiring)

    async def status(_: dict[str, Any]) -> dict[str, Any]:
        return projector.status()

    async def settle(request: dict[str, Any]) -> dict[str, Any]:
        await projector.reach(request["sequence"])
        return {"sequence": request["sequence"]}

    nats = await wiring.nats()
    async with (
        answer_on(nats, "khata.settle.projector", settle),
        answer_on(nats, "khata.status.projector", status),
    ):
        running = asyncio.create_task(projector.run())
        filling: asyncio.Task[None] | None = None
        try:
            # Ready means that the tables are there: whoever asks the API from then on finds read models.
            while projector.status()["state"] == "starting" and not running.done():  # noqa: ASYNC110 - it is soon
                await asyncio.sleep(STARTING_POLL_S)
            ready()
            filling = asyncio.create_task(fill_read_models(wiring))
            await running
        finally:
            await end(running, *([] if filling is None else [filling]))
