"""The projector role: keeps the read models up to date, and the stored states that time travel starts from."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from adapters.nats.control import serve as answer_on
from commands.ports import StoreUnavailable
from infra.wiring.process import Wiring
from infra.wiring.projecting import fill_read_models, make_projector, make_state_keeper
from projections.ports import LogReader
from projections.projector import Projector
from projections.tasks import end, finish

STARTING_POLL_S = 0.02
DRAIN_S = 3.0


async def _drain(
    projector: Projector, running: "asyncio.Task[None]", others: "list[asyncio.Task[None]]", log: LogReader
) -> None:
    """Let the read models take in what is in the log, so that the next start finds them there."""
    await end(*others)
    if not running.done():
        with suppress(TimeoutError, StoreUnavailable):
            async with asyncio.timeout(DRAIN_S):
                await projector.reach((await log.head()).sequence)
    await end(running)


async def run_projector(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Project until canceled; then what the log holds by that time."""
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
        store = await wiring.store()
        projecting = asyncio.create_task(projector.run())
        others: list[asyncio.Task[None]] = []
        try:
            # Ready means that the tables are there: whoever asks the API from then on finds read models.
            while projector.status()["state"] == "starting" and not projecting.done():  # noqa: ASYNC110 - it is soon
                await asyncio.sleep(STARTING_POLL_S)
            others.append(asyncio.create_task(keeper.run()))
            while not keeper.is_prepared and not any(task.done() for task in (projecting, *others)):  # noqa: ASYNC110 - so is this
                await asyncio.sleep(STARTING_POLL_S)
            ready()
            filling = asyncio.create_task(fill_read_models(wiring))
            others.append(filling)
            # The filling ends once it is done. The others run until the role is canceled: the first of them to end,
            # however it ends, ends the role, and so does whatever fails. Told to stop, they have something to do yet.
            waiting = {projecting, *others}
            while waiting >= {projecting, others[0]}:
                ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    await task
        finally:
            await finish(_drain(projector, projecting, others, store))
