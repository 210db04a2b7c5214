"""The Dhan adapter, served by the simulator over real HTTP."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from adapters.clock import SystemClock
from adapters.dhan.access.tokens import PaperLogins, PinLogin
from adapters.dhan.broker import DhanBroker
from adapters.dhan.http.client import HttpClient
from adapters.dhan.streams.feed import DhanFeed
from domain.ids import CorrelationId
from tests.support import tape
from tests.support.dhan import ACCOUNT, RELIANCE, settings_for


def correlation(number: int) -> CorrelationId:
    return CorrelationId(f"kh1{number:022d}")


@contextlib.asynccontextmanager
async def at_the_simulator(
    simulator_tape: tape.ScriptedTape, *, config: dict[str, Any] | None = None, **changes: Any
) -> AsyncIterator[tuple[tape.Venue, DhanBroker, DhanFeed]]:
    async with tape.venue(tape.config_of(simulator_tape, **(config or {})), logged_in=False) as venue:
        url = f"http://127.0.0.1:{venue.port}"
        settings = settings_for(url, feed_url=f"ws://127.0.0.1:{venue.port}/feed", **changes)
        clock = SystemClock()
        client = HttpClient(settings, clock)
        broker = DhanBroker(settings, PaperLogins(PinLogin(client, settings, clock), tape.SECRET), client, clock)
        try:
            yield venue, broker, DhanFeed(settings, broker.tokens, ACCOUNT, [RELIANCE])
        finally:
            await broker.aclose()
