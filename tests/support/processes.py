"""Roles in processes of their own on the test servers, started as the supervisor starts them."""

import asyncio
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.addresses import free_port
from infra.database import DatabaseUrls
from infra.embedded.process import ChildProcess
from infra.home import Home
from infra.runtime import RuntimeFile
from infra.settings import PREFIX, READY_FD_VARIABLE, RUNTIME_FILE_VARIABLE, Settings
from tests.support.servers import Servers

READY_WITHIN_S = 120.0
DRAINED_WITHIN_S = 15.0


def runtime_file(servers: Servers, database: DatabaseUrls, settings: Settings) -> RuntimeFile:
    """Return what a process on *database* is told; every call has ports of its own."""
    api, query_api, simulator = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    return RuntimeFile(
        settings=settings,
        database=database,
        nats_url=servers.nats_url,
        api_url=api,
        simulator_url=simulator,
        processes={},
        query_api_url=query_api,
    )


@contextmanager
def running_processes(home: Home, *told: tuple[Sequence[str], RuntimeFile]) -> Iterator[None]:
    """Run processes, each of some roles and with what it is told, all of them ready; drain them at the end."""
    children: list[ChildProcess] = []
    try:
        waiting = []
        for number, (roles, file) in enumerate(told):
            path = home.run / f"process-{number}.json"
            file.write(path)
            child, ready = _start(roles, path)
            children.append(child)
            waiting.append(ready)
        _await_ready(waiting)
        yield
    finally:
        asyncio.run(_stop(children))


def _start(roles: Sequence[str], path: Path) -> tuple[ChildProcess, int]:
    reading, writing = os.pipe()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {RUNTIME_FILE_VARIABLE: str(path), READY_FD_VARIABLE: str(writing)}
    try:
        child = ChildProcess(
            (sys.executable, "-m", "infra.cli", "run", *roles),
            name="-".join(roles),
            environment=environment,
            inherit=(writing,),
        )
    finally:
        os.close(writing)
    return child, reading


def _await_ready(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        is_there, _, _ = select.select([descriptor], [], [], READY_WITHIN_S)
        said = os.read(descriptor, 64) if is_there else b""
        os.close(descriptor)
        assert said == b"ready\n", "a process was not ready in time, or ended before"


async def _stop(children: Sequence[ChildProcess]) -> None:
    await asyncio.gather(*(child.stop((signal.SIGTERM, DRAINED_WITHIN_S)) for child in children))
