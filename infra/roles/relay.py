"""The relay role: mirrors the log into JetStream."""

from collections.abc import Callable

from infra.wiring.process import Wiring
from infra.wiring.projecting import make_relay


async def run_relay(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Mirror until canceled."""
    relay = await make_relay(wiring)
    ready()
    await relay.run()
