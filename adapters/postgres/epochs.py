"""The epoch is checked on every new connection: a primary that was replaced also says that it takes writes."""

import asyncio
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.rows import scalar_row

from adapters.epoch_file import EpochFile
from domain.epoch import Epoch, EpochInvalid

log = structlog.get_logger(__name__)

_CURRENT = "SELECT log.current_epoch()"


class EpochOutdated(psycopg.OperationalError):
    """The server speaks for an epoch before the highest one seen, or is another one: it is treated as away."""


class EpochWatch:
    """Knows the epoch of this process's connections. One a process, handed to everything that connects."""

    def __init__(self, file: EpochFile) -> None:
        self._file = file
        self._current: Epoch | None = None

    @property
    def current(self) -> str:
        """The epoch of the newest connection, empty before the first one."""
        return "" if self._current is None else str(self._current)

    async def check(self, connection: AsyncConnection[Any]) -> None:
        """Accept a fresh *connection*, or raise.

        Raises:
            EpochOutdated
        """
        cursor = connection.cursor(row_factory=scalar_row)
        found = Epoch.parse(await (await cursor.execute(_CURRENT)).fetchone() or "")
        try:
            highest = await asyncio.to_thread(self._file.see, found)
        except (OSError, EpochInvalid) as fault:
            log.error("the epoch file cannot be used", detail=str(fault))  # noqa: TRY400 - foreseen: no trace helps
            raise EpochOutdated(f"it cannot be told whether {found} is the present epoch: {fault}") from fault
        if found != highest:
            log.error("EPOCH_CHANGED", found=str(found), highest_seen=str(highest))
            raise EpochOutdated(f"EPOCH_CHANGED: the server is of epoch {found}, and {highest} was seen")
        self._current = found
