"""`venue`: calls over a wire that faults strike by seed, and whether what the adapter says of them is so."""

import time
from collections import Counter
from random import Random

from infra.bench.run import Bench
from infra.faults.venue_trials import Case, Trial, Verdict, random_case, running_trials

TRIALS = 10_000
TRIALS_QUICK = 250
_TOGETHER = 125
"""Trials on one venue: its books grow with each."""
_SHOWN = 5


async def run(bench: Bench) -> None:
    """Play as many random cases as are wanted, and hold what was said against the venue's books."""
    wanted = bench.runs or (TRIALS_QUICK if bench.is_quick else TRIALS)
    random = Random(bench.seed)  # noqa: S311 - no secret
    cases = [random_case(random) for _ in range(wanted)]
    played: list[Trial] = []
    task = bench.progress.add_task("Calling", total=wanted)
    began = time.perf_counter()
    for first in range(0, wanted, _TOGETHER):
        played += await _play_together(cases[first : first + _TOGETHER])
        bench.progress.update(task, completed=len(played))
    _hand_in(bench, played, time.perf_counter() - began)


async def _play_together(cases: list[Case]) -> list[Trial]:
    async with running_trials() as trials:
        return await trials.play(cases)


def _hand_in(bench: Bench, played: list[Trial], seconds: float) -> None:
    said = Counter(trial.said.verdict for trial in played)
    broken = [(number, trial) for number, trial in enumerate(played) if trial.problems]
    report = bench.report
    report.add("trials", len(played), unit="trials", better="higher")
    report.add("false_verdicts", len(broken), unit="trials", better="lower")
    report.add("trials_per_second", len(played) / seconds, unit="1/s", better="higher")
    for verdict in Verdict:
        report.note(f"said {verdict.value}", f"{said[verdict]:,}")
    report.note("unknown, and the venue did it", f"{_unknown_but_done(played):,}")
    for number, trial in broken[:_SHOWN]:
        report.check(f"trial {number} of seed {bench.seed}, {trial.case}: {'; '.join(trial.problems)}", holds=False)


def _unknown_but_done(played: list[Trial]) -> int:
    return sum(trial.happened for trial in played if trial.said.verdict is Verdict.UNKNOWN and trial.case.asked.writes)
