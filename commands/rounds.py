"""Work that is done again and again, for as long as there is any: in rounds of its own, each kind beside the others.

A round begins when its time has come, or at once when something has changed where that is asked for. While there is
nothing that a kind of work could be about it is not woken at all, so an engine that waits costs next to nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from commands import faults

log = structlog.get_logger(__name__)


def _never() -> bool:
    return False


class Rounds:
    """Keeps the pace of several kinds of work, and is told by `wake` of whatever any of them may follow from."""

    def __init__(self) -> None:
        self.changes = 0
        """So often it was told that something has changed."""
        self._waiting: list[asyncio.Future[None]] = []

    def wake(self) -> None:
        """Take in that something has changed."""
        self.changes += 1
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def change(self, after: int, *, within_s: float | None = None) -> None:
        """Return once something has changed since there were *after* changes, or when the time is over."""
        if self.changes != after:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        timer = None if within_s is None else loop.call_later(within_s, _end, future)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()
            if future in self._waiting:
                self._waiting.remove(future)

    async def every(
        self,
        interval_ms: int,
        work: Callable[[], Awaitable[None]],
        *,
        wake: bool = False,
        is_idle: Callable[[], bool] = _never,
    ) -> None:
        """Do *work* every *interval_ms* until canceled, and with *wake* also whenever something has changed.

        While *is_idle* holds, which only a change can end, there is no round.
        """
        while True:
            before = self.changes  # Before the work: what changes during it wakes the next round.
            try:
                await work()
            except faults.OF_LOG_OR_VENUE as fault:
                log.warning("step postponed", fault=str(fault))
            if is_idle():
                await self._end_of(is_idle)
            elif wake:
                await self.change(before, within_s=interval_ms / 1000)
            else:
                await asyncio.sleep(interval_ms / 1000)

    async def _end_of(self, is_idle: Callable[[], bool]) -> None:
        while is_idle():
            await self.change(self.changes)


def _end(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
