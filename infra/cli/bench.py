"""`khata bench`."""

import asyncio
import sys
from typing import Annotated

import typer

from infra.bench.catalogue import BENCHES

EXIT_BROKEN = 1


def bench(
    name: Annotated[str, typer.Argument(help="Which one; without a name: list them.")] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one line for machines.")] = False,
    quick: Annotated[bool, typer.Option(help="A bounded run of a minute at most.")] = False,
    runs: Annotated[
        int | None, typer.Option("--runs", "--seeds", min=1, help="How many seeded runs, where a bench repeats them.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", "--from", min=0, help="Seed of what is random, of the first run where there are several."
        ),
    ] = None,
    scenario: Annotated[str | None, typer.Option(help="kill: one of its scenarios instead of kills.")] = None,
    clean: Annotated[bool, typer.Option(help="Remove what an earlier run left to be used again.")] = False,
    naive: Annotated[bool, typer.Option(help="exactly-once: let a naive executor be judged instead of ours.")] = False,
    late: Annotated[
        float | None, typer.Option(min=0, help="exactly-once: how late a request may arrive, in seconds.")
    ] = None,
    is_enumerated: Annotated[
        bool, typer.Option("--enumerate", help="exactly-once: die at every step, and at every second one after it.")
    ] = False,
) -> None:
    """Measure the engine beside a yardstick, on servers that are thrown away."""
    from rich.console import Console
    from rich.table import Table

    if not name:
        table = Table("bench", "measures", box=None)
        for bench_name, entry in sorted(BENCHES.items()):
            table.add_row(bench_name, entry.summary)
        Console().print(table)
        return

    import msgspec
    import uvloop

    from infra.bench.run import run_bench
    from infra.logs import configure
    from infra.settings import Settings

    configure(Settings(log_level="error"))
    # The loop that the roles run on.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(
            run_bench(
                name,
                is_quick=quick,
                runs=runs,
                seed=seed,
                clean=clean,
                naive=naive,
                late_s=late,
                is_enumerated=is_enumerated,
                scenario=scenario,
            )
        )
    if as_json:
        sys.stdout.write(msgspec.json.encode(report.as_document()).decode() + "\n")
    else:
        Console().print(report.as_rich())
    if report.broken:
        sys.exit(EXIT_BROKEN)
