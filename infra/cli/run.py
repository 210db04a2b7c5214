"""`khata run ROLE…`."""

from typing import Annotated

import typer


def run(
    roles: Annotated[list[str], typer.Argument(metavar="ROLE…", help="One or more roles, such as: api")],
    *,
    faults: Annotated[
        str | None,
        typer.Option(help="Faults that the simulator makes, by rates and a seed, such as: 'seed=7 delay=0.02'."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds of the tape that the simulator plays in one; 0: as fast as it goes."),
    ] = None,
) -> None:
    """Run some roles in this process, on the servers of the running engine or on servers of your own."""
    from infra.roles.program import run_process

    run_process(roles, {"simulator_faults": faults, "tape_speed": speed})
