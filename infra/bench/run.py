"""Runs a bench by its name."""

from dataclasses import dataclass, field
from importlib import import_module

from rich.console import Console
from rich.progress import Progress

from infra.bench.catalogue import BENCHES
from infra.bench.report import Report
from infra.problems import OperatorProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a bench is handed: where to report, and how much it may do.

    `is_quick`: a minute at most, for seeing that it works. `runs` and `seed` are for benches that repeat seeded runs.
    `clean`: remove what an earlier run left to be used again. `is_seed_asked`: somebody named the seed. `naive` and
    `late_s` are for worlds: who executes there, and how late a request may arrive. `is_enumerated`: a process dies at
    each of its steps.
    `scenario` names one of those that a bench has.
    """

    report: Report
    progress: Progress
    is_quick: bool = False
    runs: int | None = None
    seed: int = 1
    clean: bool = False
    is_seed_asked: bool = False
    naive: bool = False
    late_s: float | None = None
    is_enumerated: bool = False
    scenario: str | None = None
    console: Console = field(default_factory=lambda: Console(stderr=True))


async def run_bench(
    name: str,
    *,
    is_quick: bool = False,
    runs: int | None = None,
    seed: int | None = None,
    clean: bool = False,
    naive: bool = False,
    late_s: float | None = None,
    is_enumerated: bool = False,
    scenario: str | None = None,
) -> Report:
    """Run the bench *name* and return what it found.

    Raises:
        OperatorProblem: there is no such bench.
    """
    entry = BENCHES.get(name)
    if entry is None:
        raise OperatorProblem(f"There is no bench {name!r}.", remedy=f"There are: {', '.join(sorted(BENCHES))}.")
    module = import_module(entry.module)
    report = Report(bench=name)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        await module.run(
            Bench(
                report=report,
                progress=progress,
                is_quick=is_quick,
                runs=runs,
                seed=1 if seed is None else seed,
                clean=clean,
                is_seed_asked=seed is not None,
                naive=naive,
                late_s=late_s,
                is_enumerated=is_enumerated,
                scenario=scenario,
                console=console,
            )
        )
    return report
