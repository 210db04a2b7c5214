"""Processes of a world: whatever one of them began stops existing at the moment at which it dies.

Nothing of a dead process runs any more, no `finally` and no `except` either: it is as after `kill -9`, at whatever
await or step it stood. What it had sent is on its way all the same, and what it had appended is in the log.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import Any

AWAIT = "await"
"""The step that every await is: the n-th of a process is the n-th time that one of its tasks or timers goes on."""

PROCESS: ContextVar["Process | None"] = ContextVar("PROCESS", default=None)
"""The process that a context belongs to, None or unset where it is nobody's: the venue's, or the world's own."""

NOBODYS = Context()
"""The context of what belongs to no process: the venue, and the world itself."""


@dataclass(frozen=True, slots=True)
class Doom:
    """When a process dies: the *nth* time from now on that it comes to *step*."""

    step: str
    nth: int = 1


class Process:
    """Tasks and timers that live and die together. `reached` counts the steps that it came to."""

    def __init__(self, name: str, *, on_death: Callable[["Process", str], None]) -> None:
        self.name = name
        self.is_dead = False
        self.reached: Counter[str] = Counter()
        self.context = copy_context()
        self.context.run(PROCESS.set, self)
        self._on_death = on_death
        self._doom: Doom | None = None
        self._left = 0
        self.minds_turns = False
        """Whether it has to be asked, at every turn of its tasks and timers, if it may go on."""

    @property
    def is_doomed(self) -> bool:
        """Whether it lives, and is to die at a step to come."""
        return self._left > 0

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin *work* as a task of this process."""
        return asyncio.get_running_loop().create_task(work, context=self.context)

    def doom(self, doom: Doom) -> None:
        """Have the process die then; an earlier doom that has not come counts no longer."""
        self._doom, self._left = doom, doom.nth
        self.minds_turns = self.is_dead or doom.step == AWAIT

    async def reach(self, step: str) -> None:
        """Come to *step*; if the process dies there, this does not return."""
        self.reached[step] += 1
        if self._doom is not None and self._doom.step == step:
            self._count_down()
        if self.is_dead:
            await asyncio.get_running_loop().create_future()

    def may_go_on(self) -> bool:
        """Tell whether a task or timer of it, whose turn it is, may go on: it may be the await at which it dies."""
        if self._doom is not None and self._doom.step == AWAIT:
            self._count_down()
        return not self.is_dead

    def die(self, where: str) -> None:
        """Die now."""
        if not self.is_dead:
            self.is_dead = self.minds_turns = True
            self._on_death(self, where)

    def _count_down(self) -> None:
        assert self._doom is not None, "there is a doom to count down to"
        self._left -= 1
        if self._left == 0:
            self.die(self._doom.step)
