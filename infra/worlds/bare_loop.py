"""An event loop without sockets, threads or clock: it runs what is ready, and jumps to the next timer where nothing is.

A world of minutes takes no longer than the work in it, and the same work is done in the same order every time: nothing
here depends on the machine, on memory addresses or on the time of day.
"""

import asyncio
import heapq
import inspect
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from infra.worlds.processes import process_in

T = TypeVar("T")


class NothingLeft(Exception):
    """Nothing is ready and nothing is due at any time, but somebody still waits: the world would stand still."""


class BareLoop(asyncio.BaseEventLoop):
    """Implements what asyncio needs of a loop beside sockets: tasks, futures, timers."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._dropped: list[asyncio.Handle] = []

    def time(self) -> float:
        """Return the seconds that were jumped over so far."""
        return self._now

    def _run_once(self) -> None:
        ready = self._ready
        if not ready:
            self._jump()
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle.cancelled():
                continue
            process = process_in(handle._context)  # type: ignore[attr-defined]  # noqa: SLF001 - whose it is
            if process is None or process.may_go_on():
                # `Handle._run` without its guard: what a callback raises is a mistake here, and is to be seen.
                handle._context.run(handle._callback, *handle._args)  # type: ignore[attr-defined]  # noqa: SLF001 - as it does
            else:
                # Kept, for what it held would otherwise be destroyed now, and its `finally` would run.
                self._dropped.append(handle)

    def _jump(self) -> None:
        """Let it be the time at which the next timer is due, and make all that are due then ready."""
        scheduled = self._scheduled
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]  # noqa: SLF001 - as every loop
        if not scheduled:
            raise NothingLeft
        self._now = max(self._now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]  # noqa: SLF001 - likewise
            self._ready.append(timer)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave it where it is: it goes when its time comes."""

    def _process_events(self, event_list: Any) -> None:
        """There are none: nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody has to be woken up: there is one thread."""

    def forget(self) -> None:
        """Let nothing happen any more of what was to happen."""
        self._ready.clear()
        self._scheduled.clear()
        self._dropped.clear()


def bury(loop: asyncio.AbstractEventLoop) -> None:
    """End all tasks that have not ended, those of dead processes among them, without letting them do anything more."""
    buried: set[asyncio.Task[Any]] = set()
    while unburied := asyncio.all_tasks(loop) - buried:  # What tidies up may begin tasks.
        for task in unburied:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - it is meant to be
            _end(task.get_coro())
        buried |= unburied


def _end(coroutine: Any) -> None:
    """End *coroutine*, however often it would rather wait for something on its way out."""
    while inspect.getcoroutinestate(coroutine) != inspect.CORO_CLOSED:
        with suppress(Exception, BaseExceptionGroup):
            coroutine.close()


def live_alone(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* to its end on a loop of its own, and bury what it left. Return what it returned."""
    loop = BareLoop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(work)
    finally:
        bury(loop)
        loop.forget()
        loop.close()
        asyncio.set_event_loop(None)
