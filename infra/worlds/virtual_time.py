"""Time that stands still while anybody works, and jumps to the next thing that is due when nobody does.

So minutes of pauses, budgets and time-outs take no longer than the work between them, and what happens in them does not
depend on the machine's speed. Connections to the loopback go through local sockets under the same number: what is
written to one of those can be read at once, while over TCP it may be on its way when time moves on.
"""

import asyncio
import os
import selectors
from typing import Any

from domain.market import NS_PER_S


class _Patient(selectors.DefaultSelector):
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

    async def create_server(  # type: ignore[override]  # whoever listens in virtual time listens on a port
        self, protocol_factory: Any, _host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        """Listen on the local socket of the port, not on the port itself."""
        sock = options.get("sock")
        number = port if sock is None else sock.getsockname()[1]
        return await self.create_unix_server(protocol_factory, _local(number), backlog=options.get("backlog", 100))

    async def create_connection(  # type: ignore[override]  # likewise
        self, protocol_factory: Any, _host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        """Connect to the local socket of the port."""
        return await self.create_unix_connection(protocol_factory, _local(port))


def _local(port: int) -> str:
    """Return the address of a local socket that no file stands for, and that no other process uses."""
    return f"\0khata-{os.getpid()}-{port}"


class LoopClock:
    """The time of the loop that runs when it is made. Implements `commands.ports.Clock`."""

    def __init__(self, wall_ns: int) -> None:
        self._began_ns = wall_ns
        self._time = asyncio.get_running_loop().time

    def wall_ns(self) -> int:
        """Return UTC, as it would be had the world begun then."""
        return self._began_ns + round(self._time() * NS_PER_S)

    def monotonic_ns(self) -> int:
        """Return the loop's time."""
        return round(self._time() * NS_PER_S)
