"""The simulator role: an exchange of our own, as a server of its own."""

from collections.abc import Callable
from urllib.parse import urlsplit

from adapters.simulator.server import serve
from infra.wiring.exchange import make_simulator
from infra.wiring.process import Wiring


async def run_simulator(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Run the exchange until canceled."""
    address = urlsplit(wiring.runtime.simulator_url)

    def listening(_: int) -> None:
        ready()

    await serve(make_simulator(wiring), host=address.hostname or "127.0.0.1", port=address.port or 0, ready=listening)
