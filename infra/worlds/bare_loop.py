"""An event loop without sockets, threads or clock: it runs what is ready, and jumps to the next timer where nothing is.

A world of minutes takes no longer than the work in it, and the same work is done in the same order every time: nothing
here depends on the machine, on memory addresses or on the time of day.
"""

import asyncio
import heapq
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from itertools import count
from typing import Any, TypeVar, TypeVarTuple

from infra.worlds.processes import PROCESS

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class NothingLeft(Exception):
    """Nothing is ready and nothing is due at any time, but somebody still waits: the world would stand still."""


class _Turn(asyncio.TimerHandle):
    """What is to be run, once: nothing of a handle but what this loop needs, for most of a world is handles."""

    __slots__ = ("args", "callback", "context")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = copy_context() if context is None else context

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def cancel(self) -> None:
        """Have it not run. A timer stays where it is until its time comes."""
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """Tell whether it is not to run."""
        return self.callback is None


class BareLoop(asyncio.BaseEventLoop):
    """Implements what asyncio needs of a loop beside sockets: tasks, futures, timers."""

    _ready: deque[_Turn]

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._timers: list[tuple[float, int, _Turn]] = []
        self._numbers = count()
        self._dropped: list[_Turn] = []

    def time(self) -> float:
        """Return the seconds that were jumped over so far."""
        return self._now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run *callback* after what is ready already."""
        turn = _Turn(callback, args, context)
        self._ready.append(turn)
        return turn

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run *callback* in *delay* seconds."""
        turn = _Turn(callback, args, context)
        heapq.heappush(self._timers, (self._now + delay, next(self._numbers), turn))
        return turn

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run *callback* when it is *when*; of what is due at the same time first what was asked for first."""
        turn = _Turn(callback, args, context)
        heapq.heappush(self._timers, (when, next(self._numbers), turn))
        return turn

    def _run_once(self) -> None:
        ready = self._ready
        if not ready:
            self._jump()
        for _ in range(len(ready)):
            turn = ready.popleft()
            callback, context = turn.callback, turn.context
            if callback is None:
                continue
            process = context.get(PROCESS)
            if process is None or not process.minds_turns or process.may_go_on():
                # Without a handle's guard: what a callback raises is a mistake here, and is to be seen.
                context.run(callback, *turn.args)
            else:
                # Kept, for what it held would otherwise be destroyed now, and its `finally` would run.
                self._dropped.append(turn)

    def _jump(self) -> None:
        """Let it be the time at which the next timer is due, and make all that are due then ready."""
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        if not timers:
            raise NothingLeft
        now = self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= now:
            self._ready.append(heapq.heappop(timers)[2])

    def _process_events(self, event_list: Any) -> None:
        """There are none: nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody has to be woken up: there is one thread."""

    def forget(self) -> None:
        """Let nothing happen any more of what was to happen."""
        self._ready.clear()
        self._timers.clear()
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
