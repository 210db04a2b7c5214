"""Processes are forked from the stem, are the supervisor's children, and come back without it as well."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

from infra.embedded.process import AdoptedChild
from infra.home import Home
from infra.runtime import read_runtime_file
from infra.settings import RUNTIME_FILE_VARIABLE, override
from infra.stem import kernel
from infra.stem.process import EXIT_FAULT
from infra.stem.stem import Stem, StemGone
from infra.supervisor import Supervisor
from tests.support import stem as stood_in
from tests.support.engine import engine_settings, no_migrations, stand_in
from tests.support.eventually import eventually
from tests.support.servers import Servers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every process is started anew")

ROOT = Path(__file__).parents[2]
NEVER_LOADED = (sys.executable, "-S", "-c", "import signal; signal.pause()")
NOT_TO_BE_LOADED = (sys.executable, "-S", "-c", "raise SystemExit(3)")
DIES_WHEN_ASKED = (
    sys.executable,
    "-S",
    "-c",
    "import socket, sys; asked = socket.socket(fileno=int(sys.argv[1])); asked.send(b'loaded'); asked.recv(99)",
)
WITH_A_THREAD = (
    sys.executable,
    "-c",
    """
import sys, threading, time
from infra.stem.process import main
main(sys.argv[1:], lambda: threading.Thread(target=time.sleep, args=(60,), daemon=True).start())
""",
)

OWNER = """
import os, sys, time
from infra.stem.stem import Stem
from tests.support.stem import COMMAND
stem = Stem(COMMAND, os.environ, log=None)
while not stem.is_loaded:
    time.sleep(0.01)
with open(os.devnull, "ab") as log:
    child = stem.fork(["api"], name="api", ready_fd=2, log=log)
print(stem.process.pid, child.pid, flush=True)
time.sleep(600)
"""


def _on(servers: Servers, home: Home, stem: Sequence[str] = stood_in.COMMAND) -> Supervisor:
    home.keys.symlink_to(servers.home.keys)
    settings = override(engine_settings(home.path), database_url=servers.database.admin, nats_url=servers.nats_url)
    processes = (("api",), ("relay", "projector"))
    return Supervisor(
        settings, processes=processes, command=stand_in, stem=stem, migrate=no_migrations, logs_to_files=True
    )


def _alone(home: Home, command: Sequence[str]) -> Stem:
    return Stem(command, {**os.environ, RUNTIME_FILE_VARIABLE: str(home.runtime_file)}, log=None)


def _forked(home: Home) -> list[int]:
    path = home.run / "forked"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def _killed(engine: Supervisor, role: str) -> int:
    """Kill the process of *role*; return the number of the one that came after it."""
    process = engine.process_of(role)
    os.kill(process.pid, signal.SIGKILL)
    return await eventually(lambda: (child := engine.process_of(role)) is not process and child.pid)


async def test_a_forked_process_is_a_child_like_any_other_and_so_is_the_next(servers: Servers, home: Home) -> None:
    async with _on(servers, home) as engine:
        first = engine.process_of("projector")
        shown = psutil.Process(first.pid)
        assert (shown.ppid(), os.getsid(first.pid), shown.name()) == (os.getpid(), first.pid, "relay-projector")
        assert [word for word in shown.cmdline() if word] == ["khata", "run", "relay", "projector"]

        for _ in range(2):
            again = await _killed(engine, "projector")
            await eventually(lambda: again in _forked(home))  # noqa: B023 - it is called in this round
        assert first.exit_code() == -signal.SIGKILL
        log = (home.logs / "relay-projector.log").read_text()
        assert log.split() == ["khata-run-relay-projector"] * 3
    assert engine.process_of("api").exit_code() == stood_in.EXIT_DRAINED
    assert (home.run / "drained").read_text().split() == ["api", "relay-projector"]


async def test_while_the_stem_does_not_answer_a_process_is_started_anew_and_another_stem_comes(
    servers: Servers, home: Home
) -> None:
    async with _on(servers, home) as engine:
        runtime_file = read_runtime_file(home.runtime_file)
        assert runtime_file is not None
        stem = runtime_file.processes["stem"]
        os.kill(stem, signal.SIGSTOP)
        anew = await _killed(engine, "projector")
        assert anew not in _forked(home)
        assert psutil.Process(engine.process_of("api").pid).is_running(), "it does not end with its stem"

        await eventually(lambda: not psutil.pid_exists(stem))
        forked = await eventually(lambda: _killed_until_forked(engine, home))
        assert psutil.Process(forked).ppid() == os.getpid()


async def _killed_until_forked(engine: Supervisor, home: Home) -> int | None:
    """Kill a process, and tell the number of the next one where a stem was there for it."""
    pid = await _killed(engine, "api")
    await eventually(lambda: pid in _forked(home) or _is_stood_in(pid))
    return pid if pid in _forked(home) else None


def _is_stood_in(pid: int) -> bool:
    return "-S" in psutil.Process(pid).cmdline()


async def test_without_a_stem_that_can_be_loaded_everything_is_started_anew(servers: Servers, home: Home) -> None:
    async with _on(servers, home, NOT_TO_BE_LOADED):
        pass
    assert _forked(home) == []
    assert (home.run / "drained").read_text().split() == ["api", "relay-projector"]


async def test_a_start_that_is_given_up_while_the_stem_loads_leaves_nobody(servers: Servers, home: Home) -> None:
    engine = _on(servers, home, NEVER_LOADED)
    before = set(psutil.Process().children())
    starting = asyncio.create_task(engine.start())
    await eventually(lambda: set(psutil.Process().children()) - before)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert set(psutil.Process().children()) <= before


def _owner(home: Home) -> "subprocess.Popen[str]":
    environment = {**os.environ, RUNTIME_FILE_VARIABLE: str(home.runtime_file)}
    program = (sys.executable, "-c", OWNER)
    return subprocess.Popen(program, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_stem_and_processes_end_with_who_owns_them(home: Home) -> None:
    with _owner(home) as owner:
        assert owner.stdout is not None
        family = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
        await eventually(lambda: _forked(home))
        owner.kill()
    await eventually(lambda: not any(_lives(process) for process in family))
    assert (home.run / "drained").read_text() == "api\n"


async def test_a_stem_that_dies_while_it_forks_is_told_of(home: Home) -> None:
    stem = _alone(home, DIES_WHEN_ASKED)
    await eventually(lambda: stem.is_loaded)
    with pytest.raises(StemGone):
        stem.fork(["api"], name="api", ready_fd=sys.stderr.fileno(), log=None)
    assert await stem.process.wait(within_s=20.0) is not None
    assert not stem.is_loaded
    stem.end()


async def test_a_process_that_nobody_waits_for_any_more_never_works(home: Home) -> None:
    stem = _alone(home, stood_in.COMMAND)
    await eventually(lambda: stem.is_loaded)
    line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with line, theirs, kernel.adopting():
        socket.send_fds(stem._requests, [msgspec.json.encode(["api"])], [theirs.fileno(), sys.stderr.fileno()])
        theirs.close()
        given_up = int(line.recv(32))
    assert await AdoptedChild(given_up, name="api").wait(within_s=20.0) == EXIT_FAULT
    assert _forked(home) == []
    stem.end()
    await stem.process.stop()


async def test_what_has_a_thread_is_no_stem(home: Home) -> None:
    stem = _alone(home, WITH_A_THREAD)
    assert await stem.process.wait(within_s=20.0) == 1
    assert not stem.is_loaded
    stem.end()
