"""`oracle`: made-up lives of accounts, each held against plain arithmetic after every command."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from infra.bench.run import Bench
from infra.oracle.lives import STEPS, Verdict, live

SEQUENCES = 100_000
SEQUENCES_QUICK = 1_000
PROCESSES = 2
_CHUNK = 200
_SHOWN = 5


@dataclass(slots=True)
class _Tally:
    lives: int = 0
    commands: int = 0
    events: int = 0

    def take(self, verdicts: list[Verdict]) -> list[Verdict]:
        """Count *verdicts* and return those that found a mismatch."""
        self.lives += len(verdicts)
        self.commands += sum(verdict.commands for verdict in verdicts)
        self.events += sum(verdict.events for verdict in verdicts)
        return [verdict for verdict in verdicts if verdict.mismatch is not None]


async def run(bench: Bench) -> None:
    """Live so many lives, each by its seed, on every core."""
    sequences = bench.runs or (SEQUENCES_QUICK if bench.is_quick else SEQUENCES)
    tally, wrong = _Tally(), []
    task = bench.progress.add_task("Living", total=sequences)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    with ProcessPoolExecutor(PROCESSES) as pool:
        running = [
            loop.run_in_executor(pool, _live_all, first, count) for first, count in _chunks(bench.seed, sequences)
        ]
        for chunk in asyncio.as_completed(running):
            wrong += tally.take(await chunk)
            bench.progress.update(task, completed=tally.lives)
    took_s = time.perf_counter() - began
    bench.report.add("sequences", tally.lives, unit="lives", better="higher")
    bench.report.add("mismatches", len(wrong), unit="lives", better="lower")
    bench.report.add("lives_per_second", tally.lives / took_s, unit="1/s", better="higher")
    bench.report.note("a life", f"{STEPS} steps, then everything under way comes to its end")
    bench.report.note("commands and events", f"{tally.commands:,} and {tally.events:,}")
    bench.report.note("processes", PROCESSES)
    for verdict in sorted(wrong, key=lambda each: each.seed)[:_SHOWN]:
        bench.report.check(f"seed {verdict.seed}: {verdict.mismatch}", holds=False)


def _chunks(seed: int, sequences: int) -> Iterator[tuple[int, int]]:
    for first in range(0, sequences, _CHUNK):
        yield seed + first, min(_CHUNK, sequences - first)


def _live_all(first: int, count: int) -> list[Verdict]:
    return [live(seed) for seed in range(first, first + count)]
