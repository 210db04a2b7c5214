"""The log for those who have time: where the server is away, they wait."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from commands.ports import StoreUnavailable
from domain.envelope import RecordedEvent
from projections.ports import LogHead, LogOfThePast

_PAUSE_MIN_S = 0.05
_PAUSE_MAX_S = 2.0
Value = TypeVar("Value")


class WaitingLog:
    """Implements `projections.ports.LogOfThePast` over *log*: a fault of the server only takes time."""

    def __init__(self, log: LogOfThePast) -> None:
        self._log = log

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        """Return at most *limit* events after *after_sequence*, in sequence order, without a hole."""
        return await _patiently(lambda: self._log.read_all(after_sequence=after_sequence, limit=limit))

    async def read_span(
        self, stream_id: str, *, after_version: int, after_sequence: int, last_sequence: int, limit: int | None = None
    ) -> list[RecordedEvent]:
        """Return a stream's events after *after_version* up to *last_sequence*, oldest first, at most *limit*."""
        return await _patiently(
            lambda: self._log.read_span(
                stream_id,
                after_version=after_version,
                after_sequence=after_sequence,
                last_sequence=last_sequence,
                limit=limit,
            )
        )

    async def sequence_at(self, time_us: int) -> int:
        """Return the last sequence recorded at or before *time_us* (UTC microseconds), 0 where there is none."""
        return await _patiently(lambda: self._log.sequence_at(time_us))

    async def head(self) -> LogHead:
        """Return the end of the log."""
        return await _patiently(self._log.head)


async def _patiently(read: Callable[[], Awaitable[Value]]) -> Value:
    pause_s = _PAUSE_MIN_S
    while True:
        try:
            return await read()
        except StoreUnavailable:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)
