"""What a process of roles does, from its first line to its last: settings, roles, signals, exit code."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

import structlog
import uvloop

from infra.logs import configure
from infra.problems import OperatorProblem
from infra.roles.process import run_roles
from infra.runtime import resolve_runtime
from infra.settings import Settings, override

EXIT_FAULT = 1
EXIT_REFUSED = 2
_SIMULATOR = "simulator"
_GRACE_S = 5.0
"""After the deadline of the drain, for the supervisor to end the process first."""


def run_process(roles: Sequence[str], of_simulator: Mapping[str, object]) -> NoReturn:
    """Run *roles* until a signal or a fault ends this process; *of_simulator* are settings for the simulator alone."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_run(roles, of_simulator))
        # All is drained and closed. Closing the runner would wait for tasks that a driver left behind, and some of them
        # swallow their cancellation (a pool's, when it was still connecting); the interpreter would then take half a
        # second to free what the kernel frees at once.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


async def _run(roles: Sequence[str], of_simulator: Mapping[str, object]) -> int:
    configure(Settings())  # Until the settings are known: even a first fault is logged without anybody's secrets.
    log = structlog.get_logger("khata.run")
    try:
        runtime = await resolve_runtime()
        asked = {field: value for field, value in of_simulator.items() if value is not None}
        if asked:
            runtime = replace(runtime, settings=_with_options(runtime.settings, roles, asked))
        configure(runtime.settings)
        working = asyncio.create_task(run_roles(roles, runtime))
        _stop_on_signal(working, deadline_s=runtime.settings.drain_deadline_ms / 1000 + _GRACE_S)
        with suppress(asyncio.CancelledError):
            await working
    except OperatorProblem as problem:
        log.error("refused", roles=roles, problem=problem.message, remedy=problem.remedy)  # noqa: TRY400 - no bug, no traceback
        return EXIT_REFUSED
    except Exception:
        log.exception("failed", roles=roles)
        return EXIT_FAULT
    return 0


def _with_options(settings: Settings, roles: Sequence[str], asked: Mapping[str, object]) -> Settings:
    if _SIMULATOR not in roles:
        raise OperatorProblem(
            "--faults and --speed are for the simulator, which is not among the roles.",
            remedy=f"Name the role {_SIMULATOR}, or leave them out.",
        )
    return override(settings, **asked)


def _stop_on_signal(working: "asyncio.Task[None]", *, deadline_s: float) -> None:
    """Let the first signal cancel the work, so that it drains, and the second end the process at once."""
    asked: list[signal.Signals] = []

    def ask(number: signal.Signals) -> None:
        if asked:
            os._exit(128 + number)
        asked.append(number)
        working.cancel()
        # A thread, because a loop that hangs would not look at its own timer.
        watchdog = threading.Timer(deadline_s, os._exit, args=(EXIT_FAULT,))
        watchdog.daemon = True
        watchdog.start()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask, number)
