"""One child process: started so that it cannot outlive us, watched, and stopped in steps.

It is built on `subprocess.Popen` and polls, rather than on asyncio's subprocesses: those belong to the event loop that
started them, and a child of ours must be stoppable from whichever loop runs by then.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

import psutil

from infra.embedded import launcher

_POLL_S = 0.02
_KEEP_USER = -1


@dataclass(frozen=True, slots=True)
class ServerUser:
    """An unprivileged user that a server runs as."""

    name: str
    uid: int
    gid: int


class _Handle(Protocol):
    """What a child is held by, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def send_signal(self, number: int, /) -> None: ...
    def wait(self) -> int: ...


class _Adopted:
    """A child that somebody else started. Its number is nobody else's before its exit code is read here."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        return self._read(os.WNOHANG)

    def wait(self) -> int:
        code = self._read(0)
        assert code is not None, "it was waited for"
        return code

    def send_signal(self, number: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _read(self, options: int) -> int | None:
        if self._exit_code is None:
            ended, status = os.waitpid(self.pid, options)
            if ended:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code


class ChildProcess:
    """A running child. Children are started from the main thread: they end with the *thread* that started them."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        death_signal: signal.Signals = signal.SIGTERM,
        user: ServerUser | None = None,
        environment: Mapping[str, str] | None = None,
        log: IO[bytes] | None = None,
        inherit: Sequence[int] = (),
        folder: Path | None = None,
    ) -> None:
        """Start *command*, whose first word is a path.

        `death_signal` is what the child gets when we die. `user` is who it runs as (None: as we do), `log` where its
        output goes (None: where ours goes), `inherit` the file descriptors it keeps, `folder` where it works (None:
        where we do).
        """
        self.name = name
        identity = (user.uid, user.gid) if user else (_KEEP_USER, _KEEP_USER)
        start = (sys.executable, "-I", "-S", launcher.__file__, os.getpid(), int(death_signal), *identity, *command)
        self._handle: _Handle = subprocess.Popen(  # noqa: S603 - the command is our caller's
            [str(word) for word in start],
            env=None if environment is None else dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=tuple(inherit),
            # A session of its own: Ctrl-C in a terminal reaches us alone, and we stop the children in their order.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._handle.pid

    def exit_code(self) -> int | None:
        """Return how it ended (negative: the signal), None while it runs."""
        return self._handle.poll()

    async def wait(self, *, within_s: float | None = None) -> int | None:
        """Return its exit code once it has ended, None if it has not within *within_s*."""
        deadline = None if within_s is None else time.monotonic() + within_s
        while (code := self._handle.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                return None
            await asyncio.sleep(_POLL_S)
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens to a child that has ended."""
        if self._handle.poll() is None:
            self._handle.send_signal(number)

    async def stop(self, *steps: tuple[signal.Signals, float]) -> int:
        """End it: send each signal in turn, wait its seconds, and kill it in the end. Return its exit code."""
        for number, seconds in steps:
            self.send(number)
            if (code := await self.wait(within_s=seconds)) is not None:
                return code
        self.send(signal.SIGKILL)
        return self._handle.wait()


class AdoptedChild(ChildProcess):
    """A running child of ours that another process started and left to us."""

    def __init__(self, pid: int, *, name: str) -> None:
        self.name = name
        self._handle = _Adopted(pid)


class LogFile:
    """A log that a child appends to; the one before is kept as `….1` once it has grown."""

    KEEP_BYTES = 10_000_000

    def __init__(self, path: Path) -> None:
        if path.exists() and path.stat().st_size > self.KEEP_BYTES:
            path.replace(path.with_name(path.name + ".1"))
        self.path = path

    def __enter__(self) -> IO[bytes]:
        self._file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def tail(self, lines: int = 5) -> str:
        """Return its last lines, for a message about a child that did not start."""
        if not self.path.exists():
            return ""
        return "\n".join(self.path.read_text(errors="replace").splitlines()[-lines:])


def processes_in(folder: Path, *, named: str) -> list[psutil.Process]:
    """Return the processes called *named* whose working directory is *folder*: the orphans of an earlier life."""
    return [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == named and process.info["cwd"] == str(folder)
    ]


async def end_orphans(orphans: Sequence[psutil.Process], *steps: tuple[signal.Signals, float]) -> None:
    """End processes that are not our children any more, each signal in turn, the last resort being SIGKILL."""
    left = list(orphans)
    for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
        for process in left:
            if process.is_running():  # It compares start times, so a pid that was given away is not hit.
                process.send_signal(number)
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline:
            left = [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
            if left:
                await asyncio.sleep(_POLL_S)
        if not left:
            return
