"""The broker's official client, unmodified, pointed at a simulator: what trades here trades there.

Its calls block, so a test makes them with `ask`, on a thread, while the simulator answers on the loop.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from dhanhq import DhanContext, dhanhq
from dhanhq.auth import DhanLogin
from dhanhq.dhan_http import DhanHTTP
from dhanhq.marketfeed import MarketFeed

from tests.support.tape import CLIENT_ID, Venue


@contextmanager
def official_client(venue: Venue, client_id: str = CLIENT_ID) -> Iterator[dhanhq]:
    """Yield the official client, logged in with the venue's token; everything it dials is the simulator."""
    http, feed = f"http://127.0.0.1:{venue.port}", f"ws://127.0.0.1:{venue.port}"
    with (
        patch.object(DhanHTTP, "API_BASE_URL", f"{http}/v2"),
        patch.object(DhanLogin, "API_BASE_URL", f"{http}/v2"),
        patch.object(DhanLogin, "AUTH_BASE_URL", http),
        patch.object(MarketFeed, "market_feed_wss", feed),
    ):
        context = DhanContext(client_id, venue.token)
        try:
            yield dhanhq(context)
        finally:
            context.get_dhan_http().session.close()


async def ask(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Make one call of the official client and return the data of its answer; a failure fails the test."""
    answer = await asyncio.to_thread(call, *arguments, **named)
    assert answer["status"] == "success", answer
    return answer["data"]


async def refusal(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Make one call that is to fail and return the remarks of its answer."""
    answer = await asyncio.to_thread(call, *arguments, **named)
    assert answer["status"] == "failure", answer
    return answer["remarks"]
