"""What `khata bench faults` says of a good run, of one that found something, and of one that missed a point."""

import io
from collections import Counter

from rich.console import Console
from rich.progress import Progress

from infra.bench import faults
from infra.bench.report import Report
from infra.bench.run import Bench
from infra.faults.oracle import Findings
from infra.faults.points import EVERY_POINT
from infra.faults.schedules import ScheduleFailed, schedule_of


def handed_in(tally: faults._Tally) -> tuple[Report, str]:
    console = Console(file=io.StringIO(), width=200)
    bench = Bench(report=Report(bench="faults"), progress=Progress(console=console), console=console)
    faults._hand_in(bench, range(1, 101), tally, seconds=50.0)
    return bench.report, console.file.getvalue()  # type: ignore[attr-defined]


def test_a_good_run_counts_its_schedules_and_faults() -> None:
    tally = faults._Tally(found=[Findings()] * 100, reached=Counter(dict.fromkeys(EVERY_POINT, 8)))
    report, said = handed_in(tally)
    assert {name: measure.ours for name, measure in report.measures.items()} == {
        "runs": 100,
        "faults_injected": 8 * len(EVERY_POINT),
        "lost": 0,
        "duplicated": 0,
        "reordered": 0,
        "differences": 0,
        "runs_per_second": 2.0,
    }
    assert not report.broken
    assert said == ""


def test_what_was_found_breaks_the_run_and_the_seed_is_named() -> None:
    found = Findings(lost=["7-asha-1: told 2 events, the log has 0 or others"], differences=["a row", "another row"])
    failed = ScheduleFailed(schedule_of(7), str(found))
    report, said = handed_in(faults._Tally(found=[Findings(), found], failed=failed))
    assert [report.measures[name].ours for name in ("runs", "lost", "duplicated", "differences")] == [2, 1, 0, 2]
    assert report.notes["first failing seed"] == "7"
    assert report.broken
    assert "khata bench faults --runs 1 --seed 7" in said
    assert "7-asha-1: told 2 events" in said


def test_a_point_that_was_not_reached_breaks_the_run() -> None:
    reached = Counter(dict.fromkeys(EVERY_POINT[1:], 3))
    report, _ = handed_in(faults._Tally(found=[Findings()] * 100, reached=reached))
    assert EVERY_POINT[0].name in report.broken[0]
