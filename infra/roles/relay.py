"""The relay role: mirrors the log into JetStream."""

import asyncio
from collections.abc import Callable

from adapters.nats.relay import Relay
from infra.wiring.process import Wiring
from infra.wiring.projecting import make_relay
from projections.tasks import end, finish

FLUSH_S = 3.0


async def run_relay(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Mirror until canceled; then what the log holds by that time."""
    relay = await make_relay(wiring)
    running = asyncio.create_task(relay.run())
    try:
        ready()
        await running
    finally:
        await finish(_drain(relay, running))


async def _drain(relay: Relay, running: "asyncio.Task[None]") -> None:
    await end(running)
    await relay.flush(within_s=FLUSH_S)
