"""The simulated broker's own door, past every path of the engine's."""

from typing import Any

import httpx

from infra.supervisor import Supervisor

_SECRET_HEADER = "x-simulator-secret"  # noqa: S105 - its name
_WITHIN_S = 30.0


class BrokerDoor:
    """Reads the books of the broker of *engine*, and has it go wrong."""

    def __init__(self, engine: Supervisor) -> None:
        self._engine = engine

    async def books(self) -> dict[str, Any]:
        """Return orders, executions and positions of every client."""
        clients: dict[str, Any] = (await self._ask("GET", "/admin/books"))["clients"]
        return clients

    async def order_fault(self, **terms: str | int) -> None:
        """Have it do something wrong (`adapters.simulator.faults.call_faults.Fault`)."""
        await self._ask("POST", "/admin/faults", terms)

    async def has_met_its_faults(self) -> bool:
        """Tell whether every fault that was ordered has struck."""
        return bool((await self._ask("GET", "/admin/session"))["faults_waiting"] == 0)

    async def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {_SECRET_HEADER: self._engine.keys.simulator.hex()}
        url = self._engine.simulator_url
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=_WITHIN_S, trust_env=False) as broker:
            answer = await broker.request(method, path, json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found
