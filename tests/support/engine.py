"""A supervisor with stand-in processes, run as a program of its own, to be killed: `python -m tests.support.engine`.

The supervisor, the servers and the launcher are the real ones; only the roles are stood in for, by a process that says
that it is ready and then waits to be told to stop.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.logs import configure
from infra.settings import READY_FD_VARIABLE, Settings, load, override
from infra.supervisor import Supervisor, run_until_signal


def stand_in(roles: Sequence[str]) -> Sequence[str]:
    return (sys.executable, "-S", "-c", _PROGRAM, *roles)


_PROGRAM = f"""
import os, signal, sys, pathlib
folder = pathlib.Path(os.environ["KHATA_RUNTIME_FILE"]).parent
name = "-".join(sys.argv[1:])
def drained(*_):
    with (folder / "drained").open("a") as file:
        file.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, drained)
if "broken" in sys.argv:
    sys.exit(1)
os.write(int(os.environ["{READY_FD_VARIABLE}"]), b"ready\\n")
while True:
    signal.pause()
"""


def engine_settings(home: Path) -> Settings:
    return override(load({}), home=home, api_port=0, drain_deadline_ms=5000)


def no_migrations(_url: str) -> None:
    """The supervisor is what is tested."""


def main() -> None:
    settings = engine_settings(Path(sys.argv[1]))
    configure(settings)  # Log lines go to stderr: stdout is read.
    supervisor = Supervisor(settings, processes=(("api",),), command=stand_in, migrate=no_migrations)
    asyncio.run(run_until_signal(supervisor, on_ready=lambda: print("up", flush=True)))  # noqa: T201 - it is waited for


if __name__ == "__main__":
    main()
