"""`khata demo`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

EXIT_FAILED = 1


def demo(
    ticks: Annotated[
        Path | None,
        typer.Option(help="Folder of recorded ticks, <SYMBOL>.csv.gz each; default: a synthetic session.", exists=True),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic session.")] = 1,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one line for machines.")] = False,
) -> None:
    """Play one market session in lock-step on a whole engine of its own, and check everything."""
    from rich.console import Console

    from infra.demo.session import DemoOptions, run_demo
    from infra.demo.traders import DemoBroken
    from infra.logs import configure
    from infra.settings import Settings

    configure(Settings(log_level="error"))
    console = Console()
    try:
        summary = asyncio.run(run_demo(DemoOptions(ticks=ticks, seed=seed), console, is_quiet=as_json))
    except DemoBroken as broken:
        sys.stderr.write(f"khata: the demo broke off: {broken}\n")
        sys.exit(EXIT_FAILED)
    if as_json:
        sys.stdout.write(json.dumps(summary.as_document()) + "\n")
    else:
        console.print(summary.as_rich())
    if not summary.passed:
        sys.exit(EXIT_FAILED)
