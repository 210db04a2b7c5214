"""Password hashes: argon2id in a small pool of threads with a short queue."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from argon2 import PasswordHasher as Argon2
from argon2 import Type
from argon2.exceptions import VerifyMismatchError

from commands.ports import HasherBusy

T = TypeVar("T")

MEMORY_KIB = 19_456
TIME_COST = 2
PARALLELISM = 1
"""The floor of OWASP's password storage recommendation for argon2id: 20 ms and 19 MiB a hash."""
THREADS = 2
WAITING_MAX = 16
"""Two threads take about 40 logins a second, so what is let in has its answer within half a second."""


class Argon2Hasher:
    """Argon2id with at most two hashes at once: a flood of logins costs 40 MiB and never the trading path."""

    def __init__(self, *, waiting_max: int = WAITING_MAX) -> None:
        self._argon2 = Argon2(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM, type=Type.ID)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._places = BoundedSemaphore(THREADS + waiting_max)
        # Verified for a user who does not exist, so that the answer takes as long as for one who does.
        self._dummy = self._argon2.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """Return the hash to keep, with salt and parameters in it. Raises HasherBusy."""
        return await self._run(lambda: self._argon2.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether *password* is the one; takes as long for None (no such user) as for a wrong one.

        Raises:
            HasherBusy: the queue is full.
        """
        is_right = await self._run(lambda: self._is_right(password_hash or self._dummy, password))
        return is_right and password_hash is not None

    def close(self) -> None:
        """Finish what runs, drop what waits."""
        self._pool.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise HasherBusy
        future: Future[T] = self._pool.submit(work)
        # Given back when the thread is done, not when the caller stops waiting: a client that hangs up frees no thread.
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)

    def _is_right(self, password_hash: str, password: str) -> bool:
        try:
            return self._argon2.verify(password_hash, password)
        except VerifyMismatchError:
            return False
