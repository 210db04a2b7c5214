"""Time that stands still while anybody works, and jumps to the next thing that is due when nobody does.

So minutes of pauses, budgets and time-outs take no longer than the work between them, and what happens in them does not
depend on the machine's speed. Connections to the loopback go through local sockets under the same number: what is
written to one of those can be read at once, while over TCP it may be on its way when time moves on.
"""

import asyncio
import os
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

from domain.market import NS_PER_S

Arguments = ParamSpec("Arguments")


class _Patient(selectors.DefaultSelector):  # type: ignore[misc,valid-type] - which class it is depends on the system
    """Looks for what is there, and notes how long it would have been waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready; where nothing is, the time that would have passed has passed."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(None)  # Nothing is due at any time: only somebody outside can go on.
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

    async def create_server(self, protocol_factory: Any, _host: Any = None, port: Any = None, **options: Any) -> Any:
        """Listen on the local socket of the port, not on the port itself."""
        sock = options.get("sock")
        number = port if sock is None else sock.getsockname()[1]
        return await self.create_unix_server(protocol_factory, _local(number), backlog=options.get("backlog", 100))

    async def create_connection(self, protocol_factory: Any, _host: Any = None, port: Any = None, **_: Any) -> Any:
        """Connect to the local socket of the port."""
        return await self.create_unix_connection(protocol_factory, _local(port))


def _local(port: int) -> str:
    """Return the address of a local socket that no file stands for, and that no other process uses."""
    return f"\0khata-test-{os.getpid()}-{port}"


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
