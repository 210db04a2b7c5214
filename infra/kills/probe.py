"""When a trader sees the engine whole again: an entry is accepted, taken by the broker, and shown to be there.

After a kill somebody hands in one entry after another, a few of them under way at a time. The first that was handed in
after the kill and is shown as the broker's says that the gate is open, that the log takes commands, that the sender
sends and that the views follow.
"""

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

from infra.kills.crowd import Person, Quoted
from projections.tasks import end

GIVEN_UP_S = 120.0
_PACE_S = 0.25
_LOOK_S = 0.1
_UNDER_WAY_MAX = 4
"""Entries that are looked for at a time: more would keep the engine busy with being asked about them."""
_AT_THE_BROKER = {"acknowledged", "partly_filled", "filled"}
_OVER = {"canceled", "expired", "rejected", "lapsed", "blocked"}


class NeverWhole(Exception):
    """The engine did not come back."""


class Prober:
    """*person*, who hands in entries of one share to see whether they go through."""

    def __init__(self, person: Person, quoted: Quoted) -> None:
        self._person = person
        self._quoted = quoted
        self._entering: set[asyncio.Task[str | None]] = set()

    async def whole_again(self, killed_at_s: float) -> float:
        """Return when, after *killed_at_s* (monotonic), an entry was first shown as the broker's, in seconds.

        Raises:
            NeverWhole
        """
        trying: set[asyncio.Task[bool]] = set()
        try:
            while time.monotonic() < killed_at_s + GIVEN_UP_S:
                if len(trying) < _UNDER_WAY_MAX:
                    trying.add(asyncio.create_task(self._goes_through()))
                done, trying = await asyncio.wait(trying, timeout=_PACE_S, return_when=asyncio.FIRST_COMPLETED)
                if any([await each for each in done]):
                    return time.monotonic() - killed_at_s
        finally:
            for each in trying:
                each.cancel()
        raise NeverWhole(f"no entry went through within {GIVEN_UP_S:.0f} s")

    async def done(self) -> None:
        """Wait until every entry that was handed in is answered, and raise what went wrong."""
        await asyncio.gather(*self._entering)

    async def stop(self) -> None:
        """Wait for no answer any more."""
        await end(*self._entering)

    async def _goes_through(self) -> bool:
        """Hand in an entry, and tell whether it came to the broker. Who stops to wait for it does not take it back."""
        entering = asyncio.create_task(self._person.enter(self._quoted, 1, protection="engine"))
        self._entering.add(entering)
        trade_id = await asyncio.shield(entering)
        self._entering.discard(entering)
        if trade_id is None:
            return False
        while True:
            status = (await self._shown(trade_id)).get("status")
            if status in _AT_THE_BROKER or status in _OVER:
                return status in _AT_THE_BROKER
            await asyncio.sleep(_LOOK_S)

    async def _shown(self, trade_id: str) -> Mapping[str, Any]:
        """Return the entry order of a trade as it is shown, nothing as long as it is not."""
        try:
            answer = await self._person.read(f"/api/trades/{trade_id}/orders")
        except httpx.TransportError:
            return {}
        if answer.status_code != HTTPStatus.OK:
            return {}
        return next((order for order in answer.json()["orders"] if order["purpose"] == "entry"), {})
