"""The whole engine as a user starts it: `khata up` in a process of its own, on a home that is thrown away."""

import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from infra.embedded.process import ChildProcess
from infra.home import Home
from infra.keys import Keys, load_keys
from infra.runtime import RuntimeFile, running_engine
from infra.settings import PREFIX
from infra.supervisor import APART, PROCESSES
from tests.support.eventually import eventually
from tests.support.servers import make_test_home, remove_test_home

UP_WITHIN_S = 45.0
DRAINED_WITHIN_S = 30.0
_SIGN = "Khata is up."
_ROLE_PROCESSES = frozenset("-".join(roles) for roles in (*PROCESSES, *APART))
_COMMAND = (sys.executable, "-m", "infra.cli", "up")
_LOUD = frozenset({"warning", "error", "critical"})
_SERVER_TROUBLE = (" ERROR: ", " FATAL: ", " PANIC: ", "[ERR]", "[FTL]")
_IN_A_FRESH_HOME = ('relation "views.pointers" does not exist',)
"""The API asks for read models from its first moment on; the projector makes them a moment later."""
_OF_CLIENTS_THAT_LEFT = ("connection to client lost",)
"""What the database says, a moment later, of a client that was killed or hung up in the middle of a statement."""
_WHILE_STARTING = ("the database system is", '"event": "feed dropped"')
"""We ask the database before it answers, and the market role the exchange before it listens."""


class RunningEngine:
    """One home and the engine on it; it can be stopped, killed and started again."""

    def __init__(self, home: Home, **settings: str) -> None:
        """Describe it. *settings* are those of `infra.settings`, as text; ports are free ones."""
        self.home = home
        chosen = {"home": str(home.path), "api_port": "0", "simulator_port": "0", "log_format": "json"} | settings
        foreign = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self._environment = foreign | {PREFIX + name.upper(): value for name, value in chosen.items()}
        self._log = home.path.parent / "up.log"
        self._process: ChildProcess | None = None
        self._kept: list[str] = []
        self._read_bytes: defaultdict[Path, int] = defaultdict(int)

    # --- Life ---

    async def start(self, *, until: str = _SIGN) -> None:
        """Start it and return once it says that it is up, or what else *until* says that it says on its way there."""
        began = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            process = self._process = ChildProcess(_COMMAND, name="khata up", environment=self._environment, log=log)

        def is_there() -> bool:
            said = self._log.read_bytes()[began:].decode()
            assert process.exit_code() is None, f"khata up ended with {process.exit_code()}:\n{said[-3000:]}"
            return until in said

        await eventually(is_there, within_s=UP_WITHIN_S)
        self._kept = self.complaints(expected=_WHILE_STARTING)

    async def stop(self) -> int:
        """Ask it to drain; return its exit code (negative: it had to be killed)."""
        assert self._process is not None, "it has not been started"
        return await self._process.stop((signal.SIGTERM, DRAINED_WITHIN_S))

    async def abandon(self) -> None:
        """End it quickly: what its roles would do to end well is of no interest any more. The servers do end well."""
        if self._process is None or self._process.exit_code() is not None:
            return
        running = running_engine(self.home)
        for process, pid in ({} if running is None else running.processes).items():
            if process in _ROLE_PROCESSES:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await self.stop()

    def tree(self) -> list[psutil.Process]:
        """Return the supervisor and everything it started."""
        assert self._process is not None, "it has not been started"
        supervisor = psutil.Process(self._process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    async def kill_everything(self) -> None:
        """Kill every process of it, as a power cut would, and forget what its logs say of that."""
        family = self.tree()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert self._process is not None, "it has not been started"
        await self._process.wait()
        await eventually(lambda: not any(process.is_running() for process in family), within_s=DRAINED_WITHIN_S)
        self.complaints()

    # --- What it offers ---

    @property
    def runtime(self) -> RuntimeFile:
        """Addresses and process ids as they are now."""
        running = running_engine(self.home)
        assert running is not None, "it does not run"
        return running

    @property
    def keys(self) -> Keys:
        """The keys of its home."""
        return load_keys(self.home)

    @property
    def api_url(self) -> str:
        """Base URL of the API."""
        return self.runtime.api_url

    def kill(self, process: str) -> int:
        """Kill one of its processes (`api`, `executor-market`, `relay-projector`, `simulator`); return which."""
        pid = self.runtime.processes[process]
        os.kill(pid, signal.SIGKILL)
        return pid

    # --- What it said ---

    def said(self) -> list[str]:
        """Return all that it has said so far."""
        return self._log.read_text(errors="replace").splitlines()

    def complaints(self, *, expected: Iterable[str] = ()) -> list[str]:
        """Return what its logs say since the last call that a healthy engine does not say.

        These are warnings, errors, and whatever is no log line, such as a traceback; not those with a text of
        *expected* in them.
        """
        known = (*_IN_A_FRESH_HOME, *_OF_CLIENTS_THAT_LEFT, *expected)
        lines, self._kept = self._kept, []
        lines += [line for line in self._fresh_lines(self._log) if _is_complaint(line)]
        for server in ("postgres.log", "nats.log"):
            said = self._fresh_lines(self.home.logs / server)
            lines += [f"{server}: {line}" for line in said if any(word in line for word in _SERVER_TROUBLE)]
        return [line for line in lines if not any(text in line for text in known)]

    def _fresh_lines(self, path: Path) -> list[str]:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        fresh, self._read_bytes[path] = content[self._read_bytes[path] : whole], whole
        return fresh.decode(errors="replace").splitlines()


def _is_complaint(line: str) -> bool:
    try:
        return str(json.loads(line)["level"]) in _LOUD
    except (ValueError, TypeError, KeyError):
        # The notice about fresh keys and the announcement are for people: paragraphs with a capital or an indent.
        return bool(line.strip()) and not line.startswith((_SIGN, "  ", "Keys were made in"))


@contextmanager
def throwaway_home() -> Iterator[Home]:
    """A fresh home, removed at the end."""
    home = make_test_home()
    try:
        yield home
    finally:
        remove_test_home(home)
