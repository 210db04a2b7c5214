"""`make mutants`: draw mutants of the decider, run the sentences on each, and say which live."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from infra.mutants.report import as_rich, share
from infra.mutants.session import Broken, copy_of_the_tree, drawn, mutations_of, run, try_unchanged

EXIT_BELOW, EXIT_BROKEN = 1, 2


def mutants(
    *,
    seed: Annotated[int, typer.Option(min=0, help="Which sample is drawn.")] = 1,
    size: Annotated[int, typer.Option(min=1, help="How many mutants are drawn.")] = 100,
    takes_all: Annotated[bool, typer.Option("--all", help="Take every mutant: hours.")] = False,
    at_least: Annotated[float, typer.Option(help="The share to be killed, in per cent; below it the run fails.")] = 85,
) -> None:
    """Draw mutants of the account decider and its risk table, and count those that the sentences kill."""
    console = Console(stderr=True)
    try:
        with copy_of_the_tree() as copy:
            console.print("Running the sentences on the unchanged code …")
            timeout_s = try_unchanged(copy)
            possible = mutations_of(copy, timeout_s=timeout_s)
            sample = drawn(possible, seed=seed, size=None if takes_all else size)
            with Progress(console=console) as progress:
                task = progress.add_task("Mutants", total=len(sample))
                outcomes = run(copy, sample, lambda done: progress.update(task, completed=done))
    except Broken as broken:
        console.print(str(broken), markup=False)
        sys.exit(EXIT_BROKEN)
    Console(soft_wrap=True).print(as_rich(outcomes, possible=len(possible)))
    killed = sum(each.is_killed for each in outcomes)
    sys.exit(EXIT_BELOW if share(killed, len(outcomes)) < at_least else 0)


if __name__ == "__main__":
    typer.run(mutants)
