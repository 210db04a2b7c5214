"""Where the engine listens, and whether it can."""

import asyncio
import socket
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from infra.problems import OperatorProblem
from infra.settings import Settings, variable_of

LOOPBACK = "127.0.0.1"
_NATS_PORT = 4222
_CONNECT_TIMEOUT_S = 5


def free_port(host: str = LOOPBACK) -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Addresses(NamedTuple):
    """Base URLs. `query_api` is empty where the API runs in one process."""

    api: str
    query_api: str
    simulator: str


def choose_addresses(settings: Settings) -> Addresses:
    """Return where everything listens, free ports chosen where the settings leave it to us.

    Raises:
        OperatorProblem: a port that was asked for is taken.
    """
    api = _address(settings.api_host, settings.api_port, variable_of("api_port"))
    query_api = ""
    if settings.api_apart:
        query_api = _address(settings.api_host, settings.query_api_port, variable_of("query_api_port"))
    simulator = _address(settings.simulator_host, settings.simulator_port, variable_of("simulator_port"))
    return Addresses(api=api, query_api=query_api, simulator=simulator)


def _address(host: str, port: int, variable: str) -> str:
    if port == 0:
        return f"http://{host}:{free_port(host)}"
    with socket.socket() as probe:
        # As the server itself does: connections of an earlier life that are still closing are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OperatorProblem(
                f"Nothing can listen on {host}:{port}: {error.strerror}.",
                remedy=f"Set {variable} to another port, or to 0 for a free one.",
            ) from None
    return f"http://{host}:{port}"


async def refuse_unreachable(nats_url: str) -> None:
    """Find out whether somebody listens where *nats_url* says.

    Raises:
        OperatorProblem: nobody does.
    """
    parts = urlsplit(nats_url)
    port = parts.port or _NATS_PORT
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(parts.hostname, port), timeout=_CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError) as error:
        raise OperatorProblem(
            f"NATS cannot be reached at {parts.hostname}:{port}: {error or 'no answer'}.",
            remedy="Check KHATA_NATS_URL and the server.",
        ) from None
    writer.close()
    with suppress(OSError):  # It was there, and that is all we asked.
        await writer.wait_closed()
