"""`exactly-once --enumerate`: every step at which the trading process can die, every second one after it, every fault.

All of it takes a long while; `--runs` spreads so many lives evenly over it, and `--quick` lives those in which each
step and each fault comes once.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

from infra.bench.run import Bench
from infra.worlds.enumeration import (
    AT_A_START,
    FAULTS,
    POINTS,
    Case,
    Lived,
    Tally,
    a_share,
    every_case,
    live_case,
    spread,
)
from infra.worlds.judge import WRONG

_CHUNK = 25
_SHOWN = 10


async def run_enumerated(bench: Bench, *, processes: int, begin: Callable[[], None]) -> None:
    """Live the cases that were asked for in so many processes, each made ready by *begin*; report what they came to."""
    if bench.is_quick:
        cases = list(a_share())
    elif bench.runs is not None:
        cases = list(spread(bench.runs))
    else:
        cases = list(every_case())
    began = time.perf_counter()
    with ProcessPoolExecutor(processes, initializer=begin) as pool:
        tally = await _lived(bench, cases, pool)
    took_s = time.perf_counter() - began
    report = bench.report
    report.add("enumerated_lives", tally.lives, unit="worlds", better="higher")
    report.add("enumerated_double_crashes", tally.in_full, unit="worlds", better="higher")
    report.add("enumerated_points", len(POINTS), unit="steps", better="higher")
    report.add("enumerated_wrong", len(tally.wrong), unit="worlds", better="lower")
    report.add("worlds_per_second", tally.lives / took_s, unit="1/s", better="higher")
    report.note(
        "all there are", f"{len(POINTS)} steps, {len(POINTS) + len(AT_A_START)} after each, {len(FAULTS)} faults"
    )
    report.note("took", f"{took_s:.0f} s")
    for lived in tally.wrong[:_SHOWN]:
        told = "; ".join(f"{each.kind}: {each.text}" for each in lived.findings if each.kind in WRONG)
        report.check(f"{lived.case} ends with nothing wrong: {told}", holds=False)
    if bench.runs is None:
        report.check(
            f"a process died at each step, first and second, but: {tally.unreached}", holds=not tally.unreached
        )


async def _lived(bench: Bench, cases: list[Case], pool: ProcessPoolExecutor) -> Tally:
    tally = Tally()
    task = bench.progress.add_task("Dying", total=len(cases))
    loop = asyncio.get_running_loop()
    running = [loop.run_in_executor(pool, _live_some, chunk) for chunk in _chunks(cases)]
    for chunk in asyncio.as_completed(running):
        for lived in await chunk:
            tally.take(lived)
        bench.progress.update(task, completed=tally.lives)
    return tally


def _chunks(cases: list[Case]) -> Iterator[list[Case]]:
    return (cases[begin : begin + _CHUNK] for begin in range(0, len(cases), _CHUNK))


def _live_some(cases: list[Case]) -> list[Lived]:
    lived = [live_case(case) for case in cases]
    gc.collect()
    return lived
