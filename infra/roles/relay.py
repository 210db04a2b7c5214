"""The relay role: mirrors the log into JetStream, and anchors it outside of the database."""

import asyncio
from collections.abc import Callable
from typing import Any

from adapters.nats.control import serve as answer_on
from adapters.nats.relay import Relay
from infra.wiring.integrity import make_anchoring
from infra.wiring.process import Wiring
from infra.wiring.projecting import make_relay
from projections.tasks import end, finish

FLUSH_S = 3.0


async def run_relay(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Mirror and anchor until canceled; then mirror what the log holds by that time."""
    relay = await make_relay(wiring)
    anchoring = await make_anchoring(wiring)

    async def status(_: dict[str, Any]) -> dict[str, Any]:
        return {**relay.status(), "anchoring": anchoring.status()}

    async with answer_on(await wiring.nats(), "khata.status.relay", status):
        tasks = [asyncio.create_task(relay.run()), asyncio.create_task(anchoring.run())]
        try:
            ready()
            for ended in (await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))[0]:
                await ended
        finally:
            await finish(_drain(relay, tasks))


async def _drain(relay: Relay, tasks: "list[asyncio.Task[None]]") -> None:
    await end(*tasks)
    await relay.flush(within_s=FLUSH_S)
