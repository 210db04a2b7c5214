"""The projector role: keeps the read models up to date, and the stored states that time travel starts from."""

import asyncio
from collections.abc import Callable
from typing import Any

from adapters.nats.control import serve as answer_on
from infra.wiring.process import Wiring
from infra.wiring.projecting import fill_read_models, make_projector, make_state_keeper
from projections.tasks import end

STARTING_POLL_S = 0.02


async def run_projector(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Project until canceled."""
    projector = await make_projector(wiring)
    keeper = await make_state_keeper(wiring)

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
        tasks = [asyncio.create_task(projector.run())]
        try:
            # Ready means that the tables are there: whoever asks the API from then on finds read models.
            while projector.status()["state"] == "starting" and not tasks[0].done():  # noqa: ASYNC110 - it is soon
                await asyncio.sleep(STARTING_POLL_S)
            tasks.append(asyncio.create_task(keeper.run()))
            while not keeper.is_prepared and not any(task.done() for task in tasks):  # noqa: ASYNC110 - so is this
                await asyncio.sleep(STARTING_POLL_S)
            ready()
            filling = asyncio.create_task(fill_read_models(wiring))
            tasks.append(filling)
            # The filling ends once it is done. The others run until they are canceled: the first of them to end,
            # however it ends, ends the role, and so does whatever fails.
            waiting = set(tasks)
            while waiting >= set(tasks[:2]):
                ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    await task
        finally:
            await end(*tasks)
