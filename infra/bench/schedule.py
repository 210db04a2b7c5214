"""Loads that arrive on a schedule, whatever becomes of those before."""

import asyncio
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

PATIENCE = 2
SOON_S = 0.01
_TICK_S = 0.001


async def on_schedule(
    works: Sequence[Callable[[int], Awaitable[object]]], *, rate: float, total: int, began: float | None = None
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Let *total* arrivals come at *rate* a second, each for one of *works*, which take its number; return latencies.

    A latency, in milliseconds, counts from when the arrival was due, so one that finds all of *works* busy is charged
    for its wait, and so is one that the schedule's clock, which looks every millisecond at most, hands out late. Who
    falls behind is left after twice the time of the schedule: what was not begun by then has waited at least so long.
    *began* is when the first is due, by the loop's clock, None: at once.
    """
    loop = asyncio.get_running_loop()
    latencies_s = array("d", bytes(8 * total))
    began = loop.time() + SOON_S if began is None else began
    gives_up = began + PATIENCE * total / rate
    # Who waits for an arrival that is not due yet. One clock wakes them all: a timer for each arrival would cost the
    # process more than half of what the work costs it.
    idle: deque[asyncio.Future[None]] = deque()
    arrivals = 0

    async def serve(work: Callable[[int], Awaitable[object]]) -> None:
        nonlocal arrivals
        while arrivals < total:
            due = began + arrivals / rate
            now = loop.time()
            if now < due:
                woken = loop.create_future()
                idle.append(woken)
                await woken
                continue
            arrival = arrivals
            arrivals += 1
            if now <= gives_up:
                await work(arrival)
                now = loop.time()
            latencies_s[arrival] = now - due

    async def keep_time() -> None:
        while arrivals < total:
            # At a low rate there is nothing to look for until the next is due: a thousand looks a second for fifty
            # arrivals took a core's twentieth from what is measured.
            await asyncio.sleep(max(began + arrivals / rate - loop.time(), _TICK_S))
            due = int((loop.time() - began) * rate) + 1 - arrivals
            for _ in range(min(due, len(idle))):
                idle.popleft().set_result(None)
        while idle:
            idle.popleft().set_result(None)

    async with asyncio.TaskGroup() as group:
        group.create_task(keep_time())
        for work in works:
            group.create_task(serve(work))
    return np.frombuffer(latencies_s, dtype=np.float64) * 1000
