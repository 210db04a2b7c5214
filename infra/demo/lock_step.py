"""Lock-step: the tape's next second waits until all that the last one caused has settled.

The driver asks the simulator for a second, then the market role whether it has taken in every tick of it, then the
executor whether it has done all there is to do, and goes round until a whole round moved nothing. Then it waits until
the read models show all of it, so that who looks sees what happened. Only then does time go on. A second in which
nothing filled and nothing was triggered is settled as soon as the market role has seen it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec

from infra.demo.traders import DemoBroken

SETTLE_S = 30.0
Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Asks a role to settle: its name and what it has to have seen."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tape is: seconds played, the market's time, and what happened so far."""

    step: int
    market_time_ns: int
    packets: int
    fills: int
    done: bool


class Exchange:
    """The simulator's own door, beside Dhan's paths."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def session(self) -> dict[str, Any]:
        """Return what is played: instruments, length, time."""
        return await self._ask("GET", "/admin/session")

    async def step(self, seconds: int = 1) -> Step:
        """Play the tape's next seconds."""
        return msgspec.convert(await self._ask("POST", "/admin/step", {"seconds": seconds}), Step, strict=False)

    async def fault(self, kind: str, *, count: int = 1, client_id: str | None = None) -> None:
        """Have the next *count* orders (of one client) meet a fault."""
        body: dict[str, Any] = {"kind": kind, "count": count}
        await self._ask("POST", "/admin/faults", body | ({"client_id": client_id} if client_id else {}))

    async def books(self) -> dict[str, Any]:
        """Return the venue's own orders, executions and positions of every client."""
        books: dict[str, Any] = (await self._ask("GET", "/admin/books"))["clients"]
        return books

    async def range_of(self, security_id: str, *, from_step: int, to_step: int) -> tuple[int, int]:
        """Return the lowest and highest print of an instrument between two steps, both included (`price_e4`)."""
        query: dict[str, str | int] = {"security_id": security_id, "from_step": from_step, "to_step": to_step}
        answer = await self._ask("GET", "/admin/tape", query=query)
        return answer["low_e4"], answer["high_e4"]

    async def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: dict[str, str | int] | None = None,
    ) -> dict[str, Any]:
        response = await self._http.request(method, path, json=body, params=query)
        if response.is_error:
            raise DemoBroken(f"the simulator answered {method} {path} with {response.status_code} {response.text}")
        answer: dict[str, Any] = response.json()
        return answer


class LockStep:
    """Moves the market's time on, and waits."""

    def __init__(self, exchange: Exchange, ask: Ask) -> None:
        self._exchange = exchange
        self._ask = ask
        self._effects = 0
        self._commands = 0
        self._fills = 0
        self.now = Step(step=0, market_time_ns=0, packets=0, fills=0, done=False)

    async def advance(self, seconds: int = 1) -> None:
        """Play *seconds* of the tape, one at a time, each settled before the next."""
        for _ in range(seconds):
            if self.now.done:
                return
            self.now = await self._exchange.step()
            effects = await self._market_saw()
            if effects != self._effects or self.now.fills != self._fills:
                await self.settle()

    async def leap(self, seconds: int) -> None:
        """Play *seconds* of the tape at once: for a time in which nothing is open and nothing rests."""
        if not self.now.done:
            self.now = await self._exchange.step(seconds)
            await self.settle()

    async def settle(self) -> None:
        """Return when nothing is left to do at the present second of the tape.

        Raises:
            DemoBroken: something still moves after half a minute.
        """
        try:
            async with asyncio.timeout(SETTLE_S):
                while True:
                    before = (self._effects, self._commands)
                    self._effects = await self._market_saw()
                    executor = await self._ask("executor", {})
                    self._commands = executor["commands"]
                    if before == (self._effects, self._commands):
                        break
                await self._ask("projector", {"sequence": executor["sequence"]})
        except TimeoutError:
            raise DemoBroken(f"step {self.now.step} did not settle in {SETTLE_S:.0f} s") from None
        self._fills = self.now.fills

    async def _market_saw(self) -> int:
        market = await self._ask("market", {"packets": self.now.packets})
        await self._ask("api", {"number": market["number"]})
        effects: int = market["effects"]
        return effects
