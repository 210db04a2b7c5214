"""The projector role: keeps the read models up to date."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from adapters.nats.control import serve as answer_on
from commands.ports import StoreUnavailable
from infra.wiring.process import Wiring
from infra.wiring.projecting import make_projector
from projections.ports import LogReader
from projections.projector import Projector
from projections.tasks import end, finish

STARTING_POLL_S = 0.02
DRAIN_S = 3.0


async def _drain(projector: Projector, running: "asyncio.Task[None]", log: LogReader) -> None:
    """Let the read models take in what is in the log, so that the next start finds them there."""
    if not running.done():
        with suppress(TimeoutError, StoreUnavailable):
            async with asyncio.timeout(DRAIN_S):
                await projector.reach((await log.head()).sequence)
    await end(running)


async def run_projector(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Project until canceled; then what the log holds by that time."""
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
        store = await wiring.store()
        running = asyncio.create_task(projector.run())
        try:
            # Ready means that the tables are there: whoever asks the API from then on finds read models.
            while projector.status()["state"] == "starting" and not running.done():  # noqa: ASYNC110 - it is soon
                await asyncio.sleep(STARTING_POLL_S)
            ready()
            await asyncio.shield(running)  # Told to stop, it has something to do yet.
        finally:
            await finish(_drain(projector, running, store))
