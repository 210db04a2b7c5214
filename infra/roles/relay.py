"""The relay role: mirrors the log into JetStream."""

from collections.abc import Callable

from infra.wiring import Wiring


async def run_relay(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Mirror until canceled."""
    relay = await wiring.relay()
    ready()
    await relay.run()
