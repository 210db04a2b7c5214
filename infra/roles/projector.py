"""The projector role: keeps the read models up to date."""

from collections.abc import Callable
from typing import Any

from adapters.nats.control import serve as answer_on
from infra.wiring.process import Wiring
from infra.wiring.projecting import make_projector


async def run_projector(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Project until canceled."""
    projector = await make_projector(wiring)

    async def status(_: dict[str, Any]) -> dict[str, Any]:
        return projector.status()

    async with answer_on(await wiring.nats(), "khata.status.projector", status):
        ready()
        await projector.run()
