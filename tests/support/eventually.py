"""Waiting for something that another task or process brings about, without a fixed sleep."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
_PAUSE_S = 0.01


@overload
async def eventually(check: Callable[[], Awaitable[T]], *, within_s: float = 20.0) -> T: ...
@overload
async def eventually(check: Callable[[], T], *, within_s: float = 20.0) -> T: ...
async def eventually(check: Callable[[], Any], *, within_s: float = 20.0) -> Any:
    """Ask *check*, plain or async, until it returns something true, and return that.

    Raises:
        AssertionError: *within_s* seconds passed; the message holds the last answer.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer = check()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() >= deadline:
            message = f"nothing true within {within_s} s: the last answer was {answer!r}"
            raise AssertionError(message)
        await asyncio.sleep(_PAUSE_S)
