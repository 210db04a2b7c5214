"""One process: its roles side by side, ready together, drained together."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

from infra.problems import OperatorProblem
from infra.runtime import Runtime
from infra.wiring.process import Wiring
from projections.tasks import end

Ready = Callable[[], None]
Role = Callable[[Wiring, Ready], Coroutine[Any, Any, None]]

EXECUTOR = "executor"
GATHER_S = 0.01
"""The executor appends a command for every word of the broker's; what comes within so long is appended together."""
ROLES = ("api", "command-api", "query-api", "executor", "market", "relay", "projector", "simulator")


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
        gathers = EXECUTOR in roles and not runtime.settings.lock_step
        wiring = Wiring(runtime, stack, gather_s=GATHER_S if gathers else 0.0)
        names = tuple(dict.fromkeys(roles))
        tasks = [asyncio.create_task(_role(name)(wiring, ready_as(name)), name=name) for name in names]
        try:
            # Roles run until they are canceled: the first to end, however it ends, ends the process.
            for ended in (await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))[0]:
                await ended
        finally:
            await end(*tasks)


def load_every_role() -> None:
    """Load what any role is made of."""
    for name in ROLES:
        _role(name)


def _role(name: str) -> Role:
    """Return the function `run_<name>` of the role's module: a process loads the modules of its own roles only."""
    module = name.replace("-", "_")
    role: Role = getattr(import_module(f"infra.roles.{module}"), f"run_{module}")
    return role
