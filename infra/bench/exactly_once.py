"""`exactly-once`: whole days of the trading path in made-up time, each by its seed, judged by the venue's own books.

With a seed and no number of runs one world is lived, and its story told: what failed once fails again, bit for bit.
"""

import asyncio
import gc
import logging
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import structlog

from infra.bench.enumerated import run_enumerated
from infra.bench.run import Bench
from infra.worlds.judge import WRONG, Kind
from infra.worlds.living import Verdict, live
from infra.worlds.naive import NaiveExecutor
from infra.worlds.plan import plan_of
from infra.worlds.story import Story
from infra.worlds.trading import MakeExecutor, production_executor

WORLDS = 5_000
WORLDS_QUICK = 400
NAIVE_WORLDS = 200
"""So many of the same worlds a naive executor lives through, to see that the judge would find something."""
PROCESSES = 2
_CHUNK = 25
_SHOWN = 10
_FOUND = (Kind.DUPLICATE, Kind.LOST, Kind.UNRESOLVED)
_MEASURES = {
    Kind.DUPLICATE: "duplicates",
    Kind.LOST: "lost",
    Kind.UNRESOLVED: "unresolved",
    Kind.OVERSHOOT: "overshoot",
}


@dataclass(slots=True)
class _Tally:
    worlds: int = 0
    crashes: int = 0
    intents: int = 0
    events: int = 0
    lasted_s: float = 0.0
    found: Counter[Kind] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    wrong: list[Verdict] = field(default_factory=list)

    def take(self, verdicts: list[Verdict]) -> None:
        """Count *verdicts*, and keep those that are wrong."""
        for verdict in verdicts:
            self.worlds += 1
            self.crashes += verdict.crashes
            self.intents += verdict.intents
            self.events += verdict.events
            self.lasted_s += verdict.lasted_s
            self.found.update(finding.kind for finding in verdict.findings)
            self.struck.update(verdict.struck)
            if verdict.is_wrong:
                self.wrong.append(verdict)


async def run(bench: Bench) -> None:
    """Live so many worlds, or one, or those in which every step is died at."""
    if bench.is_enumerated:
        await run_enumerated(bench, processes=PROCESSES, begin=_begin)
        return
    if bench.is_seed_asked and bench.runs is None:
        await _tell(bench)
        return
    worlds = bench.runs or (WORLDS_QUICK if bench.is_quick else WORLDS)
    began = time.perf_counter()
    tally = await _lived(bench, worlds, is_naive=bench.naive)
    took_s = time.perf_counter() - began
    report = bench.report
    report.add("worlds", tally.worlds, unit="worlds", better="higher")
    report.add("crashes", tally.crashes, unit="crashes", better="higher")
    for kind, name in _MEASURES.items():
        report.add(name, tally.found[kind], unit="findings", better="lower")
    others = sum(tally.found[kind] for kind in WRONG - set(_FOUND))
    report.add("other_findings", others, unit="findings", better="lower")
    report.add("worlds_per_second", tally.worlds / took_s, unit="1/s", better="higher")
    report.note("intents and events", f"{tally.intents:,} and {tally.events:,}")
    report.note("a world", f"{tally.lasted_s / max(tally.worlds, 1):.0f} s on its own clock, in the mean")
    report.note("faults", f"{tally.struck.total():,} of {len(tally.struck)} kinds")
    report.note("entered twice by the venue itself", tally.found[Kind.TWICE_BY_BROKER])
    report.note("processes", PROCESSES)
    if bench.naive:
        return  # It is to be caught: what was found breaks nothing.
    naive = await _lived(bench, min(worlds, NAIVE_WORLDS), is_naive=True)
    report.add("naive_duplicates", naive.found[Kind.DUPLICATE], unit="findings", better="higher")
    report.note("a naive executor", f"{naive.worlds} of the same worlds, {len(naive.wrong)} of them gone wrong")
    for verdict in sorted(tally.wrong, key=lambda each: each.seed)[:_SHOWN]:
        told = "; ".join(f"{each.kind}: {each.text}" for each in verdict.findings if each.kind in WRONG)
        report.check(f"seed {verdict.seed} ends with nothing wrong: {told}", holds=False)
    report.check("the judge finds what a naive executor does", holds=naive.found[Kind.DUPLICATE] > 0)


async def _lived(bench: Bench, worlds: int, *, is_naive: bool) -> _Tally:
    tally = _Tally()
    task = bench.progress.add_task("Living, naively" if is_naive else "Living", total=worlds)
    loop = asyncio.get_running_loop()
    live_some = partial(_live_some, late_s=bench.late_s, is_naive=is_naive)
    with ProcessPoolExecutor(PROCESSES, initializer=_begin) as pool:
        running = [loop.run_in_executor(pool, live_some, seeds) for seeds in _chunks(bench.seed, worlds)]
        for chunk in asyncio.as_completed(running):
            tally.take(await chunk)
            bench.progress.update(task, completed=tally.worlds)
    return tally


def _chunks(first: int, worlds: int) -> Iterator[range]:
    for begin in range(first, first + worlds, _CHUNK):
        yield range(begin, min(begin + _CHUNK, first + worlds))


def _begin() -> None:
    """Make a process ready: it says nothing of what goes wrong on purpose, and what it has loaded stays."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.collect()
    gc.freeze()
    gc.disable()  # It is done between worlds, and looks at theirs alone.


def _live_some(seeds: range, *, late_s: float | None, is_naive: bool) -> list[Verdict]:
    make_executor: MakeExecutor = NaiveExecutor if is_naive else production_executor
    verdicts = [live(plan_of(seed, late_s=late_s), make_executor=make_executor) for seed in seeds]
    gc.collect()
    return verdicts


def _live_one(seed: int, *, late_s: float | None, is_naive: bool) -> tuple[Verdict, Story]:
    story = Story(is_listening=True)
    make_executor: MakeExecutor = NaiveExecutor if is_naive else production_executor
    return live(plan_of(seed, late_s=late_s), make_executor=make_executor, story=story), story


async def _tell(bench: Bench) -> None:
    """Live the world of one seed and tell all of it."""
    live_one = partial(_live_one, bench.seed, late_s=bench.late_s, is_naive=bench.naive)
    with ProcessPoolExecutor(1, initializer=_begin) as pool:
        verdict, story = await asyncio.get_running_loop().run_in_executor(pool, live_one)
    for at_s, line in story.lines:
        bench.console.print(f"{at_s:8.3f} {line}", markup=False, highlight=False)
    for finding in verdict.findings:
        bench.console.print(f"{finding.kind}: {finding.text}", style="bold red", markup=False, highlight=False)
    bench.report.add("worlds", 1, unit="worlds", better="higher")
    bench.report.add("crashes", verdict.crashes, unit="crashes", better="higher")
    bench.report.note("last hash of the log", verdict.digest)
    if not bench.naive:
        bench.report.check(f"seed {bench.seed} ends with nothing wrong", holds=not verdict.is_wrong)
