"""One process: its roles side by side, ready together, drained together."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from infra.problems import OperatorProblem
from infra.roles.api import run_api
from infra.roles.executor import run_executor
from infra.roles.market import run_market
from infra.roles.projector import run_projector
from infra.roles.relay import run_relay
from infra.roles.simulator import run_simulator
from infra.runtime import Runtime
from infra.wiring import Wiring

Ready = Callable[[], None]
Role = Callable[[Wiring, Ready], Coroutine[Any, Any, None]]

ROLES: Mapping[str, Role] = {
    "api": run_api,
    "executor": run_executor,
    "market": run_market,
    "relay": run_relay,
    "projector": run_projector,
    "simulator": run_simulator,
}


async def run_roles(roles: Sequence[str], runtime: Runtime) -> None:
    """Run *roles* until canceled; tell the runtime when every one of them does its work.

    Raises:
        OperatorProblem: there is no such role.
    """
    for role in roles:
        if role not in ROLES:
            raise OperatorProblem(f"There is no role {role!r}.", remedy=f"The roles are {', '.join(ROLES)}.")
    waiting = set(roles)

    def ready_as(role: str) -> Ready:
        def ready() -> None:
            waiting.discard(role)
            if not waiting:
                runtime.ready()

        return ready

    async with AsyncExitStack() as stack:
        wiring = Wiring(runtime, stack)
        async with asyncio.TaskGroup() as group:
            for role in dict.fromkeys(roles):
                group.create_task(ROLES[role](wiring, ready_as(role)), name=role)
