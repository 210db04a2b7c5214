"""Time that stands still while anybody works, and jumps to the next thing that is due when nobody does.

So minutes of pauses, budgets and time-outs take no longer than the work between them, and what happens in them does not
depend on the machine's speed. Sockets on the loopback are real: before time moves on, they get a moment to bring what
is on its way.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

from domain.market import NS_PER_S

Arguments = ParamSpec("Arguments")

_MOMENT_S = 0.001
"""So long, of real time, sockets are waited for before nothing is thought to be on its way."""


class _Patient(selectors.DefaultSelector):  # type: ignore[misc,valid-type] - which class it is depends on the system
    """Looks for what is there, and notes how long it would have been waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(None)  # Nothing is due at any time: only a socket or a thread can go on.
        ready = super().select(_MOMENT_S)
        if not ready:
            self.waited_s += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is made up."""

    def __init__(self) -> None:
        self._patient = _Patient()
        super().__init__(self._patient)

    def time(self) -> float:
        """Return the seconds that were waited for so far."""
        return self._patient.waited_s


class LoopClock:
    """The running loop's time. Implements `commands.ports.Clock`."""

    def __init__(self, wall_ns: int) -> None:
        self._began_ns = wall_ns

    def wall_ns(self) -> int:
        return self._began_ns + self.monotonic_ns()

    def monotonic_ns(self) -> int:
        return round(asyncio.get_running_loop().time() * NS_PER_S)


def in_virtual_time(
    test: Callable[Arguments, Coroutine[Any, Any, None]],
) -> Callable[Arguments, None]:
    """Let a test live in a loop of virtual time."""

    @wraps(test)
    def run(*arguments: Arguments.args, **named: Arguments.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*arguments, **named))

    return run


async def within(seconds: float, is_so: Callable[[], bool | Awaitable[bool]], *, pace_s: float = 0.1) -> float:
    """Return how long it took until *is_so*; fail after *seconds* of virtual time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        told = is_so()
        if told if isinstance(told, bool) else await told:
            return loop.time() - began
        assert loop.time() - began < seconds, f"it did not come to be within {seconds} s"
        await asyncio.sleep(pace_s)
