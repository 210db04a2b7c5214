"""The command half of the API."""

from collections.abc import Callable

from api.halves import Half
from infra.roles.api import serve_half
from infra.wiring.process import Wiring


async def run_command_api(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Serve until canceled."""
    await serve_half(Half.COMMANDS, wiring, ready, url=wiring.runtime.api_url)
