"""The query half of the API."""

from collections.abc import Callable

from api.halves import Half
from infra.roles.api import serve_half
from infra.wiring.process import Wiring


async def run_query_api(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Serve until canceled."""
    await serve_half(Half.QUERIES, wiring, ready, url=wiring.runtime.query_api_url)
