"""Turns at the connections of a pool: a crowd waits in the order of asking, for longer than a pool lets it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TURN_S = 20.0
"""So long a question of a crowd waits for its turn, which is longer than most clients wait for an answer."""


class NoTurn(Exception):
    """Too many ask: no turn came in time."""

    def __init__(self) -> None:
        super().__init__(f"too many ask: no turn within {TURN_S:.0f} s")


class Turns:
    """At most *size* askers at once, as many as there are connections.

    A pool's own wait cannot tell a crowd from a server that does not answer. Who has a turn finds a connection free, so
    what they wait for there is the server alone.
    """

    def __init__(self, size: int) -> None:
        self._free = asyncio.Semaphore(size)

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a turn for the length of the block. Raises NoTurn."""
        try:
            async with asyncio.timeout(TURN_S):
                await self._free.acquire()
        except TimeoutError:
            raise NoTurn from None
        try:
            yield
        finally:
            self._free.release()
