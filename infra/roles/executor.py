"""The executor role: sends orders and finds out what became of them."""

import asyncio
from collections.abc import Callable
from typing import Any

from adapters.nats.control import serve as answer_on
from infra.wiring import Wiring

DRAIN_S = 10.0


async def run_executor(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Execute until canceled; then await the sends under way."""
    broker = await wiring.broker()
    executor = await wiring.executor(broker)
    nats = await wiring.nats()

    async def settle(_: dict[str, Any]) -> dict[str, Any]:
        return dict(await executor.settle())

    async def status(_: dict[str, Any]) -> dict[str, Any]:
        return {**executor.status(), "broker": broker.status()}

    async with (
        answer_on(nats, "khata.settle.executor", settle),
        answer_on(nats, "khata.status.executor", status),
    ):
        running = asyncio.create_task(executor.run())
        try:
            ready()
            await running
        finally:
            await executor.drain(within_s=DRAIN_S)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
