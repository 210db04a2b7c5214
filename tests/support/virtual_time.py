"""Tests that live in virtual time (`infra/worlds/virtual_time.py`)."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

from infra.worlds.virtual_time import VirtualLoop

Arguments = ParamSpec("Arguments")


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
