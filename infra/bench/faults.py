"""`khata bench faults`: seeded schedules of faults on a small engine core, each judged; anything found breaks the run.

The schedules are those of the tests and go on where they end: each seed is another one. Some of them share one
database, so that a schedule also meets what the ones before it left; then everything is made anew.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.bench.ground import Ground, running_servers
from infra.bench.run import Bench
from infra.faults.core import running_core
from infra.faults.ledger import Ledger
from infra.faults.oracle import Findings, total
from infra.faults.points import EVERY_POINT, Point
from infra.faults.schedules import SEEDS_FOR_EVERY_POINT, ScheduleFailed, play, schedule_of

RUNS = 200
RUNS_QUICK = SEEDS_FOR_EVERY_POINT
_SHARING = 20
"""Schedules on one database: the judge reads the whole log after each of them."""


@dataclass(slots=True)
class _Tally:
    """What all schedules so far came to. `failed` is the first that found something or did not get to its end."""

    found: list[Findings] = field(default_factory=list)
    reached: Counter[Point] = field(default_factory=Counter)
    failed: ScheduleFailed | None = None


async def run(bench: Bench) -> None:
    """Play as many schedules as are wanted, from the wanted seed on, up to the first that fails."""
    runs = bench.runs or (RUNS_QUICK if bench.is_quick else RUNS)
    seeds = range(bench.seed, bench.seed + runs)
    tally = _Tally()
    playing = bench.progress.add_task("faults", total=runs)
    async with running_servers() as ground:
        began = time.monotonic()
        for first in range(0, runs, _SHARING):
            if tally.failed is None:
                some = seeds[first : first + _SHARING]
                await _play_together(ground, some, tally, lambda: bench.progress.advance(playing))
        seconds = time.monotonic() - began
    _hand_in(bench, seeds, tally, seconds)


async def _play_together(ground: Ground, seeds: range, tally: _Tally, advance: Callable[[], None]) -> None:
    """Play *seeds* on one database."""
    # Every copy of the database has the same epoch, and so the same stream.
    await ground.nats.stop()
    shutil.rmtree(ground.nats.store)
    await ground.nats.start()
    with ground.fresh_database() as database:
        async with running_core(database, ground.nats, Ledger()) as core:
            for seed in seeds:
                try:
                    findings = await play(core, seed)
                except ScheduleFailed as failed:
                    tally.failed = failed
                    break
                tally.found.append(findings)
                if findings:
                    tally.failed = ScheduleFailed(schedule_of(seed), str(findings))
                    break
                advance()
            tally.reached.update(core.reached)


def _hand_in(bench: Bench, seeds: range, tally: _Tally, seconds: float) -> None:
    report = bench.report
    report.add("runs", len(tally.found), unit="schedules", better="higher")
    report.add("faults_injected", tally.reached.total(), unit="faults", better="higher")
    for name, count in total(tally.found).items():
        report.add(name, count, unit="findings", better="lower")
    report.add("runs_per_second", len(tally.found) / seconds, unit="1/s", better="higher")
    report.note("seeds", f"{seeds.start} to {seeds.stop - 1}")
    missed = [point.name for point in EVERY_POINT if point not in tally.reached]
    report.note("points", f"{len(EVERY_POINT) - len(missed)} of {len(EVERY_POINT)}")
    if tally.failed is not None:
        report.note("first failing seed", tally.failed.schedule.seed)
        bench.console.print(str(tally.failed), style="bold red", markup=False, highlight=False)
        report.check(f"seed {tally.failed.schedule.seed} ends with nothing wrong", holds=False)
    elif len(seeds) >= SEEDS_FOR_EVERY_POINT:
        report.check(f"every point is reached, {', '.join(missed)} too", holds=not missed)
