"""`khata up`."""

import asyncio
import sys
from typing import Annotated

import typer


def up(
    *,
    speed: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds of the tape in one of ours, on the clock of the tape; 0: as fast as it goes."
        ),
    ] = None,
) -> None:
    """Start the whole engine and keep it running until Ctrl-C or SIGTERM."""
    from infra.logs import configure
    from infra.settings import load, override
    from infra.supervisor import Supervisor, run_until_signal

    settings = load()
    if speed is not None:
        settings = override(settings, tape_speed=speed, market_clock="tape")
    configure(settings)
    supervisor = Supervisor(settings)

    def announce() -> None:
        queries = f"  Queries    {supervisor.query_api_url}\n" if settings.api_apart else ""
        sys.stdout.write(
            f"Khata is up.\n  API        {supervisor.api_url}  (documentation: {supervisor.api_url}/docs)\n{queries}"
            f"  Simulator  {supervisor.simulator_url}\n  Home       {settings.home}\n  Stop it with Ctrl-C.\n"
        )
        sys.stdout.flush()

    asyncio.run(run_until_signal(supervisor, on_ready=announce))
