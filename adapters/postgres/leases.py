"""The right to be the only one who does a thing, for a while, renewed as long as its holder lives.

The server's clock says when a lease may be taken over; its holder asks only its own monotonic clock. It counts from
before it asked for the lease, and stops to believe in it a margin early, so that it stops before another one starts.
Should the server's clock step all the same, the epoch, which every act carries, tells the later holder from the former.

A holder who could not ask in time goes on asking. Where nobody took the lease over meanwhile it is theirs as before, in
the same epoch; else it is lost.

Nobody waits for the end of a lease whose holder is dead. The owner's name tells machine, process and when that process
began (`adapters/liveness.py`): who stands on the same machine, and sees that there is no such process any more, takes
the lease at once. A connection that broke would prove nothing: its process may live and send on.
"""

import asyncio
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from adapters.liveness import is_certainly_dead, name_of_this_process
from adapters.postgres.database import Database
from commands.ports import StoreUnavailable

_RENEWAL_PAUSE_MIN_S = 0.02
_ACQUIRE = """
    -- Take a lease that nobody holds; its epoch is the next one.
    INSERT INTO ops.leases AS leases (name, owner, epoch, expires_at)
    VALUES (%s, %s, 1, clock_timestamp() + make_interval(secs => %s))
    ON CONFLICT (name) DO UPDATE
    SET owner = EXCLUDED.owner, epoch = leases.epoch + 1, expires_at = EXCLUDED.expires_at
    WHERE leases.expires_at <= clock_timestamp()
    RETURNING epoch
"""
_HOLDER = """
    -- Tell who has a lease.
    SELECT owner, epoch FROM ops.leases WHERE name = %s
"""
_TAKE_OVER = """
    -- Let the lease of a dead holder end now, unless somebody else has it by now.
    UPDATE ops.leases SET expires_at = clock_timestamp()
    WHERE name = %s AND owner = %s AND epoch = %s
"""
_RENEW = """
    -- Hold on to a lease that nobody took over.
    UPDATE ops.leases SET expires_at = clock_timestamp() + make_interval(secs => %s)
    WHERE name = %s AND owner = %s AND epoch = %s
    RETURNING epoch
"""
_RELEASE = """
    -- Let the next one have it now.
    UPDATE ops.leases SET expires_at = clock_timestamp()
    WHERE name = %s AND owner = %s AND epoch = %s
"""


class PostgresLease:
    """Implements `commands.ports.Lease` as `khata_writer`. Used as a context it is acquired, renewed and released."""

    def __init__(
        self,
        database: Database,
        name: str,
        *,
        duration_s: float = 10.0,
        margin_s: float = 2.0,
        poll_s: float = 0.25,
    ) -> None:
        if not 0 <= margin_s < duration_s:
            raise ValueError(f"expected a margin below the duration of {duration_s} s, received {margin_s} s")
        self._database = database
        self._name = name
        self._owner = name_of_this_process()
        self._duration_s = duration_s
        self._margin_s = margin_s
        self._poll_s = poll_s
        self._epoch = 0
        self._held_until_s = 0.0
        self._lost = asyncio.Event()
        self._renewal: asyncio.Task[None] | None = None

    @property
    def epoch(self) -> int:
        """The holder's number: 0 before the lease was first acquired."""
        return self._epoch

    def is_held(self) -> bool:
        """Tell, by the monotonic clock and without asking anybody, whether the lease still is ours."""
        return time.monotonic() < self._held_until_s

    async def try_acquire(self) -> bool:
        """Take the lease if nobody holds it, and keep it from then on.

        Raises:
            StoreUnavailable
        """
        asked_at_s = time.monotonic()
        rows = await self._database.fetch(_ACQUIRE, (self._name, self._owner, self._duration_s))
        if not rows and await self._end_of_the_dead():
            rows = await self._database.fetch(_ACQUIRE, (self._name, self._owner, self._duration_s))
        if not rows:
            return False
        self._epoch = rows[0][0]
        self._believe(asked_at_s)
        self._lost.clear()
        self._renewal = asyncio.create_task(self._keep(), name=f"lease {self._name}")
        return True

    async def acquire(self) -> None:
        """Wait until the lease is ours, however long that takes and whatever becomes of the database meanwhile."""
        while True:
            with suppress(StoreUnavailable):
                if await self.try_acquire():
                    return
            await asyncio.sleep(self._poll_s)

    async def lost(self) -> None:
        """Wait until the lease no longer is ours. It is not taken again by itself: acquire it anew."""
        await self._lost.wait()

    async def release(self) -> None:
        """Give the lease back, so that the next one need not wait for its end."""
        renewal, self._renewal = self._renewal, None
        self._held_until_s = 0.0
        self._lost.set()
        if renewal is not None:
            renewal.cancel()
            with suppress(asyncio.CancelledError):
                await renewal
        if self._epoch:
            with suppress(StoreUnavailable):  # It then ends by itself.
                await self._database.execute(_RELEASE, (self._name, self._owner, self._epoch))

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()

    async def _end_of_the_dead(self) -> bool:
        """End the lease of a holder that certainly is dead; tell whether there was one."""
        for owner, epoch in await self._database.fetch(_HOLDER, (self._name,)):
            if is_certainly_dead(owner):
                await self._database.execute(_TAKE_OVER, (self._name, owner, epoch))
                return True
        return False

    def _believe(self, asked_at_s: float) -> None:
        self._held_until_s = asked_at_s + self._duration_s - self._margin_s

    async def _keep(self) -> None:
        while True:
            remaining_s = self._held_until_s - time.monotonic()
            await asyncio.sleep(max(remaining_s / 3, _RENEWAL_PAUSE_MIN_S) if remaining_s > 0 else self._poll_s)
            asked_at_s = time.monotonic()
            try:
                async with asyncio.timeout(max(remaining_s, self._poll_s)):
                    rows = await self._database.fetch(_RENEW, (self._duration_s, self._name, self._owner, self._epoch))
            except (StoreUnavailable, TimeoutError):
                continue
            if not rows:
                self._held_until_s = 0.0
                self._lost.set()
                return
            self._believe(asked_at_s)
