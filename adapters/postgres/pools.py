"""How a pool of connections comes back to a server that was away: by short steps, for as long as that takes."""

from typing import Any

from psycopg_pool import AsyncConnectionPool

RECONNECT_S = 0.25
"""So long a pool waits before it tries again. By itself it would double its pauses from a second on, and sleep through
most of the time in which a server that crashed is back already; then it would give up."""


async def try_again(pool: AsyncConnectionPool[Any]) -> None:
    """Begin anew where a pool gave up to connect: its `reconnect_failed`, beside `RECONNECT_S` as its time-out."""
    await pool.check()
