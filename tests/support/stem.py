"""A stem whose roles are stood in for: `python -m tests.support.stem SOCKET SUPERVISOR`, as the real one is run.

A role says that it is ready, and waits to be told to stop. What it is told of beside is in the name of the first role.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from infra.settings import READY_FD_VARIABLE, RUNTIME_FILE_VARIABLE
from infra.stem.process import Run, main

COMMAND = (sys.executable, "-m", "tests.support.stem")
EXIT_DRAINED = 7


def stand_in(roles: Sequence[str]) -> NoReturn:
    folder = Path(os.environ[RUNTIME_FILE_VARIABLE]).parent

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("-".join(sys.argv), flush=True)  # noqa: T201 - its log is read
    with (folder / "forked").open("a") as file:
        file.write(f"{os.getpid()}\n")
    os.write(int(os.environ[READY_FD_VARIABLE]), b"ready\n")
    signal.sigwait({signal.SIGTERM})
    with (folder / "drained").open("a") as file:
        file.write("-".join(roles) + "\n")
    os._exit(EXIT_DRAINED)


def load() -> Run:
    return stand_in


if __name__ == "__main__":
    main(sys.argv[1:], load)
